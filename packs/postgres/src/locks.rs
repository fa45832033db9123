//! Who waits for whom, and which locks there are.

use std::collections::BTreeMap;

use lockgate_pack::{Action, Call, Column, Failure, Input, Kind, Outcome, Rows, Statement, Variant};
use lockgate_pack_shared::{
    chains::CHAINS_READ,
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    words::{counted, duration},
};

use crate::common::{LIMIT, listed, report_sessions};

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
    .search_terms(&[
        "who is blocking",
        "blocked queries",
        "blocking session",
        "blocker",
        "lock wait",
        "stuck on a lock",
        "waiting for a lock",
        "lock tree",
        "pg_blocking_pids",
        "queries pile up",
    ])
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
    .search_terms(&[
        "pg_locks",
        "alter table hangs",
        "locked table",
        "table is locked",
        "who holds a lock",
        "lock modes",
        "access exclusive lock",
        "row locks",
    ])
    .examples(&[("which tables are locked, and how?", r#"{"limit": 50}"#)])
    .run(|call| {
        report_sessions(call, &LOCKS_READ, "Locks", |count| {
            format!("{}, those waited for first", counted(count, "kind of lock", "kinds of locks"))
        })
    });
