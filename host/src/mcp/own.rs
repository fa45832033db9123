//! lockgate's own tools: their names, what clients are told of them, and in which face each is listed. What they answer is
//! in `calling`, [`catalogue`](super::catalogue) and [`recent`](super::recent).

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use super::{
    McpSettings,
    face::Shown,
    schema::{self, Schema},
};
use crate::runs::{LONGEST_PAGE, RunState};

/// Longest question to `find_actions`, in characters: what the search reads.
pub use crate::search::LONGEST_QUERY;
/// Most actions that one question finds, and how many without being asked. A model that reads more has not asked well.
pub const MOST_FOUND: usize = 20;
/// See [`MOST_FOUND`].
pub const USUALLY_FOUND: usize = 5;
/// Runs on a page if the caller does not say.
pub const USUAL_RUNS: usize = 10;
/// Longest name of an action that is looked at: two names of packs' and actions' greatest length and what parts them.
pub const LONGEST_NAME: usize = 130;

/// One of lockgate's own tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Takes up a held call.
    AwaitApproval,
    /// Ranks actions by words.
    FindActions,
    /// Describes one action.
    GetAction,
    /// Lists the principal's latest runs.
    RecentRuns,
    /// Runs an action by its name.
    RunAction,
}

impl Own {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::AwaitApproval, Self::FindActions, Self::GetAction, Self::RecentRuns, Self::RunAction];

    /// Its name with a dot.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AwaitApproval => "lockgate.await_approval",
            Self::FindActions => "lockgate.find_actions",
            Self::GetAction => "lockgate.get_action",
            Self::RecentRuns => "lockgate.recent_runs",
            Self::RunAction => "lockgate.run_action",
        }
    }

    /// The tool of this name, with a dot. It answers in either face, so that a client with an older list is not stranded.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.name() == name)
    }

    /// Whether a face lists it.
    #[must_use]
    pub fn is_in(self, face: Shown) -> bool {
        match self {
            Self::AwaitApproval | Self::RecentRuns => true,
            Self::FindActions | Self::GetAction | Self::RunAction => face == Shown::Catalogue,
        }
    }

    /// As clients see it.
    #[must_use]
    pub fn tool(self, settings: &McpSettings) -> Tool {
        let say = |own: Self| settings.separator.outward(own.name()).into_owned();
        let (title, description) = match self {
            Self::AwaitApproval => (
                "Wait for an approval",
                "Takes up a call that is held for a person's approval: waits for the decision, and once it is approved \
                 answers with the call's own result. Give the approval id of the pending result. It decides nothing, runs \
                 the held call at most once, and may be called again as often as the answer is pending. With `withdraw` it \
                 takes back a request that is not needed any more, so that nobody is asked for nothing."
                    .to_owned(),
            ),
            Self::FindActions => (
                "Find actions",
                format!(
                    "Finds the actions that fit what you see or want, best first, and says why each does. Ask in the words \
                     of the problem, such as: checkout is stuck on a lock. It answers that nothing fits rather than \
                     naming something near. Then `{}` describes one and `{}` runs it.",
                    say(Self::GetAction),
                    say(Self::RunAction)
                ),
            ),
            Self::GetAction => (
                "Describe an action",
                format!(
                    "Says all there is to know of one action: its arguments as a JSON Schema, its risk and whether a person \
                     must approve, its targets, side effects, the columns of its answer, and examples as whole calls of \
                     `{}`.",
                    say(Self::RunAction)
                ),
            ),
            Self::RecentRuns => (
                "Recent runs",
                "Lists your own latest calls as the record has them, the newest first: what ran where, how it ended, and \
                 what is still held. Look here when an answer was lost, before calling anything again."
                    .to_owned(),
            ),
            Self::RunAction => (
                "Run an action",
                format!(
                    "Runs one declared action. `arguments` holds what the action itself takes, as `{}` describes; `target` \
                     and `reason` stand beside it. A read answers at once. An act that a person must approve answers \
                     pending: then call `{}` and do not repeat this call.",
                    say(Self::GetAction),
                    say(Self::AwaitApproval)
                ),
            ),
        };
        let (input, output) = match self {
            Self::AwaitApproval => (schema::await_input(settings.hold_wait, settings.longest_wait), schema::output()),
            Self::FindActions => (find_input(), find_output()),
            Self::GetAction => (get_input(), get_output()),
            Self::RecentRuns => (recent_input(), recent_output()),
            Self::RunAction => (run_input(), schema::output()),
        };
        let hints = ToolAnnotations::with_title(title).open_world(false);
        let hints = match self {
            // It lets an approved act happen, so it does not claim to be a read.
            Self::AwaitApproval => hints.read_only(false).destructive(false).idempotent(true),
            // It may be any action's call, so it promises nothing.
            Self::RunAction => hints.read_only(false).destructive(true).idempotent(false),
            Self::FindActions | Self::GetAction | Self::RecentRuns => {
                hints.read_only(true).destructive(false).idempotent(true)
            }
        };
        Tool::new(say(self), description, Arc::new(input))
            .with_title(title)
            .with_raw_output_schema(Arc::new(output))
            .with_annotations(hints)
    }
}

fn properties(of: Value) -> Map<String, Value> {
    match of {
        Value::Object(properties) => properties,
        _ => Map::new(),
    }
}

fn find_input() -> Schema {
    let of = json!({
        "query": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_QUERY,
            "description": "What you see or want, in the words of whoever is on call.",
            "examples": ["checkout is stuck on a lock", "replica is behind"],
        },
        "limit": {
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_FOUND,
            "default": USUALLY_FOUND,
            "description": "How many actions at most.",
        },
    });
    schema::object(properties(of), vec!["query".into()])
}

fn get_input() -> Schema {
    schema::object(properties(json!({ "action": action_schema() })), vec!["action".into()])
}

fn action_schema() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_NAME,
        "description": "The action's full name, such as postgres.activity_states.",
    })
}

fn run_input() -> Schema {
    let mut of = properties(json!({
        "action": action_schema(),
        "arguments": {
            "type": "object",
            "description": "What the action itself takes; {} if it takes nothing.",
            "default": {},
        },
        "target": {
            "type": "string",
            "description": "Which server; may be left out where there is one.",
        },
    }));
    of.extend(schema::of_every_call());
    schema::object(of, vec!["action".into(), "reason".into()])
}

fn recent_input() -> Schema {
    let states: Vec<&str> = RunState::ALL.iter().map(|state| state.as_str()).collect();
    let of = json!({
        "limit": {
            "type": "integer",
            "minimum": 1,
            "maximum": LONGEST_PAGE,
            "default": USUAL_RUNS,
            "description": "How many runs at most.",
        },
        "action": {
            "type": "string",
            "maxLength": LONGEST_NAME,
            "description": "Only runs of this action; `*` stands for any characters, as in postgres.*",
        },
        "target": { "type": "string", "maxLength": 64, "description": "Only runs on this target." },
        "state": { "type": "string", "enum": states, "description": "Only runs in this state." },
        "cursor": {
            "type": "string",
            "maxLength": 256,
            "description": "The `next_cursor` of an earlier answer, for the runs before those.",
        },
    });
    schema::object(properties(of), Vec::new())
}

/// An answer's own parts beside those of a refusal, since some clients check refusals against the schema as well.
fn answers(status: &str, own: Value) -> Schema {
    let mut of = properties(own);
    of.extend(schema::refusal_properties());
    of.insert("status".into(), json!({ "enum": [status, "nothing_fits", "refused"] }));
    let mut schema = schema::object(of, vec!["status".into()]);
    schema.remove("additionalProperties");
    schema
}

fn find_output() -> Schema {
    let text = || json!({ "type": "string" });
    let own = json!({
        "actions": { "type": "array", "items": {
            "type": "object",
            "properties": {
                "name": text(),
                "title": text(),
                "summary": text(),
                "why": { "type": "array", "items": text() },
                "risk": text(),
                "held": { "type": "boolean" },
                "read_only": { "type": "boolean" },
                "arguments": { "type": "object" },
                "targets": { "type": "array", "items": text() },
            },
            "required": ["name", "title", "why", "risk", "held", "read_only"],
        }},
        "packs": { "type": "array", "items": { "type": "object" } },
        "next": { "type": "object" },
    });
    answers("found", own)
}

fn get_output() -> Schema {
    let own = json!({
        "action": {
            "type": "object",
            "properties": {
                "name": { "type": "string" },
                "input_schema": { "type": "object" },
                "targets": { "type": "array", "items": { "type": "object" } },
                "examples": { "type": "array", "items": { "type": "object" } },
            },
            "required": ["name", "input_schema", "targets", "examples"],
        },
    });
    answers("described", own)
}

fn recent_output() -> Schema {
    let own = json!({
        "runs": { "type": "array", "items": {
            "type": "object",
            "properties": { "run": { "type": "string" }, "state": { "type": "string" }, "action": { "type": "string" } },
            "required": ["run", "state", "action"],
        }},
        "next_cursor": { "type": "string" },
    });
    answers("listed", own)
}
