//! Passkeys: logging in with one, showing again with one who one is, adding one and removing one. Each is a page with the
//! challenge, whose form a script sends when the authenticator has answered.

use axum::{
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    confirm,
    login::{Asked, said},
};
use crate::{
    people::{login::LoginError, passkeys::Challenge},
    portal::{Flash, Form, Fresh, Here, Next, Page, Problem, Viewer, Visitor, parts::Field},
};

const SCRIPT: &str = "passkeys.js";

/// Who somebody says to be.
#[derive(Deserialize)]
pub(super) struct Name {
    #[serde(default)]
    name: String,
    #[serde(default)]
    next: Next,
}

/// Asks for a name.
pub(super) async fn show_login(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Page, Problem> {
    available(&visitor)?;
    let fields = html! {
        input type="hidden" name="next" value=(asked.next.as_str());
        (Field::new("name", "Name").fills("username webauthn").longest(64).needed().first().show())
        button.wide type="submit" { "Go on" }
    };
    let content = html! {
        (visitor.form("/login/passkey", &fields))
        p { a href=(asked.next.through("/login")) { "Another way to log in" } }
    };
    Ok(Page::new("Log in with a passkey", Here::Nowhere, content))
}

/// Asks the authenticator of whoever says to be somebody.
pub(super) async fn ask_login(visitor: Visitor, Form(given): Form<Name>) -> Response {
    let asked = visitor.access.people.ask_passkey(&given.name, &visitor.origin).await;
    match asked {
        Ok(challenge) => {
            let form = visitor.form("/login/passkey/answer", &hidden(&challenge, &given.next, "Use my passkey"));
            let back = given.next.through("/login");
            ceremony("Log in with a passkey", "get", &challenge, &form, &back).into_response()
        }
        Err(error) => failed(error, &given.next.through("/login/passkey")),
    }
}

/// An authenticator's answer.
#[derive(Deserialize)]
pub(super) struct Answer {
    challenge: String,
    credential: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    next: Next,
}

/// Lets somebody in.
pub(super) async fn login(visitor: Visitor, Form(given): Form<Answer>) -> Response {
    let people = &visitor.access.people;
    match people.log_in_with_passkey(&given.challenge, &given.credential, &visitor.origin).await {
        Ok(opened) => visitor.go_as(&opened.secret, Some(&opened.device), given.next.as_str(), None),
        Err(error) => failed(error, &given.next.through("/login/passkey")),
    }
}

/// Asks the authenticator of whoever is in a session.
pub(super) async fn ask_confirm(viewer: Viewer, Form(given): Form<Name>) -> Result<Page, Problem> {
    let challenge = viewer.visitor.access.people.ask_passkey_again(&viewer.session).await?;
    let form = viewer.form("/confirm/passkey/answer", &hidden(&challenge, &given.next, "Use my passkey"));
    Ok(ceremony("Is it still you?", "get", &challenge, &form, given.next.as_str()))
}

/// Takes the answer; the session is fresh from then on.
pub(super) async fn confirm(viewer: Viewer, Form(given): Form<Answer>) -> Response {
    let (visitor, people) = (&viewer.visitor, &viewer.visitor.access.people);
    let taken =
        people.confirm_with_passkey(&viewer.session, &given.challenge, &given.credential, &visitor.origin).await;
    match taken {
        Ok(secret) => visitor.go_as(&secret, None, given.next.as_str(), Some(&confirm::done())),
        Err(error) => failed(error, &given.next.through("/confirm")),
    }
}

/// Asks an authenticator for a new passkey.
pub(super) async fn ask_add(Fresh(viewer): Fresh<Viewer>) -> Result<Page, Problem> {
    let challenge = viewer.visitor.access.people.begin_passkey(&viewer.account, &viewer.session).await?;
    let fields = html! {
        (Field::new("label", "A name for it").longest(60).hint("Such as: phone, key on my ring.").show())
        (hidden(&challenge, &Next::default(), "Make the passkey"))
    };
    let form = viewer.form("/account/passkeys/add", &fields);
    Ok(ceremony("Add a passkey", "create", &challenge, &form, "/account"))
}

/// Adds it.
pub(super) async fn add(Fresh(viewer): Fresh<Viewer>, Form(given): Form<Answer>) -> Result<Response, Problem> {
    let people = &viewer.visitor.access.people;
    let passkey = people.add_passkey(&viewer.session, &given.challenge, &given.credential, &given.label).await?;
    Ok(viewer.go("/account", Some(&Flash::done(format!("The passkey “{}” is added.", passkey.label)))))
}

/// Which passkey.
#[derive(Deserialize)]
pub(super) struct Which {
    passkey: String,
}

/// Removes one.
pub(super) async fn remove(Fresh(viewer): Fresh<Viewer>, Form(which): Form<Which>) -> Result<Response, Problem> {
    let name = viewer.account.name.as_str();
    let removed = viewer.visitor.access.people.remove_passkey(name, &which.passkey, name).await?;
    let flash = if removed { Flash::done("The passkey is removed.") } else { Flash::note("It was removed before.") };
    Ok(viewer.go("/account", Some(&flash)))
}

fn available(visitor: &Visitor) -> Result<(), Problem> {
    if visitor.access.people.has_passkeys() {
        return Ok(());
    }
    Err(Problem::not_found("passkeys can't be used here: browsers give them to a host's name, and this is an address"))
}

fn hidden(challenge: &Challenge, next: &Next, words: &str) -> Markup {
    html! {
        input type="hidden" name="challenge" value=(challenge.id);
        input type="hidden" name="next" value=(next.as_str());
        input type="hidden" name="credential" value="";
        button.wide type="submit" { (words) }
    }
}

/// The page on which a script asks the authenticator.
fn ceremony(title: &str, kind: &str, challenge: &Challenge, form: &Markup, back: &str) -> Page {
    let content = html! {
        div.ceremony data-passkey=(kind) data-options=(challenge.options) {
            p role="status" { "Your device will ask for your finger, your face or its code." }
            (form)
        }
        noscript { p { "Browsers give passkeys to scripts only, and this one runs none. Use another way." } }
        p { a href=(back) { "Back" } }
    };
    Page::new(title, Here::Nowhere, content).with_script(SCRIPT)
}

/// A page that says what went wrong, and leads back.
fn failed(error: LoginError, again: &str) -> Response {
    match said(error) {
        Ok(_) => {
            let content = html! {
                p { "Your device's answer is not one that lets you in here." }
                p { a href=(again) { "Try again" } }
            };
            Page::new("That is not right", Here::Nowhere, content).with_status(StatusCode::UNAUTHORIZED).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}
