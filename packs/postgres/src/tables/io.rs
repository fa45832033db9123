//! Which tables are read from outside the buffer cache.

use lockgate_pack::{Action, Column, Input, Kind, Statement, Variant};
use lockgate_pack_shared::{ordinary_schema, words::counted};

use crate::common::{LIMIT, listed};

/// As `pg_statio_all_tables` adds up: a fetched block was a hit or a read. First only what ranks, then the parts of those that are
/// answered with: every relation's counters are looked up once, which is most of the work.
const IO: &str = concat!(
    "WITH indexed AS MATERIALIZED (
    SELECT i.indrelid AS oid,
           pg_catalog.sum(pg_catalog.pg_stat_get_blocks_fetched(i.indexrelid) - pg_catalog.pg_stat_get_blocks_hit(i.indexrelid))::int8 AS read
      FROM pg_catalog.pg_index AS i
     GROUP BY i.indrelid
), most AS MATERIALIZED (
    SELECT c.oid, c.reltoastrelid, n.nspname, c.relname,
           pg_catalog.pg_stat_get_blocks_fetched(c.oid) - pg_catalog.pg_stat_get_blocks_hit(c.oid)
           + CASE WHEN c.reltoastrelid = 0 THEN 0
                  ELSE pg_catalog.pg_stat_get_blocks_fetched(c.reltoastrelid)
                       - pg_catalog.pg_stat_get_blocks_hit(c.reltoastrelid) END
           + COALESCE(x.read, 0) + COALESCE(t.read, 0) AS read
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      LEFT JOIN indexed AS x ON x.oid = c.oid
      LEFT JOIN indexed AS t ON t.oid = c.reltoastrelid
     WHERE c.relkind IN ('r', 'm') AND ",
    ordinary_schema!("n.nspname"),
    "
     ORDER BY read DESC, n.nspname, c.relname
     LIMIT $1::int8
), part AS MATERIALIZED (
    SELECT m.oid AS heap, p.kind, pg_catalog.sum(pg_catalog.pg_stat_get_blocks_fetched(p.oid)) AS fetched,
           pg_catalog.sum(pg_catalog.pg_stat_get_blocks_hit(p.oid)) AS hit
      FROM most AS m
     CROSS JOIN LATERAL (SELECT m.oid, 'heap'
                         UNION ALL
                         SELECT m.reltoastrelid, 'toast' WHERE m.reltoastrelid <> 0
                         UNION ALL
                         SELECT i.indexrelid, CASE WHEN i.indrelid = m.oid THEN 'index' ELSE 'toast' END
                           FROM pg_catalog.pg_index AS i
                          WHERE i.indrelid IN (m.oid, m.reltoastrelid)) AS p(oid, kind)
     GROUP BY m.oid, p.kind
)
SELECT m.nspname::text AS schema_name, m.relname::text AS table_name,
       (h.fetched - h.hit)::int8 AS heap_blocks_read, h.hit::int8 AS heap_blocks_hit,
       COALESCE(x.fetched - x.hit, 0)::int8 AS index_blocks_read, COALESCE(x.hit, 0)::int8 AS index_blocks_hit,
       COALESCE(t.fetched - t.hit, 0)::int8 AS toast_blocks_read, COALESCE(t.hit, 0)::int8 AS toast_blocks_hit,
       (m.read * pg_catalog.current_setting('block_size')::int8)::int8 AS bytes_read,
       100 * (h.hit + COALESCE(x.hit, 0) + COALESCE(t.hit, 0))::float8
           / NULLIF(h.fetched + COALESCE(x.fetched, 0) + COALESCE(t.fetched, 0), 0)::float8 AS hit_percent
  FROM most AS m
  JOIN part AS h ON h.heap = m.oid AND h.kind = 'heap'
  LEFT JOIN part AS x ON x.heap = m.oid AND x.kind = 'index'
  LEFT JOIN part AS t ON t.heap = m.oid AND t.kind = 'toast'
 ORDER BY m.read DESC, m.nspname, m.relname
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
    .search_terms(&[
        "disk reads",
        "read io",
        "buffer misses",
        "cache misses",
        "which table causes io",
        "disk is busy",
        "hot tables",
        "pg_statio",
    ])
    .examples(&[("the disk is busy; which tables are read?", r#"{"limit": 10}"#)])
    .run(|call| {
        let rows = call.execute(&IO_READ)?;
        Ok(listed(call, rows, 200, "Reads and hits by table", |count| match count {
            0 => "the database has no tables outside the system schemas".into(),
            _ => format!("{}, the most read first", counted(count, "table", "tables")),
        }))
    });
