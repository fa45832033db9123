//! Answers a guest's queries for one call and one phase: only what the action declared, bound by the prover, on the
//! call's target, within its time, redacted before the guest sees a cell. Keeps account of all that was sent.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Instant,
};

use super::{journal::Executed, operations::Once};
use crate::{
    error::{Code, Refusal},
    outside::shown,
    pack::{
        prove::ProvenAction,
        sandbox::{Querier, QueryFailure},
    },
    postgres::{Limits, QueryError, Target},
    redact::Redactor,
    statement::{BindError, Mode},
    value::{RowSet, Value},
};

/// Which statements may be requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Gathering evidence: the action's preview statements, all of mode `read`.
    Preview,
    /// Running: the action's run statements.
    Run,
}

/// What happened between the guest and the server, whatever the guest says of it.
#[derive(Debug, Default)]
pub struct Account {
    /// Everything that was sent.
    pub executed: Vec<Executed>,
    /// The server's notices.
    pub notices: Vec<String>,
    /// The first failure that the guest can't talk its way out of: an undeclared request, or an act that failed.
    pub binding: Option<Refusal>,
    /// The last failure, for a guest that only says that a query failed.
    pub last: Option<Refusal>,
    /// Whether an act or maintenance was sent.
    pub acted: bool,
}

/// The querier of one call.
pub(super) struct Declared {
    /// What may be asked for.
    pub phase: Phase,
    /// Whose statements.
    pub action: Arc<ProvenAction>,
    /// Set where the caller named the call: anything but a read is noted before it is sent.
    pub once: Option<Arc<Once>>,
    /// Where.
    pub target: Target,
    /// What must not come back.
    pub redactor: Redactor,
    /// Until when, and how much.
    pub limits: Limits,
    /// Shared with the gate, which reads it after the guest is gone.
    pub account: Arc<Mutex<Account>>,
}

impl Querier for Declared {
    fn execute<'a>(
        &'a mut self,
        statement: &'a str,
        inputs: Vec<Value>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<RowSet>, QueryFailure>> + Send + 'a>> {
        Box::pin(self.run(statement, inputs))
    }
}

impl Declared {
    async fn run(&mut self, id: &str, inputs: Vec<Value>) -> Result<Arc<RowSet>, QueryFailure> {
        let declared = match self.phase {
            Phase::Preview => self.action.preview_statement(id),
            Phase::Run => self.action.run_statement(id),
        };
        let Some(statement) = declared.cloned() else {
            let shown = shown(id, 80);
            let message = format!("the pack asked for statement `{shown}`, which this action does not declare here");
            self.note(|account| {
                account.binding.get_or_insert_with(|| Refusal::new(Code::UndeclaredStatement, message.as_str()));
            });
            return Err(QueryFailure::Undeclared(shown));
        };
        let mode = statement.declaration().mode;
        let started = Instant::now();
        let answer = async {
            let facts = self.target.facts().await.map_err(Fault::Query)?;
            let bound = statement.bind(&facts.server, &inputs).map_err(Fault::Bind)?;
            if mode != Mode::Read {
                if let Some(once) = &self.once {
                    once.begin().await.map_err(Fault::NotNoted)?;
                }
                self.note(|account| account.acted = true);
            }
            self.target.execute(&bound, &self.limits).await.map_err(Fault::Query)
        }
        .await;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let entry = |rows, error| Executed { statement: id.to_owned(), mode, rows, ms, error };
        match answer {
            Ok(executed) => {
                let rows = self.redactor.rows(executed.rows);
                let notices: Vec<String> = executed.notices.iter().map(|n| self.redactor.message(n)).collect();
                self.note(|account| {
                    account.executed.push(entry(Some(rows.rows.len()), None));
                    account.notices.extend(notices);
                });
                Ok(Arc::new(rows))
            }
            Err(fault) => {
                let (refusal, failure) = fault.explain(self.target.name(), &self.redactor);
                self.note(|account| {
                    account.executed.push(entry(None, Some(refusal.code.as_str().to_owned())));
                    if mode != Mode::Read || refusal.code == Code::WrongInputs {
                        account.binding.get_or_insert_with(|| refusal.clone());
                    }
                    account.last = Some(refusal);
                });
                Err(failure)
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut Account)) {
        // A panic while the lock was held can't happen: nothing under it panics. If it did, the account is still sound.
        change(&mut self.account.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

/// Where a statement failed.
enum Fault {
    Bind(BindError),
    Query(QueryError),
    /// That it was about to be sent could not be noted, so it was not.
    NotNoted(Refusal),
}

impl Fault {
    /// The same fault for two readers: the gate, which refuses with it, and the guest, which may conclude from it.
    fn explain(self, target: &str, redactor: &Redactor) -> (Refusal, QueryFailure) {
        let clean = |text: &str| redactor.message(text);
        match self {
            Self::NotNoted(refusal) => {
                let failure = QueryFailure::Connection(clean(&refusal.message));
                (refusal, failure)
            }
            Self::Bind(error) => {
                let text = error.to_string();
                let (code, failure) = match error {
                    BindError::WrongInputs { .. } => (Code::WrongInputs, QueryFailure::WrongInputs(text.clone())),
                    BindError::NotOnStandby => (Code::NotOnStandby, QueryFailure::Unsupported(text.clone())),
                    BindError::Unsupported { .. } | BindError::NotOnPrimary => {
                        (Code::UnsupportedServerVersion, QueryFailure::Unsupported(text.clone()))
                    }
                };
                (Refusal::new(code, format!("target `{target}`: {text}")), failure)
            }
            Self::Query(error) => {
                let text = clean(&error.to_string());
                let (code, failure) = match error {
                    QueryError::Timeout => (Code::Timeout, QueryFailure::Timeout),
                    QueryError::TooManyRows(limit) => (Code::TooManyRows, QueryFailure::TooManyRows(limit)),
                    QueryError::TooManyBytes => (
                        Code::OutputTooLarge,
                        QueryFailure::Database { sqlstate: String::new(), message: text.clone() },
                    ),
                    QueryError::TargetChanged => (Code::TargetChanged, QueryFailure::TargetChanged),
                    QueryError::MissingPrivilege(_) => {
                        (Code::MissingPrivilege, QueryFailure::MissingPrivilege(text.clone()))
                    }
                    QueryError::Skipped(_) => (Code::Skipped, QueryFailure::Skipped(text.clone())),
                    QueryError::Database { sqlstate, .. } => {
                        (Code::DatabaseError, QueryFailure::Database { sqlstate, message: text.clone() })
                    }
                    QueryError::Connection { effect_unknown: true, .. } => {
                        (Code::OutcomeUnknown, QueryFailure::Connection(text.clone()))
                    }
                    QueryError::Connection { .. } => (Code::ConnectionFailed, QueryFailure::Connection(text.clone())),
                    QueryError::Busy(_) => (Code::Overloaded, QueryFailure::Connection(text.clone())),
                    QueryError::WrongColumns(_) | QueryError::WrongInputs(_) => {
                        (Code::PackFailure, QueryFailure::WrongInputs(text.clone()))
                    }
                };
                (Refusal::new(code, format!("target `{target}`: {text}")), failure)
            }
        }
    }
}
