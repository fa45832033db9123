//! The client: the official Rust one, the same for all servers, which asks all of them for the same revision: the newest
//! that each speaks as this client expects.

use std::{
    fs,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rmcp::{
    RoleClient, ServiceExt as _,
    model::{CallToolRequestParams, ClientConfig, ProtocolVersion},
    service::{Peer, RunningService},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use tokio::{net::TcpStream, process::Child, task::JoinSet};

use super::server::{Server, Way};
use crate::measure::{Samples, timed};

/// How long a server may take until it is there: one of them imports half a gigabyte of Python first.
const PATIENCE: Duration = Duration::from_secs(120);
/// Calls that don't count.
const WARM_UP: usize = 100;
/// One caller stops after so many calls or so long, whichever comes first.
const CALLS: usize = 3000;
const LONGEST: Duration = Duration::from_secs(12);
/// How long the callers of the measurement under load call.
const LOAD: Duration = Duration::from_secs(8);

/// A server that is up, with one client.
pub struct Running {
    server: Server,
    client: Client,
    process: Child,
}

type Client = RunningService<RoleClient, ClientConfig>;

/// Starts a server and asks it for its tools; how long that took.
pub async fn start(mut server: Server) -> Result<(Running, Duration)> {
    let began = Instant::now();
    let started = async {
        if matches!(server.way, Way::Stdio) {
            server.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        }
        let mut process = server.command.spawn().with_context(|| format!("{} can't be started", server.name))?;
        let client: Client = match &server.way {
            Way::Stdio => {
                let output = process.stdout.take().context("its output is a pipe")?;
                let input = process.stdin.take().context("its input is a pipe")?;
                who().serve((output, input)).await?
            }
            Way::Http { port, .. } => {
                while TcpStream::connect(("127.0.0.1", *port)).await.is_err() {
                    if let Some(status) = process.try_wait()? {
                        bail!("{} ended with {status}", server.name);
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                connect(&server.way).await?
            }
        };
        let tools = client.list_all_tools().await?;
        if !tools.iter().any(|tool| tool.name == server.tool) {
            bail!("{} has no tool `{}`", server.name, server.tool);
        }
        Ok(Running { server, client, process })
    };
    let running = tokio::time::timeout(PATIENCE, started).await.context("it does not answer")??;
    Ok((running, began.elapsed()))
}

/// One more client of a server on a port.
async fn connect(way: &Way) -> Result<Client> {
    let Way::Http { url, token, .. } = way else { bail!("a pipe has one client") };
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
    config.auth_header.clone_from(token);
    Ok(who().serve(StreamableHttpClientTransport::from_config(config)).await?)
}

/// What the client says of itself.
fn who() -> ClientConfig {
    ClientConfig::default().with_protocol_version(ProtocolVersion::V_2025_11_25)
}

/// The call, and a look at its answer.
#[derive(Clone)]
struct Asked {
    request: CallToolRequestParams,
    expected: &'static str,
}

impl Asked {
    async fn of(&self, peer: &Peer<RoleClient>) -> Result<()> {
        let result = peer.call_tool(self.request.clone()).await?;
        let text = result.content.first().and_then(|block| block.as_text()).map(|text| text.text.as_str());
        match text {
            Some(text) if result.is_error != Some(true) && text.contains(self.expected) => Ok(()),
            _ => bail!("`{}` is answered by {result:?}", self.request.name),
        }
    }
}

impl Running {
    fn asked(&self) -> Asked {
        let arguments = self.server.arguments.as_object().cloned().unwrap_or_default();
        let request = CallToolRequestParams::new(self.server.tool).with_arguments(arguments);
        Asked { request, expected: self.server.expected }
    }

    /// One caller, one call after the other.
    pub async fn alone(&mut self) -> Result<Samples> {
        let (asked, mut samples) = (self.asked(), Samples::default());
        for _ in 0..WARM_UP {
            asked.of(&self.client).await?;
        }
        let began = Instant::now();
        while samples.len() < CALLS && began.elapsed() < LONGEST {
            let (time, answer) = timed(asked.of(&self.client)).await;
            answer?;
            samples.push(time);
        }
        Ok(samples)
    }

    /// Many callers: on one pipe all of them, over HTTP each with a client of its own.
    pub async fn many(&mut self, callers: usize) -> Result<(Samples, f64)> {
        let mut clients = Vec::new();
        if matches!(self.server.way, Way::Http { .. }) {
            for _ in 0..callers {
                clients.push(connect(&self.server.way).await?);
            }
        }
        let asked = Arc::new(self.asked());
        let began = Instant::now();
        let mut tasks: JoinSet<Result<Samples>> = JoinSet::new();
        for caller in 0..callers {
            let peer = clients.get(caller).unwrap_or(&self.client).peer().clone();
            let asked = Arc::clone(&asked);
            tasks.spawn(async move {
                let mut samples = Samples::default();
                while began.elapsed() < LOAD {
                    let (time, answer) = timed(asked.of(&peer)).await;
                    answer?;
                    samples.push(time);
                }
                Ok(samples)
            });
        }
        let mut all = Samples::default();
        while let Some(samples) = tasks.join_next().await {
            all.extend(samples??);
        }
        let took = began.elapsed().as_secs_f64();
        for client in clients {
            // A session that its server ended first is as good as closed.
            let _ = client.cancel().await;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand calls")]
        let rate = all.len() as f64 / took;
        Ok((all, rate))
    }

    /// What was agreed on.
    pub fn revision(&self) -> String {
        self.client.peer_info().map_or_else(|| "?".into(), |info| info.protocol_version.to_string())
    }

    /// Resident of the process and all that it started, in MiB.
    pub fn memory(&self) -> Result<f64> {
        let pid = self.process.id().context("it runs")?;
        let (mut family, mut kib) = (vec![pid], 0.0);
        while let Some(pid) = family.pop() {
            let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
            kib += line.trim().trim_end_matches("kB").trim().parse::<f64>()?;
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        Ok(kib / 1024.0)
    }

    /// Ends it.
    pub async fn stop(mut self) {
        // It is measured; how it ends is not of interest here.
        let _ = tokio::time::timeout(Duration::from_secs(5), self.client.cancel()).await;
        let _ = self.process.start_kill();
        let _ = self.process.wait().await;
    }
}
