//! For each major version a primary and a standby on which nothing happens but what a test stages, and a host with both
//! stock packs.

use std::{future::Future, sync::Arc, time::Instant};

use lockgate::{
    gate::{
        Gate,
        call::{Answer, Outcome},
    },
    postgres::{
        TargetSettings,
        throwaway::{Cluster, Options},
    },
    value::Value,
};
use lockgate_tests::{
    AGENT,
    answers::column,
    servers::{fetched, majors},
    session::{APP, PATIENCE, Session, caught_up, in_background},
    site::{Site, call, diagnose_pack, done, ended, stock_pack},
};
use serde_json::{Value as Json, json};
use tokio::sync::{Mutex, OnceCell};

/// The role whose connections have a limit.
pub const POOL: &str = "pool";
/// How many sessions of that role were left idle in transaction at the start, and how many connections it may have: too few
/// to matter among those of the whole server.
pub const LEFT: usize = 5;
/// The databases, one for each story; the targets on the primary are named for them.
const DATABASES: [&str; 6] = ["locks", "connections", "vacuum", "old", "replication", "indexes"];

/// Nothing but the tests' own doings: autovacuum is on and does not come, no deadlock is ended while a test looks at it, and
/// on the standby replay waits for queries for as long as they run.
const CONF: [&str; 10] = [
    "autovacuum_naptime = '2147483s'",
    "deadlock_timeout = '1h'",
    "max_connections = 60",
    "superuser_reserved_connections = 3",
    "max_prepared_transactions = 10",
    "max_wal_senders = 5",
    "max_replication_slots = 5",
    "max_slot_wal_keep_size = '64MB'",
    "max_standby_streaming_delay = -1",
    "max_standby_archive_delay = -1",
];

/// The servers of one major version, and a host.
pub struct Ward {
    pub primary: Cluster,
    pub standby: Cluster,
    pub site: Site,
    pub gate: Arc<Gate>,
    /// Held by the test whose turn it is.
    pub turn: Mutex<()>,
    /// Idle in transaction, without a snapshot, since the start: `kill_idle` looks at what is older than a minute.
    pub left: Mutex<Vec<Session>>,
    pub since: Instant,
}

impl Ward {
    async fn make(major: u32) -> Self {
        let options = || Options {
            major: Some(major),
            servers: vec![fetched()],
            conf: CONF.map(str::to_owned).into(),
            ..Options::default()
        };
        let primary = Cluster::primary(options()).start().await.expect("a primary");
        let roles = format!(
            "CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor, pg_signal_backend; CREATE ROLE {APP} LOGIN; CREATE ROLE {POOL} LOGIN;
             CREATE ROLE watcher LOGIN IN ROLE pg_monitor; CREATE ROLE blind LOGIN IN ROLE pg_signal_backend"
        );
        primary.execute(&roles).await.expect("roles");
        for database in DATABASES {
            primary.execute(&format!("CREATE DATABASE {database} OWNER {APP}")).await.expect("a database");
            primary.execute_in(database, &format!("GRANT CREATE ON SCHEMA public TO {APP}")).await.expect("a grant");
        }
        let since = Instant::now();
        let mut left = Vec::new();
        for _ in 0..LEFT {
            let session = Session::of(&primary, POOL, "connections", "left").await;
            session.execute("BEGIN").await;
            left.push(session);
        }
        let standby = Cluster::standby(&primary, options()).start().await.expect("a standby");
        let site = Site::with_stock_packs(&targets(&primary, &standby), "").await;
        let gate = site.gate().await;
        Self { primary, standby, site, gate, turn: Mutex::new(()), left: Mutex::new(left), since }
    }

    /// What a diagnosis says of a target now.
    pub async fn says(&self, action: &str, target: &str) -> Outcome {
        let outcome = done(&self.gate, &format!("diagnose.{action}"), target, json!({})).await;
        assert_eq!(outcome.tables[0].title, "Verdict");
        outcome
    }

    /// Asks until the answer satisfies the test.
    pub async fn until(&self, action: &str, target: &str, enough: impl Fn(&Outcome) -> bool) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let outcome = self.says(action, target).await;
            if enough(&outcome) {
                return outcome;
            }
            assert!(Instant::now() < deadline, "{action} stays {:?}: {:?}", verdicts(&outcome), outcome.findings);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Asks until these are the verdicts, in this order.
    pub async fn becomes(&self, action: &str, target: &str, wanted: &[&str]) -> Outcome {
        self.until(action, target, |outcome| verdicts(outcome) == wanted).await
    }

    /// Passes the suggestion to the gate as it is, and approves it.
    pub async fn follow(&self, outcome: &Outcome, target: &str) -> Outcome {
        let next = outcome.suggestion.as_ref().expect("a suggestion");
        let arguments = Json::Object(next.arguments.clone());
        match call(&self.gate, &next.action, target, arguments).await {
            Ok(Answer::Done(outcome)) => *outcome,
            Ok(Answer::Pending(pending)) => {
                self.site.approve(&pending.approval).await;
                ended(&self.gate, &pending.approval).await.unwrap_or_else(|refused| panic!("{next:?}: {refused:?}"))
            }
            Err(refused) => panic!("{next:?}: {refused:?}"),
        }
    }

    /// A session of the application's in a database of the primary.
    pub async fn app(&self, database: &str) -> Session {
        Session::of(&self.primary, APP, database, "application").await
    }

    /// Runs SQL as the application in a database of the primary.
    pub async fn sql(&self, database: &str, sql: &str) {
        self.app(database).await.execute(sql).await;
    }

    /// Waits until the standby has replayed all.
    pub async fn caught_up(&self) {
        caught_up(&self.primary, &self.standby).await;
    }
}

/// A target for each story, with the application's credential for maintenance; one for each lesser role; and the standby.
fn targets(primary: &Cluster, standby: &Cluster) -> Vec<TargetSettings> {
    let mut targets: Vec<TargetSettings> = DATABASES
        .iter()
        .map(|database| {
            let mut target = primary.target(database, AGENT, database);
            target.maintenance = Some(toml::from_str(&format!("user = \"{APP}\"")).expect("settings"));
            target
        })
        .collect();
    targets.push(primary.target("watcher", "watcher", "locks"));
    targets.push(primary.target("blind", "blind", "locks"));
    targets.push(standby.target("standby", AGENT, "replication"));
    targets
}

/// The words of the verdicts, the worst first.
pub fn verdicts(outcome: &Outcome) -> Vec<&str> {
    column(&outcome.tables[0].rows, "verdict")
        .into_iter()
        .map(|cell| match cell {
            Value::Text(word) => word.as_str(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// The severity of the worst.
pub fn severity(outcome: &Outcome) -> &str {
    match column(&outcome.tables[0].rows, "severity")[0] {
        Value::Text(word) => word,
        other => panic!("{other:?}"),
    }
}

/// The suggested call.
pub fn suggested(outcome: &Outcome) -> Option<(&str, Json)> {
    outcome.suggestion.as_ref().map(|next| (next.action.as_str(), Json::Object(next.arguments.clone())))
}

/// Plays a story on each version, all at once, each when it has the turn there.
pub async fn on_each<Story>(story: impl Fn(&'static Ward) -> Story)
where
    Story: Future<Output = ()> + Send + 'static,
{
    let mut playing = Vec::new();
    for (major, ward) in wards().await {
        playing.push((major, in_background(story(ward))));
    }
    for (major, story) in playing {
        if let Err(error) = story.await {
            panic!("PostgreSQL {major}: {error}");
        }
    }
}

async fn wards() -> impl Iterator<Item = (u32, &'static Ward)> {
    static WARDS: OnceCell<Vec<(u32, Ward)>> = OnceCell::const_new();
    let make = async || {
        let majors = majors();
        stock_pack().await;
        diagnose_pack().await;
        let making: Vec<_> = majors.into_iter().map(|major| (major, in_background(Ward::make(major)))).collect();
        let mut wards = Vec::new();
        for (major, ward) in making {
            wards.push((major, ward.await.expect("the servers of a version")));
        }
        wards
    };
    WARDS.get_or_init(make).await.iter().map(|(major, ward)| (*major, ward))
}
