//! What each backend is doing: in detail, the longest running, those idle inside a transaction, and what they wait for.

use lockgate_pack::{Action, Column, Input, Kind, Param, Statement, Variant};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS},
    seconds_since, utc,
    words::counted,
};

use crate::common::{LIMIT, report_sessions};

const MIN_SECONDS: Param = Param::integer("min_seconds", 0, 86_400).default(0);

/// Only the query's identifier differs between the versions: the view has it from 14 on.
macro_rules! detail {
    ($query_id:literal) => {
        concat!(
            "SELECT a.pid::int8 AS pid, a.usename::text AS user_name, a.application_name AS application,
       pg_catalog.host(a.client_addr) AS client, a.datname::text AS database, a.backend_type, a.state,
       a.wait_event_type, a.wait_event,
       ",
            seconds_since!("a.xact_start"),
            " AS transaction_seconds,
       ",
            seconds_since!("a.query_start"),
            " AS query_seconds,
       a.leader_pid::int8 AS leader_pid, ",
            $query_id,
            " AS query_id, a.query
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.datid IS NOT NULL
 ORDER BY a.xact_start NULLS LAST, a.state_change, a.pid
 LIMIT $1::int8"
        )
    };
}

static DETAIL_READ: Statement = Statement::read("activity_detail")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::integer("pid"),
        Column::text("user_name"),
        Column::text("application"),
        Column::text("client"),
        Column::text("database"),
        Column::text("backend_type"),
        Column::text("state"),
        Column::text("wait_event_type"),
        Column::text("wait_event"),
        Column::integer("transaction_seconds"),
        Column::integer("query_seconds"),
        Column::integer("leader_pid"),
        Column::text("query_id"),
        Column::query("query"),
    ])
    .variants(&[Variant::before(14, detail!("NULL::text")), Variant::from(14, detail!("a.query_id::text"))]);

pub(crate) static ACTIVITY_DETAIL: Action = Action::read("activity_detail")
    .title("Activity in detail")
    .description(
        "Each backend of a database, the oldest transaction first: who it is and from where, its state, what it waits for, how old \
         its transaction and its query are, its parallel leader, and the shape of its query. Idle in transaction with the wait \
         event ClientRead means that the server waits for a client that may be gone. Leaves out the backend that asks.",
    )
    .params(&[LIMIT])
    .statements(&[&SEES_OTHERS, &DETAIL_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "pg_stat_activity",
        "processlist",
        "what is this pid doing",
        "who is this session",
        "sessions",
        "current queries",
        "what is running",
        "client address",
    ])
    .examples(&[("what is backend 4471 doing, and who is it?", r#"{"limit": 50}"#)])
    .run(|call| {
        report_sessions(call, &DETAIL_READ, "Backends", |count| {
            format!("{}, the oldest transaction first", counted(count, "backend", "backends"))
        })
    });

static LONGEST_READ: Statement = Statement::read("longest_running_queries")
    .inputs(&[Input::new("limit", Kind::Integer), Input::new("min_seconds", Kind::Integer)])
    .columns(&[
        Column::integer("pid"),
        Column::text("user_name"),
        Column::text("application"),
        Column::text("client"),
        Column::text("database"),
        Column::integer("query_seconds"),
        Column::integer("transaction_seconds"),
        Column::text("query_start"),
        Column::text("wait_event_type"),
        Column::text("wait_event"),
        Column::query("query"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT a.pid::int8 AS pid, a.usename::text AS user_name, a.application_name AS application,
       pg_catalog.host(a.client_addr) AS client, a.datname::text AS database,
       ",
        seconds_since!("a.query_start"),
        " AS query_seconds,
       ",
        seconds_since!("a.xact_start"),
        " AS transaction_seconds,
       ",
        utc!("a.query_start"),
        " AS query_start,
       a.wait_event_type, a.wait_event, a.query
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.backend_type = 'client backend' AND a.state = 'active' AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.query_start <= pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $2::int8::float8)
 ORDER BY a.query_start, a.pid
 LIMIT $1::int8"
    ))]);

pub(crate) static LONGEST_RUNNING_QUERIES: Action = Action::read("longest_running_queries")
    .title("Longest running queries")
    .description(
        "Active client backends, the oldest query first. One with wait event type Lock is blocked by another: see \
         lock_blocking_chains before cancelling it.",
    )
    .params(&[LIMIT, MIN_SECONDS.describe("Only queries that have run for at least so many seconds")])
    .statements(&[&SEES_OTHERS, &LONGEST_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "long running query",
        "runaway query",
        "stuck query",
        "query running for hours",
        "query never finishes",
        "query hangs",
        "query takes forever",
        "running now",
    ])
    .examples(&[("is a query running away?", r#"{"min_seconds": 60}"#)])
    .run(|call| {
        report_sessions(call, &LONGEST_READ, "Active queries", |count| {
            format!("{}, the oldest first", counted(count, "query runs", "queries run"))
        })
    });

static IDLE_READ: Statement = Statement::read("idle_in_transaction")
    .inputs(&[Input::new("min_seconds", Kind::Integer)])
    .columns(&[
        Column::integer("pid"),
        Column::text("user_name"),
        Column::text("application"),
        Column::text("client"),
        Column::text("database"),
        Column::text("state"),
        Column::integer("idle_seconds"),
        Column::integer("transaction_seconds"),
        Column::boolean("holds_xmin"),
        Column::query("last_query"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT a.pid::int8 AS pid, a.usename::text AS user_name, a.application_name AS application,
       pg_catalog.host(a.client_addr) AS client, a.datname::text AS database, a.state,
       ",
        seconds_since!("a.state_change"),
        " AS idle_seconds,
       ",
        seconds_since!("a.xact_start"),
        " AS transaction_seconds,
       (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL) AS holds_xmin, a.query AS last_query
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.backend_type = 'client backend' AND a.state IN ('idle in transaction', 'idle in transaction (aborted)')
   AND a.state_change <= pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1::int8::float8)
 ORDER BY a.state_change, a.pid
 LIMIT 200"
    ))]);

pub(crate) static IDLE_IN_TRANSACTION: Action = Action::read("idle_in_transaction")
    .title("Idle in transaction")
    .description(
        "Client backends that sit idle inside a transaction, the longest first, with their last query. Each keeps its locks, and \
         vacuum from cleaning up where holds_xmin is true, until its client commits or its connection ends. cancel_query does \
         nothing to them; terminate_backend or kill_idle ends them.",
    )
    .params(&[MIN_SECONDS.describe("Only those that have been idle for at least so many seconds")])
    .statements(&[&SEES_OTHERS, &IDLE_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "open transaction",
        "transaction left open",
        "forgotten transaction",
        "uncommitted transaction",
        "long transaction",
        "begin without commit",
        "abandoned session",
    ])
    .examples(&[("did somebody leave a transaction open?", r#"{"min_seconds": 60}"#)])
    .run(|call| {
        report_sessions(call, &IDLE_READ, "Idle in transaction", |count| {
            counted(count, "backend sits idle in a transaction", "backends sit idle in a transaction")
        })
    });

static WAITS_READ: Statement = Statement::read("wait_events")
    .columns(&[
        Column::text("wait_event_type"),
        Column::text("wait_event"),
        Column::integer("backends"),
        Column::integer("longest_query_seconds"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT COALESCE(a.wait_event_type, 'none: on CPU') AS wait_event_type, a.wait_event,
       pg_catalog.count(*)::int8 AS backends, ",
        seconds_since!("pg_catalog.min(a.query_start)"),
        " AS longest_query_seconds
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.state = 'active' AND a.pid <> pg_catalog.pg_backend_pid()
 GROUP BY a.wait_event_type, a.wait_event
 ORDER BY pg_catalog.count(*) DESC, a.wait_event_type, a.wait_event
 LIMIT 200"
    ))]);

pub(crate) static WAIT_EVENTS: Action = Action::read("wait_events")
    .title("Wait events")
    .description(
        "Active backends by what they wait for, the most first: on CPU, Lock (blocked by another transaction), IO, LWLock, Client \
         and so on. It is a single look, not a profile.",
    )
    .statements(&[&SEES_OTHERS, &WAITS_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "what is it waiting for",
        "waiting on io",
        "bottleneck",
        "io bound",
        "cpu bound",
        "lwlock contention",
        "high cpu",
        "everything is slow",
        "high load",
    ])
    .examples(&[("what are the active backends waiting for?", "{}")])
    .run(|call| {
        report_sessions(call, &WAITS_READ, "Wait events", |count| match count {
            0 => "no other backend is active".into(),
            _ => format!("active backends wait for {}", counted(count, "thing", "different things")),
        })
    });
