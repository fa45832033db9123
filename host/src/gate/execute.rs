//! Previewing and executing: a fresh instance of the pack's code over a querier for this call, what it answers taken with
//! the gate's own account of what was sent, redacted, bounded, and recorded.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use super::{
    Gate,
    call::{Approved, Outcome, Suggestion, Table},
    journal::RecordedIntent,
    operations::Once,
    pins,
    querier::{Account, Declared, Phase},
};
use crate::{
    error::{Code, Refusal},
    observe::Step,
    pack::{
        catalog::{Entry, ValidatedArgs},
        sandbox::{Evidence, GuestOutcome, GuestTable, Limits},
    },
    policy::{Decision, Verdict},
    postgres::{self, Target},
    store::{ClaimedUse, ConsumedApproval, Pin},
    value::{Finding, Value},
};

/// What lets an execution go ahead: a decision that allows it, an approval that has been used up for it, or a use of a
/// standing approval that was claimed for it.
pub(super) enum Authority<'a> {
    Policy,
    Approval(&'a ConsumedApproval),
    Standing(&'a ClaimedUse),
}

impl<'a> Authority<'a> {
    /// Policy's word, if it is *allow*.
    pub(super) fn allowed(decision: &Decision) -> Option<Self> {
        (decision.verdict() == Verdict::Allow).then_some(Self::Policy)
    }

    /// A person's word.
    pub(super) fn approved(consumed: &'a ConsumedApproval) -> Self {
        Self::Approval(consumed)
    }

    /// A person's word in advance.
    pub(super) fn standing(claimed: &'a ClaimedUse) -> Self {
        Self::Standing(claimed)
    }

    /// Who let it through, where policy alone did not.
    fn by(&self) -> Option<Approved> {
        let (id, by) = match self {
            Self::Policy => return None,
            Self::Approval(consumed) => {
                let approval = consumed.approval();
                (approval.id.clone(), approval.decided_by.clone().unwrap_or_default())
            }
            Self::Standing(claimed) => (claimed.standing().id.clone(), claimed.standing().approved_by()),
        };
        Some(Approved { id, by })
    }
}

/// What is to be run, and where.
pub(super) struct Job {
    pub(super) entry: Entry,
    pub(super) target: Target,
    pub(super) arguments: ValidatedArgs,
    pub(super) pins: Vec<Pin>,
    /// Set where the caller named the call.
    pub(super) once: Option<Arc<Once>>,
}

/// Longest wall time of a call whose statements have no timeout of their own (REINDEX CONCURRENTLY of a large index).
const UNTIMED: Duration = Duration::from_secs(24 * 3600);
/// Added to the statements' own time for what is around them.
const MARGIN: Duration = Duration::from_secs(5);
/// Longest text of a summary, a notice or a finding, in characters.
const TEXT: usize = 2000;
/// Notices of one call.
const NOTICES: usize = 100;
/// Tables of one answer. The fullest report of the stock packs has a dozen.
const TABLES: usize = 64;

impl Gate {
    /// Runs what was authorised, and records how it ended whatever happens.
    pub(super) async fn execute(
        &self,
        intent: RecordedIntent,
        authority: Authority<'_>,
        job: Job,
        cancel: &CancellationToken,
    ) -> Result<Outcome, Refusal> {
        let started = Instant::now();
        let account = Arc::new(Mutex::new(Account::default()));
        let work = async {
            self.ready(&job).await?;
            self.run(&intent, &authority, &job, &account, cancel).await
        };
        let answer = self.metrics.step(Step::Execute, work).await;
        let answer = match answer {
            Err(refusal) => Err(self.remedied(&job, refusal).await),
            done => done,
        };
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let account = account.lock().unwrap_or_else(PoisonError::into_inner).executed.clone();
        self.metrics.executed(&job.entry.name, job.target.name(), answer.as_ref().err().map(|refusal| refusal.code));
        let ended = self.journal.ended(intent.run(), &account, ms, answer.as_ref());
        let recorded = self.metrics.step(Step::Record, ended).await;
        answer.map(|outcome| Outcome { record_degraded: recorded.is_err(), ..outcome })
    }

    async fn run(
        &self,
        intent: &RecordedIntent,
        authority: &Authority<'_>,
        job: &Job,
        account: &Arc<Mutex<Account>>,
        cancel: &CancellationToken,
    ) -> Result<Outcome, Refusal> {
        let wall = self.wall(job);
        let querier = Box::new(self.querier(job, Phase::Run, wall, account));
        let action = &job.entry.action.declared().name;
        let pins: Vec<(String, Value)> = job.pins.iter().map(|p| (p.name.clone(), p.value.clone())).collect();
        let guest = job.entry.pack.guest();
        let work = guest.run(Limits::for_call(wall), querier, action, job.arguments.values(), &pins);
        let answer = tokio::select! {
            answer = work => Some(answer),
            () = self.called_off(job.once.as_ref(), cancel) => None,
        };
        let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.concluded(answer, &mut account)?;
        self.outcome(intent.run(), job, outcome, &mut account, authority.by())
    }

    /// Runs the action's preview, for a person to look at. Records an end only if it fails: then the run is over.
    pub(super) async fn preview(
        &self,
        intent: &RecordedIntent,
        job: &Job,
        cancel: &CancellationToken,
    ) -> Result<Evidence, Refusal> {
        let started = Instant::now();
        let account = Arc::new(Mutex::new(Account::default()));
        let work = async {
            self.ready(job).await?;
            self.gather(job, &account, cancel).await
        };
        let answer = self.metrics.step(Step::Preview, work).await;
        let answer = match answer {
            Err(refusal) => Err(self.remedied(job, refusal).await),
            Ok(evidence) => self.may_maintain(job).await.map(|()| evidence),
        };
        if let Err(refusal) = &answer {
            let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let executed = account.lock().unwrap_or_else(PoisonError::into_inner).executed.clone();
            // The refusal stands whether or not its end could be recorded: nothing was changed.
            let _ = self.journal.ended(intent.run(), &executed, ms, Err(refusal)).await;
        }
        answer
    }

    pub(super) async fn gather(
        &self,
        job: &Job,
        account: &Arc<Mutex<Account>>,
        cancel: &CancellationToken,
    ) -> Result<Evidence, Refusal> {
        let wall = self.times.call;
        let querier = Box::new(self.querier(job, Phase::Preview, wall, account));
        let action = &job.entry.action.declared().name;
        let guest = job.entry.pack.guest();
        let work = guest.preview(Limits::for_call(wall), querier, action, job.arguments.values());
        let answer = tokio::select! {
            answer = work => Some(answer),
            () = self.called_off(job.once.as_ref(), cancel) => None,
        };
        let mut evidence = self.concluded(answer, &mut account.lock().unwrap_or_else(PoisonError::into_inner))?;
        pins::check(&evidence.pins)?;
        evidence.summary = self.text(&evidence.summary);
        self.bound(&evidence.tables)?;
        evidence.tables = evidence.tables.into_iter().map(|t| self.redact_table(t)).collect();
        Ok(evidence)
    }

    /// What must hold before anything of the pack runs against a target.
    pub(super) async fn ready(&self, job: &Job) -> Result<(), Refusal> {
        if job.entry.action.declared().works_on_standby {
            return Ok(());
        }
        let name = job.target.name();
        let facts = job.target.facts().await.map_err(|e| {
            Refusal::new(Code::ConnectionFailed, format!("target `{name}`: {}", self.redactor.text(&e.to_string())))
        })?;
        if facts.server.in_recovery {
            return Err(Refusal::new(
                Code::NotOnStandby,
                format!("`{}` does not work on `{name}`, which is a standby", job.entry.name),
            ));
        }
        Ok(())
    }

    fn querier(&self, job: &Job, phase: Phase, wall: Duration, account: &Arc<Mutex<Account>>) -> Declared {
        Declared {
            phase,
            action: Arc::clone(&job.entry.action),
            once: job.once.clone(),
            target: job.target.clone(),
            redactor: self.redactor.clone(),
            limits: postgres::Limits { max_bytes: self.output_bytes, deadline: Instant::now() + wall },
            account: Arc::clone(account),
        }
    }

    /// The call's time: the configured one, or what its longest statement may take.
    fn wall(&self, job: &Job) -> Duration {
        let longest = job.entry.action.statements().values().map(|s| s.declaration().timeout_ms).fold(
            Duration::ZERO,
            |longest, ms| match ms {
                0 => UNTIMED,
                ms => longest.max(Duration::from_millis(ms.into())),
            },
        );
        self.times.call.max(longest + MARGIN)
    }

    fn outcome(
        &self,
        run: &str,
        job: &Job,
        outcome: GuestOutcome,
        account: &mut Account,
        approval: Option<Approved>,
    ) -> Result<Outcome, Refusal> {
        self.bound(&outcome.tables)?;
        // The server's first: a pack can't talk until they are cut off.
        let mut notices = std::mem::take(&mut account.notices);
        let suggested = outcome.suggestion.is_some();
        let suggestion = outcome.suggestion.and_then(|suggestion| self.suggestion(suggestion));
        if suggested && suggestion.is_none() {
            notices.push("the pack suggested a call that can't be made here".into());
        }
        notices.extend(outcome.notices.iter().take(NOTICES).map(|n| self.text(n)));
        notices.truncate(NOTICES);
        Ok(Outcome {
            run: run.to_owned(),
            action: job.entry.name.to_string(),
            target: job.target.name().to_owned(),
            summary: self.text(&outcome.summary),
            tables: outcome.tables.into_iter().map(|t| self.redact_table(t)).map(|t| t.table).collect(),
            notices,
            findings: outcome
                .findings
                .into_iter()
                .take(NOTICES)
                .map(|f| Finding { severity: f.severity, text: self.text(&f.text) })
                .collect(),
            suggestion,
            approval,
            record_degraded: false,
            replayed: false,
            result_not_kept: false,
        })
    }

    /// What the host holds was redacted before the guest saw it; what the guest built has not been.
    fn redact_table(&self, table: GuestTable) -> GuestTable {
        if !table.built {
            let title = self.text(&table.table.title);
            return GuestTable { table: Table { title, ..table.table }, built: false };
        }
        let rows = Arc::unwrap_or_clone(table.table.rows);
        let table = Table { title: self.text(&table.table.title), rows: Arc::new(self.redactor.built(rows)) };
        GuestTable { table, built: true }
    }

    /// What a pack suggests, if it is a call that could be made.
    fn suggestion(&self, (action, arguments, why): (String, String, String)) -> Option<Suggestion> {
        let rules = self.rules();
        let entry = rules.catalog.get(&action)?;
        let Ok(Json::Object(arguments)) = serde_json::from_str(&arguments) else { return None };
        entry.problems(&arguments).is_empty().then(|| Suggestion { action, arguments, why: self.text(&why) })
    }

    pub(super) fn text(&self, text: &str) -> String {
        self.redactor.text(text).chars().take(TEXT).collect()
    }

    /// All tables of an answer together must stay within the bytes of one call: a guest may hand one result on many times.
    fn bound(&self, tables: &[GuestTable]) -> Result<(), Refusal> {
        if tables.len() > TABLES {
            let message = format!("the result has {} tables and this host lets out {TABLES}", tables.len());
            return Err(Refusal::new(Code::OutputTooLarge, message));
        }
        let size = |value: &Value| match value {
            Value::Text(text) => text.len() + 2,
            _ => 8,
        };
        let named = |t: &GuestTable| t.table.rows.columns.iter().map(|c| c.name.len() + 8).sum::<usize>();
        let held = |t: &GuestTable| t.table.rows.rows.iter().flatten().map(size).sum::<usize>();
        let bytes: usize = tables.iter().map(|t| named(t) + held(t)).sum();
        if bytes > self.output_bytes {
            return Err(Refusal::new(
                Code::OutputTooLarge,
                format!("the result has {bytes} bytes and this host lets out {}", self.output_bytes),
            ));
        }
        Ok(())
    }
}
