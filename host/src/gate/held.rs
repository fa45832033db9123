//! Held calls: from evidence to a request, from a decision to one execution. Each held call has one task here that waits
//! for its decision and, if it is approved, claims and runs it, whether or not the caller still waits; callers follow.
//! Several processes may wait for the same approval: the store lets one of them claim it, the others read how it ended.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value as Json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{
    Gate,
    call::{Answer, Call, Hold, Outcome, Pending, Principal, Progress, Refused, unknown_approval},
    execute::{Authority, Job},
    held_call::let_through,
    journal::{self, RecordedIntent},
    pins, requester, review,
};
use crate::{
    approval,
    audit::RecordError,
    error::{Code, Refusal},
    observe,
    pack::sandbox::Evidence,
    policy::Decision,
    postgres::Target,
    store::{
        Approval, ConsumedApproval, Creation, Filter, Request, State, StoreError, Terminal, TransitionError, instance,
    },
};

/// How far a held call has come, as its one task says.
pub(super) type Course = watch::Receiver<Stage>;

/// See [`Course`].
#[derive(Clone)]
pub(super) enum Stage {
    /// For people to decide.
    Waiting,
    /// They have, and it is being run, here or by another process.
    Running,
    /// As it ended.
    Ended(Result<Box<Outcome>, Refused>),
}

/// How often a waiting caller is told that it is still waiting.
const PROGRESS: Duration = Duration::from_secs(1);

impl Gate {
    /// Asks people to decide. The same request while one is pending joins it.
    pub(super) async fn hold(
        self: &Arc<Self>,
        intent: &RecordedIntent,
        principal: &Principal,
        call: &Call,
        job: &Job,
        decision: &Decision,
        evidence: Evidence,
    ) -> Result<String, Refusal> {
        // Asked first, so that the identity is what the server says now.
        let identity = self.identity(&job.target).await?;
        let request = Request {
            run: intent.run().to_owned(),
            requester: requester(principal),
            action: job.entry.name.to_string(),
            pack_digest: job.entry.pack.digest().to_owned(),
            risk: decision.risk().as_str().to_owned(),
            target: job.target.name().to_owned(),
            target_identity: identity,
            arguments: job.arguments.json().clone(),
            reason: self.redactor.text(call.reason.trim()).into_owned(),
            agent_evidence: self.said(call.evidence.as_deref()),
            agent_expected: self.said(call.expected.as_deref()),
            operation: self.said(call.operation.as_deref()),
            rule: decision.rule().to_owned(),
            policy_digest: decision.policy_digest().to_owned(),
            pins: pins::of(&evidence),
            evidence: review::shown(evidence),
            needed: decision.approvals(),
            approvers: decision.approvers().clone(),
            reason_required: decision.reason_required(),
            decide_within: decision.decide_within().unwrap_or(self.times.decide),
            execute_within: self.times.execute,
        };
        let result = self.request(request).await;
        if let Err(refusal) = &result {
            let _ = self.journal.ended(intent.run(), &[], 0, Err(refusal)).await;
        }
        result
    }

    /// The agent's own words, as they may be shown.
    fn said(&self, text: Option<&str>) -> Option<String> {
        text.map(|text| self.redactor.text(text.trim()).into_owned())
    }

    async fn request(self: &Arc<Self>, request: Request) -> Result<String, Refusal> {
        let (run, record) = (request.run.clone(), self.journal.record().clone());
        let created = self.with_store(move |store| {
            let write = |creation: &Creation| {
                let mut lines = journal::held(&run, creation).into_iter();
                let unrecorded = |error: RecordError| StoreError::Unrecorded(error.to_string());
                lines.try_for_each(|line| record.append_blocking(line).map(drop)).map_err(unrecorded)
            };
            approval::request_recorded(store, request, &write, Timestamp::now())
        });
        match created.await?? {
            Creation::Created { approval, .. } => {
                self.drive(&approval.id);
                Ok(approval.id)
            }
            Creation::Joined(approval) => Ok(approval.id),
        }
    }

    /// Waits for a held call's end, for as long as the caller holds.
    pub(super) async fn follow(
        self: &Arc<Self>,
        run: &str,
        principal: &Principal,
        id: &str,
        hold: Hold,
    ) -> Result<Answer, Refused> {
        let refused = |refusal| Refused { run: run.to_owned(), refusal };
        let approval = self.own(principal, id).await.map_err(refused)?;
        if let Some(settled) = settled(&approval) {
            return settled.map(Answer::Done);
        }
        let mut course = self.drive(id);
        let mut pending = Pending { joined: !run.is_empty() && run != approval.request.run, ..self.pending(&approval) };
        // A caller that does not listen any more is noticed by its cancellation, not here.
        let tell = |news: Progress| drop(hold.progress.as_ref().map(|progress| progress.send(news)));
        tell(Progress::Held(Box::new(pending.clone())));
        let began = tokio::time::Instant::now();
        let until = began + hold.wait;
        let mut every = tokio::time::interval_at(began + PROGRESS, PROGRESS);
        loop {
            match course.borrow_and_update().clone() {
                Stage::Ended(end) => return end.map(Answer::Done),
                Stage::Running if !pending.approved => {
                    pending = let_through(pending);
                    tell(Progress::Approved);
                }
                Stage::Running | Stage::Waiting => {}
            }
            tokio::select! {
                changed = course.changed() => if changed.is_err() {
                    return Err(refused(Refusal::new(Code::InternalError, "the held call ended abnormally")));
                },
                () = hold.cancel.cancelled() => return Err(refused(left_open(id))),
                () = tokio::time::sleep_until(until) => return Ok(Answer::Pending(Box::new(pending))),
                _ = every.tick(), if !pending.approved => tell(Progress::Waiting { waited: began.elapsed() }),
            }
        }
    }

    /// An approval, if it is this principal's own.
    pub(super) async fn own(&self, principal: &Principal, id: &str) -> Result<Approval, Refusal> {
        let wanted = id.to_owned();
        let found = self.with_store(move |store| store.get(&wanted)).await??;
        let is_own = |a: &Approval| a.request.requester.is_same(&requester(principal)) && Self::opens(principal, a);
        found.filter(is_own).ok_or_else(|| unknown_approval(id))
    }

    /// The one task of this process that waits for an approval; starts it if there is none yet.
    pub(super) fn drive(self: &Arc<Self>, id: &str) -> Course {
        let mut held = self.held();
        if let Some(course) = held.get(id) {
            return course.clone();
        }
        let (tell, course) = watch::channel(Stage::Waiting);
        held.insert(id.to_owned(), course.clone());
        drop(held);
        let (gate, id) = (Arc::clone(self), id.to_owned());
        let span = observe::apart(&id);
        let work = async move {
            let end = gate.settle(&id, &tell).await;
            // Taken out first: who asks from now on reads the store.
            gate.held().remove(&id);
            let _ = tell.send(Stage::Ended(end));
        };
        tokio::spawn(work.instrument(span));
        course
    }

    /// From whatever state the approval is in to its end.
    async fn settle(self: &Arc<Self>, id: &str, tell: &watch::Sender<Stage>) -> Result<Box<Outcome>, Refused> {
        loop {
            let decided = self.metrics.step(observe::Step::Hold, self.decided(id, tell)).await;
            let approval = match decided {
                Ok(approval) => approval,
                Err(refusal) => return Err(Refused { run: String::new(), refusal }),
            };
            if let Some(settled) = settled(&approval) {
                return settled;
            }
            if let Some(settled) = self.use_approval(&approval).await {
                return settled;
            }
        }
    }

    /// Waits until the approval is approved or at its end.
    async fn decided(&self, id: &str, tell: &watch::Sender<Stage>) -> Result<Approval, Refusal> {
        loop {
            self.close_due().await?;
            let wanted = id.to_owned();
            let Some(approval) = self.with_store(move |store| store.get(&wanted)).await?? else {
                return Err(Refusal::new(Code::UnknownApproval, format!("approval `{id}` is gone")));
            };
            if matches!(approval.state, State::Approved | State::Consumed) {
                let _ = tell.send(Stage::Running);
            }
            if approval.state == State::Approved || approval.state.is_terminal() {
                return Ok(approval);
            }
            approval::wait_for_change(&self.store, &approval).await?;
        }
    }

    /// Ends what has run out of time, and what its process did not live to end.
    pub(crate) async fn close_due(&self) -> Result<(), Refusal> {
        let _alone = self.closing.lock().await;
        // On the record before the store: who is killed in between leaves the line twice, never none.
        let orphans = self.orphans().await?;
        for approval in &orphans {
            self.journal.closed(approval).await?;
        }
        let state_dir = self.state_dir.clone();
        let closed = self
            .with_store(move |store| {
                let now = Timestamp::now();
                let mut closed = store.expire_due(now)?;
                closed.extend(store.mark_orphans_unknown(&|id| instance::is_alive(&state_dir, id), now)?);
                Ok::<_, StoreError>(closed)
            })
            .await??;
        for approval in closed.iter().filter(|closed| orphans.iter().all(|o| o.id != closed.id)) {
            self.journal.closed(approval).await?;
        }
        Ok(())
    }

    /// What was consumed by a process that is gone, as unknown. Nobody can finish it any more.
    async fn orphans(&self) -> Result<Vec<Approval>, Refusal> {
        let state_dir = self.state_dir.clone();
        let found = self.with_store(move |store| {
            let mut orphans = Vec::new();
            for approval in store.list(&Filter { states: vec![State::Consumed], ..Filter::default() })? {
                if approval.consumed_by.as_deref().is_some_and(|id| instance::is_alive(&state_dir, id)) {
                    continue;
                }
                // Read again: it may have been finished before its process ended in good order.
                if let Some(orphan) = store.get(&approval.id)?.filter(|a| a.state == State::Consumed) {
                    orphans.push(Approval { state: State::Unknown, ..orphan });
                }
            }
            Ok::<_, StoreError>(orphans)
        });
        Ok(found.await??)
    }

    /// Claims an approved request and runs it, after everything it rests on was looked at once more. `None`: somebody
    /// else was first, or the decision was taken back.
    async fn use_approval(self: &Arc<Self>, approval: &Approval) -> Option<Result<Box<Outcome>, Refused>> {
        let run = approval.request.run.clone();
        let refused = |refusal| Some(Err(Refused { run: run.clone(), refusal }));
        let job = match self.recheck(approval).await {
            Ok(job) => job,
            // Not the approval's fault: it may still be used when the server can be reached again.
            Err(refusal) if refusal.code == Code::ConnectionFailed => return refused(refusal),
            Err(refusal) => return refused(self.supersede(approval, refusal).await),
        };
        if let Err(refusal) = self.journal.check() {
            return refused(refusal);
        }
        let consumed = match self.claim(approval, &job).await {
            Ok(consumed) => consumed,
            // Somebody else claimed, denied or ended it: look again.
            Err(TransitionError::Closed { .. } | TransitionError::Expired { .. }) => return None,
            Err(error) => return refused(self.unclaimed(&approval.id, error).await),
        };
        let end = match self.journal.consumed(consumed.approval()).await {
            Ok(intent) => self.execute(intent, Authority::approved(&consumed), job, &CancellationToken::new()).await,
            Err(unrecorded) => Err(unrecorded),
        };
        self.finish(consumed, &end).await;
        Some(end.map(Box::new).map_err(|refusal| Refused { run, refusal }))
    }

    /// Trust, pack, target and arguments, once more, before an approval is used.
    pub(super) async fn recheck(&self, approval: &Approval) -> Result<Job, Refusal> {
        let request = &approval.request;
        let Some(entry) = self.rules().catalog.get(&request.action).cloned() else {
            let message = format!("the pack of `{}` is not loaded any more", request.action);
            return Err(Refusal::new(Code::TargetChanged, message));
        };
        (self.still_trusted)(&entry.pack)?;
        let Some(target) = self.targets.get(&request.target).cloned() else {
            return Err(Refusal::new(Code::TargetChanged, format!("target `{}` is gone", request.target)));
        };
        let identity = self.identity(&target).await?;
        if identity != request.target_identity {
            return Err(Refusal::new(
                Code::TargetChanged,
                format!("target `{}` is now another server", request.target),
            ));
        }
        let arguments = entry.validate(&request.arguments).await?;
        self.still_ruled(approval, &entry, &target, &arguments)?;
        // Its approval is what is used once.
        Ok(Job { entry, target, arguments, pins: request.pins.clone(), once: None })
    }

    /// Which server a target is, by what the server says now.
    pub(super) async fn identity(&self, target: &Target) -> Result<String, Refusal> {
        target.facts().await.map_err(|e| {
            let text = self.redactor.text(&e.to_string()).into_owned();
            Refusal::new(Code::ConnectionFailed, format!("target `{}`: {text}", target.name()))
        })?;
        Ok(target.identity())
    }

    /// Claims it for this process, durably, if pack, target, policy and digest are what they were.
    async fn claim(&self, approval: &Approval, job: &Job) -> Result<ConsumedApproval, TransitionError> {
        let (id, instance) = (approval.id.clone(), self.instance.id().to_owned());
        let (pack, target) = (job.entry.pack.digest().to_owned(), job.target.identity());
        let policy = self.rules().policy.digest().to_owned();
        let claim = self.with_store(move |store| {
            let facts = approval::Facts { pack_digest: &pack, target_identity: &target, policy_digest: &policy };
            approval::consume(store, &id, &facts, &instance, Timestamp::now())
        });
        claim.await.map_err(|e| StoreError::Corrupt(e.message))?
    }

    /// Why it could not be claimed; if that ended the approval, the record says so.
    async fn unclaimed(&self, id: &str, error: TransitionError) -> Refusal {
        if matches!(error, TransitionError::Stale { .. }) {
            let wanted = id.to_owned();
            if let Ok(Ok(Some(closed))) = self.with_store(move |store| store.get(&wanted)).await {
                // The refusal stands, recorded or not: nothing has run.
                let _ = self.journal.closed(&closed).await;
            }
        }
        error.into()
    }

    async fn finish(&self, consumed: ConsumedApproval, end: &Result<Outcome, Refusal>) {
        let json = |value: &Result<Json, serde_json::Error>| value.as_ref().cloned().unwrap_or(Json::Null);
        let terminal = match end {
            Ok(outcome) => Terminal::Succeeded(json(&serde_json::to_value(outcome))),
            Err(r) if r.code == Code::OutcomeUnknown => Terminal::Unknown(json(&serde_json::to_value(r))),
            Err(r) => Terminal::Failed(json(&serde_json::to_value(r))),
        };
        let id = consumed.approval().id.clone();
        let finished = self.with_store(move |store| store.finish(&consumed, &terminal, Timestamp::now())).await;
        if let Err(error) = finished.and_then(|done| done.map_err(Refusal::from)) {
            // It happened and the record says so; only the store's copy of the end is missing.
            tracing::error!(%error, approval = %id, "the end of an approved execution could not be stored");
        }
    }

    pub(super) async fn supersede(&self, approval: &Approval, refusal: Refusal) -> Refusal {
        let (id, why) = (approval.id.clone(), refusal.message.clone());
        if let Ok(Ok(closed)) = self.with_store(move |store| store.supersede(&id, &why, Timestamp::now())).await {
            let _ = self.journal.closed(&closed).await;
        }
        refusal
    }
}

/// The end of an approval that has one.
pub(super) fn settled(approval: &Approval) -> Option<Result<Box<Outcome>, Refused>> {
    let refused = |code, message: String| {
        Some(Err(Refused { run: approval.request.run.clone(), refusal: Refusal::new(code, message) }))
    };
    let stored = |json: &Option<Json>, code| {
        let refusal = json.clone().and_then(|json| serde_json::from_value::<Refusal>(json).ok());
        let refusal = refusal.unwrap_or_else(|| Refusal::new(code, "how it ended is not known; look at the database"));
        Some(Err(Refused { run: approval.request.run.clone(), refusal }))
    };
    match approval.state_at(Timestamp::now()) {
        State::Pending | State::Approved | State::Consumed => None,
        State::Succeeded => match approval.outcome.clone().map(serde_json::from_value::<Outcome>) {
            Some(Ok(outcome)) => Some(Ok(Box::new(outcome))),
            _ => refused(Code::InternalError, "it succeeded, and its outcome can't be read back".into()),
        },
        State::Failed => stored(&approval.refusal, Code::InternalError),
        State::Unknown => stored(&approval.refusal, Code::OutcomeUnknown),
        State::Denied => {
            let by = approval.decided_by.as_deref().unwrap_or("somebody");
            let reason = approval.decision_reason.as_deref().filter(|r| !r.is_empty()).unwrap_or("no reason given");
            refused(Code::ApprovalDenied, format!("denied by {by}: {reason}"))
        }
        State::Expired => refused(Code::ApprovalExpired, format!("approval `{}` expired", approval.id)),
        State::Withdrawn => refused(Code::ApprovalWithdrawn, format!("approval `{}` was withdrawn", approval.id)),
        State::Superseded => {
            let why = approval.decision_reason.as_deref().unwrap_or("a newer request took its place");
            refused(Code::TargetChanged, format!("approval `{}` no longer holds: {why}", approval.id))
        }
    }
}

/// A caller that goes away leaves its request: clients give up by themselves while a person is still looking at it.
fn left_open(id: &str) -> Refusal {
    Refusal::new(Code::Cancelled, format!("the wait was cancelled; approval `{id}` stays open for a person to decide"))
        .with_remedy("call `lockgate.await_approval` to learn what becomes of it")
}
