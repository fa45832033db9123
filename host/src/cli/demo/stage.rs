//! The stage: a primary with two streaming standbys, roles, a table of orders, and the sessions of the incident. Every
//! session is a real one; nothing here is lockgate's.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinSet,
};
use tokio_postgres::{Client, NoTls};

use super::{PATIENCE, STRAGGLERS, WRITERS, crashed, differs};
use crate::{
    error::{Code, Refusal},
    postgres::throwaway::{Cluster, Options, ThrowawayError},
};

/// The database of the shop.
pub(super) const DATABASE: &str = "shop";
/// The role that lockgate's targets use.
pub(super) const AGENT_ROLE: &str = "lockgate_agent";
/// The role of the deploy that crashed.
pub(super) const DEPLOY_ROLE: &str = "deploy";
/// Its application.
pub(super) const DEPLOY_APP: &str = "migrate-svc";
/// The role of the checkout.
const APP_ROLE: &str = "app";

/// Everything that exists before anything goes wrong. `pg_monitor` reads state, `pg_signal_backend` ends sessions, and
/// that is all lockgate's role may do.
const SCHEMA: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, region text NOT NULL, status text NOT NULL);
    INSERT INTO orders SELECT i, CASE WHEN i % 3 = 0 THEN 'us' ELSE 'eu' END, 'open' FROM generate_series(1, 3000) AS i;
    GRANT SELECT, UPDATE ON orders TO deploy, app;
    CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
";
const ROLES: &str = "
    CREATE ROLE lockgate_agent LOGIN;
    GRANT pg_monitor, pg_signal_backend TO lockgate_agent;
    CREATE ROLE deploy LOGIN;
    CREATE ROLE app LOGIN;
";

/// One server as lockgate is configured to reach it.
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) expect: &'static str,
    pub(super) socket_dir: PathBuf,
    pub(super) port: u16,
}

/// The cluster.
pub(super) struct Stage {
    primary: Cluster,
    standbys: [Cluster; 2],
    version: String,
}

/// Sessions that sit idle in a transaction for as long as this lives.
pub(super) struct Stragglers(#[expect(dead_code, reason = "dropping a client closes its session")] Vec<Client>);

/// The crashed client and the writers behind it.
pub(super) struct Incident {
    writers: JoinSet<Result<(), tokio_postgres::Error>>,
    _crashed: Child,
    _stragglers: Stragglers,
}

impl Stage {
    /// Starts the servers and makes roles and tables.
    pub(super) async fn build() -> Result<Self, Refusal> {
        let primary = Cluster::primary(Options { stat_statements: true, ..Options::default() }).start();
        let primary = primary.await.map_err(|e| cluster(&e))?;
        primary.execute(ROLES).await.map_err(|e| cluster(&e))?;
        primary.execute(&format!("CREATE DATABASE {DATABASE}")).await.map_err(|e| cluster(&e))?;
        primary.execute_in(DATABASE, SCHEMA).await.map_err(|e| cluster(&e))?;
        let one = Cluster::standby(&primary, Options::default()).start().await.map_err(|e| cluster(&e))?;
        let two = Cluster::standby(&primary, Options::default()).start().await.map_err(|e| cluster(&e))?;
        let streaming = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication WHERE state = 'streaming'";
        primary.wait_for(streaming, "2", PATIENCE).await.map_err(|e| cluster(&e))?;
        let version = primary.value("SHOW server_version").await.map_err(|e| cluster(&e))?.unwrap_or_default();
        let version = version.split(' ').next().unwrap_or_default().to_owned();
        Ok(Self { primary, standbys: [one, two], version })
    }

    /// The server's version, such as `15.18`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// The targets, primary first.
    pub(super) fn targets(&self) -> Vec<Place> {
        let place = |name, expect, cluster: &Cluster| Place {
            name,
            expect,
            socket_dir: cluster.socket_dir(),
            port: cluster.port(),
        };
        let [one, two] = &self.standbys;
        vec![
            place("primary", "primary", &self.primary),
            place("standby1", "standby", one),
            place("standby2", "standby", two),
        ]
    }

    /// Sessions of the failed deploy that are idle in a transaction and block nobody.
    pub(super) async fn stragglers(&self) -> Result<Stragglers, Refusal> {
        let mut clients = Vec::with_capacity(STRAGGLERS);
        for _ in 0..STRAGGLERS {
            let client = self.client(DEPLOY_ROLE, DEPLOY_APP).await?;
            let begun = client.batch_execute("BEGIN; SELECT count(*) FROM orders WHERE status = 'open'").await;
            begun.map_err(|e| differs(e.to_string()))?;
            clients.push(client);
        }
        Ok(Stragglers(clients))
    }

    /// The client that dies holding row locks, then the writers that want those rows. Returns when all of them wait.
    pub(super) async fn incident(&self, stragglers: Stragglers) -> Result<Incident, Refusal> {
        let crashed = self.crash().await?;
        let mut writers = JoinSet::new();
        let ids = self.primary_ids().await?;
        for id in ids {
            let client = self.client(APP_ROLE, "checkout").await?;
            writers.spawn(async move {
                client.execute("UPDATE orders SET status='paid' WHERE id=$1", &[&id]).await.map(|_| ())
            });
        }
        let waiting = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity \
            WHERE application_name = 'checkout' AND wait_event_type = 'Lock'";
        self.primary.wait_for(waiting, &WRITERS.to_string(), PATIENCE).await.map_err(|e| cluster(&e))?;
        Ok(Incident { writers, _crashed: crashed, _stragglers: stragglers })
    }

    /// A client in a process of its own, stopped where it stands once it holds its locks.
    async fn crash(&self) -> Result<Child, Refusal> {
        let failed = |e: &dyn std::fmt::Display| differs(format!("the client that is to crash can't be started: {e}"));
        let mut child = Command::new(std::env::current_exe().map_err(|e| failed(&e))?)
            .args(["demo-part", "crashed", "--socket-dir"])
            .arg(self.primary.socket_dir())
            .arg("--port")
            .arg(self.primary.port().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| failed(&e))?;
        let stdout = child.stdout.take().ok_or_else(|| failed(&"it has no output"))?;
        let mut lines = BufReader::new(stdout).lines();
        match tokio::time::timeout(PATIENCE, lines.next_line()).await {
            Ok(Ok(Some(line))) if line == crashed::READY => {}
            _ => return Err(failed(&"it took no locks")),
        }
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| failed(&"it is gone already"))?;
        kill_process(pid, Signal::STOP).map_err(|e| failed(&e))?;
        Ok(child)
    }

    /// Orders of the batch that the crashed client holds.
    async fn primary_ids(&self) -> Result<Vec<i64>, Refusal> {
        let client = self.client(APP_ROLE, "checkout").await?;
        let limit = i64::try_from(WRITERS).unwrap_or(i64::MAX);
        let rows = client.query("SELECT id FROM orders WHERE region='eu' ORDER BY id LIMIT $1", &[&limit]).await;
        Ok(rows.map_err(|e| differs(e.to_string()))?.iter().map(|row| row.get(0)).collect())
    }

    async fn client(&self, role: &str, application: &str) -> Result<Client, Refusal> {
        connect(&self.primary.socket_dir(), self.primary.port(), role, application).await
    }

    /// Stops the servers, standbys first, and removes their directories.
    pub(super) fn clean_up(self) {
        let Self { primary, standbys, .. } = self;
        drop(standbys);
        drop(primary);
    }

    /// Leaves the servers running; says how to stop each.
    pub(super) fn leave(self) -> Vec<String> {
        let [one, two] = self.standbys;
        [one, two, self.primary].into_iter().map(Cluster::leave).collect()
    }
}

impl Incident {
    /// How many of the writers have committed, once all have ended or patience has.
    pub(super) async fn committed(mut self, patience: Duration) -> Result<usize, Refusal> {
        let until = Instant::now() + patience;
        let mut committed = 0;
        while let Ok(Some(joined)) = tokio::time::timeout_at(until.into(), self.writers.join_next()).await {
            if matches!(joined, Ok(Ok(()))) {
                committed += 1;
            }
        }
        Ok(committed)
    }
}

/// A plain session, as an application would have it.
pub(super) async fn connect(socket_dir: &Path, port: u16, role: &str, application: &str) -> Result<Client, Refusal> {
    let mut config = tokio_postgres::Config::new();
    config.host_path(socket_dir).port(port).user(role).dbname(DATABASE).application_name(application);
    let (client, connection) =
        config.connect(NoTls).await.map_err(|e| differs(format!("{role} can't connect: {e}")))?;
    tokio::spawn(connection);
    Ok(client)
}

fn cluster(error: &ThrowawayError) -> Refusal {
    Refusal::new(Code::ConnectionFailed, error.to_string())
        .with_remedy("`scripts/setup` installs what the demonstration needs")
}
