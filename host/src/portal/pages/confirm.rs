//! Showing again who one is, before a decision or a change of who may do what, and back to where one was.

use axum::{
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;
use serde::Deserialize;

use super::login::{Asked, said};
use crate::portal::{
    Flash, Form, Here, Next, Page, Tone, Viewer,
    parts::{Field, notice},
};

/// The form.
pub(super) async fn show(viewer: Viewer, Query(asked): Query<Asked>) -> Response {
    if viewer.is_fresh() {
        return viewer.go(asked.next.as_str(), None);
    }
    page(&viewer, &asked.next, None).into_response()
}

/// What is sent with it.
#[derive(Deserialize)]
pub(super) struct Again {
    password: String,
    #[serde(default)]
    next: Next,
}

/// Takes the password again.
pub(super) async fn with_password(viewer: Viewer, Form(given): Form<Again>) -> Response {
    let (visitor, people) = (&viewer.visitor, &viewer.visitor.access.people);
    match people.confirm(&viewer.session, given.password, &visitor.origin).await {
        Ok(secret) => visitor.go_as(&secret, None, given.next.as_str(), Some(&done())),
        Err(error) => match said(error) {
            Ok(_) => page(&viewer, &given.next, Some("That is not your password."))
                .with_status(StatusCode::UNAUTHORIZED)
                .into_response(),
            Err(problem) => problem.into_response(),
        },
    }
}

/// What is said on the page that one comes back to: what was about to be done has not been.
pub(super) fn done() -> Flash {
    Flash::note("Thank you. Nothing was done meanwhile: look once more, then decide.")
}

fn page(viewer: &Viewer, next: &Next, wrong: Option<&str>) -> Page {
    let people = &viewer.visitor.access.people;
    let minutes = people.settings().fresh.as_secs() / 60;
    let fields = html! {
        input type="hidden" name="next" value=(next.as_str());
        input type="hidden" name="username" value=(viewer.account.name) autocomplete="username";
        (Field::password("password", "Password", "current-password").needed().first().show())
        button.wide type="submit" { "Go on" }
    };
    let content = html! {
        p { "You logged in more than " (minutes) " minutes ago. Show once more that you are " strong { (viewer.account.name) } "." }
        @if let Some(wrong) = wrong { (notice(Tone::Failed, &html! { (wrong) })) }
        @if viewer.account.has_password && people.settings().passwords {
            (viewer.form("/confirm", &fields))
        }
        @if viewer.account.passkeys > 0 && people.has_passkeys() {
            (viewer.form("/confirm/passkey", &html! {
                input type="hidden" name="next" value=(next.as_str());
                button.second.wide type="submit" { "Use a passkey" }
            }))
        }
        @if viewer.account.has_identity && let Some(oidc) = people.oidc() {
            p { a.button.second.wide href=(next.through("/login/company")) { (oidc.label()) } }
        }
        p { a href=(next.as_str()) { "Back" } }
    };
    Page::new("Is it still you?", Here::Nowhere, content)
}
