//! What all tests here share: one runtime that outlives each of them, a primary and its standby, one host with a target for
//! each way in, and sessions of the application that the actions look at.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use lockgate::{
    gate::Gate,
    postgres::{
        TargetSettings,
        throwaway::{Cluster, Options},
    },
};
pub use lockgate_tests::site::maintenance;
use lockgate_tests::{AGENT, cluster, session, site::Site};
pub use lockgate_tests::{
    answers::{column, refused, row_where, rows_where, text},
    session::{APP, PATIENCE, Session, run},
};
use tokio::sync::OnceCell;

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
    // What no predefined role brings.
    let rules = "GRANT SELECT ON pg_catalog.pg_hba_file_rules TO agent;
        GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO agent";
    for database in ["shop", "bare"] {
        primary.execute_in(database, rules).await.expect("grants");
    }
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
    stale.aborted.fails("SELECT 1 / 0").await;
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

/// The application's session in `shop`.
pub async fn app(application: &str) -> Session {
    Session::of(world().await.primary, APP, "shop", application).await
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
    session::gone(cluster().await, pid).await;
}

/// Waits until the stale transactions have been open for so long.
pub async fn stale_for(seconds: u64) {
    tokio::time::sleep_until((world().await.stale.since + Duration::from_secs(seconds)).into()).await;
}
