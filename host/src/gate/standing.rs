//! Standing approvals at the gate: proposed, approved and revoked by people, on the record before it is in force; and used
//! by calls that policy holds, one use a run. What policy denies never comes here.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::{
    Gate, Prepared,
    call::{Call, Principal},
    decide::REASON,
    execute::Job,
    journal::RecordedIntent,
    pins, requester, ruling,
};
use crate::{
    approval::standing::{self, Proposal, Sought},
    audit::{Entry, Record},
    error::{Code, Refusal},
    outside::shown,
    pack::sandbox::Evidence,
    policy::{Decision, Verdict},
    store::{
        Beneficiary, ClaimedUse, NewUse, Requester, StandingApproval, StandingError, StandingVote, Store, StoreError,
        TransitionError,
    },
};

/// Proposes a standing approval from a request that people approved. It lets nothing through yet.
///
/// # Errors
/// When it can't be recorded or granted.
pub async fn propose(
    record: &Record,
    store: Arc<dyn Store>,
    from: &str,
    proposal: Proposal,
) -> Result<StandingApproval, Refusal> {
    let (record, from) = (record.clone(), from.to_owned());
    let proposal = Proposal { reason: shown(proposal.reason.trim(), REASON), ..proposal };
    blocking(move || {
        let now = Timestamp::now();
        let approval = store.get(&from)?.ok_or(TransitionError::UnknownApproval { id: from })?;
        let new = standing::propose(&approval, proposal, now)?;
        let line = |made: &StandingApproval| {
            let (to, grant) = (beneficiary(&made.grant.to), &made.grant);
            let entry = Entry::new("standing.proposed")
                .field("standing", made.id.as_str())
                .field("digest", made.digest.to_string())
                .field("from_approval", made.source.as_str())
                .field("by", made.proposed_by.as_str())
                .field("reason", made.reason.as_str())
                .field("to", to)
                .field("action", grant.action.as_str())
                .field("risk", grant.risk.as_str())
                .field("pack_digest", grant.pack_digest.as_str())
                .field("arguments", serde_json::to_value(&grant.arguments).unwrap_or(Json::Null))
                .field("targets", serde_json::to_value(&grant.targets).unwrap_or(Json::Null))
                .field("uses", grant.uses)
                .field("until", grant.until.to_string())
                .field("needed", grant.needed);
            write(&record, entry)
        };
        Ok(store.propose_standing(&new, &line, now)?)
    })
    .await
}

/// Counts an admin's vote for a proposed one.
///
/// # Errors
/// When it can't be recorded, may not be given, or comes too late.
pub async fn approve(record: &Record, store: Arc<dyn Store>, vote: StandingVote) -> Result<StandingApproval, Refusal> {
    let vote = StandingVote { reason: shown(vote.reason.trim(), REASON), ..vote };
    let record = record.clone();
    blocking(move || {
        let known = store.standing(&vote.id)?.ok_or_else(|| StandingError::Unknown { id: vote.id.clone() })?;
        // What is granted can't change in the store, so this still holds when the vote is counted.
        if standing::digest_of(&known) != vote.digest_shown {
            return Err(StandingError::DigestMismatch { id: vote.id.clone() }.into());
        }
        let line = |after: &StandingApproval| {
            let entry = Entry::new("standing.approved")
                .field("standing", after.id.as_str())
                .field("digest", after.digest.to_string())
                .field("person", vote.voter.person.as_str())
                .field("also_known_as", vote.voter.also_known_as.iter().cloned().collect::<Vec<_>>())
                .field("reason", vote.reason.as_str())
                .field("in_force", after.approved_at.is_some())
                .field("of_one_person", after.is_of_one_person());
            write(&record, entry)
        };
        Ok(store.approve_standing(&vote, &line)?)
    })
    .await
}

/// Takes one back: no call uses it from this moment on.
///
/// # Errors
/// When it can't be recorded, or somebody did before.
pub async fn revoke(
    record: &Record,
    store: Arc<dyn Store>,
    id: &str,
    by: &str,
    reason: &str,
) -> Result<StandingApproval, Refusal> {
    let (record, id, by, reason) = (record.clone(), id.to_owned(), by.to_owned(), shown(reason.trim(), REASON));
    blocking(move || {
        let line = |after: &StandingApproval| {
            let entry = Entry::new("standing.revoked")
                .field("standing", after.id.as_str())
                .field("by", by.as_str())
                .field("reason", reason.as_str())
                .field("used", after.used)
                .field("uses", after.grant.uses);
            write(&record, entry)
        };
        Ok(store.revoke_standing(&id, &by, &reason, &line, Timestamp::now())?)
    })
    .await
}

impl Gate {
    /// Claims a use of a standing approval that covers a call, after all that it rests on was looked at once more. `None`:
    /// there is none, and people are asked. What the preview pinned is in the job from then on.
    pub(super) async fn standing_use(
        &self,
        intent: &RecordedIntent,
        principal: &Principal,
        call: &Call,
        prepared: &Prepared,
        job: &Job,
        evidence: &Evidence,
    ) -> Result<Option<ClaimedUse>, Refusal> {
        let action = job.entry.name.to_string();
        let in_force = self.with_store(move |store| store.active_standings(&action, Timestamp::now())).await??;
        if in_force.is_empty() {
            return Ok(None);
        }
        let asks = requester(principal);
        // Policy and pack of now, not of when the call began: what was denied or taken out in between is not let through.
        let decision = self.decide(principal, &prepared.asked, &prepared.arguments);
        if !self.is_as_it_was(job, &decision)? {
            return Ok(None);
        }
        let identity = self.identity(&job.target).await?;
        let sought = Sought {
            requester: &asks,
            action: &job.entry.name,
            pack_digest: job.entry.pack.digest(),
            risk: decision.risk().as_str(),
            target: job.target.name(),
            target_identity: &identity,
            arguments: job.arguments.json(),
            needed: decision.approvals(),
            approvers: decision.approvers(),
        };
        for standing in in_force {
            let is_sound = standing::digest_of(&standing) == standing.digest;
            let fits = standing::uncovered(&standing.grant, &sought).is_none();
            if !is_sound || !fits || standing::is_by_its_own(&standing, &asks) {
                continue;
            }
            match self.claim_use(intent, &standing, &asks, call, job, evidence).await {
                Ok(claimed) => return Ok(Some(claimed)),
                // Revoked, used up or run out in between: another may cover it, or people are asked.
                Err(StandingError::Closed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Whether policy still holds the call and its pack is still the one in use and trusted.
    fn is_as_it_was(&self, job: &Job, decision: &Decision) -> Result<bool, Refusal> {
        self.journal.check()?;
        if decision.verdict() == Verdict::Deny {
            return Err(ruling::denied(decision));
        }
        (self.still_trusted)(&job.entry.pack)?;
        let rules = self.rules();
        let in_use = rules.catalog.get(&job.entry.name).is_some_and(|e| e.pack.digest() == job.entry.pack.digest());
        Ok(in_use && decision.verdict() == Verdict::Approve)
    }

    async fn claim_use(
        &self,
        intent: &RecordedIntent,
        standing: &StandingApproval,
        asks: &Requester,
        call: &Call,
        job: &Job,
        evidence: &Evidence,
    ) -> Result<ClaimedUse, StandingError> {
        let new = NewUse {
            run: intent.run().to_owned(),
            instance: self.instance.id().to_owned(),
            agent: asks.agent.clone(),
            person: asks.person.clone(),
            target: job.target.name().to_owned(),
        };
        let used = Entry::new("standing.used")
            .field("run", intent.run())
            .field("standing", standing.id.as_str())
            .field("digest", standing.digest.to_string())
            .field("approved_by", standing.approved_by())
            .field("evidence", evidence.summary.as_str())
            .field("pins", serde_json::to_value(pins::of(evidence)).unwrap_or(Json::Null))
            .field("operation", call.operation.as_deref().map(|id| self.redactor.text(id).into_owned()));
        let (id, digest, record) = (standing.id.clone(), standing.digest, self.journal.record().clone());
        let claim = self.with_store(move |store| {
            let line = |after: &StandingApproval| {
                write(&record, used.clone().field("use", after.used).field("of", after.grant.uses))
            };
            store.use_standing(&id, digest, &new, &line, Timestamp::now())
        });
        claim.await.map_err(|error| StoreError::Corrupt(error.message))?
    }
}

fn write(record: &Record, entry: Entry) -> Result<(), StoreError> {
    record.append_blocking(entry).map(drop).map_err(|error| StoreError::Unrecorded(error.to_string()))
}

fn beneficiary(to: &Beneficiary) -> Json {
    serde_json::to_value(to).unwrap_or(Json::Null)
}

async fn blocking<T: Send + 'static>(step: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(step).await.map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))?
}
