//! Who waits for whom, and which locks there are.

use std::collections::BTreeMap;

use lockgate_pack::{Action, Call, Column, Failure, Input, Kind, Outcome, Rows, Statement, Variant};

use crate::common::{
    LIMIT, MONITOR, SEES_OTHERS, counted, duration, listed, must_see_others, report_sessions, seconds_since,
};

/// The chains, from their heads downwards. From the head each waiter is found once; upwards, along every path of who waits
/// for whom, thirty writers queueing for one row would be some hundred million paths, since each of a queue waits for all
/// before it. A parallel worker counts as its leader. A head that is no backend (pid 0) is a prepared transaction. Backends
/// that wait for each other in a circle have no head until the deadlock check ends one of them.
///
/// `pg_blocking_pids` takes the locks of the lock manager, so it is called for backends only that wait for a lock.
macro_rules! chains {
    ($waiting:literal) => {
        concat!(
            "WITH RECURSIVE waiter AS MATERIALIZED (
    SELECT a.pid, COALESCE(a.leader_pid, a.pid) AS blocked, pg_catalog.pg_blocking_pids(a.pid) AS blockers
      FROM pg_catalog.pg_stat_activity AS a
     WHERE a.wait_event_type = 'Lock'
), edge AS MATERIALIZED (
    SELECT DISTINCT w.blocked, b.blocker
      FROM waiter AS w
     CROSS JOIN LATERAL pg_catalog.unnest(w.blockers) AS b(blocker)
), reach AS (
    SELECT e.blocker AS head, e.blocked
      FROM edge AS e
     WHERE NOT EXISTS (SELECT 1 FROM edge AS up WHERE up.blocked = e.blocker)
    UNION
    SELECT r.head, e.blocked
      FROM reach AS r
      JOIN edge AS e ON e.blocker = r.blocked
)
SELECT w.blocked::int8 AS blocked_pid, a.usename::text AS blocked_user, a.application_name AS blocked_application,
       ",
            $waiting,
            " AS waiting_seconds, l.locktype AS lock_type, l.mode AS lock_mode,
       n.nspname || '.' || c.relname AS relation,
       (CASE WHEN r.head = ANY (w.blockers) THEN r.head ELSE w.blockers[1] END)::int8 AS blocker_pid,
       pg_catalog.cardinality(w.blockers)::int8 AS blockers,
       r.head::int8 AS head_pid, h.usename::text AS head_user, h.application_name AS head_application,
       CASE WHEN r.head = 0 THEN 'prepared transaction' ELSE h.state END AS head_state,
       ",
            seconds_since!("h.state_change"),
            " AS head_state_seconds,
       ",
            seconds_since!("h.xact_start"),
            " AS head_transaction_seconds,
       h.wait_event AS head_wait_event, a.query AS blocked_query, h.query AS head_query
  FROM waiter AS w
  JOIN pg_catalog.pg_stat_activity AS a ON a.pid = w.pid
  LEFT JOIN reach AS r ON r.blocked = w.blocked
  LEFT JOIN pg_catalog.pg_stat_activity AS h ON h.pid = r.head
  LEFT JOIN pg_catalog.pg_locks AS l ON l.pid = w.pid AND NOT l.granted
  LEFT JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database() AND d.oid = l.database
  LEFT JOIN pg_catalog.pg_class AS c ON c.oid = l.relation AND d.oid IS NOT NULL
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE pg_catalog.cardinality(w.blockers) > 0
 ORDER BY head_pid, waiting_seconds DESC NULLS LAST, blocked_pid
 LIMIT 1000"
        )
    };
}

pub(crate) static CHAINS_READ: Statement = Statement::read("lock_blocking_chains")
    .columns(&[
        Column::integer("blocked_pid"),
        Column::text("blocked_user"),
        Column::text("blocked_application"),
        Column::integer("waiting_seconds"),
        Column::text("lock_type"),
        Column::text("lock_mode"),
        Column::text("relation"),
        Column::integer("blocker_pid"),
        Column::integer("blockers"),
        Column::integer("head_pid"),
        Column::text("head_user"),
        Column::text("head_application"),
        Column::text("head_state"),
        Column::integer("head_state_seconds"),
        Column::integer("head_transaction_seconds"),
        Column::text("head_wait_event"),
        Column::query("blocked_query"),
        Column::query("head_query"),
    ])
    .variants(&[
        // Before 14 nothing says since when a backend waits; its query is at least as old.
        Variant::before(14, chains!("NULL::int8")),
        Variant::from(14, chains!("EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - l.waitstart)::int8")),
    ])
    .max_rows(1000);

pub(crate) static LOCK_BLOCKING_CHAINS: Action = Action::read("lock_blocking_chains")
    .title("Lock blocking chains")
    .description(
        "Each backend that waits for a lock, the one directly in front of it (out of how many), and the head of its chain: the \
         backend that waits for nobody and holds up all the others, with its state. End or fix the head, not the waiters. A head \
         that is idle in transaction was left open by its client: cancel_query does nothing to it, terminate_backend releases \
         its locks. Head pid 0 is a prepared transaction.",
    )
    .statements(&[&SEES_OTHERS, &CHAINS_READ])
    .privileges(MONITOR)
    .examples(&[("writes are piling up; who is blocking them?", "{}")])
    .run(lock_blocking_chains);

/// What stands at the head of a chain.
struct Head {
    blocked: u32,
    idle_in_transaction: bool,
    seconds: i64,
}

fn lock_blocking_chains(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let rows = call.execute(&CHAINS_READ)?;
    let heads = heads(&rows)?;
    let summary = in_words(rows.count(), &heads);
    let mut outcome = listed(call, rows, 1000, "Blocked backends", |_| summary);
    for (pid, head) in heads.iter().filter(|(_, head)| head.idle_in_transaction).take(5) {
        outcome = outcome.notice(format!(
            "{pid} has been idle in transaction for {}: cancel_query would do nothing, terminate_backend ends it",
            duration(head.seconds)
        ));
    }
    Ok(outcome)
}

fn heads(rows: &Rows) -> Result<BTreeMap<i64, Head>, Failure> {
    let mut heads: BTreeMap<i64, Head> = BTreeMap::new();
    for row in rows.iter() {
        let Some(pid) = row.integer("head_pid")? else { continue };
        if let Some(head) = heads.get_mut(&pid) {
            head.blocked += 1;
            continue;
        }
        let state = row.text("head_state")?.unwrap_or_default();
        let head = Head {
            blocked: 1,
            idle_in_transaction: state.starts_with("idle in transaction"),
            seconds: row.integer("head_state_seconds")?.unwrap_or_default(),
        };
        heads.insert(pid, head);
    }
    Ok(heads)
}

fn in_words(rows: u32, heads: &BTreeMap<i64, Head>) -> String {
    let waits = |count: u32| counted(count, "backend waits", "backends wait");
    let mut largest: Vec<_> = heads.iter().collect();
    largest.sort_by_key(|(_, head)| std::cmp::Reverse(head.blocked));
    match largest.as_slice() {
        [] if rows == 0 => "no backend waits for a lock".into(),
        [] => format!("{} in a circle, which the deadlock check will break", waits(rows)),
        [(0, head)] => format!("{} for a prepared transaction", waits(head.blocked)),
        [(pid, head)] => format!("{}, all behind backend {pid}", waits(head.blocked)),
        [(pid, head), ..] => {
            format!("{} chains; the longest is behind backend {pid}: {}", heads.len(), waits(head.blocked))
        }
    }
}

macro_rules! locks {
    ($waiting:literal) => {
        concat!(
            "SELECT l.locktype AS lock_type, n.nspname || '.' || c.relname AS relation, l.mode, l.granted,
       pg_catalog.count(*)::int8 AS locks, pg_catalog.count(DISTINCT l.pid)::int8 AS backends,
       pg_catalog.min(l.pid)::int8 AS a_pid, ",
            $waiting,
            " AS longest_wait_seconds
  FROM pg_catalog.pg_locks AS l
  LEFT JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database() AND d.oid = l.database
  LEFT JOIN pg_catalog.pg_class AS c ON c.oid = l.relation AND (d.oid IS NOT NULL OR l.database = 0)
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() AND l.locktype <> 'virtualxid'
 GROUP BY l.locktype, n.nspname, c.relname, l.mode, l.granted
 ORDER BY l.granted, pg_catalog.count(*) DESC, relation, l.mode
 LIMIT $1::int8"
        )
    };
}

static LOCKS_READ: Statement = Statement::read("locks")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("lock_type"),
        Column::text("relation"),
        Column::text("mode"),
        Column::boolean("granted"),
        Column::integer("locks"),
        Column::integer("backends"),
        Column::integer("a_pid"),
        Column::integer("longest_wait_seconds"),
    ])
    .variants(&[
        Variant::before(14, locks!("NULL::int8")),
        Variant::from(
            14,
            locks!("EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - pg_catalog.min(l.waitstart))::int8"),
        ),
    ]);

pub(crate) static LOCKS: Action = Action::read("locks")
    .title("Locks")
    .description(
        "Locks by type, relation and mode, those that are waited for first, each with how many there are and one of the backends. \
         A relation without a name is in another database; see lock_blocking_chains for who waits for whom.",
    )
    .params(&[LIMIT])
    .statements(&[&SEES_OTHERS, &LOCKS_READ])
    .privileges(MONITOR)
    .examples(&[("which tables are locked, and how?", r#"{"limit": 50}"#)])
    .run(|call| {
        report_sessions(call, &LOCKS_READ, "Locks", |count| {
            format!("{}, those waited for first", counted(count, "kind of lock", "kinds of locks"))
        })
    });
