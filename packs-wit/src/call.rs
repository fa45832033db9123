//! One call of an action: its arguments, its pins, and the way to the database.

use crate::{
    bindings::exports::lockgate::pack::actions::Pin,
    outcome::Outcome,
    pack::Action,
    rows::Rows,
    statement::Statement,
    value::{Failure, QueryError, Value},
};

/// What executes statements: the host, or a test.
pub(crate) trait Database {
    fn execute(&self, statement: &'static Statement, inputs: &[Value]) -> Result<Rows, QueryError>;
}

/// One call: the arguments, checked by the host against the declared parameters, in declared order with defaults filled in;
/// and, in a run, the pins of the preview.
pub struct Call<'a> {
    action: &'static Action,
    arguments: &'a [Value],
    pins: &'a [Pin],
    database: &'a dyn Database,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        action: &'static Action,
        arguments: &'a [Value],
        pins: &'a [Pin],
        database: &'a dyn Database,
    ) -> Self {
        Self { action, arguments, pins, database }
    }

    pub(crate) fn pinned(&self, pins: &'a [Pin]) -> Self {
        Self { action: self.action, arguments: self.arguments, pins, database: self.database }
    }

    pub(crate) fn has_pins(&self) -> bool {
        !self.pins.is_empty()
    }

    /// An argument, null if it was optional and left out; `None` if the action declares no such parameter.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&Value> {
        let index = self.action.params.iter().position(|param| param.name == name)?;
        self.arguments.get(index)
    }

    /// A pin of the preview.
    #[must_use]
    pub fn pin(&self, name: &str) -> Option<&Value> {
        self.pins.iter().find(|pin| pin.name == name).map(|pin| &pin.value)
    }

    fn named(&self, name: &str) -> Option<&Value> {
        self.argument(name).or_else(|| self.pin(name))
    }

    /// A whole number: the argument of this name, or else the pin.
    pub fn integer(&self, name: &str) -> Result<i64, Failure> {
        match self.named(name) {
            Some(Value::Integer(value)) => Ok(*value),
            _ => Err(absent(name)),
        }
    }

    /// A number: the argument of this name, or else the pin.
    pub fn number(&self, name: &str) -> Result<f64, Failure> {
        match self.named(name) {
            Some(Value::Number(value)) => Ok(*value),
            _ => Err(absent(name)),
        }
    }

    /// A boolean: the argument of this name, or else the pin.
    pub fn boolean(&self, name: &str) -> Result<bool, Failure> {
        match self.named(name) {
            Some(Value::Boolean(value)) => Ok(*value),
            _ => Err(absent(name)),
        }
    }

    /// A text, identifier or choice: the argument of this name, or else the pin.
    pub fn text(&self, name: &str) -> Result<&str, Failure> {
        match self.named(name) {
            Some(Value::Text(value)) => Ok(value),
            _ => Err(absent(name)),
        }
    }

    /// A list of whole numbers that was pinned.
    pub fn integers(&self, name: &str) -> Result<&[i64], Failure> {
        match self.named(name) {
            Some(Value::Integers(value)) => Ok(value),
            _ => Err(absent(name)),
        }
    }

    /// A list of texts that was pinned.
    pub fn texts(&self, name: &str) -> Result<&[String], Failure> {
        match self.named(name) {
            Some(Value::Texts(value)) => Ok(value),
            _ => Err(absent(name)),
        }
    }

    /// Executes a statement. Each input takes the argument of its name, or else the pin.
    pub fn execute(&self, statement: &'static Statement) -> Result<Rows, QueryError> {
        self.execute_with(statement, &[])
    }

    /// Executes a statement. Each input takes the value given here under its name, or else the argument, or else the pin.
    pub fn execute_with(&self, statement: &'static Statement, given: &[(&str, Value)]) -> Result<Rows, QueryError> {
        let mut inputs = Vec::with_capacity(statement.inputs.len());
        for input in statement.inputs {
            let value = given
                .iter()
                .find(|(name, _)| *name == input.name)
                .map(|(_, value)| value)
                .or_else(|| self.named(input.name))
                .filter(|value| value.fits_input(input.kind));
            let Some(value) = value else {
                return Err(QueryError::WrongInputs(
                    ["statement `", statement.id, "` has no fitting value for its input `", input.name, "`"].concat(),
                ));
            };
            inputs.push(value.clone());
        }
        self.database.execute(statement, &inputs)
    }

    /// Executes a statement and answers with its rows as they are: what an action without code of its own does. Its title
    /// is the table's; a result as long as it may be says so.
    pub fn report(&self, statement: &'static Statement) -> Result<Outcome, Failure> {
        let rows = self.execute(statement)?;
        let count = rows.count();
        let limit = match self.argument("limit") {
            Some(Value::Integer(limit)) => u32::try_from(*limit).unwrap_or(u32::MAX).min(statement.max_rows),
            _ => statement.max_rows,
        };
        let number = count.to_string();
        let summary = [self.action.title, ": ", &number, if count == 1 { " row" } else { " rows" }].concat();
        let outcome = Outcome::new(summary).table(self.action.title, rows);
        Ok(if count == limit && count > 1 {
            outcome.notice(["these are the first ", &number, " rows; there may be more"].concat())
        } else {
            outcome
        })
    }
}

fn absent(name: &str) -> Failure {
    Failure::Internal(["the call has no value of the right kind named `", name, "`"].concat())
}
