//! The largest tables of a schema.

use lockgate_pack::{Action, Call, Column, Failure, Input, Kind, Outcome, Statement, Variant};
use lockgate_pack_shared::words::{counted, size};

use super::sized;
use crate::{
    common::{LIMIT, listed},
    schemas::{SCHEMA, SCHEMA_EXISTS, must_exist},
};

pub(crate) static SIZES_READ: Statement = Statement::read("table_sizes")
    .inputs(&[Input::new("schema", Kind::Text), Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::integer("heap_bytes"),
        Column::integer("index_bytes"),
        Column::integer("toast_bytes"),
        Column::integer("total_bytes"),
        Column::boolean("estimated"),
    ])
    .variants(&[Variant::all(concat!(
        sized!("c.relkind IN ('r', 'm', 't') AND n.nspname = $1::text", "$2::int8"),
        "SELECT z.nspname::text AS schema_name, z.relname::text AS table_name, z.heap_bytes::int8 AS heap_bytes,
       z.index_bytes::int8 AS index_bytes, z.toast_bytes::int8 AS toast_bytes, z.total_bytes::int8 AS total_bytes,
       z.is_held AS estimated
  FROM sized AS z
 ORDER BY z.total_bytes DESC, z.nspname, z.relname
 LIMIT $2::int8"
    ))]);

pub(crate) static TABLE_SIZES: Action = Action::read("table_sizes")
    .title("Table sizes")
    .description(
        "The largest tables and materialized views of a schema: bytes of heap, indexes and TOAST (with its index), and all \
         together. Partitions are tables of their own. Sizes are measured, but for a table that somebody has locked or waits to \
         lock exclusively, which would hold up the answer: estimated is then true, and the sizes those of its last vacuum. Where \
         there are more tables than twice the limit, those to measure are chosen by the catalogs' page counts and the statistics: \
         one that has grown since its last vacuum or analyze and whose statistics were lost could be missing.",
    )
    .params(&[SCHEMA, LIMIT])
    .statements(&[&SCHEMA_EXISTS, &SIZES_READ])
    .search_terms(&[
        "biggest tables",
        "table size",
        "disk usage",
        "what takes up the disk",
        "disk full",
        "disk space",
        "toast size",
        "how big is the table",
        "tables grow",
    ])
    .examples(&[
        ("what takes up the disk?", r#"{"schema": "public", "limit": 10}"#),
        ("are the catalogs bloated?", r#"{"schema": "pg_catalog"}"#),
    ])
    .run(sizes);

fn sizes(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_exist(call)?;
    let rows = call.execute(&SIZES_READ)?;
    let bytes = rows.integers("total_bytes")?.into_iter().sum();
    Ok(listed(call, rows, 200, "Tables by size", |count| match count {
        0 => "the schema has no tables".into(),
        _ => format!("{}, {} in all, the largest first", counted(count, "table", "tables"), size(bytes)),
    }))
}
