//! Runs an action without a host and without a database: a [`Script`] says what each statement answers. For a pack's own
//! unit tests, on the machine that builds it.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
};

use crate::{
    bindings::exports::lockgate::pack::actions::Pin,
    call::Database,
    guest,
    outcome::{Evidence, Outcome},
    pack::{Action, Pack},
    rows::Rows,
    statement::Statement,
    value::{Failure, QueryError, Value},
};

type Answer = Result<Vec<Vec<Value>>, QueryError>;

/// What each statement answers, in order; the last answer of a statement is repeated. Like the host it refuses statements
/// that the action did not declare, inputs of the wrong type and results that don't fit the declared columns.
#[derive(Default)]
pub struct Script {
    answers: RefCell<HashMap<&'static str, VecDeque<Answer>>>,
    asked: RefCell<Vec<(&'static str, Vec<Value>)>>,
}

/// A script bound to what one phase of one action may request.
struct Phase<'a> {
    script: &'a Script,
    allowed: Vec<&'static Statement>,
}

impl Script {
    /// No answers yet: every statement fails.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next answer of a statement: these rows.
    #[must_use]
    pub fn answer(self, statement: &'static Statement, rows: Vec<Vec<Value>>) -> Self {
        self.push(statement, Ok(rows))
    }

    /// The next answer of a statement: this error.
    #[must_use]
    pub fn fail(self, statement: &'static Statement, error: QueryError) -> Self {
        self.push(statement, Err(error))
    }

    fn push(self, statement: &'static Statement, answer: Answer) -> Self {
        self.answers.borrow_mut().entry(statement.id).or_default().push_back(answer);
        self
    }

    /// Previews an action. Arguments by name; defaults are filled in.
    pub fn preview(&self, pack: &'static Pack, action: &str, arguments: &[(&str, Value)]) -> Result<Evidence, Failure> {
        let declared = find(pack, action)?;
        let phase = Phase { script: self, allowed: declared.preview_statements.to_vec() };
        guest::preview_on(&phase, pack, action, &in_order(declared, arguments)?)
    }

    /// Runs an action that nobody had to approve.
    pub fn run(&self, pack: &'static Pack, action: &str, arguments: &[(&str, Value)]) -> Result<Outcome, Failure> {
        self.run_pinned(pack, action, arguments, &[])
    }

    /// Runs an action with the pins that its approval rests on.
    pub fn run_pinned(
        &self,
        pack: &'static Pack,
        action: &str,
        arguments: &[(&str, Value)],
        pins: &[(&str, Value)],
    ) -> Result<Outcome, Failure> {
        let declared = find(pack, action)?;
        let phase = Phase { script: self, allowed: guest::requestable(declared).collect() };
        let pins: Vec<Pin> =
            pins.iter().map(|(name, value)| Pin { name: (*name).into(), value: value.clone() }).collect();
        guest::run_on(&phase, pack, action, &in_order(declared, arguments)?, &pins)
    }

    /// The statements that were requested so far, with their inputs.
    #[must_use]
    pub fn asked(&self) -> Vec<(&'static str, Vec<Value>)> {
        self.asked.borrow().clone()
    }
}

fn find(pack: &'static Pack, action: &str) -> Result<&'static Action, Failure> {
    pack.action(action).ok_or_else(|| Failure::Internal(format!("the pack has no action `{action}`")))
}

fn in_order(action: &Action, arguments: &[(&str, Value)]) -> Result<Vec<Value>, Failure> {
    if let Some((name, _)) = arguments.iter().find(|(name, _)| !action.params.iter().any(|p| p.name == *name)) {
        return Err(Failure::Internal(format!("`{}` has no parameter `{name}`", action.name)));
    }
    action
        .params
        .iter()
        .map(|param| match arguments.iter().find(|(name, _)| *name == param.name) {
            Some((_, value)) => Ok(value.clone()),
            None if param.required => Err(Failure::Internal(format!("argument `{}` is missing", param.name))),
            None => Ok(guest::literal(param.default)),
        })
        .collect()
}

impl Database for Phase<'_> {
    fn execute(&self, statement: &'static Statement, inputs: &[Value]) -> Result<Rows, QueryError> {
        if !self.allowed.iter().any(|allowed| core::ptr::eq(*allowed, statement)) {
            return Err(QueryError::Undeclared(statement.id.into()));
        }
        if inputs.len() != statement.inputs.len()
            || !inputs.iter().zip(statement.inputs).all(|(value, input)| value.fits_input(input.kind))
        {
            return Err(QueryError::WrongInputs(statement.id.into()));
        }
        self.script.asked.borrow_mut().push((statement.id, inputs.to_vec()));
        let mut answers = self.script.answers.borrow_mut();
        let queue = answers.entry(statement.id).or_default();
        let answer = if queue.len() > 1 { queue.pop_front() } else { queue.front().cloned() };
        let Some(answer) = answer else {
            return Err(QueryError::Connection(format!("the script has no answer for `{}`", statement.id)));
        };
        let rows = answer?;
        if rows.len() > statement.max_rows as usize {
            return Err(QueryError::TooManyRows(statement.max_rows));
        }
        if rows.is_empty() && statement.must_match {
            return Err(QueryError::TargetChanged);
        }
        Rows::built(statement.columns, rows).map_err(|_| {
            QueryError::Connection(format!("the scripted rows of `{}` do not fit its columns", statement.id))
        })
    }
}
