//! The settings that somebody changed.

use lockgate_pack::{Action, Call, Column, Failure, Outcome, Statement, Variant};
use lockgate_pack_shared::{monitor::MONITOR, words::counted};

use crate::common::listed;

/// Without `pg_read_all_settings`, which `pg_monitor` has, some settings are left out of `pg_settings` without a word.
pub(crate) static SEES_SETTINGS: Statement = Statement::read("sees_all_settings")
    .columns(&[Column::boolean("sees_settings")])
    .variants(&[Variant::all("SELECT pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE') AS sees_settings")])
    .max_rows(1);

/// A value may be a secret, and is not shown, in text settings whose name says that they connect somewhere, authenticate or
/// run a command; and in settings of other modules than PostgreSQL's own: anybody can make up `x.y` and keep anything in
/// it. Of the modules that come with PostgreSQL, settings of a type that the server checks are shown; text is not.
pub(crate) static SETTINGS_READ: Statement = Statement::read("settings_non_default")
    .columns(&[
        Column::text("name"),
        Column::text("value"),
        Column::text("unit"),
        Column::text("default_value"),
        Column::boolean("redacted"),
        Column::text("source"),
        Column::text("source_file"),
        Column::integer("source_line"),
        Column::text("context"),
        Column::boolean("pending_restart"),
    ])
    .variants(&[Variant::all(
        "WITH changed AS MATERIALIZED (
    SELECT s.name, s.setting, s.unit, s.boot_val, s.source, s.sourcefile, s.sourceline, s.context, s.pending_restart,
           CASE WHEN pg_catalog.strpos(s.name, '.') > 0
                    THEN s.vartype = 'string' OR pg_catalog.split_part(s.name, '.', 1) NOT IN
                         ('auth_delay', 'auto_explain', 'pg_prewarm', 'pg_stat_statements', 'pg_trgm', 'plpgsql', 'postgres_fdw')
                ELSE s.vartype = 'string' AND s.name ~*
                     'command|conninfo|passw|passphrase|secret|token|credential|private|ldap|krb|kerberos|gss|radius|oauth'
           END AS secret
      FROM pg_catalog.pg_settings AS s
     WHERE (s.source NOT IN ('default', 'override', 'dynamic default', 'client', 'session', 'interactive')
            AND s.setting IS DISTINCT FROM s.boot_val)
        OR s.pending_restart
)
SELECT c.name, CASE WHEN c.secret AND c.setting <> '' THEN '[redacted]' ELSE c.setting END AS value, c.unit,
       CASE WHEN c.secret AND c.boot_val <> '' THEN '[redacted]' ELSE c.boot_val END AS default_value,
       c.secret AS redacted, c.source, c.sourcefile AS source_file, c.sourceline::int8 AS source_line, c.context,
       c.pending_restart
  FROM changed AS c
 ORDER BY c.name
 LIMIT 500",
    )])
    .max_rows(500);

pub(crate) static SETTINGS_NON_DEFAULT: Action = Action::read("settings_non_default")
    .title("Settings that were changed")
    .description(
        "The settings that are not at their default: value (in unit, if there is one), default, where it was set, and whether \
         a change waits for a restart (the value is then the one in force, not the one to come). Values that may hold a secret \
         are not shown, only that they are set: commands, connection strings, and the settings of modules that did not come \
         with PostgreSQL. What this connection sets for itself (time limits, search_path, application_name and the like) is left \
         out; what was set for its role or its database is in the list, with that as its source.",
    )
    .statements(&[&SEES_SETTINGS, &SETTINGS_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "postgresql.conf",
        "configuration",
        "config changed",
        "parameters",
        "pg_settings",
        "pending restart",
        "tuning",
        "work_mem",
        "shared_buffers",
    ])
    .examples(&[("what was changed in the configuration, and does anything wait for a restart?", "{}")])
    .run(settings_non_default);

fn settings_non_default(call: &Call<'_>) -> Result<Outcome, Failure> {
    let sees = call.execute(&SEES_SETTINGS)?;
    if sees.first().map(|row| row.boolean("sees_settings")).transpose()?.flatten() != Some(true) {
        return Err(Failure::missing_privilege(
            "the role can't see all settings, so the answer would lack some: grant it pg_monitor",
        ));
    }
    let rows = call.execute(&SETTINGS_READ)?;
    let mut pending = 0_i64;
    for row in rows.iter() {
        pending += i64::from(row.boolean("pending_restart")? == Some(true));
    }
    let settings = counted(rows.count(), "setting differs from its default", "settings differ from their defaults");
    let summary = match pending {
        0 => format!("{settings}; none waits for a restart"),
        1 => format!("{settings}; 1 waits for a restart"),
        _ => format!("{settings}; {pending} wait for a restart"),
    };
    Ok(listed(call, rows, 500, "Settings", |_| summary))
}
