//! What an agent may see: every action inside its scope that policy does not deny it on every target, with the risk and the
//! hold that policy would put on its call.

use super::{
    Gate,
    call::{OfferedAction, Principal, TargetOffer},
    subject,
};
use crate::{
    pack::catalog::Entry,
    policy::{Decision, Verdict},
    postgres::Target,
    statement::Role,
};

impl Gate {
    /// What an agent may see: everything inside its scope that policy does not deny it on every target.
    #[must_use]
    pub fn offers(&self, principal: &Principal) -> Vec<OfferedAction> {
        self.touch();
        let rules = self.rules();
        rules.catalog.entries().filter_map(|entry| self.offer(principal, entry)).collect()
    }

    pub(super) fn is_listed(&self, principal: &Principal, entry: &Entry) -> bool {
        self.decisions(principal, entry).any(|(_, decision)| decision.verdict() != Verdict::Deny)
    }

    fn decisions<'a>(
        &'a self,
        principal: &'a Principal,
        entry: &'a Entry,
    ) -> impl Iterator<Item = (&'a Target, Decision)> + 'a {
        let rules = self.rules();
        let inside = principal.scope.opens_action(&entry.name);
        self.targets
            .values()
            .filter(move |t| inside && principal.scope.opens_target(t.name()) && entry.pack.may_use_target(t.name()))
            .map(move |target| (target, rules.policy.decide(&subject(principal, entry, target.name()))))
    }

    fn offer(&self, principal: &Principal, entry: &Entry) -> Option<OfferedAction> {
        let open: Vec<_> = self.decisions(principal, entry).filter(|(_, d)| d.verdict() != Verdict::Deny).collect();
        let held = open.iter().any(|(_, d)| d.verdict() == Verdict::Approve);
        let targets: Vec<TargetOffer> = open
            .iter()
            .map(|(target, _)| TargetOffer {
                name: target.name().to_owned(),
                role: target.role_hint().unwrap_or(Role::Any),
                health: target.condition().health,
            })
            .collect();
        let declared = entry.action.declared();
        let risk = open.iter().map(|(_, d)| d.risk()).max().unwrap_or(declared.risk);
        (!targets.is_empty()).then(|| OfferedAction {
            name: entry.name.to_string(),
            title: declared.title.clone(),
            description: declared.description.clone(),
            risk,
            params: declared.params.clone(),
            side_effects: declared.side_effects.clone(),
            works_on_standby: declared.works_on_standby,
            idempotent: declared.idempotent,
            reads_only: entry.action.reads_only(),
            held,
            examples: declared.examples.clone(),
            search_terms: declared.search_terms.clone(),
            targets,
        })
    }
}
