//! MCP over streamable HTTP. A request goes through here in this order: whether its head has one reading, `Host` and `Origin`, who calls, how often it does,
//! whose session it names, how long its body is and whether it is strict JSON; then the message is served. What ends a
//! credential ends what it has open.

mod body;
mod identity;
mod metadata;
mod place;

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use rmcp::transport::{
    StreamableHttpServerConfig, StreamableHttpService, streamable_http_server::session::local::LocalSessionManager,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(super) use self::identity::Caller;
use self::{
    identity::{Identity, Stranger},
    metadata::Metadata,
    place::Places,
};
use super::{
    approval_page,
    door::Gatekeeper,
    head,
    in_flight::InFlight,
    oauth::OAuth,
    server::Server,
    sessions::{SESSION_HEADER, Sessions},
    stdio::LAST_CALLS,
    token::Agents,
    tokens::Tokens,
};
use crate::{
    gate::call::Principal,
    listen::{self, Peer},
    rate::{Rate, whole_seconds},
};

/// Where MCP is served.
pub const PATH: &str = "/mcp";
/// Values of `Host` that are answered without being configured.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Requests of one agent at once: its calls and a stream for each of its sessions, so that it leaves connections to others.
pub const REQUESTS_PER_AGENT: usize = 96;
/// Requests for each call that an agent may make: a session's opening, its notifications and lists are requests too.
const REQUESTS_PER_CALL: u32 = 4;
/// How long calls go on by themselves after the server was told to stop.
const GRACE: Duration = Duration::from_secs(5);
/// How often ended tokens are looked for.
const LOOKING: Duration = Duration::from_millis(250);
/// What a call may go on for after its credential has expired, beyond the longest wait: the call itself.
const LAST_ANSWER: Duration = Duration::from_secs(60);

/// What an operator sets of this transport.
#[derive(Clone, Default)]
pub struct HttpSettings {
    /// Values of `Host` that are answered beside loopback ones.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin` that are answered; a request without one passes, one with any other does not.
    pub allowed_origins: Vec<String>,
    /// Who may call, by the configuration.
    pub agents: Agents,
    /// Who may call, by the store.
    pub tokens: Option<Arc<Tokens>>,
    /// Who may call, by an issuer.
    pub oauth: Option<Arc<OAuth>>,
    /// Where the sessions are kept; of its own without any given.
    pub sessions: Sessions,
}

/// What the requests share.
struct Shared<G> {
    places: Places,
    identity: Identity,
    metadata: Option<Metadata>,
    requests: InFlight,
    rate: Rate<String>,
    sessions: Sessions,
    service: StreamableHttpService<Server<G>, LocalSessionManager>,
    max_body: usize,
    body_time: Duration,
    /// How long an answer may go on after its credential has expired.
    last_answer: Duration,
}

/// Serves until `stop` is cancelled; then accepts nothing new, lets calls finish for a moment, cancels the rest and waits
/// for their recorded end.
pub async fn serve<G: Gatekeeper>(
    listener: TcpListener,
    server: Server<G>,
    settings: HttpSettings,
    stop: CancellationToken,
) {
    let cut = CancellationToken::new();
    let calls = server.calls().clone();
    let header = server.settings().patience.header;
    let router = router(server, settings, cut.clone());
    let connections = listen::accept(listener, router, header, stop).await;
    calls.idle(GRACE).await;
    cut.cancel();
    if !calls.idle(LAST_CALLS).await {
        tracing::warn!("calls of agents were still under way at the end");
    }
    connections.finish(GRACE).await;
}

/// The routes: [`PATH`], `/healthz` and, with an issuer, its metadata. Cancelling `cut` ends sessions, streams and running
/// calls. Must be called in a Tokio runtime.
pub fn router<G: Gatekeeper>(server: Server<G>, settings: HttpSettings, cut: CancellationToken) -> Router {
    let sessions = settings.sessions.clone();
    let limits = server.settings();
    let (max_body, body_time) = (limits.max_message, limits.patience.body);
    let last_answer = limits.longest_wait + LAST_ANSWER;
    let rate = Rate::new(
        limits.calls_per_minute.saturating_mul(REQUESTS_PER_CALL),
        limits.burst.saturating_mul(REQUESTS_PER_CALL),
    );
    let hosts: Vec<String> = LOOPBACK.into_iter().map(str::to_owned).chain(settings.allowed_hosts).collect();
    let places = Places::new(&hosts, &settings.allowed_origins);
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(hosts)
        .with_allowed_origins(settings.allowed_origins)
        .enforce_origin_validation()
        .with_max_request_body_bytes(max_body)
        .with_cancellation_token(cut.clone());
    let service =
        StreamableHttpService::new(move || Ok::<_, io::Error>(server.for_connection()), sessions.manager(), config);
    if let Some(tokens) = &settings.tokens {
        tokio::spawn(end_sessions(Arc::clone(tokens), sessions.clone(), cut));
    }
    let metadata = settings.oauth.as_deref().map(OAuth::settings);
    let metadata = metadata.map(|oauth| Metadata::new(&oauth.resource, &oauth.issuer, oauth.scope.as_deref()));
    let identity = Identity::new(settings.agents, settings.tokens, settings.oauth);
    let requests = InFlight::default();
    let shared = Arc::new(Shared {
        places,
        identity,
        metadata,
        requests,
        rate,
        sessions,
        service,
        max_body,
        body_time,
        last_answer,
    });
    // What needs no credential says nothing of who and what is behind it; all else asks for one first, so that a stranger can't
    // even tell which paths exist. The page of an approval is the same for all and names nothing but its own address.
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(approval_page::ROUTE, get(approval_page::show))
        .fallback(answer::<G>)
        .with_state(shared)
}

/// Closes the sessions of tokens that came to an end.
async fn end_sessions(tokens: Arc<Tokens>, sessions: Sessions, cut: CancellationToken) {
    while cut.run_until_cancelled(tokio::time::sleep(LOOKING)).await.is_some() {
        for ended in tokens.look_again().await {
            sessions.close_of(&ended).await;
        }
    }
}

async fn answer<G: Gatekeeper>(State(shared): State<Arc<Shared<G>>>, request: Request<Body>) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    match shared.enter(request, peer).await {
        Ok(response) | Err(response) => response,
    }
}

impl<G: Gatekeeper> Shared<G> {
    async fn enter(&self, request: Request<Body>, peer: Option<IpAddr>) -> Result<Response, Response> {
        head::check(request.method(), request.uri(), request.headers()).map_err(IntoResponse::into_response)?;
        if !self.places.allows_host(request.uri(), request.headers()) {
            return Err((StatusCode::FORBIDDEN, "this `Host` is not one of this server's\n").into_response());
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if let Some(document) = self.metadata.as_ref().filter(|_| reads).and_then(|m| m.at(request.uri().path())) {
            return Ok(document);
        }
        if !self.places.allows_origin(request.headers()) {
            return Err((StatusCode::FORBIDDEN, "this `Origin` is not allowed here\n").into_response());
        }
        let caller = self
            .identity
            .make_out(request.headers(), peer)
            .await
            .map_err(|stranger| metadata::turned_away(&stranger, self.metadata.as_ref()))?;
        self.serve(request, caller).await
    }

    async fn serve(&self, mut request: Request<Body>, caller: Caller) -> Result<Response, Response> {
        let principal = Arc::clone(&caller.principal);
        let name = principal.caller();
        self.rate.check(&name).map_err(|wait| too_many("too many requests of this agent", whole_seconds(wait)))?;
        let Some(room) = self.requests.enter(&name, REQUESTS_PER_AGENT) else {
            return Err(too_many("too many requests of this agent are open", 1));
        };
        // What comes after this may log requests.
        request.headers_mut().remove(header::AUTHORIZATION);
        if request.uri().path() != PATH {
            return Err((StatusCode::NOT_FOUND, format!("nothing is here; MCP is at {PATH}\n")).into_response());
        }
        let method = request.method().clone();
        if !matches!(method, Method::POST | Method::GET | Method::DELETE) {
            let allowed = [(header::ALLOW, "GET, POST, DELETE")];
            return Err((StatusCode::METHOD_NOT_ALLOWED, allowed, "MCP is GET, POST and DELETE\n").into_response());
        }
        if !names_own_session(&self.sessions, request.headers(), &principal) {
            // The answer for a session that has ended, since that is all a stranger may learn.
            return Err((StatusCode::NOT_FOUND, "session not found\n").into_response());
        }
        request.extensions_mut().insert(Arc::clone(&principal));
        if method == Method::POST {
            request = body::with_strict_body(request, self.max_body, self.body_time).await?;
        }
        let revoked = caller.revoked.clone();
        let Some(response) = revoked.run_until_cancelled(self.service.handle(request)).await else {
            return Err(metadata::turned_away(&Stranger::NotValid, self.metadata.as_ref()));
        };
        if let Some(session) = response.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok()) {
            self.sessions.opened(session, &principal).await;
        }
        // A stream goes on for as long as its credential is valid; an answer that was begun with it may end.
        let more = if method == Method::POST { self.last_answer } else { Duration::ZERO };
        let end = ended(caller, more).boxed();
        // The request is open until its last byte is sent, its client has gone or its credential has ended.
        Ok(response.map(|body| {
            let pieces = Body::new(body).into_data_stream().map(move |piece| {
                let _open = &room;
                piece
            });
            Body::from_stream(pieces.take_until(end))
        }))
    }
}

/// Until a credential is revoked, or has expired so long ago.
async fn ended(caller: Caller, more: Duration) {
    let expires = async {
        match caller.until {
            Some(until) => {
                let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
                tokio::time::sleep(left.saturating_add(more)).await;
            }
            None => std::future::pending().await,
        }
    };
    caller.revoked.run_until_cancelled(expires).await;
}

/// True without a session, and for exactly one that this agent opened.
fn names_own_session(sessions: &Sessions, headers: &HeaderMap, principal: &Principal) -> bool {
    let mut named = headers.get_all(SESSION_HEADER).iter();
    match (named.next(), named.next()) {
        (None, _) => true,
        (Some(id), None) => id.to_str().is_ok_and(|id| sessions.is_owner(id, principal)),
        (Some(_), Some(_)) => false,
    }
}

fn too_many(what: &str, seconds: u64) -> Response {
    let mut response = (StatusCode::TOO_MANY_REQUESTS, format!("{what}; wait {seconds} s\n")).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
