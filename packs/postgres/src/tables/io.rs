//! Which tables are read from outside the buffer cache.

use lockgate_pack::{Action, Column, Input, Kind, Statement, Variant};
use lockgate_pack_shared::{ordinary_schema, words::counted};

use crate::common::{LIMIT, listed};

/// As `pg_statio_all_tables` adds up: a fetched block was a hit or a read.
const IO: &str = concat!(
    "WITH part AS MATERIALIZED (
    SELECT c.oid AS heap, c.oid, 'heap' AS kind
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND ",
    ordinary_schema!("n.nspname"),
    "
    UNION ALL
    SELECT c.oid, c.reltoastrelid, 'toast'
      FROM pg_catalog.pg_class AS c
     WHERE c.relkind IN ('r', 'm') AND c.reltoastrelid <> 0
    UNION ALL
    SELECT i.indrelid, i.indexrelid, 'index'
      FROM pg_catalog.pg_index AS i
), counted AS MATERIALIZED (
    SELECT p.heap, p.oid, p.kind, pg_catalog.pg_stat_get_blocks_fetched(p.oid) AS fetched,
           pg_catalog.pg_stat_get_blocks_hit(p.oid) AS hit
      FROM part AS p
     WHERE pg_catalog.pg_stat_get_blocks_fetched(p.oid) > 0
), of_toast AS MATERIALIZED (
    SELECT c.heap, i.fetched, i.hit
      FROM part AS c
      JOIN counted AS i ON i.heap = c.oid AND i.kind = 'index'
     WHERE c.kind = 'toast'
), summed AS MATERIALIZED (
    SELECT a.heap,
           COALESCE(pg_catalog.sum(a.fetched - a.hit) FILTER (WHERE a.kind = 'heap'), 0) AS heap_read,
           COALESCE(pg_catalog.sum(a.hit) FILTER (WHERE a.kind = 'heap'), 0) AS heap_hit,
           COALESCE(pg_catalog.sum(a.fetched - a.hit) FILTER (WHERE a.kind = 'index'), 0) AS index_read,
           COALESCE(pg_catalog.sum(a.hit) FILTER (WHERE a.kind = 'index'), 0) AS index_hit,
           COALESCE(pg_catalog.sum(a.fetched - a.hit) FILTER (WHERE a.kind = 'toast'), 0) AS toast_read,
           COALESCE(pg_catalog.sum(a.hit) FILTER (WHERE a.kind = 'toast'), 0) AS toast_hit,
           pg_catalog.sum(a.fetched - a.hit) AS read, pg_catalog.sum(a.fetched) AS fetched
      FROM (SELECT c.heap, c.kind, c.fetched, c.hit FROM counted AS c
            UNION ALL
            SELECT t.heap, 'toast', t.fetched, t.hit FROM of_toast AS t) AS a(heap, kind, fetched, hit)
     GROUP BY a.heap
)
SELECT n.nspname::text AS schema_name, c.relname::text AS table_name,
       s.heap_read::int8 AS heap_blocks_read, s.heap_hit::int8 AS heap_blocks_hit,
       s.index_read::int8 AS index_blocks_read, s.index_hit::int8 AS index_blocks_hit,
       s.toast_read::int8 AS toast_blocks_read, s.toast_hit::int8 AS toast_blocks_hit,
       (s.read * pg_catalog.current_setting('block_size')::int8)::int8 AS bytes_read,
       100 * (1 - s.read / s.fetched)::float8 AS hit_percent
  FROM summed AS s
  JOIN pg_catalog.pg_class AS c ON c.oid = s.heap AND c.relkind IN ('r', 'm')
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE ",
    ordinary_schema!("n.nspname"),
    "
 ORDER BY s.read DESC, s.fetched DESC, schema_name, table_name
 LIMIT $1::int8"
);

pub(crate) static IO_READ: Statement = Statement::read("table_io")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::integer("heap_blocks_read"),
        Column::integer("heap_blocks_hit"),
        Column::integer("index_blocks_read"),
        Column::integer("index_blocks_hit"),
        Column::integer("toast_blocks_read"),
        Column::integer("toast_blocks_hit"),
        Column::integer("bytes_read"),
        Column::number("hit_percent"),
    ])
    .variants(&[Variant::all(IO)]);

pub(crate) static TABLE_IO: Action = Action::read("table_io")
    .title("Reads by table")
    .description(
        "Tables by the blocks of theirs that were not in PostgreSQL's buffers and had to be read, the most first: heap, indexes, and \
         TOAST with its index, each against the hits. A block that was read may still have come from the operating system's \
         cache. Since the statistics count, on this server.",
    )
    .params(&[LIMIT])
    .statements(&[&IO_READ])
    .examples(&[("the disk is busy; which tables are read?", r#"{"limit": 10}"#)])
    .run(|call| {
        let rows = call.execute(&IO_READ)?;
        Ok(listed(call, rows, 200, "Reads and hits by table", |count| match count {
            0 => "no table has been read since the statistics count".into(),
            _ => format!("{}, the most read first", counted(count, "table", "tables")),
        }))
    });
