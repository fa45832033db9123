//! From the static declaration to the contract's types, and from the contract's functions to the pack's code. The code that
//! [`export!`](crate::export) generates calls nothing else.

use crate::{
    bindings::{
        exports::lockgate::pack::actions as wit,
        lockgate::pack::query::{self, QueryError, Value},
    },
    call::{Call, Database},
    outcome::{Evidence, Outcome, Table},
    pack::{Action, Pack, Risk},
    param::{Literal, Param, ParamKind},
    rows::Rows,
    statement::{Column, ColumnKind, Kind, Mode, Role, Statement, Variant},
    value::{Failure, Problem},
};

/// Statements by way of the contract's one import.
struct Host;

impl Database for Host {
    fn execute(&self, statement: &'static Statement, inputs: &[Value]) -> Result<Rows, QueryError> {
        query::execute(statement.id, inputs).map(|rows| Rows::held(statement.columns, rows))
    }
}

/// `describe`
#[must_use]
pub fn describe(pack: &'static Pack) -> wit::Manifest {
    wit::Manifest {
        name: pack.name.into(),
        version: pack.version.into(),
        summary: pack.summary.into(),
        homepage: pack.homepage.into(),
        actions: pack.actions.iter().map(|action| lower_action(action)).collect(),
        statements: statements(pack).into_iter().map(lower_statement).collect(),
    }
}

/// `validate`
#[must_use]
pub fn validate(pack: &'static Pack, action: &str, arguments: &[Value]) -> Vec<Problem> {
    match pack.action(action) {
        Some(action) => match action.validate {
            Some(validate) => validate(&Call::new(action, arguments, &[], &Host)),
            None => Vec::new(),
        },
        None => vec![Problem { argument: String::new(), message: unknown(action) }],
    }
}

/// `preview`
pub fn preview(pack: &'static Pack, action: &str, arguments: &[Value]) -> Result<wit::Evidence, Failure> {
    preview_on(&Host, pack, action, arguments).map(lower_evidence)
}

/// `run`
pub fn run(pack: &'static Pack, action: &str, arguments: &[Value], pins: &[wit::Pin]) -> Result<wit::Outcome, Failure> {
    run_on(&Host, pack, action, arguments, pins).map(lower_outcome)
}

pub(crate) fn preview_on(
    database: &dyn Database,
    pack: &'static Pack,
    action: &str,
    arguments: &[Value],
) -> Result<Evidence, Failure> {
    let action = pack.action(action).ok_or_else(|| Failure::Internal(unknown(action)))?;
    match action.preview {
        Some(preview) => preview(&Call::new(action, arguments, &[], database)),
        None => Ok(Evidence::new(action.title)),
    }
}

pub(crate) fn run_on(
    database: &dyn Database,
    pack: &'static Pack,
    action: &str,
    arguments: &[Value],
    pins: &[wit::Pin],
) -> Result<Outcome, Failure> {
    let action = pack.action(action).ok_or_else(|| Failure::Internal(unknown(action)))?;
    let call = Call::new(action, arguments, pins, database);
    match action.preview {
        // Nobody was asked, so nothing has been looked at yet.
        Some(preview) if !call.has_pins() => {
            let evidence = preview(&call)?;
            dispatch(action, &call.pinned(&evidence.pins))
        }
        _ => dispatch(action, &call),
    }
}

fn dispatch(action: &'static Action, call: &Call<'_>) -> Result<Outcome, Failure> {
    match (action.run, action.run_statements) {
        (Some(run), _) => run(call),
        (None, [statement]) => call.report(statement),
        (None, _) => Err(Failure::internal("an action without code of its own names exactly one statement")),
    }
}

fn unknown(action: &str) -> String {
    ["the pack has no action `", action, "`"].concat()
}

/// Every statement that an action names, each once, in order of first mention.
fn statements(pack: &Pack) -> Vec<&'static Statement> {
    let mut all: Vec<&'static Statement> = Vec::new();
    for action in pack.actions {
        for statement in requestable(action) {
            // By address: two statements that share an id both go into the manifest, and admission refuses that.
            if !all.iter().any(|known| core::ptr::eq(*known, statement)) {
                all.push(statement);
            }
        }
    }
    all
}

/// What a run may request: its own statements, and those of the preview, which may run as a part of it.
pub(crate) fn requestable(action: &Action) -> impl Iterator<Item = &'static Statement> {
    let own = action.run_statements;
    let preview = action.preview_statements.iter().copied();
    own.iter().copied().chain(preview.filter(|p| !own.iter().any(|o| core::ptr::eq(*o, *p))))
}

fn lower_action(action: &Action) -> wit::Action {
    wit::Action {
        name: action.name.into(),
        title: action.title.into(),
        description: action.description.into(),
        risk: match action.risk {
            Risk::Low => wit::Risk::Low,
            Risk::Medium => wit::Risk::Medium,
            Risk::High => wit::Risk::High,
            Risk::Critical => wit::Risk::Critical,
        },
        params: action.params.iter().map(lower_param).collect(),
        run_statements: requestable(action).map(|statement| statement.id.into()).collect(),
        preview_statements: action.preview_statements.iter().map(|statement| statement.id.into()).collect(),
        side_effects: action.side_effects.into(),
        privileges: action.privileges.iter().map(|&privilege| privilege.into()).collect(),
        works_on_standby: action.works_on_standby,
        idempotent: action.idempotent,
        examples: action
            .examples
            .iter()
            .flatten()
            .map(|example| wit::Example { situation: example.situation.into(), arguments: example.arguments.into() })
            .collect(),
        search_terms: action.search_terms.iter().map(|&term| term.into()).collect(),
    }
}

fn lower_param(param: &Param) -> wit::Param {
    wit::Param {
        name: param.name.into(),
        description: param.description.into(),
        kind: match param.kind {
            ParamKind::Boolean => wit::ParamType::Boolean,
            ParamKind::Integer(min, max) => wit::ParamType::Integer(wit::IntegerRange { min, max }),
            ParamKind::Number(min, max) => wit::ParamType::Number(wit::NumberRange { min, max }),
            ParamKind::Text(max_length, pattern) => {
                wit::ParamType::Text(wit::TextRule { max_length, pattern: pattern.into() })
            }
            ParamKind::Identifier => wit::ParamType::Identifier,
            ParamKind::Choice(options) => wit::ParamType::Choice(options.iter().map(|&option| option.into()).collect()),
        },
        required: param.required,
        default: literal(param.default),
    }
}

pub(crate) fn literal(literal: Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Boolean(value) => Value::Boolean(value),
        Literal::Integer(value) => Value::Integer(value),
        Literal::Number(value) => Value::Number(value),
        Literal::Text(value) => Value::Text(value.into()),
    }
}

fn lower_statement(statement: &Statement) -> wit::Statement {
    wit::Statement {
        id: statement.id.into(),
        mode: match statement.mode {
            Mode::Read => wit::Mode::Read,
            Mode::Act => wit::Mode::Act,
            Mode::Maintain => wit::Mode::Maintain,
        },
        inputs: statement
            .inputs
            .iter()
            .map(|input| wit::Input {
                name: input.name.into(),
                kind: match input.kind {
                    Kind::Boolean => wit::InputType::Boolean,
                    Kind::Integer => wit::InputType::Integer,
                    Kind::Number => wit::InputType::Number,
                    Kind::Text => wit::InputType::Text,
                    Kind::Identifier => wit::InputType::Identifier,
                    Kind::Integers => wit::InputType::Integers,
                    Kind::Texts => wit::InputType::Texts,
                },
            })
            .collect(),
        columns: columns(statement.columns),
        variants: statement.variants.iter().map(lower_variant).collect(),
        max_rows: statement.max_rows,
        timeout_ms: statement.timeout_ms,
        when_empty: if statement.must_match { wit::WhenEmpty::TargetChanged } else { wit::WhenEmpty::Fine },
    }
}

fn lower_variant(variant: &Variant) -> wit::VariantSql {
    wit::VariantSql {
        min_version: variant.min,
        below_version: variant.below,
        extension: variant.extension.map(|extension| wit::ExtensionRange {
            name: extension.name.into(),
            min: extension.min.into(),
            below: extension.below.into(),
        }),
        role: match variant.role {
            Role::Any => wit::Role::Any,
            Role::Primary => wit::Role::Primary,
            Role::Standby => wit::Role::Standby,
        },
        sql: variant.sql.into(),
    }
}

pub(crate) fn columns(columns: &[Column]) -> Vec<query::Column> {
    columns
        .iter()
        .map(|column| query::Column {
            name: column.name.into(),
            kind: match column.kind {
                ColumnKind::Boolean => query::ColumnKind::Boolean,
                ColumnKind::Integer => query::ColumnKind::Integer,
                ColumnKind::Number => query::ColumnKind::Number,
                ColumnKind::Text => query::ColumnKind::Text,
                ColumnKind::Query => query::ColumnKind::Query,
            },
        })
        .collect()
}

fn lower_tables(tables: Vec<Table>) -> Vec<wit::Table> {
    tables.into_iter().map(|table| wit::Table { title: table.title, data: table.rows.lower() }).collect()
}

fn lower_evidence(evidence: Evidence) -> wit::Evidence {
    wit::Evidence { summary: evidence.summary, tables: lower_tables(evidence.tables), pins: evidence.pins }
}

fn lower_outcome(outcome: Outcome) -> wit::Outcome {
    wit::Outcome {
        summary: outcome.summary,
        tables: lower_tables(outcome.tables),
        notices: outcome.notices,
        findings: outcome.findings.into_iter().map(|(severity, text)| wit::Finding { severity, text }).collect(),
        suggestion: outcome.suggestion.map(|suggestion| wit::Suggestion {
            action: suggestion.action,
            arguments: suggestion.arguments,
            why: suggestion.why,
        }),
    }
}
