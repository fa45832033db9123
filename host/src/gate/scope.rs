//! What a principal's credential opens. What is outside does not exist for it: it is not listed, not suggested, not
//! reported, and a call of it is refused in the words for what there is not.

use lockgate_signing::glob;

use super::{
    Gate,
    call::{Answer, Outcome, Principal, Scope},
};
use crate::{
    error::{Code, Refusal},
    outside::shown,
    pack::catalog::Entry,
    store::Approval,
};

impl Scope {
    /// Whether the pack of an action (`pack.action`) is inside.
    #[must_use]
    pub fn opens_action(&self, action: &str) -> bool {
        fits(self.packs.as_deref(), action.split_once('.').map_or(action, |(pack, _)| pack))
    }

    /// Whether a target is inside.
    #[must_use]
    pub fn opens_target(&self, target: &str) -> bool {
        fits(self.targets.as_deref(), target)
    }
}

fn fits(patterns: Option<&[String]>, name: &str) -> bool {
    patterns.is_none_or(|patterns| patterns.iter().any(|pattern| glob::matches(pattern, name)))
}

impl Gate {
    /// An action by its name, if there is one for this principal. The names nearest to one that there is not are of its own
    /// list too.
    pub(super) fn seen(&self, principal: &Principal, action: &str) -> Result<Entry, Refusal> {
        let catalog = &self.rules().catalog;
        if let Some(entry) = catalog.get(action).filter(|entry| self.is_listed(principal, entry)) {
            return Ok(entry.clone());
        }
        let is_own = |name: &str| catalog.get(name).is_some_and(|entry| self.is_listed(principal, entry));
        let near = catalog.near(action, is_own);
        let refusal = Refusal::new(Code::UnknownAction, format!("no action `{}`", shown(action, 130)));
        Err(match near.as_slice() {
            [] => refusal,
            names => refusal.with_remedy(format!("did you mean {}", names.join(" or "))),
        })
    }

    /// Whether a principal may look at a held call of its own: not if its credential no longer opens what was asked for.
    pub(super) fn opens(principal: &Principal, approval: &Approval) -> bool {
        let request = &approval.request;
        principal.scope.opens_action(&request.action) && principal.scope.opens_target(&request.target)
    }

    /// An answer as this principal may have it: a suggestion of an action that it can't call is none.
    pub(super) fn for_eyes_of(&self, principal: &Principal, answer: Answer) -> Answer {
        match answer {
            Answer::Done(outcome) => Answer::Done(self.outcome_for_eyes_of(principal, outcome)),
            pending @ Answer::Pending(_) => pending,
        }
    }

    /// The same of an outcome.
    pub(super) fn outcome_for_eyes_of(&self, principal: &Principal, mut outcome: Box<Outcome>) -> Box<Outcome> {
        outcome.suggestion = outcome.suggestion.filter(|s| self.seen(principal, &s.action).is_ok());
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(patterns: &[&str]) -> Option<Vec<String>> {
        Some(patterns.iter().map(|&pattern| pattern.to_owned()).collect())
    }

    #[test]
    fn a_scope_opens_what_a_pattern_names_and_nothing_without_one() {
        let all = Scope::default();
        assert!(all.opens_action("postgres.activity") && all.opens_target("primary"));
        let some = Scope { packs: list(&["diag*", "billing"]), targets: list(&["shop-*"]) };
        for (action, inside) in [
            ("diagnose.locks", true),
            ("billing.pay", true),
            ("billing2.pay", false),
            ("postgres.diag", false),
            // A pattern is for the pack's name alone.
            ("postgres.billing", false),
            ("billing", true),
            ("", false),
        ] {
            assert_eq!(some.opens_action(action), inside, "{action}");
        }
        assert!(some.opens_target("shop-1") && !some.opens_target("shop") && !some.opens_target("SHOP-1"));
        let nothing = Scope { packs: list(&[]), targets: list(&[]) };
        assert!(!nothing.opens_action("postgres.activity") && !nothing.opens_target("primary"));
    }
}
