//! The binary, started as a process of its own.

use std::{path::Path, process::Stdio};

use lockgate_tests::site::Site;
use tokio::process::Command;

/// `lockgate`, with nothing of this process's environment that it would listen to.
pub fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate_cli"));
    clean(&mut command);
    command
}

/// `lockgate --config …` of a site.
pub fn lockgate(site: &Site) -> Command {
    with_config(&site.path("lockgate.toml"))
}

/// `lockgate --config …`.
pub fn with_config(config: &Path) -> Command {
    let mut command = bare();
    command.arg("--config").arg(config);
    command
}

/// The same, unable to make any file longer than so many blocks of 512 bytes: what a full disk looks like to a program.
pub fn on_a_full_disk(site: &Site, blocks: u64) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("ulimit -S -f {blocks}; exec \"$0\" \"$@\""));
    command.arg(env!("CARGO_BIN_EXE_lockgate_cli")).arg("--config").arg(site.path("lockgate.toml"));
    clean(&mut command);
    command
}

fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("PG") && !n.starts_with("PG_BIN") || n.starts_with("LOCKGATE")) {
            command.env_remove(name);
        }
    }
    command.env("LOCKGATE_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
}

/// How a process ended and what it said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; −1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs it to its end, and tells whoever looks into a test that failed, or asks for its output.
pub async fn run(command: &mut Command) -> Said {
    let output = command.output().await.expect("lockgate can be started");
    let text = |bytes| String::from_utf8(bytes).expect("lockgate writes UTF-8");
    let said = Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
    let arguments: Vec<_> = command.as_std().get_args().map(|a| a.to_string_lossy()).collect();
    println!("$ lockgate {}\n{}{}=> {}\n", arguments.join(" "), said.out, said.err, said.code);
    said
}

/// Runs `lockgate` on a site, which must succeed, and returns its standard output.
pub async fn succeeds(site: &Site, arguments: &[&str]) -> String {
    let said = run(lockgate(site).args(arguments)).await;
    assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
    said.out
}
