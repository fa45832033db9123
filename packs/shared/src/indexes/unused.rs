//! Indexes that no query used since the statistics count.

use lockgate_pack::{Column, Input, Kind, Statement, Variant};

use crate::{held, index_columns, ordinary_schema, utc};

/// An index that enforces something is used by every write, whether or not a query ever scans it: unique ones, those of
/// constraints, replica identities. One that is attached to an index of the partitioned table can't be dropped by itself.
///
/// Only the four hundred that are largest by the catalogs are measured: to measure opens an index, and a backend keeps what it
/// opened. A page count is as old as the last vacuum or analyze, so the table's rows count too, at 24 bytes, about the
/// smallest entry of a B-tree.
macro_rules! unused {
    ($table_scanned:literal) => {
        concat!(
            "WITH ",
            held!(),
            ", candidate AS MATERIALIZED (
    SELECT i.indexrelid, i.indrelid, i.indkey, i.indnkeyatts, i.indpred IS NOT NULL AS partial, n.nspname, c.relname, c.relam,
           c.relpages
      FROM pg_catalog.pg_index AS i
      JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind = 'i' AND c.relpersistence <> 't' AND NOT c.relispartition
       AND i.indisvalid AND i.indisready AND i.indislive
       AND NOT i.indisunique AND NOT i.indisprimary AND NOT i.indisexclusion AND NOT i.indisreplident
       AND i.indexrelid NOT IN (SELECT k.conindid FROM pg_catalog.pg_constraint AS k)
       AND ",
            ordinary_schema!("n.nspname"),
            "
       AND pg_catalog.pg_stat_get_numscans(i.indexrelid) = 0
     ORDER BY GREATEST(c.relpages::float8, 24.0 / 8192 * (pg_catalog.pg_stat_get_live_tuples(i.indrelid)
                                                         + pg_catalog.pg_stat_get_dead_tuples(i.indrelid))) DESC, c.oid
     LIMIT 400
), measured AS MATERIALIZED (
    SELECT x.indexrelid, x.indrelid, x.indkey, x.indnkeyatts, x.partial, x.nspname, x.relname, x.relam,
           CASE WHEN h.oid IS NULL THEN pg_catalog.pg_total_relation_size(x.indexrelid) ELSE x.relpages * s.block END AS bytes
      FROM candidate AS x
     CROSS JOIN setting AS s
      LEFT JOIN held AS h ON h.oid = x.indexrelid
)
SELECT m.nspname::text AS schema_name, t.relname::text AS table_name, m.relname::text AS index_name, m.bytes::int8 AS bytes,
       a.amname::text AS access_method,
       ",
            index_columns!("m"),
            " AS index_columns,
       m.partial,
       EXISTS (SELECT 1 FROM pg_catalog.pg_constraint AS f
                WHERE f.conrelid = m.indrelid AND f.contype = 'f'
                  AND (m.indkey::int2[])[0:pg_catalog.cardinality(f.conkey) - 1] @> f.conkey) AS serves_foreign_key,
       pg_catalog.pg_stat_get_numscans(m.indrelid)::int8 AS table_seq_scans,
       (SELECT pg_catalog.sum(pg_catalog.pg_stat_get_numscans(o.indexrelid))
          FROM pg_catalog.pg_index AS o WHERE o.indrelid = m.indrelid)::int8 AS table_index_scans,
       ",
            $table_scanned,
            " AS table_last_scan,
       ",
            utc!("pg_catalog.pg_stat_get_db_stat_reset_time(d.oid)"),
            " AS statistics_since
  FROM measured AS m
  JOIN pg_catalog.pg_class AS t ON t.oid = m.indrelid
  JOIN pg_catalog.pg_am AS a ON a.oid = m.relam
  JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
 WHERE m.bytes IS NOT NULL
 ORDER BY m.bytes DESC, schema_name, index_name
 LIMIT $1::int8"
        )
    };
}

/// The largest indexes without a scan, with what speaks for keeping each: whether it serves a foreign key, where it may be
/// needed by a rare delete, and whether anybody reads the table at all.
pub static UNUSED_READ: Statement = Statement::read("unused_indexes")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::text("index_name"),
        Column::integer("bytes"),
        Column::text("access_method"),
        Column::text("index_columns"),
        Column::boolean("partial"),
        Column::boolean("serves_foreign_key"),
        Column::integer("table_seq_scans"),
        Column::integer("table_index_scans"),
        Column::text("table_last_scan"),
        Column::text("statistics_since"),
    ])
    .variants(&[
        Variant::before(16, unused!("NULL::text")),
        // What an index was scanned last is told from 16 on; here there is none, but the table's other ways in have theirs.
        Variant::from(
            16,
            unused!(
                "pg_catalog.to_char(GREATEST(pg_catalog.pg_stat_get_lastscan(m.indrelid),
           (SELECT pg_catalog.max(pg_catalog.pg_stat_get_lastscan(o.indexrelid))
              FROM pg_catalog.pg_index AS o WHERE o.indrelid = m.indrelid)) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
            ),
        ),
    ]);
