//! Looking again at what a held call rests on, for somebody who is about to decide: the preview is run once more, reads only
//! and in bounded time, and what it finds is on the record and in the store. A request whose ground is gone is superseded.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use super::{Gate, pins, querier::Account};
use crate::{
    approval::{
        evidence::{Moving, Snapshot, compare},
        look,
    },
    audit::Entry,
    error::{Code, Refusal},
    pack::sandbox::Evidence,
    store::{Approval, Finding, Review, State, TransitionError},
};

/// The longest that one look may take: a person waits for it with their finger over a button.
const LOOK: Duration = Duration::from_secs(6);

/// How long whoever asked still waits: an older question is nobody's any more.
const ASKED: SignedDuration = SignedDuration::from_secs(15);

/// How many looks this process takes at once; each holds a connection to its target.
const AT_ONCE: usize = 4;

impl Gate {
    /// Looks again at what an approval rests on, in this process. Whoever may not reach the target asks through the store
    /// instead, by [`look::look`].
    ///
    /// # Errors
    /// If there is no such approval, or the store can't be used. That the target can't be looked at is a finding.
    pub async fn review(&self, id: &str) -> Result<Review, Refusal> {
        let wanted = id.to_owned();
        let asked = self.with_store(move |store| store.ask_review(&wanted, Timestamp::now())).await??;
        self.answer_review(&asked).await?;
        // Another process may have taken it up first: then its answer is waited for.
        let review = asked.id.clone();
        match self.with_store(move |store| store.review(&review)).await?? {
            Some(review) if review.answer.is_some() => Ok(review),
            _ => Ok(look::look(Arc::clone(&self.store), id, SignedDuration::from_secs(2), look::PATIENCE).await?),
        }
    }

    /// Answers what others have asked and nobody has taken up.
    pub(crate) async fn answer_reviews(self: &Arc<Self>) -> Result<(), Refusal> {
        let since = Timestamp::now().checked_sub(ASKED).unwrap_or(Timestamp::UNIX_EPOCH);
        let open = self.with_store(move |store| store.open_reviews(since)).await??;
        for some in open.chunks(AT_ONCE) {
            let mut looks = tokio::task::JoinSet::new();
            for review in some.iter().cloned() {
                let gate = Arc::clone(self);
                looks.spawn(async move {
                    if let Err(error) = gate.answer_review(&review).await {
                        tracing::warn!(%error, approval = %review.approval, "a look at a request could not be answered");
                    }
                });
            }
            looks.join_all().await;
        }
        Ok(())
    }

    /// Takes one up, unless another process has, and answers it.
    async fn answer_review(&self, asked: &Review) -> Result<(), Refusal> {
        let (id, instance) = (asked.id.clone(), self.instance.id().to_owned());
        let wanted = asked.approval.clone();
        let Some(approval) = self.with_store(move |store| store.get(&wanted)).await?? else { return Ok(()) };
        // Of a target that is another host's to reach, another host answers.
        if !self.targets.contains_key(&approval.request.target) {
            return Ok(());
        }
        let (claimed, by) = (id.clone(), instance.clone());
        if !self.with_store(move |store| store.claim_review(&claimed, &by)).await?? {
            return Ok(());
        }
        let finding = self.found(&approval, &id).await;
        if let Finding::Gone { why } = &finding {
            self.supersede(&approval, Refusal::new(Code::TargetChanged, why.as_str())).await;
        }
        self.with_store(move |store| store.answer_review(&id, &instance, &finding, Timestamp::now())).await??;
        Ok(())
    }

    /// What is there now, on the record before anybody is told.
    async fn found(&self, approval: &Approval, review: &str) -> Finding {
        let account = Arc::new(Mutex::new(Account::default()));
        let finding = match approval.state_at(Timestamp::now()) {
            State::Pending => self.look_again(approval, &account).await,
            state => Finding::Unavailable { why: format!("the request is {state}") },
        };
        let executed = account.lock().unwrap_or_else(PoisonError::into_inner).executed.clone();
        let (word, digest, why) = match &finding {
            Finding::Looked { digest, .. } => ("looked", Json::from(digest.to_string()), Json::Null),
            Finding::Gone { why } => ("gone", Json::Null, Json::from(why.as_str())),
            Finding::Unavailable { why } => ("unavailable", Json::Null, Json::from(why.as_str())),
        };
        let entry = Entry::new("approval.reviewed")
            .field("run", approval.request.run.as_str())
            .field("approval", approval.id.as_str())
            .field("review", review)
            .field("finding", word)
            .field("digest", digest)
            .field("why", why)
            .field("executed", serde_json::to_value(executed).unwrap_or(Json::Null));
        match self.journal.note(entry).await {
            Ok(()) => finding,
            Err(unrecorded) => Finding::Unavailable { why: unrecorded.message },
        }
    }

    async fn look_again(&self, approval: &Approval, account: &Arc<Mutex<Account>>) -> Finding {
        if let Err(refusal) = self.journal.check() {
            return Finding::Unavailable { why: refusal.message };
        }
        let request = &approval.request;
        let looking = async {
            let job = self.recheck(approval).await?;
            let changed = [
                ("the pack", job.entry.pack.digest() != request.pack_digest),
                ("the policy", self.rules().policy.digest() != request.policy_digest),
            ];
            if let Some((what, _)) = changed.into_iter().find(|(_, changed)| *changed) {
                let error = TransitionError::Stale { id: approval.id.clone(), what };
                return Err(Refusal::from(error));
            }
            self.ready(&job).await?;
            self.gather(&job, account, &CancellationToken::new()).await
        };
        let evidence = match tokio::time::timeout(LOOK, looking).await {
            Ok(Ok(evidence)) => evidence,
            Ok(Err(refusal)) if is_gone(refusal.code) => return Finding::Gone { why: refusal.message },
            Ok(Err(refusal)) => return Finding::Unavailable { why: refusal.message },
            Err(_) => return Finding::Unavailable { why: format!("it took longer than {} s to look", LOOK.as_secs()) },
        };
        let (pins, evidence) = (pins::of(&evidence), shown(evidence));
        let now = Snapshot { pins: &pins, evidence: &evidence };
        let changes = compare(Snapshot::of(request), now, &Moving::new());
        if changes.ends_it() {
            return Finding::Gone { why: changes.material_words() };
        }
        Finding::Looked { digest: now.digest(), pins, evidence }
    }
}

/// Whether a refusal says that what was asked for is not there to be done any more, rather than that nobody could look.
fn is_gone(code: Code) -> bool {
    matches!(
        code,
        Code::TargetChanged
            | Code::NotFound
            | Code::NothingToDo
            | Code::NotApplicable
            | Code::NotOnStandby
            | Code::InvalidArguments
            | Code::Revoked
    )
}

/// Evidence as it is stored and shown.
pub(super) fn shown(evidence: Evidence) -> Json {
    let tables: Vec<_> = evidence.tables.into_iter().map(|table| table.table).collect();
    json!({ "summary": evidence.summary, "tables": tables })
}
