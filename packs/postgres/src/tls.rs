//! How connections are protected on their way.

use lockgate_pack::{Action, Call, Column, Failure, Outcome, Statement, Variant};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    words::counted,
};

use crate::common::listed;

pub(crate) static SSL_READ: Statement = Statement::read("ssl_connections")
    .columns(&[
        Column::integer("pid"),
        Column::text("user_name"),
        Column::text("application"),
        Column::text("client"),
        Column::text("database"),
        Column::text("backend_type"),
        Column::text("protection"),
        Column::text("tls_version"),
        Column::text("cipher"),
        Column::integer("bits"),
        Column::text("client_subject"),
        Column::text("client_issuer"),
    ])
    .variants(&[Variant::all(
        "SELECT a.pid::int8 AS pid, a.usename::text AS user_name, a.application_name AS application,
       pg_catalog.host(a.client_addr) AS client, a.datname::text AS database, a.backend_type,
       CASE WHEN s.ssl THEN 'TLS' WHEN g.encrypted THEN 'GSSAPI' WHEN a.client_addr IS NULL THEN 'none: local socket'
            ELSE 'none' END AS protection,
       s.version AS tls_version, s.cipher, s.bits::int8 AS bits, s.client_dn AS client_subject, s.issuer_dn AS client_issuer
  FROM pg_catalog.pg_stat_ssl AS s
  JOIN pg_catalog.pg_stat_activity AS a ON a.pid = s.pid
  LEFT JOIN pg_catalog.pg_stat_gssapi AS g ON g.pid = s.pid
 WHERE a.backend_type IN ('client backend', 'walsender')
 ORDER BY COALESCE(s.ssl, false) OR COALESCE(g.encrypted, false) OR a.client_addr IS NULL, s.version, a.pid
 LIMIT 1000",
    )])
    .max_rows(1000);

pub(crate) static SSL_CONNECTIONS: Action = Action::read("ssl_connections")
    .title("Connections and TLS")
    .description(
        "Each client and replication connection, the one that asks among them: whether TLS or GSSAPI encryption protects it, the \
         version and cipher of its TLS, and the subject and issuer of the certificate that its client showed. Those that cross \
         a network without protection come first; a local socket needs none.",
    )
    .statements(&[&SEES_OTHERS, &SSL_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "tls",
        "ssl",
        "encrypted connections",
        "unencrypted clients",
        "plaintext connections",
        "client certificate",
        "tls version",
        "cipher",
    ])
    .examples(&[("does anybody still connect without TLS?", "{}")])
    .run(ssl_connections);

fn ssl_connections(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let rows = call.execute(&SSL_READ)?;
    let protection = rows.texts("protection")?;
    let of = |kind: &str| i64::try_from(protection.iter().filter(|p| *p == kind).count()).unwrap_or(i64::MAX);
    let connections = counted(rows.count(), "connection", "connections");
    let summary = match of("none") {
        0 => format!("{connections}, {} over TLS; none crosses a network unprotected", of("TLS")),
        plain => format!("{connections}, {} over TLS; {plain} over a network without protection", of("TLS")),
    };
    Ok(listed(call, rows, 1000, "Connections", |_| summary))
}
