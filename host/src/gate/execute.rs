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
    querier::{Account, Declared, Phase},
};
use crate::{
    error::{Code, Refusal},
    pack::{
        catalog::{Entry, ValidatedArgs},
        sandbox::{Evidence, Failure, GuestOutcome, GuestTable, Limits, QueryFailure, SandboxError},
    },
    policy::{Decision, Verdict},
    postgres::{self, Target},
    store::{ConsumedApproval, Pin},
    value::{Finding, Value},
};

/// What lets an execution go ahead: a decision that allows it, or an approval that has been used up for it.
pub(super) enum Authority<'a> {
    Policy,
    Approval(&'a ConsumedApproval),
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
}

/// What is to be run, and where.
pub(super) struct Job {
    pub(super) entry: Entry,
    pub(super) target: Target,
    pub(super) arguments: ValidatedArgs,
    pub(super) pins: Vec<Pin>,
}

/// Longest wall time of a call whose statements have no timeout of their own (REINDEX CONCURRENTLY of a large index).
const UNTIMED: Duration = Duration::from_secs(24 * 3600);
/// Added to the statements' own time for what is around them.
const MARGIN: Duration = Duration::from_secs(5);
/// Longest text of a summary, a notice or a finding, in characters.
const TEXT: usize = 2000;
/// Notices of one call.
const NOTICES: usize = 100;

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
        let answer = self.ready(&job).await;
        let answer = match answer {
            Ok(()) => self.run(&intent, &authority, &job, &account, cancel).await,
            Err(refusal) => Err(refusal),
        };
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let account = account.lock().unwrap_or_else(PoisonError::into_inner).executed.clone();
        let recorded = self.journal.ended(intent.run(), &account, ms, answer.as_ref()).await;
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
            () = cancel.cancelled() => None,
        };
        let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = settle(answer, &mut account)?;
        let approved = match authority {
            Authority::Policy => None,
            Authority::Approval(consumed) => Some(Approved {
                id: consumed.approval().id.clone(),
                by: consumed.approval().decided_by.clone().unwrap_or_default(),
            }),
        };
        self.outcome(intent.run(), job, outcome, &mut account, approved)
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
        let answer = match self.ready(job).await {
            Ok(()) => self.gather(job, &account, cancel).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = &answer {
            let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let executed = account.lock().unwrap_or_else(PoisonError::into_inner).executed.clone();
            // The refusal stands whether or not its end could be recorded: nothing was changed.
            let _ = self.journal.ended(intent.run(), &executed, ms, Err(refusal)).await;
        }
        answer
    }

    async fn gather(
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
            () = cancel.cancelled() => None,
        };
        let mut evidence = settle(answer, &mut account.lock().unwrap_or_else(PoisonError::into_inner))?;
        evidence.summary = self.text(&evidence.summary);
        self.bound(&evidence.tables)?;
        evidence.tables = evidence.tables.into_iter().map(|t| self.redact_table(t)).collect();
        Ok(evidence)
    }

    /// What must hold before anything of the pack runs against a target.
    async fn ready(&self, job: &Job) -> Result<(), Refusal> {
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
        let mut notices: Vec<String> = outcome.notices.iter().map(|n| self.text(n)).collect();
        notices.append(&mut account.notices);
        let suggestion =
            outcome.suggestion.and_then(|(action, arguments, why)| match serde_json::from_str::<Json>(&arguments) {
                Ok(Json::Object(arguments)) if self.catalog.get(&action).is_some() => {
                    Some(Suggestion { action, arguments, why: self.text(&why) })
                }
                _ => {
                    notices.push("the pack suggested an action that does not exist here".into());
                    None
                }
            });
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
        })
    }

    /// What the host holds was redacted before the guest saw it; what the guest built has not been.
    fn redact_table(&self, table: GuestTable) -> GuestTable {
        if !table.built {
            let title = self.text(&table.table.title);
            return GuestTable { table: Table { title, ..table.table }, built: false };
        }
        let rows = Arc::unwrap_or_clone(table.table.rows);
        let table = Table { title: self.text(&table.table.title), rows: Arc::new(self.redactor.rows(rows)) };
        GuestTable { table, built: true }
    }

    fn text(&self, text: &str) -> String {
        self.redactor.text(text).chars().take(TEXT).collect()
    }

    /// All tables of an answer together must stay within the bytes of one call: a guest may hand one result on many times.
    fn bound(&self, tables: &[GuestTable]) -> Result<(), Refusal> {
        let size = |value: &Value| match value {
            Value::Text(text) => text.len() + 2,
            _ => 8,
        };
        let bytes: usize = tables.iter().flat_map(|t| t.table.rows.rows.iter().flatten()).map(size).sum();
        if bytes > self.output_bytes {
            return Err(Refusal::new(
                Code::OutputTooLarge,
                format!("the result has {bytes} bytes and this host lets out {}", self.output_bytes),
            ));
        }
        Ok(())
    }
}

/// The guest's answer, corrected by what the gate saw: a guest can't turn a failed act into a success.
fn settle<T>(answer: Option<Result<Result<T, Failure>, SandboxError>>, account: &mut Account) -> Result<T, Refusal> {
    let Some(answer) = answer else {
        return Err(if account.acted {
            Refusal::new(Code::OutcomeUnknown, "the call was cancelled while the server was at work")
        } else {
            Refusal::new(Code::Cancelled, "the call was cancelled")
        });
    };
    if let Some(mut refusal) = account.binding.take() {
        // What a failed act left behind, only the pack knows. It adds to what the gate saw and replaces none of it.
        if let Ok(Err(Failure::NoEffect(text))) = &answer {
            refusal.message = format!("{}; the pack adds: {}", refusal.message, clean(text));
            if refusal.code == Code::DatabaseError {
                refusal = Refusal::new(Code::NoEffect, refusal.message);
            }
        }
        return Err(refusal);
    }
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => Err(refusal(failure, account)),
        Err(error) if account.acted => {
            Err(Refusal::new(Code::OutcomeUnknown, format!("{error}, after the server had been asked to act")))
        }
        Err(error) => Err(error.into()),
    }
}

/// A failure in the guest's words, with the code that goes with it.
fn refusal(failure: Failure, account: &mut Account) -> Refusal {
    let (code, text) = match failure {
        Failure::NotFound(text) => (Code::NotFound, text),
        Failure::NothingToDo(text) => (Code::NothingToDo, text),
        Failure::NotApplicable(text) => (Code::NotApplicable, text),
        Failure::NoEffect(text) => (Code::NoEffect, text),
        Failure::TargetChanged(text) => (Code::TargetChanged, text),
        Failure::Internal(text) => (Code::PackFailure, text),
        Failure::Query(error) => return query_refusal(error, account.last.take()),
    };
    Refusal::new(code, clean(&text))
}

/// A query's failure that the guest hands on, in the words of the gate, which knows better what the server said. Or one
/// that the guest concludes by itself: it asked whether the role has a grant, and the answer was no.
fn query_refusal(error: QueryFailure, last: Option<Refusal>) -> Refusal {
    let (code, text) = match error {
        QueryFailure::MissingPrivilege(text) => (Code::MissingPrivilege, text),
        QueryFailure::Unsupported(text) => (Code::UnsupportedServerVersion, text),
        QueryFailure::TargetChanged => (Code::TargetChanged, "the pack found that the target has changed".into()),
        other => {
            return last.unwrap_or_else(|| {
                Refusal::new(Code::PackFailure, clean(&format!("the pack reports a query error: {other:?}")))
            });
        }
    };
    // On a standby the gate has the more exact code.
    let is_the_same = |last: &Refusal| last.code == code || last.code == Code::NotOnStandby;
    last.filter(is_the_same).unwrap_or_else(|| Refusal::new(code, clean(&text)))
}

/// A guest's words as they may be shown.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT).collect()
}
