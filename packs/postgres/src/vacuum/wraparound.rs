//! The distance from the end of the transaction ids.

use lockgate_pack::{Action, Call, Column, Failure, Outcome, Severity, Statement, Variant};
use lockgate_pack_shared::{utc, wraparound::WRAPAROUND_READ};

/// The tables that hold their database's age back. A TOAST table has an age of its own, under its table's name here.
pub(crate) static OLDEST_READ: Statement = Statement::read("oldest_tables")
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::boolean("toast"),
        Column::integer("xid_age"),
        Column::integer("mxid_age"),
        Column::integer("bytes_estimated"),
        Column::text("last_vacuum"),
        Column::text("last_autovacuum"),
    ])
    .variants(&[Variant::all(concat!(
        "WITH oldest AS MATERIALIZED (
    SELECT c.oid, c.relkind, c.relpages, pg_catalog.age(c.relfrozenxid) AS xid_age, pg_catalog.mxid_age(c.relminmxid) AS mxid_age
      FROM pg_catalog.pg_class AS c
     WHERE c.relkind IN ('r', 'm', 't')
     ORDER BY GREATEST(pg_catalog.age(c.relfrozenxid), pg_catalog.mxid_age(c.relminmxid)) DESC, c.relpages DESC, c.oid
     LIMIT 10
)
SELECT n.nspname::text AS schema_name, t.relname::text AS table_name, o.relkind = 't' AS toast, o.xid_age::int8 AS xid_age,
       o.mxid_age::int8 AS mxid_age,
       o.relpages * pg_catalog.current_setting('block_size')::int8 AS bytes_estimated,
       ",
        utc!("pg_catalog.pg_stat_get_last_vacuum_time(o.oid)"),
        " AS last_vacuum,
       ",
        utc!("pg_catalog.pg_stat_get_last_autovacuum_time(o.oid)"),
        " AS last_autovacuum
  FROM oldest AS o
  LEFT JOIN pg_catalog.pg_class AS p ON p.reltoastrelid = o.oid
  JOIN pg_catalog.pg_class AS t ON t.oid = COALESCE(p.oid, o.oid)
  JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
 ORDER BY GREATEST(o.xid_age, o.mxid_age) DESC, o.relpages DESC, o.oid
 LIMIT 10"
    ))])
    .max_rows(10);

pub(crate) static XID_WRAPAROUND_PROXIMITY: Action = Action::read("xid_wraparound_proximity")
    .title("Wraparound proximity")
    .description(
        "The age of the oldest transaction id and multixact of each database against the limits: freeze_max_age, where autovacuum \
         freezes whatever is set; the failsafe age (from 14 on), where it drops its restraint; and the wall at 2^31, about three \
         million before which the server takes no more writes. With the ten oldest tables of the target's database: those are to be \
         vacuumed first. What keeps vacuum from freezing, backend_holding_xmin tells.",
    )
    .statements(&[&WRAPAROUND_READ, &OLDEST_READ])
    .search_terms(&[
        "xid wraparound",
        "transaction id wraparound",
        "transaction ids run out",
        "freeze",
        "datfrozenxid",
        "multixact",
        "must be vacuumed within",
        "not accepting commands",
        "xid age",
        "autovacuum to prevent wraparound",
    ])
    .examples(&[("the log warns of wraparound; how much time is left?", "{}")])
    .run(proximity);

fn proximity(call: &Call<'_>) -> Result<Outcome, Failure> {
    let rows = call.execute(&WRAPAROUND_READ)?;
    let (mut worst, mut late, mut failsafe) = (0.0_f64, 0_u32, 0_u32);
    for row in rows.iter() {
        for kind in [&XID, &MXID] {
            let age = row.integer(kind.age)?.unwrap_or_default();
            worst = worst.max(row.number(kind.percent_of_wall)?.unwrap_or_default());
            late += u32::from(row.integer(kind.freeze)?.is_some_and(|limit| age > limit));
            failsafe += u32::from(row.integer(kind.failsafe)?.is_some_and(|limit| age > limit));
        }
    }
    let summary = format!("the oldest database is {worst:.1} % of the way to wraparound");
    let mut outcome = Outcome::new(summary).table("Databases", rows);
    outcome = outcome.table("Oldest tables of this database", call.execute(&OLDEST_READ)?);
    // At the failsafe's default, 1.6 billion, three quarters of the way are gone.
    if failsafe > 0 || worst >= 75.0 {
        outcome = outcome.finding(
            Severity::Critical,
            "past the failsafe age: vacuum the oldest tables now, and end what holds xmin back",
        );
    } else if late > 0 {
        outcome = outcome.finding(
            Severity::Warning,
            "past freeze_max_age: autovacuum freezes these tables now, or should; see autovacuum_workers and backend_holding_xmin",
        );
    }
    Ok(outcome)
}

/// The columns of one kind of id.
struct Ids {
    age: &'static str,
    freeze: &'static str,
    failsafe: &'static str,
    percent_of_wall: &'static str,
}

const XID: Ids = Ids {
    age: "xid_age",
    freeze: "xid_freeze_max_age",
    failsafe: "xid_failsafe_age",
    percent_of_wall: "xid_percent_of_wall",
};
const MXID: Ids = Ids {
    age: "mxid_age",
    freeze: "mxid_freeze_max_age",
    failsafe: "mxid_failsafe_age",
    percent_of_wall: "mxid_percent_of_wall",
};
