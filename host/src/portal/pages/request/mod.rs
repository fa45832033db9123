//! One request: who wants what done to what, what would be hit, why it waits, and what became of it. What may change while
//! somebody looks is a part of its own, which a script asks for anew. Deciding is in [`decide`].

pub(super) mod decide;
pub(super) mod evidence;
mod statements;
mod status;

pub(super) use self::status::can_stand;

use axum::{
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use maud::{Markup, html};

use super::words;
use crate::{
    approval::digest,
    portal::{
        Here, Page, Portal, Problem, Viewer,
        decision::find,
        live,
        parts::{Cell, Facts, From, Table, ago, marked_block, moment, state},
    },
    statement::Role,
    store::{self, Approval, Request},
};

/// The page.
pub(super) async fn show(
    State(portal): State<Portal>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Page, Problem> {
    let approval = find(&portal, &id).await?;
    let now = Timestamp::now();
    let request = &approval.request;
    let content = html! {
        (live::status())
        div data-live=(format!("{}/part", words::address(&approval))) data-kinds="request" data-id=(approval.id) {
            (status::part(&approval, &viewer, now))
        }
        h2 { "What would be hit" }
        p.quiet { "As the pack found it just before it asked, " (ago(approval.created_at, now)) "." }
        (evidence::show(&request.evidence))
        (asker(request))
        h2 { "What would be done" }
        (arguments(request))
        (statements::show(&portal, request))
        (target(&portal, request, now))
        h2 { "What must still be so" }
        (evidence::pins(&request.pins))
        (rule(&approval))
    };
    Ok(Page::new(words::what(&approval), Here::Inbox, content).with_script(live::SCRIPT))
}

/// The part that changes, for the script.
pub(super) async fn part(
    State(portal): State<Portal>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let approval = find(&portal, &id).await?;
    let html = status::part(&approval, &viewer, Timestamp::now()).into_string();
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

/// Who asks and why: what the host knows of them, and what the agent says.
fn asker(request: &Request) -> Markup {
    let requester = &request.requester;
    let person = match (requester.behind(), &requester.person) {
        (None, _) => "nobody is named behind this agent, so two people must approve".to_owned(),
        (Some(person), Some(_)) => format!("{}, who may not approve this", words::name(person)),
        (Some(user), None) => format!("whoever runs it as {}, and may not approve this", words::name(user)),
    };
    let facts = Facts::new()
        .text("Agent", format!("{}, over {}", words::name(&requester.agent), words::name(&requester.door)))
        .text("For", person)
        .text("Roles", words::list(&requester.roles));
    let facts = match &request.operation {
        Some(operation) => facts.text("Operation", words::name(operation)),
        None => facts,
    };
    let said = [
        ("Reason", Some(&request.reason)),
        ("What it saw", request.agent_evidence.as_ref()),
        ("What it expects", request.agent_expected.as_ref()),
    ];
    html! {
        h2 { "Who asks, and why" }
        (facts.show())
        @for (heading, text) in said {
            @if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
                h3 { (heading) }
                (marked_block(From::Agent, text))
            }
        }
    }
}

/// The arguments: the agent chose them, the host checked them.
pub(super) fn arguments(request: &Request) -> Markup {
    let mut table = Table::new("Arguments", ["Argument", "Value"]).or_say("This action takes none.");
    for (name, value) in &request.arguments {
        table.row([Cell::text(words::name(name)), Cell::new(html! { code { (words::json(value)) } })]);
    }
    html! {
        (table.show())
        p.quiet { "Chosen by the agent, checked by the host." }
    }
}

/// Where it would run, and how that server is.
pub(super) fn target(portal: &Portal, request: &Request, now: Timestamp) -> Markup {
    let mut facts = Facts::new().text("Target", words::name(&request.target));
    match portal.gate.targets().get(&request.target) {
        Some(target) => {
            let condition = target.condition();
            let role = match target.role_hint() {
                Some(Role::Primary) => "primary",
                Some(Role::Standby) => "standby",
                Some(Role::Any) | None => "not known yet",
            };
            let health = match condition.health {
                crate::postgres::Health::Reachable => "up",
                crate::postgres::Health::Unreachable => "down",
                crate::postgres::Health::Unknown => "not asked yet",
            };
            let version = target.version_hint().map(|v| format!("PostgreSQL {}.{}", v / 10_000, v % 10_000));
            facts = facts
                .text("Role", role)
                .with(
                    "Health",
                    html! { (state(health)) @if let Some(since) = condition.since { " since " (ago(since, now)) } },
                )
                .text("Version", version.unwrap_or_else(|| "not known yet".to_owned()));
        }
        None => facts = facts.text("Role", "this host does not reach it; another one does"),
    }
    let facts = facts.with("Identity", html! { code { (words::name(&request.target_identity)) } });
    html! { h2 { "Where" } (facts.show()) }
}

/// Why it waits for a person, and what a decision is on.
fn rule(approval: &Approval) -> Markup {
    let request = &approval.request;
    let people =
        if request.needed == 1 { "one person".to_owned() } else { format!("{} different people", request.needed) };
    let groups = if request.approvers.is_empty() {
        "whoever may decide".to_owned()
    } else {
        format!("people in one of the groups {}", words::list(&request.approvers))
    };
    let mut facts = Facts::new()
        .text("Policy's rule", words::name(&request.rule))
        .text(
            "Needs",
            format!("{people}, of {groups}{}", if request.reason_required { ", who must say why" } else { "" }),
        )
        .with("Asked", moment(approval.created_at))
        .with("Decide by", moment(approval.decide_by));
    if let Some(by) = approval.execute_by {
        facts = facts.with("Run by", moment(by));
    }
    let facts = facts
        .with("Digest", html! { strong { (digest::short(&approval.digest)) } " " code { (approval.digest) } })
        .with("Pack", html! { code { (words::name(&request.pack_digest)) } })
        .with("Policy", html! { code { (words::name(&request.policy_digest)) } })
        .with("Run", html! { a href=(run_address(request)) { (words::name(&request.run)) } })
        .text("Request", &approval.id);
    html! { h2 { "Why it waits for a person" } (facts.show()) }
}

/// Where a run's page is.
pub(super) fn run_address(request: &Request) -> String {
    format!("/runs/{}", crate::portal::next_encoded(&request.run))
}

/// Why this person can't approve it, if so; the store has the last word.
pub(super) fn cannot_approve(approval: &Approval, viewer: &Viewer) -> Option<String> {
    let (request, account) = (&approval.request, &viewer.account);
    let names: Vec<String> = account.also_known_as().into_iter().chain([account.name.clone()]).collect();
    if names.iter().any(|name| request.requester.is_behind(name)) {
        return Some("You are behind this request, so somebody else has to approve it. You may deny it.".to_owned());
    }
    if !request.approvers.is_empty() && request.approvers.is_disjoint(&account.groups) {
        let groups = words::list(&request.approvers);
        return Some(format!("Policy asks for somebody in one of the groups {groups}, and you are in none of them."));
    }
    let has_voted = |vote: &store::CastVote| {
        let voted = store::person_key(&vote.person);
        vote.decision == store::Decision::Approve && names.iter().any(|name| store::person_key(name) == voted)
    };
    if approval.votes.iter().any(has_voted) {
        return Some("You have approved it; it needs somebody else as well.".to_owned());
    }
    None
}
