//! The stage of the incident: a primary, two streaming standbys, a shop, and the sessions of the night. Nothing here is
//! lockgate's but the throwaway servers.

use std::{process::Stdio, time::Duration};

use lockgate::postgres::{
    TargetSettings,
    throwaway::{Cluster, Options},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
    task::JoinSet,
};
use tokio_postgres::{Client, NoTls};

use crate::process::bare;

/// As in the story.
pub const WRITERS: usize = 30;
/// As in the story.
pub const STRAGGLERS: usize = 5;
/// The role of lockgate's targets.
const AGENT: &str = "lockgate_agent";
/// The database.
const SHOP: &str = "shop";
/// For each step of the stage on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The servers.
pub struct Stage {
    pub primary: Cluster,
    pub standbys: [Cluster; 2],
}

impl Stage {
    /// Servers, roles and tables.
    pub async fn build() -> Self {
        let primary = Cluster::primary(Options { log_statements: true, ..Options::default() });
        let primary = primary.start().await.expect("a primary");
        let roles = "CREATE ROLE lockgate_agent LOGIN IN ROLE pg_monitor, pg_signal_backend; \
            CREATE ROLE deploy LOGIN; CREATE ROLE app LOGIN";
        primary.execute(roles).await.expect("roles");
        primary.execute("CREATE DATABASE shop").await.expect("a database");
        let tables = "CREATE TABLE orders (id bigint PRIMARY KEY, region text NOT NULL, status text NOT NULL); \
            INSERT INTO orders SELECT i, 'eu', 'open' FROM generate_series(1, 100) AS i; \
            GRANT SELECT, UPDATE ON orders TO deploy, app";
        primary.execute_in(SHOP, tables).await.expect("a table");
        let one = Cluster::standby(&primary, Options::default()).start().await.expect("a standby");
        let two = Cluster::standby(&primary, Options::default()).start().await.expect("a standby");
        let streaming = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication WHERE state = 'streaming'";
        primary.wait_for(streaming, "2", PATIENCE).await.expect("two standbys stream");
        Self { primary, standbys: [one, two] }
    }

    /// The targets as an operator configures them.
    pub fn targets(&self) -> Vec<TargetSettings> {
        let target = |cluster: &Cluster, name, expect| {
            let mut settings = cluster.target(name, AGENT, SHOP);
            settings.expect = Some(expect);
            settings
        };
        use lockgate::postgres::Expect::{Primary, Standby};
        vec![
            target(&self.primary, "primary", Primary),
            target(&self.standbys[0], "standby1", Standby),
            target(&self.standbys[1], "standby2", Standby),
        ]
    }

    /// Sessions of the failed deploy that sit idle in a transaction and block nobody.
    pub async fn stragglers(&self) -> Vec<Client> {
        let mut stragglers = Vec::new();
        for _ in 0..STRAGGLERS {
            let client = session(&self.primary, "deploy", "migrate-svc").await;
            client.batch_execute("BEGIN; SELECT count(*) FROM orders").await.expect("a transaction is begun");
            stragglers.push(client);
        }
        stragglers
    }

    /// A client in a process of its own that holds row locks and was stopped where it stands. The pid is its backend's.
    pub async fn crash(&self) -> (Child, i64) {
        let mut process = bare()
            .args(["demo-part", "crashed", "--socket-dir"])
            .arg(self.primary.socket_dir())
            .args(["--port", &self.primary.port().to_string()])
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the client starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let ready = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it says something");
        assert_eq!(ready.expect("it can be heard").as_deref(), Some("locked"));
        let pid = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it is there");
        kill_process(pid, Signal::STOP).expect("it can be stopped");
        let backend =
            "SELECT pid FROM pg_catalog.pg_stat_activity WHERE query LIKE '%FOR UPDATE' AND usename = 'deploy'";
        let backend = self.primary.value(backend).await.expect("an answer").expect("its backend");
        (process, backend.parse().expect("a pid"))
    }

    /// Writers that want the rows. Returns when all of them wait.
    pub async fn writers(&self) -> JoinSet<u64> {
        let mut writers = JoinSet::new();
        for id in 1..=i64::try_from(WRITERS).unwrap() {
            let client = session(&self.primary, "app", "checkout").await;
            writers.spawn(async move {
                let update = "UPDATE orders SET status = 'paid' WHERE id = $1";
                client.execute(update, &[&id]).await.expect("the update is committed")
            });
        }
        let waiting = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity \
            WHERE application_name = 'checkout' AND wait_event_type = 'Lock'";
        self.primary.wait_for(waiting, &WRITERS.to_string(), PATIENCE).await.expect("all writers wait");
        writers
    }
}

/// A plain session, as an application has it.
pub async fn session(cluster: &Cluster, role: &str, application: &str) -> Client {
    let mut config = cluster.superuser();
    config.user(role).dbname(SHOP).application_name(application);
    let (client, connection) = config.connect(NoTls).await.expect("a session");
    tokio::spawn(connection);
    client
}
