//! REINDEX INDEX CONCURRENTLY of one index.
//!
//! It gets no timeout, since either one leaves an invalid index behind (manual, REINDEX, "Rebuilding Indexes
//! Concurrently"). So whatever would hold it up is looked for first, and what it left is looked for afterwards.

use lockgate_pack::{
    Action, Call, Column, Evidence, Failure, Input, Kind, Outcome, Param, QueryError, Risk, Rows, Severity, Statement,
    Variant,
};
use lockgate_pack_shared::{
    monitor::{SEES_OTHERS, must_see_others},
    seconds_since,
    words::{counted, size},
};

use super::{SCHEMA, oid, same};
use crate::common::is_uncertain;

pub(crate) static INDEX_READ: Statement = Statement::read("index")
    .inputs(&[Input::new("schema", Kind::Text), Input::new("index", Kind::Text)])
    .columns(&[
        Column::integer("oid"),
        Column::text("kind"),
        Column::integer("table_oid"),
        Column::text("table_name"),
        Column::text("access_method"),
        Column::integer("bytes_estimated"),
        Column::boolean("valid"),
        Column::boolean("ready"),
        Column::boolean("unique_index"),
        Column::boolean("exclusion"),
        Column::boolean("ordinary"),
    ])
    .variants(&[Variant::all(
        "SELECT c.oid::int8 AS oid, c.relkind::text AS kind, i.indrelid::int8 AS table_oid, t.relname::text AS table_name,
       m.amname::text AS access_method,
       c.relpages::int8 * pg_catalog.current_setting('block_size')::int8 AS bytes_estimated,
       i.indisvalid AS valid, i.indisready AS ready, i.indisunique AS unique_index, i.indisexclusion AS exclusion,
       (c.relpersistence <> 't' AND c.oid >= 16384 AND n.nspname NOT LIKE 'pg!_%' ESCAPE '!') AS ordinary
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
  LEFT JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
  LEFT JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
 WHERE n.nspname = $1::text AND c.relname = $2::text",
    )
    .primary()])
    .max_rows(1);

/// It waits for every transaction that may write to the table, and at its end for every older snapshot in the database. Those
/// come and go; one that is open for more than a minute may stay.
pub(crate) static BLOCKERS: Statement = Statement::read("reindex_blockers")
    .inputs(&[Input::new("table_oid", Kind::Integer)])
    .columns(&[
        Column::integer("pid"),
        Column::text("user_name"),
        Column::text("application"),
        Column::text("state"),
        Column::integer("transaction_seconds"),
        Column::text("lock_mode"),
        Column::query("query"),
    ])
    .variants(&[Variant::all(concat!(
        "WITH held AS MATERIALIZED (
    SELECT l.pid, pg_catalog.min(l.mode) AS mode
      FROM pg_catalog.pg_locks AS l
      JOIN pg_catalog.pg_database AS d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
     WHERE l.locktype = 'relation' AND l.relation::int8 = $1::int8 AND l.granted AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock',
           'ShareRowExclusiveLock', 'ShareLock', 'ExclusiveLock', 'AccessExclusiveLock')
     GROUP BY l.pid
)
SELECT COALESCE(a.pid, 0)::int8 AS pid, a.usename::text AS user_name, a.application_name AS application,
       COALESCE(a.state, CASE WHEN a.pid IS NULL THEN 'prepared transaction' END) AS state,
       ",
        seconds_since!("a.xact_start"),
        " AS transaction_seconds, h.mode AS lock_mode, a.query
  FROM held AS h
  FULL JOIN (SELECT s.pid, s.usename, s.application_name, s.state, s.xact_start, s.query
               FROM pg_catalog.pg_stat_activity AS s
              WHERE s.datname = pg_catalog.current_database() AND s.xact_start IS NOT NULL
                AND s.pid <> pg_catalog.pg_backend_pid()
                AND (s.backend_xmin IS NOT NULL OR s.backend_xid IS NOT NULL OR s.pid IN (SELECT h.pid FROM held AS h))
            ) AS a ON a.pid = h.pid
 WHERE a.xact_start < pg_catalog.clock_timestamp() - pg_catalog.make_interval(mins => 1)
    OR (h.mode IS NOT NULL AND h.pid IS NULL)
 ORDER BY transaction_seconds DESC NULLS FIRST, pid
 LIMIT 50"
    ))
    .primary()]);

pub(crate) static INVALID: Statement = Statement::read("invalid_indexes_of_table")
    .inputs(&[Input::new("table_oid", Kind::Integer)])
    .columns(&[
        Column::integer("oid"),
        Column::text("schema_name"),
        Column::text("index_name"),
        Column::boolean("valid"),
        Column::boolean("ready"),
    ])
    .variants(&[Variant::all(
        "SELECT c.oid::int8 AS oid, n.nspname::text AS schema_name, c.relname::text AS index_name, i.indisvalid AS valid,
       i.indisready AS ready
  FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE (i.indrelid::int8 = $1::int8
        OR i.indrelid IN (SELECT t.reltoastrelid FROM pg_catalog.pg_class AS t WHERE t.oid::int8 = $1::int8))
   AND NOT (i.indisvalid AND i.indisready)
 ORDER BY c.oid
 LIMIT 100",
    )
    .primary()]);

pub(crate) static REINDEX: Statement = Statement::maintain("reindex_concurrent")
    .inputs(&[Input::new("schema", Kind::Identifier), Input::new("index", Kind::Identifier)])
    .variants(&[Variant::all("REINDEX INDEX CONCURRENTLY :\"schema\".:\"index\"").primary()])
    .timeout_ms(0);

pub(crate) static REINDEX_CONCURRENT: Action = Action::maintain("reindex_concurrent")
    .title("Rebuild an index concurrently")
    .description(
        "Runs REINDEX INDEX CONCURRENTLY on one index: builds it anew beside the old one, without blocking readers or writers, and \
         then exchanges them. For a bloated or invalid index. It needs room for a second copy and may run for hours. Refuses while \
         a transaction that would hold it up is open for more than a minute, and reports every invalid index of the table \
         afterwards.",
    )
    .risk(Risk::High)
    .params(&[SCHEMA, Param::identifier("index").describe("The index, exactly as it is stored")])
    .statements(&[&INVALID, &REINDEX])
    .side_effects(
        "Reads the table twice and writes a new index of the same content; if it is interrupted, an invalid index is left, which \
         has to be dropped by hand.",
    )
    .privileges(&["pg_monitor", "MAINTAIN ON TABLE"])
    .preview(&[&SEES_OTHERS, &INDEX_READ, &BLOCKERS], preview)
    .search_terms(&[
        "reindex",
        "rebuild index",
        "index bloat",
        "bloated index",
        "corrupt index",
        "repair index",
        "invalid index",
        "shrink index",
        "recreate index",
    ])
    .run(run)
    .examples(&[(
        "the index on orders has bloated to three times its size",
        r#"{"schema": "public", "index": "orders_region_idx"}"#,
    )]);

struct Index {
    oid: i64,
    table: i64,
    bytes: i64,
    rows: Rows,
}

/// Finds the index that the call names, or says what is there instead.
fn index(call: &Call<'_>) -> Result<Index, Failure> {
    let (schema, name) = (call.text("schema")?, call.text("index")?);
    let rows = call.execute(&INDEX_READ)?;
    let Some(row) = rows.first() else {
        return Err(Failure::not_found(format!(
            "this database has no index `{schema}.{name}`; names are taken exactly"
        )));
    };
    let refuse = |why: &str| Err(Failure::not_applicable(format!("`{schema}.{name}` {why}")));
    match row.text("kind")?.as_deref() {
        Some("i") => {}
        Some("I") => return refuse("is the index of a partitioned table: rebuild those of its partitions one by one"),
        _ => return refuse("is no index"),
    }
    if row.boolean("ordinary")? != Some(true) {
        return refuse("belongs to the system catalogs or to a temporary table and can't be rebuilt concurrently");
    }
    if row.boolean("exclusion")? == Some(true) {
        return refuse("enforces an exclusion constraint, and PostgreSQL can't rebuild such an index concurrently");
    }
    let (oid, bytes) = (oid(&row)?, row.integer("bytes_estimated")?.unwrap_or_default());
    let table = row.integer("table_oid")?.ok_or_else(|| Failure::internal("the index has no table"))?;
    Ok(Index { oid, table, bytes, rows })
}

/// Refuses while something would hold it up.
fn clear(call: &Call<'_>, table: i64) -> Result<(), Failure> {
    must_see_others(call)?;
    let pids = call.execute_with(&BLOCKERS, &[("table_oid", table.into())])?.integers("pid")?;
    if pids.is_empty() {
        return Ok(());
    }
    let some: Vec<String> =
        pids.iter().take(10).map(|pid| if *pid == 0 { "prepared".into() } else { pid.to_string() }).collect();
    let count = i64::try_from(pids.len()).unwrap_or(i64::MAX);
    Err(Failure::not_applicable(format!(
        "it would wait without end for {} (pid {}): see activity_detail, end what should not be there, and call again",
        counted(
            count,
            "transaction that has been open for a minute or longer",
            "transactions that have been open for a minute or longer"
        ),
        some.join(", ")
    )))
}

fn invalid(call: &Call<'_>, table: i64) -> Result<Rows, QueryError> {
    call.execute_with(&INVALID, &[("table_oid", table.into())])
}

fn preview(call: &Call<'_>) -> Result<Evidence, Failure> {
    let index = index(call)?;
    clear(call, index.table)?;
    let summary = format!(
        "rebuilds index `{}.{}`, about {}, which needs as much room again",
        call.text("schema")?,
        call.text("index")?,
        size(index.bytes)
    );
    Ok(Evidence::new(summary).pin("oid", index.oid).table("The index", index.rows))
}

fn run(call: &Call<'_>) -> Result<Outcome, Failure> {
    let index = index(call)?;
    same(call, index.oid)?;
    clear(call, index.table)?;
    let before = invalid(call, index.table)?.integers("oid")?;
    let done = call.execute(&REINDEX);
    let after = invalid(call, index.table);
    if let Err(error) = done {
        return Err(failed(error, &before, after));
    }
    let outcome = Outcome::new(format!("rebuilt index `{}.{}`", call.text("schema")?, call.text("index")?));
    Ok(match after {
        Ok(rows) if rows.is_empty() => outcome.notice("the table has no invalid index"),
        Ok(rows) => outcome
            .finding(
                Severity::Warning,
                format!(
                    "the table has {}, which costs writes and serves no query",
                    counted(rows.count(), "invalid index", "invalid indexes")
                ),
            )
            .table("Invalid indexes of the table", rows),
        Err(_) => outcome.notice("whether the table has invalid indexes could not be looked up afterwards"),
    })
}

/// The server's own error, unless it left an index behind: then that is what somebody has to know.
fn failed(error: QueryError, before: &[i64], after: Result<Rows, QueryError>) -> Failure {
    if is_uncertain(&error) {
        return error.into();
    }
    let left = match after.map_err(Failure::from).and_then(|rows| rows.integers("oid")) {
        Ok(oids) => oids.iter().filter(|oid| !before.contains(oid)).count(),
        Err(_) => 0,
    };
    if left == 0 {
        return error.into();
    }
    let left = counted(i64::try_from(left).unwrap_or(i64::MAX), "invalid index", "invalid indexes");
    Failure::no_effect(format!(
        "the rebuild failed ({}) and left {left} on the table: drop what ends in _ccnew or _ccold by hand",
        reason(&error)
    ))
}

/// What went wrong, without the server's words, which may hold values.
fn reason(error: &QueryError) -> String {
    match error {
        QueryError::Timeout => "it was cancelled".into(),
        QueryError::MissingPrivilege(_) => "the role may not do it".into(),
        QueryError::Skipped(_) => "PostgreSQL skipped it".into(),
        QueryError::Database(error) => format!("SQLSTATE {}", error.sqlstate),
        _ => "it was refused".into(),
    }
}
