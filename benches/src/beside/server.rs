//! Servers, and how each is started. Where they all run the same statement, it is the one that the stock pack declares for
//! `postgres.uptime`, on connections of the same role over TCP to the same PostgreSQL.

use std::{net::TcpListener, process::Stdio};

use anyhow::Result;
use lockgate::{
    mcp::token,
    postgres::throwaway::{Cluster, Options},
};
use lockgate_tests::{
    AGENT,
    site::{self, Site},
};
use serde_json::{Value as Json, json};
use tokio::process::Command;

use crate::{
    HOST,
    setting::{self, TARGET},
};

/// What lockgate's tool is called.
const TOOL: &str = "postgres.uptime";

/// How a server is spoken to.
pub enum Way {
    Stdio,
    Http { url: String, port: u16, token: Option<String> },
}

/// A server that can be started, and the one call that is made of it.
pub struct Server {
    pub name: &'static str,
    pub command: Command,
    pub way: Way,
    pub tool: &'static str,
    pub arguments: Json,
    /// Is in every right answer.
    pub expected: &'static str,
}

impl Server {
    /// In one word.
    pub fn transport(&self) -> &'static str {
        match self.way {
            Way::Stdio => "stdio",
            Way::Http { .. } => "HTTP",
        }
    }
}

/// The server of PostgreSQL, and lockgate's files.
pub struct Setting {
    pub cluster: Cluster,
    /// What all of them run.
    pub sql: String,
    pub port: u16,
    site: Site,
    token: String,
    _record: tempfile::TempDir,
}

impl Setting {
    /// Starts PostgreSQL and lays out a host.
    pub async fn new() -> Result<Self> {
        let hba = vec![format!("host all {AGENT} 127.0.0.1/32 trust")];
        let cluster = Cluster::primary(Options { tcp: true, hba, ..Options::default() }).start().await?;
        cluster.execute(&format!("CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor, pg_signal_backend")).await?;
        let record = tempfile::Builder::new().prefix("lockgate-bench").tempdir_in(setting::on_disk())?;
        let (token, digest) = token::generate()?;
        let port = free_port()?;
        let more = format!(
            "{UNLIMITED}[mcp.http]\nlisten = \"127.0.0.1:{port}\"\n[[mcp.agent]]\nname = \"bench\"\nperson = \"ada\"\n\
             token_sha256 = \"{digest}\"\n[record]\ndir = \"{}\"\n",
            record.path().display(),
            UNLIMITED = setting::UNLIMITED
        );
        let mut target = cluster.target(TARGET, AGENT, "postgres");
        target.socket_dir = None;
        target.host = Some("127.0.0.1".into());
        let site = Site::new(&[target], &more);
        site.add(site::stock_pack().await);
        site.add(site::diagnose_pack().await);
        let gate = site.gate().await;
        let entry =
            gate.rules().catalog.get(TOOL).cloned().ok_or_else(|| anyhow::anyhow!("the stock pack has `{TOOL}`"))?;
        let sql = setting::text(&entry.action, "uptime", cluster.major())?.to_owned();
        Ok(Self { cluster, sql, port, site, token, _record: record })
    }

    /// `lockgate mcp`.
    pub fn lockgate_stdio(&self) -> Result<Server> {
        Ok(self.lockgate(self.command("mcp")?, Way::Stdio))
    }

    /// `lockgate serve`.
    pub fn lockgate_http(&self) -> Result<Server> {
        let way = Way::Http {
            url: format!("http://127.0.0.1:{}/mcp", self.port),
            port: self.port,
            token: Some(self.token.clone()),
        };
        Ok(self.lockgate(self.command("serve")?, way))
    }

    fn lockgate(&self, command: Command, way: Way) -> Server {
        let arguments = json!({ "reason": "a bench reads the uptime" });
        Server { name: "lockgate", command, way, tool: TOOL, arguments, expected: "server_version" }
    }

    fn command(&self, subcommand: &str) -> Result<Command> {
        let mut command = this_program()?;
        command.arg("--config").arg(self.site.path("lockgate.toml")).arg(subcommand);
        command.env(HOST, "1").env("LOCKGATE_LOG", "error");
        Ok(command)
    }
}

/// This program again, in another part.
pub fn this_program() -> Result<Command> {
    Ok(program(std::env::current_exe()?))
}

/// A program that nobody listens to but by its protocol.
pub fn program(path: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
