//! Values that cross boundaries: arguments, pins, statement inputs, cells and whole results. Plain data, no behaviour
//! beyond conversion to JSON; every other room may know it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One value. The same seven shapes as the contract's `value`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Absent.
    Null,
    /// True or false.
    Boolean(bool),
    /// A signed 64-bit integer.
    Integer(i64),
    /// A finite double.
    Number(f64),
    /// Unicode text without NUL.
    Text(String),
    /// A list of integers.
    Integers(Vec<i64>),
    /// A list of texts.
    Texts(Vec<String>),
}

impl Value {
    /// The name of the value's shape, as the contract calls it.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Number(_) => "number",
            Self::Text(_) => "text",
            Self::Integers(_) => "integers",
            Self::Texts(_) => "texts",
        }
    }

    /// As JSON. A number that is not finite becomes `null`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or(serde_json::Value::Null)
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// PostgreSQL `bool`.
    Boolean,
    /// PostgreSQL `int2`, `int4`, `int8`, `oid`.
    Integer,
    /// PostgreSQL `float4`, `float8`.
    Number,
    /// PostgreSQL `text`, `varchar`, `name`.
    Text,
    /// Text of somebody's SQL; literals are removed before anyone sees it.
    Query,
}

impl ColumnKind {
    /// As the contract calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text => "text",
            Self::Query => "query",
        }
    }
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its cells are (or null).
    pub kind: ColumnKind,
}

/// A result: columns and rows, bounded by whoever made it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowSet {
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// Each row has one value a column.
    pub rows: Vec<Vec<Value>>,
}

/// A titled result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Redacted and bounded.
    pub rows: Arc<RowSet>,
}

/// How a diagnosis rates one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Fine.
    Ok,
    /// Worth knowing.
    Notice,
    /// Needs looking at.
    Warning,
    /// Needs acting on.
    Critical,
}

/// One conclusion of a diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
}
