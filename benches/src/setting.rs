//! What is measured: one cluster, the same host twice (its record on a disk and in memory), and raw connections as the same
//! role, all in this process.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use lockgate::{
    gate::Gate,
    pack::{catalog::Entry, prove::ProvenAction},
    postgres::{
        Target, TargetSettings,
        throwaway::{Cluster, Options},
    },
};
use lockgate_tests::{
    AGENT,
    site::{self, BuiltPack, Site},
};
use serde_json::Value as Json;
use tokio_postgres::{Client, NoTls, Statement};

/// Callers of the measurement under load; connections on either side as well.
pub const CALLERS: u32 = 16;
/// The target's name.
pub const TARGET: &str = "primary";

/// An agent of a bench calls more often than any other may.
pub const UNLIMITED: &str = "[mcp.limits]\ncalls_per_minute = 1000000\nburst = 1000000\n";

/// Where a sync costs nothing.
const MEMORY: &str = "/dev/shm";

/// A host in this process.
pub struct Host {
    /// Its files.
    pub site: Site,
    /// Its gate.
    pub gate: Arc<Gate>,
    _record: tempfile::TempDir,
}

/// Everything that a run needs.
pub struct Setting {
    /// The server.
    pub cluster: Cluster,
    /// The pack `postgres`; a host has `diagnose` too.
    pub pack: BuiltPack,
    /// Its record is on a disk.
    pub disk: Host,
    /// Its record is in memory: what the gate costs without the disk. `None` where the machine has no such place.
    pub memory: Option<Host>,
}

impl Setting {
    /// Starts and opens everything.
    pub async fn new() -> Result<Self> {
        let cluster = Cluster::primary(Options::default()).start().await?;
        cluster.execute(&format!("CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor, pg_signal_backend")).await?;
        let pack = site::stock_pack().await.clone();
        let disk = Host::open(&cluster, &pack, &on_disk()).await?;
        let memory = match file_system(Path::new(MEMORY)).as_deref() {
            Some("tmpfs" | "ramfs") => Some(Host::open(&cluster, &pack, Path::new(MEMORY)).await?),
            _ => None,
        };
        Ok(Self { cluster, pack, disk, memory })
    }

    /// A connection as the role that the hosts use.
    pub async fn raw(&self) -> Result<Client> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.cluster.socket_dir()).port(self.cluster.port()).user(AGENT).dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// The settings of the target.
pub fn target(cluster: &Cluster) -> TargetSettings {
    let mut settings = cluster.target(TARGET, AGENT, "postgres");
    settings.pool_size = Some(CALLERS);
    settings
}

impl Host {
    async fn open(cluster: &Cluster, pack: &BuiltPack, dir: &Path) -> Result<Self> {
        let record = tempfile::Builder::new().prefix("lockgate-bench").tempdir_in(dir)?;
        let more = format!("{UNLIMITED}[record]\ndir = \"{}\"\n", record.path().display());
        let site = Site::new(&[target(cluster)], &more);
        site.add(pack);
        site.add(site::diagnose_pack().await);
        let gate = site.gate().await;
        Ok(Self { site, gate, _record: record })
    }

    /// The file system that the record is on.
    pub fn record_file_system(&self) -> String {
        file_system(&self.site.config().record_dir()).unwrap_or_else(|| "unknown".into())
    }

    /// The target.
    pub fn target(&self) -> Result<&Target> {
        self.gate.targets().get(TARGET).context("the target is configured")
    }

    /// An action of the stock pack.
    pub fn entry(&self, action: &str) -> Result<Entry> {
        self.gate.rules().catalog.get(action).cloned().with_context(|| format!("the stock pack has `{action}`"))
    }

    /// One call that policy allows.
    pub async fn call(&self, case: &Case) {
        let outcome = site::done(&self.gate, case.action, TARGET, Json::Null).await;
        std::hint::black_box(outcome);
    }
}

/// Next to the build, which is on a disk where `/tmp` may not be.
pub fn on_disk() -> std::path::PathBuf {
    let build = site::root().join("target");
    if build.is_dir() { build } else { std::env::temp_dir() }
}

/// The type of the file system that a path is on, from the kernel's list of mounts: the longest mount point wins.
fn file_system(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?)).filter(|(point, _)| path.starts_with(point))
    });
    mounts.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_owned())
}

/// An action, and the statements that it runs, in order: what raw tokio-postgres runs beside it.
pub struct Case {
    /// `pack.action`.
    pub action: &'static str,
    /// Ids of its statements, in the order in which it runs them.
    pub statements: &'static [&'static str],
}

/// The two reads that an on-call agent begins with.
pub const CASES: [Case; 2] = [
    Case { action: "postgres.uptime", statements: &["uptime"] },
    Case { action: "postgres.activity_states", statements: &["sees_other_sessions", "activity_states"] },
];

/// Raw tokio-postgres: one connection with a case's statements prepared on it.
pub struct Raw {
    client: Client,
    statements: Vec<Statement>,
}

impl Raw {
    /// Prepares the very texts that the pack declares for this server.
    pub async fn new(setting: &Setting, case: &Case) -> Result<Self> {
        let client = setting.raw().await?;
        let action = &setting.disk.entry(case.action)?.action;
        let mut statements = Vec::new();
        for id in case.statements {
            statements.push(client.prepare(text(action, id, setting.cluster.major())?).await?);
        }
        Ok(Self { client, statements })
    }

    /// Runs them one after the other, as the action does.
    pub async fn call(&self) -> Result<()> {
        for statement in &self.statements {
            std::hint::black_box(self.client.query(statement, &[]).await?);
        }
        Ok(())
    }

    /// As many as there are callers.
    pub async fn several(setting: &Setting, case: &Case) -> Result<Vec<Arc<Self>>> {
        let mut all = Vec::new();
        for _ in 0..CALLERS {
            all.push(Arc::new(Self::new(setting, case).await?));
        }
        Ok(all)
    }
}

/// The wording of a statement for a server of this version.
pub fn text<'a>(action: &'a ProvenAction, id: &str, major: u32) -> Result<&'a str> {
    let statement = action.run_statement(id).with_context(|| format!("the action declares `{id}`"))?;
    let fits = |low: u32, below: u32| low <= major && (below == 0 || major < below);
    let variant = statement.declaration().variants.iter().find(|v| fits(v.min_version, v.below_version));
    match variant {
        Some(variant) => Ok(&variant.sql),
        None => bail!("no variant of `{id}` fits PostgreSQL {major}"),
    }
}

/// A pause in which what the last measurement left behind settles: connections close, checkpoints are cut.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}
