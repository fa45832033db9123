//! What is asked of the runs and what is answered.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    error::{Code, Refusal},
    outside::shown,
};

/// Most runs of one page. A model reads every line of it.
pub const LONGEST_PAGE: usize = 50;

/// Where a run is, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// On the record as begun, and not as ended. If its process was killed, for good.
    Running,
    /// A person is asked.
    Held,
    /// It asked for what was being asked for already: the run that it joined says how that ended.
    Joined,
    /// A person said yes, and it has not ended yet.
    Approved,
    /// Carried out.
    Done,
    /// Refused before anything touched a database.
    Refused,
    /// It began and did not succeed.
    Failed,
    /// An act was sent and nobody saw how it ended.
    Unknown,
    /// A person said no.
    Denied,
    /// Nobody decided, or nobody used the decision, in time.
    Expired,
    /// Taken back before it was decided.
    Withdrawn,
    /// What was asked for is not so any more.
    Superseded,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Running,
        Self::Held,
        Self::Joined,
        Self::Approved,
        Self::Done,
        Self::Refused,
        Self::Failed,
        Self::Unknown,
        Self::Denied,
        Self::Expired,
        Self::Withdrawn,
        Self::Superseded,
    ];

    /// Its name in answers and filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Held => "held",
            Self::Joined => "joined",
            Self::Approved => "approved",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Superseded => "superseded",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RunState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

/// Who looks, and what it may see of its own runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    /// The agent's name.
    pub agent: String,
    /// The person it acts for.
    pub person: Option<String>,
    /// Patterns of the packs it may see; every pack without any.
    pub packs: Option<Vec<String>>,
    /// Patterns of the targets it may see; every target without any.
    pub targets: Option<Vec<String>>,
}

/// Whose runs are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Eyes<'a> {
    /// A principal's own.
    Own(&'a Viewer),
    /// Everybody's: of people who answer for the database.
    All,
}

impl<'a> Eyes<'a> {
    pub(super) fn agent(self) -> Option<&'a str> {
        match self {
            Self::Own(viewer) => Some(&viewer.agent),
            Self::All => None,
        }
    }

    pub(super) fn person(self) -> Option<&'a str> {
        match self {
            Self::Own(viewer) => viewer.person.as_deref(),
            Self::All => None,
        }
    }
}

/// Somebody who has called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPrincipal {
    /// The agent.
    pub agent: String,
    /// The person it acted for.
    pub person: Option<String>,
    /// How many runs of theirs are on the record.
    pub runs: u64,
    /// Through which door they came last.
    pub door: String,
    /// When they called last, RFC 3339.
    pub last: String,
}

/// Which runs are wanted. What is left out does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// A pattern for `pack.action`, in which `*` stands for any run of characters.
    pub action: Option<String>,
    /// A target's name.
    pub target: Option<String>,
    /// The agent's name.
    pub agent: Option<String>,
    /// Where the run is.
    pub state: Option<RunState>,
    /// Begun at this time or later.
    pub since: Option<Timestamp>,
    /// Begun before this time.
    pub until: Option<Timestamp>,
    /// How many at most: 1 to [`LONGEST_PAGE`]; that many without it.
    pub limit: Option<usize>,
    /// [`RunPage::next`] of the page before.
    pub cursor: Option<String>,
}

/// Some runs, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunPage {
    /// They; there may be fewer than were asked for although there are more.
    pub runs: Vec<RunSummary>,
    /// Asks for those before; none when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One run in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunSummary {
    /// Identifies it on the record.
    pub run: String,
    /// Where it is.
    pub state: RunState,
    /// `pack.action`, as it was called; of a refused call whatever the caller wrote.
    pub action: String,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// By which policy decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
    /// `allow` or `approve`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why, in the caller's words.
    pub reason: String,
    /// What spoke for it, in the caller's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// What was to come of it, in the caller's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The caller's own id of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What came of it, in a sentence; of one that did not succeed the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The error code of one that did not succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The approval that it waited or waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// The run whose request it joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
    /// The agent.
    pub agent: String,
    /// The person it acted for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// `stdio` or `http`.
    pub door: String,
    /// When its first line was written, RFC 3339.
    pub started: String,
    /// When the line of its end was written, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Milliseconds that the execution took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// The number of its first line.
    pub first_seq: u64,
    /// The number of its last line.
    pub last_seq: u64,
}

/// One run with its lines of the record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    /// In short.
    pub run: RunSummary,
    /// Its lines in order, each as it stands on the record.
    pub lines: Vec<Json>,
}

/// What somebody is told who asks for a run that there is not, or not for them.
#[must_use]
pub fn unknown_run(run: &str) -> Refusal {
    Refusal::new(Code::UnknownRun, format!("no run `{}` of yours is on the record", shown(run, 40)))
}
