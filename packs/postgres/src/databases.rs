//! The databases of the server: their counters, their sizes, and the extensions of the one that the target connects to.

use lockgate_pack::{Action, Call, Column, Failure, Outcome, Statement, Variant};
use lockgate_pack_shared::{
    monitor::MONITOR,
    utc,
    words::{counted, size},
};

use crate::{
    common::listed,
    replication::{RECOVERY_READ, in_recovery},
};

/// Sessions are counted from 14 on.
macro_rules! stats {
    ($sessions:literal) => {
        concat!(
            "SELECT d.datname::text AS database, d.numbackends::int8 AS connections, d.xact_commit AS commits,
       d.xact_rollback AS rollbacks,
       (100.0 * d.xact_rollback / NULLIF(d.xact_commit + d.xact_rollback, 0))::float8 AS rollback_percent,
       d.blks_hit AS blocks_hit, d.blks_read AS blocks_read,
       (100.0 * d.blks_hit / NULLIF(d.blks_hit + d.blks_read, 0))::float8 AS hit_percent,
       d.deadlocks, d.conflicts, d.temp_files, d.temp_bytes, d.checksum_failures,
       ",
            $sessions,
            ",
       ",
            utc!("d.stats_reset"),
            " AS stats_reset
  FROM pg_catalog.pg_stat_database AS d
 ORDER BY d.xact_commit + d.xact_rollback DESC, d.datname
 LIMIT 200"
        )
    };
}

pub(crate) static STATS_READ: Statement = Statement::read("database_stats")
    .columns(&[
        Column::text("database"),
        Column::integer("connections"),
        Column::integer("commits"),
        Column::integer("rollbacks"),
        Column::number("rollback_percent"),
        Column::integer("blocks_hit"),
        Column::integer("blocks_read"),
        Column::number("hit_percent"),
        Column::integer("deadlocks"),
        Column::integer("conflicts"),
        Column::integer("temp_files"),
        Column::integer("temp_bytes"),
        Column::integer("checksum_failures"),
        Column::integer("sessions"),
        Column::integer("sessions_abandoned"),
        Column::integer("sessions_fatal"),
        Column::integer("sessions_killed"),
        Column::text("stats_reset"),
    ])
    .variants(&[
        Variant::before(
            14,
            stats!(
                "NULL::int8 AS sessions, NULL::int8 AS sessions_abandoned, NULL::int8 AS sessions_fatal, \
                 NULL::int8 AS sessions_killed"
            ),
        ),
        Variant::from(14, stats!("d.sessions, d.sessions_abandoned, d.sessions_fatal, d.sessions_killed")),
    ]);

pub(crate) static DATABASE_STATS: Action = Action::read("database_stats")
    .title("Database statistics")
    .description(
        "Counters of each database since its statistics were last reset, the one with the most transactions first: commits and \
         rollbacks, blocks found in the buffer cache and read past it, deadlocks, conflicts with recovery (on standbys only), \
         temporary files, checksum failures (null where checksums are off), and how sessions ended (from PostgreSQL 14 on). The row without a name counts \
         objects that all databases share. Look twice and compare: a counter alone says nothing about now.",
    )
    .statements(&[&RECOVERY_READ, &STATS_READ])
    .search_terms(&[
        "deadlocks",
        "rollbacks",
        "cache hit ratio",
        "buffer cache",
        "temporary files",
        "temp files",
        "checksum failures",
        "data corruption",
        "transactions per second",
        "recovery conflicts",
    ])
    .examples(&[("are there deadlocks or many rollbacks? does the cache hold?", "{}")])
    .run(database_stats);

fn database_stats(call: &Call<'_>) -> Result<Outcome, Failure> {
    let standby = in_recovery(call)?;
    let rows = call.execute(&STATS_READ)?;
    let sum = |column| Ok::<i64, Failure>(rows.integers(column)?.into_iter().sum());
    let (deadlocks, damaged) = (sum("deadlocks")?, sum("checksum_failures")?);
    let databases = rows.texts("database")?.len();
    let summary = format!(
        "{}: {}, {}",
        counted(i64::try_from(databases).unwrap_or(i64::MAX), "database", "databases"),
        counted(sum("rollbacks")?, "rollback", "rollbacks"),
        counted(deadlocks, "deadlock", "deadlocks")
    );
    let mut outcome = listed(call, rows, 200, "Databases", |_| summary);
    if damaged > 0 {
        outcome = outcome.notice(format!(
            "{}: storage gave back damaged blocks",
            counted(damaged, "checksum failure", "checksum failures")
        ));
    }
    Ok(if standby {
        outcome.notice(
            "this is a standby: it counts its own sessions, queries and conflicts; the primary's are counted there",
        )
    } else {
        outcome
    })
}

pub(crate) static SIZES_READ: Statement = Statement::read("db_sizes")
    .columns(&[
        Column::text("database"),
        Column::integer("bytes"),
        Column::boolean("is_template"),
        Column::boolean("allows_connections"),
    ])
    // Without the right to look, the size function fails, and with it the whole answer.
    .variants(&[Variant::all(
        "SELECT d.datname::text AS database,
       CASE WHEN pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') OR pg_catalog.has_database_privilege(d.oid, 'CONNECT')
            THEN pg_catalog.pg_database_size(d.oid) END AS bytes,
       d.datistemplate AS is_template, d.datallowconn AS allows_connections
  FROM pg_catalog.pg_database AS d
 ORDER BY bytes DESC NULLS LAST, d.datname
 LIMIT 200",
    )])
    .timeout_ms(60_000);

pub(crate) static DB_SIZES: Action = Action::read("db_sizes")
    .title("Database sizes")
    .description(
        "The size of each database on disk in bytes, the largest first, in all its tablespaces, with indexes and dead rows. The \
         server adds up the sizes of all files for it, so it takes the longer the more tables there are.",
    )
    .statements(&[&SIZES_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "database size",
        "how big is the database",
        "largest database",
        "disk usage",
        "disk full",
        "disk space",
        "out of disk",
        "no space left on device",
        "disk is filling",
    ])
    .examples(&[("the disk fills up; which database is it?", "{}")])
    .run(db_sizes);

fn db_sizes(call: &Call<'_>) -> Result<Outcome, Failure> {
    let rows = call.execute(&SIZES_READ)?;
    let sizes = rows.integers("bytes")?;
    let unseen = i64::from(rows.count()) - i64::try_from(sizes.len()).unwrap_or_default();
    let summary = format!(
        "{}, {} in all",
        counted(rows.count(), "database", "databases"),
        size(sizes.into_iter().fold(0, i64::saturating_add))
    );
    let outcome = listed(call, rows, 200, "Databases", |_| summary);
    Ok(match unseen {
        1.. => outcome.notice(format!(
            "the size of {} is not known to this role: grant it pg_monitor",
            counted(unseen, "database", "databases")
        )),
        _ => outcome,
    })
}

pub(crate) static EXTENSIONS_READ: Statement = Statement::read("extensions_installed")
    .columns(&[
        Column::text("extension"),
        Column::text("version"),
        Column::text("available_version"),
        Column::boolean("update_available"),
        Column::text("schema"),
    ])
    .variants(&[Variant::all(
        "SELECT e.extname::text AS extension, e.extversion AS version, v.default_version AS available_version,
       COALESCE(v.default_version <> e.extversion, false) AS update_available, n.nspname::text AS schema
  FROM pg_catalog.pg_extension AS e
  JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
  LEFT JOIN pg_catalog.pg_available_extensions() AS v(name, default_version, comment) ON v.name = e.extname
 ORDER BY e.extname
 LIMIT 200",
    )]);

pub(crate) static EXTENSIONS_INSTALLED: Action = Action::read("extensions_installed")
    .title("Extensions")
    .description(
        "The extensions of the database that the target connects to: version, schema, and the version that the server's files \
         would install now. After an upgrade of the server or its packages an extension stays as it was until somebody runs \
         ALTER EXTENSION UPDATE. A null available_version means that the server's files no longer have the extension.",
    )
    .statements(&[&EXTENSIONS_READ])
    .search_terms(&[
        "installed extensions",
        "extension version",
        "extension outdated",
        "alter extension",
        "postgis",
        "pgvector",
        "plugins",
        "modules",
    ])
    .examples(&[("which extensions are there, and was one left behind by the upgrade?", "{}")])
    .run(extensions_installed);

fn extensions_installed(call: &Call<'_>) -> Result<Outcome, Failure> {
    let rows = call.execute(&EXTENSIONS_READ)?;
    let mut updates = 0_i64;
    for row in rows.iter() {
        updates += i64::from(row.boolean("update_available")? == Some(true));
    }
    let missing = i64::from(rows.count()) - i64::try_from(rows.texts("available_version")?.len()).unwrap_or_default();
    let extensions = counted(rows.count(), "extension", "extensions");
    let summary = match updates {
        0 => format!("{extensions}, each in the version that the server has"),
        1 => format!("{extensions}; 1 is not in the version that the server has"),
        _ => format!("{extensions}; {updates} are not in the versions that the server has"),
    };
    let outcome = listed(call, rows, 200, "Extensions", |_| summary);
    Ok(match missing {
        1.. => outcome
            .notice(format!("the server no longer has the files of {}", counted(missing, "extension", "extensions"))),
        _ => outcome,
    })
}
