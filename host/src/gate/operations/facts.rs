//! What a named call is: action, target and arguments. A call that differs in one of them is another call, and can't have the
//! same name.

use super::super::Prepared;
use crate::{
    error::{Code, Refusal},
    store::FactsDigest,
};

/// What an operation is, to tell it from another under the same id.
pub(super) struct Facts {
    pub(super) action: String,
    pub(super) target: String,
    arguments: serde_json::Map<String, serde_json::Value>,
    pub(super) digest: FactsDigest,
}

impl Facts {
    pub(super) fn of(prepared: &Prepared) -> Self {
        let (action, target) = (prepared.asked.entry.name.to_string(), prepared.asked.target.name().to_owned());
        let arguments = prepared.arguments.json().clone();
        let digest = FactsDigest::of(&action, &target, &arguments);
        Self { action, target, arguments, digest }
    }

    /// What differs from the call that has the id, by kind; none if nothing does.
    pub(super) fn conflict(&self, action: &str, target: &str, digest: FactsDigest, run: &str) -> Option<Refusal> {
        if self.digest == digest {
            return None;
        }
        let mut kinds = Vec::new();
        if self.action != action {
            kinds.push("action");
        }
        if self.target != target {
            kinds.push("target");
        }
        // Arguments of another action can't be compared with these.
        if self.action == action && FactsDigest::of(action, target, &self.arguments) != digest {
            kinds.push("arguments");
        }
        let verb = if kinds.len() == 1 && kinds != ["arguments"] { "differs" } else { "differ" };
        let kinds = kinds.join(" and the ");
        let message = format!("this `operation_id` belongs to another call, run `{run}`: the {kinds} {verb}");
        Some(Refusal::new(Code::OperationConflict, message))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_conflict_names_kinds_and_no_values() {
        let facts = |action: &str, target: &str, pid: i64| {
            let arguments = json!({ "pid": pid }).as_object().unwrap().clone();
            let digest = FactsDigest::of(action, target, &arguments);
            Facts { action: action.into(), target: target.into(), arguments, digest }
        };
        let said = |asked: &Facts, there: &Facts| {
            asked.conflict(&there.action, &there.target, there.digest, "run_1").map(|refusal| refusal.message)
        };
        let there = facts("p.cancel", "orders", 4471);
        assert_eq!(said(&facts("p.cancel", "orders", 4471), &there), None);
        for (asked, kinds) in [
            (facts("p.cancel", "orders", 4472), "the arguments differ"),
            (facts("p.cancel", "shop", 4471), "the target differs"),
            (facts("p.cancel", "shop", 4472), "the target and the arguments differ"),
            (facts("p.kill", "orders", 4472), "the action differs"),
            (facts("p.kill", "shop", 4471), "the action and the target differ"),
        ] {
            let message = said(&asked, &there).unwrap();
            assert!(message.contains("`run_1`") && message.contains(kinds), "{message}");
            assert!(!["447", "shop", "orders", "kill"].iter().any(|value| message.contains(value)), "{message}");
        }
    }
}
