//! The guard of a session: settings that every session starts with, given in the startup packet and read back from the
//! server before the session is used. A pooler in between that drops startup options (PgBouncer does, silently, when it is
//! told to ignore them) hands out a session that does not hold them, and such a session is refused.

use std::time::Duration;

use tokio_postgres::{Client, types::Type};

use super::{
    endpoint::Timeouts,
    error::{self, POOLER, QueryError},
};

/// The settings of one session, by the names and in the units of `pg_settings`.
#[derive(Clone, Debug)]
pub(super) struct Guard(Vec<(&'static str, String)>);

impl Guard {
    /// For reads and acts.
    pub(super) fn pooled(timeouts: &Timeouts) -> Self {
        Self::with(timeouts, timeouts.statement, timeouts.lock)
    }

    /// For one maintenance command: its own time or none. Without one there is no limit to waiting for a lock either:
    /// either timeout leaves an invalid index behind when it hits REINDEX CONCURRENTLY.
    pub(super) fn maintenance(timeouts: &Timeouts, own: Option<Duration>) -> Self {
        match own {
            Some(own) => Self::with(timeouts, own, timeouts.lock),
            None => Self::with(timeouts, Duration::ZERO, Duration::ZERO),
        }
    }

    fn with(timeouts: &Timeouts, statement: Duration, lock: Duration) -> Self {
        let ms = |duration: Duration| duration.as_millis().to_string();
        let fixed = |value: &str| value.to_owned();
        Self(vec![
            // Names in a statement are qualified or they are not found: nothing can be put in front of them.
            ("search_path", String::new()),
            // Acts say READ WRITE themselves.
            ("default_transaction_read_only", fixed("on")),
            ("default_transaction_isolation", fixed("read committed")),
            ("statement_timeout", ms(statement)),
            ("lock_timeout", ms(lock)),
            ("idle_in_transaction_session_timeout", ms(timeouts.idle_in_transaction)),
            // Or the warnings that say what maintenance skipped would not arrive.
            ("client_min_messages", fixed("notice")),
            // The statement was proven with PostgreSQL's default reading of literals.
            ("standard_conforming_strings", fixed("on")),
            ("transform_null_equals", fixed("off")),
            // Texts of times and intervals look the same on every server.
            ("DateStyle", fixed("ISO, YMD")),
            ("IntervalStyle", fixed("postgres")),
            ("TimeZone", fixed("UTC")),
            ("bytea_output", fixed("hex")),
        ])
    }

    /// As the startup packet's `options`; a space inside a value is escaped (PostgreSQL manual, "Frontend/Backend Protocol",
    /// StartupMessage).
    pub(super) fn options(&self) -> String {
        let escape = |value: &str| value.replace('\\', "\\\\").replace(' ', "\\ ");
        let options: Vec<String> = self.0.iter().map(|(name, value)| format!("-c {name}={}", escape(value))).collect();
        options.join(" ")
    }

    /// Reads the settings back. They were all given, so a difference means that something stands in between.
    pub(super) async fn verify(&self, client: &Client) -> Result<(), QueryError> {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| *name).chain(["client_encoding"]).collect();
        let sql = "SELECT s.name, s.setting FROM pg_catalog.pg_settings s WHERE s.name = ANY ($1)";
        let rows = client.query_typed(sql, &[(&names, Type::TEXT_ARRAY)]).await.map_err(|e| error::from_driver(&e))?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let read = |at| row.try_get::<_, Option<String>>(at).map_err(|e| error::from_driver(&e));
            found.push((read(0)?.unwrap_or_default(), read(1)?.unwrap_or_default()));
        }
        self.compare(&found)
    }

    fn compare(&self, found: &[(String, String)]) -> Result<(), QueryError> {
        let encoding = ("client_encoding", "UTF8".to_owned());
        for (name, wanted) in self.0.iter().chain([&encoding]) {
            let held = found.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
            if held != Some(wanted.as_str()) {
                let held = held.unwrap_or("nothing");
                return Err(QueryError::unreachable(format!(
                    "the session was refused because it does not hold its guard: `{name}` is `{held}` instead of `{wanted}`; {POOLER}"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        let second = Duration::from_secs(1);
        Guard::pooled(&Timeouts { connect: second, statement: 2 * second, lock: second, idle_in_transaction: second })
    }

    #[test]
    fn options_escape_spaces() {
        let options = guard().options();
        assert!(options.starts_with("-c search_path= -c "), "{options}");
        assert!(options.contains(r"-c default_transaction_isolation=read\ committed "), "{options}");
        assert!(options.contains("-c statement_timeout=2000 "), "{options}");
    }

    #[test]
    fn a_session_that_does_not_hold_its_guard_is_refused() {
        let mut held: Vec<(String, String)> =
            guard().0.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        assert!(guard().compare(&held).unwrap_err().to_string().contains("client_encoding"));
        held.push(("client_encoding".to_owned(), "UTF8".to_owned()));
        guard().compare(&held).unwrap();
        for (_, value) in held.iter_mut().filter(|(name, _)| name == "search_path") {
            *value = "\"$user\", public".to_owned();
        }
        let error = guard().compare(&held).unwrap_err().to_string();
        assert!(error.contains("search_path") && error.contains("PgBouncer"), "{error}");
    }
}
