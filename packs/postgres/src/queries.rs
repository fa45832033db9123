//! Statistics of statements, out of the extension pg_stat_statements. Its columns follow the version of the extension as it
//! was created in the database, not that of the server: after an upgrade of the server it stays as it was until somebody
//! runs `ALTER EXTENSION … UPDATE`.

use lockgate_pack::{Action, Column, Input, Kind, Param, Statement, Variant};
use lockgate_pack_shared::{monitor::SEES_OTHERS, words::counted};

use crate::common::{LIMIT, report_sessions};

/// Times were split into planning and execution at 1.8; reads of blocks were split by kind of block at 1.11.
macro_rules! slow {
    ($time:literal, $read:literal) => {
        concat!(
            "SELECT s.queryid::text AS query_id, r.rolname::text AS user_name, d.datname::text AS database, s.calls::int8 AS calls,
       s.mean_",
            $time,
            "::float8 AS mean_ms, s.max_",
            $time,
            "::float8 AS max_ms, s.total_",
            $time,
            "::float8 AS total_ms,
       s.rows::int8 AS rows, s.shared_blks_hit::int8 AS blocks_hit, s.shared_blks_read::int8 AS blocks_read,
       s.",
            $read,
            "::float8 AS read_ms, s.query
  FROM :\"extension_schema\".pg_stat_statements AS s
  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.userid
  LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid
 WHERE s.calls >= $2::int8
 ORDER BY s.mean_",
            $time,
            " DESC, s.queryid
 LIMIT $1::int8"
        )
    };
}

const EXTENSION: &str = "pg_stat_statements";

const PRIVILEGES: &[&str] = &["pg_monitor", "extension pg_stat_statements"];

static SLOW_READ: Statement = Statement::read("slow_queries")
    .inputs(&[Input::new("limit", Kind::Integer), Input::new("min_calls", Kind::Integer)])
    .columns(&[
        Column::text("query_id"),
        Column::text("user_name"),
        Column::text("database"),
        Column::integer("calls"),
        Column::number("mean_ms"),
        Column::number("max_ms"),
        Column::number("total_ms"),
        Column::integer("rows"),
        Column::integer("blocks_hit"),
        Column::integer("blocks_read"),
        Column::number("read_ms"),
        Column::query("query"),
    ])
    .variants(&[
        Variant::all(slow!("time", "blk_read_time")).extension(EXTENSION, "", "1.8"),
        Variant::all(slow!("exec_time", "blk_read_time")).extension(EXTENSION, "1.8", "1.11"),
        Variant::all(slow!("exec_time", "shared_blk_read_time")).extension(EXTENSION, "1.11", ""),
    ]);

pub(crate) static SLOW_QUERIES: Action = Action::read("slow_queries")
    .title("Slow queries")
    .description(
        "Statements by mean execution time in milliseconds, the slowest first, as shapes without their values: from \
         pg_stat_statements, over all databases, since its statistics were last reset. Needs that extension in the database \
         that the target connects to.",
    )
    .params(&[LIMIT, Param::integer("min_calls", 1, 100_000).default(10).describe("Only statements that were called so often")])
    .statements(&[&SEES_OTHERS, &SLOW_READ])
    .privileges(PRIVILEGES)
    .search_terms(&[
        "slow query",
        "slowest queries",
        "slow sql",
        "mean time",
        "query latency",
        "slow statements",
        "average query time",
        "response time",
    ])
    .examples(&[
        ("which queries are slow in general?", "{}"),
        ("which rare report takes forever?", r#"{"limit": 5, "min_calls": 1}"#),
    ])
    .run(|call| {
        report_sessions(call, &SLOW_READ, "Statements by mean time", |count| {
            format!("{}, the slowest on average first", counted(count, "statement", "statements"))
        })
    });

/// Planning and WAL are counted from 1.8 on.
macro_rules! top {
    ($time:literal, $plan:literal, $wal:literal, $io:literal) => {
        concat!(
            "SELECT s.queryid::text AS query_id, r.rolname::text AS user_name, d.datname::text AS database, s.calls::int8 AS calls,
       s.total_",
            $time,
            "::float8 AS total_ms,
       (100 * s.total_",
            $time,
            " / NULLIF(pg_catalog.sum(s.total_",
            $time,
            ") OVER (), 0))::float8 AS percent_of_total,
       s.mean_",
            $time,
            "::float8 AS mean_ms, s.max_",
            $time,
            "::float8 AS max_ms, ",
            $plan,
            " AS plan_ms,
       s.rows::int8 AS rows, s.shared_blks_hit::int8 AS blocks_hit, s.shared_blks_read::int8 AS blocks_read,
       s.shared_blks_dirtied::int8 AS blocks_dirtied, s.temp_blks_written::int8 AS temp_blocks_written,
       s.",
            $io,
            "_read_time::float8 AS read_ms, s.",
            $io,
            "_write_time::float8 AS write_ms, ",
            $wal,
            " AS wal_bytes, s.query
  FROM :\"extension_schema\".pg_stat_statements AS s
  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.userid
  LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid
 ORDER BY s.total_",
            $time,
            " DESC, s.queryid, s.userid, s.dbid, s.calls
 LIMIT $1::int8"
        )
    };
}

pub(crate) static TOP_READ: Statement = Statement::read("pg_stat_statements_top")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("query_id"),
        Column::text("user_name"),
        Column::text("database"),
        Column::integer("calls"),
        Column::number("total_ms"),
        Column::number("percent_of_total"),
        Column::number("mean_ms"),
        Column::number("max_ms"),
        Column::number("plan_ms"),
        Column::integer("rows"),
        Column::integer("blocks_hit"),
        Column::integer("blocks_read"),
        Column::integer("blocks_dirtied"),
        Column::integer("temp_blocks_written"),
        Column::number("read_ms"),
        Column::number("write_ms"),
        Column::integer("wal_bytes"),
        Column::query("query"),
    ])
    .variants(&[
        Variant::all(top!("time", "NULL::float8", "NULL::int8", "blk")).extension(EXTENSION, "", "1.8"),
        Variant::all(top!("exec_time", "s.total_plan_time", "s.wal_bytes::int8", "blk"))
            .extension(EXTENSION, "1.8", "1.11"),
        Variant::all(top!("exec_time", "s.total_plan_time", "s.wal_bytes::int8", "shared_blk"))
            .extension(EXTENSION, "1.11", ""),
    ]);

pub(crate) static PG_STAT_STATEMENTS_TOP: Action = Action::read("pg_stat_statements_top")
    .title("Statements by total time")
    .description(
        "Statements by total execution time in milliseconds, those that took the most first, each with its share of all, as \
         shapes without their values: from pg_stat_statements, over all databases, since its statistics were last reset. What \
         is called often weighs here, however quick it is; slow_queries looks at single calls. plan_ms is 0 unless \
         pg_stat_statements.track_planning is on, and read_ms and write_ms are 0 unless track_io_timing is. Needs that \
         extension in the database that the target connects to.",
    )
    .params(&[LIMIT.default(30)])
    .statements(&[&SEES_OTHERS, &TOP_READ])
    .privileges(PRIVILEGES)
    .search_terms(&[
        "top queries",
        "most expensive queries",
        "query load",
        "what uses the cpu",
        "high cpu",
        "query statistics",
        "most called queries",
        "heavy queries",
        "workload",
    ])
    .examples(&[("what does the server spend its time on?", r#"{"limit": 10}"#)])
    .run(|call| {
        report_sessions(call, &TOP_READ, "Statements by total time", |count| {
            format!("{}, the most total time first", counted(count, "statement", "statements"))
        })
    });
