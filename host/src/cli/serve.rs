//! `lockgate serve` and `lockgate mcp`: the agents' door, over streamable HTTP and over standard input and output; and beside
//! the first, people's.

mod people;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::terminal;
use crate::{
    audit::Entry,
    config::Config,
    error::{Code, Refusal},
    gate::{
        Gate,
        call::{Door, Principal, Scope},
    },
    listen,
    mcp::{
        self, McpSettings,
        gatekeeper::GateDoor,
        http::HttpSettings,
        oauth::{OAuth, OAuthConfig, OAuthSettings, OAuthSettingsError},
        server::Server,
        sessions::Sessions,
        token::Agents,
        tokens::Tokens,
    },
    notify::{Attempted, Channel, Notifier},
    startup::{self, Kept, State},
    watchers::{self, Observed},
};

/// What is still being carried out without a caller gets so long to end by itself and then, called off, to say how.
const WIND_UP: Duration = Duration::from_secs(30);

/// One agent, on standard input and output. Ends when the agent closes them, or on a signal.
pub(super) async fn stdio(config: &Config) -> Result<ExitCode, Refusal> {
    let principal = stdio_principal(config);
    let channels = channels(config)?;
    let (gate, kept) = open(config, State::open(config)?, channels).await?;
    let server = server(&gate, config).with_caller(principal);
    let end = mcp::stdio::serve(server, stop_signal()).await;
    drop(kept);
    close(&gate, end.map_err(|e| e.to_string())).await
}

/// Agents with tokens, over HTTP, and people if there is a portal. Ends on SIGINT or SIGTERM.
pub(super) async fn http(mut config: Config) -> Result<ExitCode, Refusal> {
    let people = people::Bound::of(&mut config).await?;
    let config = &config;
    let agents = agents(config)?;
    let oauth = config.mcp.http.oauth.as_ref().map(OAuthConfig::checked).transpose().map_err(|e| unusable(&e))?;
    let address = &config.mcp.http.listen;
    let listener = listen::bind(address).await.map_err(|e| {
        Refusal::new(Code::ConfigInvalid, format!("[mcp.http] listen `{address}`: {e}"))
            .with_remedy("choose a free address and port")
    })?;
    let channels = channels(config)?;
    let watched = match &config.observe {
        Some(observe) => Some((bound(observe.listen).await?, observe.listen)),
        None => None,
    };
    let state = State::open(config)?;
    let store = Arc::clone(&state.store);
    // With a portal there is somebody to serve all the same, and a token may come later.
    let nobody = agents.is_empty() && oauth.is_none() && people.is_none();
    if nobody && store.valid_tokens(Timestamp::now())?.is_empty() {
        return Err(Refusal::new(Code::ConfigInvalid, "no agent may call over HTTP")
            .with_remedy("make a token with `lockgate token create`, or configure [mcp.http.oauth]"));
    }
    let settings = HttpSettings {
        allowed_hosts: config.mcp.http.allowed_hosts.clone(),
        allowed_origins: config.mcp.http.allowed_origins.clone(),
        agents,
        tokens: Some(Tokens::new(Arc::clone(&store))),
        oauth: issuer(oauth).await?,
        sessions: Sessions::default(),
    };
    let record = state.record.clone();
    let (gate, kept) = open(config, state, channels).await?;
    let (server, stop) = (server(&gate, config), stop_signal());
    // Until the very end: how it ends is worth seeing, too.
    let unwatched = CancellationToken::new();
    let _until_the_end = unwatched.clone().drop_guard();
    if let Some((listener, listen)) = watched {
        let names = config.notify.iter().map(|channel| channel.name.clone()).collect();
        let (sessions, calls) = (Some(settings.sessions.clone()), server.calls().clone());
        let observed = Observed::new(Arc::clone(&gate), sessions, calls, names, listen);
        tracing::info!(address = %listen, "serving /metrics, /healthz and /readyz");
        tokio::spawn(watchers::serve(listener, observed, unwatched));
    }
    let people = match people {
        Some(bound) => Some(bound.open(config.clone(), Arc::clone(&gate), store, record, stop.clone()).await?),
        None => None,
    };
    tracing::info!(%address, "serving MCP at {}", mcp::http::PATH);
    mcp::http::serve(listener, server, settings, stop).await;
    if let Some(people) = people {
        let _ = people.await;
    }
    drop(kept);
    close(&gate, Ok(())).await
}

async fn bound(listen: SocketAddr) -> Result<TcpListener, Refusal> {
    listen::bind(listen).await.map_err(|e| {
        Refusal::new(Code::ConfigInvalid, format!("[observe] listen `{listen}`: {e}"))
            .with_remedy("choose a free address and port")
    })
}

fn server(gate: &Arc<Gate>, config: &Config) -> Server<GateDoor> {
    let settings = McpSettings {
        hold_wait: Duration::from_secs(config.mcp.hold_seconds),
        separator: config.mcp.tool_name_separator,
        face: config.mcp.face,
        calls_per_agent: config.mcp.limits.calls_at_once,
        calls_per_minute: config.mcp.limits.calls_per_minute,
        burst: config.mcp.limits.burst,
        max_message: usize::try_from(config.mcp.http.max_body_kib << 10).unwrap_or(usize::MAX),
        ..McpSettings::default()
    };
    let key = gate.journal().derived_key("lockgate request state v1");
    Server::new(Arc::new(GateDoor(Arc::clone(gate))), settings).with_state_key(&key)
}

/// The agents of the configuration.
fn agents(config: &Config) -> Result<Agents, Refusal> {
    let agents = config.mcp.agents.iter().map(|agent| {
        let principal = Principal {
            agent: agent.name.clone(),
            person: agent.person.clone(),
            os_user: None,
            roles: agent.roles.clone(),
            door: Door::Http,
            scope: Scope { packs: agent.packs.clone(), targets: agent.targets.clone() },
            credential: None,
        };
        (agent.token_sha256.clone(), principal)
    });
    Agents::new(agents).map_err(|e| Refusal::new(Code::ConfigInvalid, e.to_string()))
}

/// The issuer, if there is one. That it can't be reached now keeps nobody else out.
async fn issuer(settings: Option<OAuthSettings>) -> Result<Option<Arc<OAuth>>, Refusal> {
    let Some(settings) = settings else { return Ok(None) };
    let oauth = OAuth::new(settings).map_err(|e| unusable(&e))?;
    if let Err(problem) = oauth.prepare().await {
        tracing::error!("nobody comes in with a token of the OAuth issuer until its keys are there: {problem}");
    }
    Ok(Some(oauth))
}

fn unusable(error: &OAuthSettingsError) -> Refusal {
    Refusal::new(Code::ConfigInvalid, format!("[mcp.http.oauth] {error}"))
}

/// Cancelled by SIGINT or SIGTERM, from now on.
pub(super) fn stop_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    // Listened to at once, not when the task begins: who is told to stop in between would not end in order.
    for mut signal in
        [SignalKind::interrupt(), SignalKind::terminate()].into_iter().filter_map(|kind| signal(kind).ok())
    {
        let told = stop.clone();
        tokio::spawn(async move {
            signal.recv().await;
            told.cancel();
        });
    }
    stop
}

/// The channels by which people are told: whatever is wrong with them is said before anything is opened.
fn channels(config: &Config) -> Result<Vec<Channel>, Refusal> {
    config.notify.iter().map(Channel::open).collect()
}

/// The gate, and what goes on beside its calls.
async fn open(config: &Config, state: State, channels: Vec<Channel>) -> Result<(Arc<Gate>, Kept), Refusal> {
    let (store, record, holder) = (Arc::clone(&state.store), state.record.clone(), state.instance.id().to_owned());
    let opened = startup::open_gate(config, state).await?;
    for refused in &opened.refused {
        tracing::error!(code = %refused.error.code, pack = %refused.path.display(), "pack is out: {}", refused.error.message);
    }
    let actions = opened.gate.rules().catalog.entries().count();
    tracing::info!(actions, targets = opened.gate.targets().len(), "lockgate is up");
    let metrics = Arc::clone(opened.gate.metrics());
    let told = Box::new(move |channel: &str, attempt: Attempted| metrics.notified(channel, attempt.as_str()));
    let (redactor, people_at) = (startup::redactor(config)?, config.approvals.url.clone());
    let notifier = Notifier::open(channels, store, record, redactor, people_at, holder, told)?;
    let mut kept = startup::keep(opened.reloader);
    kept.tell(notifier);
    Ok((opened.gate, kept))
}

async fn close(gate: &Gate, end: Result<(), String>) -> Result<ExitCode, Refusal> {
    gate.wind_up(WIND_UP).await;
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
            scope: Scope { packs: agent.packs.clone(), targets: agent.targets.clone() },
            credential: None,
        },
        None => Principal {
            agent: format!("{user}-stdio"),
            person: Some(user.clone()),
            os_user: Some(user),
            roles: Vec::new(),
            door: Door::Stdio,
            scope: Scope::default(),
            credential: None,
        },
    }
}
