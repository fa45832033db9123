//! The stage: a server with a table for every act and a schema for every agent, and `lockgate serve` as a process whose
//! memory and descriptors the kernel tells.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    net::TcpListener,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use lockgate::{
    mcp::token,
    postgres::throwaway::{Cluster, Options},
};
use lockgate_tests::{AGENT, site::Site};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    task::JoinHandle,
};

use crate::work;

/// How long anything that must happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Connections to the server. More would only wait on its cores.
const POOL: u32 = 16;
/// Descriptors that may stay open beside those of the start: the pool's, and what the store and the record opened since.
const SPARE: usize = POOL as usize + 16;

/// A served host.
pub struct Host {
    pub site: Site,
    pub port: u16,
    /// `lgt_…`, by agent.
    pub tokens: Vec<String>,
    cluster: Cluster,
    process: Child,
    descriptors: usize,
    watching: Arc<AtomicBool>,
}

impl Host {
    /// Starts everything for so many agents with so many calls each.
    pub async fn start(agents: usize, calls: usize) -> Self {
        let options = Options { conf: vec!["autovacuum = off".into()], ..Options::default() };
        let cluster = Cluster::primary(options).start().await.expect("a server");
        let mut sql = format!("CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor, pg_signal_backend;");
        for agent in 0..agents {
            let schema = work::schema(agent);
            sql += &format!("CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {AGENT};");
            sql += &format!("CREATE TABLE {schema}.{} (id int);", work::table_in(agent));
        }
        let works = (0..agents).flat_map(|agent| (0..calls).map(move |call| work::nth(agent, call)));
        for table in works.filter_map(|work| work.act()) {
            sql += &format!("CREATE TABLE public.{table} (id int); ALTER TABLE public.{table} OWNER TO {AGENT};");
        }
        cluster.execute(&sql).await.expect("roles, schemas and tables");

        let port = free_port();
        let tokens: Vec<_> = (0..agents).map(|_| token::generate().expect("a token")).collect();
        let mut more =
            format!("policy = \"policy.toml\"\n[mcp]\nhold_seconds = 0\n[mcp.http]\nlisten = \"127.0.0.1:{port}\"\n");
        for (agent, (_, digest)) in tokens.iter().enumerate() {
            more += &format!("[[mcp.agent]]\nname = \"agent{agent}\"\nperson = \"ada\"\ntoken_sha256 = \"{digest}\"\n");
        }
        let mut target = cluster.target("primary", AGENT, "postgres");
        target.pool_size = Some(POOL);
        let site = Site::with_stock_pack(&[target], &more).await;
        site.write("policy.toml", work::POLICY);
        let process = serve(&site, port).await;
        let tokens = tokens.into_iter().map(|(token, _)| token).collect();
        let mut host =
            Self { site, port, tokens, cluster, process, descriptors: 0, watching: Arc::new(AtomicBool::new(true)) };
        host.descriptors = host.open_descriptors();
        host
    }

    /// What is resident of the process, in KiB.
    pub fn memory(&self) -> u64 {
        resident(self.process.id().expect("it runs"))
    }

    /// Looks at the memory until [`Host::watched_enough`], and returns the most there was.
    pub fn watch_memory(&self) -> JoinHandle<u64> {
        let (pid, watching) = (self.process.id().expect("it runs"), Arc::clone(&self.watching));
        tokio::spawn(async move {
            let mut highest = 0;
            while watching.load(Ordering::Relaxed) {
                highest = highest.max(resident(pid));
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            highest
        })
    }

    /// Ends the watch.
    pub fn watched_enough(&self) {
        self.watching.store(false, Ordering::Relaxed);
    }

    fn open_descriptors(&self) -> usize {
        let pid = self.process.id().expect("it runs");
        fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count()
    }

    /// Waits until the process has no more descriptors than at its start and what it keeps for good.
    pub async fn until_connections_are_closed(&self) {
        let until = Instant::now() + PATIENCE;
        let allowed = self.descriptors + SPARE;
        while self.open_descriptors() > allowed {
            assert!(
                Instant::now() < until,
                "{} descriptors are open, {} were",
                self.open_descriptors(),
                self.descriptors
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Compares how often each table was analyzed, as the server counts, with what was decided.
    pub async fn acts_are(&self, verdicts: &BTreeMap<String, bool>) {
        let approved = verdicts.values().filter(|approved| **approved).count();
        let sql = "SELECT coalesce(sum(analyze_count), 0) FROM pg_stat_all_tables WHERE schemaname = 'public'";
        // The server's sessions report what they did about a second later.
        self.cluster.wait_for(sql, &approved.to_string(), PATIENCE).await.expect("as many acts as approvals");
        let client = self.cluster.connect().await.expect("a session");
        let rows = client
            .query("SELECT relname::text, analyze_count FROM pg_stat_all_tables WHERE schemaname = 'public'", &[])
            .await
            .expect("the server's counts");
        let counts: HashMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        for (table, approved) in verdicts {
            assert_eq!(counts[table], i64::from(*approved), "{table}: approved is {approved}");
        }
    }

    /// Stops the process as an operator does, and waits for its orderly end.
    pub async fn stop(mut self) -> (Site, Cluster) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it runs");
        kill_process(pid, Signal::TERM).expect("it can be told");
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await.expect("it ends").expect("its status");
        assert!(status.success(), "lockgate serve ended with {status}");
        (self.site, self.cluster)
    }
}

async fn serve(site: &Site, port: u16) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate_cli"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("PG") && !n.starts_with("PG_BIN") || n.starts_with("LOCKGATE")) {
            command.env_remove(name);
        }
    }
    command.arg("--config").arg(site.path("lockgate.toml")).arg("serve").env("LOCKGATE_LOG", "warn,rmcp=off");
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let mut process = command.spawn().expect("lockgate serve can be started");
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(process.try_wait().expect("its state").is_none(), "lockgate serve ended by itself");
        assert!(Instant::now() < until, "lockgate serve does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    process
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}

fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its resident memory");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
