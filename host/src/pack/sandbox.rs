//! Runs a pack's code: one engine for the process, one precompiled component a pack, a fresh store and instance a call,
//! dropped after it, so that nothing leaks from one caller to the next. A trap, a limit or a timeout fails that call with
//! its own error and the host goes on.
//!
//! The guest's only way out is a [`Querier`], which the caller of this room provides for one call.

mod bindings;
mod convert;
mod engine;
mod error;
mod limits;
mod query;

use std::sync::Arc;

pub use engine::Sandbox;
pub use error::SandboxError;
pub use limits::Limits;
pub use query::{Querier, QueryFailure};
use wasmtime::{Store, UpdateDeadline, component::ResourceTable};

use self::{
    bindings::{PackPre, exports::lockgate::pack::actions as wit},
    limits::Limiter,
    query::Import,
};
use crate::{
    error::Problem,
    pack::manifest::Manifest,
    value::{Finding, RowSet, Table, Value},
};

/// A compiled component, ready to be instantiated. Cheap to clone.
#[derive(Clone)]
pub struct Guest {
    sandbox: Sandbox,
    pre: PackPre<Import>,
}

/// A table that a guest returned.
#[derive(Clone, Debug)]
pub struct GuestTable {
    /// The table.
    pub table: Table,
    /// True if the guest made it itself; false if it handed on what the querier gave it.
    pub built: bool,
}

/// What `preview` shows and pins.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// One sentence.
    pub summary: String,
    /// What would be hit.
    pub tables: Vec<GuestTable>,
    /// The facts that an approval rests on.
    pub pins: Vec<(String, Value)>,
}

/// What `run` answers.
#[derive(Clone, Debug, Default)]
pub struct GuestOutcome {
    /// One sentence.
    pub summary: String,
    /// Results.
    pub tables: Vec<GuestTable>,
    /// Remarks.
    pub notices: Vec<String>,
    /// Conclusions.
    pub findings: Vec<Finding>,
    /// The action to take next: `pack.action`, its arguments as JSON text, and why. Not checked.
    pub suggestion: Option<(String, String, String)>,
}

/// How a pack says that a call did not work out.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// What the call names does not exist.
    NotFound(String),
    /// Nothing to do.
    NothingToDo(String),
    /// Would not help.
    NotApplicable(String),
    /// The effect did not come about.
    NoEffect(String),
    /// What was pinned is no longer so.
    TargetChanged(String),
    /// A query error, handed on.
    Query(QueryFailure),
    /// A defect.
    Internal(String),
}

/// A store with an instance in it, for one call.
struct Session {
    store: Store<Import>,
    pack: bindings::Pack,
    // Held until the instance is gone: the pool has as many places as the semaphore has permits.
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Guest {
    pub(super) fn new(sandbox: Sandbox, component: &wasmtime::component::Component) -> Result<Self, SandboxError> {
        let pre =
            sandbox.linker().instantiate_pre(component).map_err(|e| SandboxError::Unlinkable(error::chain(&e)))?;
        let pre = PackPre::new(pre).map_err(|e| SandboxError::Unlinkable(error::chain(&e)))?;
        Ok(Self { sandbox, pre })
    }

    /// Asks the component what it declares, in a fresh instance that can't query.
    pub async fn describe(&self) -> Result<Manifest, SandboxError> {
        self.within(Limits::DESCRIBE, None, async |session| {
            let manifest = session.pack.lockgate_pack_actions().call_describe(&mut session.store).await;
            let manifest = session.settle(manifest)?;
            Ok(convert::manifest(manifest))
        })
        .await
    }

    /// Lets the component check what only it knows. `arguments` in declared order. It can't query.
    pub async fn validate(&self, action: &str, arguments: &[Value]) -> Result<Vec<Problem>, SandboxError> {
        self.within(Limits::VALIDATE, None, async |session| {
            let arguments = convert::values_in(arguments);
            let problems =
                session.pack.lockgate_pack_actions().call_validate(&mut session.store, action, &arguments).await;
            let problems = session.settle(problems)?;
            Ok(problems.into_iter().map(|p| Problem { argument: p.argument, message: p.message }).collect())
        })
        .await
    }

    /// Gathers what a person should see before deciding, and the facts to pin.
    pub async fn preview(
        &self,
        limits: Limits,
        querier: Box<dyn Querier>,
        action: &str,
        arguments: &[Value],
    ) -> Result<Result<Evidence, Failure>, SandboxError> {
        self.within(limits, Some(querier), async |session| {
            let arguments = convert::values_in(arguments);
            let answer =
                session.pack.lockgate_pack_actions().call_preview(&mut session.store, action, &arguments).await;
            match session.settle(answer)? {
                Ok(evidence) => Ok(Ok(Evidence {
                    summary: evidence.summary,
                    tables: session.tables(evidence.tables)?,
                    pins: evidence.pins.into_iter().map(|p| (p.name, convert::value_out(p.value))).collect(),
                })),
                Err(failure) => Ok(Err(convert::failure(failure))),
            }
        })
        .await
    }

    /// Runs an action.
    pub async fn run(
        &self,
        limits: Limits,
        querier: Box<dyn Querier>,
        action: &str,
        arguments: &[Value],
        pins: &[(String, Value)],
    ) -> Result<Result<GuestOutcome, Failure>, SandboxError> {
        self.within(limits, Some(querier), async |session| {
            let arguments = convert::values_in(arguments);
            let pins: Vec<wit::Pin> =
                pins.iter().map(|(n, v)| wit::Pin { name: n.clone(), value: convert::value_in(v) }).collect();
            let answer =
                session.pack.lockgate_pack_actions().call_run(&mut session.store, action, &arguments, &pins).await;
            match session.settle(answer)? {
                Ok(outcome) => Ok(Ok(GuestOutcome {
                    summary: outcome.summary,
                    tables: session.tables(outcome.tables)?,
                    notices: outcome.notices,
                    findings: outcome.findings.into_iter().map(convert::finding).collect(),
                    suggestion: outcome.suggestion.map(|s| (s.action, s.arguments, s.why)),
                })),
                Err(failure) => Ok(Err(convert::failure(failure))),
            }
        })
        .await
    }

    /// A fresh instance for one call, within its limits; dropped whatever happens.
    async fn within<T>(
        &self,
        limits: Limits,
        querier: Option<Box<dyn Querier>>,
        call: impl AsyncFnOnce(&mut Session) -> Result<T, SandboxError>,
    ) -> Result<T, SandboxError> {
        let permit = self.sandbox.permit().await?;
        let work = async {
            let mut session = self.open(limits, querier, permit).await?;
            call(&mut session).await
        };
        // Epochs stop a guest that computes; this stops one that waits.
        match tokio::time::timeout(limits.wall, work).await {
            Ok(answer) => answer,
            Err(_) => Err(SandboxError::WallTimeout(limits.wall)),
        }
    }

    async fn open(
        &self,
        limits: Limits,
        querier: Option<Box<dyn Querier>>,
        permit: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<Session, SandboxError> {
        let state = Import { limiter: Limiter::new(limits), table: ResourceTable::new(), querier, calls: 0 };
        let mut store = Store::new(self.sandbox.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.boundary_bytes);
        store.set_epoch_deadline(1);
        let mut slices = limits.cpu_slices();
        store.epoch_deadline_callback(move |_| {
            // One callback a tick in which guest code ran; time spent waiting in the import costs at most one.
            slices = slices.saturating_sub(1);
            if slices == 0 {
                return Err(wasmtime::Error::new(error::CpuExhausted(limits.cpu)));
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        match self.pre.instantiate_async(&mut store).await {
            Ok(pack) => Ok(Session { store, pack, _permit: permit }),
            Err(e) => Err(error::classify(&e, store.data().limiter.hit())),
        }
    }
}

impl Session {
    /// Turns the engine's error into ours.
    fn settle<T>(&self, answer: wasmtime::Result<T>) -> Result<T, SandboxError> {
        answer.map_err(|e| error::classify(&e, self.store.data().limiter.hit()))
    }

    /// Takes the rows that the guest hands over out of the store.
    fn tables(&mut self, tables: Vec<wit::Table>) -> Result<Vec<GuestTable>, SandboxError> {
        let data = self.store.data_mut();
        tables
            .into_iter()
            .map(|table| {
                let (rows, built) = match table.data {
                    wit::TableData::Held(handle) => {
                        (data.table.delete(handle).map_err(|e| SandboxError::BadOutput(e.to_string()))?.0, false)
                    }
                    wit::TableData::Built(built) => (Arc::new(built_rows(built)?), true),
                };
                Ok(GuestTable { table: Table { title: table.title, rows }, built })
            })
            .collect()
    }
}

/// A table that the guest made itself must be as regular as one that the database made.
fn built_rows(built: wit::BuiltTable) -> Result<RowSet, SandboxError> {
    let columns = convert::columns(built.columns);
    let mut rows = Vec::with_capacity(built.rows.len());
    for row in built.rows {
        if row.len() != columns.len() {
            return Err(SandboxError::BadOutput(format!(
                "a row has {} cells where the table has {} columns",
                row.len(),
                columns.len()
            )));
        }
        let row: Vec<Value> = row.into_iter().map(convert::value_out).collect();
        for (cell, column) in row.iter().zip(&columns) {
            if !convert::fits(cell, column.kind) {
                return Err(SandboxError::BadOutput(format!(
                    "a cell of column `{}` is {}",
                    column.name.chars().take(64).flat_map(char::escape_debug).collect::<String>(),
                    cell.kind_name()
                )));
            }
        }
        rows.push(row);
    }
    Ok(RowSet { columns, rows })
}
