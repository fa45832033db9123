//! Values, and what can go wrong: the contract's own types, with the conversions that make them pleasant.

pub use crate::bindings::{
    exports::lockgate::pack::actions::{Failure, Problem, Severity},
    lockgate::pack::query::{DatabaseError, QueryError, Value},
};
use crate::statement::{ColumnKind, Kind};

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Integers(a), Self::Integers(b)) => a == b,
            (Self::Texts(a), Self::Texts(b)) => a == b,
            _ => false,
        }
    }
}

impl Value {
    pub(crate) fn fits_input(&self, kind: Kind) -> bool {
        matches!(
            (self, kind),
            (Self::Null, _)
                | (Self::Boolean(_), Kind::Boolean)
                | (Self::Integer(_), Kind::Integer)
                | (Self::Number(_), Kind::Number)
                | (Self::Text(_), Kind::Text | Kind::Identifier)
                | (Self::Integers(_), Kind::Integers)
                | (Self::Texts(_), Kind::Texts)
        )
    }

    pub(crate) fn fits_column(&self, kind: ColumnKind) -> bool {
        matches!(
            (self, kind),
            (Self::Null, _)
                | (Self::Boolean(_), ColumnKind::Boolean)
                | (Self::Integer(_), ColumnKind::Integer)
                | (Self::Number(_), ColumnKind::Number)
                | (Self::Text(_), ColumnKind::Text | ColumnKind::Query)
        )
    }
}

macro_rules! from {
    ($($type:ty => $case:ident),+ $(,)?) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$case(value.into())
            }
        })+
    };
}
from!(bool => Boolean, i64 => Integer, u32 => Integer, i32 => Integer, f64 => Number, &str => Text, String => Text,
      Vec<i64> => Integers, Vec<String> => Texts);

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl PartialEq for QueryError {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Undeclared(a), Self::Undeclared(b))
            | (Self::WrongInputs(a), Self::WrongInputs(b))
            | (Self::MissingPrivilege(a), Self::MissingPrivilege(b))
            | (Self::Unsupported(a), Self::Unsupported(b))
            | (Self::Skipped(a), Self::Skipped(b))
            | (Self::Connection(a), Self::Connection(b)) => a == b,
            (Self::Timeout, Self::Timeout) | (Self::TargetChanged, Self::TargetChanged) => true,
            (Self::TooManyRows(a), Self::TooManyRows(b)) => a == b,
            (Self::Database(a), Self::Database(b)) => a.sqlstate == b.sqlstate && a.message == b.message,
            _ => false,
        }
    }
}

impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NotFound(a), Self::NotFound(b))
            | (Self::NothingToDo(a), Self::NothingToDo(b))
            | (Self::NotApplicable(a), Self::NotApplicable(b))
            | (Self::NoEffect(a), Self::NoEffect(b))
            | (Self::TargetChanged(a), Self::TargetChanged(b))
            | (Self::Internal(a), Self::Internal(b)) => a == b,
            (Self::Query(a), Self::Query(b)) => a == b,
            _ => false,
        }
    }
}

impl Failure {
    /// What the call names does not exist.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound(message.into())
    }

    /// There is nothing to do, so nobody is asked to approve it.
    #[must_use]
    pub fn nothing_to_do(message: impl Into<String>) -> Self {
        Self::NothingToDo(message.into())
    }

    /// It could be done but would not help; the message says what would.
    #[must_use]
    pub fn not_applicable(message: impl Into<String>) -> Self {
        Self::NotApplicable(message.into())
    }

    /// The effect did not come about.
    #[must_use]
    pub fn no_effect(message: impl Into<String>) -> Self {
        Self::NoEffect(message.into())
    }

    /// What was pinned is no longer so.
    #[must_use]
    pub fn target_changed(message: impl Into<String>) -> Self {
        Self::TargetChanged(message.into())
    }

    /// The database role lacks a privilege; the message names the grant.
    #[must_use]
    pub fn missing_privilege(message: impl Into<String>) -> Self {
        Self::Query(QueryError::MissingPrivilege(message.into()))
    }

    /// A defect of the pack.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::Internal(message.into())
    }
}
