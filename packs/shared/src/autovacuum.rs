//! What autovacuum would do next: each table's distance from its thresholds, as the launcher's own arithmetic has it.

use lockgate_pack::{Column, Statement, Variant};

/// One row for each table, `measured`, with its thresholds and what counts towards them; to be put before a `SELECT`.
///
/// The rules are those of the manual, "The Autovacuum Daemon", and of `relation_needs_vacanalyze` in the server: a table's own
/// storage options come before the settings; a TOAST table has its own, or those of its table if it has none at all; a
/// table is vacuumed when *more* rows than the threshold are dead, so a threshold can be shown rounded down; against wraparound
/// even where autovacuum is off. Options are read as `float8`, which takes every spelling of a number that PostgreSQL does.
///
/// A TOAST table that never held a row is left out as long as it is young: most are like that.
///
/// 18 caps the threshold at `autovacuum_vacuum_max_threshold`, and counts only the part of the table that is not frozen for the
/// insert threshold.
#[macro_export]
macro_rules! autovacuum {
    ($cap:literal, $own_cap:literal, $unfrozen:literal, $which:expr) => {
        concat!(
            "WITH g AS MATERIALIZED (
    SELECT pg_catalog.current_setting('autovacuum_vacuum_threshold')::float8 AS base,
           pg_catalog.current_setting('autovacuum_vacuum_scale_factor')::float8 AS scale,
           ",
            $cap,
            " AS cap,
           pg_catalog.current_setting('autovacuum_vacuum_insert_threshold')::float8 AS insert_base,
           pg_catalog.current_setting('autovacuum_vacuum_insert_scale_factor')::float8 AS insert_scale,
           pg_catalog.current_setting('autovacuum_analyze_threshold')::float8 AS analyze_base,
           pg_catalog.current_setting('autovacuum_analyze_scale_factor')::float8 AS analyze_scale,
           pg_catalog.current_setting('autovacuum_freeze_max_age')::float8 AS freeze_age,
           pg_catalog.current_setting('autovacuum_multixact_freeze_max_age')::float8 AS multixact_age
), given AS MATERIALIZED (
    SELECT c.oid, option.option_name AS name, option.option_value AS value
      FROM pg_catalog.pg_class AS c
     CROSS JOIN LATERAL pg_catalog.pg_options_to_table(c.reloptions) AS option(option_name, option_value)
     WHERE c.reloptions IS NOT NULL AND c.relkind IN ('r', 'm', 't') AND option.option_name LIKE 'autovacuum!_%' ESCAPE '!'
), own AS MATERIALIZED (
    SELECT v.oid,
           pg_catalog.bool_and(v.value::bool) FILTER (WHERE v.name = 'autovacuum_enabled') AS enabled,
           NULLIF(pg_catalog.max(v.value::float8) FILTER (WHERE v.name = 'autovacuum_vacuum_threshold'), -1) AS base,
           NULLIF(pg_catalog.max(v.value::float8) FILTER (WHERE v.name = 'autovacuum_vacuum_scale_factor'), -1) AS scale,
           ",
            $own_cap,
            " AS cap,
           NULLIF(pg_catalog.max(v.value::float8) FILTER (WHERE v.name = 'autovacuum_vacuum_insert_threshold'), -2) AS insert_base,
           NULLIF(pg_catalog.max(v.value::float8) FILTER (WHERE v.name = 'autovacuum_vacuum_insert_scale_factor'), -1) AS insert_scale,
           NULLIF(pg_catalog.max(v.value::float8) FILTER (WHERE v.name = 'autovacuum_analyze_threshold'), -1) AS analyze_base,
           NULLIF(pg_catalog.max(v.value::float8) FILTER (WHERE v.name = 'autovacuum_analyze_scale_factor'), -1) AS analyze_scale,
           NULLIF(pg_catalog.max(v.value::float8) FILTER (WHERE v.name = 'autovacuum_freeze_max_age'), -1) AS freeze_age,
           NULLIF(pg_catalog.max(v.value::float8) FILTER (WHERE v.name = 'autovacuum_multixact_freeze_max_age'), -1) AS multixact_age
      FROM (SELECT w.oid, w.name, w.value
              FROM given AS w
            UNION ALL
            SELECT t.oid, w.name, w.value
              FROM given AS w
              JOIN pg_catalog.pg_class AS c ON c.oid = w.oid
              JOIN pg_catalog.pg_class AS t ON t.oid = c.reltoastrelid AND t.reloptions IS NULL) AS v(oid, name, value)
     GROUP BY v.oid
), relation AS MATERIALIZED (
    SELECT c.oid, c.relkind, c.reltoastrelid, n.nspname, c.relname, COALESCE(o.enabled, true) AS enabled,
           pg_catalog.pg_stat_get_dead_tuples(c.oid)::float8 AS dead,
           COALESCE(o.base, g.base) + COALESCE(o.scale, g.scale) * GREATEST(c.reltuples, 0)::float8 AS plain,
           NULLIF(COALESCE(o.cap, g.cap), -1) AS cap,
           pg_catalog.pg_stat_get_ins_since_vacuum(c.oid)::float8 AS inserted,
           CASE WHEN COALESCE(o.insert_base, g.insert_base) >= 0 THEN
               COALESCE(o.insert_base, g.insert_base) + COALESCE(o.insert_scale, g.insert_scale) * GREATEST(c.reltuples, 0)::float8",
            $unfrozen,
            " END AS insert_limit,
           CASE WHEN c.relkind <> 't' THEN pg_catalog.pg_stat_get_mod_since_analyze(c.oid)::float8 END AS modified,
           CASE WHEN c.relkind <> 't' THEN
               COALESCE(o.analyze_base, g.analyze_base) + COALESCE(o.analyze_scale, g.analyze_scale) * GREATEST(c.reltuples, 0)::float8
           END AS analyze_limit,
           pg_catalog.age(c.relfrozenxid)::float8 AS xid_age, pg_catalog.mxid_age(c.relminmxid)::float8 AS mxid_age,
           LEAST(o.freeze_age, g.freeze_age) AS freeze_age, LEAST(o.multixact_age, g.multixact_age) AS multixact_age
      FROM pg_catalog.pg_class AS c
     CROSS JOIN g
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      LEFT JOIN own AS o ON o.oid = c.oid
     WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't'
       AND (",
            $which,
            ")
       AND (c.relkind <> 't' OR c.relpages > 0 OR pg_catalog.pg_stat_get_dead_tuples(c.oid) > 0
            OR pg_catalog.pg_stat_get_ins_since_vacuum(c.oid) > 0 OR pg_catalog.age(c.relfrozenxid) > g.freeze_age / 2)
), judged AS (
    SELECT r.oid, r.relkind, r.reltoastrelid, r.nspname, r.relname, r.enabled, r.dead, LEAST(r.plain, r.cap) AS dead_limit,
           r.inserted, r.insert_limit, r.modified, r.analyze_limit, r.xid_age, r.mxid_age, r.freeze_age, r.multixact_age,
           (r.xid_age > r.freeze_age OR r.mxid_age > r.multixact_age) AS freeze_due,
           GREATEST(r.xid_age / GREATEST(r.freeze_age, 1), r.mxid_age / GREATEST(r.multixact_age, 1)) AS freeze_share
      FROM relation AS r
), measured AS (
    SELECT j.oid, j.nspname, j.relname, j.enabled, j.dead, j.dead_limit, j.inserted, j.insert_limit, j.modified, j.analyze_limit,
           t.enabled AS toast_enabled, t.dead AS toast_dead, t.dead_limit AS toast_limit,
           GREATEST(j.xid_age, t.xid_age) AS xid_age, GREATEST(j.mxid_age, t.mxid_age) AS mxid_age,
           NULLIF(pg_catalog.concat_ws(', ', CASE WHEN j.dead > j.dead_limit THEN 'vacuum' END,
               CASE WHEN j.inserted > j.insert_limit THEN 'vacuum for inserts' END,
               CASE WHEN t.dead > t.dead_limit OR t.inserted > t.insert_limit THEN 'vacuum of toast' END,
               CASE WHEN j.freeze_due OR t.freeze_due THEN 'freeze' END,
               CASE WHEN j.modified > j.analyze_limit THEN 'analyze' END), '') AS due,
           GREATEST(j.dead / GREATEST(j.dead_limit, 1), j.inserted / GREATEST(j.insert_limit, 1),
                    j.modified / GREATEST(j.analyze_limit, 1), t.dead / GREATEST(t.dead_limit, 1),
                    t.inserted / GREATEST(t.insert_limit, 1), j.freeze_share, t.freeze_share) AS pressure
      FROM judged AS j
      LEFT JOIN judged AS t ON t.oid = j.reltoastrelid
     WHERE j.relkind <> 't'
)
"
        )
    };
}

/// The rows of `measured` that are answered with, and their columns. What is looked up for each waits for the cut.
#[macro_export]
macro_rules! autovacuum_columns {
    ($filter:literal, $limit:literal) => {
        concat!(
            ", shown AS MATERIALIZED (
    SELECT m.oid, m.nspname, m.relname, m.due, m.enabled, m.pressure, m.dead, m.dead_limit, m.inserted, m.insert_limit, m.modified,
           m.analyze_limit, m.toast_enabled, m.toast_dead, m.toast_limit, m.xid_age, m.mxid_age
      FROM measured AS m
     WHERE ",
            $filter,
            "
     ORDER BY m.pressure DESC, m.nspname, m.relname
     LIMIT ",
            $limit,
            "
)
SELECT s.nspname::text AS schema_name, s.relname::text AS table_name, s.due, s.enabled AS autovacuum_enabled,
       s.pressure::float8 AS pressure,
       pg_catalog.pg_stat_get_live_tuples(s.oid)::int8 AS live_tuples, s.dead::int8 AS dead_tuples,
       pg_catalog.floor(s.dead_limit)::int8 AS vacuum_threshold,
       (pg_catalog.floor(s.dead_limit) - s.dead)::int8 AS vacuum_distance,
       s.inserted::int8 AS inserted_since_vacuum, pg_catalog.floor(s.insert_limit)::int8 AS insert_threshold,
       s.modified::int8 AS modified_since_analyze, pg_catalog.floor(s.analyze_limit)::int8 AS analyze_threshold,
       s.toast_enabled AS toast_autovacuum_enabled, s.toast_dead::int8 AS toast_dead_tuples,
       pg_catalog.floor(s.toast_limit)::int8 AS toast_vacuum_threshold,
       s.xid_age::int8 AS xid_age, s.mxid_age::int8 AS mxid_age,
       ",
            $crate::utc!("pg_catalog.pg_stat_get_last_vacuum_time(s.oid)"),
            " AS last_vacuum,
       ",
            $crate::utc!("pg_catalog.pg_stat_get_last_autovacuum_time(s.oid)"),
            " AS last_autovacuum,
       ",
            $crate::utc!("pg_catalog.pg_stat_get_last_analyze_time(s.oid)"),
            " AS last_analyze,
       ",
            $crate::utc!("pg_catalog.pg_stat_get_last_autoanalyze_time(s.oid)"),
            " AS last_autoanalyze
  FROM shown AS s
 ORDER BY s.pressure DESC, s.nspname, s.relname
 LIMIT ",
            $limit
        )
    };
}

/// The servers' variants of a statement over `measured`: which relations, and what follows the columns.
#[macro_export]
macro_rules! autovacuum_variants {
    ($which:literal, $filter:literal, $limit:literal) => {
        &[
            lockgate_pack::Variant::before(
                18,
                concat!($crate::autovacuum!("NULL::float8", "NULL::float8", "", $which), $crate::autovacuum_columns!($filter, $limit) ),
            )
            .primary(),
            lockgate_pack::Variant::from(
                18,
                concat!(
                    $crate::autovacuum!(
                        "pg_catalog.current_setting('autovacuum_vacuum_max_threshold')::float8",
                        "NULLIF(pg_catalog.max(v.value::float8) FILTER (WHERE v.name = 'autovacuum_vacuum_max_threshold'), -2)",
                        "
                   * CASE WHEN c.relpages > 0 THEN 1 - LEAST(c.relallfrozen, c.relpages)::float8 / c.relpages ELSE 1 END",
                        $which
                    ),
                    $crate::autovacuum_columns!($filter, $limit)
                ),
            )
            .primary(),
        ]
    };
}

/// What a row of such a statement holds.
pub const TABLE_COLUMNS: &[Column] = &[
    Column::text("schema_name"),
    Column::text("table_name"),
    Column::text("due"),
    Column::boolean("autovacuum_enabled"),
    Column::number("pressure"),
    Column::integer("live_tuples"),
    Column::integer("dead_tuples"),
    Column::integer("vacuum_threshold"),
    Column::integer("vacuum_distance"),
    Column::integer("inserted_since_vacuum"),
    Column::integer("insert_threshold"),
    Column::integer("modified_since_analyze"),
    Column::integer("analyze_threshold"),
    Column::boolean("toast_autovacuum_enabled"),
    Column::integer("toast_dead_tuples"),
    Column::integer("toast_vacuum_threshold"),
    Column::integer("xid_age"),
    Column::integer("mxid_age"),
    Column::text("last_vacuum"),
    Column::text("last_autovacuum"),
    Column::text("last_analyze"),
    Column::text("last_autoanalyze"),
];

const PAST: &[Variant] = autovacuum_variants!("true", "m.due IS NOT NULL", "200");

/// Tables of all schemas that are past a threshold: autovacuum would come for them at its next look, or would if it were on.
/// On a primary only: a standby counts no changes.
pub static PAST_THRESHOLD: Statement = Statement::read("tables_past_threshold").columns(TABLE_COLUMNS).variants(PAST);
