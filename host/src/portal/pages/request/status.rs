//! The part of a request's page that changes: how it stands, how long there is, who has said what, what can be done now, and
//! what became of it.

use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize as _;

use super::{super::words, cannot_approve, evidence, run_address};
use crate::{
    approval::digest,
    gate::call::Outcome,
    portal::{
        Tone, Viewer,
        parts::{Cell, From, Table, ago, countdown, marked_block, marked_markup, notice, state},
    },
    store::{Approval, Decision, PortalRole, State},
};

/// The part.
pub(super) fn part(approval: &Approval, viewer: &Viewer, now: Timestamp) -> Markup {
    let state_now = approval.state_at(now);
    html! {
        section #decision .card data-say=(said(approval, state_now)) aria-label="How it stands" {
            p.lead {
                (state(state_now.as_str())) " " (words::risk(&approval.request.risk)) " "
                @match state_now {
                    State::Pending => (countdown(approval.decide_by, now)),
                    State::Approved => @if let Some(by) = approval.execute_by { (countdown(by, now)) " to run it" },
                    _ => {}
                }
            }
            p { (stands(approval, state_now)) }
            @if state_now == State::Pending { (actions(approval, viewer)) }
            (votes(approval, now))
            (end(approval, state_now))
            @if state_now.is_terminal() || state_now == State::Consumed {
                p { a href=(run_address(&approval.request)) { "The run on the record" } }
            }
            @if viewer.may(PortalRole::Approver) && can_stand(approval) {
                p { a #to-standing href=(format!("{}/standing", words::address(approval))) { "Let calls like this through from now on…" } }
            }
        }
    }
}

/// Whether a standing approval can be made from it, as far as a page needs to know.
pub(in super::super) fn can_stand(approval: &Approval) -> bool {
    approval.execute_by.is_some() && approval.state != State::Denied && approval.request.risk != "critical"
}

fn said(approval: &Approval, state: State) -> String {
    let by = approval.decided_by.as_deref().map(words::name);
    match (state, by) {
        (State::Pending, _) => format!("{} of {} approvals.", approval.approvals(), approval.request.needed),
        (State::Approved | State::Denied, Some(by)) => format!("{state} by {by}."),
        _ => format!("It is {state}."),
    }
}

fn stands(approval: &Approval, state: State) -> Markup {
    let request = &approval.request;
    let by = || words::name(approval.decided_by.as_deref().unwrap_or("somebody"));
    html! {
        @match state {
            State::Pending => {
                "Waits for a decision: " (approval.approvals()) " of " (request.needed) " approvals"
                @if !request.approvers.is_empty() { ", of " (words::list(&request.approvers)) }
                ". Nothing has been changed."
            }
            State::Approved => { "Approved by " (by()) "; it is about to be run, once." }
            State::Consumed => { "Approved by " (by()) "; it is being run now." }
            State::Succeeded => { "It ran and succeeded. Approved by " (by()) "." }
            State::Failed => { "It ran and failed. Approved by " (by()) "." }
            State::Unknown => { "It was started, and how it ended is not known. Look at the database; nothing runs it again by itself." }
            State::Denied => { "Denied by " (by()) ". Nothing was changed." }
            State::Expired => { "Its time ran out. Nothing was changed." }
            State::Withdrawn => { "The agent took it back. Nothing was changed." }
            State::Superseded => { "What it rested on is no longer so, or a newer request took its place. Nothing was changed." }
        }
    }
}

fn actions(approval: &Approval, viewer: &Viewer) -> Markup {
    if !viewer.may(PortalRole::Approver) {
        return html! { p.quiet { "Your role is " (viewer.account.role) ": you look, approvers decide." } };
    }
    let (address, why_not) = (words::address(approval), cannot_approve(approval, viewer));
    let carried = digest::short(&approval.digest);
    html! {
        @if let Some(why) = &why_not { p.quiet { (why) } }
        p.actions {
            @if why_not.is_none() { a #to-approve .button href=(format!("{address}/approve?digest={carried}")) { "Approve…" } }
            a #to-deny .button.second href=(format!("{address}/deny?digest={carried}")) { "Deny…" }
        }
    }
}

fn votes(approval: &Approval, now: Timestamp) -> Markup {
    if approval.votes.is_empty() {
        return html! {};
    }
    let mut table = Table::new("Votes", ["Who", "Said", "When", "Reason"]);
    for vote in &approval.votes {
        let word = match vote.decision {
            Decision::Approve => "approved",
            Decision::Deny => "denied",
        };
        table.row([
            Cell::text(words::name(&vote.person)),
            Cell::new(state(word)),
            Cell::new(ago(vote.at, now)),
            Cell::text(crate::outside::plain(&vote.reason, 600).text),
        ]);
    }
    table.show()
}

/// What came of it.
fn end(approval: &Approval, state: State) -> Markup {
    let text = |json: &Option<serde_json::Value>, key: &str| {
        json.as_ref().and_then(|json| json.get(key)).and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    match state {
        State::Succeeded => match approval.outcome.as_ref().map(Outcome::deserialize) {
            Some(Ok(outcome)) => html! {
                h2 { "What came out" }
                (marked_block(From::Pack, &outcome.summary))
                @for table in outcome.tables.iter().take(8) { (marked_markup(From::Database, &evidence::rows(table))) }
                @for text in outcome.notices.iter().take(20) { (marked_block(From::Database, text)) }
                @if outcome.record_degraded { (notice(Tone::Warning, &html! { "It happened, and its end could not be put on the record." })) }
            },
            _ => html! { p { "What came out can't be read back." } },
        },
        State::Failed | State::Unknown => html! {
            @if let Some(message) = text(&approval.refusal, "message") {
                h2 { "What went wrong" }
                (marked_block(From::Database, &message))
                @if let Some(code) = text(&approval.refusal, "code") { p.quiet { "Code " code { (words::name(&code)) } } }
            }
        },
        State::Superseded => html! {
            @if let Some(why) = &approval.decision_reason {
                h2 { "Why" }
                (marked_block(From::Database, why))
            }
        },
        _ => html! {},
    }
}
