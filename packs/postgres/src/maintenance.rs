//! The actions that maintain a table or an index, and what they share: finding the object first.
//!
//! An identifier can't be bound, so the maintaining statements write schema and name themselves. PostgreSQL would cut a long one
//! and might find a view, a sequence or nothing; so a read statement, where the names are bound, says first what they are.
//! The object's oid is pinned: what was dropped and made anew since it was looked at is another object.

pub(crate) mod analyze;
pub(crate) mod reindex;
pub(crate) mod vacuum;

use lockgate_pack::{Call, Column, Failure, Input, Kind, Outcome, Param, Row, Rows, Statement, Variant};
use lockgate_pack_shared::{utc, words::counted};

pub(crate) const SCHEMA: Param = Param::identifier("schema").describe("The schema, exactly as it is stored");
pub(crate) const TABLE: Param = Param::identifier("table").describe("The table, exactly as it is stored");
/// The object's own names, as inputs of a statement that maintains it.
pub(crate) const TABLE_NAMES: &[Input] =
    &[Input::new("schema", Kind::Identifier), Input::new("table", Kind::Identifier)];

/// What maintaining a table needs, of the target's maintenance credential where there is one.
pub(crate) const MAINTAIN: &[&str] = &["MAINTAIN ON TABLE"];

/// The size is that of the last vacuum or analyze, in the catalog: to measure it would wait for a lock.
pub(crate) static TABLE_READ: Statement = Statement::read("table")
    .inputs(&[Input::new("schema", Kind::Text), Input::new("table", Kind::Text)])
    .columns(&[
        Column::integer("oid"),
        Column::text("kind"),
        Column::integer("rows_estimated"),
        Column::integer("heap_bytes_estimated"),
        Column::integer("live_tuples"),
        Column::integer("dead_tuples"),
        Column::integer("modified_since_analyze"),
        Column::text("last_vacuum"),
        Column::text("last_autovacuum"),
        Column::text("last_analyze"),
        Column::text("last_autoanalyze"),
        Column::integer("lock_holders"),
        Column::boolean("temporary"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT c.oid::int8 AS oid, c.relkind::text AS kind, GREATEST(c.reltuples, 0)::int8 AS rows_estimated,
       c.relpages::int8 * pg_catalog.current_setting('block_size')::int8 AS heap_bytes_estimated,
       pg_catalog.pg_stat_get_live_tuples(c.oid)::int8 AS live_tuples,
       pg_catalog.pg_stat_get_dead_tuples(c.oid)::int8 AS dead_tuples,
       pg_catalog.pg_stat_get_mod_since_analyze(c.oid)::int8 AS modified_since_analyze,
       ",
        utc!("pg_catalog.pg_stat_get_last_vacuum_time(c.oid)"),
        " AS last_vacuum,
       ",
        utc!("pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)"),
        " AS last_autovacuum,
       ",
        utc!("pg_catalog.pg_stat_get_last_analyze_time(c.oid)"),
        " AS last_analyze,
       ",
        utc!("pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid)"),
        " AS last_autoanalyze,
       (SELECT pg_catalog.count(*)
          FROM pg_catalog.pg_locks AS l
          JOIN pg_catalog.pg_database AS d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
         WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.granted AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock',
               'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))::int8 AS lock_holders,
       (c.relpersistence = 't') AS temporary
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = $1::text AND c.relname = $2::text"
    ))
    .primary()])
    .max_rows(1);

/// Finds the table that the call names, or says what is there instead.
fn table(call: &Call<'_>) -> Result<(i64, Rows), Failure> {
    let (schema, name) = (call.text("schema")?, call.text("table")?);
    let rows = call.execute(&TABLE_READ)?;
    let Some(row) = rows.first() else {
        return Err(Failure::not_found(format!(
            "this database has no table `{schema}.{name}`; names are taken exactly"
        )));
    };
    let what = match row.text("kind")?.as_deref() {
        Some("r" | "m" | "p") => None,
        Some("v") => Some("a view"),
        Some("i" | "I") => Some("an index"),
        Some("S") => Some("a sequence"),
        Some("f") => Some("a foreign table"),
        _ => Some("no table"),
    };
    if let Some(what) = what {
        return Err(Failure::not_applicable(format!("`{schema}.{name}` is {what}")));
    }
    if row.boolean("temporary")? == Some(true) {
        return Err(Failure::not_applicable(format!(
            "`{schema}.{name}` is a temporary table, which only its session maintains"
        )));
    }
    let oid = oid(&row)?;
    Ok((oid, rows))
}

fn oid(row: &Row<'_>) -> Result<i64, Failure> {
    row.integer("oid")?.ok_or_else(|| Failure::internal("the object has no oid"))
}

/// Refuses if what the names mean now is not what was looked at.
fn same(call: &Call<'_>, oid: i64) -> Result<(), Failure> {
    if call.integer("oid")? == oid {
        return Ok(());
    }
    Err(Failure::target_changed("what has this name now is not what was looked at: it was dropped and made anew"))
}

/// Maintains the table that was looked at, and shows it again.
fn maintain(call: &Call<'_>, statement: &'static Statement, done: &str) -> Result<Outcome, Failure> {
    let (found, _) = table(call)?;
    same(call, found)?;
    call.execute(statement)?;
    let outcome = Outcome::new(format!("{done} `{}.{}`", call.text("schema")?, call.text("table")?));
    // Done is done, even if the look at it fails.
    Ok(match table(call) {
        Ok((_, rows)) => outcome.table("The table afterwards", rows),
        Err(_) => outcome.notice("the table could not be looked at afterwards"),
    })
}

/// `; 2 lock holders are in its way`, if there are any.
fn in_the_way(row: &Row<'_>) -> Result<String, Failure> {
    Ok(match row.integer("lock_holders")? {
        Some(holders @ 1..) => format!("; it would wait for {} on the table", counted(holders, "lock", "locks")),
        _ => String::new(),
    })
}
