//! Links that can be used once: the first administrator's, and those with which somebody chooses a password. Looking at one
//! does nothing; sending its form uses it up.

use axum::{
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::login::welcome;
use crate::{
    error::{Code, Refusal},
    people::{Secret, password},
    portal::{
        Form, Here, Next, Page, Problem, Tone, Visitor,
        parts::{Field, notice},
    },
    store::Link,
};

/// The first administrator's link.
pub(super) async fn show_setup(visitor: Visitor, Path(text): Path<String>) -> Result<Page, Problem> {
    open(&visitor, &text, true).await?;
    Ok(setup_page(&visitor, &text, "", None))
}

/// What is sent with the setup form.
#[derive(Deserialize)]
pub(super) struct Setup {
    name: String,
    password: String,
    again: String,
}

/// Makes the first administrator.
pub(super) async fn set_up(visitor: Visitor, Path(text): Path<String>, Form(given): Form<Setup>) -> Response {
    let people = &visitor.access.people;
    let secret = match open(&visitor, &text, true).await {
        Ok((secret, _)) => secret,
        Err(problem) => return problem.into_response(),
    };
    let made = match same(&given.password, &given.again) {
        Ok(()) => people.set_up(&secret, &given.name, given.password, &visitor.origin).await,
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok(opened) => {
            let flash = welcome(&opened.account.name);
            visitor.go_as(&opened.secret, Some(&opened.device), "/account", Some(&flash))
        }
        Err(refusal) => wrong(refusal, |text_of| setup_page(&visitor, &text, &given.name, Some(text_of))),
    }
}

/// A link with which somebody chooses a password.
pub(super) async fn show(visitor: Visitor, Path(text): Path<String>) -> Result<Page, Problem> {
    let (_, link) = open(&visitor, &text, false).await?;
    Ok(password_page(&visitor, &text, &link, None))
}

/// What is sent with it.
#[derive(Deserialize)]
pub(super) struct Chosen {
    password: String,
    again: String,
}

/// Sets the password.
pub(super) async fn choose_password(visitor: Visitor, Path(text): Path<String>, Form(given): Form<Chosen>) -> Response {
    let people = &visitor.access.people;
    let (secret, link) = match open(&visitor, &text, false).await {
        Ok(found) => found,
        Err(problem) => return problem.into_response(),
    };
    let set = match same(&given.password, &given.again) {
        Ok(()) => people.use_link(&secret, given.password, &visitor.origin).await,
        Err(refusal) => Err(refusal),
    };
    match set {
        Ok(opened) => {
            let flash = welcome(&opened.account.name);
            visitor.go_as(&opened.secret, Some(&opened.device), Next::default().as_str(), Some(&flash))
        }
        Err(refusal) => wrong(refusal, |text_of| password_page(&visitor, &text, &link, Some(text_of))),
    }
}

/// The two are the same.
pub(super) fn same(one: &str, two: &str) -> Result<(), Refusal> {
    if one == two { Ok(()) } else { Err(Refusal::new(Code::AccountRefused, "the two passwords are not the same")) }
}

/// What is wrong with what was given stands in the form; everything else is a page of its own.
pub(super) fn wrong(refusal: Refusal, page: impl FnOnce(&str) -> Page) -> Response {
    if refusal.code == Code::AccountRefused {
        page(&refusal.message).with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response()
    } else {
        Problem::from(refusal).into_response()
    }
}

/// A link of this kind that can be used. What is wrong with one that can't is not said: whoever has it learns nothing.
async fn open(visitor: &Visitor, text: &str, is_setup: bool) -> Result<(Secret, Link), Problem> {
    let found = match Secret::presented(text) {
        Some(secret) => visitor.access.people.link(&secret).await?.map(|link| (secret, link)),
        None => None,
    };
    found.filter(|(_, link)| link.account.is_none() == is_setup).ok_or_else(|| {
        Problem::new(
            StatusCode::GONE,
            "This link can't be used",
            "it was used before, its time is over, or it is not whole",
            if is_setup {
                "Start lockgate again to have a new one printed, if there is no account yet."
            } else {
                "Ask an administrator for a new one."
            },
        )
    })
}

fn setup_page(visitor: &Visitor, text: &str, name: &str, error: Option<&str>) -> Page {
    let fields = html! {
        (Field::new("name", "Your name here").value(name).fills("username").longest(64).needed().first()
            .hint("In lower case; it names you on the record and never changes.").show())
        (passwords())
        button.wide type="submit" { "Make my account" }
    };
    let content = html! {
        p { "This host has no account yet. You are making the first one, an administrator's; this link works once." }
        @if let Some(error) = error { (notice(Tone::Failed, &html! { (error) })) }
        (visitor.form(&format!("/setup/{text}"), &fields))
    };
    Page::new("Set up lockgate", Here::Nowhere, content)
}

fn password_page(visitor: &Visitor, text: &str, link: &Link, error: Option<&str>) -> Page {
    let name = link.account.as_deref().unwrap_or_default();
    let fields = html! {
        // For password managers, which want to know whose password it is.
        input type="hidden" name="username" value=(name) autocomplete="username";
        (passwords())
        button.wide type="submit" { "Set my password" }
    };
    let content = html! {
        p { "For the account " strong { (name) } ". This link works once; whoever is logged in to this account is logged out." }
        @if let Some(error) = error { (notice(Tone::Failed, &html! { (error) })) }
        (visitor.form(&format!("/link/{text}"), &fields))
    };
    Page::new("Choose a password", Here::Nowhere, content)
}

/// A new password, twice.
pub(super) fn passwords() -> Markup {
    let hint = format!("At least {} characters; a few words with spaces are one.", password::SHORTEST);
    html! {
        (Field::password("password", "New password", "new-password").needed().hint(&hint).show())
        (Field::password("again", "New password, again", "new-password").needed().show())
    }
}
