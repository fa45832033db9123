//! What pages take for granted: a server with an application on it, a host, and somebody at a shell where the host's files are.

use std::sync::{LazyLock, Mutex};

use lockgate::postgres::throwaway::{Cluster, Options};
use lockgate_tests::{
    AGENT,
    agent::Agent,
    cluster,
    desk::Desk,
    session::{APP, PATIENCE, Session, in_background},
    site::Site,
};
use tokio::{sync::OnceCell, task::JoinHandle};

/// The command line.
pub const LOCKGATE: &str = env!("CARGO_BIN_EXE_lockgate_cli");
/// The application's database.
pub const SHOP: &str = "shop";
/// A password that the portal takes.
pub const PASSWORD: &str = "a phrase that is long enough";

/// Somebody with an empty directory.
pub fn desk() -> Desk {
    LazyLock::force(&LEFT);
    let mut desk = Desk::new(LOCKGATE.as_ref());
    desk.set("LOCKGATE_LOG", "warn");
    // What is asked over the network here is on this machine.
    desk.set("NO_PROXY", "localhost,127.0.0.1");
    desk
}

/// Somebody where the files of a host are.
pub fn desk_of(site: &Site) -> Desk {
    let mut desk = desk();
    desk.go(site.path("lockgate.toml").parent().expect("a directory"));
    desk
}

/// The server, with the application's role and database.
pub async fn server() -> &'static Cluster {
    static MADE: OnceCell<()> = OnceCell::const_new();
    let make = async || {
        let cluster = cluster().await;
        for sql in [format!("CREATE ROLE {APP} LOGIN"), format!("CREATE DATABASE {SHOP} OWNER {APP}")] {
            cluster.execute(&sql).await.expect("the application's role and database");
        }
    };
    MADE.get_or_init(make).await;
    cluster().await
}

/// A host of the stock pack whose one target is `primary`. It answers a held call at once, with the request that waits.
pub async fn site(more: &str) -> Site {
    let target = server().await.target("primary", AGENT, SHOP);
    Site::with_stock_pack(&[target], &format!("{more}\n[mcp]\nhold_seconds = 0\n")).await
}

/// An agent over stdio, of the host where somebody is.
pub async fn agent(desk: &Desk) -> Agent {
    let mut command = desk.command("lockgate");
    command.arg("mcp");
    Agent::over(command).await
}

/// A session that has begun a transaction and sits there.
pub async fn idle(application: &str) -> Session {
    let session = Session::of(server().await, APP, SHOP, application).await;
    session.execute("BEGIN; SELECT 1").await;
    session
}

/// What a report leaves behind: a session that has been idle in its transaction for longer than `kill_idle` may be asked for, on a
/// server where nobody else's sessions are. That takes a minute, so whoever comes first begins it.
pub struct LeftBehind {
    pub cluster: Cluster,
    pub session: Session,
}

static LEFT: LazyLock<Mutex<Option<JoinHandle<LeftBehind>>>> =
    LazyLock::new(|| Mutex::new(Some(in_background(LeftBehind::begin()))));

impl LeftBehind {
    /// For the one test that is about it. It may not be old enough yet.
    pub async fn take() -> Self {
        let begun = LEFT.lock().expect("nobody panicked").take();
        begun.expect("one test takes it").await.expect("a session")
    }

    /// Waits until it has sat there for longer than a minute.
    pub async fn is_old(&self) {
        let pid = self.session.pid;
        let old = format!("SELECT now() - state_change > '61 s' FROM pg_stat_activity WHERE pid = {pid}");
        self.cluster.wait_for(&old, "t", PATIENCE + PATIENCE).await.expect("time goes by");
    }

    async fn begin() -> Self {
        let cluster = Cluster::primary(Options::default()).start().await.expect("a server");
        let roles = format!("CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor, pg_signal_backend; CREATE ROLE {APP} LOGIN");
        cluster.execute(&roles).await.expect("roles");
        let session = Session::of(&cluster, APP, "postgres", "report").await;
        session.execute("BEGIN; SELECT 1").await;
        Self { cluster, session }
    }
}
