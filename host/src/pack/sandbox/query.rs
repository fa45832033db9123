//! The one import: a guest asks for a statement by name, the host's querier answers with rows that stay on this side.

use std::{future::Future, pin::Pin, sync::Arc};

use wasmtime::component::{Resource, ResourceTable};

use super::{
    bindings::lockgate::pack::query as wit,
    convert,
    error::TooManyQueries,
    limits::{Limiter, QUERIES},
};
use crate::value::{RowSet, Value};

/// Why a statement gave no rows. The same cases as the contract's `query-error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryFailure {
    /// Not declared by the running action, or not for this phase.
    Undeclared(String),
    /// The inputs don't fit.
    WrongInputs(String),
    /// Ran out of time; cancelled on the server.
    Timeout,
    /// More rows than declared.
    TooManyRows(u32),
    /// What the approval rests on is gone.
    TargetChanged,
    /// The role may not.
    MissingPrivilege(String),
    /// No variant fits the server.
    Unsupported(String),
    /// The server warned that it did not do the work.
    Skipped(String),
    /// The server's error.
    Database {
        /// SQLSTATE.
        sqlstate: String,
        /// Its message, redacted.
        message: String,
    },
    /// No connection.
    Connection(String),
}

/// Answers one call's queries. Made by the gate for one call and one phase.
pub trait Querier: Send {
    /// Runs a declared statement. Rows are redacted before they are returned: the guest sees no more than the agent.
    fn execute<'a>(
        &'a mut self,
        statement: &'a str,
        inputs: Vec<Value>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<RowSet>, QueryFailure>> + Send + 'a>>;
}

/// Rows that a guest holds a handle to.
pub struct HeldRows(pub(super) Arc<RowSet>);

/// The state of one store.
pub(super) struct Import {
    pub(super) limiter: Limiter,
    pub(super) table: ResourceTable,
    pub(super) querier: Option<Box<dyn Querier>>,
    pub(super) calls: u32,
}

impl wit::Host for Import {
    async fn execute(
        &mut self,
        statement: String,
        inputs: Vec<wit::Value>,
    ) -> wasmtime::Result<Result<Resource<HeldRows>, wit::QueryError>> {
        self.calls = self.calls.saturating_add(1);
        if self.calls > QUERIES {
            return Err(wasmtime::Error::new(TooManyQueries));
        }
        let Some(querier) = self.querier.as_mut() else {
            return Ok(Err(wit::QueryError::Undeclared("no statement may be requested here".into())));
        };
        let inputs = inputs.into_iter().map(convert::value_out_import).collect();
        match querier.execute(&statement, inputs).await {
            Ok(rows) => Ok(Ok(self.table.push(HeldRows(rows))?)),
            Err(failure) => Ok(Err(convert::query_error(failure))),
        }
    }
}

impl wit::HostRows for Import {
    fn columns(&mut self, rows: Resource<HeldRows>) -> wasmtime::Result<Vec<wit::Column>> {
        Ok(convert::columns_in(&self.table.get(&rows)?.0.columns))
    }

    fn count(&mut self, rows: Resource<HeldRows>) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.table.get(&rows)?.0.rows.len()).unwrap_or(u32::MAX))
    }

    fn cell(&mut self, rows: Resource<HeldRows>, row: u32, column: u32) -> wasmtime::Result<wit::Value> {
        let rows = self.table.get(&rows)?;
        let cell = rows.0.rows.get(row as usize).and_then(|r| r.get(column as usize));
        Ok(cell.map_or(wit::Value::Null, convert::value_in))
    }

    fn column(&mut self, rows: Resource<HeldRows>, column: u32) -> wasmtime::Result<Vec<wit::Value>> {
        let rows = self.table.get(&rows)?;
        let cells = rows.0.rows.iter().map(|r| r.get(column as usize).map_or(wit::Value::Null, convert::value_in));
        // A column outside the result is empty, not a column of nulls.
        if (column as usize) < rows.0.columns.len() { Ok(cells.collect()) } else { Ok(Vec::new()) }
    }

    fn drop(&mut self, rows: Resource<HeldRows>) -> wasmtime::Result<()> {
        self.table.delete(rows)?;
        Ok(())
    }
}
