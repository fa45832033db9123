//! Approvals: what a person decides, the digest that binds the decision, waiting for it, and what a person is shown.
//!
//! The states and their transitions are in [`crate::store`]; this room makes requests, checks once more before one is
//! consumed, and renders. It knows the store, values and errors; it never knows who asks it or what is then executed.

pub mod digest;
pub mod evidence;
pub mod look;
pub mod people;
pub mod render;
pub mod standing;
pub mod wait;

use jiff::Timestamp;

pub use self::{
    digest::canonical_json,
    people::PeopleAt,
    wait::{Waited, wait, wait_for_change},
};
use crate::store::{
    Approval, BeforeCommit, ConsumedApproval, Creation, Filter, NewApproval, Request, RequestDigest, State, Store,
    StoreError, TransitionError, Vote, random_bytes, random_id,
};

/// How many people must approve where nothing tells who is behind the agent: of two different people at least one is not.
const NEEDED_IF_UNRESOLVED: u32 = 2;

/// Makes a request for approval: gives it an id and a nonce, binds it by its digest, and stores or joins it. Where nothing
/// tells who is behind the agent, it needs an independent approver and so two people, whatever policy asks for.
///
/// # Errors
/// As [`Store::create`].
pub fn request(store: &dyn Store, request: Request, now: Timestamp) -> Result<Creation, TransitionError> {
    request_recorded(store, request, &|_| Ok(()), now)
}

/// What waits for people or is being run, the newest first; or everything.
///
/// # Errors
/// The store's.
pub fn listed(store: &dyn Store, all: bool, now: Timestamp) -> Result<Vec<Approval>, StoreError> {
    let states = if all { Vec::new() } else { vec![State::Pending, State::Approved, State::Consumed] };
    let mut found = store.list(&Filter { states, ..Filter::default() })?;
    if !all {
        found.retain(|approval| !approval.state_at(now).is_terminal());
    }
    Ok(found)
}

/// The same, put on the record before anybody can see it, as [`Store::create_recorded`].
///
/// # Errors
/// As [`Store::create_recorded`].
pub fn request_recorded(
    store: &dyn Store,
    mut request: Request,
    record: BeforeCommit<'_, Creation>,
    now: Timestamp,
) -> Result<Creation, TransitionError> {
    if request.requester.behind().is_none() {
        request.needed = request.needed.max(NEEDED_IF_UNRESOLVED);
    }
    let nonce = random_bytes()?;
    let digest = digest::request_digest(&request, &nonce);
    store.create_recorded(NewApproval { id: random_id("apr_")?, nonce, digest, request }, record, now)
}

/// The digest of an approval, made again from what is stored. It differs from the stored one if somebody edited the store.
#[must_use]
pub fn digest_of(approval: &Approval) -> RequestDigest {
    digest::request_digest(&approval.request, &approval.nonce)
}

/// Counts a person's vote, as [`Store::vote`], after the digest on their screen was found to be that of what is stored, and
/// the evidence on it what is there now, as [`look`] has it.
///
/// # Errors
/// As [`Store::vote`].
pub fn vote(store: &dyn Store, vote: &Vote) -> Result<Approval, TransitionError> {
    vote_recorded(store, vote, &|_| Ok(()))
}

/// The same, put on the record before it counts, as [`Store::vote_recorded`].
///
/// # Errors
/// As [`Store::vote_recorded`].
pub fn vote_recorded(
    store: &dyn Store,
    vote: &Vote,
    record: BeforeCommit<'_, Approval>,
) -> Result<Approval, TransitionError> {
    let unknown = || TransitionError::UnknownApproval { id: vote.id.clone() };
    let approval = store.get(&vote.id)?.ok_or_else(unknown)?;
    // What was asked for can't change in the store, so this still holds when the vote is counted.
    if digest_of(&approval) != vote.digest_shown {
        return Err(TransitionError::DigestMismatch { id: vote.id.clone() });
    }
    look::judge(store, &approval, vote)?;
    store.vote_recorded(vote, record)
}

/// What must still be so when an approval is used, found out afresh.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// SHA-256 of the component that would run, hexadecimal.
    pub pack_digest: &'a str,
    /// What the target is now.
    pub target_identity: &'a str,
    /// SHA-256 of the policy in force, hexadecimal.
    pub policy_digest: &'a str,
}

/// Claims an approved request for execution: the digest is made again, from the stored request and the facts of now, and
/// must be the one that was voted on. If a fact has changed, the request is superseded.
///
/// # Errors
/// [`TransitionError::Stale`] if a fact has changed, [`TransitionError::DigestMismatch`] if the stored request is not what
/// was voted on, otherwise as [`Store::consume`].
pub fn consume(
    store: &dyn Store,
    id: &str,
    facts: &Facts<'_>,
    instance: &str,
    now: Timestamp,
) -> Result<ConsumedApproval, TransitionError> {
    let approval = store.get(id)?.ok_or_else(|| TransitionError::UnknownApproval { id: id.to_owned() })?;
    let stored = &approval.request;
    let changed = [
        ("the pack", stored.pack_digest.as_str(), facts.pack_digest),
        ("the target", &stored.target_identity, facts.target_identity),
        ("the policy", &stored.policy_digest, facts.policy_digest),
    ]
    .into_iter()
    .find_map(|(what, then, now)| (then != now).then_some(what));
    if let Some(what) = changed {
        store.supersede(id, &format!("{what} changed after the request was made"), now)?;
        return Err(TransitionError::Stale { id: id.to_owned(), what });
    }
    store.consume(id, digest_of(&approval), instance, now)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::store::{State, testing};

    fn facts() -> Facts<'static> {
        Facts { pack_digest: "aa", target_identity: "db1/7000", policy_digest: "bb" }
    }

    fn approved(store: &dyn Store) -> String {
        let approval = testing::asked(store, |_| ());
        vote(store, &testing::approve(&approval, "grace", 1)).unwrap();
        approval.id
    }

    #[test]
    fn consumes_when_everything_is_as_it_was() {
        let (_state, store) = testing::store();
        let id = approved(&store);
        let consumed = consume(&store, &id, &facts(), "ins_1", testing::at(2)).unwrap();
        assert_eq!(consumed.approval().state, State::Consumed);
        assert_eq!(consumed.approval().request, testing::request());
    }

    #[test]
    fn a_changed_fact_supersedes_the_request() {
        for (changed, what) in [
            (Facts { pack_digest: "cc", ..facts() }, "the pack"),
            (Facts { target_identity: "db2/7001", ..facts() }, "the target"),
            (Facts { policy_digest: "cc", ..facts() }, "the policy"),
        ] {
            let (_state, store) = testing::store();
            let id = approved(&store);
            match consume(&store, &id, &changed, "ins_1", testing::at(2)) {
                Err(TransitionError::Stale { what: found, .. }) => assert_eq!(found, what),
                other => panic!("{other:?}"),
            }
            assert_eq!(store.get(&id).unwrap().unwrap().state, State::Superseded);
        }
    }

    #[test]
    fn a_request_edited_behind_the_store_is_not_consumed() {
        let (_state, store) = testing::store();
        let id = approved(&store);
        let raw = rusqlite::Connection::open(store.path()).unwrap();
        raw.execute_batch("DROP TRIGGER approvals_fixed; UPDATE approvals SET arguments = '{\"pid\":1}'").unwrap();
        assert!(matches!(
            consume(&store, &id, &facts(), "ins_1", testing::at(2)),
            Err(TransitionError::DigestMismatch { .. })
        ));
        assert_eq!(store.get(&id).unwrap().unwrap().state, State::Approved);
    }

    #[test]
    fn a_vote_on_what_was_edited_behind_the_store_is_refused() {
        let (_state, store) = testing::store();
        let approval = testing::asked(&store, |_| ());
        let raw = rusqlite::Connection::open(store.path()).unwrap();
        raw.execute_batch("DROP TRIGGER approvals_fixed; UPDATE approvals SET reason = 'harmless'").unwrap();
        let voted = vote(&store, &testing::approve(&approval, "grace", 1));
        assert!(matches!(voted, Err(TransitionError::DigestMismatch { .. })), "{voted:?}");
        assert_eq!(store.get(&approval.id).unwrap().unwrap().state, State::Pending);
    }

    #[test]
    fn an_unresolvable_requester_needs_an_independent_approver() {
        let (_state, store) = testing::store();
        let approval = testing::asked(&store, |request| request.requester.person = None);
        assert_eq!(approval.request.needed, 2);
        let one = vote(&store, &testing::approve(&approval, "grace", 1)).unwrap();
        assert_eq!(one.state, State::Pending, "grace may be the one behind the agent");
        assert!(matches!(
            vote(&store, &testing::approve(&approval, " Grace ", 2)),
            Err(TransitionError::AlreadyVoted { .. })
        ));
        let two = vote(&store, &testing::approve(&approval, "edsger", 3)).unwrap();
        assert_eq!((two.state, two.approvals()), (State::Approved, 2));
    }
}
