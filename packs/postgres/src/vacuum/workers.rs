//! Autovacuum's workers.

use lockgate_pack::{Action, Call, Column, Failure, Outcome, Severity, Statement, Variant};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    seconds_since, utc,
};

/// A worker that vacuums or analyzes says in the progress views on what; before it has chosen a table it says nothing.
pub(crate) static WORKERS_READ: Statement = Statement::read("autovacuum_workers")
    .columns(&[
        Column::integer("pid"),
        Column::text("database"),
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::text("doing"),
        Column::text("phase"),
        Column::boolean("against_wraparound"),
        Column::text("started_at"),
        Column::integer("worker_seconds"),
        Column::integer("table_seconds"),
        Column::text("wait_event_type"),
        Column::text("wait_event"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT a.pid::int8 AS pid, a.datname::text AS database, n.nspname::text AS schema_name,
       COALESCE(o.relname, c.relname)::text AS table_name,
       CASE WHEN v.pid IS NOT NULL THEN CASE WHEN o.oid IS NULL THEN 'vacuum' ELSE 'vacuum of toast' END
            WHEN y.pid IS NOT NULL THEN 'analyze' ELSE 'between tables' END AS doing,
       COALESCE(v.phase, y.phase) AS phase,
       pg_catalog.strpos(a.query, '(to prevent wraparound)') > 0 AS against_wraparound,
       ",
        utc!("a.backend_start"),
        " AS started_at,
       ",
        seconds_since!("a.backend_start"),
        " AS worker_seconds,
       ",
        seconds_since!("a.xact_start"),
        " AS table_seconds, a.wait_event_type, a.wait_event
  FROM pg_catalog.pg_stat_activity AS a
  LEFT JOIN pg_catalog.pg_stat_progress_vacuum AS v ON v.pid = a.pid
  LEFT JOIN pg_catalog.pg_stat_progress_analyze AS y ON y.pid = a.pid
  LEFT JOIN pg_catalog.pg_class AS c ON c.oid = COALESCE(v.relid, y.relid) AND a.datname = pg_catalog.current_database()
  LEFT JOIN pg_catalog.pg_class AS o ON c.relkind = 't' AND o.reltoastrelid = c.oid
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = COALESCE(o.relnamespace, c.relnamespace)
 WHERE a.backend_type = 'autovacuum worker'
 ORDER BY a.backend_start, a.pid
 LIMIT 200"
    ))
    .primary()]);

pub(crate) static AUTOVACUUM_READ: Statement = Statement::read("autovacuum_settings")
    .columns(&[
        Column::boolean("autovacuum"),
        Column::boolean("track_counts"),
        Column::integer("max_workers"),
        Column::text("naptime"),
        Column::text("cost_delay"),
        Column::integer("cost_limit"),
    ])
    .variants(&[Variant::all(
        "SELECT pg_catalog.current_setting('autovacuum')::bool AS autovacuum,
       pg_catalog.current_setting('track_counts')::bool AS track_counts,
       pg_catalog.current_setting('autovacuum_max_workers')::int8 AS max_workers,
       pg_catalog.current_setting('autovacuum_naptime') AS naptime,
       CASE pg_catalog.current_setting('autovacuum_vacuum_cost_delay') WHEN '-1' THEN pg_catalog.current_setting('vacuum_cost_delay')
            ELSE pg_catalog.current_setting('autovacuum_vacuum_cost_delay') END AS cost_delay,
       CASE pg_catalog.current_setting('autovacuum_vacuum_cost_limit') WHEN '-1' THEN pg_catalog.current_setting('vacuum_cost_limit')
            ELSE pg_catalog.current_setting('autovacuum_vacuum_cost_limit') END::int8 AS cost_limit",
    )
    .primary()])
    .max_rows(1);

pub(crate) static AUTOVACUUM_WORKERS: Action = Action::read("autovacuum_workers")
    .title("Autovacuum workers")
    .description(
        "The autovacuum workers that run now, on which table and since when, against how many there may be, with the settings that \
         pace them. All of them busy for long means that tables wait: see vacuum_status. One against wraparound is not to be cancelled: \
         it comes back. Tables of other databases have no name here. A standby runs none.",
    )
    .statements(&[&SEES_OTHERS, &AUTOVACUUM_READ, &WORKERS_READ])
    .privileges(MONITOR)
    .on_standby(false)
    .search_terms(&[
        "autovacuum running",
        "autovacuum launcher",
        "autovacuum_max_workers",
        "vacuum cost limit",
        "autovacuum uses io",
        "workers busy",
        "autovacuum process",
    ])
    .examples(&[("is autovacuum running at all?", "{}"), ("are all workers busy?", "{}")])
    .run(workers);

fn workers(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let settings = call.execute(&AUTOVACUUM_READ)?;
    let rows = call.execute(&WORKERS_READ)?;
    let Some(row) = settings.first() else { return Err(Failure::internal("the settings statement gave no row")) };
    let max = row.integer("max_workers")?.unwrap_or_default();
    let off = row.boolean("autovacuum")? == Some(false) || row.boolean("track_counts")? == Some(false);
    let count = i64::from(rows.count());
    let all = count > 0 && count >= max;
    let outcome = Outcome::new(format!("{count} of {max} autovacuum workers run")).table("Workers", rows);
    let outcome = outcome.table("Settings", settings);
    Ok(if off {
        outcome.finding(Severity::Warning, "autovacuum is off (or track_counts is): it only comes against wraparound")
    } else if all {
        outcome.finding(Severity::Notice, "all workers are busy: other tables wait until one is done")
    } else {
        outcome
    })
}
