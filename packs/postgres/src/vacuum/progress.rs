//! Vacuums that run now.

use lockgate_pack::{Action, Column, Statement, Variant};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS},
    seconds_since,
    words::counted,
};

use crate::common::report_sessions;

/// From 17 on the dead rows are kept in bytes of memory, not in a count of slots, and indexes are counted; from 18 on the time
/// slept for the cost limit.
macro_rules! progress {
    ($dead:literal, $indexes:literal, $delay:literal) => {
        concat!(
            "SELECT p.pid::int8 AS pid, p.datname::text AS database, n.nspname::text AS schema_name, c.relname::text AS table_name,
       p.relid::int8 AS relation_oid, a.backend_type = 'autovacuum worker' AS autovacuum,
       ",
            seconds_since!("a.xact_start"),
            " AS running_seconds, p.phase,
       p.heap_blks_total AS heap_blocks_total, p.heap_blks_scanned AS heap_blocks_scanned,
       p.heap_blks_vacuumed AS heap_blocks_vacuumed, 100 * p.heap_blks_scanned / NULLIF(p.heap_blks_total, 0)::float8 AS scanned_percent,
       p.index_vacuum_count AS index_passes, ",
            $indexes,
            ",
       ",
            $dead,
            ",
       ",
            $delay,
            " AS delay_ms,
       a.wait_event_type, a.wait_event
  FROM pg_catalog.pg_stat_progress_vacuum AS p
  LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = p.pid
  LEFT JOIN pg_catalog.pg_class AS c ON c.oid = p.relid AND p.datname = pg_catalog.current_database()
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 ORDER BY a.xact_start NULLS LAST, p.pid
 LIMIT 200"
        )
    };
}

pub(crate) static PROGRESS_READ: Statement = Statement::read("progress_vacuum")
    .columns(&[
        Column::integer("pid"),
        Column::text("database"),
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::integer("relation_oid"),
        Column::boolean("autovacuum"),
        Column::integer("running_seconds"),
        Column::text("phase"),
        Column::integer("heap_blocks_total"),
        Column::integer("heap_blocks_scanned"),
        Column::integer("heap_blocks_vacuumed"),
        Column::number("scanned_percent"),
        Column::integer("index_passes"),
        Column::integer("indexes_total"),
        Column::integer("indexes_processed"),
        Column::integer("dead_items"),
        Column::integer("max_dead_items"),
        Column::integer("dead_item_bytes"),
        Column::integer("max_dead_item_bytes"),
        Column::number("delay_ms"),
        Column::text("wait_event_type"),
        Column::text("wait_event"),
    ])
    .variants(&[
        Variant::before(
            17,
            progress!(
                "p.num_dead_tuples AS dead_items, p.max_dead_tuples AS max_dead_items, NULL::int8 AS dead_item_bytes, NULL::int8 AS max_dead_item_bytes",
                "NULL::int8 AS indexes_total, NULL::int8 AS indexes_processed",
                "NULL::float8"
            ),
        )
        .primary(),
        Variant::from(
            17,
            progress!(
                "p.num_dead_item_ids AS dead_items, NULL::int8 AS max_dead_items, p.dead_tuple_bytes AS dead_item_bytes, p.max_dead_tuple_bytes AS max_dead_item_bytes",
                "p.indexes_total, p.indexes_processed",
                "NULL::float8"
            ),
        )
        .below(18)
        .primary(),
        Variant::from(
            18,
            progress!(
                "p.num_dead_item_ids AS dead_items, NULL::int8 AS max_dead_items, p.dead_tuple_bytes AS dead_item_bytes, p.max_dead_tuple_bytes AS max_dead_item_bytes",
                "p.indexes_total, p.indexes_processed",
                "p.delay_time"
            ),
        )
        .primary(),
    ]);

pub(crate) static PROGRESS_VACUUM: Action = Action::read("progress_vacuum")
    .title("Running vacuums")
    .description(
        "Each VACUUM that runs now, by hand or by autovacuum, the oldest first: on which table, in which phase, how many of its blocks          are scanned and vacuumed, and how often it went over the indexes: more than once means that maintenance_work_mem is too          small for the dead rows. The space for dead rows is counted in rows up to 16 and in bytes from 17 on; indexes from 17          on; delay_ms, the time slept for the cost limit, from 18 on and only with track_cost_delay_timing. Tables of other databases          have no name here. A standby runs no vacuums.",
    )
    .statements(&[&SEES_OTHERS, &PROGRESS_READ])
    .privileges(MONITOR)
    .on_standby(false)
    .search_terms(&[
        "vacuum progress",
        "vacuum is running",
        "vacuum takes forever",
        "how far is the vacuum",
        "vacuum is stuck",
        "pg_stat_progress_vacuum",
        "when does vacuum finish",
    ])
    .examples(&[("is the vacuum getting anywhere?", "{}")])
    .run(|call| {
        report_sessions(call, &PROGRESS_READ, "Vacuums", |count| match count {
            0 => "no vacuum runs".into(),
            1 => "1 vacuum runs".into(),
            _ => format!("{}, the oldest first", counted(count, "vacuum", "vacuums")),
        })
    });
