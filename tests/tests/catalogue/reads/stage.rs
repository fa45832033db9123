//! The servers that these tests need: for each major version a primary that archives, speaks TLS, decodes logically and
//! prepares transactions, its standby, and a gate. One test at a time has a stage, since most change what the others look
//! at: who asks for it waits for it.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use lockgate::{
    error::Code,
    gate::{
        Gate,
        call::{Outcome, Refused},
    },
    postgres::{
        SslMode, TargetSettings,
        throwaway::{Cluster, Options},
    },
    value::{RowSet, Value},
};
use lockgate_tests::{
    AGENT, certificates,
    servers::{fetched, majors},
    session::{self, APP, PATIENCE, Session},
    site::{Site, call, done},
};
use serde_json::{Map, Value as Json, json};
use tokio::sync::{Mutex, OnceCell};

/// The name on the server's certificate, which lockgate shows as its own, too.
pub const HOST: &str = "db.example.test";
/// What no answer, error or line of the record may hold.
pub const SECRET: &str = "Hunter2x";

/// A row, by the names of its columns.
pub type Row = Map<String, Json>;

/// The servers of one major version, and a gate with targets on them.
pub struct Stage {
    pub major: u32,
    pub primary: Cluster,
    pub standby: Cluster,
    pub site: Site,
    gate: Arc<Gate>,
    /// The certificates' directory.
    _certificates: tempfile::TempDir,
}

static STAGES: LazyLock<BTreeMap<u32, OnceCell<Mutex<Stage>>>> =
    LazyLock::new(|| majors().into_iter().map(|major| (major, OnceCell::new())).collect());

/// Runs a test on the stage of each major version, one after the other. A failure says on which.
pub fn on_every_major(test: impl AsyncFn(&Stage)) {
    session::run(async {
        for (major, cell) in &*STAGES {
            let _named = Named(*major);
            let stage = cell.get_or_init(|| Stage::make(*major)).await.lock().await;
            test(&stage).await;
        }
    });
}

/// Says, when a panic passes, where it came from.
struct Named(u32);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it was PostgreSQL {}", self.0);
        }
    }
}

impl Stage {
    async fn make(major: u32) -> Mutex<Self> {
        let conf = [
            "wal_level = logical",
            "max_prepared_transactions = 10",
            "max_wal_senders = 10",
            "max_replication_slots = 10",
            "archive_mode = on",
            "archive_command = 'true'",
            // What it would do in the background, these tests would count.
            "autovacuum = off",
            "max_parallel_workers = 8",
        ];
        let options = |conf: &[&str]| Options {
            major: Some(major),
            servers: vec![fetched()],
            tcp: true,
            stat_statements: true,
            conf: conf.iter().map(ToString::to_string).collect(),
            ..Options::default()
        };
        let primary = Cluster::primary(options(&conf)).start().await.expect("a primary");
        let certificates = trusted(&primary).await;
        let roles = format!(
            "SET password_encryption = 'scram-sha-256';
             CREATE ROLE {AGENT} LOGIN PASSWORD 'pw' IN ROLE pg_monitor, pg_signal_backend;
             CREATE ROLE {APP} LOGIN PASSWORD 'pw';
             CREATE ROLE hba_reader LOGIN IN ROLE pg_monitor;
             CREATE ROLE blind LOGIN"
        );
        primary.execute(&roles).await.expect("roles");
        for database in ["shop", "counters", "configured", "left_behind"] {
            primary.execute(&format!("CREATE DATABASE {database} OWNER {APP}")).await.expect("a database");
        }
        primary.execute_in("shop", "CREATE EXTENSION pg_stat_statements").await.expect("an extension");
        let conf = [
            "hot_standby_feedback = on",
            "wal_receiver_status_interval = 1s",
            "max_prepared_transactions = 10",
            "max_wal_senders = 10",
            "max_standby_streaming_delay = -1",
        ];
        let standby = Cluster::standby(&primary, options(&conf)).start().await.expect("a standby");

        let mut over_tls = primary.target("tls", AGENT, "shop");
        over_tls.socket_dir = None;
        over_tls.host = Some(HOST.to_owned());
        over_tls.hostaddr = Some("127.0.0.1".parse().expect("an address"));
        over_tls.sslmode = Some(SslMode::VerifyFull);
        over_tls.sslrootcert = Some(certificates.path().join("ca.pem"));
        over_tls.sslcert = Some(certificates.path().join("server.pem"));
        over_tls.sslkey = Some(certificates.path().join("server.key"));
        over_tls.password_file = Some(certificates.path().join("password"));
        let targets: [TargetSettings; 8] = [
            primary.target("primary", AGENT, "shop"),
            standby.target("standby", AGENT, "shop"),
            primary.target("configured", AGENT, "configured"),
            primary.target("left_behind", AGENT, "left_behind"),
            primary.target("hba", "hba_reader", "shop"),
            primary.target("blind", "blind", "shop"),
            primary.target("unasked", AGENT, "postgres"),
            over_tls,
        ];
        let site = Site::with_stock_pack(&targets, "").await;
        let gate = site.gate().await;
        Mutex::new(Self { major, primary, standby, site, gate, _certificates: certificates })
    }

    /// What a read of the stock pack answers.
    pub async fn ask(&self, action: &str, target: &str) -> Outcome {
        self.ask_with(action, target, json!({})).await
    }

    /// The same with arguments.
    pub async fn ask_with(&self, action: &str, target: &str, arguments: Json) -> Outcome {
        done(&self.gate, &format!("postgres.{action}"), target, arguments).await
    }

    /// The rows of its only table.
    pub async fn rows(&self, action: &str, target: &str) -> Vec<Row> {
        rows(&self.ask(action, target).await)
    }

    /// The only row of its only table.
    pub async fn row(&self, action: &str, target: &str) -> Row {
        let mut rows = self.rows(action, target).await;
        assert_eq!(rows.len(), 1, "{action}: {rows:?}");
        rows.remove(0)
    }

    /// Why a read is refused.
    pub async fn refusal(&self, action: &str, target: &str) -> (Code, String) {
        let answer = call(&self.gate, &format!("postgres.{action}"), target, json!({})).await;
        let Refused { refusal, .. } = answer.expect_err("it is refused");
        (refusal.code, refusal.message)
    }

    /// Asks until the answer is as wanted: statistics come late.
    pub async fn until(&self, action: &str, target: &str, wanted: impl Fn(&[Row]) -> bool) -> Vec<Row> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rows = self.rows(action, target).await;
            if wanted(&rows) {
                return rows;
            }
            assert!(Instant::now() < deadline, "{action} stayed {rows:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the superuser reads on the primary: the first cell as text.
    pub async fn truth(&self, sql: &str) -> Option<String> {
        self.primary.value(sql).await.expect("the superuser's query")
    }

    /// The same as a number.
    pub async fn number(&self, sql: &str) -> i64 {
        let text = self.truth(sql).await.unwrap_or_else(|| panic!("no answer: {sql}"));
        text.parse().unwrap_or_else(|_| panic!("{sql}: {text}"))
    }

    /// Changes the configuration of a cluster and waits until a session sees it. A new session knows what the postmaster
    /// knew, and that has read the file when the load time moves.
    pub async fn configure(cluster: &Cluster, sql: &[&str]) {
        let loaded = "SELECT pg_conf_load_time()";
        let before = cluster.value(loaded).await.expect("a time").expect("a time");
        for sql in sql {
            cluster.execute(sql).await.expect("a setting");
        }
        cluster.execute("SELECT pg_reload_conf()").await.expect("a reload");
        let moved = format!("SELECT pg_conf_load_time() > '{before}'");
        cluster.wait_for(&moved, "t", PATIENCE).await.expect("the configuration is read");
    }

    /// Uses so many transaction ids.
    pub async fn burn(&self, count: usize) {
        let client = self.primary.connect().await.expect("a session");
        for _ in 0..count {
            client.batch_execute("SELECT txid_current()").await.expect("a transaction id");
        }
    }

    /// Writes about so much WAL.
    pub async fn write_wal(&self, kilobytes: usize) {
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS public.filler (text text);
             INSERT INTO public.filler SELECT repeat('x', 1000) FROM generate_series(1, {kilobytes});
             TRUNCATE public.filler"
        );
        self.primary.execute_in("shop", &sql).await.expect("rows");
    }

    /// Waits until the standby has replayed what the primary has written.
    pub async fn caught_up(&self) {
        session::caught_up(&self.primary, &self.standby).await;
    }

    /// The application's session in `shop`, under a name that a test can find it by.
    pub async fn app(&self, application: &str) -> Session {
        Session::of(&self.primary, APP, "shop", application).await
    }

    /// A superuser's.
    pub async fn superuser(&self, dbname: &str, application: &str) -> Session {
        Session::of(&self.primary, "postgres", dbname, application).await
    }
}

/// Turns TLS on; the server trusts its own authority for clients, too.
async fn trusted(primary: &Cluster) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("its mode");
    certificates(dir.path(), HOST);
    let private = |name: &str| {
        std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(0o600)).expect("a file's mode");
    };
    std::fs::write(dir.path().join("password"), "pw").expect("a file");
    private("password");
    private("server.key");
    // Written by the server's own user, which may read it then.
    for (from, to) in [("server.key", "server.key"), ("server.pem", "server.crt"), ("ca.pem", "root.crt")] {
        let text = std::fs::read_to_string(dir.path().join(from)).expect("a certificate");
        let place = primary.data_dir().join(to);
        let lines = format!("SELECT unnest(string_to_array('{}', E'\\n'))", text.trim());
        primary.execute(&format!("COPY ({lines}) TO '{}'", place.display())).await.expect("a copy");
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    }
    Stage::configure(primary, &["ALTER SYSTEM SET ssl_ca_file = 'root.crt'", "ALTER SYSTEM SET ssl = on"]).await;
    dir
}

/// The rows of an outcome's only table.
pub fn rows(outcome: &Outcome) -> Vec<Row> {
    assert_eq!(outcome.tables.len(), 1, "{}", outcome.action);
    let RowSet { columns, rows } = &*outcome.tables[0].rows;
    let object =
        |row: &Vec<Value>| columns.iter().map(|c| c.name.clone()).zip(row.iter().map(Value::to_json)).collect();
    rows.iter().map(object).collect()
}

/// The only one of the rows where a column is this.
pub fn only<'r>(rows: &'r [Row], column: &str, wanted: &str) -> &'r Row {
    let mut found = rows.iter().filter(|row| row[column] == wanted);
    let row = found.next().unwrap_or_else(|| panic!("no row with {column} = {wanted}: {rows:?}"));
    assert!(found.next().is_none(), "two rows with {column} = {wanted}: {rows:?}");
    row
}

/// A cell that is a whole number.
pub fn int(row: &Row, column: &str) -> i64 {
    row[column].as_i64().unwrap_or_else(|| panic!("{column} is no number: {row:?}"))
}

/// A cell that is a text.
pub fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    row[column].as_str().unwrap_or_else(|| panic!("{column} is no text: {row:?}"))
}

/// A WAL position as PostgreSQL writes it, as a number of bytes.
pub fn position(lsn: &str) -> i64 {
    let (high, low) = lsn.split_once('/').unwrap_or_else(|| panic!("no position: {lsn}"));
    let hex = |text| i64::from_str_radix(text, 16).unwrap_or_else(|_| panic!("no position: {lsn}"));
    (hex(high) << 32) + hex(low)
}

/// Nothing that was answered, and nothing on the record, holds the secret.
pub fn keeps_the_secret(stage: &Stage, outcome: &Outcome) {
    let answered = serde_json::to_string(outcome).expect("an outcome as text");
    assert!(!answered.contains(SECRET), "{answered}");
    let recorded = serde_json::to_string(&stage.site.run(&outcome.run)).expect("a record as text");
    assert!(recorded.len() > 2 && !recorded.contains(SECRET), "{recorded}");
}
