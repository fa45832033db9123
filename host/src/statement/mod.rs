//! A declared statement: what a pack may ask the database. The declaration as the pack gives it, the proof that turns it
//! into a [`ProvenStatement`], the choice of the variant that fits a server, and the binding of inputs.
//! Knows PostgreSQL's grammar; knows neither wasm nor a connection.

mod bind;
mod changes;
mod expressions;
mod functions;
mod grammar;
mod names;
mod object;
mod output;
mod parse;
mod placeholders;
mod proof;
mod rows;
mod version;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;

pub use bind::BindError;
pub use object::{MaintainedObject, may_grant_execute, may_grant_select};
pub(crate) use parse::{tokens, with_parser_stack};
pub use proof::{Fault, ProvenStatement, Spot, prove};

use serde::{Deserialize, Serialize};

use crate::value::{Column, Value};

/// The major versions of PostgreSQL that statements are written and tested for. Newer ones get the newest wording, with a
/// remark.
pub const SUPPORTED: std::ops::RangeInclusive<u32> = 13..=version::NEWEST_KNOWN;

/// How a statement is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In a `READ ONLY` transaction that is rolled back.
    Read,
    /// In a transaction that is committed.
    Act,
    /// Alone on a connection of its own, outside any transaction.
    Maintain,
}

/// The type of a statement's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// Bound as `bool`.
    Boolean,
    /// Bound as `int8`.
    Integer,
    /// Bound as `float8`.
    Number,
    /// Bound as `text`.
    Text,
    /// Not bound: substituted, quoted, for `:"name"`.
    Identifier,
    /// Bound as `int8[]`.
    Integers,
    /// Bound as `text[]`.
    Texts,
}

/// A typed input, in declared order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its name; for identifiers the one that the SQL writes as `:"name"`.
    pub name: String,
    /// Its type.
    pub kind: InputKind,
}

/// Which servers of a topology a variant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Either.
    Any,
    /// Not in recovery.
    Primary,
    /// In recovery.
    Standby,
}

/// A range of versions of one extension, `min <= v < below`, compared component by component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionRange {
    /// The extension's name.
    pub name: String,
    /// Inclusive; empty for none.
    pub min: String,
    /// Exclusive; empty for none.
    pub below: String,
}

/// One wording of a statement for a range of servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Inclusive lowest major version; 0 for none.
    pub min_version: u32,
    /// Exclusive upper major version; 0 for none.
    pub below_version: u32,
    /// The extension it needs.
    pub extension: Option<ExtensionRange>,
    /// Where it works.
    pub role: Role,
    /// The text: `$1` … for bound inputs in declared order (identifiers take no number), `:"name"` for identifiers,
    /// `:"extension_schema"` for the schema of the variant's extension.
    pub sql: String,
}

/// What no rows mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenEmpty {
    /// An answer like any other.
    Fine,
    /// The world is not what was approved any more.
    TargetChanged,
}

/// A statement as a pack declares it. Nothing about it has been checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Unique in the pack.
    pub id: String,
    /// How it runs.
    pub mode: Mode,
    /// Its inputs, in order.
    pub inputs: Vec<Input>,
    /// Its output, the same for every variant.
    pub columns: Vec<Column>,
    /// Its wordings; exactly one fits each server.
    pub variants: Vec<Variant>,
    /// 1 to 10,000.
    pub max_rows: u32,
    /// Milliseconds, 1 to 3,600,000; 0 for none (only `maintain`).
    pub timeout_ms: u32,
    /// What no rows mean.
    pub when_empty: WhenEmpty,
}

/// The authority that a statement needs, from its parse tree; never the pack's own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Reads PostgreSQL's own catalogs, statistics views and functions.
    Read,
    /// Reads relations outside the catalogs: users' data.
    Data,
    /// VACUUM, ANALYZE, REINDEX CONCURRENTLY.
    Maintain,
    /// Cancels or terminates backends.
    Signal,
    /// Changes rows.
    Write,
}

impl Class {
    /// As trust policies and envelopes write it: `read`, `data`, `maintain`, `signal` or `write`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Data => "data",
            Self::Maintain => "maintain",
            Self::Signal => "signal",
            Self::Write => "write",
        }
    }
}

/// What the choice of a variant needs to know of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// `server_version_num`, for example 150018.
    pub version_num: u32,
    /// `pg_is_in_recovery()`.
    pub in_recovery: bool,
    /// Installed extensions: name, version, schema.
    pub extensions: Vec<(String, String, String)>,
}

/// A proven statement with one variant chosen and its inputs checked and substituted: the only thing that a target
/// executes. Made by `ProvenStatement::bind` and nothing else.
#[derive(Clone, Debug)]
pub struct BoundStatement {
    pub(crate) id: std::sync::Arc<str>,
    pub(crate) mode: Mode,
    /// Final text: `$n` only, identifiers substituted.
    pub(crate) sql: std::sync::Arc<str>,
    /// The bound inputs in `$n` order, with their declared kinds; `Value::Null` is allowed for any kind.
    pub(crate) inputs: Vec<(InputKind, Value)>,
    pub(crate) columns: std::sync::Arc<[Column]>,
    pub(crate) max_rows: u32,
    /// `None`: no statement timeout (only `maintain`).
    pub(crate) timeout: Option<std::time::Duration>,
    pub(crate) when_empty: WhenEmpty,
}
