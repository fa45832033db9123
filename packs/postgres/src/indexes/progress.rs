//! Index builds that run now.

use lockgate_pack::{Action, Column, Statement, Variant};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS},
    seconds_since,
    words::counted,
};

use crate::common::report_sessions;

pub(crate) static PROGRESS_READ: Statement = Statement::read("progress_create_index")
    .columns(&[
        Column::integer("pid"),
        Column::text("database"),
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::text("index_name"),
        Column::text("command"),
        Column::text("phase"),
        Column::integer("running_seconds"),
        Column::integer("lockers_total"),
        Column::integer("lockers_done"),
        Column::integer("waits_for_pid"),
        Column::integer("blocks_total"),
        Column::integer("blocks_done"),
        Column::number("blocks_percent"),
        Column::integer("tuples_total"),
        Column::integer("tuples_done"),
        Column::integer("partitions_total"),
        Column::integer("partitions_done"),
        Column::text("wait_event_type"),
        Column::text("wait_event"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT p.pid::int8 AS pid, p.datname::text AS database, n.nspname::text AS schema_name, c.relname::text AS table_name,
       i.relname::text AS index_name, p.command, p.phase,
       ",
        seconds_since!("a.query_start"),
        " AS running_seconds,
       p.lockers_total, p.lockers_done, NULLIF(p.current_locker_pid, 0)::int8 AS waits_for_pid,
       p.blocks_total, p.blocks_done, 100 * p.blocks_done / NULLIF(p.blocks_total, 0)::float8 AS blocks_percent,
       p.tuples_total, p.tuples_done, p.partitions_total, p.partitions_done, a.wait_event_type, a.wait_event
  FROM pg_catalog.pg_stat_progress_create_index AS p
  LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = p.pid
  LEFT JOIN pg_catalog.pg_class AS c ON c.oid = p.relid AND p.datname = pg_catalog.current_database()
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_class AS i ON i.oid = p.index_relid AND p.datname = pg_catalog.current_database()
 ORDER BY a.query_start NULLS LAST, p.pid
 LIMIT 200"
    ))
    .primary()]);

pub(crate) static PROGRESS_CREATE_INDEX: Action = Action::read("progress_create_index")
    .title("Running index builds")
    .description(
        "Each CREATE INDEX and REINDEX that runs now, the oldest first: on which table, in which phase and how far. In a phase that \
         waits, waits_for_pid is the transaction that holds it up. Tables of other databases have no name here, and an index built without \
         CONCURRENTLY none before it is done. A standby builds no indexes.",
    )
    .statements(&[&SEES_OTHERS, &PROGRESS_READ])
    .privileges(MONITOR)
    .on_standby(false)
    .search_terms(&[
        "index build progress",
        "create index is stuck",
        "create index concurrently",
        "reindex progress",
        "how far is the index",
        "index build takes forever",
        "when does the index finish",
    ])
    .examples(&[("how far is the index build, and what does it wait for?", "{}")])
    .run(|call| {
        report_sessions(call, &PROGRESS_READ, "Index builds", |count| match count {
            0 => "no index build runs".into(),
            1 => "1 index build runs".into(),
            _ => format!("{}, the oldest first", counted(count, "index build", "index builds")),
        })
    });
