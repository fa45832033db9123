//! `lockgate serve` and `lockgate mcp`: the agents' door, over streamable HTTP and over standard input and output.

use std::{process::ExitCode, sync::Arc};

use super::terminal;
use crate::{
    audit::Entry,
    config::Config,
    error::{Code, Refusal},
    gate::{
        Gate,
        call::{Door, Principal},
    },
    mcp,
    startup::{self, State},
};

/// One agent, on standard input and output. Ends when the agent closes them.
pub(super) async fn stdio(config: &Config) -> Result<ExitCode, Refusal> {
    let principal = stdio_principal(config);
    let gate = open(config).await?;
    let end = mcp::stdio::serve(Arc::clone(&gate), principal, mcp::Settings::from(&config.mcp)).await;
    close(&gate, end.map_err(|e| e.to_string())).await
}

/// Agents with tokens, over HTTP. Ends on SIGINT or SIGTERM.
pub(super) async fn http(config: &Config) -> Result<ExitCode, Refusal> {
    if config.mcp.agents.is_empty() {
        return Err(Refusal::new(Code::ConfigInvalid, "no agent may call over HTTP")
            .with_remedy("make a token with `lockgate token new` and add an [[mcp.agent]]"));
    }
    let gate = open(config).await?;
    let end = mcp::http::serve(Arc::clone(&gate), &config.mcp, terminal::stop_signal()).await;
    close(&gate, end.map_err(|e| e.to_string())).await
}

async fn open(config: &Config) -> Result<Arc<Gate>, Refusal> {
    let opened = startup::open_gate(config, State::open(config)?).await?;
    for refused in &opened.refused {
        tracing::error!(code = %refused.error.code, pack = %refused.path.display(), "pack is out: {}", refused.error.message);
    }
    let actions = opened.gate.catalog().entries().count();
    tracing::info!(actions, targets = opened.gate.targets().len(), "lockgate is up");
    Ok(opened.gate)
}

async fn close(gate: &Gate, end: Result<(), String>) -> Result<ExitCode, Refusal> {
    let stop = Entry::new("host.stop").field("error", end.as_ref().err().cloned());
    gate.journal().note(stop).await?;
    gate.journal().close().await?;
    end.map(|()| ExitCode::SUCCESS).map_err(|e| Refusal::new(Code::InternalError, e))
}

/// Who an agent on standard input is: what the configuration says; otherwise the operating system's user is taken for both
/// the agent and the person behind it.
fn stdio_principal(config: &Config) -> Principal {
    let user = terminal::os_user();
    match &config.mcp.stdio {
        Some(agent) => Principal {
            agent: agent.agent.clone(),
            person: Some(agent.person.clone()),
            os_user: Some(user),
            roles: agent.roles.clone(),
            door: Door::Stdio,
        },
        None => Principal {
            agent: format!("{user}-stdio"),
            person: Some(user.clone()),
            os_user: Some(user),
            roles: Vec::new(),
            door: Door::Stdio,
        },
    }
}
