//! `lockgate demo`: the incident for real, on a throwaway cluster. Everything is what a user has: PostgreSQL with two
//! streaming standbys, a signed pack, a crashed client in a process of its own, an agent in another over MCP, and the
//! person at this terminal, who approves. Ends with an error if anything differs from the story.

mod agent;
mod crashed;
mod deploy;
mod event;
mod stage;
mod story;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};

use super::terminal;
use crate::error::{Code, Refusal};

/// Writers that wait behind the crashed client, as in the story.
const WRITERS: usize = 30;
/// Sessions that the same deploy left idle in transaction.
const STRAGGLERS: usize = 5;
/// The least that `kill_idle` takes; the stragglers must have been idle for longer.
const IDLE_SECONDS: u64 = 60;
/// How long any one step of staging may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Approve without asking, for CI
    #[arg(long)]
    yes: bool,
    /// Leave everything up afterwards and print a client's configuration
    #[arg(long)]
    keep: bool,
    /// The stock pack's source
    #[arg(long, default_value = "packs/postgres", value_name = "DIR")]
    pack: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct PartArgs {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The agent: a real MCP client of `lockgate mcp`
    Agent {
        /// The host's configuration
        #[arg(long)]
        host_config: PathBuf,
    },
    /// The client that dies inside a transaction
    Crashed {
        /// Where the server's socket is
        #[arg(long)]
        socket_dir: PathBuf,
        /// The server's port
        #[arg(long)]
        port: u16,
    },
}

/// Plays the whole story.
pub(super) async fn run(args: DemoArgs) -> Result<ExitCode, Refusal> {
    if !args.yes && !terminal::is_interactive() {
        return Err(Refusal::new(Code::ConfigInvalid, "nobody is at a terminal to approve")
            .with_remedy("run it in a terminal, or with `--yes` (`make demo YES=1`)"));
    }
    deploy::has_source(&args.pack)?;
    let told = story::Story::new();
    tokio::select! {
        end = story::play(&args, &told) => end,
        _ = tokio::signal::ctrl_c() => Err(Refusal::new(Code::Cancelled, "interrupted").with_remedy("")),
    }
}

/// Plays one part in a process of its own.
pub(super) async fn part(args: PartArgs) -> Result<ExitCode, Refusal> {
    match args.part {
        Part::Agent { host_config } => agent::run(&host_config).await,
        Part::Crashed { socket_dir, port } => crashed::run(&socket_dir, port).await,
    }
}

/// Something that is not as in the story.
fn differs(what: impl Into<String>) -> Refusal {
    Refusal::new(Code::InternalError, what)
        .with_remedy("this is a defect of lockgate or of the demonstration: report it")
}
