//! The actions that signal a backend, and the look at one that comes before.
//!
//! Every one of them signals only a client backend that is neither a superuser's nor our own, and only if it is the very
//! backend that was looked at: pids are used again, so each comparison includes the instant that the backend started.

pub(crate) mod cancel;
pub(crate) mod kill_idle;
pub(crate) mod terminate;

use lockgate_pack::{Call, Column, Failure, Input, Kind, Row, Rows, Statement, Variant};
use lockgate_pack_shared::{monitor::must_see_others, seconds_since, utc};

/// What an act on a backend may never touch: a server process, ourselves, a superuser's backend.
macro_rules! within_reach {
    () => {
        "a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid() AND r.rolsuper IS NOT TRUE"
    };
}
pub(crate) use within_reach;

/// The role's right to signal a backend. It is a part of each selection: a signal that is refused half-way through a statement
/// raises an error after others have been signalled.
macro_rules! may_signal {
    () => {
        "(pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') OR pg_catalog.pg_has_role(a.usesysid, 'USAGE'))"
    };
}
pub(crate) use may_signal;

/// Both.
macro_rules! signallable {
    () => {
        concat!($crate::signals::within_reach!(), "\n       AND ", $crate::signals::may_signal!())
    };
}
pub(crate) use signallable;

/// The backend, and all that wait for it, directly or behind others.
pub(crate) static BACKEND: Statement = Statement::read("backend")
    .inputs(&[Input::new("pid", Kind::Integer)])
    .columns(&[
        Column::integer("pid"),
        Column::text("user_name"),
        Column::text("application"),
        Column::text("client"),
        Column::text("database"),
        Column::text("state"),
        Column::integer("state_seconds"),
        Column::integer("transaction_seconds"),
        Column::text("wait_event_type"),
        Column::text("wait_event"),
        Column::integer("blocks"),
        Column::text("blocked_pids"),
        Column::text("backend_start"),
        Column::text("query_start"),
        Column::boolean("client_backend"),
        Column::boolean("superuser"),
        Column::boolean("ourselves"),
        Column::boolean("may_signal"),
        Column::query("query"),
    ])
    .variants(&[Variant::all(concat!(
        "WITH RECURSIVE edge AS MATERIALIZED (
    SELECT DISTINCT COALESCE(a.leader_pid, a.pid) AS blocked, b.blocker
      FROM pg_catalog.pg_stat_activity AS a
     CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(a.pid)) AS b(blocker)
     WHERE a.wait_event_type = 'Lock'
), reach AS (
    SELECT e.blocked FROM edge AS e WHERE e.blocker = $1::int8
    UNION
    SELECT e.blocked FROM reach AS r JOIN edge AS e ON e.blocker = r.blocked
)
SELECT a.pid::int8 AS pid, a.usename::text AS user_name, a.application_name AS application,
       pg_catalog.host(a.client_addr) AS client, a.datname::text AS database, a.state,
       ",
        seconds_since!("a.state_change"),
        " AS state_seconds,
       ",
        seconds_since!("a.xact_start"),
        " AS transaction_seconds,
       a.wait_event_type, a.wait_event,
       (SELECT pg_catalog.count(*) FROM reach AS r WHERE r.blocked <> a.pid)::int8 AS blocks,
       (SELECT pg_catalog.string_agg(o.blocked::text, ', ' ORDER BY o.blocked)
          FROM (SELECT r.blocked FROM reach AS r WHERE r.blocked <> a.pid ORDER BY r.blocked LIMIT 100) AS o) AS blocked_pids,
       ",
        utc!("a.backend_start"),
        " AS backend_start,
       ",
        utc!("a.query_start"),
        " AS query_start,
       (a.backend_type = 'client backend') AS client_backend,
       COALESCE(r.rolsuper, false) AS superuser,
       (a.pid = pg_catalog.pg_backend_pid()) AS ourselves,
       ",
        may_signal!(),
        " AS may_signal,
       a.query
  FROM pg_catalog.pg_stat_activity AS a
  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
 WHERE a.pid = $1::int8"
    ))])
    .max_rows(1);

/// Looks at the backend that the call names, and refuses what no signal may go to, before anybody is asked.
fn look(call: &Call<'_>) -> Result<Rows, Failure> {
    must_see_others(call)?;
    let pid = call.integer("pid")?;
    let rows = call.execute(&BACKEND)?;
    let Some(row) = rows.first() else {
        return Err(Failure::not_found(format!("no backend has the pid {pid}")));
    };
    let holds = |column| Ok::<bool, Failure>(row.boolean(column)? == Some(true));
    if holds("ourselves")? {
        return Err(Failure::not_applicable(format!("{pid} is the backend that asks")));
    }
    if !holds("client_backend")? {
        return Err(Failure::not_applicable(format!("{pid} is a process of the server, not a client's backend")));
    }
    if holds("superuser")? {
        return Err(Failure::not_applicable(format!("{pid} is a superuser's backend, which this pack never signals")));
    }
    if !holds("may_signal")? {
        return Err(Failure::missing_privilege(format!("the role may not signal {pid}: grant it pg_signal_backend")));
    }
    Ok(rows)
}

/// A text that is there for every backend that passed [`look`].
fn required(row: &Row<'_>, column: &str) -> Result<String, Failure> {
    row.text(column)?.ok_or_else(|| Failure::internal(format!("the backend has no `{column}`")))
}

/// The backend as it is now, if it still is the one that was pinned.
fn still_there(call: &Call<'_>) -> Result<Option<Rows>, Failure> {
    let rows = call.execute(&BACKEND)?;
    let start = rows.first().map(|row| row.text("backend_start")).transpose()?.flatten();
    Ok(if start.as_deref() == Some(call.text("backend_start")?) { Some(rows) } else { None })
}
