//! A registry of its own for each test: Debian's `docker-registry`, on a free port of this machine, with its files where a test can
//! lay hands on them.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::certificates;

/// Who may use a registry with a login, and the entry of its password (bcrypt, as the registry wants it).
pub const USER: &str = "publisher";
/// Theirs.
pub const PASSWORD: &str = "Hunter2x-registry";
const ENTRY: &str = "publisher:$2y$05$abcdefghijklmnopqrstuulSAKFAuZT1ALDxG9GnK.sIAP5aln9MS\n";

/// A registry that runs until it is dropped.
pub struct Registry {
    dir: tempfile::TempDir,
    process: Child,
    /// Its address and port.
    pub host: String,
}

impl Registry {
    /// One that is reached in the clear.
    ///
    /// # Panics
    /// If there is none to start.
    #[must_use]
    pub fn start() -> Self {
        Self::begin(tempfile::tempdir().expect("a directory"), "127.0.0.1", "", "")
    }

    /// One that is reached as `localhost` over TLS, with the certificate that [`crate::certificates`] made in a directory.
    ///
    /// # Panics
    /// If there is none to start.
    #[must_use]
    pub fn with_certificate(certificates: &Path) -> Self {
        Self::begin(tempfile::tempdir().expect("a directory"), "localhost", &tls(certificates), "")
    }

    /// One that is configured with more.
    ///
    /// # Panics
    /// If there is none to start.
    #[must_use]
    pub fn with(more: &str) -> Self {
        Self::begin(tempfile::tempdir().expect("a directory"), "127.0.0.1", "", more)
    }

    /// One that takes no one but its user, and is configured with more.
    ///
    /// # Panics
    /// If there is none to start.
    #[must_use]
    pub fn with_login(more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let login = login(dir.path());
        Self::begin(dir, "127.0.0.1", "", &format!("{login}{more}"))
    }

    /// The same over TLS, by the name `localhost`.
    ///
    /// # Panics
    /// If there is none to start.
    #[must_use]
    pub fn with_login_over_tls() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        certificates(dir.path(), "localhost");
        let (tls, login) = (tls(dir.path()), login(dir.path()));
        Self::begin(dir, "localhost", &tls, &login)
    }

    fn begin(dir: tempfile::TempDir, name: &str, tls: &str, more: &str) -> Self {
        // Another test may take the port in between; the registry then ends at once, and another port is tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
            let (at, host) = (format!("127.0.0.1:{port}"), format!("{name}:{port}"));
            let config = dir.path().join("config.yml");
            let text = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {:?}}}}}\n\
                 http: {{addr: \"{at}\"{tls}}}\n{more}",
                dir.path().join("data")
            );
            fs::write(&config, text).expect("a configuration");
            let mut process = Command::new("docker-registry")
                .arg("serve")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("docker-registry is installed: scripts/setup does it");
            let patience = Instant::now() + Duration::from_secs(60);
            while Instant::now() < patience && process.try_wait().expect("its state").is_none() {
                if TcpStream::connect(&at).is_ok() {
                    return Self { dir, process, host };
                }
                thread::sleep(Duration::from_millis(10));
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("the registry does not start");
    }

    /// The address of a repository of it.
    #[must_use]
    pub fn at(&self, rest: &str) -> String {
        format!("oci://{}/{rest}", self.host)
    }

    /// The file of a blob.
    #[must_use]
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
        self.files().join("blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }

    /// The directory of a tag.
    #[must_use]
    pub fn tag(&self, repository: &str, tag: &str) -> PathBuf {
        self.files().join("repositories").join(repository).join("_manifests/tags").join(tag)
    }

    /// The authority of its certificate.
    #[must_use]
    pub fn authority(&self) -> String {
        self.dir.path().join("ca.pem").display().to_string()
    }

    /// The directory that its files are named from.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn files(&self) -> PathBuf {
        self.data().join("docker/registry/v2")
    }
}

fn tls(certificates: &Path) -> String {
    let (certificate, key) = (certificates.join("server.pem"), certificates.join("server.key"));
    format!(", tls: {{certificate: {certificate:?}, key: {key:?}}}")
}

fn login(dir: &Path) -> String {
    let users = dir.join("htpasswd");
    fs::write(&users, ENTRY).expect("a file of users");
    format!("auth: {{htpasswd: {{realm: tests, path: {users:?}}}}}\n")
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
