//! How the targets are, for principals who may name them, and whether that is worth telling the doors.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    Gate,
    call::{Health, Principal, TargetState},
};
use crate::{
    postgres::{Condition, Target},
    statement::Role,
};

/// What doors show of a target: its place in the topology and whether it answers.
pub(crate) type Shown = Vec<(Option<Role>, Health)>;

impl Gate {
    /// The targets on which this principal may call something, by name, and how they are. Asks no server.
    #[must_use]
    pub fn target_states(&self, principal: &Principal) -> Vec<TargetState> {
        let offers = self.offers(principal);
        let names: BTreeSet<&str> = offers.iter().flat_map(|o| o.targets.iter().map(|t| t.name.as_str())).collect();
        let targets = names.into_iter().filter_map(|name| self.targets.get(name));
        targets
            .map(|target| {
                let condition = target.condition();
                TargetState {
                    name: target.name().to_owned(),
                    role: target.role_hint().unwrap_or(Role::Any),
                    health: condition.health,
                    version_num: target.version_hint(),
                    since: condition.since.map(|time| time.to_string()),
                    asked: condition.asked.map(|time| time.to_string()),
                    error: condition.error.map(|text| self.text(&text)),
                }
            })
            .collect()
    }

    /// How a target is, for people who answer for it: what the network and the server said is redacted.
    #[must_use]
    pub fn condition(&self, target: &Target) -> Condition {
        let condition = target.condition();
        Condition { error: condition.error.map(|text| self.text(&text)), ..condition }
    }

    /// What doors show of the targets now.
    pub(crate) fn shown_targets(&self) -> Shown {
        self.targets.values().map(|target| (target.role_hint(), target.condition().health)).collect()
    }

    /// Somebody is at a door.
    pub(super) fn touch(&self) {
        *self.touched.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }

    /// For how long nobody has been at a door.
    pub(crate) fn idle(&self) -> Duration {
        self.touched.lock().unwrap_or_else(std::sync::PoisonError::into_inner).elapsed()
    }
}
