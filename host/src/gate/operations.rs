//! Calls that their callers gave a name, `operation_id`: each is carried out once, and whoever repeats it is given the same
//! answer. The first caller to arrive has the operation claimed in the store, durably, before anything of it touches a
//! database; one task of this process then carries it out, for as long as somebody wants it, and every caller follows that
//! task. What another process carries out is followed by way of the store.
//!
//! What can be known of an operation whose process died: as long as it had not *begun*, nothing but reads can have been
//! sent, since [`Once::begin`] is on disk before anything else is; such an operation is taken over and run again. One that
//! had begun is unknown and never run again. What waits for a person is neither: it ends when its approval does.

mod ending;
mod facts;
mod kept;
mod once;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicBool},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument as _;

pub(super) use self::once::Once;
use self::{facts::Facts, kept::Kept};
use super::{
    Gate, Prepared, Step, Stop,
    call::{Answer, Call, Hold, Outcome, Pending, Principal, Progress, Refused},
};
use crate::{
    error::{Code, Refusal},
    observe,
    store::{self, ChangeMark, Claim, NewOperation, Operation, OperationKey, OperationState, instance},
};

/// How often a waiting caller is told that it is still waiting, and looks whether the process it waits for lives.
const PROGRESS: Duration = Duration::from_secs(1);
/// How often the store is asked whether another process has written something.
const POLL: Duration = Duration::from_millis(100);

/// Said with every refusal that a repeated call would be given again.
const ENDED: &str = "this operation has ended: to try again, use a new `operation_id`";

/// What this process is carrying out, by key.
#[derive(Default)]
pub(super) struct Operations(Mutex<HashMap<OperationKey, Underway>>);

struct Underway {
    stage: watch::Receiver<Stage>,
    facts: Arc<Facts>,
    run: String,
    /// Held by every caller that waits; with the last one the wish for a read is gone.
    wanted: Weak<DropGuard>,
}

/// A caller's place at an operation of this process.
struct Seat {
    stage: watch::Receiver<Stage>,
    facts: Arc<Facts>,
    run: String,
    mine: bool,
    _wanted: Option<Arc<DropGuard>>,
}

/// How far an operation of this process has got.
#[derive(Clone)]
enum Stage {
    Claiming,
    Running,
    /// It came to an end, or to a person.
    Over(Result<Step, Refused>),
    /// Nothing came of it, for no fault of the call: the id is free again.
    Released(Refused),
    /// The store knows it already.
    Known(Box<Operation>),
    /// The store can't say. Nothing ran.
    Unclaimed(Refusal),
}

impl Gate {
    /// Carries a named call through the gate once, however often and wherever it is made.
    pub(super) async fn once(
        self: &Arc<Self>,
        principal: &Principal,
        call: Call,
        id: &str,
        hold: Hold,
    ) -> Result<Answer, Refused> {
        let run = store::random_id("run_").map_err(|e| Refused { run: String::new(), refusal: e.into() })?;
        let (who, call) = (Arc::new(principal.clone()), Arc::new(call));
        let refused = async |refusal: Refusal| {
            self.count_refused(principal, &call, &refusal);
            self.journal.refused(&run, principal, &call, refusal).await
        };
        // Before the id is looked at: what this principal may not do now uses none up and is given no old answer.
        let span = observe::call_span(&run, call.trace.as_ref());
        let prepared = Arc::new(self.prepared_by_itself(&run, &who, &call).instrument(span.clone()).await?);
        let facts = Arc::new(Facts::of(&prepared));
        let key = OperationKey { agent: who.agent.clone(), person: who.person.clone(), id: id.to_owned() };
        loop {
            let mut seat = span.in_scope(|| self.seat(&key, &run, &facts, &prepared, &who, &call));
            if let Some(conflict) = facts.conflict(&seat.facts.action, &seat.facts.target, seat.facts.digest, &seat.run)
            {
                match self.is_carried_out(&mut seat, &hold).await {
                    Some(true) => return Err(refused(conflict).await),
                    // It never got that far: the id may be this call's all the same.
                    Some(false) => {}
                    None => return Err(at_run(&run, called_off())),
                }
            }
            let stage = self.end_of(&mut seat, &hold).await;
            let (mine, at) = (seat.mine, seat.run.clone());
            drop(seat);
            let known = match stage {
                Some(Stage::Over(end)) if mine => return self.answer(&run, principal, end, hold).await,
                Some(Stage::Over(end)) => {
                    let state = if matches!(end, Ok(Step::Held(_))) { "held" } else { "ended" };
                    self.journal.replayed(&at, principal, id, state).await.map_err(|r| at_run(&at, r))?;
                    return replay(self.answer(&at, principal, end, hold).await);
                }
                Some(Stage::Released(refused)) if mine => return Err(refused),
                Some(Stage::Known(operation)) => operation,
                Some(Stage::Unclaimed(refusal)) => return Err(refused(refusal).await),
                Some(Stage::Released(_) | Stage::Claiming | Stage::Running) => continue,
                None => return Err(at_run(&run, called_off())),
            };
            if let Some(conflict) = facts.conflict(&known.action, &known.target, known.facts, &known.run) {
                return Err(refused(conflict).await);
            }
            match self.known(principal, &known, &hold).await {
                Ok(Some(answer)) => return replay(answer),
                Ok(None) => {}
                Err(refusal) => return Err(refused(refusal).await),
            }
        }
    }

    /// Action, target, arguments and policy, looked at by a task of its own: a refusal is recorded, wanted or not.
    async fn prepared_by_itself(
        self: &Arc<Self>,
        run: &str,
        who: &Arc<Principal>,
        call: &Arc<Call>,
    ) -> Result<Prepared, Refused> {
        let (gate, run, who, call) = (Arc::clone(self), run.to_owned(), Arc::clone(who), Arc::clone(call));
        let at = run.clone();
        let work = async move {
            match gate.prepare(&who, &call).await {
                Ok(prepared) => Ok(prepared),
                Err(unprepared) => Err(gate.unprepared(&run, &who, &call, unprepared).await),
            }
        };
        tokio::spawn(work.in_current_span()).await.unwrap_or_else(|_| Err(at_run(&at, abnormal())))
    }

    /// A seat at the operation of this process; if there is none, this caller has it claimed.
    fn seat(
        self: &Arc<Self>,
        key: &OperationKey,
        run: &str,
        facts: &Arc<Facts>,
        prepared: &Arc<Prepared>,
        who: &Arc<Principal>,
        call: &Arc<Call>,
    ) -> Seat {
        let mut underway = self.operations.lock();
        // One whose task is gone without a word has none, whatever the reason; the store knows how far it got.
        if let Some(there) = underway.get(key).filter(|there| there.stage.has_changed().is_ok()) {
            let (stage, facts, run) = (there.stage.clone(), Arc::clone(&there.facts), there.run.clone());
            return Seat { stage, facts, run, mine: false, _wanted: there.wanted.upgrade() };
        }
        let (tell, stage) = watch::channel(Stage::Claiming);
        let cancel = CancellationToken::new();
        let wanted = Arc::new(cancel.clone().drop_guard());
        let there = Underway {
            stage: stage.clone(),
            facts: Arc::clone(facts),
            run: run.to_owned(),
            wanted: Arc::downgrade(&wanted),
        };
        underway.insert(key.clone(), there);
        drop(underway);
        let (gate, key, new_run) = (Arc::clone(self), key.clone(), run.to_owned());
        let (prepared, who, call, its) = (Arc::clone(prepared), Arc::clone(who), Arc::clone(call), Arc::clone(facts));
        let work = async move {
            let end = match gate.claim_operation(&key, &new_run, &its).await {
                Ok(Claim::Claimed { claimed, instead_of }) => {
                    tell.send_replace(Stage::Running);
                    let store = Arc::clone(&gate.store);
                    let (begun, noted) = (AtomicBool::new(false), AtomicBool::new(false));
                    let once = Arc::new(Once { claimed, instead_of, store, begun, noted });
                    gate.carried_out_once(once, prepared, who, call, cancel).await
                }
                Ok(Claim::Known(operation)) => Stage::Known(operation),
                Err(refusal) => Stage::Unclaimed(refusal),
            };
            // Taken out first: who comes from now on asks the store.
            gate.operations.lock().remove(&key);
            tell.send_replace(end);
        };
        tokio::spawn(work.in_current_span());
        Seat { stage, facts: Arc::clone(facts), run: run.to_owned(), mine: true, _wanted: Some(wanted) }
    }

    async fn claim_operation(&self, key: &OperationKey, run: &str, facts: &Facts) -> Result<Claim, Refusal> {
        let new = NewOperation {
            key: key.clone(),
            run: run.to_owned(),
            instance: self.instance.id().to_owned(),
            action: facts.action.clone(),
            target: facts.target.clone(),
            facts: facts.digest,
            keep: self.times.keep,
        };
        let is_alive = self.is_alive();
        Ok(self.with_store(move |store| store.claim_operation(&new, &is_alive, Timestamp::now())).await??)
    }

    /// Whether the process of an operation that is not under way here lives. This one does not: what it had claimed and is
    /// not carrying out has no task any more.
    fn is_alive(&self) -> impl Fn(&str) -> bool + Send + 'static {
        let (state_dir, own) = (self.state_dir.clone(), self.instance.id().to_owned());
        move |id| id != own && instance::is_alive(&state_dir, id)
    }

    /// Carries it out by a task of its own, and has the store keep how it ended.
    async fn carried_out_once(
        self: &Arc<Self>,
        once: Arc<Once>,
        prepared: Arc<Prepared>,
        who: Arc<Principal>,
        call: Arc<Call>,
        cancel: CancellationToken,
    ) -> Stage {
        let run = once.claimed.run().to_owned();
        let (gate, id, its) = (Arc::clone(self), run.clone(), Arc::clone(&once));
        let work = async move {
            match gate.carry_out(&id, &who, &call, &prepared, Some(&its), &cancel).await {
                Ok(step) => Ok(step),
                Err(Stop::Unrecorded(unprepared)) => Err(gate.unprepared(&id, &who, &call, unprepared).await),
                Err(Stop::Recorded(refusal)) => Err(Refused { run: id, refusal }),
            }
        };
        let end = tokio::spawn(work.in_current_span()).await.unwrap_or_else(|_| {
            let begun = once.has_begun();
            let unknown = || Refusal::new(Code::OutcomeUnknown, "the call ended abnormally after it had begun to act");
            Err(at_run(&run, if begun { unknown() } else { abnormal() }))
        });
        match end {
            // The store has it wait for its approval since that was made.
            Ok(Step::Held(approval)) => Stage::Over(Ok(Step::Held(approval))),
            Ok(Step::Done(outcome)) => {
                self.keep(&once, &Ok(outcome.clone())).await;
                Stage::Over(Ok(Step::Done(outcome)))
            }
            Err(refused) if says_nothing_of_the_call(refused.refusal.code) && self.release(&once).await => {
                Stage::Released(refused)
            }
            Err(refused) => {
                let refusal = ended(refused.refusal);
                self.keep(&once, &Err(refusal.clone())).await;
                Stage::Over(Err(Refused { run, refusal }))
            }
        }
    }

    async fn keep(&self, once: &Arc<Once>, end: &Result<Box<Outcome>, Refusal>) {
        let (result, its) = (Kept::of(end), Arc::clone(once));
        let kept = self.with_store(move |store| store.finish_operation(&its.claimed, &result, Timestamp::now())).await;
        if let Err(error) = kept.and_then(|kept| kept.map_err(Refusal::from)) {
            // It happened and the record says so. Who asks again is told that it is unknown: nothing runs twice.
            tracing::error!(%error, run = once.claimed.run(), "the end of an operation could not be stored");
        }
    }

    async fn release(&self, once: &Arc<Once>) -> bool {
        let its = Arc::clone(once);
        let released = self.with_store(move |store| store.release_operation(&its.claimed)).await;
        matches!(released, Ok(Ok(true)))
    }

    /// Whether it got as far as being carried out here, rather than being known to the store. `None`: the caller gave up.
    async fn is_carried_out(&self, seat: &mut Seat, hold: &Hold) -> Option<bool> {
        let claimed = seat.stage.wait_for(|stage| !matches!(stage, Stage::Claiming));
        tokio::select! {
            stage = claimed => Some(matches!(stage.as_deref(), Ok(Stage::Running | Stage::Over(_)))),
            () = hold.cancel.cancelled() => None,
        }
    }

    /// Waits until it is no longer under way here. `None`: the caller gave up before.
    async fn end_of(&self, seat: &mut Seat, hold: &Hold) -> Option<Stage> {
        let mut every = tokio::time::interval(PROGRESS);
        loop {
            let ended = seat.stage.wait_for(|stage| !matches!(stage, Stage::Claiming | Stage::Running));
            tokio::select! {
                stage = ended => return Some(stage.map_or_else(|_| Stage::Unclaimed(abnormal()), |stage| stage.clone())),
                () = hold.cancel.cancelled() => return None,
                _ = every.tick() => if let (false, Some(progress)) = (seat.mine, &hold.progress) {
                    // A caller that does not listen any more is noticed by its cancellation, not here.
                    let _ = progress.send(Progress::Underway { run: seat.run.clone() });
                },
            }
        }
    }

    async fn answer(
        self: &Arc<Self>,
        run: &str,
        principal: &Principal,
        end: Result<Step, Refused>,
        hold: Hold,
    ) -> Result<Answer, Refused> {
        match end? {
            Step::Done(outcome) => Ok(Answer::Done(outcome)),
            Step::Held(approval) => self.followed(run, principal, &approval, hold).await,
        }
    }

    /// As [`Gate::follow`], and says of a refusal that ended the operation that it did.
    async fn followed(
        self: &Arc<Self>,
        run: &str,
        principal: &Principal,
        approval: &str,
        hold: Hold,
    ) -> Result<Answer, Refused> {
        let answer = self.follow(run, principal, approval, hold).await;
        let Err(Refused { run, refusal }) = answer else { return answer };
        let id = approval.to_owned();
        let found = self.with_store(move |store| store.get(&id)).await;
        let over = matches!(found, Ok(Ok(Some(approval))) if approval.state_at(Timestamp::now()).is_terminal());
        Err(Refused { run, refusal: if over { ended(refusal) } else { refusal } })
    }

    /// What becomes of a repeated call whose operation the store knows. `None`: look again. An error: nothing was found out.
    async fn known(
        self: &Arc<Self>,
        principal: &Principal,
        known: &Operation,
        hold: &Hold,
    ) -> Result<Option<Result<Answer, Refused>>, Refusal> {
        let (run, id) = (known.run.as_str(), known.key.id.as_str());
        match (known.state, &known.approval, &known.result) {
            (OperationState::Running, ..) => return self.wait_elsewhere(known, hold).await.map(|()| None),
            (_, Some(approval), _) => {
                let state = if known.state == OperationState::Held { "held" } else { "ended" };
                self.journal.replayed(run, principal, id, state).await?;
                Ok(Some(self.followed(run, principal, approval, hold.clone()).await))
            }
            (_, None, Some(result)) => {
                self.journal.replayed(run, principal, id, "ended").await?;
                Ok(Some(match serde_json::from_value::<Kept>(result.clone()) {
                    Ok(Kept::Outcome(outcome)) => Ok(Answer::Done(outcome)),
                    Ok(Kept::Refusal(refusal)) => Err(at_run(run, refusal)),
                    Err(_) => {
                        let unread =
                            Refusal::new(Code::InternalError, "it has ended, and its answer can't be read back");
                        Err(at_run(run, ended(unread)))
                    }
                }))
            }
            (_, None, None) => {
                Err(Refusal::new(Code::InternalError, "an operation has neither an answer nor an approval"))
            }
        }
    }

    /// Waits until an operation that another process carries out is no longer running there; if that process is dead and the
    /// operation had begun, ends it as unknown.
    async fn wait_elsewhere(&self, known: &Operation, hold: &Hold) -> Result<(), Refusal> {
        let is_alive = self.is_alive();
        let mut seen: Option<ChangeMark> = None;
        let mut every = tokio::time::interval(PROGRESS);
        loop {
            tokio::select! {
                () = hold.cancel.cancelled() => return Err(called_off()),
                _ = every.tick() => {
                    if !is_alive(&known.instance) {
                        return self.close_lost(known).await;
                    }
                    if let Some(progress) = &hold.progress {
                        let _ = progress.send(Progress::Underway { run: known.run.clone() });
                    }
                }
                () = tokio::time::sleep(POLL) => {}
            }
            let (key, old) = (known.key.clone(), seen);
            let (mark, found) = self
                .with_store(move |store| {
                    // The mark is taken before looking: what is written in between is found the next time.
                    let mark = store.change_mark()?;
                    let found = if old == Some(mark) { None } else { Some(store.operation(&key)?) };
                    Ok::<_, store::StoreError>((mark, found))
                })
                .await??;
            seen = Some(mark);
            if let Some(now) = found
                && now.is_none_or(|now| now.state != OperationState::Running || now.run != known.run)
            {
                return Ok(());
            }
        }
    }
}

impl Operations {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<OperationKey, Underway>> {
        // Nothing under this lock panics; were it poisoned, the map would still be sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a refusal is about the moment and not about the call: if nothing but reads was sent, the id stays free.
fn says_nothing_of_the_call(code: Code) -> bool {
    matches!(code, Code::Cancelled | Code::StoreUnavailable | Code::RecordUnavailable | Code::Overloaded)
}

/// A refusal that every repetition of the call is given.
fn ended(refusal: Refusal) -> Refusal {
    let remedy = format!("{}; {ENDED}", refusal.remedy);
    refusal.with_remedy(remedy)
}

fn called_off() -> Refusal {
    Refusal::new(Code::Cancelled, "the wait was cancelled")
        .with_remedy("repeat the same call with the same `operation_id` to learn what became of it; nothing runs twice")
}

fn abnormal() -> Refusal {
    Refusal::new(Code::InternalError, "the call ended abnormally")
}

fn at_run(run: &str, refusal: Refusal) -> Refused {
    Refused { run: run.to_owned(), refusal }
}

fn replay(answer: Result<Answer, Refused>) -> Result<Answer, Refused> {
    match answer {
        Ok(Answer::Done(outcome)) => Ok(Answer::Done(Box::new(Outcome { replayed: true, ..*outcome }))),
        Ok(Answer::Pending(pending)) => Ok(Answer::Pending(Box::new(Pending { replayed: true, ..*pending }))),
        Err(Refused { run, refusal }) => Err(Refused { run, refusal: refusal.as_replay() }),
    }
}
