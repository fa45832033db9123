//! What somebody decided, on a page or at a command line elsewhere: on what was on their screen, looked at once more. The vote is
//! given to the same function as the local command line's.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::Portal;
use crate::{
    error::{Code, Refusal},
    gate::decide,
    outside::shown,
    store::{Account, Approval, Decision, Finding, RequestDigest, Review, Seen, Vote},
};

/// A look that is no older will do, where somebody wants to see: whoever asks twice has the database asked once.
pub(super) const RECENT: SignedDuration = SignedDuration::from_secs(5);

/// What is sent with a decision.
#[derive(Deserialize)]
pub(super) struct Given {
    /// The request that was on the screen.
    pub(super) digest: String,
    /// The evidence that was: its digest, or `as-requested`.
    #[serde(default)]
    pub(super) seen: String,
    #[serde(default)]
    pub(super) reason: String,
}

/// The request of this id.
pub(super) async fn find(portal: &Portal, id: &str) -> Result<Approval, Refusal> {
    let (store, wanted) = (Arc::clone(&portal.store), id.to_owned());
    let found = tokio::task::spawn_blocking(move || store.get(&wanted))
        .await
        .map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))??;
    found.ok_or_else(|| {
        Refusal::new(Code::UnknownApproval, format!("no request `{}` is known here", shown(id, 40)))
            .with_remedy("look at those that wait, on the first page")
    })
}

/// Approves what was on the screen.
pub(super) async fn approve(portal: &Portal, account: &Account, id: &str, given: &Given) -> Result<Approval, Refusal> {
    let seen = match given.seen.as_str() {
        "as-requested" => Seen::AsRequested,
        // Whoever took their time decides on what they saw, as long as it is still so: that is looked at once more.
        text => {
            let digest = text.parse().map_err(|_| unreadable("the evidence"))?;
            looked_at(portal, id, SignedDuration::ZERO).await?;
            Seen::Now(digest)
        }
    };
    cast(portal, account, id, given, Decision::Approve, seen).await
}

/// Denies.
pub(super) async fn deny(portal: &Portal, account: &Account, id: &str, given: &Given) -> Result<Approval, Refusal> {
    cast(portal, account, id, given, Decision::Deny, Seen::AsRequested).await
}

/// A look at what it rests on: one that somebody took just now, or another.
pub(super) async fn looked_at(portal: &Portal, id: &str, old: SignedDuration) -> Result<Review, Refusal> {
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
    account: &Account,
    id: &str,
    given: &Given,
    decision: Decision,
    seen: Seen,
) -> Result<Approval, Refusal> {
    let digest_shown: RequestDigest = given.digest.parse().map_err(|_| unreadable("the request"))?;
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
    Refusal::new(Code::DigestMismatch, format!("the digest of {what} that was on the screen did not come with it"))
        .with_remedy("look at it again and decide on what is shown")
}
