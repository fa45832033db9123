//! Indexes that do what another one of the table does.

use lockgate_pack::{Column, Statement, Variant};

use crate::{held, index_columns};

/// Two indexes are alike if everything that decides what they can serve is: access method, columns in order with those
/// included, operator classes and their options, collations, direction and place of nulls, expressions and predicate, and the
/// storage options where those shape the structure (all access methods but B-tree and hash). Expressions are compared as
/// PostgreSQL stores them, without the places in the text they were parsed from, which servers before 17 keep; to have them
/// printed would wait for locks.
///
/// Uniqueness decides which one can go. The index of a primary key, of an exclusion constraint or a replica identity, one that a
/// foreign key rests on, or that belongs to an index of the partitioned table never can. A unique one can only beside another at least as
/// strict. One that is not unique can go beside a unique one. An index of a constraint is named only where the one
/// that stays is a constraint's too, with its constraint: then that is what would be dropped.
macro_rules! duplicate {
    ($nulls_not_distinct:literal) => {
        concat!(
            "WITH RECURSIVE ",
            held!(),
            ", alike AS MATERIALIZED (
    SELECT i.indrelid, i.indkey::text AS keys
      FROM pg_catalog.pg_index AS i
     WHERE i.indrelid >= 16384 AND i.indisvalid AND i.indisready AND i.indislive
     GROUP BY i.indrelid, i.indkey::text
    HAVING pg_catalog.count(*) > 1
), every AS MATERIALIZED (
    SELECT i.indexrelid, i.indrelid, i.indkey, i.indnkeyatts, i.indisunique, i.indisprimary, i.indisexclusion, i.indisreplident,
           i.indisclustered, i.indimmediate, ",
            $nulls_not_distinct,
            " AS nulls_not_distinct, i.indpred IS NOT NULL AS partial, n.nspname, c.relname, c.relam, m.amname, c.relispartition,
           k.conname,
           EXISTS (SELECT 1 FROM pg_catalog.pg_constraint AS f
                    WHERE f.contype = 'f' AND f.conindid = i.indexrelid) AS referenced,
           pg_catalog.pg_stat_get_numscans(i.indexrelid) AS scans,
           pg_catalog.jsonb_build_array(c.relam::int8, i.indnkeyatts, i.indkey::text, i.indclass::text, i.indcollation::text,
               i.indoption::text,
               pg_catalog.regexp_replace(i.indexprs::text, ' :location -?[0-9]+', '', 'g'),
               pg_catalog.regexp_replace(i.indpred::text, ' :location -?[0-9]+', '', 'g'),
               CASE WHEN m.amname NOT IN ('btree', 'hash') THEN c.reloptions::text END,
               (SELECT pg_catalog.string_agg(o.attnum || ' ' || o.attoptions::text, ' ' ORDER BY o.attnum)
                  FROM pg_catalog.pg_attribute AS o WHERE o.attrelid = i.indexrelid AND o.attoptions IS NOT NULL)) AS shape
      FROM alike AS g
      JOIN pg_catalog.pg_index AS i ON i.indrelid = g.indrelid AND i.indkey::text = g.keys
      JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
      LEFT JOIN pg_catalog.pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
     WHERE i.indisvalid AND i.indisready AND i.indislive AND c.relpersistence <> 't'
), ranked AS MATERIALIZED (
    SELECT e.indexrelid, pg_catalog.row_number() OVER w AS place, pg_catalog.first_value(e.indexrelid) OVER w AS kept
      FROM every AS e
    WINDOW w AS (PARTITION BY e.indrelid, e.shape
                 ORDER BY e.indisprimary DESC, e.conname IS NOT NULL DESC, e.referenced DESC, e.indisreplident DESC,
                          e.relispartition DESC, e.indisunique DESC, e.nulls_not_distinct DESC, e.indimmediate DESC,
                          e.indisclustered DESC, e.scans DESC, e.indexrelid)
), spare AS MATERIALIZED (
    SELECT e.indexrelid, r.kept
      FROM ranked AS r
      JOIN every AS e ON e.indexrelid = r.indexrelid
      JOIN every AS s ON s.indexrelid = r.kept
     WHERE r.place > 1 AND NOT e.indisprimary AND NOT e.indisexclusion AND NOT e.indisreplident AND NOT e.referenced
       AND NOT e.relispartition
       AND (NOT e.indisunique OR (s.indisunique AND (s.nulls_not_distinct OR NOT e.nulls_not_distinct)
                                  AND (s.indimmediate OR NOT e.indimmediate)))
), tree AS (
    SELECT s.indexrelid AS root, s.indexrelid AS oid
      FROM spare AS s
    UNION ALL
    SELECT t.root, h.inhrelid
      FROM tree AS t
      JOIN pg_catalog.pg_inherits AS h ON h.inhparent = t.oid
), measured AS MATERIALIZED (
    SELECT t.root, pg_catalog.sum(CASE WHEN h.oid IS NULL THEN pg_catalog.pg_total_relation_size(t.oid)
                                       ELSE c.relpages * b.block END) AS bytes
      FROM tree AS t
     CROSS JOIN setting AS b
      JOIN pg_catalog.pg_class AS c ON c.oid = t.oid
      LEFT JOIN held AS h ON h.oid = t.oid
     GROUP BY t.root
)
SELECT e.nspname::text AS schema_name, t.relname::text AS table_name, e.relname::text AS index_name, m.bytes::int8 AS bytes,
       e.conname::text AS constraint_name, s.relname::text AS kept_index, s.conname::text AS kept_constraint,
       e.amname::text AS access_method,
       ",
            index_columns!("e"),
            " AS index_columns,
       e.indisunique AS unique_index, e.partial, e.scans::int8 AS scans, s.scans::int8 AS kept_scans
  FROM spare AS r
  JOIN every AS e ON e.indexrelid = r.indexrelid
  JOIN every AS s ON s.indexrelid = r.kept
  JOIN measured AS m ON m.root = r.indexrelid
  JOIN pg_catalog.pg_class AS t ON t.oid = e.indrelid
 ORDER BY bytes DESC NULLS LAST, schema_name, index_name
 LIMIT 200"
        )
    };
}

/// A row for each index that could go, with the one of the same shape that stays.
pub static DUPLICATE_READ: Statement = Statement::read("duplicate_indexes")
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::text("index_name"),
        Column::integer("bytes"),
        Column::text("constraint_name"),
        Column::text("kept_index"),
        Column::text("kept_constraint"),
        Column::text("access_method"),
        Column::text("index_columns"),
        Column::boolean("unique_index"),
        Column::boolean("partial"),
        Column::integer("scans"),
        Column::integer("kept_scans"),
    ])
    .variants(&[Variant::before(15, duplicate!("false")), Variant::from(15, duplicate!("i.indnullsnotdistinct"))]);
