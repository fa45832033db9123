//! Who looks. The door makes it out once for each request; pages ask for it by type: [`Viewer`] for anybody who is logged in,
//! [`Approver`] and [`Admin`] for those of at least that role, [`Fresh`] for whoever showed lately who they are. What a
//! page does not ask for it does not have.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, StatusCode, header, request::Parts, uri::PathAndQuery},
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};

use super::{Access, Flash, Next, Problem, cookies};
use crate::{
    people::{Origin, Secret},
    store::{Account, PortalRole, Session},
};

/// Somebody, logged in or not.
#[derive(Clone)]
pub struct Visitor {
    /// What lets people in.
    pub access: Arc<Access>,
    /// Where they come from.
    pub origin: Origin,
    pub(super) viewer: Option<Arc<Known>>,
    /// What their forms are sealed with: the session, or what stands for a visit without one.
    pub(super) secret: Secret,
    /// Whether the browser must be given that first.
    pub(super) is_new: bool,
    pub(super) flash: Option<Flash>,
}

pub(super) struct Known {
    pub(super) account: Account,
    pub(super) session: Session,
}

impl Visitor {
    /// A form that is sent with POST, with what shows that it is ours.
    #[must_use]
    pub fn form(&self, action: &str, content: &Markup) -> Markup {
        html! {
            form method="post" action=(action) {
                input type="hidden" name="csrf" value=(self.access.token(&self.secret));
                (content)
            }
        }
    }

    /// Who they are, if they are logged in.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        self.viewer.as_ref().map(|known| &known.account)
    }

    /// What this browser is known by while it is elsewhere and comes back.
    pub(super) fn browser(&self) -> [u8; 32] {
        self.secret.sha256()
    }

    /// To another page of ours, and something to say there.
    #[must_use]
    pub fn go(&self, to: &str, flash: Option<&Flash>) -> Response {
        let mut response = Redirect::to(to).into_response();
        if let Some(flash) = flash {
            response.headers_mut().append(header::SET_COOKIE, flash.cookie(&self.access, &self.secret));
        }
        response
    }

    /// The same, with another secret from then on: after a login, and whenever a session has come to stand for more.
    pub(super) fn go_as(&self, secret: &Secret, device: Option<&str>, to: &str, flash: Option<&Flash>) -> Response {
        let mut response = Redirect::to(to).into_response();
        let (site, headers) = (&self.access.site, response.headers_mut());
        headers.append(header::SET_COOKIE, cookies::set(site, cookies::SESSION, secret.reveal()));
        headers.append(header::SET_COOKIE, cookies::clear(site, cookies::VISIT));
        if let Some(device) = device {
            headers.append(header::SET_COOKIE, cookies::set(site, cookies::DEVICE, device));
        }
        if let Some(flash) = flash {
            headers.append(header::SET_COOKIE, flash.cookie(&self.access, secret));
        }
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something is broken",
                "a page is served past the door",
                "Report it.",
            )
        })
    }
}

/// Somebody who is logged in. Whoever is not is led to do so, and back.
#[derive(Clone)]
pub struct Viewer {
    /// Where they come from, and what lets them in.
    pub visitor: Visitor,
    /// Who they are.
    pub account: Account,
    /// In which session.
    pub session: Session,
}

impl Viewer {
    /// Whether they showed lately enough who they are to decide.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.visitor.access.people.is_fresh(&self.session)
    }

    /// Whether their role is at least this.
    #[must_use]
    pub fn may(&self, role: PortalRole) -> bool {
        self.account.role >= role
    }

    /// A form of theirs; see [`Visitor::form`].
    #[must_use]
    pub fn form(&self, action: &str, content: &Markup) -> Markup {
        self.visitor.form(action, content)
    }

    /// To another page of ours; see [`Visitor::go`].
    #[must_use]
    pub fn go(&self, to: &str, flash: Option<&Flash>) -> Response {
        self.visitor.go(to, flash)
    }
}

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let Some(known) = visitor.viewer.clone() else {
            return Err(Redirect::to(&here(parts, &visitor).through("/login")).into_response());
        };
        Ok(Self { visitor, account: known.account.clone(), session: known.session.clone() })
    }
}

/// A viewer who may decide.
#[derive(Clone)]
pub struct Approver(pub Viewer);

impl<S: Sync> FromRequestParts<S> for Approver {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        at_least(PortalRole::Approver, parts, state).await.map(Self)
    }
}

/// A viewer who says who may do what.
#[derive(Clone)]
pub struct Admin(pub Viewer);

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        at_least(PortalRole::Admin, parts, state).await.map(Self)
    }
}

/// What asks for it in a session that is fresh: `Fresh<Approver>` for a decision, `Fresh<Admin>` for who may do what.
/// Whoever logged in too long ago shows again who they are and is led back to the page they came from; nothing is done.
#[derive(Clone)]
pub struct Fresh<T>(pub T);

impl<S: Sync, T> FromRequestParts<S> for Fresh<T>
where
    T: FromRequestParts<S, Rejection = Response> + Send,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        // Their role first: nobody shows who they are for what is not theirs to do.
        let inner = T::from_request_parts(parts, state).await?;
        let viewer = Viewer::from_request_parts(parts, state).await?;
        if viewer.is_fresh() {
            return Ok(Self(inner));
        }
        Err(Redirect::to(&here(parts, &viewer.visitor).through("/confirm")).into_response())
    }
}

async fn at_least<S: Sync>(role: PortalRole, parts: &mut Parts, state: &S) -> Result<Viewer, Response> {
    let viewer = Viewer::from_request_parts(parts, state).await?;
    if viewer.may(role) {
        return Ok(viewer);
    }
    let message = format!("this needs the role {role}, and yours is {}", viewer.account.role);
    Err(Problem::forbidden(message).into_response())
}

/// Where to come back to: this page, or the one that a form was on.
fn here(parts: &Parts, visitor: &Visitor) -> Next {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Next::new(parts.uri.path_and_query().map_or("/", PathAndQuery::as_str));
    }
    referrer(&parts.headers, visitor.access.site.origin()).unwrap_or_default()
}

fn referrer(headers: &HeaderMap, origin: &str) -> Option<Next> {
    headers.get(header::REFERER)?.to_str().ok()?.strip_prefix(origin).map(Next::new)
}
