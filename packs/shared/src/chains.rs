//! Who waits for whom.

use lockgate_pack::{Column, Statement, Variant};

use crate::seconds_since;

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

/// Each backend that waits for a lock, the one in front of it, and the head of its chain.
pub static CHAINS_READ: Statement = Statement::read("lock_blocking_chains")
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
