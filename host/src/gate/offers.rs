//! What an agent may see: every action inside its scope that policy does not deny it on every target, whatever its arguments
//! and the time; with the risk, and whether policy may hold its call.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Map;

use super::{
    Gate,
    call::{OfferedAction, Principal, TargetOffer},
    ruling::subject,
};
use crate::{
    pack::{catalog::Entry, manifest::Risk},
    policy::{Unknown, Verdict},
    postgres::Target,
    statement::Role,
};

/// What may become of an action's calls on one target.
struct Prospect<'a> {
    target: &'a Target,
    risk: Risk,
    verdicts: BTreeSet<Verdict>,
}

impl Prospect<'_> {
    fn is_open(&self) -> bool {
        self.verdicts.iter().any(|verdict| *verdict != Verdict::Deny)
    }
}

impl Gate {
    /// What an agent may see: everything inside its scope that policy does not deny it on every target, whatever it says.
    #[must_use]
    pub fn offers(&self, principal: &Principal) -> Vec<OfferedAction> {
        self.touch();
        let rules = self.rules();
        rules.catalog.entries().filter_map(|entry| self.offer(principal, entry)).collect()
    }

    pub(super) fn is_listed(&self, principal: &Principal, entry: &Entry) -> bool {
        self.prospects(principal, entry).any(|prospect| prospect.is_open())
    }

    fn prospects<'a>(&'a self, principal: &'a Principal, entry: &'a Entry) -> impl Iterator<Item = Prospect<'a>> + 'a {
        let rules = self.rules();
        let inside = principal.scope.opens_action(&entry.name);
        // No call has been made: an argument that the action takes may be anything, one that it does not take is never there.
        let declared = |name: &str| entry.action.declared().params.iter().any(|param| param.name == name);
        self.targets
            .values()
            .filter(move |t| inside && principal.scope.opens_target(t.name()) && entry.pack.may_use_target(t.name()))
            .map(move |target| {
                let none = Map::new();
                let subject = subject(principal, entry, target, &none, Timestamp::UNIX_EPOCH);
                let unknown = Unknown { argument: &declared, time: true };
                let verdicts = rules.policy.possible(&subject, &unknown);
                Prospect { target, risk: rules.policy.risk(&subject), verdicts }
            })
    }

    fn offer(&self, principal: &Principal, entry: &Entry) -> Option<OfferedAction> {
        let open: Vec<_> = self.prospects(principal, entry).filter(Prospect::is_open).collect();
        let held = open.iter().any(|prospect| prospect.verdicts.contains(&Verdict::Approve));
        let targets: Vec<TargetOffer> = open
            .iter()
            .map(|Prospect { target, .. }| TargetOffer {
                name: target.name().to_owned(),
                role: target.role_hint().unwrap_or(Role::Any),
                health: target.condition().health,
            })
            .collect();
        let declared = entry.action.declared();
        let risk = open.iter().map(|prospect| prospect.risk).max().unwrap_or(declared.risk);
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
