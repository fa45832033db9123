//! The story as it happens: stages the incident, lets the agent loose, asks the person at the terminal, checks how it
//! ended, and says all of it calmly.

use std::{path::Path, process::ExitCode, process::Stdio, sync::Arc, time::Instant};

use jiff::Timestamp;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{
    DemoArgs, PATIENCE, WRITERS,
    deploy::{self, Deployment},
    differs,
    event::Event,
    stage::{Incident, Stage},
};
use crate::{
    audit,
    cli::terminal::{self, say},
    config::Config,
    error::{Code, Refusal},
    gate::decide,
    startup::{self, State as HostState},
    store::{Approval, Decision, Filter, Seen, State, Vote},
};

/// How often the person's side looks for something to decide.
const LOOK: std::time::Duration = std::time::Duration::from_millis(100);

/// Says what happens.
pub(super) struct Story {
    colour: bool,
}

impl Story {
    pub(super) fn new() -> Self {
        Self { colour: terminal::is_colourful(&std::io::stdout()) }
    }

    fn styled(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn chapter(&self, title: &str) {
        say(&format!("\n{}\n", self.styled("1", title)));
    }

    fn step(&self, what: &str, text: &str) {
        say(&format!("  {} {text}", self.styled("2", &format!("{what:<9}"))));
    }

    fn event(&self, event: &Event) {
        match event {
            Event::Connected { protocol, tools } => {
                self.step("agent", &format!("MCP {protocol} over stdio, in a process of its own; {tools} tools"));
            }
            Event::Thinks { text } => say(&self.styled("3", &format!("  # {text}"))),
            Event::Calls { tool, arguments } => {
                let arguments = serde_json::to_string(arguments).unwrap_or_default();
                say(&format!("\n  {} {arguments}", self.styled("1;36", tool)));
            }
            Event::Answered { summary, table, more, approved_by } => {
                if let Some(by) = approved_by {
                    say(&self.styled("32", &format!("  approved by {by}, for this one use")));
                }
                say(&format!("  -> {summary}"));
                for row in table {
                    say(&self.styled("2", &format!("     {}", cut(&row.join(" | ")))));
                }
                if *more > 0 {
                    say(&self.styled("2", &format!("     ... {more} more")));
                }
            }
            Event::Pending { approval } => self.step("agent", &format!("still waiting for {approval}")),
        }
    }
}

/// Plays it from the first process to the last check.
pub(super) async fn play(args: &DemoArgs, told: &Story) -> Result<ExitCode, Refusal> {
    let began = Instant::now();
    told.chapter("The stage");
    let stage = Stage::build().await?;
    told.step("cluster", &format!("PostgreSQL {}: a primary and two streaming standbys", stage.version()));
    told.step("role", "lockgate_agent: pg_monitor and pg_signal_backend, nothing else");
    // First of all: they must have idled for a minute before they may be swept.
    let stragglers = stage.stragglers().await?;
    let deployed = deploy::deploy(&args.pack, &stage).await?;
    told.step("pack", &deployed.summary());
    let incident = stage.incident(stragglers).await?;
    told.step("02:14", &format!("a deploy crashed inside a transaction; {WRITERS} writers wait behind it"));

    told.chapter("The agent");
    let config = Config::load(deployed.config()).map_err(|e| differs(e.to_string()))?;
    let host = HostState::open(&config)?;
    converse(args, told, &deployed, &host).await?;

    told.chapter("What became of it");
    check_writers(told, incident).await?;
    host.record.close().await?;
    drop(host);
    check_record(told, &config)?;
    if args.keep {
        keep(told, stage, deployed);
    } else {
        stage.clean_up();
        told.step("cleaned", "cluster, keys and record are gone; `--keep` leaves them up");
    }
    told.step("took", &format!("{} s", began.elapsed().as_secs()));
    Ok(ExitCode::SUCCESS)
}

/// Starts the agent, passes on what it says, and decides what it asks.
async fn converse(args: &DemoArgs, told: &Story, deployed: &Deployment, host: &HostState) -> Result<(), Refusal> {
    let (mut child, mut lines) = start_agent(deployed.config())?;
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            biased;
            line = lines.next_line() => match line {
                Ok(Some(line)) => told.event(&read(&line)?),
                Ok(None) => break,
                Err(error) => return Err(differs(format!("the agent can't be heard: {error}"))),
            },
            _ = look.tick() => if let Some(approval) = pending(host)? {
                decide(args, told, host, &approval).await?;
            },
        }
    }
    let status = child.wait().await.map_err(|e| differs(e.to_string()))?;
    if status.success() { Ok(()) } else { Err(differs("the agent's story ended early; it says why above")) }
}

fn start_agent(config: &Path) -> Result<(Child, Lines<BufReader<ChildStdout>>), Refusal> {
    let failed = |e: std::io::Error| differs(format!("the agent's process can't be started: {e}"));
    let mut child = Command::new(std::env::current_exe().map_err(failed)?)
        .args(["demo-part", "agent", "--host-config"])
        .arg(config)
        .env("LOCKGATE_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let stdout = child.stdout.take().ok_or_else(|| differs("the agent has no output"))?;
    Ok((child, BufReader::new(stdout).lines()))
}

fn read(line: &str) -> Result<Event, Refusal> {
    serde_json::from_str(line).map_err(|e| differs(format!("the agent says something else: {e}")))
}

fn pending(host: &HostState) -> Result<Option<Approval>, Refusal> {
    let filter = Filter { states: vec![State::Pending], ..Filter::default() };
    Ok(host.store.list(&filter)?.into_iter().next())
}

/// Shows the request, asks the person, and counts the answer.
async fn decide(args: &DemoArgs, told: &Story, host: &HostState, approval: &Approval) -> Result<(), Refusal> {
    say(&told.styled("33", "  held: high risk, so a person decides. This is what they see:\n"));
    for line in super::super::approvals::shown(approval).lines() {
        say(&format!("  | {line}"));
    }
    let decision = if args.yes {
        say("\n  approving, as told with --yes");
        Decision::Approve
    } else {
        match terminal::ask("\n  Approve this, once? [y/N] ") {
            Ok(Some(answer)) if matches!(answer.as_str(), "y" | "Y" | "yes") => Decision::Approve,
            _ => Decision::Deny,
        }
    };
    let vote = Vote {
        id: approval.id.clone(),
        person: terminal::os_user(),
        also_known_as: std::collections::BTreeSet::new(),
        roles: std::collections::BTreeSet::new(),
        decision,
        reason: "as it was shown in the demonstration".to_owned(),
        digest_shown: approval.digest,
        seen: Seen::AsRequested,
        now: Timestamp::now(),
    };
    decide::decide(&host.record, Arc::clone(&host.store), vote).await?;
    if decision == Decision::Deny {
        return Err(Refusal::new(Code::ApprovalDenied, "you denied it, so the story ends here; nothing was changed")
            .with_remedy("run the demonstration again and approve"));
    }
    Ok(())
}

async fn check_writers(told: &Story, incident: Incident) -> Result<(), Refusal> {
    let committed = incident.committed(PATIENCE).await?;
    if committed != WRITERS {
        return Err(differs(format!("{committed} of {WRITERS} writers committed")));
    }
    told.step("writers", &format!("all {WRITERS} blocked updates committed"));
    Ok(())
}

/// Verifies the record as anybody could who has the files and the public key.
fn check_record(told: &Story, config: &Config) -> Result<(), Refusal> {
    let key = startup::record_public_key(config)?;
    let report = audit::verify(&config.record_dir(), &key, None).map_err(|e| differs(e.to_string()))?;
    told.step("record", &config.record_dir().display().to_string());
    let state = if report.intact { "intact" } else { "NOT INTACT" };
    told.step(
        "verified",
        &format!("{state}: {} lines, {} under a signed checkpoint", report.verified, report.anchored),
    );
    if !report.intact {
        return Err(differs("the record is not intact"));
    }
    Ok(())
}

fn keep(told: &Story, stage: Stage, deployed: Deployment) {
    let exe = std::env::current_exe().map_or_else(|_| "lockgate".into(), |p| p.display().to_string());
    let client = serde_json::json!({
        "mcpServers": { "lockgate": {
            "command": exe,
            "args": ["--config", deployed.config().display().to_string(), "mcp"],
        } },
    });
    told.chapter("Still up (--keep)");
    told.step("client", "give this to an MCP client:");
    say(&serde_json::to_string_pretty(&client).unwrap_or_default());
    told.step("decide", &format!("{exe} --config {} approvals list", deployed.config().display()));
    for line in stage.leave() {
        told.step("stop", &line);
    }
    told.step("files", &deployed.leave().display().to_string());
}

/// One line of a table, short enough for a terminal.
fn cut(text: &str) -> String {
    const WIDTH: usize = 110;
    match text.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
