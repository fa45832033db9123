//! What the agent's process tells the process that narrates, one JSON object a line on its standard output.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// One thing that the agent did or saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// The handshake is done and the tools are listed.
    Connected {
        /// The protocol revision that client and server agreed on.
        protocol: String,
        /// How many tools there are.
        tools: usize,
    },
    /// What the agent concludes.
    Thinks {
        /// In a sentence.
        text: String,
    },
    /// It calls a tool.
    Calls {
        /// The tool.
        tool: String,
        /// With what.
        arguments: Map<String, Json>,
    },
    /// The tool answered.
    Answered {
        /// The result's summary.
        summary: String,
        /// The result's first table, if it has one: column names and rows as text.
        #[serde(default)]
        table: Vec<Vec<String>>,
        /// Rows that are not shown.
        #[serde(default)]
        more: usize,
        /// Who approved, for what was held.
        #[serde(default)]
        approved_by: Option<String>,
    },
    /// A held call answered *pending*; the agent goes on waiting.
    Pending {
        /// The approval.
        approval: String,
    },
}

impl Event {
    /// Tells the narrator.
    pub(super) fn tell(&self) {
        super::super::terminal::say_json(self);
    }
}
