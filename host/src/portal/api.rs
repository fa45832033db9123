//! `/api`: what a command line on another machine asks for its person, who shows a token of theirs (`lgp_…`) and no cookie. It
//! sees what its person sees. It decides with their password besides, as a page decides in a fresh session only; so a token that is
//! found in a file decides nothing.

mod approvals;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Access, Portal, Problem, door::is_our_host, headers};
use crate::{
    error::{Code, Refusal},
    listen::{Patience, Peer},
    mcp::{head, token::bearer},
    outside::escape_hidden,
    people::Origin,
    store::{Account, ApiToken, PortalRole},
};

/// Where it is.
pub const UNDER: &str = "/api";
/// Largest body that is read.
const LONGEST: usize = 16 * 1024;
/// For an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Characters that a client says of itself.
const AGENT: usize = 400;

/// What it answers.
pub(super) fn router(portal: Portal) -> Router {
    let access = Arc::clone(&portal.access);
    Router::new()
        .nest("/approvals", approvals::router())
        .fallback(async || Failed::from(Problem::not_found("there is nothing at this address")))
        .with_state(portal)
        .layer(middleware::from_fn_with_state(access, pass))
}

/// Whose token came, and from where.
#[derive(Clone)]
struct Caller {
    token: ApiToken,
    account: Account,
    origin: Origin,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unauthorized)
    }
}

/// Somebody who may have requests looked at again and decide on them, as far as policy lets them.
struct Approver(Caller);

impl<S: Sync> FromRequestParts<S> for Approver {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failed> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let role = caller.account.role;
        if role < PortalRole::Approver {
            let message = format!("this needs the role {}, and yours is {role}", PortalRole::Approver);
            return Err(Problem::forbidden(message).into());
        }
        Ok(Self(caller))
    }
}

/// Everything comes through here, and every answer leaves through it.
async fn pass(State(access): State<Arc<Access>>, request: Request, inner: Next) -> Response {
    let answer = async {
        match enter(&access, request).await {
            Ok(request) => inner.run(request).await,
            Err(turned_away) => turned_away,
        }
    };
    let late = || {
        let (status, what) = (StatusCode::SERVICE_UNAVAILABLE, "the answer was not there in time");
        Failed::new(status, Code::Timeout, what, "try again in a moment").into_response()
    };
    let mut response = timeout(ANSWER, answer).await.unwrap_or_else(|_| late());
    headers::set(response.headers_mut(), &access.site);
    response
}

async fn enter(access: &Access, request: Request) -> Result<Request, Response> {
    head::check(request.method(), request.uri(), request.headers()).map_err(IntoResponse::into_response)?;
    let (mut parts, body) = request.into_parts();
    if !is_our_host(&parts.headers, access.site.host()) {
        let remedy = format!("use the portal's own address, {}", access.site.origin());
        let what = "this `Host` is not the portal's";
        return Err(Failed::new(StatusCode::MISDIRECTED_REQUEST, Code::Unauthorized, what, remedy).into_response());
    }
    // A command line has none. A page of whatever origin has nothing to look for here.
    if parts.headers.contains_key(header::ORIGIN) {
        let (what, remedy) = ("this is for command lines, not for browsers", "use the pages");
        return Err(Failed::new(StatusCode::FORBIDDEN, Code::Unauthorized, what, remedy).into_response());
    }
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let origin = Origin {
        address: access.proxies.client(peer, &parts.headers).map(|address: IpAddr| address.to_canonical()),
        agent: agent.chars().take(AGENT).collect(),
        ..Origin::default()
    };
    let holder = match bearer(&parts.headers) {
        Some(token) => access.people.holder(token).await.map_err(|e| Failed::from(e).into_response())?,
        None => None,
    };
    let Some((token, account)) = holder else { return Err(unauthorized().into_response()) };
    parts.extensions.insert(Caller { token, account, origin });
    Ok(Request::from_parts(parts, Body::from(read(body).await.map_err(IntoResponse::into_response)?)))
}

async fn read(body: Body) -> Result<Bytes, Failed> {
    let failed = |status, what: &str| Failed::new(status, Code::InvalidArguments, what, "send what the page says");
    match timeout(Patience::default().body, axum::body::to_bytes(body, LONGEST)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(failed(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 16 KiB")),
        Err(_) => Err(failed(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

/// JSON in which hidden characters are escapes, so that a terminal may show it.
fn answer(status: StatusCode, value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, escape_hidden(&value.to_string())).into_response()
}

/// What went wrong, as JSON: `{"error": {"code", "message", "remedy"}}`.
struct Failed(Problem, Option<Code>);

impl Failed {
    fn new(status: StatusCode, code: Code, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self(Problem::new(status, "", what, remedy), Some(code))
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        let code = problem.code;
        Self(problem, code)
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Problem::from(refusal).into()
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Self(problem, code) = self;
        let (status, wait) = (problem.status, problem.retry_after);
        let code =
            code.map_or(if status == StatusCode::NOT_FOUND { Code::NotFound } else { Code::Unauthorized }, |c| c);
        let error = json!({ "code": code.as_str(), "message": problem.message, "remedy": problem.remedy });
        let mut response = answer(status, &json!({ "error": error }));
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lockgate portal\""));
        }
        if let Some(seconds) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn unauthorized() -> Failed {
    let what = "a token is needed, and this is none that is valid here";
    let remedy = "make one in the portal, under your account, and give it in LOCKGATE_API_TOKEN or --token-file";
    Failed::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, what, remedy)
}
