//! `/api`: what a command line on another machine asks for its person, who shows a token of theirs (`lgp_…`) and no cookie. It
//! sees what its person sees. It decides with their password besides, as a page decides in a fresh session only; so a token that is
//! found in a file decides nothing.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{FromRequestParts, Path, Query, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    Access, Portal, Problem,
    decision::{self, Given},
    door::is_our_host,
    headers,
};
use crate::{
    approval::{self, look, render},
    error::{Code, Refusal},
    listen::{Patience, Peer},
    mcp::{head, token::bearer},
    outside::escape_hidden,
    people::{Origin, login::LoginError},
    store::{Account, ApiToken, Approval, PortalRole, State as Stand},
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
        .route("/approvals", get(list))
        .route("/approvals/{id}", get(show))
        .route("/approvals/{id}/look", post(look_again))
        .route("/approvals/{id}/approve", post(approve))
        .route("/approvals/{id}/deny", post(deny))
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

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    all: bool,
}

async fn list(State(portal): State<Portal>, _: Caller, Query(which): Query<Which>) -> Result<Response, Failed> {
    let (store, now) = (Arc::clone(&portal.store), Timestamp::now());
    let listed = tokio::task::spawn_blocking(move || approval::listed(&*store, which.all, now)).await;
    let found = listed.map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))?.map_err(Refusal::from)?;
    let views: Vec<_> = found.iter().map(|approval| render::View::new(approval, now)).collect();
    Ok(answer(StatusCode::OK, &json!({ "approvals": views, "text": render::render_list(&found, now) })))
}

async fn show(State(portal): State<Portal>, _: Caller, Path(id): Path<String>) -> Result<Response, Failed> {
    Ok(shown(&decision::find(&portal, &id).await?))
}

/// Looks at the target again.
async fn look_again(State(portal): State<Portal>, _: Caller, Path(id): Path<String>) -> Result<Response, Failed> {
    let approval = decision::find(&portal, &id).await?;
    if approval.state_at(Timestamp::now()) != Stand::Pending {
        return Ok(shown(&approval));
    }
    let review = decision::looked_at(&portal, &id, SignedDuration::ZERO).await?;
    // A look may have ended it.
    let (approval, now) = (decision::find(&portal, &id).await?, Timestamp::now());
    let changes = review.answer.as_ref().and_then(|(_, finding)| look::since_request(&approval, finding));
    let text =
        format!("{}\n{}", render::render(&approval, now).trim_end(), render::render_fresh(&approval, &review, now));
    let view = render::View::new(&approval, now);
    let found = json!({ "request": view, "review": review, "changes": changes, "text": text });
    Ok(answer(StatusCode::OK, &found))
}

/// What is sent with a decision.
#[derive(Deserialize)]
struct Decided {
    #[serde(flatten)]
    given: Given,
    password: String,
}

async fn approve(
    State(portal): State<Portal>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Failed> {
    let given = proven(&portal, &caller, &id, &body).await?;
    Ok(shown(&decision::approve(&portal, &caller.account, &id, &given).await?))
}

async fn deny(
    State(portal): State<Portal>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Failed> {
    let given = proven(&portal, &caller, &id, &body).await?;
    Ok(shown(&decision::deny(&portal, &caller.account, &id, &given).await?))
}

/// What an approver who has just shown who they are decides.
async fn proven(portal: &Portal, caller: &Caller, id: &str, body: &[u8]) -> Result<Given, Failed> {
    let Caller { token, account, origin } = caller;
    if account.role < PortalRole::Approver {
        let message = format!("this needs the role {}, and yours is {}", PortalRole::Approver, account.role);
        return Err(Problem::forbidden(message).into());
    }
    let Decided { given, password } = serde_json::from_slice(body).map_err(|error| {
        let what = format!("the body can't be read: {error}");
        Failed::new(
            StatusCode::BAD_REQUEST,
            Code::InvalidArguments,
            what,
            "send `digest`, `seen`, `reason`, `password`",
        )
    })?;
    decision::find(portal, id).await?;
    let at = portal.access.site.base().link(id);
    match portal.access.people.prove(token, password, origin).await {
        Ok(()) => Ok(given),
        Err(LoginError::Wrong) => {
            let remedy = format!("try again; without a password here decide at {at}");
            let what = "nothing was decided: that is not the password of this token's person";
            Err(Failed::new(StatusCode::FORBIDDEN, Code::Unauthorized, what, remedy))
        }
        Err(LoginError::TooOften { wait }) => {
            let problem = Problem::too_many("nothing was decided: too many attempts", wait.as_secs().max(1));
            Err(problem.into())
        }
        Err(LoginError::Refused(refusal)) => Err(refusal.into()),
    }
}

fn shown(approval: &Approval) -> Response {
    let now = Timestamp::now();
    let view = json!({ "request": render::View::new(approval, now), "text": render::render(approval, now) });
    answer(StatusCode::OK, &view)
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
