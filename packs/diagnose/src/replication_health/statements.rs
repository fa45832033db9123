//! What is asked about replication, beside the slots.

use lockgate_pack::{Column, Statement, Variant};
use lockgate_pack_shared::seconds_since;

/// The server itself. Whether its upstream is configured is all that is said of `primary_conninfo`, which may hold a password.
pub(crate) static SERVER: Statement = Statement::read("replication_state")
    .columns(&[
        Column::boolean("in_recovery"),
        Column::text("synchronous_standby_names"),
        Column::integer("slot_wal_limit_bytes"),
        Column::boolean("upstream_configured"),
        Column::text("receiver_status"),
        Column::boolean("replay_paused"),
        Column::integer("unreplayed_bytes"),
        Column::integer("replay_delay_seconds"),
        Column::text("replay_wait_event_type"),
        Column::text("replay_wait_event"),
    ])
    .variants(&[
        Variant::all(
            "SELECT false AS in_recovery, pg_catalog.current_setting('synchronous_standby_names') AS synchronous_standby_names,
       (SELECT NULLIF(g.setting::int8, -1) * 1048576 FROM pg_catalog.pg_settings AS g WHERE g.name = 'max_slot_wal_keep_size')
           AS slot_wal_limit_bytes,
       NULL::bool AS upstream_configured, NULL::text AS receiver_status, NULL::bool AS replay_paused,
       NULL::int8 AS unreplayed_bytes, NULL::int8 AS replay_delay_seconds,
       NULL::text AS replay_wait_event_type, NULL::text AS replay_wait_event",
        )
        .primary(),
        Variant::all(concat!(
            "SELECT true AS in_recovery, NULL::text AS synchronous_standby_names,
       (SELECT NULLIF(g.setting::int8, -1) * 1048576 FROM pg_catalog.pg_settings AS g WHERE g.name = 'max_slot_wal_keep_size')
           AS slot_wal_limit_bytes,
       (pg_catalog.current_setting('primary_conninfo') <> '') AS upstream_configured,
       (SELECT w.status FROM pg_catalog.pg_stat_wal_receiver AS w LIMIT 1) AS receiver_status,
       pg_catalog.pg_is_wal_replay_paused() AS replay_paused,
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())::int8
           AS unreplayed_bytes,
       CASE WHEN pg_catalog.pg_last_wal_receive_lsn() > pg_catalog.pg_last_wal_replay_lsn() THEN ",
            seconds_since!("pg_catalog.pg_last_xact_replay_timestamp()"),
            " ELSE 0 END AS replay_delay_seconds,
       (SELECT s.wait_event_type FROM pg_catalog.pg_stat_activity AS s WHERE s.backend_type = 'startup' LIMIT 1)
           AS replay_wait_event_type,
       (SELECT s.wait_event FROM pg_catalog.pg_stat_activity AS s WHERE s.backend_type = 'startup' LIMIT 1)
           AS replay_wait_event"
        ))
        .standby(),
    ])
    .max_rows(1);

/// The standbys that receive from here, with their distance from this position in the WAL. Logical subscribers are among
/// them; base backups, which have not begun to stream, say so in their state.
macro_rules! standbys {
    ($here:literal) => {
        concat!(
            "SELECT r.pid::int8 AS pid, r.usename::text AS user_name, r.application_name AS application,
       pg_catalog.host(r.client_addr) AS client, r.state, r.sync_state,
       pg_catalog.pg_wal_lsn_diff(",
            $here,
            ", r.sent_lsn)::int8 AS sent_lag_bytes,
       pg_catalog.pg_wal_lsn_diff(",
            $here,
            ", r.replay_lsn)::int8 AS replay_lag_bytes,
       EXTRACT(EPOCH FROM r.replay_lag)::int8 AS replay_lag_seconds
  FROM pg_catalog.pg_stat_replication AS r
 ORDER BY replay_lag_bytes DESC NULLS FIRST, r.pid
 LIMIT 200"
        )
    };
}

pub(crate) static STANDBYS: Statement = Statement::read("standbys")
    .columns(&[
        Column::integer("pid"),
        Column::text("user_name"),
        Column::text("application"),
        Column::text("client"),
        Column::text("state"),
        Column::text("sync_state"),
        Column::integer("sent_lag_bytes"),
        Column::integer("replay_lag_bytes"),
        Column::integer("replay_lag_seconds"),
    ])
    .variants(&[
        Variant::all(standbys!("pg_catalog.pg_current_wal_lsn()")).primary(),
        Variant::all(standbys!("pg_catalog.pg_last_wal_replay_lsn()")).standby(),
    ]);

/// The backends of a standby that its replay waits for. `pg_blocking_pids` knows nothing of the startup process, so holders
/// of what it waits for are found in `pg_locks`. Whose snapshot it waits for, PostgreSQL does not say: the oldest
/// is among them whenever there are any.
pub(crate) static REPLAY_BLOCKERS: Statement = Statement::read("replay_blockers")
    .columns(&[
        Column::integer("pid"),
        Column::text("holds"),
        Column::text("lock_mode"),
        Column::text("relation"),
        Column::integer("snapshot_age"),
    ])
    .variants(&[Variant::all(
        "WITH replay AS MATERIALIZED (
    SELECT a.pid, a.wait_event FROM pg_catalog.pg_stat_activity AS a WHERE a.backend_type = 'startup'
), held AS (
    SELECT h.pid, 'lock' AS holds, h.mode AS lock_mode,
           CASE WHEN d.oid IS NOT NULL THEN n.nspname || '.' || c.relname END AS relation, NULL::int8 AS snapshot_age
      FROM replay AS r
      JOIN pg_catalog.pg_locks AS w ON w.pid = r.pid AND NOT w.granted
      JOIN pg_catalog.pg_locks AS h ON h.granted AND h.pid <> r.pid AND h.locktype = w.locktype
       AND h.database = w.database AND h.relation = w.relation
      LEFT JOIN pg_catalog.pg_database AS d ON d.oid = h.database AND d.datname = pg_catalog.current_database()
      LEFT JOIN pg_catalog.pg_class AS c ON c.oid = h.relation
      LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE w.locktype = 'relation'
 UNION ALL
    SELECT a.pid, 'snapshot', NULL::text, NULL::text, pg_catalog.age(a.backend_xmin)::int8
      FROM replay AS r
      JOIN pg_catalog.pg_stat_activity AS a ON a.backend_xmin IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()
     WHERE r.wait_event = 'RecoveryConflictSnapshot' AND a.backend_type = 'client backend'
)
SELECT h.pid::int8 AS pid, h.holds, h.lock_mode, h.relation, h.snapshot_age
  FROM held AS h
 ORDER BY h.snapshot_age DESC NULLS FIRST, h.pid
 LIMIT 200",
    )
    .standby()]);

/// Queries that replay has cancelled since the statistics were reset.
pub(crate) static CONFLICTS: Statement = Statement::read("database_conflicts")
    .columns(&[
        Column::text("database"),
        Column::integer("by_lock"),
        Column::integer("by_snapshot"),
        Column::integer("by_buffer_pin"),
        Column::integer("by_deadlock"),
        Column::integer("by_tablespace"),
        Column::integer("all_conflicts"),
    ])
    .variants(&[Variant::all(
        "SELECT c.datname::text AS database, c.confl_lock::int8 AS by_lock, c.confl_snapshot::int8 AS by_snapshot,
       c.confl_bufferpin::int8 AS by_buffer_pin, c.confl_deadlock::int8 AS by_deadlock,
       c.confl_tablespace::int8 AS by_tablespace,
       (c.confl_lock + c.confl_snapshot + c.confl_bufferpin + c.confl_deadlock + c.confl_tablespace)::int8 AS all_conflicts
  FROM pg_catalog.pg_stat_database_conflicts AS c
 WHERE c.confl_lock + c.confl_snapshot + c.confl_bufferpin + c.confl_deadlock + c.confl_tablespace > 0
 ORDER BY all_conflicts DESC, database
 LIMIT 200",
    )
    .standby()]);
