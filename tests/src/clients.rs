//! Programs that `scripts/setup` installs for the tests: MCP clients of others, and what drives a browser. Their scripts are in
//! `tests/clients`.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::site::root;

/// For each line of a script, and for its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program of the installed clients.
///
/// # Panics
/// If it is not there.
pub fn installed(path: impl AsRef<Path>) -> PathBuf {
    let path = root().join("target/clients").join(path);
    assert!(path.exists(), "{} is missing: run scripts/setup", path.display());
    path
}

/// Node 22, whatever the system has.
#[must_use]
pub fn node() -> PathBuf {
    installed("js/node_modules/.bin/node")
}

/// A copy of the scripts of `tests/clients/js`, where the packages that they import can be found.
#[must_use]
pub fn javascript() -> TempDir {
    let dir = tempfile::tempdir_in(installed("js")).expect("a directory");
    for file in fs::read_dir(root().join("tests/clients/js")).expect("the scripts") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "mjs") {
            fs::copy(&path, dir.path().join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
    dir
}

/// A running script, which says what it sees, one JSON object a line, and fails where anything is not as it should be; killed
/// when dropped.
pub struct Script {
    name: String,
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    dir: TempDir,
}

impl Script {
    /// Starts a script of `tests/clients/js`.
    #[must_use]
    pub fn javascript(name: &str, arguments: &[String], token: &str) -> Self {
        let dir = javascript();
        let script = dir.path().join(name);
        Self::start(name, node(), script, arguments, token, dir)
    }

    /// Starts a script of `tests/clients/python`.
    #[must_use]
    pub fn python(name: &str, arguments: &[String], token: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let script = root().join("tests/clients/python").join(name);
        Self::start(name, installed("python/bin/python"), script, arguments, token, dir)
    }

    fn start(name: &str, program: PathBuf, script: PathBuf, arguments: &[String], token: &str, dir: TempDir) -> Self {
        let complaints = File::create(dir.path().join("stderr")).expect("a file");
        let mut process = Command::new(program)
            .arg(script)
            .args(arguments)
            .env("LOCKGATE_TOKEN", token)
            .env("LOCKGATE_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .kill_on_drop(true)
            .spawn()
            .expect("the script can be started");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        Self { name: format!("{name} {}", arguments.join(" ")), process, lines, dir }
    }

    /// The next line, which must be this event.
    pub async fn hears(&mut self, event: &str) -> Json {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let Ok(Ok(Some(line))) = line else { panic!("no `{event}` from {}: {}", self.name, self.complaints()) };
        let said: Json = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{}: {e}: {line}", self.name));
        assert_eq!(said["event"], event, "{}: {said}", self.name);
        said
    }

    /// Waits for its end, which must be a good one, with nothing more said.
    pub async fn ends(mut self) {
        let rest = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("its output ends");
        assert_eq!(rest.expect("its output"), None, "{}", self.name);
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await.expect("it ends").expect("its status");
        assert!(status.success(), "{} ended with {status}: {}", self.name, self.complaints());
    }

    fn complaints(&self) -> String {
        let mut text = String::new();
        let _ = File::open(self.dir.path().join("stderr")).and_then(|mut file| file.read_to_string(&mut text));
        text
    }
}
