//! The pipeline that every call goes through. [`Gate::call`] and its `pipeline` read like the design: resolve,
//! validate, decide, record the intent, preview, hold, execute, redact, record the outcome. Each step is one line there
//! and one module elsewhere. Knows no transport.

pub mod abilities;
pub mod call;
mod conclude;
pub mod decide;
pub mod described;
mod execute;
mod health;
mod held;
mod held_call;
pub mod journal;
mod offers;
mod operations;
mod pins;
mod querier;
mod remedies;
mod resolve;
mod review;
mod rules;
mod ruling;
mod runs;
mod scope;
pub mod standing;
pub mod words;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::rules::Rules;
use self::{
    call::{Answer, Call, Hold, Principal, Refused},
    execute::{Authority, Job},
    held::Course,
    journal::Journal,
    operations::{Once, Operations},
    resolve::Asked,
    ruling::{Denied, Unprepared},
};
use crate::{
    approval::PeopleAt,
    error::{Code, Problem, Refusal},
    pack::catalog::{TrustedPack, ValidatedArgs, invalid},
    policy::{Decision, Verdict},
    postgres::Target,
    redact::Redactor,
    runs::Runs,
    store::{self, Store, instance::Instance},
};

/// Says whether a pack may still be used, asked again before an approved act: revocations since it was admitted.
pub type StillTrusted = Box<dyn Fn(&TrustedPack) -> Result<(), Refusal> + Send + Sync>;

/// What the gate is made of.
pub struct Parts {
    /// The admitted packs and the policy.
    pub rules: Rules,
    /// The servers, by name.
    pub targets: BTreeMap<String, Target>,
    /// The record.
    pub journal: Journal,
    /// Approvals.
    pub store: Arc<dyn Store>,
    /// The index of the record.
    pub runs: Runs,
    /// What must not leave.
    pub redactor: Redactor,
    /// This process, as the store knows it.
    pub instance: Instance,
    /// Where this process and the others that share its state can see whether each is alive.
    pub state_dir: PathBuf,
    /// Revocations.
    pub still_trusted: StillTrusted,
    /// Time of one call, and of deciding and executing a held one.
    pub times: Times,
    /// Bytes of results that one call lets out.
    pub output_bytes: usize,
    /// Where people decide, if they have a page for it.
    pub people_at: Option<PeopleAt>,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// One call, waiting for a decision not counted.
    pub call: Duration,
    /// To decide.
    pub decide: Duration,
    /// From the decision to the execution.
    pub execute: Duration,
    /// From the end of a named call for as long as its answer can be asked for again.
    pub keep: Duration,
}

/// The gate.
pub struct Gate {
    rules: ArcSwap<Rules>,
    targets: BTreeMap<String, Target>,
    journal: Journal,
    store: Arc<dyn Store>,
    runs: Arc<Runs>,
    redactor: Redactor,
    instance: Instance,
    state_dir: PathBuf,
    still_trusted: StillTrusted,
    times: Times,
    output_bytes: usize,
    people_at: Option<PeopleAt>,
    /// Held calls that this process will execute, by approval.
    held: Mutex<HashMap<String, Course>>,
    /// One task at a time closes what is due, so that this process records each end once.
    closing: tokio::sync::Mutex<()>,
    /// Named calls that this process is carrying out.
    operations: Operations,
    /// Cancelled when the host ends.
    stopping: CancellationToken,
    /// Counts what doors should look at again.
    changes: watch::Sender<u64>,
    /// When somebody was last at a door.
    touched: Mutex<Instant>,
}

/// How far the pipeline got by itself.
#[derive(Clone)]
enum Step {
    /// To the end.
    Done(Box<call::Outcome>),
    /// To a person.
    Held(String),
}

impl Gate {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            rules: ArcSwap::from_pointee(parts.rules),
            targets: parts.targets,
            journal: parts.journal,
            store: parts.store,
            runs: Arc::new(parts.runs),
            redactor: parts.redactor,
            instance: parts.instance,
            state_dir: parts.state_dir,
            still_trusted: parts.still_trusted,
            times: parts.times,
            output_bytes: parts.output_bytes,
            people_at: parts.people_at,
            held: Mutex::new(HashMap::new()),
            closing: tokio::sync::Mutex::new(()),
            operations: Operations::default(),
            stopping: CancellationToken::new(),
            changes: watch::Sender::new(0),
            touched: Mutex::new(Instant::now()),
        })
    }

    /// Carries a call through the gate. A call that is dropped is cancelled, on the server too, and recorded as such; one
    /// with an operation id is carried out once and followed, as `operations` has it.
    pub async fn call(self: &Arc<Self>, principal: &Principal, call: Call, hold: Hold) -> Result<Answer, Refused> {
        if let Some(id) = call.operation.clone() {
            return self.once(principal, call, &id, hold).await.map(|answer| self.for_eyes_of(principal, answer));
        }
        let run = match store::random_id("run_") {
            Ok(run) => run,
            Err(error) => return Err(Refused { run: String::new(), refusal: error.into() }),
        };
        let cancel = hold.cancel.child_token();
        let _dropped = cancel.clone().drop_guard();
        let (gate, who, id) = (Arc::clone(self), principal.clone(), run.clone());
        // A task of its own: the end of a run is recorded even if nobody waits for it any more.
        let task = tokio::spawn(async move {
            match gate.pipeline(&id, &who, &call, &cancel).await {
                Ok(step) => Ok(step),
                Err(Stop::Unrecorded(unprepared)) => Err(gate.unprepared(&id, &who, &call, unprepared).await),
                Err(Stop::Recorded(refusal)) => Err(Refused { run: id, refusal }),
            }
        });
        match task.await {
            Ok(Ok(Step::Done(outcome))) => Ok(self.for_eyes_of(principal, Answer::Done(outcome))),
            Ok(Ok(Step::Held(approval))) => {
                self.follow(&run, principal, &approval, hold).await.map(|answer| self.for_eyes_of(principal, answer))
            }
            Ok(Err(refused)) => Err(refused),
            Err(_) => Err(Refused { run, refusal: Refusal::new(Code::InternalError, "the call ended abnormally") }),
        }
    }

    /// Takes a held call up again.
    pub async fn await_approval(
        self: &Arc<Self>,
        principal: &Principal,
        approval: &str,
        hold: Hold,
    ) -> Result<Answer, Refused> {
        self.follow("", principal, approval, hold).await.map(|answer| self.for_eyes_of(principal, answer))
    }

    /// Refuses a call that its door could not make out, with what is wrong in its arguments beside what the door saw.
    pub async fn refuse(&self, principal: &Principal, call: &Call, mut problems: Vec<Problem>) -> Refused {
        let run = match store::random_id("run_") {
            Ok(run) => run,
            Err(error) => return Refused { run: String::new(), refusal: error.into() },
        };
        // What does not exist for this principal has no arguments either that could be wrong.
        let refusal = match self.seen(principal, &call.action) {
            Ok(entry) => {
                problems.extend(entry.problems(&call.arguments));
                invalid(&call.action, problems)
            }
            Err(unknown) => unknown,
        };
        self.journal.refused(&run, principal, call, refusal).await
    }

    async fn pipeline(
        self: &Arc<Self>,
        run: &str,
        principal: &Principal,
        call: &Call,
        cancel: &CancellationToken,
    ) -> Result<Step, Stop> {
        self.touch();
        let prepared = self.prepare(principal, call).await?;
        self.carry_out(run, principal, call, &prepared, None, cancel).await
    }

    /// What a call comes to before anything is done: action, target, arguments, and what policy says.
    async fn prepare(&self, principal: &Principal, call: &Call) -> Result<Prepared, Unprepared> {
        self.journal.check()?;
        let asked = self.resolve(principal, call)?;
        let arguments = asked.entry.validate(&call.arguments).await?;
        let decision = self.decide(principal, &asked, &arguments);
        let prepared = Prepared { asked, arguments, decision };
        match prepared.decision.verdict() {
            Verdict::Allow | Verdict::Approve => Ok(prepared),
            Verdict::Deny => {
                let refusal = ruling::denied(&prepared.decision);
                Err(Unprepared::Denied(Denied { refusal, prepared: Box::new(prepared) }))
            }
        }
    }

    /// Puts a call that goes no further on the record. Of one that policy denied it says what was decided on.
    async fn unprepared(&self, run: &str, principal: &Principal, call: &Call, unprepared: Unprepared) -> Refused {
        match unprepared {
            Unprepared::Refused(refusal) => self.journal.refused(run, principal, call, refusal).await,
            Unprepared::Denied(Denied { refusal, prepared }) => {
                self.journal.denied(run, principal, call, &prepared.ruled(), refusal).await
            }
        }
    }

    async fn carry_out(
        self: &Arc<Self>,
        run: &str,
        principal: &Principal,
        call: &Call,
        prepared: &Prepared,
        once: Option<&Arc<Once>>,
        cancel: &CancellationToken,
    ) -> Result<Step, Stop> {
        let Prepared { asked, decision, .. } = prepared;
        let intent = self.intend(run, principal, call, prepared, once).await?;
        let job = self.job(asked, &prepared.arguments, once);
        if let Some(authority) = Authority::allowed(decision) {
            let outcome = self.execute(intent, authority, job, cancel).await.map_err(Stop::Recorded)?;
            return Ok(Step::Done(Box::new(outcome)));
        }
        let evidence = self.preview(&intent, &job, cancel).await.map_err(Stop::Recorded)?;
        match self.standing_use(&intent, principal, call, prepared, &job, &evidence).await {
            Ok(Some(claimed)) => {
                let job = Job { pins: pins::of(&evidence), ..job };
                let authority = Authority::standing(&claimed);
                let outcome = self.execute(intent, authority, job, cancel).await.map_err(Stop::Recorded)?;
                return Ok(Step::Done(Box::new(outcome)));
            }
            Ok(None) => {}
            Err(refusal) => {
                // The refusal stands whether or not its end could be recorded: nothing was changed.
                let _ = self.journal.ended(intent.run(), &[], 0, Err(&refusal)).await;
                return Err(Stop::Recorded(refusal));
            }
        }
        let approval = self.hold(&intent, principal, call, &job, decision, evidence).await.map_err(Stop::Recorded)?;
        Ok(Step::Held(approval))
    }

    async fn intend(
        &self,
        run: &str,
        principal: &Principal,
        call: &Call,
        prepared: &Prepared,
        once: Option<&Arc<Once>>,
    ) -> Result<journal::RecordedIntent, Refusal> {
        let instead_of = once.and_then(|once| once.instead_of());
        self.journal.intent(&journal::Intent { run, principal, call, ruled: prepared.ruled(), instead_of }).await
    }

    fn job(&self, asked: &Asked, arguments: &ValidatedArgs, once: Option<&Arc<Once>>) -> Job {
        let (entry, target, arguments) = (asked.entry.clone(), asked.target.clone(), arguments.clone());
        Job { entry, target, arguments, pins: Vec::new(), once: once.cloned() }
    }

    /// The servers.
    #[must_use]
    pub fn targets(&self) -> &BTreeMap<String, Target> {
        &self.targets
    }

    /// The record's writer.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<String, Course>> {
        // Nothing under this lock panics; were it poisoned, the map would still be sound.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a blocking piece of work of the store off the async runtime.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || work(&*store))
            .await
            .map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))
    }
}

/// A call that may go ahead, or wait for a person.
struct Prepared {
    asked: Asked,
    arguments: ValidatedArgs,
    decision: Decision,
}

impl Prepared {
    /// For the record.
    fn ruled(&self) -> journal::Ruled<'_> {
        let Self { asked, arguments, decision } = self;
        let (action, target) = (&asked.entry, &asked.target);
        let (target, target_role) = (target.name(), ruling::place(target));
        journal::Ruled { action, arguments: arguments.json(), target, target_role, decision }
    }
}

/// A refusal, and whether its run already has an end on the record.
enum Stop {
    Unrecorded(Unprepared),
    Recorded(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Unrecorded(refusal.into())
    }
}

impl From<Unprepared> for Stop {
    fn from(unprepared: Unprepared) -> Self {
        Self::Unrecorded(unprepared)
    }
}

/// The principal as the store keeps it.
fn requester(principal: &Principal) -> store::Requester {
    store::Requester {
        agent: principal.agent.clone(),
        person: principal.person.clone(),
        os_user: principal.os_user.clone(),
        roles: principal.roles.iter().cloned().collect(),
        door: principal.door.as_str().to_owned(),
    }
}
