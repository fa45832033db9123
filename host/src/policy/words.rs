//! A rule in words: key by key, as explanations, differences and pages show it.

use serde::Serialize;

use super::{
    Policy, Verdict,
    file::{Raise, Rule},
    judge::{Asks, conditions},
    names::Names,
    window::Window,
};
use crate::pack::manifest::Risk;

/// A rule for people to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleInWords {
    /// Its name.
    pub name: String,
    /// What it says.
    pub verdict: Verdict,
    /// Its conditions: key of the file, and what it asks for.
    pub conditions: Vec<(String, String)>,
    /// What it asks of approvers: key of the file, and what it asks for.
    pub asks: Vec<(String, String)>,
}

impl Policy {
    /// Every rule, by name.
    #[must_use]
    pub fn rules_in_words(&self) -> Vec<RuleInWords> {
        self.file.rules.iter().map(in_words).collect()
    }

    /// The default for each risk.
    #[must_use]
    pub fn defaults(&self) -> [(Risk, Verdict); 4] {
        [Risk::Low, Risk::Medium, Risk::High, Risk::Critical].map(|risk| (risk, self.file.defaults.of(risk)))
    }

    /// What is raised: patterns of actions, and the risk they have at least.
    #[must_use]
    pub fn raises(&self) -> Vec<(String, Risk)> {
        self.file.raises.iter().map(|raise| (list(&raise.actions), raise.risk)).collect()
    }
}

pub(super) fn in_words(rule: &Rule) -> RuleInWords {
    let asks = [
        rule.approvals.map(|n| ("approvals", n.to_string())),
        rule.approvers.as_ref().map(|groups| ("approvers", list(groups))),
        rule.decide_within.map(|length| ("decide_within", length.to_string())),
        rule.reason_required.then(|| ("reason_required", "true".to_owned())),
    ];
    RuleInWords {
        name: rule.name.clone(),
        verdict: rule.decision.into(),
        conditions: conditions(rule).map(|asks| wanted(rule, asks)).collect(),
        asks: asks.into_iter().flatten().map(|(key, text)| (key.to_owned(), text)).collect(),
    }
}

/// The key of a condition, and what it asks for.
pub(super) fn wanted(rule: &Rule, asks: Asks<'_>) -> (String, String) {
    let windows = |windows: &Option<Vec<Window>>| {
        windows.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let (key, text) = match asks {
        Asks::Actions(names) => ("actions", list(names)),
        Asks::Packs(names) => ("packs", list(names)),
        Asks::Targets(names) => ("targets", list(names)),
        Asks::TargetRoles => {
            let places = rule.target_roles.iter().flatten().map(|place| place.as_str());
            ("target_roles", places.collect::<Vec<_>>().join(", "))
        }
        Asks::Agents(names) => ("agents", list(names)),
        Asks::People(names) => ("people", list(names)),
        Asks::Roles(names) => ("roles", list(names)),
        Asks::Risks => ("risks", rule.risks.iter().flatten().map(|risk| risk.as_str()).collect::<Vec<_>>().join(", ")),
        Asks::Argument(name) => {
            let test = rule.arguments.get(name).map(ToString::to_string).unwrap_or_default();
            return (format!("arguments.{name}"), test);
        }
        Asks::During => ("during", windows(&rule.during)),
        Asks::Outside => ("outside", windows(&rule.outside)),
    };
    (key.to_owned(), text)
}

pub(super) fn raise_in_words(raise: &Raise) -> String {
    format!("raise of {} to `{}`", list(&raise.actions), raise.risk.as_str())
}

pub(super) fn list(names: &Names) -> String {
    names.as_set().iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
