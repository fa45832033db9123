//! MCP over streamable HTTP. A request goes through here in this order: who calls (bearer token), whose session it names,
//! how long its body is and whether it is strict JSON; then `Host` and `Origin` are checked and the message is served.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody as _},
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::StreamExt;
use rmcp::transport::{
    StreamableHttpServerConfig, StreamableHttpService, streamable_http_server::session::local::LocalSessionManager,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    approval_page,
    door::Gatekeeper,
    head,
    in_flight::InFlight,
    listen,
    server::Server,
    sessions::{SESSION_HEADER, Sessions},
    stdio::LAST_CALLS,
    strict_json::{self, MessageError},
    token::Agents,
};
use crate::gate::call::Principal;

/// Where MCP is served.
pub const PATH: &str = "/mcp";
/// Values of `Host` that are answered without being configured.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Requests of one agent at once: its calls and a stream for each of its sessions, so that it leaves connections to others.
pub const REQUESTS_PER_AGENT: usize = 96;
/// How long calls go on by themselves after the server was told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What an operator sets of this transport.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// Values of `Host` that are answered beside loopback ones.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin` that are answered; a request without one passes, one with any other does not.
    pub allowed_origins: Vec<String>,
    /// Who may call.
    pub agents: Agents,
}

/// What the requests share.
struct Shared<G> {
    agents: Agents,
    requests: InFlight,
    sessions: Sessions,
    service: StreamableHttpService<Server<G>, LocalSessionManager>,
    max_body: usize,
    body_time: Duration,
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

/// The routes: [`PATH`] and `/healthz`. Cancelling `cut` ends sessions, streams and running calls.
pub fn router<G: Gatekeeper>(server: Server<G>, settings: HttpSettings, cut: CancellationToken) -> Router {
    let sessions = Sessions::default();
    let (max_body, body_time) = (server.settings().max_message, server.settings().patience.body);
    let hosts = LOOPBACK.into_iter().map(str::to_owned).chain(settings.allowed_hosts);
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(hosts)
        .with_allowed_origins(settings.allowed_origins)
        .enforce_origin_validation()
        .with_max_request_body_bytes(max_body)
        .with_cancellation_token(cut);
    let service =
        StreamableHttpService::new(move || Ok::<_, io::Error>(server.for_connection()), sessions.manager(), config);
    let requests = InFlight::default();
    let shared = Arc::new(Shared { agents: settings.agents, requests, sessions, service, max_body, body_time });
    // Whatever is not `/healthz` asks for a token first, so that a stranger can't even tell which paths exist.
    // The page of an approval is the same for all and names nothing but its own address.
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(approval_page::ROUTE, get(approval_page::show))
        .fallback(answer::<G>)
        .with_state(shared)
}

async fn answer<G: Gatekeeper>(State(shared): State<Arc<Shared<G>>>, mut request: Request<Body>) -> Response {
    let Some(principal) = shared.agents.recognise(request.headers()).cloned() else {
        let mut response = (StatusCode::UNAUTHORIZED, "present a valid agent token\n").into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lockgate\""));
        return response;
    };
    let Some(room) = shared.requests.enter(&principal.agent, REQUESTS_PER_AGENT) else {
        return (StatusCode::TOO_MANY_REQUESTS, "too many requests of this agent are open\n").into_response();
    };
    // What comes after this may log requests.
    request.headers_mut().remove(header::AUTHORIZATION);
    if let Err(refused) = head::check(request.method(), request.uri(), request.headers()) {
        return refused.into_response();
    }
    if request.uri().path() != PATH {
        return (StatusCode::NOT_FOUND, format!("nothing is here; MCP is at {PATH}\n")).into_response();
    }
    if !names_own_session(&shared.sessions, request.headers(), &principal) {
        // The answer for a session that has ended, since that is all a stranger may learn.
        return (StatusCode::NOT_FOUND, "session not found\n").into_response();
    }
    let agent = principal.agent.clone();
    request.extensions_mut().insert(Arc::new(principal));
    if request.method() == Method::POST {
        request = match with_strict_body(request, shared.max_body, shared.body_time).await {
            Ok(request) => request,
            Err(response) => return response,
        };
    }
    let response = shared.service.handle(request).await;
    if let Some(session) = response.headers().get(SESSION_HEADER).and_then(|id| id.to_str().ok()) {
        shared.sessions.opened(session, &agent).await;
    }
    // The request is open until its last byte is sent or its client has gone.
    response.map(|body| {
        Body::from_stream(Body::new(body).into_data_stream().map(move |piece| {
            let _open = &room;
            piece
        }))
    })
}

/// True without a session, and for exactly one that this agent opened.
fn names_own_session(sessions: &Sessions, headers: &HeaderMap, principal: &Principal) -> bool {
    let mut named = headers.get_all(SESSION_HEADER).iter();
    match (named.next(), named.next()) {
        (None, _) => true,
        (Some(id), None) => id.to_str().is_ok_and(|id| sessions.is_owner(id, &principal.agent)),
        (Some(_), Some(_)) => false,
    }
}

/// Reads the body, bounded in length and time, and refuses it unless it is one message in strict JSON.
async fn with_strict_body(request: Request<Body>, limit: usize, time: Duration) -> Result<Request<Body>, Response> {
    let (parts, body) = request.into_parts();
    // What says that it is too long is not waited for.
    if body.size_hint().lower() > limit as u64 {
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, &MessageError::TooLong { limit }));
    }
    let reading = tokio::time::timeout(time, read(body, limit));
    let bytes = match reading.await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(None)) => {
            return Err((StatusCode::BAD_REQUEST, "the body ended early\n").into_response());
        }
        Ok(Err(Some(error))) => return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, &error)),
        Err(_) => {
            return Err((StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n").into_response());
        }
    };
    match strict_json::message(&bytes) {
        Ok(_) => Ok(Request::from_parts(parts, Body::from(strict_json::without_mark(bytes)))),
        Err(error) => Err(refused(StatusCode::BAD_REQUEST, &error)),
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Option<MessageError>> {
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| None)?;
        if bytes.len() + piece.len() > limit {
            return Err(Some(MessageError::TooLong { limit }));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

fn refused(status: StatusCode, error: &MessageError) -> Response {
    let json = serde_json::to_vec(&error.to_response()).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}
