//! The way in and out. In: the head has one reading, `Host` is ours, what changes something comes from our own pages (`Origin`
//! and `Sec-Fetch-Site`) with the token of the session it was made for, bounded in length and time; then it is made out who
//! it is. Out: a page or a problem is put into the frame, and every answer gets the headers that protect it. No page can
//! forget any of it, since none sees a request that has not been through here.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody as _},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::{self, Next as Inner},
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

use super::{
    Access, Flash, Page, Problem, Visitor, assets, cookies,
    form::{self, Checked},
    frame, headers,
    viewer::Known,
};
use crate::{
    listen::{Patience, Peer},
    mcp::head,
    people::{Origin, Secret},
};

/// Largest form that is read; a registration of a passkey is the longest, at some kilobytes.
pub const LONGEST_FORM: usize = 64 * 1024;
/// For an answer's beginning; what streams goes on.
const ANSWER: Duration = Duration::from_secs(30);
/// Characters that a browser says of itself.
const AGENT: usize = 400;

/// Puts routes behind the door.
pub fn guard(routes: Router, access: Arc<Access>) -> Router {
    routes
        .route(assets::ROUTE, axum::routing::get(assets::show))
        .fallback(async || Problem::not_found("there is no page at this address"))
        .method_not_allowed_fallback(async || {
            let (status, title) = (StatusCode::METHOD_NOT_ALLOWED, "That did not work");
            Problem::new(status, title, "this page does not take such a request", "Start from the first page.")
        })
        .layer(middleware::from_fn_with_state(access, pass))
}

async fn pass(State(access): State<Arc<Access>>, request: Request, inner: Inner) -> Response {
    let mut response = match enter(&access, request).await {
        Ok((visitor, request)) => {
            let asks_head = request.method() == Method::HEAD;
            let answer = match timeout(ANSWER, inner.run(request)).await {
                Ok(answer) => answer,
                Err(_) => late(),
            };
            framed(&visitor, answer, asks_head)
        }
        Err(turned_away) => turned_away,
    };
    headers::set(response.headers_mut(), &access.site);
    response
}

async fn enter(access: &Arc<Access>, request: Request) -> Result<(Visitor, Request), Response> {
    head::check(request.method(), request.uri(), request.headers()).map_err(IntoResponse::into_response)?;
    if !is_our_host(request.headers(), access.site.host()) {
        return Err(plain(StatusCode::MISDIRECTED_REQUEST, "this `Host` is not the portal's\n"));
    }
    let (mut parts, body) = request.into_parts();
    let body = match parts.method {
        Method::GET | Method::HEAD => Body::empty(),
        Method::POST => {
            if !is_own_page(&parts.headers, access.site.origin()) {
                return Err(plain(StatusCode::FORBIDDEN, "this did not come from a page of the portal\n"));
            }
            body
        }
        _ => return Err(plain(StatusCode::METHOD_NOT_ALLOWED, "the portal takes GET and POST\n")),
    };
    let visitor = visitor(access, &parts).await?;
    if parts.method == Method::POST {
        match checked(&parts, body, &visitor).await {
            Ok(checked) => parts.extensions.insert(checked),
            Err(problem) => return Err(framed(&visitor, problem.into_response(), false)),
        };
    }
    parts.extensions.insert(visitor.clone());
    Ok((visitor, Request::from_parts(parts, Body::empty())))
}

/// Who it is, as far as the cookies say. If the store can't be asked, nobody.
async fn visitor(access: &Arc<Access>, parts: &Parts) -> Result<Visitor, Response> {
    let headers = &parts.headers;
    let cookie = |name| cookies::read(headers, &access.site, name);
    let session = cookie(cookies::SESSION).and_then(Secret::presented);
    let is_asset = parts.uri.path().starts_with(assets::UNDER);
    let known = match session.as_ref().filter(|_| !is_asset) {
        Some(secret) => access.people.behind(secret).await.unwrap_or_else(|refusal| {
            tracing::error!(code = %refusal.code, "who is logged in can't be told: {}", refusal.message);
            None
        }),
        None => None,
    };
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let origin = Origin {
        address: access.proxies.client(peer, headers).map(|address: IpAddr| address.to_canonical()),
        agent: agent.chars().take(AGENT).collect(),
        session: session.clone(),
        device: cookie(cookies::DEVICE).map(str::to_owned),
    };
    let visit = cookie(cookies::VISIT).and_then(Secret::presented);
    // A session's secret seals its forms only while it stands for somebody.
    let (secret, is_new) = match (known.is_some().then_some(session).flatten(), visit) {
        (Some(session), _) => (session, false),
        (None, Some(visit)) => (visit, false),
        (None, None) => {
            let none = |_| plain(StatusCode::SERVICE_UNAVAILABLE, "the operating system gives no random bytes\n");
            (Secret::new().map_err(none)?, !is_asset)
        }
    };
    let flash = Flash::read(headers, access, &secret);
    let viewer = known.map(|(session, account)| Arc::new(Known { account, session }));
    Ok(Visitor { access: Arc::clone(access), origin, viewer, secret, is_new, flash })
}

/// Reads a form and looks at its token.
async fn checked(parts: &Parts, body: Body, visitor: &Visitor) -> Result<Checked, Problem> {
    let kind = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if !kind.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded") {
        let message = "the portal takes forms (application/x-www-form-urlencoded) only";
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "That did not work",
            message,
            "Use the page's form.",
        ));
    }
    let too_long = || {
        let message = format!("the form is longer than {LONGEST_FORM} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "That was too long", message, "Send less.")
    };
    if body.size_hint().lower() > LONGEST_FORM as u64 {
        return Err(too_long());
    }
    let bytes: Bytes = match timeout(Patience::default().body, axum::body::to_bytes(body, LONGEST_FORM)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return Err(too_long()),
        Err(_) => {
            let message = "the form did not come in time";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "That took too long", message, "Try again."));
        }
    };
    let fields: Vec<(String, String)> = form::parse(bytes.clone()).await?;
    let mut tokens = fields.iter().filter(|(name, _)| name == "csrf");
    let is_ours = matches!((tokens.next(), tokens.next()), (Some((_, token)), None) if visitor.access.is_token(&visitor.secret, token));
    if is_ours {
        return Ok(Checked(bytes));
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "Nothing was done",
        "the form was made for another session, or for one that has ended since",
        "Load the page again, look at it afresh, and send it once more.",
    ))
}

/// The one `Host` of the request is the portal's.
pub(super) fn is_our_host(headers: &HeaderMap, ours: &str) -> bool {
    headers.get(header::HOST).is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(ours.as_bytes()))
}

/// What a browser says of where a form was. Browsers say it of every POST; whoever says nothing is none.
fn is_own_page(headers: &HeaderMap, ours: &str) -> bool {
    let fetch = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    match (origin, fetch) {
        (Some(origin), None | Some(b"same-origin")) => origin == ours.as_bytes(),
        (None, Some(b"same-origin")) => true,
        _ => false,
    }
}

/// Puts a page or a problem into the frame. Everything else is itself.
fn framed(visitor: &Visitor, mut response: Response, asks_head: bool) -> Response {
    let page = match (response.extensions_mut().remove::<Page>(), response.extensions_mut().remove::<Problem>()) {
        (Some(page), _) => page,
        (None, Some(problem)) => Page::of_problem(&problem),
        (None, None) => return with_visit(visitor, response),
    };
    let html = frame::write(visitor, &page).into_string();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.remove(header::CONTENT_LENGTH);
    if visitor.flash.is_some() {
        headers.append(header::SET_COOKIE, cookies::clear(&visitor.access.site, cookies::FLASH));
    }
    *response.body_mut() = if asks_head { Body::empty() } else { Body::from(html) };
    with_visit(visitor, response)
}

/// Gives a browser that has nothing yet what its forms are sealed with.
fn with_visit(visitor: &Visitor, mut response: Response) -> Response {
    if visitor.is_new {
        let cookie = cookies::set(&visitor.access.site, cookies::VISIT, visitor.secret.reveal());
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn late() -> Response {
    let (status, title) = (StatusCode::SERVICE_UNAVAILABLE, "That took too long");
    Problem::new(status, title, "the answer was not there in time", "Try again in a moment.").into_response()
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, text).into_response()
}
