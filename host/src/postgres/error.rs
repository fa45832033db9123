//! What can go wrong with a target and with a statement on it, and the translation of what the driver reports. A server's
//! message is kept, its DETAIL, HINT and CONTEXT are not: they quote values. Nothing here ever holds a password.

use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::redact::{redact_message, redact_values};

/// A target whose settings can't be used. Says which target, which setting and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A setting of a target.
    #[error("target `{target}`: {message}")]
    Setting {
        /// The target's name.
        target: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The libpq environment.
    #[error("environment variable `{variable}`: {message}")]
    Environment {
        /// Which.
        variable: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A file that a setting names: a password, a service file, a certificate.
    #[error("{path}: {message}")]
    File {
        /// Where.
        path: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

impl TargetError {
    pub(super) fn setting(target: &str, message: impl Into<String>) -> Self {
        Self::Setting { target: target.to_owned(), message: message.into() }
    }

    pub(super) fn file(path: &std::path::Path, message: impl Into<String>) -> Self {
        Self::File { path: path.display().to_string(), message: message.into() }
    }
}

/// Why a statement gave no rows to work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The statement, a lock or the call ran out of time. What ran on the server has been cancelled; a transaction has
    /// been rolled back, but a signal that was already sent stays sent.
    #[error("the statement ran out of time and was cancelled on the server")]
    Timeout,
    /// More rows than the statement declared; carries the declared limit.
    #[error("the result has more than the declared {0} rows")]
    TooManyRows(u32),
    /// More bytes than the caller lets through.
    #[error("the result has more bytes than this call may return")]
    TooManyBytes,
    /// The statement was to find what an approval rests on, and found nothing. An act has been rolled back.
    #[error("what the statement was to find is no longer there")]
    TargetChanged,
    /// The role may not do this: the server's words and what grant helps.
    #[error("{0}")]
    MissingPrivilege(String),
    /// VACUUM, ANALYZE or REINDEX answered with a warning: the work, or part of it, was not done.
    #[error("{0}")]
    Skipped(String),
    /// Any other error of the server.
    #[error("{message} (SQLSTATE {sqlstate})")]
    Database {
        /// Five characters, PostgreSQL manual, appendix A.
        sqlstate: String,
        /// The server's message without its DETAIL.
        message: String,
    },
    /// The connection could not be made, or broke.
    #[error("{message}")]
    Connection {
        /// What happened and where to look.
        message: String,
        /// True if an act or a maintenance command had been sent and its end was not seen: it may have happened.
        effect_unknown: bool,
    },
    /// The statement's columns on this server are not the declared ones; names the column.
    #[error("{0}")]
    WrongColumns(String),
    /// The inputs do not fit the statement on this server; names the input's position.
    #[error("{0}")]
    WrongInputs(String),
    /// Every connection of the target stayed in use for as long as a call waits for one.
    #[error("{0}")]
    Busy(String),
}

impl QueryError {
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self::Connection { message: message.into(), effect_unknown: false }
    }

    /// The same error for a statement whose end was not seen.
    pub(super) fn with_effect_unknown(self) -> Self {
        match self {
            Self::Connection { message, .. } => Self::Connection { message, effect_unknown: true },
            other => other,
        }
    }
}

/// Source files of the procedural languages, in which an error or a notice has the words of whoever wrote the function.
const RAISED_IN: &[&str] = &["plpy_elog.c", "plperl.c", "Util.c", "pltcl.c", "plv8.cc"];

/// What stands for such words.
const WITHHELD: &str = "a function of the database raised this, and its words may hold anything: they are withheld";

/// A server's message as it may leave this room: names of objects in it, and no values; nothing at all of what a function
/// of the database said in its own words (an expression index runs one in REINDEX and ANALYZE).
pub(super) fn clean(error: &DbError) -> String {
    if raised_by_a_function(error) {
        return WITHHELD.to_owned();
    }
    without_values(error.code(), error.message())
}

/// Data exceptions (class 22) quote values only.
fn without_values(code: &SqlState, message: &str) -> String {
    if code.code().starts_with("22") { redact_values(message) } else { redact_message(message) }
}

/// Whether somebody's own words are in it: PL/pgSQL's RAISE, which may choose any code, an ASSERT, or another language.
pub(super) fn raised_by_a_function(error: &DbError) -> bool {
    was_raised(error.code(), error.routine(), error.file())
}

fn was_raised(code: &SqlState, routine: Option<&str>, file: Option<&str>) -> bool {
    code.code().starts_with("P0")
        || routine == Some("exec_stmt_raise")
        || file.is_some_and(|file| RAISED_IN.contains(&file))
}

/// The server ended the session, so nothing more can be expected of it.
fn ends_session(error: &DbError) -> bool {
    let code = error.code().code();
    matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
        || code.starts_with("08")
        || code.starts_with("57P")
        || code == "25P03"
}

/// PgBouncer and its kin hand each transaction to another server session, where a prepared statement isn't known or is
/// somebody else's.
pub(super) const POOLER: &str = "a connection pooler such as PgBouncer stands in between: \
    point this target at PostgreSQL itself, or at a pool in session mode that passes startup options on";

/// What the driver's error means for the statement.
pub(super) fn from_driver(error: &tokio_postgres::Error) -> QueryError {
    let Some(server) = error.as_db_error() else {
        return not_from_the_server(error);
    };
    let code = server.code();
    let message = clean(server);
    if ends_session(server) {
        let hint = if message.contains("startup parameter") { format!("; {POOLER}") } else { String::new() };
        return QueryError::unreachable(format!("the server ended the session: {message}{hint}"));
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return QueryError::MissingPrivilege(format!("{message}; {}", grant_for(server)));
    }
    if *code == SqlState::INVALID_SQL_STATEMENT_NAME || *code == SqlState::DUPLICATE_PSTATEMENT {
        return QueryError::unreachable(format!("{message}; {POOLER}"));
    }
    if *code == SqlState::QUERY_CANCELED || *code == SqlState::LOCK_NOT_AVAILABLE {
        return QueryError::Timeout;
    }
    QueryError::Database { sqlstate: code.code().to_owned(), message }
}

fn not_from_the_server(error: &tokio_postgres::Error) -> QueryError {
    use std::error::Error as _;
    let text = error.to_string();
    if text.starts_with("error serializing parameter") || text.contains(" parameters but got ") {
        return QueryError::WrongInputs(format!("the inputs do not fit the statement: {text}"));
    }
    if text.starts_with("error deserializing column") {
        return QueryError::WrongColumns(format!("a cell could not be read: {text}"));
    }
    let mut message = text;
    let mut cause = error.source();
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    QueryError::unreachable(message)
}

/// What would help, as far as the error tells. No apostrophes: what is shown goes through the redaction of messages, which
/// takes whatever follows one for a quoted value. The routine is PostgreSQL's own function name and is never translated.
fn grant_for(error: &DbError) -> String {
    match error.routine() {
        Some("pg_terminate_backend" | "pg_cancel_backend" | "pg_signal_backend") => {
            "the role of the target needs `pg_signal_backend`, and only superusers may signal sessions of superusers"
                .to_owned()
        }
        Some("aclcheck_error") if error.message().starts_with("must be owner") => {
            "the maintenance role of the target needs `pg_maintain` (PostgreSQL 17 and later) or to own it".to_owned()
        }
        Some("RangeVarCallbackForReindexIndex" | "RangeVarCallbackMaintainsTable" | "RangeVarCallbackOwnsTable") => {
            "the maintenance role of the target needs `pg_maintain` (PostgreSQL 17 and later) or to own it".to_owned()
        }
        _ => "grant the role of the target that privilege; `pg_monitor` covers the statistics views and functions"
            .to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_data_exception_loses_its_values() {
        let code = SqlState::INVALID_TEXT_REPRESENTATION;
        assert_eq!(
            without_values(&code, "invalid input value for enum mood: \"hunter2\""),
            "invalid input value for enum mood: \"?\""
        );
        assert_eq!(without_values(&code, "invalid value \"hunter2\" for \"YYYY\""), "invalid value \"?\" for \"?\"");
        assert_eq!(
            without_values(&SqlState::UNDEFINED_TABLE, "relation \"t\" is not there"),
            "relation \"t\" is not there"
        );
    }

    #[test]
    fn a_functions_own_words_are_known_whatever_code_it_chose() {
        assert!(was_raised(&SqlState::RAISE_EXCEPTION, None, None));
        assert!(was_raised(&SqlState::UNIQUE_VIOLATION, Some("exec_stmt_raise"), Some("pl_exec.c")));
        assert!(was_raised(&SqlState::EXTERNAL_ROUTINE_EXCEPTION, Some("PLy_elog_impl"), Some("plpy_elog.c")));
        assert!(!was_raised(&SqlState::UNIQUE_VIOLATION, Some("_bt_check_unique"), Some("nbtinsert.c")));
        assert!(!was_raised(&SqlState::UNDEFINED_TABLE, None, None));
    }

    #[test]
    fn control_characters_and_length_are_bounded() {
        let long = format!("a\u{1b}[31m\n{}", "x".repeat(2000));
        let text = without_values(&SqlState::SYNTAX_ERROR, &long);
        assert!(!text.chars().any(char::is_control));
        assert_eq!(text.chars().count(), 500);
    }
}
