//! One's own account: who one is here, the password, and where one is logged in.

use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::links::{passwords, same, wrong};
use crate::{
    portal::{
        Flash, Form, Fresh, Here, Page, Problem, Tone, Viewer,
        parts::{Cell, Facts, Table, ago, moment, notice, state},
    },
    store::{Session, StoredPasskey},
};

/// Shows it.
pub(super) async fn show(viewer: Viewer) -> Result<Page, Problem> {
    page(&viewer, None).await
}

/// What is sent with the form for another password.
#[derive(Deserialize)]
pub(super) struct NewPassword {
    password: String,
    again: String,
}

/// Sets another password; every other session ends.
pub(super) async fn change_password(
    Fresh(viewer): Fresh<Viewer>,
    Form(given): Form<NewPassword>,
) -> Result<Response, Problem> {
    let people = &viewer.visitor.access.people;
    let set = match same(&given.password, &given.again) {
        Ok(()) => people.change_password(&viewer.session, given.password, &viewer.visitor.origin).await,
        Err(refusal) => Err(refusal),
    };
    match set {
        Ok(secret) => {
            let flash = Flash::done("Your password is changed. Every other session of yours has ended.");
            Ok(viewer.visitor.go_as(&secret, None, "/account", Some(&flash)))
        }
        Err(refusal) => {
            let page = page(&viewer, Some(&refusal.message)).await?;
            Ok(wrong(refusal, |_| page))
        }
    }
}

/// Which session.
#[derive(Deserialize)]
pub(super) struct Which {
    session: String,
}

/// Ends one of one's sessions.
pub(super) async fn end_session(viewer: Viewer, Form(which): Form<Which>) -> Result<Response, Problem> {
    let people = &viewer.visitor.access.people;
    let name = viewer.account.name.as_str();
    let ended = people.end_session(name, &which.session, name).await?;
    let flash =
        if ended { Flash::done("That session has ended.") } else { Flash::note("That session had ended before.") };
    Ok(viewer.go("/account", Some(&flash)))
}

/// Ends all of one's other sessions.
pub(super) async fn end_others(viewer: Viewer) -> Result<Response, Problem> {
    let people = &viewer.visitor.access.people;
    let name = viewer.account.name.as_str();
    let ended = people.end_sessions(name, Some(&viewer.session.id), name).await?;
    Ok(viewer.go("/account", Some(&Flash::done(format!("Sessions ended: {ended}.")))))
}

async fn page(viewer: &Viewer, error: Option<&str>) -> Result<Page, Problem> {
    let people = &viewer.visitor.access.people;
    let sessions = people.sessions_of(&viewer.account.name).await?;
    let passkeys = people.passkeys_of(&viewer.account.name).await?;
    let content = html! {
        (facts(viewer))
        @if people.settings().passwords {
            section.card aria-labelledby="password-heading" {
                h2 #password-heading { "Password" }
                @if let Some(error) = error { (notice(Tone::Failed, &html! { (error) })) }
                p.quiet { @if viewer.account.has_password { "Every other session of yours ends when you change it." } @else { "You have none." } }
                (viewer.form("/account/password", &html! {
                    input type="hidden" name="username" value=(viewer.account.name) autocomplete="username";
                    (passwords())
                    button type="submit" { @if viewer.account.has_password { "Change my password" } @else { "Set a password" } }
                }))
            }
        }
        @if people.has_passkeys() { (passkey_table(viewer, &passkeys, people.now())) }
        (session_table(viewer, &sessions, people.now()))
        p { a href=(super::api_tokens::HERE) { "Tokens for the command line" } }
    };
    Ok(Page::new("Your account", Here::Own, content))
}

fn facts(viewer: &Viewer) -> Markup {
    let account = &viewer.account;
    let groups: Vec<&str> = account.groups.iter().map(String::as_str).collect();
    Facts::new()
        .text("Name", &account.name)
        .text("Role", account.role.as_str())
        .text("Groups, for policy", groups.join(", "))
        .text("User on this machine", account.os_user.as_deref().unwrap_or_default())
        .text("E-mail", account.email.as_deref().unwrap_or_default())
        .with("Account made", html! { (moment(account.created_at)) " by " (account.created_by) })
        .show()
}

/// The passkeys, with what removes one and what adds one.
fn passkey_table(viewer: &Viewer, passkeys: &[StoredPasskey], now: Timestamp) -> Markup {
    let mut table = Table::new("Passkeys", ["Name", "Added", "Last used", ""])
        .or_say("You have none. A passkey is quicker than a password, and nobody can talk you out of it.");
    for passkey in passkeys {
        table.row([
            Cell::text(&passkey.label),
            Cell::new(ago(passkey.added_at, now)),
            Cell::new(
                html! { @match passkey.last_used_at { Some(at) => (ago(at, now)), None => span.quiet { "never" } } },
            ),
            Cell::new(viewer.form(
                "/account/passkeys/remove",
                &html! {
                    input type="hidden" name="passkey" value=(passkey.id);
                    button.plain type="submit" { "Remove" span.unseen { " " (passkey.label) } }
                },
            )),
        ]);
    }
    html! {
        (table.show())
        (viewer.form("/account/passkeys/new", &html! { button.second type="submit" { "Add a passkey" } }))
    }
}

/// The open sessions, with what ends one.
fn session_table(viewer: &Viewer, sessions: &[Session], now: Timestamp) -> Markup {
    let mut table = Table::new("Where you are logged in", ["Session", "From", "With", "Began", "Last used", ""]);
    for session in sessions {
        let is_this = session.id == viewer.session.id;
        table.row([
            Cell::new(html! { code { (session.id) } @if is_this { " " (state("this one")) } }),
            Cell::new(html! { (session.address) br; span.quiet { (crate::outside::shown(&session.agent, 80)) } }),
            Cell::text(session.method.as_str()),
            Cell::new(ago(session.began_at, now)),
            Cell::new(ago(session.seen_at, now)),
            Cell::new(html! {
                @if !is_this {
                    (viewer.form("/account/sessions/end", &html! {
                        input type="hidden" name="session" value=(session.id);
                        button.plain type="submit" { "End" span.unseen { " session " (session.id) } }
                    }))
                }
            }),
        ]);
    }
    html! {
        (table.show())
        @if sessions.len() > 1 {
            (viewer.form("/account/sessions/end-others", &html! { button.second type="submit" { "End all other sessions" } }))
        }
    }
}
