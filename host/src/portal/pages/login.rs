//! Logging in and out.

use axum::{
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    people::login::LoginError,
    portal::{
        Flash, Form, Here, Next, Page, Problem, Tone, Viewer, Visitor, cookies,
        parts::{Field, notice},
    },
    rate::whole_seconds,
};

/// Where to go afterwards.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    pub(super) next: Next,
}

/// The form.
pub(super) async fn show(visitor: Visitor, Query(asked): Query<Asked>) -> Response {
    if visitor.account().is_some() {
        return visitor.go(asked.next.as_str(), None);
    }
    page(&visitor, &asked.next, "", None).into_response()
}

/// What is sent with it.
#[derive(Deserialize)]
pub(super) struct Credentials {
    name: String,
    password: String,
    #[serde(default)]
    next: Next,
}

/// Lets somebody in with a password.
pub(super) async fn with_password(visitor: Visitor, Form(given): Form<Credentials>) -> Response {
    let people = &visitor.access.people;
    match people.log_in(&given.name, given.password, &visitor.origin).await {
        Ok(opened) => visitor.go_as(&opened.secret, Some(&opened.device), given.next.as_str(), None),
        Err(error) => match said(error) {
            Ok(text) => page(&visitor, &given.next, &given.name, Some(&text))
                .with_status(StatusCode::UNAUTHORIZED)
                .into_response(),
            Err(problem) => problem.into_response(),
        },
    }
}

/// Ends the session.
pub(super) async fn log_out(viewer: Viewer) -> Result<Response, Problem> {
    let visitor = &viewer.visitor;
    visitor.access.people.log_out(&viewer.session).await?;
    let mut response = visitor.go("/login", None);
    let clear = cookies::clear(&visitor.access.site, cookies::SESSION);
    response.headers_mut().append(axum::http::header::SET_COOKIE, clear);
    Ok(response)
}

/// What a failed login is told: in the form, or as a page of its own.
pub(super) fn said(error: LoginError) -> Result<String, Problem> {
    match error {
        LoginError::Wrong => Ok("That is not right. Check the name and try again.".to_owned()),
        LoginError::TooOften { wait } => {
            Err(Problem::too_many("too many attempts to log in, from here or as this person", whole_seconds(wait)))
        }
        LoginError::Refused(refusal) => Err(refusal.into()),
    }
}

fn page(visitor: &Visitor, next: &Next, name: &str, wrong: Option<&str>) -> Page {
    let people = &visitor.access.people;
    let content = html! {
        @if let Some(wrong) = wrong { (notice(Tone::Failed, &html! { (wrong) })) }
        @if people.settings().passwords { (visitor.form("/login", &fields(next, name))) }
        @let others = people.has_passkeys() || people.oidc().is_some();
        @if others && people.settings().passwords { p.or { "or" } }
        @if people.has_passkeys() { p { a.button.second.wide href=(next.through("/login/passkey")) { "Log in with a passkey" } } }
        @if let Some(oidc) = people.oidc() { p { a.button.second.wide href=(next.through("/login/company")) { (oidc.label()) } } }
    };
    Page::new("Log in", Here::Nowhere, content)
}

fn fields(next: &Next, name: &str) -> Markup {
    let name: String = name.chars().take(64).collect();
    html! {
        input type="hidden" name="next" value=(next.as_str());
        (Field::new("name", "Name").value(&name).fills("username").longest(64).needed().first().show())
        (Field::password("password", "Password", "current-password").needed().show())
        button.wide type="submit" { "Log in" }
    }
}

/// Says on the next page that somebody is in.
pub(super) fn welcome(name: &str) -> Flash {
    Flash::done(format!("Welcome, {name}. The link is used up."))
}
