//! Chromium, as a process of a test's own: gone with the test, however that ends.

use std::{env, path::PathBuf, process::Stdio, sync::Arc};

use lockgate_tests::clients::{javascript, node};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
    time::{Duration, timeout},
};

use super::tab::{Look, Tab};
use crate::{host::Host, world::PASSWORD};

/// For one command: the script gives up before that, and says what it saw.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running browser.
pub struct Chromium(Arc<Mutex<Wire>>);

/// The way to it: one command, one answer.
pub struct Wire {
    process: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _scripts: TempDir,
}

impl Chromium {
    /// Starts it, for the portal of a host.
    pub fn start(host: &Host) -> Self {
        Self::at(&host.browser().origin)
    }

    /// Starts it, for the portal that is there.
    pub fn at(origin: &str) -> Self {
        let scripts = javascript();
        let mut process = Command::new(node())
            .arg(scripts.path().join("browser.mjs"))
            .arg(program())
            .arg(origin)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("the script can be started");
        let (input, output) = (process.stdin.take().expect("its input"), process.stdout.take().expect("its output"));
        let lines = BufReader::new(output).lines();
        Self(Arc::new(Mutex::new(Wire { process, input, lines, _scripts: scripts })))
    }

    /// A tab that shares nothing with any other.
    pub async fn tab(&self, look: Look) -> Tab {
        let mut open = json!({ "does": "open" });
        look.describe(&mut open);
        let id = self.0.lock().await.ask(&open).await;
        Tab::new(Arc::clone(&self.0), id, look)
    }

    /// A tab in which somebody has logged in, by the form.
    pub async fn person(&self, name: &str, look: Look) -> Tab {
        let tab = self.tab(look).await;
        assert_eq!(tab.open("/login").await, 200);
        tab.fill("Name", name).await;
        tab.fill("Password", PASSWORD).await;
        tab.click("Log in").await;
        tab.says("Waiting for a decision").await;
        tab
    }
}

impl Wire {
    /// Gives a command and waits for what it came to.
    pub async fn ask(&mut self, command: &Json) -> Json {
        let line = format!("{command}\n");
        self.input.write_all(line.as_bytes()).await.expect("the browser's script hears");
        let answer = timeout(PATIENCE, self.lines.next_line()).await.expect("it answers in time");
        let answer = answer.expect("its output").unwrap_or_else(|| panic!("the browser ended at {command}"));
        let mut answer: Json = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"));
        if let Some(why) = answer["failed"].as_str() {
            panic!("{command}: {why}");
        }
        answer["done"].take()
    }
}

impl Drop for Wire {
    /// Chromium has a group of its own and ends when the script's end of its pipe does.
    fn drop(&mut self) {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let _ = id.map(|id| kill_process_group(id, Signal::KILL));
    }
}

/// The browser that `scripts/setup` makes sure of.
fn program() -> PathBuf {
    if let Some(named) = env::var_os("LOCKGATE_CHROMIUM") {
        return named.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut places = names.iter().flat_map(|name| env::split_paths(&path).map(move |directory| directory.join(name)));
    places.find(|place| place.exists()).expect("Chromium is missing: run scripts/setup")
}
