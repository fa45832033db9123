//! Deciding: a page that shows once more what is decided on, as it is *now*, and the vote itself. The preview is run again
//! before anybody approves; what was on the screen goes with the vote, by digest, both of the request and of its evidence. The
//! vote is given to the same function as the command line's.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;

use super::{super::words, arguments, cannot_approve, evidence, find, target};
use crate::{
    approval::{digest, look},
    error::{Code, Refusal},
    gate::decide,
    outside::plain,
    portal::{
        Approver, Flash, Form, Fresh, Here, Page, Portal, Problem, Tone, Viewer, live,
        parts::{Facts, Field, From, countdown, marked_block, notice},
    },
    store::{Approval, Decision, Finding, RequestDigest, Review, Seen, State as Stand, Vote},
};

/// Longest reason; what is longer the gate would cut.
const REASON: u32 = 500;
/// A look that is no older will do: whoever loads a page twice has the database asked once.
const RECENT: SignedDuration = SignedDuration::from_secs(5);

/// Which request was on the screen that led here.
#[derive(Deserialize)]
pub(in super::super) struct Carried {
    digest: Option<String>,
}

/// What is sent with the form.
#[derive(Deserialize)]
pub(in super::super) struct Given {
    digest: String,
    #[serde(default)]
    seen: String,
    #[serde(default)]
    reason: String,
}

/// Asks whether to approve.
pub(in super::super) async fn ask_approve(
    State(portal): State<Portal>,
    Fresh(Approver(viewer)): Fresh<Approver>,
    Path(id): Path<String>,
    Query(carried): Query<Carried>,
) -> Result<Page, Problem> {
    let approval = carried_over(&portal, &id, &carried).await?;
    if let Some(why) = cannot_approve(&approval, &viewer) {
        return Err(Problem::forbidden(why));
    }
    let review = looked_at(&portal, &id, RECENT).await?;
    // A look may have ended it.
    let approval = find(&portal, &id).await?;
    Ok(approve_page(&portal, &viewer, &approval, &review, &Tried::default()))
}

/// Approves, what was on the screen.
pub(in super::super) async fn approve(
    State(portal): State<Portal>,
    Fresh(Approver(viewer)): Fresh<Approver>,
    Path(id): Path<String>,
    Form(given): Form<Given>,
) -> Result<Response, Problem> {
    let approval = find(&portal, &id).await?;
    let seen = match given.seen.as_str() {
        "as-requested" => Seen::AsRequested,
        // Whoever took their time decides on what they saw, as long as it is still so: that is looked at once more.
        text => {
            let digest = text.parse().map_err(|_| unreadable("the evidence"))?;
            looked_at(&portal, &id, SignedDuration::ZERO).await?;
            Seen::Now(digest)
        }
    };
    match cast(&portal, &viewer, &id, &given, Decision::Approve, seen).await {
        Ok(after) => Ok(done(&viewer, &after)),
        Err(refusal) if is_mended_here(refusal.code) => {
            let review = looked_at(&portal, &id, RECENT).await?;
            let tried = Tried { reason: given.reason, refusal: Some(refusal) };
            let page = approve_page(&portal, &viewer, &approval, &review, &tried);
            Ok(page.with_status(StatusCode::CONFLICT).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Asks whether to deny. That needs no look: no harm can come of it.
pub(in super::super) async fn ask_deny(
    State(portal): State<Portal>,
    Fresh(Approver(viewer)): Fresh<Approver>,
    Path(id): Path<String>,
    Query(carried): Query<Carried>,
) -> Result<Page, Problem> {
    let approval = carried_over(&portal, &id, &carried).await?;
    Ok(deny_page(&portal, &viewer, &approval))
}

/// Denies.
pub(in super::super) async fn deny(
    State(portal): State<Portal>,
    Fresh(Approver(viewer)): Fresh<Approver>,
    Path(id): Path<String>,
    Form(given): Form<Given>,
) -> Result<Response, Problem> {
    let after = cast(&portal, &viewer, &id, &given, Decision::Deny, Seen::AsRequested).await?;
    Ok(done(&viewer, &after))
}

/// What somebody tried and could not.
#[derive(Default)]
struct Tried {
    reason: String,
    refusal: Option<Refusal>,
}

/// What the same page, shown again, lets somebody put right.
fn is_mended_here(code: Code) -> bool {
    matches!(code, Code::ReasonRequired | Code::EvidenceChanged | Code::EvidenceUnavailable)
}

/// The request, if it is the one that was on the screen.
async fn carried_over(portal: &Portal, id: &str, carried: &Carried) -> Result<Approval, Problem> {
    let approval = find(portal, id).await?;
    match &carried.digest {
        Some(typed) if !digest::is_typed(&approval.digest, typed) => {
            let message = "this request is not what was on the screen: the digests differ";
            Err(Refusal::new(Code::DigestMismatch, message)
                .with_remedy("look at it again, from the first page on")
                .into())
        }
        _ => Ok(approval),
    }
}

/// A look at what it rests on: one that somebody took just now, or another.
async fn looked_at(portal: &Portal, id: &str, old: SignedDuration) -> Result<Review, Refusal> {
    let (store, wanted) = (Arc::clone(&portal.store), id.to_owned());
    let known = tokio::task::spawn_blocking(move || store.reviews(&wanted))
        .await
        .map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))??;
    let now = Timestamp::now();
    let is_recent =
        |review: &Review| matches!(&review.answer, Some((at, Finding::Looked { .. })) if now.duration_since(*at) < old);
    match known.into_iter().find(is_recent) {
        Some(review) => Ok(review),
        None => portal.gate.review(id).await,
    }
}

async fn cast(
    portal: &Portal,
    viewer: &Viewer,
    id: &str,
    given: &Given,
    decision: Decision,
    seen: Seen,
) -> Result<Approval, Refusal> {
    let digest_shown: RequestDigest = given.digest.parse().map_err(|_| unreadable("the request"))?;
    let account = &viewer.account;
    let vote = Vote {
        id: id.to_owned(),
        person: account.name.clone(),
        also_known_as: account.also_known_as().into_iter().collect(),
        roles: account.groups.clone(),
        decision,
        reason: given.reason.clone(),
        digest_shown,
        seen,
        now: Timestamp::now(),
    };
    decide::decide(portal.gate.journal().record(), Arc::clone(&portal.store), vote).await
}

fn unreadable(what: &str) -> Refusal {
    Refusal::new(
        Code::DigestMismatch,
        format!("the digest of {what} that was on the screen did not come with the form"),
    )
    .with_remedy("load the page again and decide on what it shows")
}

fn done(viewer: &Viewer, after: &Approval) -> Response {
    let said = match after.state_at(Timestamp::now()) {
        Stand::Pending => {
            format!("Your approval counts: {} of {}.", after.approvals(), after.request.needed)
        }
        Stand::Denied => "Denied. The agent is told, with your reason.".to_owned(),
        _ => "Approved, for one run.".to_owned(),
    };
    viewer.go(&words::address(after), Some(&Flash::done(said)))
}

fn approve_page(portal: &Portal, viewer: &Viewer, approval: &Approval, review: &Review, tried: &Tried) -> Page {
    let request = &approval.request;
    let finding = review.answer.as_ref().map(|(_, finding)| finding);
    let (shown, can) = match finding {
        Some(Finding::Looked { digest, pins, evidence: found, .. }) => {
            let changes = finding.and_then(|finding| look::since_request(approval, finding)).unwrap_or_default();
            let shown = html! {
                (evidence::changes(&changes))
                h2 { "What would be hit, now" }
                (evidence::show(found))
                h2 { "What must still be so" }
                (evidence::pins(pins))
            };
            (shown, Some((digest.to_string(), request.reason_required)))
        }
        Some(Finding::Gone { why }) => {
            let gone = html! {
                (notice(Tone::Failed, &html! { "Looked at just now: what this was about is gone, so it can't be approved any more." }))
                (marked_block(From::Database, why))
            };
            (gone, None)
        }
        Some(Finding::Unavailable { .. }) | None => {
            let why = match finding {
                Some(Finding::Unavailable { why }) => plain(why, 400).text,
                _ => "nobody answered".to_owned(),
            };
            let shown = html! {
                (notice(Tone::Warning, &html! {
                    "It could not be looked at again: " (why) ". Below is what was found when it was asked. If you approve, it is on that alone, and you have to say why."
                }))
                h2 { "What would be hit, as it was when it was asked" }
                (evidence::show(&request.evidence))
                h2 { "What must still be so" }
                (evidence::pins(&request.pins))
            };
            (shown, Some(("as-requested".to_owned(), true)))
        }
    };
    let is_open = approval.state_at(Timestamp::now()) == Stand::Pending;
    let content = html! {
        (refused(tried.refusal.as_ref()))
        (head(portal, approval))
        (shown)
        @match can.filter(|_| is_open) {
            Some((seen, needs_reason)) => (viewer.form(&format!("{}/approve", words::address(approval)), &html! {
                input type="hidden" name="digest" value=(approval.digest);
                input type="hidden" name="seen" value=(seen);
                (reason(needs_reason, &tried.reason, "For the record and the agent."))
                p.actions {
                    button type="submit" { "Approve this, once" }
                    a.button.second href=(words::address(approval)) { "Back" }
                }
            })),
            None => p { a.button.second href=(words::address(approval)) { "Back to the request" } },
        }
    };
    Page::new(format!("Approve {}?", words::what(approval)), Here::Inbox, content).with_script(live::SCRIPT)
}

fn deny_page(portal: &Portal, viewer: &Viewer, approval: &Approval) -> Page {
    let content = html! {
        (head(portal, approval))
        (viewer.form(&format!("{}/deny", words::address(approval)), &html! {
            input type="hidden" name="digest" value=(approval.digest);
            (reason(false, "", "The agent is given this reason, and can act on it."))
            p.actions {
                button.danger type="submit" { "Deny this" }
                a.button.second href=(words::address(approval)) { "Back" }
            }
        }))
    };
    Page::new(format!("Deny {}?", words::what(approval)), Here::Inbox, content).with_script(live::SCRIPT)
}

fn refused(refusal: Option<&Refusal>) -> Markup {
    let Some(refusal) = refusal else { return html! {} };
    let (message, remedy) = (plain(&refusal.message, 1_000).text, plain(&refusal.remedy, 400).text);
    notice(
        Tone::Failed,
        &html! { p { "Nothing was decided: " (message) "." } @if !remedy.is_empty() { p { (remedy) "." } } },
    )
}

/// What is decided on, in short, and whether it still waits.
fn head(portal: &Portal, approval: &Approval) -> Markup {
    let (request, now) = (&approval.request, Timestamp::now());
    let requester = &request.requester;
    let asker = match requester.behind() {
        Some(person) => format!("{} for {}", words::name(&requester.agent), words::name(person)),
        None => words::name(&requester.agent),
    };
    let facts = Facts::new()
        .with("Risk", words::risk(&request.risk))
        .with("Time left", countdown(approval.decide_by, now))
        .text("Asked by", asker)
        .with("Digest", html! { strong { (digest::short(&approval.digest)) } });
    html! {
        (live::status())
        div data-live=(format!("{}/still", words::address(approval))) data-kinds="request" data-id=(approval.id) { (still_open(approval, now)) }
        (facts.show())
        h2 { "Why" }
        (marked_block(From::Agent, &request.reason))
        h2 { "With what" }
        (arguments(request))
        (target(portal, request, now))
    }
}

/// The part of these pages that changes while somebody thinks: whether there is still something to decide.
pub(in super::super) async fn still(
    State(portal): State<Portal>,
    _viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let approval = find(&portal, &id).await?;
    let html = still_open(&approval, Timestamp::now()).into_string();
    Ok(([(axum::http::header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

fn still_open(approval: &Approval, now: Timestamp) -> Markup {
    let state = approval.state_at(now);
    html! {
        @if state == Stand::Pending {
            div data-say="" {}
        } @else {
            @let said = format!("There is nothing to decide any more: it is {state}.");
            div data-say=(said) { (notice(Tone::Warning, &html! { (said) })) }
        }
    }
}

fn reason(needed: bool, value: &str, hint: &str) -> Markup {
    let field = Field::new("reason", "Reason").lines(3).longest(REASON).value(value).hint(hint);
    if needed { field.needed().show() } else { field.show() }
}
