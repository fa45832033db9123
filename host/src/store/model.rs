//! What the store keeps of an approval: plain data that every room above may read. The rules of who may move it from one
//! state to the next are in [`super::Store`]; the digest that binds it is made in `approval`.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{pin::Pin, review::Seen, state::State, voter};

/// How long a person has to decide, unless policy says otherwise: an incident's own time scale.
pub const DECIDE_WITHIN: Duration = Duration::from_secs(60 * 60);

/// How long an approval may be used after it was given, unless policy says otherwise: what the approver saw ages.
pub const EXECUTE_WITHIN: Duration = Duration::from_secs(15 * 60);

/// The SHA-256 that binds a decision to everything it was made on. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestDigest(pub [u8; 32]);

impl fmt::Display for RequestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RequestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a request digest is 64 lower-case hexadecimal digits; copy it from the approval")]
pub struct RequestDigestError;

impl FromStr for RequestDigest {
    type Err = RequestDigestError;

    fn from_str(text: &str) -> Result<Self, RequestDigestError> {
        let mut bytes = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(RequestDigestError);
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(RequestDigestError),
        };
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for RequestDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Who asked: an agent, and the person it acts for. From what a door authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// The agent's configured name.
    pub agent: String,
    /// The person it acts for, if the operator's configuration names one.
    pub person: Option<String>,
    /// The operating system's user that the agent runs as, where the door can tell (stdio).
    pub os_user: Option<String>,
    /// For policy.
    pub roles: BTreeSet<String>,
    /// The door: `stdio` or `http`. Not part of the digest: it is how they came, not who they are.
    pub door: String,
}

/// A name as it is compared: trimmed, without regard to case.
#[must_use]
pub fn person_key(name: &str) -> String {
    name.trim().to_lowercase()
}

impl Requester {
    /// Whether the two are the same agent acting for the same person.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.agent == other.agent && self.person == other.person
    }

    /// Whether a person of this name is behind the request, as far as anyone can tell.
    ///
    /// The agent's own name always is. Where the operator's configuration names no person, so is the operating system's
    /// user that the agent runs as: the likeliest person to have started it. A named person is who it is: the operator may
    /// well run agents of many people under one account, also under the approver's own.
    #[must_use]
    pub fn is_behind(&self, person: &str) -> bool {
        let key = person_key(person);
        let is = |name: &str| person_key(name) == key;
        is(&self.agent) || self.behind().is_some_and(is)
    }

    /// The person behind the agent, as far as anyone can tell: the named one, or else the user that the agent runs as. If
    /// neither is known, no single approver can be shown to be somebody else.
    #[must_use]
    pub fn behind(&self) -> Option<&str> {
        [&self.person, &self.os_user].into_iter().flatten().map(|name| name.trim()).find(|name| !name.is_empty())
    }
}

/// Everything that is asked for, fixed when the request is made; the store refuses to change any of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// Identifies the run on the record.
    pub run: String,
    /// Who asked.
    pub requester: Requester,
    /// `pack.action`.
    pub action: String,
    /// SHA-256 of the pack's component, hexadecimal.
    pub pack_digest: String,
    /// `low`, `medium`, `high` or `critical`.
    pub risk: String,
    /// The target's configured name.
    pub target: String,
    /// What the target turned out to be, so that a name that now means another server is noticed.
    pub target_identity: String,
    /// Validated, defaults filled in.
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// Why, in the agent's words.
    pub reason: String,
    /// What the agent saw that speaks for it, in its words.
    pub agent_evidence: Option<String>,
    /// What the agent expects to come of it, in its words.
    pub agent_expected: Option<String>,
    /// The agent's name for the operation, if it gave one.
    pub operation: Option<String>,
    /// The policy rule that held the call.
    pub rule: String,
    /// SHA-256 of the policy, hexadecimal.
    pub policy_digest: String,
    /// The facts that the approval rests on.
    pub pins: Vec<Pin>,
    /// What a person is shown: an object of `summary` and `tables`. Not looked into here.
    pub evidence: serde_json::Value,
    /// How many different people must say yes; at least one.
    pub needed: u32,
    /// Roles of which an approver must have one; empty if anyone who may decide may approve.
    pub approvers: BTreeSet<String>,
    /// Whether who approves must say why.
    pub reason_required: bool,
    /// See [`DECIDE_WITHIN`].
    #[serde(skip)]
    pub decide_within: Duration,
    /// See [`EXECUTE_WITHIN`].
    #[serde(skip)]
    pub execute_within: Duration,
}

/// A request that has its id and its digest; made by `approval::request`.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// `apr_` and 16 characters.
    pub id: String,
    /// What makes two requests for the same thing differ.
    pub nonce: [u8; 32],
    /// Over the request and the nonce.
    pub digest: RequestDigest,
    /// What is asked for.
    pub request: Request,
}

/// What a person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Yes.
    Approve,
    /// No.
    Deny,
}

impl Decision {
    /// `approve` or `deny`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// A person's vote, on its way in.
#[derive(Clone, Debug)]
pub struct Vote {
    /// The approval.
    pub id: String,
    /// Who, as the portal or the command line authenticated them; never an agent.
    pub person: String,
    /// Whatever else this person is called: none of these names counts as somebody else.
    pub also_known_as: BTreeSet<String>,
    /// The groups that the operator put this person in.
    pub roles: BTreeSet<String>,
    /// What they say.
    pub decision: Decision,
    /// Why; may be empty.
    pub reason: String,
    /// The digest that was on their screen.
    pub digest_shown: RequestDigest,
    /// The evidence that was on their screen.
    pub seen: Seen,
    /// When.
    pub now: Timestamp,
}

impl Vote {
    /// Every name of the voter, as names are compared.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<String> {
        voter::keys(&self.person, &self.also_known_as)
    }
}

/// A vote as it was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CastVote {
    /// Who.
    pub person: String,
    /// What they said last.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A request for approval and what has become of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Approval {
    /// `apr_` and 16 characters.
    pub id: String,
    /// What a vote must carry.
    pub digest: RequestDigest,
    /// What makes two requests for the same thing differ.
    #[serde(skip)]
    pub nonce: [u8; 32],
    /// What was asked for.
    pub request: Request,
    /// As last written; see [`Approval::state_at`].
    pub state: State,
    /// When it was asked.
    pub created_at: Timestamp,
    /// From when on it can no longer be decided.
    pub decide_by: Timestamp,
    /// From when on it can no longer be executed; set by the approval.
    pub execute_by: Option<Timestamp>,
    /// When it was approved or denied.
    pub decided_at: Option<Timestamp>,
    /// Whose vote decided.
    pub decided_by: Option<String>,
    /// The reason with that vote, or why it was superseded.
    pub decision_reason: Option<String>,
    /// Each person's vote, in order.
    pub votes: Vec<CastVote>,
    /// When an instance claimed it.
    pub consumed_at: Option<Timestamp>,
    /// Which instance.
    pub consumed_by: Option<String>,
    /// When it came to its terminal state.
    pub finished_at: Option<Timestamp>,
    /// What came out, if it succeeded.
    pub outcome: Option<serde_json::Value>,
    /// What was refused, if it failed or is unknown.
    pub refusal: Option<serde_json::Value>,
}

impl Approval {
    /// The state at a time: one whose time has run out is expired, though nobody may have written that down yet.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> State {
        let limit = match self.state {
            State::Pending => Some(self.decide_by),
            State::Approved => self.execute_by,
            _ => None,
        };
        if limit.is_some_and(|limit| now >= limit) { State::Expired } else { self.state }
    }

    /// How many people have said yes.
    #[must_use]
    pub fn approvals(&self) -> usize {
        self.votes.iter().filter(|vote| vote.decision == Decision::Approve).count()
    }
}

/// Which approvals to list; newest first.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of these states; empty for all.
    pub states: Vec<State>,
    /// Asked at or after.
    pub since: Option<Timestamp>,
    /// Asked before.
    pub before: Option<Timestamp>,
    /// At most so many; the store lists no more than a thousand.
    pub limit: Option<u32>,
}

/// What [`super::Store::create`] did.
#[derive(Clone, Debug, PartialEq)]
pub enum Creation {
    /// A new request; the older one, if any, asked for the same call on other facts and has been superseded by it.
    Created {
        /// The new one.
        approval: Box<Approval>,
        /// The older one.
        superseded: Option<Box<Approval>>,
    },
    /// The same request is pending already: this one.
    Joined(Box<Approval>),
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Terminal {
    /// With an outcome.
    Succeeded(serde_json::Value),
    /// With a refusal; the effect did not come about.
    Failed(serde_json::Value),
    /// Nobody can say; with what is known.
    Unknown(serde_json::Value),
}

/// An approval that this process has claimed, durably: the executor asks for one. Only the store's `consume` makes it, and
/// it can't be copied.
#[derive(Debug, PartialEq)]
pub struct ConsumedApproval {
    approval: Approval,
    instance: String,
}

impl ConsumedApproval {
    // INVARIANT: called only after the claim has been committed.
    pub(super) fn new(approval: Approval, instance: String) -> Self {
        Self { approval, instance }
    }

    /// What was approved.
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// The instance that claimed it.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn requester(person: Option<&str>, os_user: Option<&str>) -> Requester {
        Requester {
            agent: "pager-bot".into(),
            person: person.map(Into::into),
            os_user: os_user.map(Into::into),
            roles: BTreeSet::new(),
            door: "stdio".into(),
        }
    }

    #[test]
    fn the_person_behind_is_found_whatever_the_case_and_spacing() {
        let known = requester(Some("Ada"), Some("deploy"));
        assert!(known.is_behind(" ADA "));
        assert!(known.is_behind("Pager-Bot"));
        assert!(!known.is_behind("deploy"), "a named person is who it is, not the account it runs under");
        assert!(!known.is_behind("grace"));
        let unknown = requester(None, Some("ada"));
        assert!(unknown.is_behind("Ada"));
        assert!(!unknown.is_behind("grace"));
        assert!(!requester(None, None).is_behind("grace"));
        assert_eq!((known.behind(), unknown.behind()), (Some("Ada"), Some("ada")));
        assert_eq!((requester(None, None).behind(), requester(Some(" "), Some("")).behind()), (None, None));
        assert!(requester(Some(" "), Some("ada")).is_behind("ada"), "a blank name names nobody");
    }

    #[test]
    fn a_digest_reads_back_what_it_writes_and_nothing_else() {
        let digest = RequestDigest(std::array::from_fn(|i| u8::try_from(i * 7).unwrap()));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"A".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<RequestDigest>(), Err(RequestDigestError), "{bad}");
        }
    }
}
