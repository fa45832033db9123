//! Calls that their callers gave a name: what the store keeps of them, so that each is carried out once and its answer can
//! be asked for again. The rules of who may move one from one state to the next are in [`super::Store`].

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::canonical::canonical_object;

/// How many operations of one agent are kept. The oldest that have ended make way.
pub const OPERATIONS_KEPT: u32 = 10_000;

/// The largest answer that is kept, in bytes of its JSON: ten thousand of them are then still a file that one can copy.
pub const RESULT_LIMIT: usize = 256 * 1024;

/// What the preimage of the facts starts with. A change to what follows is a new version.
const DOMAIN: &str = "lockgate operation facts v1";

/// Whose operation, and which.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperationKey {
    /// The agent's configured name.
    pub agent: String,
    /// The person it acts for, if the operator's configuration names one.
    pub person: Option<String>,
    /// As the agent named it.
    pub id: String,
}

/// SHA-256 over what an operation is: the same facts are the same call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactsDigest(pub [u8; 32]);

impl FactsDigest {
    /// Over the action, the target and the validated arguments with their defaults; each part is preceded by its length.
    /// Not over what the agent says of the call: who asks again may word it anew.
    #[must_use]
    pub fn of(action: &str, target: &str, arguments: &serde_json::Map<String, serde_json::Value>) -> Self {
        let mut hash = Sha256::new();
        for part in [DOMAIN, action, target, &canonical_object(arguments)] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.finalize().into())
    }
}

/// An operation on its way in.
#[derive(Clone, Debug)]
pub struct NewOperation {
    /// Whose, and which.
    pub key: OperationKey,
    /// Identifies the run on the record.
    pub run: String,
    /// The process that would carry it out.
    pub instance: String,
    /// `pack.action`.
    pub action: String,
    /// The target's configured name.
    pub target: String,
    /// Over all that it is.
    pub facts: FactsDigest,
    /// How long answers are kept after their end.
    pub keep: Duration,
}

/// What has become of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationState {
    /// A process has claimed it and may be carrying it out.
    Running,
    /// It waits for people, or runs after they approved; its approval says which.
    Held,
    /// It has ended: with a result, or as its approval did.
    Done,
}

/// An operation as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Whose, and which.
    pub key: OperationKey,
    /// Identifies the run on the record.
    pub run: String,
    /// The process that claimed it.
    pub instance: String,
    /// `pack.action`.
    pub action: String,
    /// The target's configured name.
    pub target: String,
    /// Over all that it is.
    pub facts: FactsDigest,
    /// What has become of it.
    pub state: OperationState,
    /// Whether something other than a read may have been sent.
    pub begun: bool,
    /// The approval that it waits for, or ended with.
    pub approval: Option<String>,
    /// How it ended, if not with an approval. Not looked into here.
    pub result: Option<serde_json::Value>,
    /// When it was claimed.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What [`super::Store::claim_operation`] found.
#[derive(Debug)]
pub enum Claim {
    /// It is this process's to carry out.
    Claimed {
        /// The claim.
        claimed: ClaimedOperation,
        /// The run of a process that died before it had sent anything but reads, and whose place this one takes.
        instead_of: Option<String>,
    },
    /// It is there already, with these facts or others.
    Known(Box<Operation>),
}

/// An operation that this process has claimed, durably. Only the store's `claim_operation` makes it, and it can't be copied.
#[derive(Debug)]
pub struct ClaimedOperation {
    run: String,
    instance: String,
}

impl ClaimedOperation {
    // INVARIANT: called only after the claim has been committed.
    pub(super) fn new(run: String, instance: String) -> Self {
        Self { run, instance }
    }

    /// The run that it is carried out under.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The process that claimed it.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(action: &str, target: &str, arguments: serde_json::Value) -> FactsDigest {
        let serde_json::Value::Object(arguments) = arguments else { unreachable!() };
        FactsDigest::of(action, target, &arguments)
    }

    #[test]
    fn the_facts_are_action_target_and_arguments_and_nothing_runs_together() {
        let one = digest("a.b", "t", json!({ "x": 1, "y": "2" }));
        assert_eq!(one, digest("a.b", "t", json!({ "y": "2", "x": 1 })), "in any order");
        for other in [
            digest("a.bt", "", json!({ "x": 1, "y": "2" })),
            digest("a.b", "u", json!({ "x": 1, "y": "2" })),
            digest("a.b", "t", json!({ "x": "1", "y": "2" })),
            digest("a.b", "t", json!({ "x": 1 })),
            digest("a", ".bt", json!({ "x": 1, "y": "2" })),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn the_digest_of_facts_is_stable() {
        // Computed by another program from the same description. If this changes, so must the domain's version.
        assert_eq!(
            digest("postgres.cancel_query", "orders", json!({ "pid": 4242 }))
                .0
                .map(|byte| format!("{byte:02x}"))
                .concat(),
            "c444e23b8d7b46e4df7e97b04c48ff950d4315f601c1ab251cfb12601f86c9cd"
        );
    }
}
