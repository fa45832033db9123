//! What all tests here share: one runtime that outlives each of them, a primary and its standby, one host with a target for
//! each way in, and sessions of the application that the actions look at.

use std::{
    future::Future,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use lockgate::{
    error::{Code, Refusal},
    gate::{Gate, call::Refused},
    postgres::{
        Maintenance, TargetSettings,
        throwaway::{Cluster, Options},
    },
    value::{RowSet, Value},
};
use lockgate_tests::{AGENT, cluster, site::Site};
use serde_json::{Map, Value as Json};
use tokio::{runtime::Runtime, sync::OnceCell};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// The application's role, which owns the tables and is no superuser.
pub const APP: &str = "app";
/// How long anything that must happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Connections and held calls that tests share must not end with the test that made them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime")
});

/// Runs a test on the shared runtime.
pub fn run<F: Future>(test: F) -> F::Output {
    RUNTIME.block_on(test)
}

/// The servers and the host that most tests use.
pub struct World {
    pub primary: &'static Cluster,
    pub standby: Cluster,
    pub site: Site,
    pub gate: Arc<Gate>,
    /// Transactions that were left open when the tests began: some actions look only at what is older than a minute.
    pub stale: Stale,
}

/// Sessions that were left in a transaction, and since when.
pub struct Stale {
    pub since: Instant,
    /// Idle in transaction, of the application; for `kill_idle`, in a database of their own.
    pub idle: tokio::sync::Mutex<Vec<Session>>,
    /// The same of a superuser, and one whose transaction has failed.
    pub superuser: Session,
    pub aborted: Session,
    /// A superuser's, which holds a lock on `public.held` in the database `held`.
    pub holder: Session,
}

/// The world, made when it is first asked for. If that fails, it fails once, with its own words.
pub async fn world() -> &'static World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    static TRIED: AtomicBool = AtomicBool::new(false);
    let make_once = async || {
        assert!(!TRIED.swap(true, Ordering::SeqCst), "the world could not be made: see the first test that failed");
        make().await
    };
    WORLD.get_or_init(make_once).await
}

async fn make() -> World {
    let primary = cluster().await;
    primary
        .execute(
            "CREATE ROLE app LOGIN; CREATE ROLE blind LOGIN IN ROLE pg_signal_backend; CREATE ROLE watcher LOGIN IN ROLE pg_monitor",
        )
        .await
        .expect("roles");
    for database in ["shop", "bare", "elsewhere", "held", "idle"] {
        primary.execute(&format!("CREATE DATABASE {database} OWNER app")).await.expect("a database");
    }
    let schema = "CREATE EXTENSION pg_stat_statements; SET ROLE app; CREATE SCHEMA sales;
        GRANT USAGE ON SCHEMA sales TO agent, watcher, blind;
        CREATE TABLE sales.orders (id int PRIMARY KEY, note text);
        INSERT INTO sales.orders SELECT i, 'row ' || i FROM generate_series(1, 1000) i";
    primary.execute_in("shop", schema).await.expect("tables");
    let odd = "CREATE SCHEMA \"Odd Place\"; GRANT USAGE ON SCHEMA \"Odd Place\" TO agent; CREATE EXTENSION pg_stat_statements SCHEMA \"Odd Place\"";
    primary.execute_in("elsewhere", odd).await.expect("an extension");
    let held = "SET ROLE app; CREATE TABLE public.held (id int); CREATE INDEX held_idx ON public.held (id)";
    primary.execute_in("held", held).await.expect("a table");

    let stale = Stale {
        since: Instant::now(),
        idle: tokio::sync::Mutex::new(Vec::new()),
        superuser: Session::of(primary, "postgres", "idle", "stale-superuser").await,
        aborted: Session::of(primary, APP, "idle", "stale-aborted").await,
        holder: Session::of(primary, "postgres", "held", "stale-holder").await,
    };
    stale.superuser.execute("BEGIN; SELECT 1").await;
    stale.aborted.execute("BEGIN").await;
    assert!(stale.aborted.client.batch_execute("SELECT 1 / 0").await.is_err());
    stale.holder.execute("BEGIN; LOCK TABLE public.held IN ROW EXCLUSIVE MODE").await;
    for number in 0..4 {
        let session = Session::of(primary, APP, "idle", &format!("stale-{number}")).await;
        session.execute("BEGIN; SELECT 1").await;
        stale.idle.lock().await.push(session);
    }

    let options = Options { log_statements: true, stat_statements: true, ..Options::default() };
    let standby = Cluster::standby(primary, options).start().await.expect("a standby");
    let site = Site::with_stock_pack(&targets(primary, &standby), "").await;
    let gate = site.gate().await;
    World { primary, standby, site, gate, stale }
}

/// One target for each way in.
fn targets(primary: &Cluster, standby: &Cluster) -> Vec<TargetSettings> {
    let mut keeper = primary.target("keeper", AGENT, "shop");
    keeper.maintenance = Some(maintenance(APP));
    let mut held = primary.target("held", AGENT, "held");
    held.maintenance = Some(maintenance(APP));
    vec![
        primary.target("primary", AGENT, "shop"),
        standby.target("standby", AGENT, "shop"),
        primary.target("bare", AGENT, "bare"),
        primary.target("elsewhere", AGENT, "elsewhere"),
        primary.target("blind", "blind", "shop"),
        primary.target("watcher", "watcher", "shop"),
        keeper,
        held,
    ]
}

/// A second credential, for maintenance.
pub fn maintenance(user: &str) -> Maintenance {
    toml::from_str(&format!("user = \"{user}\"")).expect("settings")
}

/// A session of somebody else's.
pub struct Session {
    pub client: Client,
    pub pid: i64,
}

impl Session {
    /// Connects as a role to a database, under an application's name.
    pub async fn of(cluster: &Cluster, user: &str, dbname: &str, application: &str) -> Self {
        let mut config = cluster.superuser();
        config.user(user).dbname(dbname).application_name(application);
        let (client, connection) = config.connect(NoTls).await.expect("a session");
        RUNTIME.spawn(connection);
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).await.expect("a pid").get::<_, i32>(0);
        Self { client, pid: i64::from(pid) }
    }

    /// The application's session in `shop`.
    pub async fn app(application: &str) -> Self {
        Self::of(world().await.primary, APP, "shop", application).await
    }

    /// Runs SQL to its end.
    pub async fn execute(&self, sql: &str) {
        self.client.batch_execute(sql).await.expect("the session's SQL");
    }

    /// Starts SQL and returns when the server runs it; what becomes of it is in the answer.
    pub async fn start(self, sql: &str) -> Running {
        let (pid, text) = (self.pid, sql.to_owned());
        let task = RUNTIME.spawn(async move {
            let answer = self.client.simple_query(&text).await;
            (self, answer)
        });
        let running = Running { pid, task };
        let seen = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'");
        eventually(&seen, "1").await;
        running
    }

    /// Whether the server still has this session, asked of the session itself.
    pub async fn lives(&self) -> bool {
        self.client.simple_query("SELECT 1").await.is_ok()
    }
}

type Answered = Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>;

/// A session whose SQL runs.
pub struct Running {
    pub pid: i64,
    task: tokio::task::JoinHandle<(Session, Answered)>,
}

impl Running {
    /// Its session and what the SQL came to, once it has ended.
    pub async fn end(self) -> (Session, Answered) {
        tokio::time::timeout(PATIENCE, self.task).await.expect("the SQL ends").expect("its task ends")
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        !self.task.is_finished()
    }
}

/// What the superuser reads on the primary: the first cell as text.
pub async fn truth(sql: &str) -> Option<String> {
    cluster().await.value(sql).await.expect("the superuser's query")
}

/// Waits until the superuser reads this on the primary.
pub async fn eventually(sql: &str, wanted: &str) {
    cluster().await.wait_for(sql, wanted, PATIENCE).await.expect("it comes about");
}

/// Waits until a backend of the primary is gone.
pub async fn gone(pid: i64) {
    eventually(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"), "0").await;
}

/// Waits until the stale transactions have been open for so long.
pub async fn stale_for(seconds: u64) {
    tokio::time::sleep_until((world().await.stale.since + Duration::from_secs(seconds)).into()).await;
}

/// The code of a refusal, and the words with it.
pub fn refused<T: std::fmt::Debug>(answer: Result<T, Refused>) -> (Code, String) {
    let Refused { refusal: Refusal { code, message, .. }, run } = answer.expect_err("it is refused");
    assert!(run.starts_with("run_"), "a refusal is on the record: {code} {message}");
    (code, message)
}

/// The cells of a column.
pub fn column<'a>(rows: &'a RowSet, name: &str) -> Vec<&'a Value> {
    let index = rows.columns.iter().position(|c| c.name == name).unwrap_or_else(|| panic!("no column `{name}`"));
    rows.rows.iter().map(|row| &row[index]).collect()
}

/// The rows where a column is this, each as an object.
pub fn rows_where(rows: &RowSet, name: &str, wanted: &Value) -> Vec<Map<String, Json>> {
    let cells = column(rows, name);
    let found = rows.rows.iter().zip(cells).filter(|(_, cell)| *cell == wanted);
    found
        .map(|(row, _)| rows.columns.iter().map(|c| c.name.clone()).zip(row.iter().map(Value::to_json)).collect())
        .collect()
}

/// The one row where a column is this.
pub fn row_where(rows: &RowSet, name: &str, wanted: &Value) -> Map<String, Json> {
    let mut found = rows_where(rows, name, wanted);
    assert_eq!(found.len(), 1, "rows with {name} = {wanted:?}: {found:?}");
    found.remove(0)
}

/// A text as a cell.
pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
