//! Who calls: the agents that were seen, those that the configuration and the store let in, and their tokens. Everybody may
//! look; administrators make tokens, whose text is shown once, and take them back.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::off_thread;
use crate::{
    mcp::issue::{self, Made, NAME, Order, Wanted},
    outside::plain,
    portal::{
        Admin, Flash, Form, Fresh, Here, Page, Portal, Problem, Tone, Viewer,
        parts::{Cell, Facts, Field, Table, ago, moment, notice, query, state},
    },
    runs::SeenPrincipal,
    store::{PortalRole, Revoked, Token},
};

/// A new token as its form has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Given {
    #[serde(default)]
    agent: String,
    #[serde(default)]
    person: String,
    #[serde(default)]
    roles: String,
    #[serde(default)]
    packs: String,
    #[serde(default)]
    targets: String,
    #[serde(default)]
    expires: String,
}

impl Default for Given {
    fn default() -> Self {
        let none = String::new;
        Self { agent: none(), person: none(), roles: none(), packs: none(), targets: none(), expires: "90d".into() }
    }
}

impl Given {
    fn wanted(&self) -> Wanted {
        let list = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        Wanted {
            agent: self.agent.trim().to_owned(),
            person: Some(self.person.trim().to_owned()).filter(|person| !person.is_empty()),
            roles: list(&self.roles),
            packs: list(&self.packs),
            targets: list(&self.targets),
            expires: self.expires.trim().to_owned(),
        }
    }
}

/// Agents and tokens.
pub(super) async fn list(State(portal): State<Portal>, viewer: Viewer) -> Result<Page, Problem> {
    list_page(&portal, &viewer, &Given::default(), None).await
}

/// Makes a token, and shows its text for the only time.
pub(super) async fn create(
    State(portal): State<Portal>,
    Fresh(Admin(viewer)): Fresh<Admin>,
    Form(given): Form<Given>,
) -> Result<Response, Problem> {
    let order = match Order::new(given.wanted()) {
        Ok(order) => order,
        Err(unusable) => {
            let page = list_page(&portal, &viewer, &given, Some((unusable.field, &unusable.why))).await?;
            return Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response());
        }
    };
    let made = issue::create(&portal.store, &portal.record, order, &viewer.account.name).await?;
    Ok(made_page(&made).into_response())
}

/// One token.
pub(super) async fn token(
    State(portal): State<Portal>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Page, Problem> {
    let tokens = tokens(&portal).await?;
    let token = tokens.iter().find(|token| token.id == id).ok_or_else(|| unknown(&id))?;
    let waiting = issue::open_requests(&portal.store, token).await?;
    Ok(token_page(&viewer, token, waiting))
}

/// Why a token is taken back.
#[derive(Debug, Deserialize)]
pub(super) struct Why {
    #[serde(default)]
    reason: String,
}

/// Takes it back.
pub(super) async fn revoke(
    State(portal): State<Portal>,
    Fresh(Admin(viewer)): Fresh<Admin>,
    Path(id): Path<String>,
    Form(why): Form<Why>,
) -> Result<Response, Problem> {
    let by = viewer.account.name.as_str();
    let said = match issue::revoke(&portal.store, &portal.record, &id, &why.reason, by).await? {
        Revoked::Now(token) => format!("{} of {} is revoked.", token.id, token.grant.agent),
        Revoked::Before(token) => format!("{} was revoked before.", token.id),
        Revoked::Unknown => return Err(unknown(&id)),
    };
    Ok(viewer.go(&at(&id), Some(&Flash::done(said))))
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("there is no token `{}`", plain(id, 40).text))
}

async fn tokens(portal: &Portal) -> Result<Vec<Token>, Problem> {
    let store = portal.store.clone();
    off_thread(move || store.tokens()).await
}

async fn list_page(
    portal: &Portal,
    viewer: &Viewer,
    given: &Given,
    error: Option<(&str, &str)>,
) -> Result<Page, Problem> {
    let runs = portal.runs.clone();
    let seen = off_thread(move || runs.principals()).await?;
    let tokens = tokens(portal).await?;
    Ok(Page::new(
        "Principals and tokens",
        Here::Principals,
        html! {
            p { "An agent calls for a person, who never decides on what it asks for." }
            (configured(portal))
            (seen_table(&seen))
            (token_table(&tokens))
            @if viewer.may(PortalRole::Admin) {
                section.card aria-labelledby="new-heading" {
                    h2 #new-heading { "A new token" }
                    @if error.is_some() { (notice(Tone::Failed, &html! { "No token was made: see below." })) }
                    (viewer.form("/principals/tokens", &html! { (fields(given, error)) button type="submit" { "Make the token" } }))
                }
            } @else {
                p.quiet { "Administrators make tokens and take them back." }
            }
        },
    ))
}

/// Whom the configuration lets in, by a digest of its own, without a token, or by an issuer.
fn configured(portal: &Portal) -> Markup {
    let mut table = Table::new("Agents of the configuration", ["Agent", "For", "Over", "Roles", "Packs", "Targets"])
        .or_say("The configuration names none. A [[mcp.agent]] or [mcp.stdio] would be here.");
    let mcp = &portal.config.mcp;
    let stdio = mcp.stdio.iter().map(|a| (&a.agent, Some(&a.person), "stdio", &a.roles, &a.packs, &a.targets));
    let http = mcp.agents.iter().map(|a| (&a.name, a.person.as_ref(), "http", &a.roles, &a.packs, &a.targets));
    for (agent, person, door, roles, packs, targets) in stdio.chain(http) {
        table.row([
            runs_of(agent).into(),
            person_or_none(person.map(String::as_str)).into(),
            door.into(),
            Cell::text(listed(roles, "none")),
            Cell::text(listed(packs.as_deref().unwrap_or_default(), "all")),
            Cell::text(listed(targets.as_deref().unwrap_or_default(), "all")),
        ]);
    }
    html! {
        (table.show())
        @if mcp.http.oauth.is_some() {
            p { "Agents with a token of the OAuth issuer come in too; those that called are below." }
        }
    }
}

fn seen_table(seen: &[SeenPrincipal]) -> Markup {
    let mut table = Table::new("Agents that have called", ["Agent", "For", "Runs", "Last", "Over"])
        .or_say("None yet. Whoever calls for the first time appears here.");
    for one in seen {
        let last = one.last.parse::<Timestamp>();
        table.row([
            runs_of(&one.agent).into(),
            person_or_none(one.person.as_deref()).into(),
            Cell::number(one.runs),
            last.map_or_else(|_| html! { (plain(&one.last, 40).text) }, |at| ago(at, Timestamp::now())).into(),
            Cell::text(plain(&one.door, 20).text),
        ]);
    }
    table.show()
}

fn token_table(tokens: &[Token]) -> Markup {
    let now = Timestamp::now();
    let mut table = Table::new("Tokens", ["Token", "State", "Agent", "For", "Until", "Last used"])
        .or_say("There is none. A token lets one agent in over HTTP.");
    let mut sorted: Vec<&Token> = tokens.iter().collect();
    // Those that open something first, then by their making, the latest first.
    sorted.sort_by_key(|token| (token.state_at(now) != "valid", std::cmp::Reverse(token.created_at)));
    for token in sorted {
        table.row([
            html! { a href=(at(&token.id)) { (token.id) } }.into(),
            state(token.state_at(now)).into(),
            Cell::text(plain(&token.grant.agent, 200).text),
            person_or_none(token.grant.person.as_deref()).into(),
            moment(token.expires_at).into(),
            token.last_used_at.map_or_else(|| html! { span.quiet { "never" } }, |at| ago(at, now)).into(),
        ]);
    }
    table.show()
}

fn fields(given: &Given, error: Option<(&str, &str)>) -> Markup {
    let wrong = |field: &str| error.filter(|(name, _)| *name == field).map(|(_, why)| why);
    let longest = u32::try_from(NAME).unwrap_or(64);
    html! {
        (Field::new("agent", "Agent").value(&given.agent).needed().longest(longest).error(wrong("agent"))
            .hint("Its name for policy and the record: letters, digits, . _ -").show())
        (Field::new("person", "Person it acts for").value(&given.person).longest(longest).error(wrong("person"))
            .hint("The name of their account. They can't approve what it asks for.").show())
        (Field::new("roles", "Roles").value(&given.roles).error(wrong("role")).hint("For policy, separated by commas.").show())
        (Field::new("packs", "Packs").value(&given.packs).error(wrong("pack"))
            .hint("Patterns of those that exist for it, separated by commas; all without any.").show())
        (Field::new("targets", "Targets").value(&given.targets).error(wrong("target"))
            .hint("Patterns of those that exist for it, separated by commas; all without any.").show())
        (Field::new("expires", "Valid for").value(&given.expires).needed().longest(20).error(wrong("expires"))
            .hint("30m, 12h or 90d; at most 366d.").show())
    }
}

fn made_page(made: &Made) -> Page {
    let Made { token, secret } = made;
    Page::new(
        "A new token",
        Here::Principals,
        html! {
            p { "Give this token to " strong { (token.grant.agent) } ", and to nobody else. It is shown only now; it is valid until "
                (moment(token.expires_at)) "." }
            code.once { (secret) }
            p.quiet { "It is " code { (token.id) } " here and on the record." }
            div.actions { a.button.second href=(at(&token.id)) { "Done" } }
        },
    )
}

fn token_page(viewer: &Viewer, token: &Token, waiting: usize) -> Page {
    let (grant, now) = (&token.grant, Timestamp::now());
    let mut facts = Facts::new()
        .with("State", state(token.state_at(now)))
        .with("Agent", runs_of(&grant.agent))
        .with("For", person_or_none(grant.person.as_deref()))
        .text("Roles", listed(&grant.roles, "none"))
        .text("Packs", listed(grant.packs.as_deref().unwrap_or_default(), "all"))
        .text("Targets", listed(grant.targets.as_deref().unwrap_or_default(), "all"))
        .with("Made", html! { (ago(token.created_at, now)) " by " (plain(&token.created_by, 100).text) })
        .with("Valid until", ago(token.expires_at, now))
        .with("Last used", token.last_used_at.map_or_else(|| html! { "never" }, |at| ago(at, now)));
    if let Some(revoked) = &token.revoked {
        facts = facts.with(
            "Revoked",
            html! {
                (ago(revoked.at, now)) " by " (plain(&revoked.by, 100).text)
                @if !revoked.reason.is_empty() { ": " (plain(&revoked.reason, 500).text) }
            },
        );
    }
    let may_revoke = viewer.may(PortalRole::Admin) && token.revoked.is_none();
    Page::new(
        format!("Token {}", token.id),
        Here::Principals,
        html! {
            (facts.show())
            @if waiting > 0 {
                (notice(Tone::Note, &html! {
                    (waiting) " requests of this agent wait for a decision or to be carried out. Revoking the token does not take them back."
                }))
            }
            @if may_revoke {
                section.card aria-labelledby="revoke-heading" {
                    h2 #revoke-heading { "Revoke" }
                    p { "For good, and within a second. Whoever still has it is refused." }
                    (viewer.form(&format!("{}/revoke", at(&token.id)), &html! {
                        (Field::new("reason", "Why").longest(500).hint("For the record.").show())
                        button.danger type="submit" { "Revoke the token" }
                    }))
                }
            }
            p { a href=(query("/changes", &[("kind", "tokens"), ("who", &token.id)])) { "Its history" } }
            p { a href="/principals" { "All principals and tokens" } }
        },
    )
}

fn at(id: &str) -> String {
    format!("/principals/tokens/{}", crate::portal::next_encoded(id))
}

fn runs_of(agent: &str) -> Markup {
    html! { a href=(query("/runs", &[("agent", agent)])) { (plain(agent, 200).text) } }
}

fn person_or_none(person: Option<&str>) -> Markup {
    html! { @match person { Some(person) => (plain(person, 100).text), None => span.quiet { "nobody known" } } }
}

fn listed(words: &[String], none: &str) -> String {
    if words.is_empty() { none.to_owned() } else { plain(&words.join(", "), 1000).text }
}
