//! Replication slots and the WAL that they keep.

use lockgate_pack::{Column, Statement, Variant};

use crate::{seconds_since, utc};

/// Each slot, the one that keeps the most WAL first. What it keeps reaches from its restart position to the end of the WAL
/// on this server: on a standby that is what it received, or replayed where it reads from an archive.
macro_rules! slots {
    ($here:literal, $two_phase:literal, $conflicting:literal, $since:expr, $seconds:expr, $reason:literal, $failover:literal,
     $synced:literal) => {
        concat!(
            "SELECT s.slot_name::text AS slot_name, s.slot_type, s.plugin::text AS plugin, s.database::text AS database,
       s.temporary, s.active, s.active_pid::int8 AS active_pid, r.application_name AS application, s.wal_status,
       pg_catalog.pg_wal_lsn_diff(",
            $here,
            ", s.restart_lsn)::int8 AS retained_bytes,
       s.safe_wal_size::int8 AS safe_wal_size,
       pg_catalog.pg_wal_lsn_diff(",
            $here,
            ", s.confirmed_flush_lsn)::int8 AS unconfirmed_bytes,
       s.restart_lsn::text AS restart_lsn, s.confirmed_flush_lsn::text AS confirmed_flush_lsn,
       GREATEST(pg_catalog.age(s.xmin), CASE WHEN s.xmin IS NOT NULL THEN 0 END)::int8 AS xmin_age,
       GREATEST(pg_catalog.age(s.catalog_xmin), CASE WHEN s.catalog_xmin IS NOT NULL THEN 0 END)::int8 AS catalog_xmin_age,
       ",
            $since,
            " AS inactive_since, ",
            $seconds,
            " AS inactive_seconds,
       ",
            $conflicting,
            " AS conflicting, ",
            $reason,
            " AS invalidation_reason,
       ",
            $two_phase,
            " AS two_phase, ",
            $failover,
            " AS failover, ",
            $synced,
            " AS synced
  FROM pg_catalog.pg_replication_slots AS s
  LEFT JOIN pg_catalog.pg_stat_replication AS r ON r.pid = s.active_pid
 ORDER BY retained_bytes DESC NULLS LAST, slot_name
 LIMIT 200"
        )
    };
}

/// The columns that a version lacks are null in it: `two_phase` came with 14, `conflicting` with 16, the others with 17.
macro_rules! slots_of {
    (13, $here:literal) => {
        slots!($here, "NULL::bool", "NULL::bool", "NULL::text", "NULL::int8", "NULL::text", "NULL::bool", "NULL::bool")
    };
    (14, $here:literal) => {
        slots!($here, "s.two_phase", "NULL::bool", "NULL::text", "NULL::int8", "NULL::text", "NULL::bool", "NULL::bool")
    };
    (16, $here:literal) => {
        slots!(
            $here,
            "s.two_phase",
            "s.conflicting",
            "NULL::text",
            "NULL::int8",
            "NULL::text",
            "NULL::bool",
            "NULL::bool"
        )
    };
    (17, $here:literal) => {
        slots!(
            $here,
            "s.two_phase",
            "s.conflicting",
            utc!("s.inactive_since"),
            seconds_since!("s.inactive_since"),
            "s.invalidation_reason",
            "s.failover",
            "s.synced"
        )
    };
}

macro_rules! on_primary {
    ($version:tt) => {
        slots_of!($version, "pg_catalog.pg_current_wal_lsn()")
    };
}

macro_rules! on_standby {
    ($version:tt) => {
        slots_of!($version, "GREATEST(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())")
    };
}

/// Each replication slot: how much WAL it keeps, who uses it, and whether it is still good.
pub static SLOTS_READ: Statement = Statement::read("replication_slots")
    .columns(&[
        Column::text("slot_name"),
        Column::text("slot_type"),
        Column::text("plugin"),
        Column::text("database"),
        Column::boolean("temporary"),
        Column::boolean("active"),
        Column::integer("active_pid"),
        Column::text("application"),
        Column::text("wal_status"),
        Column::integer("retained_bytes"),
        Column::integer("safe_wal_size"),
        Column::integer("unconfirmed_bytes"),
        Column::text("restart_lsn"),
        Column::text("confirmed_flush_lsn"),
        Column::integer("xmin_age"),
        Column::integer("catalog_xmin_age"),
        Column::text("inactive_since"),
        Column::integer("inactive_seconds"),
        Column::boolean("conflicting"),
        Column::text("invalidation_reason"),
        Column::boolean("two_phase"),
        Column::boolean("failover"),
        Column::boolean("synced"),
    ])
    .variants(&[
        Variant::before(14, on_primary!(13)).primary(),
        Variant::before(14, on_standby!(13)).standby(),
        Variant::from(14, on_primary!(14)).below(16).primary(),
        Variant::from(14, on_standby!(14)).below(16).standby(),
        Variant::from(16, on_primary!(16)).below(17).primary(),
        Variant::from(16, on_standby!(16)).below(17).standby(),
        Variant::from(17, on_primary!(17)).primary(),
        Variant::from(17, on_standby!(17)).standby(),
    ]);
