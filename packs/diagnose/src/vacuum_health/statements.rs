//! What is asked about vacuum, beside what the pack `postgres` asks too.

use lockgate_pack::{Column, Statement, Variant};

/// Where we are, and whether autovacuum can do its work at all: without `track_counts` it knows of no change.
pub(crate) static HERE: Statement = Statement::read("vacuum_here")
    .columns(&[Column::text("database"), Column::boolean("in_recovery"), Column::boolean("autovacuum")])
    .variants(&[Variant::all(
        "SELECT pg_catalog.current_database()::text AS database, pg_catalog.pg_is_in_recovery() AS in_recovery,
       (pg_catalog.current_setting('autovacuum')::bool AND pg_catalog.current_setting('track_counts')::bool) AS autovacuum",
    )])
    .max_rows(1);

/// The tables of this database that hold its oldest transaction or multixact id. A TOAST table counts as its table, which
/// VACUUM takes it with. Temporary tables are not listed: only their sessions can vacuum them.
pub(crate) static OLDEST: Statement = Statement::read("oldest_tables")
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::integer("xid_age"),
        Column::integer("mxid_age"),
    ])
    .variants(&[Variant::all(
        "SELECT n.nspname::text AS schema_name, c.relname::text AS table_name,
       GREATEST(pg_catalog.age(c.relfrozenxid), pg_catalog.age(t.relfrozenxid))::int8 AS xid_age,
       GREATEST(pg_catalog.mxid_age(c.relminmxid), pg_catalog.mxid_age(t.relminmxid))::int8 AS mxid_age
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_class AS t ON t.oid = c.reltoastrelid
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
 ORDER BY GREATEST(pg_catalog.age(c.relfrozenxid), pg_catalog.age(t.relfrozenxid),
                   pg_catalog.mxid_age(c.relminmxid), pg_catalog.mxid_age(t.relminmxid)) DESC, n.nspname, c.relname
 LIMIT 20",
    )]);

/// The vacuums that run in this database: none of these tables needs another.
pub(crate) static RUNNING: Statement = Statement::read("vacuums_running")
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::integer("pid"),
        Column::boolean("automatic"),
        Column::text("phase"),
    ])
    .variants(&[Variant::all(
        "SELECT n.nspname::text AS schema_name, c.relname::text AS table_name, v.pid::int8 AS pid,
       (a.backend_type = 'autovacuum worker') AS automatic, v.phase
  FROM pg_catalog.pg_stat_progress_vacuum AS v
  JOIN pg_catalog.pg_class AS c ON c.oid = v.relid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = v.pid
 WHERE v.datname = pg_catalog.current_database()
 ORDER BY v.pid
 LIMIT 200",
    )]);
