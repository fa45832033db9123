//! Standing approvals: calls that people let through in advance, within bounds. What each lets through, what is left of it, what
//! it would have let through lately; an administrator puts one in force here and takes one back.

pub(super) mod propose;

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    response::Response,
};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::words;
use crate::{
    approval::{
        digest,
        standing::{Replay, replay},
    },
    error::{Code, Refusal},
    gate::standing,
    outside::{plain, shown},
    portal::{
        Admin, Flash, Form, Fresh, Here, Page, Portal, Problem, Tone, Viewer, live,
        parts::{Cell, Facts, Field, Table, ago, countdown, moment, notice, state},
    },
    store::{Beneficiary, Bound, PortalRole, StandingApproval, StandingState, StandingUse, StandingVote, Store, Voter},
};

/// Longest reason; what is longer the gate would cut.
const REASON: u32 = 500;
/// Open ones whose past is looked into for the list; the others' pages do it for themselves.
const REPLAYED: usize = 20;
/// Closed ones, uses and past requests that are shown.
const SHOWN: usize = 50;

/// The list.
pub(super) async fn list(State(portal): State<Portal>, _viewer: Viewer) -> Result<Page, Problem> {
    let now = Timestamp::now();
    let (open, closed) = in_store(&portal, move |store| {
        let (open, closed): (Vec<_>, Vec<_>) = store
            .standings()?
            .into_iter()
            .partition(|one| matches!(one.state_at(now), StandingState::Proposed | StandingState::Active));
        let mut looked = Vec::new();
        for (at, one) in open.into_iter().enumerate() {
            let would = if at < REPLAYED { Some(replay(store, &one, now)?) } else { None };
            looked.push((one, would));
        }
        Ok((looked, closed))
    })
    .await?;
    let mut table = Table::new(
        "In force or proposed",
        ["Lets through", "State", "For", "Uses left", "Ends", "In the last 30 days it would have let through"],
    )
    .or_say("None. From a request that people approved, one can be proposed that lets such calls through without asking each time; the link is on that request's page.");
    for (one, would) in &open {
        table.row([
            Cell::new(link(one)),
            Cell::new(state(one.state_at(now).as_str())),
            Cell::text(beneficiary(&one.grant.to)),
            Cell::text(format!("{} of {}", one.uses_left(), one.grant.uses)),
            Cell::new(countdown(one.grant.until, now)),
            Cell::new(match would {
                Some(would) => html! { (would.covered.len()) " of " (would.asked) " requests" },
                None => html! { span.quiet { "see its page" } },
            }),
        ]);
    }
    let mut past = Table::new("Let nothing through any more", ["Let through", "State", "For", "Used"]);
    for one in closed.iter().take(SHOWN) {
        past.row([
            Cell::new(link(one)),
            Cell::new(state(words_of(one.state_at(now)))),
            Cell::text(beneficiary(&one.grant.to)),
            Cell::text(format!("{} of {}", one.used, one.grant.uses)),
        ]);
    }
    let content = html! {
        p { "Calls that policy holds, let through in advance within bounds. What policy denies, none of these lets through." }
        (table.show())
        @if !past.is_empty() { (past.show()) }
        @if closed.len() > SHOWN { p.quiet { (closed.len() - SHOWN) " older ones are not shown here; `lockgate standing list --all` has them." } }
    };
    Ok(Page::new("Standing approvals", Here::Standing, content))
}

/// One of them.
pub(super) async fn show(
    State(portal): State<Portal>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Page, Problem> {
    let now = Timestamp::now();
    let (one, would, uses) = in_store(&portal, move |store| {
        let one = find(store, &id)?;
        let (would, uses) = (replay(store, &one, now)?, store.standing_uses(&one.id)?);
        Ok((one, would, uses))
    })
    .await?;
    let title = format!("Standing approval of {}", words::name(&one.grant.action));
    let content = html! {
        p.lead {
            (state(words_of(one.state_at(now)))) " " (words::risk(&one.grant.risk)) " "
            @if matches!(one.state_at(now), StandingState::Proposed | StandingState::Active) {
                (one.uses_left()) " of " (one.grant.uses) " uses left, " (countdown(one.grant.until, now))
            } @else {
                "used " (one.grant.uses.saturating_sub(one.uses_left())) " of " (one.grant.uses) " times"
            }
        }
        @if one.is_of_one_person() {
            (notice(Tone::Warning, &html! { "Proposed and approved by the same person, and by nobody else." }))
        }
        (grant(&one))
        (past(&would))
        (used(&uses, now))
        (story(&one))
        (actions(&one, &viewer, now))
    };
    Ok(Page::new(title, Here::Standing, content).with_script(live::SCRIPT))
}

/// What is sent to put one in force.
#[derive(Deserialize)]
pub(super) struct Approved {
    digest: String,
    reason: String,
}

/// Puts one in force: exactly what was on the screen.
pub(super) async fn approve(
    State(portal): State<Portal>,
    Fresh(Admin(viewer)): Fresh<Admin>,
    Path(id): Path<String>,
    Form(given): Form<Approved>,
) -> Result<Response, Problem> {
    let digest_shown = given.digest.parse().map_err(|_| {
        Refusal::new(Code::DigestMismatch, "the digest that was on the screen did not come with the form")
            .with_remedy("load the page again and decide on what it shows")
    })?;
    let vote = StandingVote { id, voter: voter(&viewer), reason: given.reason, digest_shown, now: Timestamp::now() };
    let after = standing::approve(portal.gate.journal().record(), Arc::clone(&portal.store), vote).await?;
    let said = if after.approved_at.is_some() {
        "It is in force: such calls are let through from now on.".to_owned()
    } else {
        format!("Your approval counts: {} of {}.", after.votes.len(), after.grant.needed)
    };
    Ok(viewer.go(&words::standing_address(&after), Some(&Flash::done(said))))
}

/// What is sent to take one back.
#[derive(Deserialize)]
pub(super) struct Revoked {
    reason: String,
}

/// Takes one back.
pub(super) async fn revoke(
    State(portal): State<Portal>,
    Fresh(Admin(viewer)): Fresh<Admin>,
    Path(id): Path<String>,
    Form(given): Form<Revoked>,
) -> Result<Response, Problem> {
    let record = portal.gate.journal().record();
    let store = Arc::clone(&portal.store);
    let after = standing::revoke(record, store, &id, &viewer.account.name, &given.reason).await?;
    let said = format!("Revoked after {} of {} uses. No call uses it any more.", after.used, after.grant.uses);
    Ok(viewer.go(&words::standing_address(&after), Some(&Flash::done(said))))
}

fn voter(viewer: &Viewer) -> Voter {
    let account = &viewer.account;
    Voter {
        person: account.name.clone(),
        also_known_as: account.also_known_as().into_iter().collect(),
        groups: account.groups.clone(),
        is_admin: account.role >= PortalRole::Admin,
    }
}

/// Off the async runtime: the store blocks.
async fn in_store<T: Send + 'static>(
    portal: &Portal,
    ask: impl FnOnce(&dyn Store) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let store = Arc::clone(&portal.store);
    tokio::task::spawn_blocking(move || ask(&*store))
        .await
        .map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))?
}

fn find(store: &dyn Store, id: &str) -> Result<StandingApproval, Refusal> {
    store.standing(id)?.ok_or_else(|| {
        Refusal::new(Code::NotFound, format!("no standing approval `{}` is known here", shown(id, 40)))
            .with_remedy("look at the list of standing approvals")
    })
}

fn link(one: &StandingApproval) -> Markup {
    html! { a href=(words::standing_address(one)) { (words::name(&one.grant.action)) " on " (words::list(one.grant.targets.keys())) } }
}

fn words_of(state: StandingState) -> &'static str {
    match state {
        StandingState::UsedUp => "used up",
        other => other.as_str(),
    }
}

/// All that it lets through.
fn grant(one: &StandingApproval) -> Markup {
    let grant = &one.grant;
    let mut facts = Facts::new()
        .with("Action", html! { code { (words::name(&grant.action)) } })
        .text("For", beneficiary(&grant.to));
    for (name, identity) in &grant.targets {
        facts = facts.with("Target", html! { (words::name(name)) " " code.quiet { (words::name(identity)) } });
    }
    let facts = facts
        .with("Pack", html! { code { (words::name(&grant.pack_digest)) } })
        .text("Uses", format!("{} of {} made", one.used, grant.uses))
        .with("Until", moment(grant.until));
    let mut arguments = Table::new("Arguments", ["Argument", "May be"]).or_say("The action takes none.");
    for (name, bound) in &grant.arguments {
        arguments.row([Cell::text(words::name(name)), Cell::new(bounds(bound))]);
    }
    html! { h2 { "What it lets through without asking" } (facts.show()) (arguments.show()) }
}

fn bounds(bound: &Bound) -> Markup {
    html! {
        @match bound {
            Bound::Equal(value) => { "exactly " code { (words::json(value)) } }
            Bound::OneOf(values) => {
                "one of "
                @for (at, value) in values.iter().enumerate() { @if at > 0 { ", " } code { (words::json(value)) } }
            }
            Bound::Glob(pattern) => { "text like " code { (words::name(pattern)) } }
            Bound::Range { min, max } => { "from " code { (min) } " to " code { (max) } }
        }
    }
}

fn beneficiary(to: &Beneficiary) -> String {
    match to {
        Beneficiary::Agent { agent, person: Some(person) } => {
            format!("agent {} of {}", words::name(agent), words::name(person))
        }
        Beneficiary::Agent { agent, person: None } => format!("agent {}, of nobody who is named", words::name(agent)),
        Beneficiary::Role(role) => format!("every agent with the role {}", words::name(role)),
    }
}

/// What it would have let through.
fn past(would: &Replay) -> Markup {
    let mut table =
        Table::new("Requests that it would have let through", ["Request", "Agent", "Arguments", "What became of it"])
            .or_say("None of the requests of the last 30 days is within its bounds.");
    for one in would.covered.iter().take(SHOWN) {
        let arguments = plain(&serde_json::Value::Object(one.arguments.clone()).to_string(), 300).text;
        table.row([
            Cell::new(html! { a href=(format!("/approvals/{}", one.approval)) { (moment(one.at)) } }),
            Cell::text(words::name(&one.agent)),
            Cell::new(html! { code { (arguments) } }),
            Cell::new(state(one.state.as_str())),
        ]);
    }
    html! {
        h2 { "Over the last 30 days" }
        p {
            "It would have let through " strong { (would.covered.len()) } " of " (would.asked) " requests for this action, not counting its uses and its end."
            @if would.of_another_pack > 0 { " And " (would.of_another_pack) " more that were of another version of the pack." }
            @if would.cut { " There were more requests than are looked at." }
        }
        @if would.denied > 0 {
            (notice(Tone::Warning, &html! { "People denied " strong { (would.denied) } " of these." }))
        }
        (table.show())
        @if would.covered.len() > SHOWN { p.quiet { (would.covered.len() - SHOWN) " more are not shown here." } }
    }
}

fn used(uses: &[StandingUse], now: Timestamp) -> Markup {
    let mut table = Table::new("Uses", ["Use", "Agent", "Target", "Run", "When"]).or_say("It has not been used.");
    for one in uses.iter().rev().take(SHOWN) {
        let run = format!("/runs/{}", crate::portal::next_encoded(&one.run));
        table.row([
            Cell::text(one.number.to_string()),
            Cell::text(words::name(&one.agent)),
            Cell::text(words::name(&one.target)),
            Cell::new(html! { a href=(run) { (words::name(&one.run)) } }),
            Cell::new(ago(one.at, now)),
        ]);
    }
    table.show()
}

/// Who did what to it.
fn story(one: &StandingApproval) -> Markup {
    let said = |by: &str, at: Timestamp, reason: &str| {
        html! { (words::name(by)) ", " (moment(at)) ": " (plain(reason, 600).text) }
    };
    let people = if one.grant.needed == 1 {
        "one administrator".to_owned()
    } else {
        format!("{} administrators", one.grant.needed)
    };
    let groups = &one.grant.approvers;
    let of = if groups.is_empty() { String::new() } else { format!(" in one of the groups {}", words::list(groups)) };
    let mut facts = Facts::new()
        .with("Made from", html! { a href=(format!("/approvals/{}", one.source)) { (words::name(&one.source)) } })
        .with("Proposed", said(&one.proposed_by, one.proposed_at, &one.reason))
        .text("Needs", format!("{people}{of}"));
    for vote in &one.votes {
        facts = facts.with("Approved", said(&vote.person, vote.at, &vote.reason));
    }
    if let Some(revoked) = &one.revoked {
        facts = facts.with("Revoked", said(&revoked.by, revoked.at, &revoked.reason));
    }
    let facts = facts.with("Digest", html! { strong { (digest::short(&one.digest)) } " " code { (one.digest) } });
    html! { h2 { "Who granted it" } (facts.show()) }
}

fn actions(one: &StandingApproval, viewer: &Viewer, now: Timestamp) -> Markup {
    let (state, address) = (one.state_at(now), words::standing_address(one));
    let is_open = matches!(state, StandingState::Proposed | StandingState::Active | StandingState::UsedUp);
    if !viewer.may(PortalRole::Admin) || !is_open {
        return html! { @if is_open { p.quiet { "Administrators put standing approvals in force and take them back." } } };
    }
    let reason = |name: &str| Field::new("reason", name).lines(2).longest(REASON).needed().show();
    html! {
        @if state == StandingState::Proposed {
            section.card {
                h2 { "Put it in force" }
                p { "Calls within these bounds are then let through without asking anybody, each on the record." }
                (viewer.form(&format!("{address}/approve"), &html! {
                    input type="hidden" name="digest" value=(one.digest);
                    (reason("Why it may"))
                    button type="submit" { "Approve exactly this" }
                }))
            }
        }
        details open[state != StandingState::Proposed] {
            summary { @if state == StandingState::Proposed { "Refuse it for good" } @else { "Take it back" } }
            p { "At once and for good: no call uses it from then on." }
            (viewer.form(&format!("{address}/revoke"), &html! {
                // A field of the same name stands above; this one has its own id.
                div.field {
                    label for="revoke-reason" { "Why it is taken back" }
                    textarea #revoke-reason name="reason" rows="2" maxlength=(REASON) required {}
                }
                button.danger type="submit" { "Revoke" }
            }))
        }
    }
}
