//! Sessions of other people on a cluster, for tests that look at what lockgate makes of them; and the one runtime that
//! keeps them, since a session must not end with the test that made it.

use std::{future::Future, sync::LazyLock, time::Duration};

use lockgate::postgres::throwaway::Cluster;
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// The application's role, which owns the tables and is no superuser.
pub const APP: &str = "app";
/// How long anything that must happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime")
});

/// Runs a test on the runtime that all tests of the binary share.
pub fn run<F: Future>(test: F) -> F::Output {
    RUNTIME.block_on(test)
}

/// Runs on the shared runtime beside whoever asked; what it starts outlives the one who waits for it.
pub fn in_background<F: Future<Output: Send> + Send + 'static>(work: F) -> JoinHandle<F::Output> {
    RUNTIME.spawn(work)
}

/// A session of somebody else's.
pub struct Session {
    /// Its client.
    pub client: Client,
    /// Its backend's process id.
    pub pid: i64,
    /// How the superuser looks at it.
    observer: Config,
}

impl Session {
    /// Connects as a role to a database, under an application's name.
    pub async fn of(cluster: &Cluster, user: &str, dbname: &str, application: &str) -> Self {
        let mut config = cluster.superuser();
        config.user(user).dbname(dbname).application_name(application);
        let (client, connection) = config.connect(NoTls).await.expect("a session");
        RUNTIME.spawn(connection);
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).await.expect("a pid").get::<_, i32>(0);
        Self { client, pid: i64::from(pid), observer: cluster.superuser() }
    }

    /// Runs SQL to its end.
    pub async fn execute(&self, sql: &str) {
        self.client.batch_execute(sql).await.expect("the session's SQL");
    }

    /// Runs SQL that must fail, and returns when the server is done with it: it says what went wrong before it lets go of what
    /// the statement held, and still counts the session as active then.
    pub async fn fails(&self, sql: &str) -> tokio_postgres::Error {
        let failure = self.client.batch_execute(sql).await.expect_err("the session's SQL fails");
        self.settled().await;
        failure
    }

    /// Returns when the server waits for the session's next statement, or has ended it.
    async fn settled(&self) {
        let _ended = self.client.batch_execute("").await;
    }

    /// Starts SQL and returns when the server runs it; what becomes of it is in the answer.
    pub async fn start(self, sql: &str) -> Running {
        let (pid, text, observer) = (self.pid, sql.to_owned(), self.observer.clone());
        let task = RUNTIME.spawn(async move {
            let answer = self.client.simple_query(&text).await;
            if answer.is_err() {
                self.settled().await;
            }
            (self, answer)
        });
        let (observing, connection) = observer.connect(NoTls).await.expect("a superuser's session");
        RUNTIME.spawn(connection);
        let active = format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'");
        let seen = async {
            while observing.query(&active, &[]).await.expect("the superuser's query").is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("the session's SQL begins");
        Running { pid, task }
    }

    /// Whether the server still has this session, asked of the server: a session that is asked itself does something, and what
    /// it did last is part of what others see of it.
    pub async fn lives(&self) -> bool {
        let (observing, connection) = self.observer.connect(NoTls).await.expect("a superuser's session");
        RUNTIME.spawn(connection);
        let there = "SELECT 1 FROM pg_stat_activity WHERE pid = $1::bigint";
        !observing.query(there, &[&self.pid]).await.expect("the superuser's query").is_empty()
    }
}

/// What a session's SQL came to.
pub type Answered = Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>;

/// A session whose SQL runs.
pub struct Running {
    /// Its backend's process id.
    pub pid: i64,
    task: JoinHandle<(Session, Answered)>,
}

impl Running {
    /// Its session and what the SQL came to, once it has ended.
    pub async fn end(self) -> (Session, Answered) {
        tokio::time::timeout(PATIENCE, self.task).await.expect("the SQL ends").expect("its task ends")
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        !self.task.is_finished()
    }
}

/// Waits until a backend is gone.
pub async fn gone(cluster: &Cluster, pid: i64) {
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    cluster.wait_for(&count, "0", PATIENCE).await.expect("the backend goes");
}

/// Waits until a standby has replayed what the primary has written so far.
pub async fn caught_up(primary: &Cluster, standby: &Cluster) {
    let written = primary.value("SELECT pg_current_wal_lsn()").await.expect("a position").expect("a position");
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
    standby.wait_for(&replayed, "t", PATIENCE).await.expect("the standby catches up");
}
