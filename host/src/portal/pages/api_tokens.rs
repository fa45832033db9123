//! One's own tokens for the command line on another machine: made, shown once, and ended.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    error::{Code, Refusal},
    people::api_tokens::MadeApiToken,
    portal::{
        Flash, Form, Fresh, Here, Page, Problem, Tone, Viewer,
        parts::{Cell, Field, Table, ago, moment, notice},
    },
    store::ApiToken,
};

/// Where they are.
pub(super) const HERE: &str = "/account/tokens";
/// Days that one is valid unless its owner says otherwise.
const DAYS: &str = "30";

/// What is sent with the form.
#[derive(Default, Deserialize)]
pub(super) struct Given {
    label: String,
    days: String,
}

/// Shows them.
pub(super) async fn show(viewer: Viewer) -> Result<Page, Problem> {
    page(&viewer, &Given::default(), None).await
}

/// Makes one, and shows its text for the only time.
pub(super) async fn create(Fresh(viewer): Fresh<Viewer>, Form(given): Form<Given>) -> Result<Response, Problem> {
    let people = &viewer.visitor.access.people;
    let made = match given.days.trim().parse::<u64>() {
        Ok(days) => people.make_api_token(&viewer.account, &given.label, days, &viewer.visitor.origin).await,
        Err(_) => Err(Refusal::new(Code::AccountRefused, "the days are a number from 1 to 90")),
    };
    match made {
        Ok(made) => Ok(made_page(&viewer, &made).into_response()),
        Err(refusal) if refusal.code == Code::AccountRefused => {
            let page = page(&viewer, &given, Some(&refusal.message)).await?;
            Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Which one.
#[derive(Deserialize)]
pub(super) struct Which {
    token: String,
}

/// Ends one.
pub(super) async fn end(viewer: Viewer, Form(which): Form<Which>) -> Result<Response, Problem> {
    let name = viewer.account.name.as_str();
    let ended = viewer.visitor.access.people.end_api_token(name, &which.token, name).await?;
    let flash =
        if ended { Flash::done("That token opens nothing any more.") } else { Flash::note("That token was no more.") };
    Ok(viewer.go(HERE, Some(&flash)))
}

async fn page(viewer: &Viewer, given: &Given, error: Option<&str>) -> Result<Page, Problem> {
    let people = &viewer.visitor.access.people;
    let tokens = people.api_tokens_of(&viewer.account.name).await?;
    let days = if given.days.is_empty() { DAYS } else { &given.days };
    let content = html! {
        p { "With a token, " code { "lockgate approvals --portal " (viewer.visitor.access.site.origin()) " …" }
            " on another machine sees what you see. To decide it asks for your password." }
        (table(viewer, &tokens, people.now()))
        section.card aria-labelledby="new-heading" {
            h2 #new-heading { "A new token" }
            @if let Some(error) = error { (notice(Tone::Failed, &html! { (error) })) }
            (viewer.form(HERE, &html! {
                (Field::new("label", "Name").value(&given.label).needed().longest(60).hint("What it is for: the machine's name, say.").show())
                (Field::new("days", "Days").value(days).needed().longest(2).hint("For how long: 1 to 90.").show())
                button type="submit" { "Make the token" }
            }))
        }
        p { a href="/account" { "Your account" } }
    };
    Ok(Page::new("Tokens for the command line", Here::Own, content))
}

fn table(viewer: &Viewer, tokens: &[ApiToken], now: Timestamp) -> Markup {
    let mut table =
        Table::new("Valid tokens", ["Name", "Token", "Made", "Until", "Last used", ""]).or_say("You have none.");
    for token in tokens {
        table.row([
            Cell::text(&token.label),
            Cell::new(html! { code { (token.id) } }),
            Cell::new(ago(token.created_at, now)),
            Cell::new(moment(token.expires_at)),
            Cell::new(
                html! { @match token.last_used_at { Some(at) => (ago(at, now)), None => span.quiet { "never" } } },
            ),
            Cell::new(viewer.form(
                "/account/tokens/end",
                &html! {
                    input type="hidden" name="token" value=(token.id);
                    button.plain type="submit" { "End" span.unseen { " " (token.label) } }
                },
            )),
        ]);
    }
    table.show()
}

fn made_page(viewer: &Viewer, made: &MadeApiToken) -> Page {
    let origin = viewer.visitor.access.site.origin();
    let content = html! {
        p { "This is shown only now. Put it where only you can read it; it is valid until " (moment(made.token.expires_at)) "." }
        code.once { (made.reveal()) }
        p { "Then, with it in a file of mode 600:" }
        pre { code { "lockgate approvals --portal " (origin) " --token-file FILE list" } }
        div.actions { a.button.second href=(HERE) { "Done" } }
    };
    Page::new("A new token", Here::Own, content)
}
