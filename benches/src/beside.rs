//! One read by an MCP client, over stdio and over HTTP: lockgate as it is operated, a server of this build and this MCP library
//! that only echoes, and two others from the registries that send the very same SQL to the same PostgreSQL. All are
//! processes of their own with their defaults, but for lockgate's limit of calls a minute, and all are asked by the same
//! client.

mod client;
pub mod echo;
mod peers;
mod server;

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value as Json, json};

use crate::measure::{Samples, rounded};
use server::Server;

/// Callers of the measurement under load.
pub const CALLERS: usize = 16;

/// What was measured of one server on one transport.
pub struct Row {
    pub server: &'static str,
    pub transport: &'static str,
    /// The revision of MCP that the client and it agreed on.
    pub revision: String,
    /// From its start to its first list of tools.
    pub start: Duration,
    pub alone: Samples,
    pub many: Samples,
    /// Calls in a second of all callers together.
    pub rate: f64,
    /// Resident after all that, with its child processes, in MiB.
    pub memory: f64,
}

/// All that was measured, and what could not be.
pub struct Beside {
    pub rows: Vec<Row>,
    pub left_out: Vec<String>,
}

/// Measures one after the other, so that each has the machine for itself.
pub async fn beside() -> Result<Beside> {
    // The client's HTTP library wants to know which cryptography it has, though nothing here is encrypted. It may have been
    // told before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let setting = server::Setting::new().await?;
    let mut beside = Beside { rows: Vec::new(), left_out: Vec::new() };
    let (peers, left_out) = peers::installed(&setting)?;
    beside.left_out = left_out;
    let own = vec![echo::stdio()?, setting.lockgate_stdio()?, echo::http()?, setting.lockgate_http()?];
    for server in own.into_iter().chain(peers) {
        eprintln!("measuring {} over {} …", server.name, server.transport());
        beside.rows.push(row(server).await?);
    }
    Ok(beside)
}

async fn row(server: Server) -> Result<Row> {
    let (name, transport) = (server.name, server.transport());
    let (mut running, start) = client::start(server).await?;
    let alone = running.alone().await?;
    let (many, rate) = running.many(CALLERS).await?;
    let row = Row {
        server: name,
        transport,
        revision: running.revision(),
        start,
        alone,
        many,
        rate,
        memory: running.memory()?,
    };
    running.stop().await;
    Ok(row)
}

impl Beside {
    /// The table.
    pub fn print(&self) {
        println!(
            "{:<34}{:>7}{:>12}{:>10}{:>10}{:>12}{:>10}{:>11}{:>10}",
            "One read by an MCP client", "", "revision", "p50 ms", "p99 ms", "calls/s 16", "p99 16", "start ms", "MiB"
        );
        for row in &self.rows {
            println!(
                "  {:<32}{:>7}{:>12}{:>10.2}{:>10.2}{:>12.0}{:>10.1}{:>11.0}{:>10.0}",
                row.server,
                row.transport,
                row.revision,
                row.alone.p50() / 1e3,
                row.alone.p99() / 1e3,
                row.rate,
                row.many.p99() / 1e3,
                row.start.as_secs_f64() * 1e3,
                row.memory,
            );
        }
        for line in &self.left_out {
            println!("  {line}");
        }
    }

    /// For the file.
    pub fn to_json(&self) -> Json {
        let row = |row: &Row| {
            json!({
                "server": row.server,
                "transport": row.transport,
                "revision": row.revision,
                "one_caller": row.alone.to_json(),
                "one_caller_p99_us": rounded(row.alone.p99()),
                "callers": CALLERS,
                "many_callers": row.many.to_json(),
                "many_callers_p99_us": rounded(row.many.p99()),
                "calls_per_second": rounded(row.rate),
                "start_ms": rounded(row.start.as_secs_f64() * 1e3),
                "resident_mib": rounded(row.memory),
            })
        };
        json!({ "rows": self.rows.iter().map(row).collect::<Vec<_>>(), "left_out": self.left_out })
    }
}
