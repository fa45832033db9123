//! An audit of connections, application by application: how many each holds, what they do, how they came in and as whom, and
//! what an operator would want changed. Not the first look in an incident (`postgres.connections` is), but the list to go
//! through when there is time.

mod findings;

use lockgate_pack::{Action, Call, Column, Failure, Input, Kind, Outcome, Pack, Param, Statement, Variant};

/// Without it other people's sessions show neither state nor address.
static SEES_OTHERS: Statement = Statement::read("sees_others")
    .columns(&[Column::boolean("sees_others")])
    .variants(&[Variant::all("SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_others")])
    .max_rows(1);

static APPLICATIONS: Statement = Statement::read("applications")
    .inputs(&[Input::new("old_minutes", Kind::Integer)])
    .columns(&[
        Column::text("application"),
        Column::text("user_name"),
        Column::text("database"),
        Column::integer("connections"),
        Column::integer("active"),
        Column::integer("idle"),
        Column::integer("idle_in_transaction"),
        Column::integer("old"),
        Column::integer("addresses"),
        Column::integer("remote_without_tls"),
        Column::boolean("superuser"),
        Column::integer("user_limit"),
    ])
    .variants(&[Variant::all(
        "SELECT a.application_name AS application, a.usename::text AS user_name, a.datname::text AS database,
       pg_catalog.count(*)::int8 AS connections,
       (pg_catalog.count(*) FILTER (WHERE a.state = 'active'))::int8 AS active,
       (pg_catalog.count(*) FILTER (WHERE a.state = 'idle'))::int8 AS idle,
       (pg_catalog.count(*) FILTER (WHERE a.state LIKE 'idle in transaction%'))::int8 AS idle_in_transaction,
       (pg_catalog.count(*) FILTER (WHERE a.backend_start
           < pg_catalog.clock_timestamp() - pg_catalog.make_interval(mins => $1::int8::int4)))::int8 AS old,
       pg_catalog.count(DISTINCT a.client_addr)::int8 AS addresses,
       (pg_catalog.count(*) FILTER (WHERE NOT s.ssl AND a.client_addr IS NOT NULL
           AND NOT a.client_addr <<= '127.0.0.0/8'::inet AND a.client_addr <> '::1'::inet))::int8 AS remote_without_tls,
       pg_catalog.bool_or(r.rolsuper) AS superuser, pg_catalog.max(r.rolconnlimit)::int8 AS user_limit
  FROM pg_catalog.pg_stat_activity AS a
  LEFT JOIN pg_catalog.pg_stat_ssl AS s ON s.pid = a.pid
  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
 WHERE a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
 GROUP BY a.application_name, a.usename, a.datname
 ORDER BY pg_catalog.count(*) DESC, a.application_name, a.usename, a.datname
 LIMIT 500",
    )])
    .max_rows(500);

static PLACES: Statement = Statement::read("places")
    .columns(&[Column::integer("places")])
    .variants(&[Variant::all(
        "SELECT (pg_catalog.current_setting('max_connections')::int8
        - pg_catalog.current_setting('superuser_reserved_connections')::int8)::int8 AS places",
    )])
    .max_rows(1);

static AUDIT: Action = Action::read("audit")
    .title("Connection audit")
    .description(
        "Client connections by application, user and database, the most first, with what an operator would want changed: \
         applications without a name, most of the places taken by one, superusers, connections from other machines without TLS, \
         transactions left open, and pools that never renew a connection. Leaves out the connection that asks.",
    )
    .params(&[Param::integer("old_minutes", 1, 100_000)
        .default(1440)
        .describe("From what age on a connection counts as old, in minutes")])
    .statements(&[&SEES_OTHERS, &APPLICATIONS, &PLACES])
    .privileges(&["pg_monitor"])
    .search_terms(&[
        "connection audit",
        "who connects as superuser",
        "unencrypted connections",
        "application without a name",
        "connections by application",
        "pool too large",
    ])
    .examples(&[
        ("which applications connect, and how?", "{}"),
        ("which pools keep connections for more than an hour?", r#"{"old_minutes": 60}"#),
    ])
    .run(audit);

/// The pack.
pub static PACK: Pack = Pack::new("connections", env!("CARGO_PKG_VERSION"))
    .summary("Who is connected, application by application, and what to change")
    .actions(&[&AUDIT]);

lockgate_pack::export!(PACK);

fn audit(call: &Call<'_>) -> Result<Outcome, Failure> {
    let sees = call.execute(&SEES_OTHERS)?;
    if sees.first().map(|row| row.boolean("sees_others")).transpose()?.flatten() != Some(true) {
        return Err(Failure::missing_privilege("the role can't see other sessions: grant it pg_monitor"));
    }
    let rows = call.execute(&APPLICATIONS)?;
    let places = call.execute(&PLACES)?.integers("places")?.first().copied().unwrap_or_default();
    let connections: i64 = rows.integers("connections")?.into_iter().sum();
    let (groups, findings) = (rows.count(), findings::of(&rows, places)?);
    let mut outcome = Outcome::new(format!("{connections} connections of {places} places, in {groups} groups"));
    for (severity, text) in findings {
        outcome = outcome.finding(severity, text);
    }
    Ok(outcome.table("Connections by application", rows))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
