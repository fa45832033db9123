//! Deciding: a page that shows once more what is decided on, as it is *now*, and the vote itself. The preview is run again
//! before anybody approves; what was on the screen goes with the vote, by digest, both of the request and of its evidence.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::{super::words, arguments, cannot_approve, evidence, target};
use crate::{
    approval::{digest, look},
    error::{Code, Refusal},
    outside::plain,
    portal::{
        Approver, Flash, Form, Fresh, Here, Page, Portal, Problem, Tone, Viewer,
        decision::{self, Given, RECENT, find},
        live,
        parts::{Facts, Field, From, countdown, marked_block, notice},
    },
    store::{Approval, Finding, Request, Review, State as Stand, TransitionError},
};

/// Longest reason; what is longer the gate would cut.
const REASON: u32 = 500;

/// Which request was on the screen that led here.
#[derive(Deserialize)]
pub(in super::super) struct Carried {
    digest: Option<String>,
}

/// Asks whether to approve.
pub(in super::super) async fn ask_approve(
    State(portal): State<Portal>,
    Fresh(Approver(viewer)): Fresh<Approver>,
    Path(id): Path<String>,
    Query(carried): Query<Carried>,
) -> Result<Page, Problem> {
    let approval = carried_over(&portal, &id, &carried).await?;
    still_pending(&approval)?;
    if let Some(why) = cannot_approve(&approval, &viewer) {
        return Err(Problem::forbidden(why));
    }
    let review = decision::looked_at(&portal, &id, RECENT).await?;
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
    match decision::approve(&portal, &viewer.account, &id, &given).await {
        Ok(after) => Ok(done(&viewer, &after)),
        Err(refusal) if is_mended_here(refusal.code) => {
            let review = decision::looked_at(&portal, &id, RECENT).await?;
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
    // What is approved and has not begun can still be denied.
    if approval.state_at(Timestamp::now()) != Stand::Approved {
        still_pending(&approval)?;
    }
    Ok(deny_page(&portal, &viewer, &approval))
}

/// Denies.
pub(in super::super) async fn deny(
    State(portal): State<Portal>,
    Fresh(Approver(viewer)): Fresh<Approver>,
    Path(id): Path<String>,
    Form(given): Form<Given>,
) -> Result<Response, Problem> {
    let after = decision::deny(&portal, &viewer.account, &id, &given).await?;
    Ok(done(&viewer, &after))
}

/// Refuses to ask about what nobody can decide any more.
fn still_pending(approval: &Approval) -> Result<(), Refusal> {
    match approval.state_at(Timestamp::now()) {
        Stand::Pending => Ok(()),
        state => Err(TransitionError::Closed { id: approval.id.clone(), state }.into()),
    }
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
    let changed = finding.and_then(|finding| look::since_request(approval, finding)).unwrap_or_default();
    let (news, shown, can) = match finding {
        Some(Finding::Looked { digest, pins, evidence: found, .. }) => {
            let shown = html! {
                h2 { "What would be hit, now" }
                (evidence::show(found))
                h2 { "What must still be so" }
                (evidence::pins(pins))
            };
            (evidence::changes(&changed), shown, Some((digest.to_string(), request.reason_required)))
        }
        Some(Finding::Gone { why }) => {
            let gone = html! {
                (notice(Tone::Failed, &html! { "Looked at just now: what this was about is gone, so it can't be approved any more." }))
                (marked_block(From::Database, why))
            };
            (gone, html! {}, None)
        }
        Some(Finding::Unavailable { .. }) | None => {
            let why = match finding {
                Some(Finding::Unavailable { why }) => plain(why, 400).text,
                _ => "nobody answered".to_owned(),
            };
            let news = notice(
                Tone::Warning,
                &html! {
                    "It could not be looked at again: " (why) ". Below is what was found when it was asked. If you approve, it is on that alone, and you have to say why."
                },
            );
            let shown = html! {
                h2 { "What would be hit, as it was when it was asked" }
                (evidence::show(&request.evidence))
                h2 { "What must still be so" }
                (evidence::pins(&request.pins))
            };
            (news, shown, Some(("as-requested".to_owned(), true)))
        }
    };
    let is_open = approval.state_at(Timestamp::now()) == Stand::Pending;
    let content = html! {
        (refused(tried.refusal.as_ref()))
        (head(approval))
        (news)
        (why(request))
        (shown)
        (what(portal, request))
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
        (head(approval))
        (why(&approval.request))
        (what(portal, &approval.request))
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
    if refusal.code == Code::EvidenceChanged {
        let said =
            "Nothing was decided: the evidence is no longer what was on your screen. Decide on what is there now.";
        return notice(Tone::Failed, &html! { (said) });
    }
    let (message, remedy) = (plain(&refusal.message, 1_000).text, plain(&refusal.remedy, 400).text);
    notice(
        Tone::Failed,
        &html! { p { "Nothing was decided: " (message) "." } @if !remedy.is_empty() { p { (remedy) "." } } },
    )
}

/// What is decided on, in short, and whether it still waits.
fn head(approval: &Approval) -> Markup {
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
    }
}

/// Why, in the agent's words.
fn why(request: &Request) -> Markup {
    html! { h2 { "Why" } (marked_block(From::Agent, &request.reason)) }
}

/// With what, and where.
fn what(portal: &Portal, request: &Request) -> Markup {
    html! { h2 { "With what" } (arguments(request)) (target(portal, request, Timestamp::now())) }
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
