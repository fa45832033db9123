//! The largest tables of all schemas, with what vacuum knows of them.

use lockgate_pack::{Action, Call, Column, Failure, Input, Kind, Outcome, Param, Statement, Variant};
use lockgate_pack_shared::{
    ordinary_schema, utc,
    words::{counted, size},
};

use super::sized;
use crate::common::listed;

pub(crate) static FULL_READ: Statement = Statement::read("largest_tables_full")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::integer("heap_bytes"),
        Column::integer("index_bytes"),
        Column::integer("toast_bytes"),
        Column::integer("total_bytes"),
        Column::boolean("estimated"),
        Column::integer("rows_estimated"),
        Column::integer("live_tuples"),
        Column::integer("dead_tuples"),
        Column::text("last_vacuum"),
        Column::text("last_autovacuum"),
        Column::text("last_analyze"),
        Column::text("last_autoanalyze"),
    ])
    // A standby counts no changes: its zeros would be lies.
    .variants(&[Variant::all(concat!(
        sized!(concat!("c.relkind IN ('r', 'm') AND ", ordinary_schema!("n.nspname")), "$1::int8"),
        "SELECT z.nspname::text AS schema_name, z.relname::text AS table_name, z.heap_bytes::int8 AS heap_bytes,
       z.index_bytes::int8 AS index_bytes, z.toast_bytes::int8 AS toast_bytes, z.total_bytes::int8 AS total_bytes,
       z.is_held AS estimated, CASE WHEN z.reltuples >= 0 THEN z.reltuples END::int8 AS rows_estimated,
       CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_stat_get_live_tuples(z.oid) END::int8 AS live_tuples,
       CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_stat_get_dead_tuples(z.oid) END::int8 AS dead_tuples,
       ",
        utc!("pg_catalog.pg_stat_get_last_vacuum_time(z.oid)"),
        " AS last_vacuum,
       ",
        utc!("pg_catalog.pg_stat_get_last_autovacuum_time(z.oid)"),
        " AS last_autovacuum,
       ",
        utc!("pg_catalog.pg_stat_get_last_analyze_time(z.oid)"),
        " AS last_analyze,
       ",
        utc!("pg_catalog.pg_stat_get_last_autoanalyze_time(z.oid)"),
        " AS last_autoanalyze
  FROM sized AS z
 ORDER BY z.total_bytes DESC, z.nspname, z.relname
 LIMIT $1::int8"
    ))]);

pub(crate) static LARGEST_TABLES_FULL: Action = Action::read("largest_tables_full")
    .title("Largest tables in full")
    .description(
        "The largest tables of all schemas but the system's, measured as table_sizes does, with live and dead rows and the last \
         vacuums and analyzes. On a standby live, dead and the times are NULL: it counts no changes, ask the primary.",
    )
    .params(&[Param::integer("limit", 1, 200).default(50).describe("How many rows at most")])
    .statements(&[&FULL_READ])
    .search_terms(&[
        "biggest tables",
        "largest tables",
        "row count",
        "number of rows",
        "tables of all schemas",
        "how many rows",
        "disk usage",
    ])
    .examples(&[("which tables are large, and are they vacuumed?", r#"{"limit": 20}"#)])
    .run(full);

fn full(call: &Call<'_>) -> Result<Outcome, Failure> {
    let rows = call.execute(&FULL_READ)?;
    let bytes = rows.integers("total_bytes")?.into_iter().sum();
    let standby = rows.first().map(|row| row.integer("live_tuples")).transpose()?.is_some_and(|live| live.is_none());
    let outcome = listed(call, rows, 200, "Tables by size", |count| match count {
        0 => "the database has no tables outside the system schemas".into(),
        _ => format!("{}, {} in all, the largest first", counted(count, "table", "tables"), size(bytes)),
    });
    Ok(if standby {
        outcome.notice("a standby counts no changes and runs no vacuum: ask the primary")
    } else {
        outcome
    })
}
