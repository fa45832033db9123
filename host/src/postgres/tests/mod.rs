//! Execution against a real server: one throwaway cluster for all of these tests, one database for each. They are here and
//! not in `tests/`, because only the prover makes a bound statement, and these need some that it would never make.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod acts;
mod cancels;
mod maintains;
mod pools;
mod reads;
mod standbys;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

use super::{
    Limits, Target, TargetSettings,
    throwaway::{Cluster, Options},
};
use crate::{
    statement::{BoundStatement, InputKind, Mode, WhenEmpty},
    value::{Column, ColumnKind, Value},
};

/// Long enough for a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// The shared cluster; stopped by its watchdog when the test process ends. Its role `agent` is as an operator would make
/// it: `pg_monitor` and `pg_signal_backend`.
async fn cluster() -> &'static Cluster {
    CLUSTER
        .get_or_init(async || {
            let cluster = Cluster::primary(Options::default()).start().await.unwrap();
            cluster.execute("CREATE ROLE agent LOGIN IN ROLE pg_monitor, pg_signal_backend").await.unwrap();
            cluster
        })
        .await
}

/// A database of one test.
struct Db {
    cluster: &'static Cluster,
    name: String,
}

impl Db {
    /// With a table `t` of ten rows that belongs to `agent`.
    async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let cluster = cluster().await;
        cluster.execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let db = Self { cluster, name };
        db.execute(
            "CREATE TABLE t AS SELECT n::int8 AS id FROM generate_series(1, 10) n; ALTER TABLE t OWNER TO agent",
        )
        .await;
        db
    }

    async fn execute(&self, sql: &str) {
        self.cluster.execute_in(&self.name, sql).await.unwrap();
    }

    async fn count(&self) -> i64 {
        let client = self.cluster.connect_to(&self.name).await.unwrap();
        client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0)
    }

    fn settings(&self) -> TargetSettings {
        let mut settings = self.cluster.target("test", "agent", &self.name);
        settings.pool_size = Some(1);
        settings.statement_timeout_ms = Some(600_000);
        settings
    }

    fn target(&self) -> Target {
        Target::new(self.settings()).unwrap()
    }

    /// How many of our sessions in this database run something that contains `text`.
    fn running(&self, text: &str) -> String {
        format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state = 'active' AND query LIKE '%{text}%' \
             AND application_name LIKE 'lockgate/%'",
            self.name
        )
    }

    async fn runs(&self, text: &str, wanted: &str) {
        self.cluster.wait_for(&self.running(text), wanted, PATIENCE).await.unwrap();
    }
}

/// A statement without inputs whose columns are all integers.
fn bound(mode: Mode, sql: &str, columns: &[&str]) -> BoundStatement {
    let columns: Vec<Column> =
        columns.iter().map(|name| Column { name: (*name).to_owned(), kind: ColumnKind::Integer }).collect();
    BoundStatement {
        id: Arc::from("test"),
        mode,
        sql: Arc::from(sql),
        inputs: Vec::new(),
        columns: columns.into(),
        max_rows: 100,
        timeout: Some(PATIENCE),
        when_empty: WhenEmpty::Fine,
    }
}

fn with(mut bound: BoundStatement, inputs: &[(InputKind, Value)]) -> BoundStatement {
    bound.inputs = inputs.to_vec();
    bound
}

fn kinds(mut bound: BoundStatement, kinds: &[ColumnKind]) -> BoundStatement {
    bound.columns = bound.columns.iter().zip(kinds).map(|(c, k)| Column { name: c.name.clone(), kind: *k }).collect();
    bound
}

/// Generous.
fn limits() -> Limits {
    within(PATIENCE)
}

fn within(time: Duration) -> Limits {
    Limits { max_bytes: 1 << 20, deadline: Instant::now() + time }
}

fn one(value: Value) -> Vec<Vec<Value>> {
    vec![vec![value]]
}
