//! Indexes that cost writes and serve no query.

use lockgate_pack::{Column, Statement, Variant};

use crate::{held, index_columns};

/// What an index is not, and whether somebody is at it: the view of running builds tells of builds and rebuilds; a drop shows
/// only by its lock on the index. A rebuild of a table makes all its new indexes before the first is done, so any rebuild of
/// the table accounts for each `_ccnew` and `_ccold`. All schemas: what a rebuild of a TOAST table leaves lies in `pg_toast`.
///
/// A standby sees the primary's catalogs but not who works there.
const INVALID: &str = concat!(
    "WITH ",
    held!(),
    ", worker AS MATERIALIZED (
    SELECT l.relation AS oid, pg_catalog.min(l.pid) AS pid
      FROM pg_catalog.pg_locks AS l
      JOIN pg_catalog.pg_database AS d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
     WHERE l.locktype = 'relation' AND l.granted AND l.mode IN ('ShareUpdateExclusiveLock', 'AccessExclusiveLock')
     GROUP BY l.relation
)
SELECT n.nspname::text AS schema_name, t.relname::text AS table_name, c.relname::text AS index_name,
       CASE WHEN h.oid IS NULL THEN pg_catalog.pg_total_relation_size(c.oid) ELSE c.relpages * s.block END::int8 AS bytes,
       ",
    index_columns!("i"),
    " AS index_columns,
       i.indisvalid AS valid, i.indisready AS ready, i.indislive AS live, i.indisunique AS unique_index,
       c.relkind = 'I' AS partitioned,
       CASE WHEN c.relname ~ '_ccnew[0-9]*$' THEN 'new' WHEN c.relname ~ '_ccold[0-9]*$' THEN 'old' END AS rebuild_leftover,
       CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN COALESCE(b.pid, w.pid) IS NOT NULL END AS in_work,
       COALESCE(b.pid, w.pid)::int8 AS pid, b.command, b.phase
  FROM pg_catalog.pg_index AS i
 CROSS JOIN setting AS s
  JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
  LEFT JOIN held AS h ON h.oid = i.indexrelid
  LEFT JOIN worker AS w ON w.oid = i.indexrelid AND c.relkind = 'i'
  LEFT JOIN LATERAL (SELECT p.pid, p.command, p.phase
                       FROM pg_catalog.pg_stat_progress_create_index AS p
                      WHERE p.datname = pg_catalog.current_database()
                        AND (p.index_relid = i.indexrelid
                             OR (p.relid = i.indrelid AND p.command LIKE 'REINDEX%' AND c.relname ~ '_cc(new|old)[0-9]*$'))
                      ORDER BY (p.index_relid = i.indexrelid) DESC, p.pid
                      LIMIT 1) AS b ON true
 WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
 ORDER BY bytes DESC NULLS LAST, schema_name, index_name
 LIMIT 200"
);

/// The indexes that are not valid, not ready or about to be dropped.
pub static INVALID_READ: Statement = Statement::read("invalid_indexes")
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::text("index_name"),
        Column::integer("bytes"),
        Column::text("index_columns"),
        Column::boolean("valid"),
        Column::boolean("ready"),
        Column::boolean("live"),
        Column::boolean("unique_index"),
        Column::boolean("partitioned"),
        Column::text("rebuild_leftover"),
        Column::boolean("in_work"),
        Column::integer("pid"),
        Column::text("command"),
        Column::text("phase"),
    ])
    .variants(&[Variant::all(INVALID)]);
