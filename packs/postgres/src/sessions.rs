//! The server at a glance: since when it runs, who is connected, and in which states.

use lockgate_pack::{Action, Call, Column, Failure, Outcome, Statement, Variant};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    seconds_since, utc,
    words::{counted, duration},
};

use crate::common::report_sessions;

static UPTIME_READ: Statement = Statement::read("uptime")
    .columns(&[
        Column::text("server_version"),
        Column::text("started_at"),
        Column::integer("uptime_seconds"),
        Column::integer("connections"),
        Column::integer("max_connections"),
        Column::boolean("in_recovery"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT pg_catalog.current_setting('server_version') AS server_version,\n       ",
        utc!("pg_catalog.pg_postmaster_start_time()"),
        " AS started_at,\n       ",
        seconds_since!("pg_catalog.pg_postmaster_start_time()"),
        " AS uptime_seconds,
       CASE WHEN pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') THEN
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity AS a WHERE a.backend_type = 'client backend')
       END::int8 AS connections,
       pg_catalog.current_setting('max_connections')::int8 AS max_connections,
       pg_catalog.pg_is_in_recovery() AS in_recovery"
    ))])
    .max_rows(1);

pub(crate) static UPTIME: Action = Action::read("uptime")
    .title("Uptime")
    .description(
        "Since when the server runs, its version, how many client connections it has now out of how many, and whether it is \
         in recovery (a standby). A start time during the incident means that it crashed or was restarted.",
    )
    .statements(&[&UPTIME_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "is it up",
        "is the database up",
        "database is down",
        "db is down",
        "did it restart",
        "crashed",
        "reboot",
        "server version",
        "which version",
        "time of start",
    ])
    .examples(&[("is the database up, and did it restart?", "{}")])
    .run(uptime);

fn uptime(call: &Call<'_>) -> Result<Outcome, Failure> {
    let rows = call.execute(&UPTIME_READ)?;
    let Some(row) = rows.first() else { return Err(Failure::internal("the uptime statement gave no row")) };
    let up = row.integer("uptime_seconds")?.unwrap_or_default();
    let role = if row.boolean("in_recovery")? == Some(true) { "a standby" } else { "a primary" };
    let max = row.integer("max_connections")?.unwrap_or_default();
    let used = match row.integer("connections")? {
        Some(now) => format!("{now} of {max} connections in use"),
        None => format!("{max} connections at most (how many are in use, only a role with pg_monitor sees)"),
    };
    Ok(Outcome::new(format!("{role}, up for {}, {used}", duration(up))).table("Server", rows))
}

static CONNECTIONS_READ: Statement = Statement::read("connections")
    .columns(&[Column::text("application"), Column::text("state"), Column::integer("connections")])
    .variants(&[Variant::all(
        "SELECT a.application_name AS application, a.state, pg_catalog.count(*)::int8 AS connections
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.backend_type = 'client backend'
 GROUP BY a.application_name, a.state
 ORDER BY pg_catalog.count(*) DESC, a.application_name, a.state
 LIMIT 200",
    )]);

pub(crate) static CONNECTIONS: Action = Action::read("connections")
    .title("Connections")
    .description("Client connections by application and state, the most first: who takes up the connections.")
    .statements(&[&SEES_OTHERS, &CONNECTIONS_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "who is connected",
        "connection count",
        "open connections",
        "connected clients",
        "connection leak",
        "connections per application",
        "pool size",
    ])
    .examples(&[("we are running out of connections; who has them?", "{}")])
    .run(|call| {
        report_sessions(call, &CONNECTIONS_READ, "Connections", |count| {
            counted(count, "group of connections", "groups of connections, by application and state")
        })
    });

static STATES_READ: Statement = Statement::read("activity_states")
    .columns(&[
        Column::text("state"),
        Column::integer("backends"),
        Column::integer("waiting_for_lock"),
        Column::integer("longest_seconds"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT a.state, pg_catalog.count(*)::int8 AS backends,
       (pg_catalog.count(*) FILTER (WHERE a.wait_event_type = 'Lock'))::int8 AS waiting_for_lock,
       ",
        seconds_since!("pg_catalog.min(a.state_change)"),
        " AS longest_seconds
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
 GROUP BY a.state
 ORDER BY pg_catalog.count(*) DESC, a.state
 LIMIT 50"
    ))]);

pub(crate) static ACTIVITY_STATES: Action = Action::read("activity_states")
    .title("Activity by state")
    .description(
        "How many client backends are active, idle, idle in transaction and so on, how many of each wait for a lock, and for how \
         long the longest of each has been so. Active backends that wait for a lock are blocked, not working: go on with \
         lock_blocking_chains. Leaves out the backend that asks.",
    )
    .statements(&[&SEES_OTHERS, &STATES_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "busy or idle",
        "active sessions",
        "session states",
        "how many sessions",
        "everything times out",
        "timeouts",
        "everything is slow",
        "load",
    ])
    .examples(&[("everything times out; is the database busy or waiting?", "{}")])
    .run(activity_states);

fn activity_states(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let rows = call.execute(&STATES_READ)?;
    let sum = |column| Ok::<i64, Failure>(rows.integers(column)?.into_iter().sum());
    let backends = counted(sum("backends")?, "client backend", "client backends");
    let summary = match sum("waiting_for_lock")? {
        0 => format!("{backends}; none waits for a lock"),
        1 => format!("{backends}; 1 waits for a lock"),
        waiting => format!("{backends}; {waiting} wait for locks"),
    };
    Ok(Outcome::new(summary).table("States", rows))
}
