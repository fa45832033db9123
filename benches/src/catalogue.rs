//! Every action of the stock packs on a database that is large and has nothing to do: thousands of tables, hundreds of
//! connections. An on-call person's first look must not be what a busy server waits for.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use lockgate::{
    gate::{Gate, call::Answer},
    postgres::throwaway::{Cluster, Options},
};
use lockgate_tests::{
    AGENT,
    site::{self, Site},
};
use serde_json::{Value as Json, json};
use tokio_postgres::{Client, NoTls};

use crate::measure::{Samples, rounded, timed};

/// Tables, each with a primary key, a second index, a sequence and a TOAST table.
pub const TABLES: usize = 5_000;
/// Sessions that are connected and idle.
pub const CONNECTIONS: usize = 300;
/// Milliseconds that an answer may take, at the 95th percentile.
pub const BUDGET_MS: f64 = 50.0;
/// Calls of each action that count, after the first.
const CALLS: usize = 60;
/// Tables made in one transaction: each is several locks.
const BATCH: usize = 500;
const DATABASE: &str = "large";
const TARGET: &str = "large";

/// How long one action takes.
pub struct Timed {
    /// `pack.action`.
    pub action: String,
    /// The first call, which fills the caches of its connection.
    pub first: Duration,
    /// Those after it.
    pub times: Samples,
    /// How a call ended: `done`, `pending`, or the code of the refusal.
    pub answer: String,
}

impl Timed {
    /// The 95th percentile in milliseconds.
    pub fn p95_ms(&self) -> f64 {
        self.times.p95() / 1e3
    }

    /// For the file.
    pub fn to_json(&self) -> Json {
        json!({
            "action": self.action,
            "answer": self.answer,
            "first_ms": rounded(self.first.as_secs_f64() * 1e3),
            "times": self.times.to_json(),
        })
    }
}

/// The server with its tables and its sessions.
struct Large {
    cluster: Cluster,
    /// Kept open; one of them runs a query, one sits in a transaction.
    _idle: Vec<Client>,
    active: i32,
    in_transaction: i32,
}

/// Calls every action again and again; the slowest first.
pub async fn catalogue() -> Result<Vec<Timed>> {
    let large = Large::new().await?;
    let mut settings = large.cluster.target(TARGET, AGENT, DATABASE);
    settings.pool_size = Some(4);
    let site = Site::with_stock_packs(&[settings], "").await;
    let gate = site.gate().await;
    let mut all = Vec::new();
    for offer in gate.offers(&site::principal()) {
        all.push(action(&gate, &offer.name, &large.arguments(&offer.name)).await?);
    }
    all.sort_by(|a, b| b.times.p95().total_cmp(&a.times.p95()));
    Ok(all)
}

async fn action(gate: &Arc<Gate>, name: &str, arguments: &Json) -> Result<Timed> {
    let call = async || match site::call(gate, name, TARGET, arguments.clone()).await {
        Ok(Answer::Done(_)) => "done".to_owned(),
        Ok(Answer::Pending(_)) => "pending".to_owned(),
        Err(refused) => refused.refusal.code.as_str().to_owned(),
    };
    let (first, answer) = timed(call()).await;
    let mut times = Samples::default();
    for _ in 0..CALLS {
        let (time, again) = timed(call()).await;
        if again != answer {
            bail!("{name} answered `{answer}`, and then `{again}`");
        }
        times.push(time);
    }
    Ok(Timed { action: name.to_owned(), first, times, answer })
}

impl Large {
    async fn new() -> Result<Self> {
        let conf = ["max_connections = 340", "max_locks_per_transaction = 256", "autovacuum = off"];
        let conf = conf.map(str::to_owned).to_vec();
        let cluster = Cluster::primary(Options { conf, stat_statements: true, ..Options::default() }).start().await?;
        cluster.execute(&format!("CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor, pg_signal_backend")).await?;
        // As the owner, the role may maintain the tables.
        cluster.execute(&format!("CREATE ROLE app LOGIN; GRANT app TO {AGENT}")).await?;
        cluster.execute(&format!("CREATE DATABASE {DATABASE} OWNER app")).await?;
        let admin = cluster.connect_to(DATABASE).await?;
        admin.batch_execute("CREATE EXTENSION pg_stat_statements; GRANT CREATE ON SCHEMA public TO app").await?;
        admin.batch_execute("SET ROLE app").await?;
        for from in (0..TABLES).step_by(BATCH) {
            let to = (from + BATCH).min(TABLES) - 1;
            admin
                .batch_execute(&format!(
                    "DO $$ BEGIN FOR n IN {from}..{to} LOOP
                         EXECUTE pg_catalog.format('CREATE TABLE public.t_%s (id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz, note text)', n);
                         EXECUTE pg_catalog.format('CREATE INDEX ON public.t_%s (at)', n);
                         EXECUTE pg_catalog.format('INSERT INTO public.t_%s (at, note) SELECT now(), i::text FROM pg_catalog.generate_series(1, 20) i', n);
                     END LOOP; END $$"
                ))
                .await?;
        }
        admin.batch_execute("RESET ROLE").await?;
        admin.batch_execute("VACUUM ANALYZE").await?;
        let mut idle = vec![admin];
        while idle.len() < CONNECTIONS {
            let mut config = cluster.superuser();
            config.user("app").dbname(DATABASE).application_name("idle");
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            client.batch_execute("SELECT 1").await?;
            idle.push(client);
        }
        let mut pids = Vec::new();
        for _ in 0..2 {
            let mut config = cluster.superuser();
            config.user("app").dbname(DATABASE).application_name("busy");
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            pids.push(client.query_one("SELECT pg_catalog.pg_backend_pid()", &[]).await?.get::<_, i32>(0));
            client.batch_execute("BEGIN").await?;
            idle.push(client);
        }
        let (Some(sleeper), [active, in_transaction]) = (idle.pop(), pids.as_slice()) else {
            bail!("two sessions were opened");
        };
        let (active, in_transaction) = (*in_transaction, *active);
        tokio::spawn(async move { sleeper.batch_execute("SELECT pg_catalog.pg_sleep(86400)").await });
        let seen = format!("SELECT state FROM pg_catalog.pg_stat_activity WHERE pid = {active}");
        cluster.wait_for(&seen, "active", Duration::from_secs(10)).await?;
        Ok(Self { cluster, _idle: idle, active, in_transaction })
    }

    /// What acts are asked to act on; reads take their defaults.
    fn arguments(&self, action: &str) -> Json {
        match action {
            "postgres.cancel_query" => json!({ "pid": self.active }),
            "postgres.terminate_backend" => json!({ "pid": self.in_transaction }),
            "postgres.analyze_table" | "postgres.vacuum_table" => json!({ "schema": "public", "table": "t_1" }),
            "postgres.reindex_concurrent" => json!({ "schema": "public", "index": "t_1_pkey" }),
            _ => Json::Null,
        }
    }
}
