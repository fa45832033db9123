//! Looking again at what a request rests on, through the store: whoever decides asks, a process that can reach the target
//! answers. And the check that an approval was given on what is there now.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use super::evidence::{Changes, Moving, Snapshot, compare};
use crate::store::{
    Approval, Decision, EvidenceDigest, Finding, Review, Seen, State, Store, StoreError, TransitionError, Vote,
    says_nothing,
};

/// How long somebody waits for a look: a preview is a few statements, and whoever answers looks around every quarter second.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// How fresh a look must be for an approval to count on it: the time between a click and its confirmation.
pub const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// Between two looks at the store.
const POLL: Duration = Duration::from_millis(50);

/// Has the evidence of a pending approval looked at, and waits for what is found. An answer that is not older than `max_age`
/// will do: many may have the same page open. If nobody answers in time, that is what was found.
///
/// # Errors
/// [`TransitionError::UnknownApproval`], or the store's own.
pub async fn look(
    store: Arc<dyn Store>,
    id: &str,
    max_age: SignedDuration,
    patience: Duration,
) -> Result<Review, TransitionError> {
    let now = Timestamp::now();
    let known = in_store(&store, id, |store, id| Ok(store.reviews(id)?)).await?;
    let recent = |review: &Review| {
        review
            .answer
            .as_ref()
            .is_some_and(|(at, finding)| now.duration_since(*at) < max_age && matches!(finding, Finding::Looked { .. }))
    };
    if let Some(review) = known.into_iter().find(recent) {
        return Ok(review);
    }
    let asked = in_store(&store, id, move |store, id| store.ask_review(id, now)).await?;
    let until = Instant::now() + patience;
    loop {
        let found = in_store(&store, &asked.id, |store, id| Ok(store.review(id)?)).await?;
        match found {
            Some(review) if review.answer.is_some() => return Ok(review),
            _ if Instant::now() >= until => {
                let why = "no lockgate process that serves this target answered in time; is `lockgate serve` running?";
                let finding = Finding::Unavailable { why: why.to_owned() };
                return Ok(Review { answer: Some((Timestamp::now(), finding)), ..asked });
            }
            _ => sleep(POLL).await,
        }
    }
}

async fn in_store<T: Send + 'static>(
    store: &Arc<dyn Store>,
    id: &str,
    ask: impl FnOnce(&dyn Store, &str) -> Result<T, TransitionError> + Send + 'static,
) -> Result<T, TransitionError> {
    let (store, id) = (Arc::clone(store), id.to_owned());
    let answer = tokio::task::spawn_blocking(move || ask(&*store, &id)).await;
    answer.map_err(|error| StoreError::Corrupt(format!("looking at it was interrupted: {error}")))?
}

/// What is different between the request and a look at it, for the page of somebody who is about to decide.
#[must_use]
pub fn since_request(approval: &Approval, finding: &Finding) -> Option<Changes> {
    let Finding::Looked { pins, evidence, .. } = finding else { return None };
    Some(compare(Snapshot::of(&approval.request), Snapshot { pins, evidence }, &Moving::new()))
}

/// Refuses an approval that was not given on what is there now, as far as anybody has looked. A denial needs no look.
///
/// - On evidence that was looked at: the last look must be fresh, and nothing material may be different in it from what was on
///   the screen.
/// - On the evidence of the request alone: with a reason, which is on the record; and not if somebody has looked since and
///   found something material.
pub(super) fn judge(store: &dyn Store, approval: &Approval, vote: &Vote) -> Result<(), TransitionError> {
    // Nor does one that is not open: the store says so, and it does not open again.
    if vote.decision == Decision::Deny || approval.state_at(vote.now) != State::Pending {
        return Ok(());
    }
    let id = || vote.id.clone();
    let reviews = store.reviews(&vote.id)?;
    let request = Snapshot::of(&approval.request);
    let last = reviews.iter().find_map(|review| review.answer.as_ref());
    let last_looked = reviews.iter().find_map(looked);
    let (seen, now) = match vote.seen {
        Seen::AsRequested if says_nothing(&vote.reason) => return Err(TransitionError::ReasonRequired { id: id() }),
        Seen::AsRequested => match last_looked {
            Some((_, now)) => (request, now),
            None => return Ok(()),
        },
        Seen::Now(digest) => {
            let fresh = last.filter(|(at, _)| vote.now.duration_since(*at) < FRESH);
            let (Some((_, Finding::Looked { .. })), Some((_, now))) = (fresh, last_looked) else {
                return Err(TransitionError::NotReviewed { id: id() });
            };
            let known =
                |wanted: EvidenceDigest| reviews.iter().filter_map(looked).find(|(digest, _)| *digest == wanted);
            let seen = if digest == request.digest() { Some(request) } else { known(digest).map(|(_, seen)| seen) };
            let Some(seen) = seen else {
                let changes = "the evidence that was on the screen is not kept here any more".to_owned();
                return Err(TransitionError::EvidenceChanged { id: id(), changes });
            };
            (seen, now)
        }
    };
    let moving = compare(request, seen, &Moving::new()).moving();
    let changes = compare(seen, now, &moving);
    if changes.is_material() {
        return Err(TransitionError::EvidenceChanged { id: id(), changes: changes.material_words() });
    }
    Ok(())
}

fn looked(review: &Review) -> Option<(EvidenceDigest, Snapshot<'_>)> {
    match &review.answer {
        Some((_, Finding::Looked { digest, pins, evidence })) => Some((*digest, Snapshot { pins, evidence })),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        approval,
        store::{Pin, testing},
        value::Value,
    };

    fn answered(
        store: &dyn Store,
        approval: &Approval,
        seconds: i64,
        change: impl FnOnce(&mut serde_json::Value),
    ) -> EvidenceDigest {
        let mut evidence = approval.request.evidence.clone();
        change(&mut evidence);
        let pins = approval.request.pins.clone();
        let digest = Snapshot { pins: &pins, evidence: &evidence }.digest();
        let review = store.ask_review(&approval.id, testing::at(seconds)).unwrap();
        assert!(store.claim_review(&review.id, "ins_1").unwrap());
        let finding = Finding::Looked { digest, pins, evidence };
        assert!(store.answer_review(&review.id, "ins_1", &finding, testing::at(seconds)).unwrap());
        digest
    }

    fn vote(approval: &Approval, seen: Seen, seconds: i64) -> Vote {
        Vote { seen, reason: String::new(), ..testing::approve(approval, "grace", seconds) }
    }

    fn code(result: Result<Approval, TransitionError>) -> &'static str {
        result.map_or_else(|error| error.code().as_str(), |approval| approval.state.as_str())
    }

    #[test]
    fn an_approval_counts_on_what_is_there_now_and_was_seen() {
        let (_state, store) = testing::store();
        let approval = testing::asked(&store, |_| ());
        let as_asked = Snapshot::of(&approval.request).digest();
        let cast = |seen, seconds| code(approval::vote(&store, &vote(&approval, seen, seconds)));
        assert_eq!(cast(Seen::Now(as_asked), 1), "evidence_unavailable", "nobody has looked");
        answered(&store, &approval, 2, |_| ());
        assert_eq!(cast(Seen::Now(as_asked), 62), "evidence_unavailable", "nobody has looked lately");
        let query = |text: &'static str| {
            move |json: &mut serde_json::Value| json["tables"][0]["rows"]["rows"][0][1] = text.into()
        };
        let first = answered(&store, &approval, 63, query("SELECT 1"));
        assert_eq!(cast(Seen::Now(as_asked), 64), "evidence_changed");
        assert_eq!(cast(Seen::Now(EvidenceDigest([9; 32])), 64), "evidence_changed", "nobody ever saw that");
        assert_eq!(store.get(&approval.id).unwrap().unwrap().votes, []);
        // It moved on while they read; that it moves they have seen.
        answered(&store, &approval, 65, query("SELECT 2"));
        assert_eq!(cast(Seen::Now(first), 66), "approved");
    }

    #[test]
    fn the_evidence_of_the_request_will_do_with_a_reason_and_not_against_what_was_found() {
        let (_state, store) = testing::store();
        let approval = testing::asked(&store, |_| ());
        assert_eq!(code(approval::vote(&store, &vote(&approval, Seen::AsRequested, 1))), "reason_required");
        let with_reason = Vote { reason: "the target is down".into(), ..vote(&approval, Seen::AsRequested, 2) };
        answered(&store, &approval, 2, |json| json["tables"][0]["rows"]["rows"] = json!([]));
        assert_eq!(code(approval::vote(&store, &with_reason)), "evidence_changed");
        let denial = Vote { decision: Decision::Deny, ..vote(&approval, Seen::AsRequested, 3) };
        assert_eq!(code(approval::vote(&store, &denial)), "denied", "a denial needs neither");
        let other = testing::asked(&store, |request| request.target = "shop".into());
        let with_reason = Vote { reason: "the target is down".into(), ..vote(&other, Seen::AsRequested, 4) };
        assert_eq!(code(approval::vote(&store, &with_reason)), "approved");
    }

    #[test]
    fn a_look_that_failed_after_one_that_did_not_leaves_nobody_to_rely_on_the_older() {
        let (_state, store) = testing::store();
        let approval = testing::asked(&store, |_| ());
        let seen = answered(&store, &approval, 1, |_| ());
        let review = store.ask_review(&approval.id, testing::at(2)).unwrap();
        assert!(store.claim_review(&review.id, "ins_1").unwrap());
        assert!(!store.claim_review(&review.id, "ins_2").unwrap(), "one answers");
        let down = Finding::Unavailable { why: "the target is down".into() };
        assert!(!store.answer_review(&review.id, "ins_2", &down, testing::at(2)).unwrap());
        assert!(store.answer_review(&review.id, "ins_1", &down, testing::at(2)).unwrap());
        assert!(!store.answer_review(&review.id, "ins_1", &down, testing::at(2)).unwrap(), "an answer stays");
        assert_eq!(code(approval::vote(&store, &vote(&approval, Seen::Now(seen), 3))), "evidence_unavailable");
    }

    #[test]
    fn looks_are_shared_bounded_and_what_was_voted_on_is_kept() {
        let (_state, store) = testing::store();
        let approval = testing::asked(&store, |request| request.needed = 2);
        let first = store.ask_review(&approval.id, testing::at(0)).unwrap();
        assert_eq!(
            store.ask_review(&approval.id, testing::at(1)).unwrap().id,
            first.id,
            "one look for all who ask at once"
        );
        assert_ne!(store.ask_review(&approval.id, testing::at(3)).unwrap().id, first.id);
        assert_eq!(store.open_reviews(testing::at(0)).unwrap().len(), 2);
        assert_eq!(store.open_reviews(testing::at(1)).unwrap().len(), 1, "who asked long ago has gone");
        let seen = answered(&store, &approval, 10, |json| json["summary"] = "voted on".into());
        approval::vote(&store, &vote(&approval, Seen::Now(seen), 11)).unwrap();
        for seconds in 20..60 {
            answered(&store, &approval, seconds * 3, |json| json["summary"] = seconds.into());
        }
        let kept = store.reviews(&approval.id).unwrap();
        assert!(kept.len() <= 10, "{}", kept.len());
        assert!(kept.iter().filter_map(looked).any(|(digest, _)| digest == seen));
        assert!(matches!(store.ask_review("apr_none", testing::at(1)), Err(TransitionError::UnknownApproval { .. })));
    }

    #[tokio::test]
    async fn whoever_asks_is_answered_by_another_process_or_told_that_nobody_did() {
        let (_state, store) = testing::store();
        let approval = testing::asked(&store, |_| ());
        let other = crate::store::SqliteStore::open(store.path()).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let nobody = look(Arc::clone(&store), &approval.id, FRESH, Duration::ZERO).await.unwrap();
        assert!(matches!(nobody.answer, Some((_, Finding::Unavailable { .. }))));
        let asking =
            tokio::spawn(look(Arc::clone(&store), Box::leak(approval.id.clone().into_boxed_str()), FRESH, PATIENCE));
        let evidence = approval.request.evidence.clone();
        let pins = vec![Pin { name: "pid".into(), value: Value::Integer(4242) }];
        let digest = Snapshot { pins: &pins, evidence: &evidence }.digest();
        let finding = Finding::Looked { digest, pins, evidence };
        let (done, answered) = std::sync::mpsc::channel::<()>();
        // Whatever is asked, until nobody asks any more.
        let answering = tokio::task::spawn_blocking(move || {
            while answered.recv_timeout(Duration::from_millis(5)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                for review in other.open_reviews(Timestamp::UNIX_EPOCH).unwrap() {
                    if other.claim_review(&review.id, "ins_2").unwrap() {
                        assert!(other.answer_review(&review.id, "ins_2", &finding, Timestamp::now()).unwrap());
                    }
                }
            }
        });
        let found = asking.await.unwrap().unwrap();
        drop(done);
        answering.await.unwrap();
        assert_eq!(since_request(&approval, &found.answer.as_ref().unwrap().1), Some(Changes::default()));
        let again = look(Arc::clone(&store), &approval.id, FRESH, Duration::ZERO).await.unwrap();
        assert_eq!(again.id, found.id, "a fresh answer will do");
        assert_eq!(store.get(&approval.id).unwrap().unwrap().state, State::Pending);
    }
}
