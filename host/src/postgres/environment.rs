//! The libpq environment (`PG*`): a target for an operator whose shell can already reach the server, and the places where
//! libpq keeps services and passwords (PostgreSQL manual, "Environment Variables").

use std::path::PathBuf;

use super::{
    error::TargetError,
    settings::{ChannelBinding, Expect, SslMode, TargetSettings},
};

/// Looks a variable up; `None` where it is unset, empty or not Unicode. A function, so that tests need no real environment.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Looks a variable up in the environment of this process.
#[must_use]
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The name of the target that the environment describes.
pub const ENVIRONMENT_TARGET: &str = "default";

/// Any of these says that the environment means a server.
const DECISIVE: [&str; 5] = ["PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGPORT"];

impl TargetSettings {
    /// The target that the environment describes, if it describes one: for a configuration that has none.
    ///
    /// # Errors
    /// If a variable holds something that lockgate can't or won't do, named.
    pub fn from_environment(lookup: Lookup<'_>) -> Result<Option<Self>, TargetError> {
        if !DECISIVE.iter().any(|name| lookup(name).is_some()) {
            return Ok(None);
        }
        let mut settings = Self::named(ENVIRONMENT_TARGET);
        settings.service = lookup("PGSERVICE");
        settings.servicefile = lookup("PGSERVICEFILE").map(PathBuf::from);
        for (variable, keyword) in KEYWORDS {
            if let Some(value) = lookup(variable) {
                settings
                    .apply(keyword, &value)
                    .map_err(|message| TargetError::Environment { variable: (*variable).to_owned(), message })?;
            }
        }
        // The password stays where it is.
        settings.password_env = lookup("PGPASSWORD").map(|_| "PGPASSWORD".to_owned());
        Ok(Some(settings))
    }

    /// Sets what libpq's keyword sets. The error says what is wrong with the value.
    pub(super) fn apply(&mut self, keyword: &str, value: &str) -> Result<(), String> {
        match keyword {
            "host" => self.host = Some(one_host(value)?),
            "hostaddr" => {
                let address = one_host(value)?.parse();
                self.hostaddr = Some(address.map_err(|_| format!("`{value}` is not an IP address"))?);
            }
            "port" => self.port = Some(value.parse().map_err(|_| format!("`{value}` is not a port"))?),
            "dbname" => {
                if value.contains('=') || value.starts_with("postgresql://") || value.starts_with("postgres://") {
                    return Err("a connection string as database name is not supported: set each part".to_owned());
                }
                self.dbname = Some(value.to_owned());
            }
            "user" => self.user = Some(value.to_owned()),
            "passfile" => self.passfile = Some(PathBuf::from(value)),
            "sslmode" => self.sslmode = Some(SslMode::parse(value)?),
            "sslrootcert" => self.sslrootcert = Some(PathBuf::from(value)),
            "sslcert" => self.sslcert = Some(PathBuf::from(value)),
            "sslkey" => self.sslkey = Some(PathBuf::from(value)),
            "connect_timeout" => {
                let seconds = value.parse::<u32>().map_err(|_| format!("`{value}` is not a number of seconds"))?;
                // Zero means for ever to libpq; a bounded wait is the closest that there is here.
                self.connect_timeout_ms = (seconds > 0).then(|| seconds.saturating_mul(1000));
            }
            "channel_binding" => {
                self.channel_binding = match value {
                    "prefer" => ChannelBinding::Prefer,
                    "require" => ChannelBinding::Require,
                    other => {
                        return Err(format!("channel_binding `{other}` is not `prefer` or `require`"));
                    }
                };
            }
            "target_session_attrs" => {
                self.expect = match value {
                    "any" => None,
                    "primary" | "read-write" => Some(Expect::Primary),
                    "standby" | "read-only" => Some(Expect::Standby),
                    other => {
                        return Err(format!("target_session_attrs `{other}` is not supported: name one server"));
                    }
                };
            }
            // Lockgate's own: a session's name and settings are part of its guard. Encoding is always UTF-8.
            "application_name" | "fallback_application_name" | "options" | "client_encoding" => {
                tracing::debug!(keyword, "setting ignored: lockgate sets it itself");
            }
            other => return Err(format!("`{other}` is not supported")),
        }
        Ok(())
    }
}

/// A target is one server: a list of hosts would make the one that was approved and the one that is hit differ.
fn one_host(value: &str) -> Result<String, String> {
    if value.contains(',') {
        return Err("names several hosts, but a target is one server: declare a target for each".to_owned());
    }
    Ok(value.to_owned())
}

const KEYWORDS: &[(&str, &str)] = &[
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSFILE", "passfile"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGOPTIONS", "options"),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Option<TargetSettings>, TargetError> {
        let lookup = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        TargetSettings::from_environment(&lookup)
    }

    #[test]
    fn an_environment_without_a_server_describes_none() {
        assert_eq!(from(&[("PGPASSWORD", "x"), ("PGUSER", "y")]).unwrap(), None);
    }

    #[test]
    fn the_variables_become_settings_and_the_password_stays() {
        let pairs = [
            ("PGHOST", "db1"),
            ("PGPORT", "5433"),
            ("PGPASSWORD", "hunter2"),
            ("PGSSLMODE", "verify-ca"),
            ("PGCONNECT_TIMEOUT", "3"),
            ("PGTARGETSESSIONATTRS", "standby"),
        ];
        let settings = from(&pairs).unwrap().unwrap();
        assert_eq!(settings.name, "default");
        assert_eq!(settings.host.as_deref(), Some("db1"));
        assert_eq!((settings.port, settings.connect_timeout_ms), (Some(5433), Some(3000)));
        assert_eq!((settings.sslmode, settings.expect), (Some(SslMode::VerifyCa), Some(Expect::Standby)));
        assert_eq!(settings.password_env.as_deref(), Some("PGPASSWORD"));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn what_would_be_unsafe_or_ambiguous_is_refused_by_name() {
        for (variable, value) in
            [("PGSSLMODE", "prefer"), ("PGHOST", "a,b"), ("PGPORT", "x"), ("PGCHANNELBINDING", "disable")]
        {
            let error = from(&[("PGDATABASE", "d"), (variable, value)]).unwrap_err().to_string();
            assert!(error.contains(variable), "{error}");
        }
    }
}
