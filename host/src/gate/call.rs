//! What goes into the gate and what comes out.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Code, Refusal},
    outside::shown,
    pack::manifest::{Example, Param, Risk},
    statement::Role,
};
pub use crate::{
    postgres::Health,
    value::{Finding, Severity, Table},
};

/// Shortest reason, in characters. Shorter ones ("fix", "test") tell an approver nothing.
pub const SHORTEST_REASON: usize = 8;
/// Longest reason, in characters. It is read by a person who is about to decide.
pub const LONGEST_REASON: usize = 500;
/// Longest evidence or expectation, in characters. It stands beside the reason on the approver's page.
pub const LONGEST_WORDS: usize = 1000;
/// Through which door a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// MCP over stdio.
    Stdio,
    /// MCP over streamable HTTP.
    Http,
}

impl Door {
    /// `stdio` or `http`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
        }
    }
}

/// Who calls. Made by a door from what it authenticated, never from what the caller says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The agent's configured name.
    pub agent: String,
    /// The person that the agent acts for, if the operator's configuration names one. That person never approves.
    pub person: Option<String>,
    /// The operating system's user that the agent runs as, where the door can tell.
    pub os_user: Option<String>,
    /// For policy.
    pub roles: Vec<String>,
    /// The door.
    pub door: Door,
    /// What it may see at all, whatever policy says.
    #[serde(default)]
    pub scope: Scope,
    /// Which of its credentials it came with, for the record: a token's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl Principal {
    /// Who is counted as one: an agent acting for a person, whichever credential it came with.
    #[must_use]
    pub fn caller(&self) -> String {
        // A control character is in no name that a door takes, so two callers never make one text.
        format!("{}\0{}", self.agent, self.person.as_deref().unwrap_or_default())
    }

    /// Whether what one may see and do is what the other may, whichever of its credentials each came with.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let bare = |one: &Self| Self { credential: None, ..one.clone() };
        bare(self) == bare(other)
    }
}

/// The packs and targets that a credential opens, as patterns in which `*` is any run of characters. What is outside does not exist for its bearer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Names of packs; every pack without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packs: Option<Vec<String>>,
    /// Names of targets; every target without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<String>>,
}

/// One call.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// `pack.action`.
    pub action: String,
    /// A target's name; may be left out where there is one.
    pub target: Option<String>,
    /// As the caller gave them; nothing has been checked.
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// Why, in the caller's words.
    pub reason: String,
    /// What the caller has seen that speaks for it, in its words; an approver reads it.
    pub evidence: Option<String>,
    /// What the caller expects to come of it, in its words; an approver reads it.
    pub expected: Option<String>,
    /// Names the call, so that a lost answer is found again and nothing is done twice.
    pub operation: Option<String>,
}

/// An action as it is offered to one principal: what a door needs to describe it, and no more.
#[derive(Clone, Debug, PartialEq)]
pub struct OfferedAction {
    /// `pack.action`.
    pub name: String,
    /// A few words.
    pub title: String,
    /// A few sentences.
    pub description: String,
    /// As signed, or as the operator raised it.
    pub risk: Risk,
    /// In declared order.
    pub params: Vec<Param>,
    /// Empty for a read.
    pub side_effects: String,
    /// Whether it works on a standby.
    pub works_on_standby: bool,
    /// Whether twice is no more than once.
    pub idempotent: bool,
    /// Whether every statement it may request is of mode `read`.
    pub reads_only: bool,
    /// Whether policy holds this principal's call for a person, or may by its arguments, its target or the time.
    pub held: bool,
    /// Calls that make sense.
    pub examples: Vec<Example>,
    /// Other words for what it is about, for search.
    pub search_terms: Vec<String>,
    /// Where this principal may run it.
    pub targets: Vec<TargetOffer>,
}

/// A target that a principal may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetOffer {
    /// Its configured name.
    pub name: String,
    /// Its place in the topology; `Any` where that is not known.
    pub role: Role,
    /// Whether it answered when it was last asked.
    pub health: Health,
}

/// A target as a principal may know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetState {
    /// Its configured name.
    pub name: String,
    /// Its place in the topology; `Any` where that is not known.
    pub role: Role,
    /// Whether it answered when it was last asked.
    pub health: Health,
    /// The server's version as it numbers itself: 170004 is 17.4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_num: Option<u32>,
    /// Since when it has this health, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When it was last asked, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// Why it could not be reached, redacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How long a held call waits, whom it tells, and how it is called off.
#[derive(Clone, Debug)]
pub struct Hold {
    /// How long to wait for a decision before answering *pending*.
    pub wait: Duration,
    /// Told how a held call stands while its caller waits.
    pub progress: Option<tokio::sync::mpsc::UnboundedSender<Progress>>,
    /// The caller's own cancellation.
    pub cancel: CancellationToken,
}

/// What a caller hears while its call is held, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// It is held, and this is what a person is asked.
    Held(Box<Pending>),
    /// About every second: it still waits for a person.
    Waiting {
        /// Since the caller began to wait.
        waited: Duration,
    },
    /// People have let it through, and it is being run.
    Approved,
    /// About every second: a call of the same operation is being carried out, and its answer will be this one's.
    Underway {
        /// Its run.
        run: String,
    },
}

/// The action that a diagnosis would take next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// `pack.action`.
    pub action: String,
    /// Its arguments.
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// One sentence.
    pub why: String,
}

/// A call that was carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Identifies the run on the record.
    pub run: String,
    /// `pack.action`.
    pub action: String,
    /// Where it ran.
    pub target: String,
    /// One sentence.
    pub summary: String,
    /// Results, redacted and bounded.
    pub tables: Vec<Table>,
    /// Remarks, the server's notices among them.
    pub notices: Vec<String>,
    /// For a diagnosis.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// For a diagnosis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Suggestion>,
    /// Set when a person approved: the id of the approval, or of the standing approval, and who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approved>,
    /// True if the act happened but its end could not be put on the record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub record_degraded: bool,
    /// True if this answers a call that was made before under the same operation id: nothing ran for this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// True if the result was too large to be kept for a replay: tables, findings and notices are left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub result_not_kept: bool,
}

/// Who let a held call through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// The approval's id, or the standing approval's.
    pub id: String,
    /// The person; of a standing approval that took several, all of them.
    pub by: String,
}

/// A held call that has not come to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Identifies the run on the record.
    pub run: String,
    /// Give it to `lockgate.await_approval`.
    pub approval: String,
    /// `pack.action`.
    pub action: String,
    /// Where it would run.
    pub target: String,
    /// When it expires, RFC 3339.
    pub expires_at: String,
    /// Hex digest of the request that a person decides on, as the person sees it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// How it stands, in one sentence.
    pub message: String,
    /// Where a person finds it, if the operator has said where people go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Whether people have let it through already, so that only its result is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approved: bool,
    /// Whether the call asked for what was being asked for already: people have been told of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
    /// True if this answers a call that was made before under the same operation id: no request was made for this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

/// Where a held call stands at a moment, for somebody who does not wait.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldCall {
    /// What is asked of people.
    pub pending: Pending,
    /// When it was asked.
    pub asked_at: jiff::Timestamp,
    /// When it last changed.
    pub changed_at: jiff::Timestamp,
    /// The deadline that applies: to be decided or, once approved, to be executed. None once it has begun to run.
    pub until: Option<jiff::Timestamp>,
    /// How it ended, if it has: what the call itself would be answered.
    pub end: Option<Result<Box<Outcome>, Refused>>,
}

/// The refusal of an approval that is not there, or is somebody else's: nobody can tell which.
#[must_use]
pub fn unknown_approval(id: &str) -> Refusal {
    Refusal::new(Code::UnknownApproval, format!("no approval `{}` of yours is known here", shown(id, 40)))
}

/// The gate's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Carried out.
    Done(Box<Outcome>),
    /// Held.
    Pending(Box<Pending>),
}

/// The gate's refusal, with the run it is on the record under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Identifies the run on the record; empty if nothing could be recorded.
    pub run: String,
    /// Why.
    pub refusal: Refusal,
}
