//! How far each database is from running out of transaction ids.

use lockgate_pack::{Column, Statement, Variant};

/// Ages against three limits: where autovacuum begins to freeze even where it is off, where vacuum drops all restraint (from
/// 14 on), and half of the 32-bit circle, shortly before which the server takes no more writes.
macro_rules! proximity {
    ($failsafe:literal, $multixact_failsafe:literal) => {
        concat!(
            "SELECT x.datname::text AS database, x.xid_age::int8 AS xid_age, x.xid_freeze_max_age, x.xid_failsafe_age,
       100::float8 * x.xid_age / x.xid_freeze_max_age::float8 AS xid_percent_of_freeze_max_age,
       100::float8 * x.xid_age / 2147483648::float8 AS xid_percent_of_wall, 2147483648 - x.xid_age::int8 AS xids_left,
       x.mxid_age::int8 AS mxid_age, x.mxid_freeze_max_age, x.mxid_failsafe_age,
       100::float8 * x.mxid_age / x.mxid_freeze_max_age::float8 AS mxid_percent_of_freeze_max_age,
       100::float8 * x.mxid_age / 2147483648::float8 AS mxid_percent_of_wall, 2147483648 - x.mxid_age::int8 AS mxids_left
  FROM (SELECT d.datname, pg_catalog.age(d.datfrozenxid) AS xid_age, pg_catalog.mxid_age(d.datminmxid) AS mxid_age,
               pg_catalog.current_setting('autovacuum_freeze_max_age')::int8 AS xid_freeze_max_age,
               pg_catalog.current_setting('autovacuum_multixact_freeze_max_age')::int8 AS mxid_freeze_max_age,
               ",
            $failsafe,
            " AS xid_failsafe_age,
               ",
            $multixact_failsafe,
            " AS mxid_failsafe_age
          FROM pg_catalog.pg_database AS d) AS x
 ORDER BY GREATEST(x.xid_age, x.mxid_age) DESC, x.datname
 LIMIT 1000"
        )
    };
}

/// Each database, the nearest to the wall first. The number of members of multixacts, which has a limit of its own, is not told
/// by any view.
pub static WRAPAROUND_READ: Statement = Statement::read("xid_wraparound_proximity")
    .columns(&[
        Column::text("database"),
        Column::integer("xid_age"),
        Column::integer("xid_freeze_max_age"),
        Column::integer("xid_failsafe_age"),
        Column::number("xid_percent_of_freeze_max_age"),
        Column::number("xid_percent_of_wall"),
        Column::integer("xids_left"),
        Column::integer("mxid_age"),
        Column::integer("mxid_freeze_max_age"),
        Column::integer("mxid_failsafe_age"),
        Column::number("mxid_percent_of_freeze_max_age"),
        Column::number("mxid_percent_of_wall"),
        Column::integer("mxids_left"),
    ])
    .variants(&[
        Variant::before(14, proximity!("NULL::int8", "NULL::int8")),
        Variant::from(
            14,
            proximity!(
                "pg_catalog.current_setting('vacuum_failsafe_age')::int8",
                "pg_catalog.current_setting('vacuum_multixact_failsafe_age')::int8"
            ),
        ),
    ])
    .max_rows(1000);
