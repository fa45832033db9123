//! The watchers' door, where a host is watched: `/metrics`, `/healthz` and `/readyz`, on an address of their own, for whoever can reach it. What
//! is there names actions, targets and channels, and nobody and nothing else.

mod process;
mod ready;
mod scrape;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::ready::LastAnswer;
use crate::{
    gate::Gate,
    listen::{self, Patience},
    mcp::{in_flight::InFlight, sessions::Sessions},
    outbound::is_near_host,
};

/// The content type of OpenMetrics text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is watched.
pub struct Observed {
    /// The gate.
    pub gate: Arc<Gate>,
    /// The agents' sessions over HTTP.
    pub sessions: Option<Sessions>,
    /// The agents' calls.
    pub calls: InFlight,
    /// The configured channels.
    pub channels: BTreeSet<String>,
    /// Where it is watched.
    pub listen: SocketAddr,
    last_answer: LastAnswer,
}

impl Observed {
    /// Puts it together.
    #[must_use]
    pub fn new(
        gate: Arc<Gate>,
        sessions: Option<Sessions>,
        calls: InFlight,
        channels: BTreeSet<String>,
        listen: SocketAddr,
    ) -> Self {
        Self { gate, sessions, calls, channels, listen, last_answer: LastAnswer::default() }
    }
}

/// Serves until it is stopped.
pub async fn serve(listener: TcpListener, observed: Observed, stop: CancellationToken) {
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "here are /metrics, /healthz and /readyz\n") })
        .with_state(Arc::new(observed));
    let connections = listen::accept(listener, routes, Patience::default().header, stop).await;
    connections.finish(std::time::Duration::from_secs(1)).await;
}

async fn metrics(State(observed): State<Arc<Observed>>, headers: HeaderMap) -> Response {
    if !is_asked_here(&observed, &headers) {
        return misdirected();
    }
    match scrape::scrape(&observed).await {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn readyz(State(observed): State<Arc<Observed>>, headers: HeaderMap) -> Response {
    if !is_asked_here(&observed, &headers) {
        return misdirected();
    }
    let (is_ready, said) = ready::readiness(&observed).await;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{said}\n")).into_response()
}

/// On an address of this machine only this machine asks, and not a page in a browser by a name that leads here.
fn is_asked_here(observed: &Observed, headers: &HeaderMap) -> bool {
    if !observed.listen.ip().is_loopback() {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    is_near_host(name)
}

fn misdirected() -> Response {
    (StatusCode::MISDIRECTED_REQUEST, "this `Host` is not one of this machine's\n").into_response()
}
