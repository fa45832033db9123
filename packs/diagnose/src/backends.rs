//! Backends that something else named by pid: what each is and does, and whether an action may signal it.

use lockgate_pack::{Call, Column, Failure, Input, Kind, QueryError, Row, Rows, Statement, Suggestion, Value, Variant};
use lockgate_pack_shared::seconds_since;

use crate::advice;

/// The backends that another statement named a moment before, as they are now: one that is missing is gone.
pub(crate) static BACKENDS: Statement = Statement::read("backends")
    .inputs(&[Input::new("pids", Kind::Integers)])
    .columns(&[
        Column::integer("pid"),
        Column::text("user_name"),
        Column::text("application"),
        Column::text("client"),
        Column::text("database"),
        Column::text("backend_type"),
        Column::text("state"),
        Column::integer("state_seconds"),
        Column::integer("transaction_seconds"),
        Column::text("wait_event_type"),
        Column::text("wait_event"),
        Column::boolean("superuser"),
        Column::boolean("may_signal"),
        Column::boolean("prevents_wraparound"),
        Column::query("query"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT a.pid::int8 AS pid, a.usename::text AS user_name, a.application_name AS application,
       pg_catalog.host(a.client_addr) AS client, a.datname::text AS database, a.backend_type, a.state,
       ",
        seconds_since!("a.state_change"),
        " AS state_seconds,
       ",
        seconds_since!("a.xact_start"),
        " AS transaction_seconds,
       a.wait_event_type, a.wait_event, COALESCE(r.rolsuper, false) AS superuser,
       (pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') OR pg_catalog.pg_has_role(a.usesysid, 'USAGE')) AS may_signal,
       (a.backend_type = 'autovacuum worker' AND a.query LIKE '%to prevent wraparound%') AS prevents_wraparound, a.query
  FROM pg_catalog.pg_stat_activity AS a
  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
 WHERE a.pid = ANY ($1::int8[])
 ORDER BY a.pid
 LIMIT 1000"
    ))])
    .max_rows(1000);

/// Looks at some of them; nothing if there are none to look at.
pub(crate) fn look(call: &Call<'_>, pids: Vec<i64>) -> Result<Option<Rows>, QueryError> {
    if pids.is_empty() {
        return Ok(None);
    }
    call.execute_with(&BACKENDS, &[("pids", Value::Integers(pids))]).map(Some)
}

/// A backend, as far as it decides what to do.
pub(crate) struct Backend {
    pub(crate) pid: i64,
    pub(crate) backend_type: String,
    pub(crate) state: String,
    pub(crate) state_seconds: i64,
    pub(crate) transaction_seconds: i64,
    pub(crate) wait_type: String,
    pub(crate) wait: String,
    superuser: bool,
    may_signal: bool,
    pub(crate) prevents_wraparound: bool,
}

/// What makes a backend let go, and why it is suggested.
#[derive(Clone, Copy)]
pub(crate) enum Remedy {
    Terminate(&'static str),
    Cancel(&'static str),
    None,
}

impl Backend {
    pub(crate) fn find(rows: &Rows, pid: i64) -> Result<Option<Self>, Failure> {
        for row in rows.iter() {
            if row.integer("pid")? == Some(pid) {
                return Self::read(&row, pid).map(Some);
            }
        }
        Ok(None)
    }

    fn read(row: &Row<'_>, pid: i64) -> Result<Self, Failure> {
        let text = |column| row.text(column).map(Option::unwrap_or_default);
        let seconds = |column| row.integer(column).map(Option::unwrap_or_default);
        let holds = |column| row.boolean(column).map(|value| value == Some(true));
        Ok(Self {
            pid,
            backend_type: text("backend_type")?,
            state: text("state")?,
            state_seconds: seconds("state_seconds")?,
            transaction_seconds: seconds("transaction_seconds")?,
            wait_type: text("wait_event_type")?,
            wait: text("wait_event")?,
            superuser: holds("superuser")?,
            may_signal: holds("may_signal")?,
            prevents_wraparound: holds("prevents_wraparound")?,
        })
    }

    /// Ending its session or cancelling its query, or why no action does that: it is then for a person to do.
    pub(crate) fn remedied(&self, remedy: Remedy) -> (Option<Suggestion>, Option<String>) {
        let suggestion = match remedy {
            Remedy::Terminate(why) => advice::terminate(self.pid, why),
            Remedy::Cancel(why) => advice::cancel(self.pid, why),
            Remedy::None => return (None, None),
        };
        let refused = if self.backend_type != "client backend" {
            "it is a process of the server or of replication, which no action signals"
        } else if self.superuser {
            "it is a superuser's, which no action signals; a person has to"
        } else if !self.may_signal {
            "to signal it, the role needs pg_signal_backend"
        } else {
            return (Some(suggestion), None);
        };
        (None, Some(format!("no call is suggested for backend {}: {refused}", self.pid)))
    }
}
