//! Standing approvals as the store keeps them: bounded grants that let calls through without asking each time. What is granted
//! is fixed when it is proposed; it takes force by votes, each use is claimed and counted in one transaction, and it ends by
//! time, by use or by being revoked. Whether a grant covers a call is worked out in `approval`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{model::RequestDigest, voter::Voter};

/// The most uses of one standing approval. Whoever needs more wants a rule of policy.
pub const MOST_USES: u32 = 1_000;

/// The longest that one is in force: 90 days from its proposal.
pub const LONGEST_STANDING: std::time::Duration = std::time::Duration::from_secs(90 * 24 * 60 * 60);

/// Who may use it: what a door authenticated, never what a caller says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Beneficiary {
    /// One agent acting for one person, or for nobody who is named.
    Agent {
        /// Its name.
        agent: String,
        /// The person it acts for.
        person: Option<String>,
    },
    /// Every agent with this role.
    Role(String),
}

/// What one argument of a call may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Bound {
    /// This very value.
    Equal(serde_json::Value),
    /// One of these values.
    OneOf(Vec<serde_json::Value>),
    /// A text that fits this pattern, in which `*` stands for any run of characters.
    Glob(String),
    /// A number from the one to the other, both included.
    Range {
        /// The least.
        min: serde_json::Number,
        /// The most.
        max: serde_json::Number,
    },
}

/// All that one lets through. Nothing of it may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who may use it.
    pub to: Beneficiary,
    /// `pack.action`.
    pub action: String,
    /// SHA-256 of the component, hexadecimal: another version of the pack is not covered.
    pub pack_digest: String,
    /// The risk that it was proposed at; never `critical`, and no call of a higher one is covered.
    pub risk: String,
    /// Every argument of a call by name. A call with another argument, or without one of these, is not covered.
    pub arguments: BTreeMap<String, Bound>,
    /// Each target by name, with what it turned out to be: a name that now means another server is not covered.
    pub targets: BTreeMap<String, String>,
    /// How often.
    pub uses: u32,
    /// Until when.
    pub until: Timestamp,
    /// How many people must approve it: as many as policy asks for one such call.
    pub needed: u32,
    /// Groups of which each of them must have one; empty if policy names none.
    pub approvers: BTreeSet<String>,
}

/// A standing approval that somebody proposes; made by `approval::standing`.
#[derive(Clone, Debug)]
pub struct NewStanding {
    /// `sta_` and 16 characters.
    pub id: String,
    /// Over the id, the request it comes from and the grant.
    pub digest: RequestDigest,
    /// The approval that it was made from.
    pub source: String,
    /// What it lets through.
    pub grant: Grant,
    /// Who proposes it.
    pub proposed_by: String,
    /// Why.
    pub reason: String,
}

/// A vote for a proposed standing approval.
#[derive(Clone, Debug)]
pub struct StandingVote {
    /// Which.
    pub id: String,
    /// Who.
    pub voter: Voter,
    /// Why; it must say something.
    pub reason: String,
    /// The digest that was on their screen.
    pub digest_shown: RequestDigest,
    /// When.
    pub now: Timestamp,
}

/// Such a vote as it was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StandingCast {
    /// Who.
    pub person: String,
    /// Every name of theirs, as names are compared.
    pub names: BTreeSet<String>,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// How one stands at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StandingState {
    /// Waits for an admin.
    Proposed,
    /// Lets calls through.
    Active,
    /// Every use was made.
    UsedUp,
    /// Its time has run out.
    Expired,
    /// Taken back, or never granted.
    Revoked,
}

impl StandingState {
    /// Its name for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Active => "active",
            Self::UsedUp => "used_up",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl std::fmt::Display for StandingState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When, by whom and why one was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StandingRevoked {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A standing approval and what has become of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StandingApproval {
    /// `sta_` and 16 characters.
    pub id: String,
    /// What a vote must carry.
    pub digest: RequestDigest,
    /// The approval that it was made from.
    pub source: String,
    /// What it lets through.
    pub grant: Grant,
    /// When it was proposed.
    pub proposed_at: Timestamp,
    /// By whom.
    pub proposed_by: String,
    /// Why.
    pub reason: String,
    /// Who approved it.
    pub votes: Vec<StandingCast>,
    /// Since when it lets calls through.
    pub approved_at: Option<Timestamp>,
    /// How often it was used.
    pub used: u32,
    /// Set when it was taken back.
    pub revoked: Option<StandingRevoked>,
}

impl StandingApproval {
    /// How it stands at a time.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> StandingState {
        if self.revoked.is_some() {
            StandingState::Revoked
        } else if now >= self.grant.until {
            StandingState::Expired
        } else if self.approved_at.is_none() {
            StandingState::Proposed
        } else if self.used >= self.grant.uses {
            StandingState::UsedUp
        } else {
            StandingState::Active
        }
    }

    /// How often it may still be used.
    #[must_use]
    pub fn uses_left(&self) -> u32 {
        self.grant.uses.saturating_sub(self.used)
    }

    /// Whether one person both proposed it and approved it, with nobody else: possible where there is one person, and said.
    #[must_use]
    pub fn is_of_one_person(&self) -> bool {
        let by = super::person_key(&self.proposed_by);
        !self.votes.is_empty() && self.votes.iter().all(|vote| vote.names.contains(&by))
    }

    /// Those who approved it, for people.
    #[must_use]
    pub fn approved_by(&self) -> String {
        self.votes.iter().map(|vote| vote.person.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// A use that is to be claimed.
#[derive(Clone, Debug)]
pub struct NewUse {
    /// The run that it lets through; one run uses one once.
    pub run: String,
    /// The process that will execute it.
    pub instance: String,
    /// The agent.
    pub agent: String,
    /// The person it acts for.
    pub person: Option<String>,
    /// Where.
    pub target: String,
}

/// A use as it was claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StandingUse {
    /// Which one it was, from 1.
    pub number: u32,
    /// The run that it let through.
    pub run: String,
    /// The agent.
    pub agent: String,
    /// The person it acted for.
    pub person: Option<String>,
    /// Where.
    pub target: String,
    /// When.
    pub at: Timestamp,
}

/// A use that this process has claimed, durably: the executor asks for one. Only the store's `use_standing` makes it, and it
/// can't be copied.
#[derive(Debug, PartialEq)]
pub struct ClaimedUse {
    standing: StandingApproval,
    run: String,
}

impl ClaimedUse {
    // INVARIANT: called only after the claim has been committed.
    pub(super) fn new(standing: StandingApproval, run: String) -> Self {
        Self { standing, run }
    }

    /// The standing approval, this use counted.
    #[must_use]
    pub fn standing(&self) -> &StandingApproval {
        &self.standing
    }

    /// The run that it was claimed for.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }
}
