//! What an action says that it needs of its role in the database, in one of five exact forms. A manifest carries them as
//! strings; the host reads them, looks up on each server which of them the role lacks, and tells the operator what to grant.
//!
//! Knows neither packs nor servers. What may be asked for is bounded here and in `pack::privileges`: a signed pack must not
//! be able to have `lockgate doctor` print a grant that opens the server.

use std::{fmt, str::FromStr};

/// Longest argument list of a function, in bytes.
const MAX_ARGUMENTS: usize = 200;

/// Predefined roles that a pack may ask for, with the major version that brought them; 0 for all that lockgate supports.
/// Of the others, none is of use to a statement that passes the prover, and some would hand over the server
/// (`pg_execute_server_program`, `pg_write_server_files`).
const ROLES: &[(&str, u32)] = &[
    ("pg_monitor", 0),
    ("pg_read_all_settings", 0),
    ("pg_read_all_stats", 0),
    ("pg_stat_scan_tables", 0),
    ("pg_signal_backend", 0),
    ("pg_read_all_data", 14),
];

/// The others of PostgreSQL 13 to 18 (manual, "Predefined Roles"), so that a message can tell a typo from a refusal.
const REFUSED_ROLES: &[&str] = &[
    "pg_checkpoint",
    "pg_create_subscription",
    "pg_database_owner",
    "pg_execute_server_program",
    "pg_maintain",
    "pg_read_server_files",
    "pg_signal_autovacuum_worker",
    "pg_use_reserved_connections",
    "pg_write_all_data",
    "pg_write_server_files",
];

/// One thing that an action needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privilege {
    /// `pg_monitor`: membership in a predefined role.
    Role(String),
    /// `extension NAME`: an extension that is created in the target's database and, where it has to be, loaded at start.
    Extension(String),
    /// `SELECT ON RELATION schema.name`
    Select {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
    },
    /// `EXECUTE ON FUNCTION schema.name(argtypes)`
    Execute {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// The types of its input arguments as PostgreSQL names them, joined by `, `.
        arguments: String,
    },
    /// `MAINTAIN ON TABLE`: on the table that the call names, or that of the index which it names. MAINTAIN or `pg_maintain`
    /// from PostgreSQL 17 on, ownership before. Needed by the target's maintenance credential if it has one.
    Maintain,
}

/// Why a string is no privilege that a pack may ask for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivilegeError {
    /// Of no known form.
    #[error(
        "privilege `{0}` has no known form: write a predefined role such as `pg_monitor`, `extension NAME`, `SELECT ON \
         RELATION schema.name`, `EXECUTE ON FUNCTION schema.name(argtypes)` or `MAINTAIN ON TABLE`"
    )]
    Form(String),
    /// A role that there is not, in any version from 13 to 18.
    #[error("privilege `{0}` is no predefined role of PostgreSQL 13 to 18: use one of {list}", list = role_list())]
    UnknownRole(String),
    /// A role that no statement needs.
    #[error("a pack may not ask for role `{0}`: no statement that the prover accepts needs it; use one of {list}", list = role_list())]
    RefusedRole(String),
    /// The role that `MAINTAIN ON TABLE` stands for.
    #[error("privilege `pg_maintain` is one of several ways to maintain a table: write `MAINTAIN ON TABLE`")]
    PgMaintain,
}

fn role_list() -> String {
    ROLES.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Privilege {
    /// The first major version that has what is asked for; 0 for all.
    #[must_use]
    pub fn since(&self) -> u32 {
        match self {
            Self::Role(role) => ROLES.iter().find(|(name, _)| name == role).map_or(0, |(_, since)| *since),
            _ => 0,
        }
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => f.write_str(role),
            Self::Extension(name) => write!(f, "extension {name}"),
            Self::Select { schema, name } => write!(f, "SELECT ON RELATION {schema}.{name}"),
            Self::Execute { schema, name, arguments } => write!(f, "EXECUTE ON FUNCTION {schema}.{name}({arguments})"),
            Self::Maintain => f.write_str("MAINTAIN ON TABLE"),
        }
    }
}

impl serde::Serialize for Privilege {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Privilege {
    type Err = PrivilegeError;

    fn from_str(text: &str) -> Result<Self, PrivilegeError> {
        let unknown = || PrivilegeError::Form(text.chars().take(100).flat_map(char::escape_debug).collect());
        if text == "MAINTAIN ON TABLE" {
            return Ok(Self::Maintain);
        }
        if let Some(name) = text.strip_prefix("extension ") {
            return is_identifier(name).then(|| Self::Extension(name.to_owned())).ok_or_else(unknown);
        }
        if let Some(relation) = text.strip_prefix("SELECT ON RELATION ") {
            let (schema, name) = qualified(relation).ok_or_else(unknown)?;
            return Ok(Self::Select { schema, name });
        }
        if let Some(function) = text.strip_prefix("EXECUTE ON FUNCTION ") {
            let (name, arguments) =
                function.strip_suffix(')').and_then(|rest| rest.split_once('(')).ok_or_else(unknown)?;
            let (schema, name) = qualified(name).ok_or_else(unknown)?;
            let arguments = argument_types(arguments).ok_or_else(unknown)?;
            return Ok(Self::Execute { schema, name, arguments });
        }
        if !text.strip_prefix("pg_").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')) {
            return Err(unknown());
        }
        match text {
            role if ROLES.iter().any(|(name, _)| *name == role) => Ok(Self::Role(role.to_owned())),
            "pg_maintain" => Err(PrivilegeError::PgMaintain),
            role if REFUSED_ROLES.contains(&role) => Err(PrivilegeError::RefusedRole(role.to_owned())),
            role => Err(PrivilegeError::UnknownRole(role.chars().take(63).collect())),
        }
    }
}

/// `^[a-z_][a-z0-9_]{0,62}$`: a name that means the same with quotes and without.
fn is_identifier(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn qualified(text: &str) -> Option<(String, String)> {
    let (schema, name) = text.split_once('.')?;
    (is_identifier(schema) && is_identifier(name)).then(|| (schema.to_owned(), name.to_owned()))
}

/// `bigint,timestamp with time zone` with a comma and a space between any two; PostgreSQL's own names of built-in types.
fn argument_types(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let is_type = |name: &str| {
        let words = name.strip_suffix("[]").unwrap_or(name);
        !words.is_empty() && words.split(' ').all(is_identifier)
    };
    let types: Vec<&str> = text.split(',').map(str::trim).collect();
    (text.len() <= MAX_ARGUMENTS && types.iter().all(|name| is_type(name))).then(|| types.join(", "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_written_back() {
        for text in [
            "pg_monitor",
            "pg_read_all_data",
            "extension pg_stat_statements",
            "SELECT ON RELATION pg_catalog.pg_hba_file_rules",
            "EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules()",
            "EXECUTE ON FUNCTION pg_catalog.pg_stat_have_stats(text, oid, bigint)",
            "EXECUTE ON FUNCTION app.f(timestamp with time zone, integer[])",
            "MAINTAIN ON TABLE",
        ] {
            assert_eq!(text.parse::<Privilege>().unwrap().to_string(), text);
        }
        assert_eq!(
            "EXECUTE ON FUNCTION a.b(oid,oid)".parse::<Privilege>().unwrap().to_string(),
            "EXECUTE ON FUNCTION a.b(oid, oid)"
        );
    }

    #[test]
    fn anything_else_is_refused_with_what_would_be_right() {
        for text in [
            "",
            "ownership of the index, or MAINTAIN on its table from 17 on",
            "the extension pg_stat_statements",
            "superuser",
            "PG_MONITOR",
            " pg_monitor",
            "pg_monitor, pg_signal_backend",
            "pg_monitor; DROP TABLE t",
            "extension ",
            "extension \"Odd\"",
            "extension a CASCADE",
            "SELECT ON RELATION pg_hba_file_rules",
            "SELECT ON RELATION a.b.c",
            "SELECT ON RELATION a.b TO PUBLIC",
            "SELECT ON TABLE a.b",
            "EXECUTE ON FUNCTION a.b",
            "EXECUTE ON FUNCTION a.b(",
            "EXECUTE ON FUNCTION a.b(int) TO x; --()",
            "EXECUTE ON FUNCTION a.b(,)",
            "EXECUTE ON FUNCTION a.b(\"x\")",
            "MAINTAIN ON TABLE a.b",
            "maintain on table",
        ] {
            assert!(matches!(text.parse::<Privilege>(), Err(PrivilegeError::Form(_))), "{text}");
        }
        let message = "ownership".parse::<Privilege>().unwrap_err().to_string();
        assert!(message.contains("`ownership`") && message.contains("MAINTAIN ON TABLE"), "{message}");
    }

    #[test]
    fn a_role_that_no_statement_needs_is_not_to_be_had() {
        assert_eq!("pg_maintain".parse::<Privilege>(), Err(PrivilegeError::PgMaintain));
        for role in REFUSED_ROLES.iter().filter(|role| **role != "pg_maintain") {
            assert_eq!(role.parse::<Privilege>(), Err(PrivilegeError::RefusedRole((*role).to_owned())));
        }
        assert_eq!("pg_monitr".parse::<Privilege>(), Err(PrivilegeError::UnknownRole("pg_monitr".to_owned())));
        assert_eq!("pg_read_all_data".parse::<Privilege>().unwrap().since(), 14);
    }
}
