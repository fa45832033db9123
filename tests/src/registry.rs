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
        Self::serving("127.0.0.1", "")
    }

    /// One that is reached as `localhost` over TLS, with the certificate that [`crate::certificates`] made in a directory.
    ///
    /// # Panics
    /// If there is none to start.
    #[must_use]
    pub fn with_certificate(certificates: &Path) -> Self {
        let (certificate, key) = (certificates.join("server.pem"), certificates.join("server.key"));
        Self::serving("localhost", &format!(", tls: {{certificate: {certificate:?}, key: {key:?}}}"))
    }

    fn serving(name: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        // Another test may take the port in between; the registry then ends at once, and another port is tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
            let (at, host) = (format!("127.0.0.1:{port}"), format!("{name}:{port}"));
            let config = dir.path().join("config.yml");
            let text = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {:?}}}}}\n\
                 http: {{addr: \"{at}\"{more}}}\n",
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

    fn files(&self) -> PathBuf {
        Path::new(self.dir.path()).join("data/docker/registry/v2")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
