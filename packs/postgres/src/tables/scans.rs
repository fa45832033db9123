//! Large tables that are read from end to end.

use lockgate_pack::{Action, Column, Input, Kind, Statement, Variant};
use lockgate_pack_shared::{held, ordinary_schema, utc, words::counted};

use crate::common::{LIMIT, listed};

/// Large is eight megabytes, a thousand pages: below that a sequential scan is often the best plan. A table is looked at if
/// its page count says so or if its scans read ten thousand rows each, and then measured, since page counts are old.
macro_rules! scans {
    ($last_seq:expr, $last_index:expr) => {
        concat!(
            "WITH ",
            held!(),
            ", scanned AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relpages,
           pg_catalog.pg_stat_get_numscans(c.oid) AS scans, pg_catalog.pg_stat_get_tuples_returned(c.oid) AS rows_read
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND pg_catalog.pg_stat_get_numscans(c.oid) > 0 AND ",
            ordinary_schema!("n.nspname"),
            "
), indexed AS MATERIALIZED (
    SELECT i.indrelid AS oid, pg_catalog.count(*) AS indexes, pg_catalog.sum(pg_catalog.pg_stat_get_numscans(i.indexrelid)) AS scans,
           pg_catalog.sum(pg_catalog.pg_stat_get_tuples_fetched(i.indexrelid)) AS rows_read,
           ",
            $last_index,
            " AS last_scan
      FROM pg_catalog.pg_index AS i
     WHERE i.indrelid IN (SELECT s.oid FROM scanned AS s)
     GROUP BY i.indrelid
), dominated AS MATERIALIZED (
    SELECT s.oid, s.nspname, s.relname, s.relpages, s.scans, s.rows_read, COALESCE(x.indexes, 0) AS indexes,
           COALESCE(x.scans, 0) AS index_scans,
           COALESCE(x.rows_read, 0) + pg_catalog.pg_stat_get_tuples_fetched(s.oid) AS index_rows_read, x.last_scan
      FROM scanned AS s
      LEFT JOIN indexed AS x ON x.oid = s.oid
     WHERE (s.relpages >= 1000 OR s.rows_read / s.scans >= 10000)
       AND s.rows_read > COALESCE(x.rows_read, 0) + pg_catalog.pg_stat_get_tuples_fetched(s.oid)
     ORDER BY s.rows_read DESC, s.oid
     LIMIT 400
), measured AS MATERIALIZED (
    SELECT d.oid, d.nspname, d.relname, d.scans, d.rows_read, d.indexes, d.index_scans, d.index_rows_read, d.last_scan,
           CASE WHEN EXISTS (SELECT 1 FROM held AS h WHERE h.oid = d.oid) THEN d.relpages * b.block
                ELSE pg_catalog.pg_relation_size(d.oid) END AS bytes
      FROM dominated AS d
     CROSS JOIN setting AS b
)
SELECT m.nspname::text AS schema_name, m.relname::text AS table_name, m.bytes::int8 AS heap_bytes, m.scans::int8 AS seq_scans,
       m.rows_read::int8 AS seq_rows_read, (m.rows_read / m.scans)::int8 AS rows_per_scan,
       m.index_scans::int8 AS index_scans, m.index_rows_read::int8 AS index_rows_read,
       100 * m.scans / (m.scans + m.index_scans)::float8 AS seq_scan_percent, m.indexes::int8 AS indexes,
       ",
            $last_seq,
            " AS last_seq_scan,
       pg_catalog.to_char(m.last_scan AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS last_index_scan
  FROM measured AS m
 WHERE m.bytes >= 8388608
 ORDER BY m.rows_read DESC, schema_name, table_name
 LIMIT $1::int8"
        )
    };
}

pub(crate) static SCANS_READ: Statement = Statement::read("seq_scan_offenders")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::integer("heap_bytes"),
        Column::integer("seq_scans"),
        Column::integer("seq_rows_read"),
        Column::integer("rows_per_scan"),
        Column::integer("index_scans"),
        Column::integer("index_rows_read"),
        Column::number("seq_scan_percent"),
        Column::integer("indexes"),
        Column::text("last_seq_scan"),
        Column::text("last_index_scan"),
    ])
    .variants(&[
        Variant::before(16, scans!("NULL::text", "NULL::timestamptz")),
        Variant::from(
            16,
            scans!(
                utc!("pg_catalog.pg_stat_get_lastscan(m.oid)"),
                "pg_catalog.max(pg_catalog.pg_stat_get_lastscan(i.indexrelid))"
            ),
        ),
    ]);

pub(crate) static SEQ_SCAN_OFFENDERS: Action = Action::read("seq_scan_offenders")
    .title("Sequential scans of large tables")
    .description(
        "Tables of 8 MB or more of whose rows more were read by sequential scans than by way of indexes since the statistics count, \
         those first whose scans read most. Many rows per scan and few index scans point to a missing index; a few scans may be \
         backups or reports. Scans count on each server by itself: on a standby these are the standby's. Last scans are told from \
         16 on.",
    )
    .params(&[LIMIT])
    .statements(&[&SCANS_READ])
    .search_terms(&[
        "missing index",
        "full table scan",
        "seq scan",
        "table without an index",
        "needs an index",
        "high read load",
        "reads the whole table",
    ])
    .examples(&[("reads are high; which tables lack an index?", "{}")])
    .run(|call| {
        let rows = call.execute(&SCANS_READ)?;
        Ok(listed(call, rows, 200, "Tables read from end to end", |count| match count {
            0 => "no large table is read mostly by sequential scans".into(),
            _ => format!("{} read mostly by sequential scans", counted(count, "large table is", "large tables are")),
        }))
    });
