//! A cluster: its directory, its configuration, its server.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, config::Host};

use super::{
    Binaries, ThrowawayError, backup,
    owner::Owner,
    server::{Server, Stop},
};
use crate::postgres::TargetSettings;

/// The port in the socket's name. Every cluster has a directory of its own, so it can be the same.
const PORT: u16 = 5432;
/// A cluster starts in a tenth of a second on a quiet machine; crash recovery on a busy one takes longer.
const READY: Duration = Duration::from_secs(60);
/// Between two looks at whether the server is ready.
const LOOK: Duration = Duration::from_millis(20);
/// The superuser's name, whoever runs the server.
const SUPERUSER: &str = "postgres";

/// How a cluster is made.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which server; the newest that is found without one. A standby takes its primary's.
    pub major: Option<u32>,
    /// Where else to look for its programs: directories with one a major version, as `<major>/bin`. See
    /// [`Binaries::find_among`].
    pub servers: Vec<PathBuf>,
    /// Lines for `postgresql.conf`, after the harness's own, so that they win.
    pub conf: Vec<String>,
    /// Lines for `pg_hba.conf`, before the harness's own, so that they win. The harness lets everybody in who can enter the
    /// socket's directory, and over TCP who has a password (SCRAM).
    pub hba: Vec<String>,
    /// Listen on a free port of 127.0.0.1, too.
    pub tcp: bool,
    /// Log every statement to [`Cluster::log_path`].
    pub log_statements: bool,
    /// Preload `pg_stat_statements` where it is installed.
    pub stat_statements: bool,
}

/// A cluster that is not there yet.
#[must_use = "a cluster is there when it is started"]
pub struct Pending {
    options: Options,
    upstream: Option<Upstream>,
}

/// What a standby is made from.
struct Upstream {
    binaries: Binaries,
    superuser: Config,
    data: PathBuf,
}

/// A running cluster. Dropped: stopped at once, and its directory removed.
pub struct Cluster {
    binaries: Binaries,
    owner: Option<Owner>,
    root: tempfile::TempDir,
    tcp: Option<u16>,
    server: Option<Server>,
}

impl Cluster {
    /// A cluster of its own.
    pub fn primary(options: Options) -> Pending {
        Pending { options, upstream: None }
    }

    /// A standby that streams from a cluster which is up.
    pub fn standby(primary: &Self, options: Options) -> Pending {
        let binaries = primary.binaries.clone();
        Pending {
            options,
            upstream: Some(Upstream { binaries, superuser: primary.superuser(), data: primary.data_dir() }),
        }
    }

    /// The directory of the Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> PathBuf {
        self.root.path().join("s")
    }

    /// The port in the socket's name.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.tcp.unwrap_or(PORT)
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The server's log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.root.path().join("log")
    }

    /// The server's major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.binaries.major()
    }

    /// The server's programs.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The server's process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid)
    }

    /// How the superuser connects with the driver.
    #[must_use]
    pub fn superuser(&self) -> Config {
        let mut config = Config::new();
        config
            .host_path(self.socket_dir())
            .port(self.port())
            .user(SUPERUSER)
            .dbname("postgres")
            .application_name("throwaway")
            .connect_timeout(Duration::from_secs(5));
        config
    }

    /// The settings of a target for a role and a database of this cluster, over the socket.
    #[must_use]
    pub fn target(&self, name: &str, user: &str, dbname: &str) -> TargetSettings {
        let mut settings = TargetSettings::named(name);
        settings.socket_dir = Some(self.socket_dir());
        settings.port = Some(self.port());
        settings.user = Some(user.to_owned());
        settings.dbname = Some(dbname.to_owned());
        settings
    }

    /// A connection as superuser. It closes when the client is dropped and the runtime still runs.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn connect(&self) -> Result<Client, ThrowawayError> {
        self.connect_to("postgres").await
    }

    /// A connection as superuser to a database.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn connect_to(&self, dbname: &str) -> Result<Client, ThrowawayError> {
        connect(self.superuser().dbname(dbname)).await
    }

    /// Runs SQL as superuser: one or more statements, on a connection of their own.
    ///
    /// # Errors
    /// If the server refuses it; with the server's words.
    pub async fn execute(&self, sql: &str) -> Result<(), ThrowawayError> {
        self.execute_in("postgres", sql).await
    }

    /// The same in another database.
    ///
    /// # Errors
    /// If the server refuses it; with the server's words.
    pub async fn execute_in(&self, dbname: &str, sql: &str) -> Result<(), ThrowawayError> {
        self.connect_to(dbname).await?.batch_execute(sql).await.map_err(|e| told(&e))
    }

    /// The first cell of the first row, as text, of a query as superuser.
    ///
    /// # Errors
    /// If the server refuses it; with the server's words.
    pub async fn value(&self, sql: &str) -> Result<Option<String>, ThrowawayError> {
        let messages = self.connect().await?.simple_query(sql).await.map_err(|e| told(&e))?;
        Ok(messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    /// Asks until the answer is `wanted`, for at most `patience`.
    ///
    /// # Errors
    /// If the server refuses the query, or the answer stays another.
    pub async fn wait_for(&self, sql: &str, wanted: &str, patience: Duration) -> Result<(), ThrowawayError> {
        let until = Instant::now() + patience;
        loop {
            let found = self.value(sql).await?;
            if found.as_deref() == Some(wanted) {
                return Ok(());
            }
            if Instant::now() > until {
                let found = found.unwrap_or_else(|| "nothing".to_owned());
                return Err(ThrowawayError::new(format!("`{sql}` stayed `{found}` and did not become `{wanted}`")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes a standby a primary and waits until it is.
    ///
    /// # Errors
    /// If it is none, or does not become one.
    pub async fn promote(&self) -> Result<(), ThrowawayError> {
        self.execute("SELECT pg_catalog.pg_promote(wait => false)").await?;
        self.wait_for("SELECT pg_catalog.pg_is_in_recovery()", "f", READY).await
    }

    /// Stops the server in order (`fast`); its directory stays.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.stop(Stop::InOrder);
        }
    }

    /// Stops the server at once, as a crash would (`immediate`); its directory stays.
    pub fn crash(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.stop(Stop::AtOnce);
        }
    }

    /// Leaves the server running, and its directory in place, when this process ends. Says how to end both.
    #[must_use]
    pub fn leave(mut self) -> String {
        self.root.disable_cleanup(true);
        let stop = self.pid().map(|pid| format!("kill -INT {pid}; ")).unwrap_or_default();
        if let Some(server) = self.server.take() {
            server.leave();
        }
        format!("{stop}rm -r {}", self.root.path().display())
    }

    /// Starts a stopped server and waits until it takes connections.
    ///
    /// # Errors
    /// If it does not start; with the end of its log.
    pub async fn start_again(&mut self) -> Result<(), ThrowawayError> {
        let log = std::fs::File::options().append(true).create(true).open(self.log_path());
        let log = log.map_err(|e| ThrowawayError::new(format!("the server's log can't be opened: {e}")))?;
        let mut server = Server::start(&self.binaries, self.owner, self.root.path(), &self.data_dir(), log)?;
        let until = Instant::now() + READY;
        loop {
            let Err(refused) = self.connect().await else { break };
            if let Some(status) = server.ended() {
                return Err(ThrowawayError::new(format!("postgres ended with {status}: {}", tail(&self.log_path()))));
            }
            if Instant::now() > until {
                return Err(ThrowawayError::new(format!("postgres did not become ready: {refused}")));
            }
            tokio::time::sleep(LOOK).await;
        }
        self.server = Some(server);
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Before the directory goes.
        drop(self.server.take());
    }
}

impl Pending {
    /// Makes the cluster and starts it; it takes connections when this returns.
    ///
    /// # Errors
    /// If a program is missing or fails; says which, with the end of what it said.
    pub async fn start(self) -> Result<Cluster, ThrowawayError> {
        let Self { options, upstream } = self;
        let mut cluster = match upstream {
            None => {
                // initdb blocks for about a second.
                let make = {
                    let options = options.clone();
                    move || Cluster::initialised(&options)
                };
                let made = tokio::task::spawn_blocking(make).await;
                made.map_err(|e| ThrowawayError::new(format!("making a cluster failed: {e}")))??
            }
            Some(Upstream { binaries, superuser, data }) => {
                let client = connect(&superuser).await;
                let client = client.map_err(|e| ThrowawayError::new(format!("a standby's primary must be up: {e}")))?;
                let cluster = Cluster::empty(binaries, &options)?;
                backup::copy(&client, cluster.major(), cluster.owner, data, cluster.data_dir()).await?;
                let primary = format!("primary_conninfo = '{}'", conninfo(&superuser));
                write(cluster.owner, &cluster.data_dir().join(AUTO_CONF), &primary, true).map_err(|e| unmade(&e))?;
                cluster
            }
        };
        cluster.configure(&options).map_err(|e| unmade(&e))?;
        cluster.start_again().await?;
        Ok(cluster)
    }
}

impl Cluster {
    /// The directories of a cluster without data.
    fn empty(binaries: Binaries, options: &Options) -> Result<Self, ThrowawayError> {
        let owner = Owner::needed()?;
        let make = || {
            let root = tempfile::Builder::new().prefix("lockgate-pg-").tempdir_in(short_temp_dir())?;
            Owner::give(owner, root.path())?;
            let tcp = options.tcp.then(free_port).transpose()?;
            let cluster = Self { binaries, owner, root, tcp, server: None };
            let socket = cluster.socket_dir();
            std::fs::create_dir(&socket)?;
            Owner::give(owner, &socket)?;
            Ok(cluster)
        };
        make().map_err(|e: std::io::Error| unmade(&e))
    }

    /// A cluster as initdb makes it.
    fn initialised(options: &Options) -> Result<Self, ThrowawayError> {
        let cluster = Self::empty(Binaries::find_among(options.major, &options.servers)?, options)?;
        let mut command = Command::new(cluster.binaries.program("initdb"));
        run(cluster.owner, command.arg("-D").arg(cluster.data_dir()).args(INITDB))?;
        Ok(cluster)
    }

    fn configure(&self, options: &Options) -> std::io::Result<()> {
        write(self.owner, &self.data_dir().join(AUTO_CONF), &self.conf(options), true)?;
        let hba: Vec<&str> = options.hba.iter().map(String::as_str).chain(HBA.iter().copied()).collect();
        write(self.owner, &self.data_dir().join("pg_hba.conf"), &hba.join("\n"), false)
    }

    fn conf(&self, options: &Options) -> String {
        let listen = if self.tcp.is_some() { "127.0.0.1" } else { "" };
        let mut lines = vec![
            format!("unix_socket_directories = '{}'", self.socket_dir().display()),
            format!("listen_addresses = '{listen}'"),
            format!("port = {}", self.port()),
            "unix_socket_permissions = 0777".to_owned(),
            "fsync = off".to_owned(),
            "full_page_writes = off".to_owned(),
            "wal_level = replica".to_owned(),
            "max_wal_senders = 4".to_owned(),
            "shared_buffers = '32MB'".to_owned(),
            "log_min_messages = warning".to_owned(),
            "log_line_prefix = '%m [%p] %q%a %u@%d '".to_owned(),
            "lc_messages = 'C'".to_owned(),
        ];
        if options.log_statements {
            lines.push("log_statement = 'all'".to_owned());
        }
        if options.stat_statements && self.binaries.has_library("pg_stat_statements") {
            lines.push("shared_preload_libraries = 'pg_stat_statements'".to_owned());
        }
        lines.extend(options.conf.iter().cloned());
        lines.join("\n")
    }
}

const INITDB: [&str; 7] = ["-U", SUPERUSER, "-A", "trust", "-N", "-E", "UTF8"];
/// Read after `postgresql.conf`, so that what stands here wins.
const AUTO_CONF: &str = "postgresql.auto.conf";
/// The directory lets in nobody but the server's user and root, which is why the socket may trust.
const HBA: [&str; 4] =
    ["local all all trust", "local replication all trust", "host all all 127.0.0.1/32 scram-sha-256", ""];

/// A socket's path may have 107 bytes.
fn short_temp_dir() -> PathBuf {
    let dir = std::env::temp_dir();
    if dir.as_os_str().len() <= 40 { dir } else { PathBuf::from("/tmp") }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// How a standby reaches its primary, as libpq reads it.
fn conninfo(superuser: &Config) -> String {
    let hosts = superuser.get_hosts().iter().filter_map(|host| match host {
        Host::Unix(dir) => Some(format!("host={}", dir.display())),
        Host::Tcp(_) => None,
    });
    let ports = superuser.get_ports().iter().map(|port| format!("port={port}"));
    hosts.chain(ports).chain([format!("user={SUPERUSER}")]).collect::<Vec<_>>().join(" ")
}

async fn connect(config: &Config) -> Result<Client, ThrowawayError> {
    let (client, connection) = config.connect(NoTls).await.map_err(|e| told(&e))?;
    tokio::spawn(connection);
    Ok(client)
}

fn run(owner: Option<Owner>, command: &mut Command) -> Result<(), ThrowawayError> {
    Owner::run(owner, command);
    let program = command.get_program().to_string_lossy().into_owned();
    // The environment of an operator's shell is about an operator's servers.
    let output = command
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|e| not_started(owner, &program, &e))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(ThrowawayError::new(format!("{program} failed: {}", last(&said))))
}

/// A program in somebody's private directory is there, and still nobody else can start it.
fn not_started(owner: Option<Owner>, program: &str, error: &std::io::Error) -> ThrowawayError {
    let hint = if owner.is_some() && error.kind() == std::io::ErrorKind::PermissionDenied {
        ": the server runs as another user than root, who must be able to enter that directory"
    } else {
        ""
    };
    ThrowawayError::new(format!("{program} could not be started: {error}{hint}"))
}

fn write(owner: Option<Owner>, path: &Path, text: &str, append: bool) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::options().create(true).append(append).truncate(!append).write(true).open(path)?;
    writeln!(file, "{text}")?;
    Owner::give(owner, path)
}

fn tail(path: &Path) -> String {
    last(&std::fs::read_to_string(path).unwrap_or_default())
}

/// The end of what a program said.
fn last(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join(" | ")
}

fn unmade(error: &std::io::Error) -> ThrowawayError {
    ThrowawayError::new(format!("the cluster's directory can't be made: {error}"))
}

pub(super) fn told(error: &tokio_postgres::Error) -> ThrowawayError {
    use std::error::Error as _;
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    ThrowawayError::new(format!("{error}{cause}"))
}
