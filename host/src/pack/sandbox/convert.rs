//! Between the contract's generated types and the host's own. No decisions here.

use super::{
    Failure, QueryFailure,
    bindings::{exports::lockgate::pack::actions as wit, lockgate::pack::query},
};
use crate::{
    pack::manifest::{Action, Example, Manifest, Param, ParamKind, Risk},
    statement::{ExtensionRange, Input, InputKind, Mode, Role, Statement, Variant, WhenEmpty},
    value::{Column, ColumnKind, Finding, Severity, Value},
};

pub(super) fn value_in(value: &Value) -> query::Value {
    match value {
        Value::Null => query::Value::Null,
        Value::Boolean(v) => query::Value::Boolean(*v),
        Value::Integer(v) => query::Value::Integer(*v),
        Value::Number(v) => query::Value::Number(*v),
        Value::Text(v) => query::Value::Text(v.clone()),
        Value::Integers(v) => query::Value::Integers(v.clone()),
        Value::Texts(v) => query::Value::Texts(v.clone()),
    }
}

pub(super) fn values_in(values: &[Value]) -> Vec<query::Value> {
    values.iter().map(value_in).collect()
}

pub(super) fn value_out(value: query::Value) -> Value {
    match value {
        query::Value::Null => Value::Null,
        query::Value::Boolean(v) => Value::Boolean(v),
        query::Value::Integer(v) => Value::Integer(v),
        query::Value::Number(v) => Value::Number(v),
        query::Value::Text(v) => Value::Text(v),
        query::Value::Integers(v) => Value::Integers(v),
        query::Value::Texts(v) => Value::Texts(v),
    }
}

pub(super) use value_out as value_out_import;

/// Whether a cell may stand in a column. Null may stand in any.
pub(super) fn fits(cell: &Value, kind: ColumnKind) -> bool {
    matches!(
        (cell, kind),
        (Value::Null, _)
            | (Value::Boolean(_), ColumnKind::Boolean)
            | (Value::Integer(_), ColumnKind::Integer)
            | (Value::Number(_), ColumnKind::Number)
            | (Value::Text(_), ColumnKind::Text | ColumnKind::Query)
    )
}

fn column_kind(kind: query::ColumnKind) -> ColumnKind {
    match kind {
        query::ColumnKind::Boolean => ColumnKind::Boolean,
        query::ColumnKind::Integer => ColumnKind::Integer,
        query::ColumnKind::Number => ColumnKind::Number,
        query::ColumnKind::Text => ColumnKind::Text,
        query::ColumnKind::Query => ColumnKind::Query,
    }
}

pub(super) fn columns(columns: Vec<query::Column>) -> Vec<Column> {
    columns.into_iter().map(|c| Column { name: c.name, kind: column_kind(c.kind) }).collect()
}

pub(super) fn columns_in(columns: &[Column]) -> Vec<query::Column> {
    let kind = |kind| match kind {
        ColumnKind::Boolean => query::ColumnKind::Boolean,
        ColumnKind::Integer => query::ColumnKind::Integer,
        ColumnKind::Number => query::ColumnKind::Number,
        ColumnKind::Text => query::ColumnKind::Text,
        ColumnKind::Query => query::ColumnKind::Query,
    };
    columns.iter().map(|c| query::Column { name: c.name.clone(), kind: kind(c.kind) }).collect()
}

pub(super) fn query_error(failure: QueryFailure) -> query::QueryError {
    match failure {
        QueryFailure::Undeclared(text) => query::QueryError::Undeclared(text),
        QueryFailure::WrongInputs(text) => query::QueryError::WrongInputs(text),
        QueryFailure::Timeout => query::QueryError::Timeout,
        QueryFailure::TooManyRows(limit) => query::QueryError::TooManyRows(limit),
        QueryFailure::TargetChanged => query::QueryError::TargetChanged,
        QueryFailure::MissingPrivilege(text) => query::QueryError::MissingPrivilege(text),
        QueryFailure::Unsupported(text) => query::QueryError::Unsupported(text),
        QueryFailure::Skipped(text) => query::QueryError::Skipped(text),
        QueryFailure::Database { sqlstate, message } => {
            query::QueryError::Database(query::DatabaseError { sqlstate, message })
        }
        QueryFailure::Connection(text) => query::QueryError::Connection(text),
    }
}

fn query_failure(error: query::QueryError) -> QueryFailure {
    match error {
        query::QueryError::Undeclared(text) => QueryFailure::Undeclared(text),
        query::QueryError::WrongInputs(text) => QueryFailure::WrongInputs(text),
        query::QueryError::Timeout => QueryFailure::Timeout,
        query::QueryError::TooManyRows(limit) => QueryFailure::TooManyRows(limit),
        query::QueryError::TargetChanged => QueryFailure::TargetChanged,
        query::QueryError::MissingPrivilege(text) => QueryFailure::MissingPrivilege(text),
        query::QueryError::Unsupported(text) => QueryFailure::Unsupported(text),
        query::QueryError::Skipped(text) => QueryFailure::Skipped(text),
        query::QueryError::Database(e) => QueryFailure::Database { sqlstate: e.sqlstate, message: e.message },
        query::QueryError::Connection(text) => QueryFailure::Connection(text),
    }
}

pub(super) fn failure(failure: wit::Failure) -> Failure {
    match failure {
        wit::Failure::NotFound(text) => Failure::NotFound(text),
        wit::Failure::NothingToDo(text) => Failure::NothingToDo(text),
        wit::Failure::NotApplicable(text) => Failure::NotApplicable(text),
        wit::Failure::NoEffect(text) => Failure::NoEffect(text),
        wit::Failure::TargetChanged(text) => Failure::TargetChanged(text),
        wit::Failure::Query(error) => Failure::Query(query_failure(error)),
        wit::Failure::Internal(text) => Failure::Internal(text),
    }
}

pub(super) fn finding(finding: wit::Finding) -> Finding {
    let severity = match finding.severity {
        wit::Severity::Ok => Severity::Ok,
        wit::Severity::Notice => Severity::Notice,
        wit::Severity::Warning => Severity::Warning,
        wit::Severity::Critical => Severity::Critical,
    };
    Finding { severity, text: finding.text }
}

pub(super) fn manifest(m: wit::Manifest) -> Manifest {
    Manifest {
        name: m.name,
        version: m.version,
        summary: m.summary,
        homepage: m.homepage,
        actions: m.actions.into_iter().map(action).collect(),
        statements: m.statements.into_iter().map(statement).collect(),
    }
}

fn action(a: wit::Action) -> Action {
    Action {
        name: a.name,
        title: a.title,
        description: a.description,
        risk: match a.risk {
            wit::Risk::Low => Risk::Low,
            wit::Risk::Medium => Risk::Medium,
            wit::Risk::High => Risk::High,
            wit::Risk::Critical => Risk::Critical,
        },
        params: a.params.into_iter().map(param).collect(),
        run_statements: a.run_statements,
        preview_statements: a.preview_statements,
        side_effects: a.side_effects,
        privileges: a.privileges,
        works_on_standby: a.works_on_standby,
        idempotent: a.idempotent,
        examples: a.examples.into_iter().map(|e| Example { situation: e.situation, arguments: e.arguments }).collect(),
        search_terms: a.search_terms,
    }
}

fn param(p: wit::Param) -> Param {
    let kind = match p.kind {
        wit::ParamType::Boolean => ParamKind::Boolean,
        wit::ParamType::Integer(r) => ParamKind::Integer { min: r.min, max: r.max },
        wit::ParamType::Number(r) => ParamKind::Number { min: r.min, max: r.max },
        wit::ParamType::Text(r) => ParamKind::Text { max_length: r.max_length, pattern: r.pattern },
        wit::ParamType::Identifier => ParamKind::Identifier,
        wit::ParamType::Choice(options) => ParamKind::Choice { options },
    };
    Param { name: p.name, description: p.description, kind, required: p.required, default: value_out(p.default) }
}

fn statement(s: wit::Statement) -> Statement {
    Statement {
        id: s.id,
        mode: match s.mode {
            wit::Mode::Read => Mode::Read,
            wit::Mode::Act => Mode::Act,
            wit::Mode::Maintain => Mode::Maintain,
        },
        inputs: s.inputs.into_iter().map(input).collect(),
        columns: columns(s.columns),
        variants: s.variants.into_iter().map(variant).collect(),
        max_rows: s.max_rows,
        timeout_ms: s.timeout_ms,
        when_empty: match s.when_empty {
            wit::WhenEmpty::Fine => WhenEmpty::Fine,
            wit::WhenEmpty::TargetChanged => WhenEmpty::TargetChanged,
        },
    }
}

fn input(i: wit::Input) -> Input {
    let kind = match i.kind {
        wit::InputType::Boolean => InputKind::Boolean,
        wit::InputType::Integer => InputKind::Integer,
        wit::InputType::Number => InputKind::Number,
        wit::InputType::Text => InputKind::Text,
        wit::InputType::Identifier => InputKind::Identifier,
        wit::InputType::Integers => InputKind::Integers,
        wit::InputType::Texts => InputKind::Texts,
    };
    Input { name: i.name, kind }
}

fn variant(v: wit::VariantSql) -> Variant {
    Variant {
        min_version: v.min_version,
        below_version: v.below_version,
        extension: v.extension.map(|e| ExtensionRange { name: e.name, min: e.min, below: e.below }),
        role: match v.role {
            wit::Role::Any => Role::Any,
            wit::Role::Primary => Role::Primary,
            wit::Role::Standby => Role::Standby,
        },
        sql: v.sql,
    }
}
