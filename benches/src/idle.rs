//! The memory of a host that is up and has nothing to do: a real `lockgate mcp` process over its standard input and output,
//! with the stock pack from the cache, after the handshake, a hundred calls, and some quiet.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    HOST,
    measure::rounded,
    setting::{Host, TARGET},
};

/// Calls before it is left alone.
const CALLS: u64 = 100;
/// How long it is left alone.
const QUIET: Duration = Duration::from_secs(5);
/// MiB.
pub const BUDGET_MIB: f64 = 60.0;

/// What the kernel says of a process, in MiB.
pub struct Memory {
    /// All that is resident.
    pub resident: f64,
    /// Of it, what is the process's own; the rest is the program's file.
    pub own: f64,
}

/// Before the calls, and when it is idle.
pub struct Idle {
    pub fresh: Memory,
    pub idle: Memory,
}

impl Idle {
    /// For the file.
    pub fn to_json(&self) -> Json {
        let memory = |m: &Memory| json!({ "resident_mib": rounded(m.resident), "own_mib": rounded(m.own) });
        json!({ "calls": CALLS, "budget_mib": BUDGET_MIB, "after_handshake": memory(&self.fresh), "idle": memory(&self.idle) })
    }
}

/// Starts a host, uses it, lets it rest and looks at it.
pub async fn idle(host: &Host) -> Result<Idle> {
    let mut agent = Agent::start(host)?;
    agent.handshake().await?;
    let fresh = agent.memory()?;
    for id in 0..CALLS {
        let tool = if id % 2 == 0 { "postgres.uptime" } else { "postgres.activity_states" };
        let arguments = json!({ "reason": "a bench looks at memory", "target": TARGET });
        let answer = agent.ask(id + 10, "tools/call", json!({ "name": tool, "arguments": arguments })).await?;
        if answer.pointer("/structuredContent/status") != Some(&json!("done")) {
            bail!("{tool}: {answer}");
        }
    }
    tokio::time::sleep(QUIET).await;
    let idle = agent.memory()?;
    agent.end().await?;
    Ok(Idle { fresh, idle })
}

/// An agent with its own host process: this program again, as the `lockgate` command.
struct Agent {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Agent {
    fn start(host: &Host) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["mcp", "--config"])
            .arg(host.site.path("lockgate.toml"))
            .env(HOST, "1")
            .env("LOCKGATE_LOG", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("its input is a pipe")?;
        let output = BufReader::new(child.stdout.take().context("its output is a pipe")?).lines();
        Ok(Self { child, input, output })
    }

    async fn handshake(&mut self) -> Result<()> {
        let client = json!({ "name": "bench", "version": "1" });
        let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
        self.ask(1, "initialize", hello).await?;
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await?;
        self.ask(2, "tools/list", json!({})).await.map(drop)
    }

    async fn say(&mut self, message: &Json) -> Result<()> {
        self.input.write_all(format!("{message}\n").as_bytes()).await?;
        Ok(self.input.flush().await?)
    }

    async fn ask(&mut self, id: u64, method: &str, params: Json) -> Result<Json> {
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await?;
        while let Some(line) = self.output.next_line().await? {
            let message: Json = serde_json::from_str(&line)?;
            if message.get("id") == Some(&json!(id)) {
                return message.get("result").cloned().with_context(|| format!("{method}: {message}"));
            }
        }
        bail!("the host ended without an answer to {method}")
    }

    fn memory(&self) -> Result<Memory> {
        let pid = self.child.id().context("the host runs")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
            let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
            Ok(kib / 1024.0)
        };
        Ok(Memory { resident: field("VmRSS:")?, own: field("RssAnon:")? + field("RssShmem:")? })
    }

    async fn end(mut self) -> Result<()> {
        drop(self.input);
        let status = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await??;
        if status.success() { Ok(()) } else { bail!("the host ended with {status}") }
    }
}
