//! The largest indexes.

use lockgate_pack::{Action, Column, Input, Kind, Statement, Variant};
use lockgate_pack_shared::{held, index_columns, ordinary_schema, utc, words::counted};

use crate::common::{LIMIT, listed};

/// See [`crate::tables`] for why four hundred are measured. An index is about as large as its table has rows, at 24 bytes at
/// least, where its page count is old.
macro_rules! sizes {
    ($last_scan:expr) => {
        concat!(
            "WITH ",
            held!(),
            ", candidate AS MATERIALIZED (
    SELECT i.indexrelid, i.indrelid, i.indkey, i.indnkeyatts, i.indisunique, i.indisvalid, n.nspname, c.relname, c.relam,
           c.relpages, c.reltuples
      FROM pg_catalog.pg_index AS i
      JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind = 'i' AND ",
            ordinary_schema!("n.nspname"),
            "
     ORDER BY GREATEST(c.relpages::float8, 24.0 / 8192 * (pg_catalog.pg_stat_get_live_tuples(i.indrelid)
                                                         + pg_catalog.pg_stat_get_dead_tuples(i.indrelid))) DESC, c.oid
     LIMIT 400
), measured AS MATERIALIZED (
    SELECT x.indexrelid, x.indrelid, x.indkey, x.indnkeyatts, x.indisunique, x.indisvalid, x.nspname, x.relname, x.relam,
           x.reltuples,
           CASE WHEN h.oid IS NULL THEN pg_catalog.pg_total_relation_size(x.indexrelid) ELSE x.relpages * s.block END AS bytes,
           h.oid IS NOT NULL AS estimated
      FROM candidate AS x
     CROSS JOIN setting AS s
      LEFT JOIN held AS h ON h.oid = x.indexrelid
)
SELECT m.nspname::text AS schema_name, t.relname::text AS table_name, m.relname::text AS index_name, m.bytes::int8 AS bytes,
       m.estimated AS estimated, a.amname::text AS access_method,
       ",
            index_columns!("m"),
            " AS index_columns,
       m.indisunique AS unique_index, m.indisvalid AS valid, GREATEST(m.reltuples, 0)::int8 AS rows_estimated,
       pg_catalog.pg_stat_get_numscans(m.indexrelid)::int8 AS scans, ",
            $last_scan,
            " AS last_scan
  FROM measured AS m
  JOIN pg_catalog.pg_class AS t ON t.oid = m.indrelid
  JOIN pg_catalog.pg_am AS a ON a.oid = m.relam
 WHERE m.bytes IS NOT NULL
 ORDER BY m.bytes DESC, schema_name, index_name
 LIMIT $1::int8"
        )
    };
}

static SIZES_READ: Statement = Statement::read("index_sizes")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::text("index_name"),
        Column::integer("bytes"),
        Column::boolean("estimated"),
        Column::text("access_method"),
        Column::text("index_columns"),
        Column::boolean("unique_index"),
        Column::boolean("valid"),
        Column::integer("rows_estimated"),
        Column::integer("scans"),
        Column::text("last_scan"),
    ])
    .variants(&[
        Variant::before(16, sizes!("NULL::text")),
        Variant::from(16, sizes!(utc!("pg_catalog.pg_stat_get_lastscan(m.indexrelid)"))),
    ]);

pub(crate) static INDEX_SIZES: Action = Action::read("index_sizes")
    .title("Index sizes")
    .description(
        "The largest indexes with their bytes, columns and how often this server scanned each, and when last (from 16 on). Leaves \
         out system schemas. Sizes are measured, but for an index that somebody has locked or waits to lock exclusively, which \
         would hold up the answer: estimated is then true, and the size that of its last vacuum.",
    )
    .params(&[LIMIT])
    .statements(&[&SIZES_READ])
    .search_terms(&[
        "biggest indexes",
        "largest indexes",
        "index size",
        "index bloat",
        "index usage",
        "disk usage",
        "how big is the index",
    ])
    .examples(&[("which indexes take up the disk?", r#"{"limit": 50}"#)])
    .run(|call| {
        let rows = call.execute(&SIZES_READ)?;
        Ok(listed(call, rows, 200, "Indexes by size", |count| {
            format!("{}, the largest first", counted(count, "index", "indexes"))
        }))
    });
