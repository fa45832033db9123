//! The inbox: what waits for people, the most urgent first, then what they let through and what has ended lately. The same
//! for everybody of one role, so it is written once for all of them; a script asks for it anew when something changes.

use axum::{
    body::Bytes,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use super::words;
use crate::{
    portal::{
        Here, Page, Portal, Problem, Viewer,
        live::{self, Snapshot},
        parts::{Cell, From, Table, ago, countdown, marked, state},
    },
    store::{Approval, PortalRole},
};

/// Where the part of it is that changes.
pub(super) const PART: &str = "/inbox/part";

/// The page.
pub(super) async fn show(State(portal): State<Portal>, viewer: Viewer) -> Result<Page, Problem> {
    let part = written(&portal, viewer.account.role).await?;
    // Written by this program a moment ago, and nobody else puts anything there.
    let part = PreEscaped(String::from_utf8_lossy(&part).into_owned());
    let content = html! {
        (live::status())
        div data-live=(PART) data-kinds="request" { (part) }
    };
    Ok(Page::new("Requests", Here::Inbox, content).with_script(live::SCRIPT))
}

/// The part that changes, for the script.
pub(super) async fn part(State(portal): State<Portal>, viewer: Viewer) -> Result<Response, Problem> {
    let html = written(&portal, viewer.account.role).await?;
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

async fn written(portal: &Portal, role: PortalRole) -> Result<Bytes, Problem> {
    let (snapshot, now) = (portal.live.now().await?, Timestamp::now());
    Ok(portal.live.inbox.get(role, snapshot.version, now, || write(&snapshot, role, now)))
}

fn write(snapshot: &Snapshot, role: PortalRole, now: Timestamp) -> Markup {
    let mut waiting = Table::new("Waiting for a decision", ["Request", "Time left", "Risk", "Asked by", "In short", "Has"])
        .or_say("Nothing waits. When an agent calls an action that policy holds for a person, its request appears here by itself.");
    for approval in &snapshot.pending {
        let request = &approval.request;
        waiting.row([
            Cell::new(link(approval)),
            Cell::new(countdown(approval.decide_by, now)),
            Cell::new(words::risk(&request.risk)),
            Cell::new(asker(approval)),
            Cell::new(in_short(approval)),
            Cell::text(format!("{} of {}", approval.approvals(), request.needed)),
        ]);
    }
    let mut under_way = Table::new("Approved, not ended", ["Request", "State", "Approved by", "Run by"]);
    for approval in &snapshot.under_way {
        under_way.row([
            Cell::new(link(approval)),
            Cell::new(state(approval.state_at(now).as_str())),
            Cell::text(words::name(approval.decided_by.as_deref().unwrap_or_default())),
            Cell::new(html! { @if let Some(by) = approval.execute_by { (countdown(by, now)) } }),
        ]);
    }
    let mut ended = Table::new("Ended in the last 24 hours", ["Request", "State", "Asked by", "When"])
        .or_say("What was decided, ran out or was withdrawn in the last 24 hours stands here.");
    for approval in &snapshot.ended {
        ended.row([
            Cell::new(link(approval)),
            Cell::new(state(approval.state_at(now).as_str())),
            Cell::new(asker(approval)),
            Cell::new(ago(live::ended_at(approval), now)),
        ]);
    }
    html! {
        div data-version=(snapshot.version) data-say=(said(snapshot)) data-count=(snapshot.pending.len()) {
            @if role < PortalRole::Approver {
                p.quiet { "You look; approvers decide." }
            }
            (waiting.show())
            @if !under_way.is_empty() { (under_way.show()) }
            (ended.show())
        }
    }
}

/// What is said to those who listen when it changes.
fn said(snapshot: &Snapshot) -> String {
    match (snapshot.pending.len(), snapshot.pending.first()) {
        (0, _) | (_, None) => "Nothing waits for a decision.".to_owned(),
        (1, Some(first)) => format!("One request waits: {}.", words::what(first)),
        (n, Some(first)) => format!("{n} requests wait; the most urgent is {}.", words::what(first)),
    }
}

fn link(approval: &Approval) -> Markup {
    // The id lets the script give the focus back to the same link.
    html! { a #{ "in-" (approval.id) } href=(words::address(approval)) { (words::what(approval)) } }
}

fn asker(approval: &Approval) -> Markup {
    let requester = &approval.request.requester;
    html! {
        (words::name(&requester.agent))
        @if let Some(person) = requester.behind() { span.quiet { " for " (words::name(person)) } }
    }
}

fn in_short(approval: &Approval) -> Markup {
    match words::summary(approval) {
        Some(summary) => marked(From::Pack, &summary),
        None => marked(From::Agent, &approval.request.reason),
    }
}
