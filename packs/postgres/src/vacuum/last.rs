//! When each table was vacuumed last.

use lockgate_pack::{Action, Column, Input, Kind, Statement, Variant};
use lockgate_pack_shared::{ordinary_schema, seconds_since, utc, words::counted};

use crate::common::{LIMIT, listed};

macro_rules! last {
    ($vacuum_ms:literal, $autovacuum_ms:literal) => {
        concat!(
            "WITH vacuumed AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relpages,
           GREATEST(pg_catalog.pg_stat_get_last_vacuum_time(c.oid),
                    pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)) AS last_time
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND ",
            ordinary_schema!("n.nspname"),
            "
     ORDER BY GREATEST(pg_catalog.pg_stat_get_last_vacuum_time(c.oid),
                       pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)) NULLS FIRST, c.relpages DESC, n.nspname, c.relname
     LIMIT $1::int8
)
SELECT v.nspname::text AS schema_name, v.relname::text AS table_name, ",
            seconds_since!("v.last_time"),
            " AS seconds_since_vacuum,
       ",
            utc!("pg_catalog.pg_stat_get_last_vacuum_time(v.oid)"),
            " AS last_vacuum,
       ",
            utc!("pg_catalog.pg_stat_get_last_autovacuum_time(v.oid)"),
            " AS last_autovacuum,
       ",
            utc!("pg_catalog.pg_stat_get_last_analyze_time(v.oid)"),
            " AS last_analyze,
       ",
            utc!("pg_catalog.pg_stat_get_last_autoanalyze_time(v.oid)"),
            " AS last_autoanalyze,
       pg_catalog.pg_stat_get_vacuum_count(v.oid)::int8 AS vacuums, pg_catalog.pg_stat_get_autovacuum_count(v.oid)::int8 AS autovacuums,
       pg_catalog.pg_stat_get_analyze_count(v.oid)::int8 AS analyzes,
       pg_catalog.pg_stat_get_autoanalyze_count(v.oid)::int8 AS autoanalyzes,
       ",
            $vacuum_ms,
            " AS vacuum_ms, ",
            $autovacuum_ms,
            " AS autovacuum_ms,
       pg_catalog.pg_stat_get_live_tuples(v.oid)::int8 AS live_tuples, pg_catalog.pg_stat_get_dead_tuples(v.oid)::int8 AS dead_tuples,
       v.relpages * pg_catalog.current_setting('block_size')::int8 AS bytes_estimated
  FROM vacuumed AS v
 ORDER BY v.last_time NULLS FIRST, v.relpages DESC, v.nspname, v.relname
 LIMIT $1::int8"
        )
    };
}

pub(crate) static LAST_READ: Statement = Statement::read("last_vacuum_per_table")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::integer("seconds_since_vacuum"),
        Column::text("last_vacuum"),
        Column::text("last_autovacuum"),
        Column::text("last_analyze"),
        Column::text("last_autoanalyze"),
        Column::integer("vacuums"),
        Column::integer("autovacuums"),
        Column::integer("analyzes"),
        Column::integer("autoanalyzes"),
        Column::number("vacuum_ms"),
        Column::number("autovacuum_ms"),
        Column::integer("live_tuples"),
        Column::integer("dead_tuples"),
        Column::integer("bytes_estimated"),
    ])
    .variants(&[
        Variant::before(18, last!("NULL::float8", "NULL::float8")).primary(),
        Variant::from(
            18,
            last!(
                "pg_catalog.pg_stat_get_total_vacuum_time(v.oid)::float8",
                "pg_catalog.pg_stat_get_total_autovacuum_time(v.oid)::float8"
            ),
        )
        .primary(),
    ]);

pub(crate) static LAST_VACUUM_PER_TABLE: Action = Action::read("last_vacuum_per_table")
    .title("Last vacuum of each table")
    .description(
        "Tables by their last vacuum, by hand or by autovacuum, the longest ago first and before them those never vacuumed since the \
         statistics count, the largest first; with how often and, from 18 on, how many milliseconds in all. A crash loses these \
         statistics, and a standby has none: ask the primary.",
    )
    .params(&[LIMIT])
    .statements(&[&LAST_READ])
    .on_standby(false)
    .search_terms(&[
        "last vacuum",
        "last autovacuum",
        "never vacuumed",
        "when was it vacuumed",
        "last analyze",
        "vacuum history",
        "not vacuumed for days",
    ])
    .examples(&[("does autovacuum reach every table?", r#"{"limit": 50}"#)])
    .run(|call| {
        let rows = call.execute(&LAST_READ)?;
        let mut never = 0_u32;
        for row in rows.iter() {
            never += u32::from(row.integer("seconds_since_vacuum")?.is_none());
        }
        Ok(listed(call, rows, 200, "Tables by last vacuum", |count| match count {
            0 => "the database has no tables outside the system schemas".into(),
            _ => format!("{}, {never} of them never vacuumed since the statistics count", counted(count, "table", "tables")),
        }))
    });
