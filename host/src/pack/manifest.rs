//! What a pack declares, as plain data owned by the host. Serialised canonically, it is what the envelope's manifest
//! digest covers.

use serde::{Deserialize, Serialize};

use crate::{statement::Statement, value::Value};

/// How dangerous an action is, by its publisher's signed word and never below the floor of its statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Reads.
    Low,
    /// Work that costs, and harms nothing.
    Medium,
    /// Interrupts somebody's work.
    High,
    /// Never by default.
    Critical,
}

impl Risk {
    /// `low`, `medium`, `high` or `critical`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// The type of an argument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ParamKind {
    /// `true` or `false`.
    Boolean,
    /// A whole number, bounds inclusive.
    Integer {
        /// Lowest.
        min: i64,
        /// Highest.
        max: i64,
    },
    /// A number, bounds inclusive.
    Number {
        /// Lowest.
        min: f64,
        /// Highest.
        max: f64,
    },
    /// Text that matches a pattern as a whole.
    Text {
        /// In characters.
        max_length: u32,
        /// A regular expression.
        pattern: String,
    },
    /// `^[a-zA-Z_][a-zA-Z0-9_]{0,62}$`
    Identifier,
    /// One of a list.
    Choice {
        /// The list.
        options: Vec<String>,
    },
}

/// The pattern of an identifier argument.
pub const IDENTIFIER_PATTERN: &str = "^[a-zA-Z_][a-zA-Z0-9_]{0,62}$";

/// An argument of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// For people and models.
    pub description: String,
    /// Its type.
    pub kind: ParamKind,
    /// Whether a call must give it.
    pub required: bool,
    /// `Null` where there is none.
    pub default: Value,
}

/// A call that makes sense, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// What an on-call person would say.
    pub situation: String,
    /// The arguments as a JSON object, as text.
    pub arguments: String,
}

/// An action as a pack declares it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Without the pack's name.
    pub name: String,
    /// A few words.
    pub title: String,
    /// A few sentences.
    pub description: String,
    /// Declared risk.
    pub risk: Risk,
    /// In order.
    pub params: Vec<Param>,
    /// Ids of the statements that `run` may request.
    pub run_statements: Vec<String>,
    /// Ids of the statements that `preview` may request; all of mode `read`.
    pub preview_statements: Vec<String>,
    /// Empty for a read.
    pub side_effects: String,
    /// Privileges that it needs, each in one of the forms of [`crate::privilege::Privilege`].
    pub privileges: Vec<String>,
    /// Whether it works on a standby.
    pub works_on_standby: bool,
    /// Whether twice is no more than once.
    pub idempotent: bool,
    /// Calls that make sense.
    pub examples: Vec<Example>,
    /// Other words for what it is about, for search.
    pub search_terms: Vec<String>,
}

/// All that a pack declares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The pack's name.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// An https address or empty.
    pub homepage: String,
    /// Its actions.
    pub actions: Vec<Action>,
    /// Its statements.
    pub statements: Vec<Statement>,
}
