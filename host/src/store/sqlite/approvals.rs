//! The transitions of an approval. Each runs inside one immediate transaction and names, in its own `UPDATE`, the states
//! that it may leave: what the checks above it read can't change underneath, and if it could, nothing would be updated.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::rows::{self, later, micros};
use crate::{
    canonical::canonical_json,
    store::{
        Approval, ConsumedApproval, Creation, Decision, NewApproval, PENDING_LIMIT, Request, RequestDigest, Requester,
        Seen, State, StoreError, Terminal, TransitionError, Vote, person_key, says_nothing,
    },
};

pub(super) fn create(tx: &Connection, new: &NewApproval, now: Timestamp) -> Result<Creation, TransitionError> {
    let Request { requester, .. } = &new.request;
    let pending =
        rows::find(tx, "a.state = 'pending' AND a.decide_by > ?1 AND a.agent = ?2", &[&micros(now), &requester.agent])?;
    let open = pending.len();
    let mut older = None;
    if let Some(existing) = pending.into_iter().find(|approval| is_same_call(&approval.request, &new.request)) {
        if rests_on_the_same(&existing.request, &new.request) {
            return Ok(Creation::Joined(Box::new(existing)));
        }
        let why = format!("the same call was made again on other facts: {}", new.id);
        older = Some(Box::new(supersede(tx, &existing.id, &why, now)?));
    } else if open >= usize::try_from(PENDING_LIMIT).unwrap_or(usize::MAX) {
        return Err(TransitionError::TooManyPending { agent: requester.agent.clone(), limit: PENDING_LIMIT });
    }
    rows::insert(tx, new, now)?;
    Ok(Creation::Created { approval: Box::new(known(tx, &new.id)?), superseded: older })
}

fn is_same_call(one: &Request, other: &Request) -> bool {
    one.requester.is_same(&other.requester)
        && one.action == other.action
        && one.target == other.target
        && one.arguments == other.arguments
        && one.pack_digest == other.pack_digest
}

// Everything else that the digest binds: a vote on the older request would not be a vote on the newer.
fn rests_on_the_same(one: &Request, other: &Request) -> bool {
    one.target_identity == other.target_identity
        && one.policy_digest == other.policy_digest
        && one.pins == other.pins
        && one.requester.roles == other.requester.roles
        && one.requester.os_user == other.requester.os_user
}

pub(super) fn vote(tx: &Connection, vote: &Vote) -> Result<Approval, TransitionError> {
    let id = || vote.id.clone();
    let person = || vote.person.trim().to_owned();
    let (key, names) = (person_key(&vote.person), vote.keys());
    let approval = known(tx, &vote.id)?;
    let request = &approval.request;
    if approval.digest != vote.digest_shown {
        return Err(TransitionError::DigestMismatch { id: id() });
    }
    if key.is_empty() {
        return Err(TransitionError::Nobody { id: id() });
    }
    let open = match vote.decision {
        Decision::Approve => approval.state == State::Pending,
        Decision::Deny => matches!(approval.state, State::Pending | State::Approved),
    };
    if !open {
        return Err(closed(&approval));
    }
    in_time(&approval, vote.now)?;
    if vote.decision == Decision::Approve {
        // Every name of the one against every name of the other.
        if names.iter().any(|name| request.requester.is_behind(name)) {
            return Err(TransitionError::SelfApproval { id: id(), person: person() });
        }
        if !request.approvers.is_empty() && request.approvers.is_disjoint(&vote.roles) {
            let roles = request.approvers.iter().map(|role| format!("`{role}`")).collect::<Vec<_>>().join(", ");
            return Err(TransitionError::NotAnApprover { id: id(), person: person(), roles });
        }
        if has_approved(tx, &vote.id, &names)? {
            return Err(TransitionError::AlreadyVoted { id: id(), person: person() });
        }
        if request.reason_required && says_nothing(&vote.reason) {
            return Err(TransitionError::ReasonRequired { id: id() });
        }
    }
    let seen = match vote.seen {
        Seen::AsRequested => None,
        Seen::Now(digest) => Some(digest.0),
    };
    tx.execute(
        "INSERT INTO votes (approval, person_key, person, decision, reason, voted_at, seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (approval, person_key) DO UPDATE
         SET decision = excluded.decision, reason = excluded.reason, voted_at = excluded.voted_at",
        params![vote.id, key, person(), vote.decision.as_str(), vote.reason, micros(vote.now), seen],
    )?;
    if vote.decision == Decision::Approve {
        for name in &names {
            tx.execute(
                "INSERT INTO vote_names (approval, name_key, person_key) VALUES (?1, ?2, ?3)",
                params![vote.id, name, key],
            )?;
        }
    }
    let changed = match vote.decision {
        Decision::Deny => tx.execute(
            "UPDATE approvals
             SET state = 'denied', decided_at = ?3, decided_by = ?4, decision_reason = ?5, finished_at = ?3
             WHERE id = ?1 AND digest = ?2 AND state IN ('pending', 'approved')",
            params![vote.id, vote.digest_shown.0, micros(vote.now), person(), vote.reason],
        )?,
        // Counted by the database in the same statement: different people, and no vote of the one behind the request.
        Decision::Approve => tx.execute(
            "UPDATE approvals
             SET state = 'approved', decided_at = ?3, decided_by = ?4, decision_reason = ?5, execute_by = ?6
             WHERE id = ?1 AND digest = ?2 AND state = 'pending' AND decide_by > ?3
               AND needed <= (SELECT count(*) FROM votes WHERE approval = ?1 AND decision = 'approve')",
            params![
                vote.id,
                vote.digest_shown.0,
                micros(vote.now),
                person(),
                vote.reason,
                later(vote.now, request.execute_within)
            ],
        )?,
    };
    let after = known(tx, &vote.id)?;
    // INVARIANT: a denial always ends it; an approval that changed nothing still waits for others.
    let expected = match vote.decision {
        Decision::Deny => changed == 1,
        Decision::Approve => {
            (changed == 1) == (after.approvals() >= usize::try_from(request.needed).unwrap_or(usize::MAX))
        }
    };
    if expected { Ok(after) } else { Err(inconsistent(&vote.id).into()) }
}

/// Whether somebody of one of these names has said yes.
fn has_approved(tx: &Connection, id: &str, names: &BTreeSet<String>) -> Result<bool, StoreError> {
    let mut known = tx.prepare_cached("SELECT 1 FROM vote_names WHERE approval = ?1 AND name_key = ?2")?;
    for name in names {
        if known.exists(params![id, name])? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn consume(
    tx: &Connection,
    id: &str,
    digest: RequestDigest,
    instance: &str,
    now: Timestamp,
) -> Result<Approval, TransitionError> {
    let approval = known(tx, id)?;
    if approval.digest != digest {
        return Err(TransitionError::DigestMismatch { id: id.to_owned() });
    }
    if approval.state != State::Approved {
        return Err(closed(&approval));
    }
    in_time(&approval, now)?;
    let changed = tx.execute(
        "UPDATE approvals SET state = 'consumed', consumed_at = ?3, consumed_by = ?4
         WHERE id = ?1 AND digest = ?2 AND state = 'approved' AND execute_by > ?3",
        params![id, digest.0, micros(now), instance],
    )?;
    once(tx, id, changed)
}

pub(super) fn finish(
    tx: &Connection,
    consumed: &ConsumedApproval,
    end: &Terminal,
    now: Timestamp,
) -> Result<Approval, TransitionError> {
    let id = &consumed.approval().id;
    let approval = known(tx, id)?;
    if approval.state != State::Consumed || approval.consumed_by.as_deref() != Some(consumed.instance()) {
        return Err(closed(&approval));
    }
    let (state, outcome, refusal) = match end {
        Terminal::Succeeded(outcome) => (State::Succeeded, Some(canonical_json(outcome)), None),
        Terminal::Failed(refusal) => (State::Failed, None, Some(canonical_json(refusal))),
        Terminal::Unknown(refusal) => (State::Unknown, None, Some(canonical_json(refusal))),
    };
    let changed = tx.execute(
        "UPDATE approvals SET state = ?3, finished_at = ?4, outcome = ?5, refusal = ?6
         WHERE id = ?1 AND state = 'consumed' AND consumed_by = ?2",
        params![id, consumed.instance(), state.as_str(), micros(now), outcome, refusal],
    )?;
    once(tx, id, changed)
}

pub(super) fn withdraw(tx: &Connection, id: &str, by: &Requester, now: Timestamp) -> Result<Approval, TransitionError> {
    let approval = known(tx, id)?;
    if !approval.request.requester.is_same(by) {
        // Said no differently from one that does not exist: agents can't probe for each other's.
        return Err(TransitionError::UnknownApproval { id: id.to_owned() });
    }
    // Not what people have approved: whoever decided must find it as they left it.
    if approval.state != State::Pending {
        return Err(closed(&approval));
    }
    end_unused(tx, &approval, State::Withdrawn, None, now)
}

pub(super) fn supersede(tx: &Connection, id: &str, why: &str, now: Timestamp) -> Result<Approval, TransitionError> {
    end_unused(tx, &known(tx, id)?, State::Superseded, Some(why), now)
}

fn end_unused(
    tx: &Connection,
    approval: &Approval,
    end: State,
    why: Option<&str>,
    now: Timestamp,
) -> Result<Approval, TransitionError> {
    if !matches!(approval.state, State::Pending | State::Approved) {
        return Err(closed(approval));
    }
    let changed = tx.execute(
        "UPDATE approvals SET state = ?2, finished_at = ?3, decision_reason = coalesce(?4, decision_reason)
         WHERE id = ?1 AND state IN ('pending', 'approved')",
        params![approval.id, end.as_str(), micros(now), why],
    )?;
    once(tx, &approval.id, changed)
}

pub(super) fn due(tx: &Connection, now: Timestamp) -> Result<Vec<Approval>, StoreError> {
    rows::find(
        tx,
        "(a.state = 'pending' AND a.decide_by <= ?1) OR (a.state = 'approved' AND a.execute_by <= ?1)",
        &[&micros(now)],
    )
}

pub(super) fn expire_due(tx: &Connection, now: Timestamp) -> Result<Vec<Approval>, StoreError> {
    due(tx, now)?
        .into_iter()
        .map(|approval| {
            let changed = tx.execute(
                "UPDATE approvals SET state = 'expired', finished_at = ?2
                 WHERE id = ?1 AND ((state = 'pending' AND decide_by <= ?2) OR (state = 'approved' AND execute_by <= ?2))",
                params![approval.id, micros(now)],
            )?;
            after_one(tx, &approval.id, changed)
        })
        .collect()
}

pub(super) fn mark_orphans_unknown(
    tx: &Connection,
    is_alive: &dyn Fn(&str) -> bool,
    now: Timestamp,
) -> Result<Vec<Approval>, StoreError> {
    let refusal = canonical_json(&serde_json::json!({
        "code": "outcome_unknown",
        "message": "the lockgate process that was executing this ended before it could say how it went",
        "remedy": "look at the state of the database; this call is never repeated by itself",
    }));
    rows::find(tx, "a.state = 'consumed'", &[])?
        .into_iter()
        .filter(|approval| approval.consumed_by.as_deref().is_none_or(|instance| !is_alive(instance)))
        .map(|approval| {
            let changed = tx.execute(
                "UPDATE approvals SET state = 'unknown', finished_at = ?3, refusal = ?4
                 WHERE id = ?1 AND state = 'consumed' AND consumed_by IS ?2",
                params![approval.id, approval.consumed_by, micros(now), refusal],
            )?;
            after_one(tx, &approval.id, changed)
        })
        .collect()
}

pub(super) fn known(tx: &Connection, id: &str) -> Result<Approval, TransitionError> {
    rows::get(tx, id)?.ok_or_else(|| TransitionError::UnknownApproval { id: id.to_owned() })
}

fn closed(approval: &Approval) -> TransitionError {
    TransitionError::Closed { id: approval.id.clone(), state: approval.state }
}

fn in_time(approval: &Approval, now: Timestamp) -> Result<(), TransitionError> {
    if approval.state_at(now) == State::Expired {
        return Err(TransitionError::Expired { id: approval.id.clone() });
    }
    Ok(())
}

fn once(tx: &Connection, id: &str, changed: usize) -> Result<Approval, TransitionError> {
    Ok(after_one(tx, id, changed)?)
}

fn after_one(tx: &Connection, id: &str, changed: usize) -> Result<Approval, StoreError> {
    if changed != 1 {
        return Err(inconsistent(id));
    }
    rows::get(tx, id)?.ok_or_else(|| inconsistent(id))
}

fn inconsistent(id: &str) -> StoreError {
    StoreError::Corrupt(format!("approval `{id}` changed inside a transaction that holds the write lock"))
}
