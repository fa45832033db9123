//! Calls of a pack's actions and what came of them, as a run on real servers recorded it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// The recorded calls of one pack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examples {
    /// The server that they were recorded on, such as `PostgreSQL 15.18`.
    pub server: String,
    /// By the action's name without the pack's.
    pub actions: BTreeMap<String, Recorded>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Where.
    pub target: String,
    /// With what.
    pub arguments: Map<String, Json>,
    /// For a call that was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The text that the agent got in the end.
    pub answer: String,
    /// The tables of that answer.
    pub tables: Vec<Shape>,
}

/// What the person who decided was shown of the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The pack's sentence.
    pub evidence: String,
    /// The names of the facts that the approval rested on.
    pub pins: Vec<String>,
}

/// A table without its cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Names of its columns.
    pub columns: Vec<String>,
    /// How many rows it has.
    pub rows: usize,
}
