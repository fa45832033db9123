//! What is odd about a policy that is sound: rules that can never decide, patterns that fit nothing, conditions on arguments
//! that there are not. A warning is never a reason to refuse a policy: packs and targets come and go.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    Installed, Policy, Verdict,
    arguments::{ArgumentTest, Kind},
    file::{DecisionWord, Rule},
    judge::pack_of,
    names::Names,
};
use crate::pack::{
    catalog::{Catalog, Entry},
    manifest::{ParamKind, Risk},
};

/// Names that a warning lists.
const NAMED: usize = 4;

/// Something that its author has hardly meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Warning {
    /// The rule; none for what is not in a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// One sentence.
    pub message: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "rule `{rule}`: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Looks for what is odd. Without packs and targets only at what the policy says by itself.
#[must_use]
pub fn check(policy: &Policy, installed: Installed<'_>, targets: Option<&BTreeSet<String>>) -> Vec<Warning> {
    let rules = &policy.file.rules;
    let mut found = Vec::new();
    let mut warn = |rule: Option<&Rule>, message: String| {
        found.push(Warning { rule: rule.map(|rule| rule.name.clone()), message });
    };
    for rule in rules {
        if let Some(stricter) = rules.iter().find(|other| is_stricter(other, rule) && covers(other, rule)) {
            let verdict = Verdict::from(stricter.decision);
            warn(
                Some(rule),
                format!("it never decides: rule `{}` ({verdict}) matches whatever it matches", stricter.name),
            );
        }
        let only_critical = rule.risks.as_ref().is_some_and(|risks| risks.iter().eq([&Risk::Critical]));
        if only_critical && rule.decision == DecisionWord::Allow {
            warn(Some(rule), "what is critical is never allowed outright; it is read as `approve`".into());
        }
        for pattern in unfit(rule.targets.as_ref(), targets) {
            warn(Some(rule), format!("`{pattern}` in `targets` fits no configured target"));
        }
    }
    if let Some(catalog) = installed.0 {
        with_packs(policy, catalog, &mut found);
    }
    found.sort();
    found
}

fn with_packs(policy: &Policy, catalog: &Catalog, found: &mut Vec<Warning>) {
    let actions: BTreeSet<String> = catalog.entries().map(|entry| entry.name.to_string()).collect();
    let packs: BTreeSet<String> = actions.iter().map(|action| pack_of(action).to_owned()).collect();
    let mut warn = |rule: Option<&Rule>, message: String| {
        found.push(Warning { rule: rule.map(|rule| rule.name.clone()), message });
    };
    for rule in &policy.file.rules {
        for pattern in unfit(rule.actions.as_ref(), Some(&actions)) {
            let near = catalog.near(&pattern.replace('*', ""), |_| true);
            let near = if near.is_empty() { String::new() } else { format!("; did you mean {}", near.join(" or ")) };
            warn(Some(rule), format!("`{pattern}` in `actions` fits no action of the installed packs{near}"));
        }
        for pattern in unfit(rule.packs.as_ref(), Some(&packs)) {
            warn(Some(rule), format!("`{pattern}` in `packs` fits no installed pack"));
        }
        let about: Vec<&Entry> = catalog.entries().filter(|entry| is_about(policy, rule, entry)).collect();
        if about.is_empty() {
            warn(Some(rule), "no action of the installed packs fits all of `actions`, `packs` and `risks`".into());
        } else {
            about_arguments(rule, &about).into_iter().for_each(|message| warn(Some(rule), message));
        }
    }
    for raise in &policy.file.raises {
        for pattern in unfit(Some(&raise.actions), Some(&actions)) {
            warn(None, format!("`{pattern}` in [[raise]] fits no action of the installed packs"));
        }
        let fit = catalog.entries().filter(|entry| raise.actions.fit(&entry.name));
        let lower: Vec<_> = fit.filter(|entry| entry.action.declared().risk > raise.risk).collect();
        if !lower.is_empty() {
            let names = named(lower.iter().map(|entry| &*entry.name));
            warn(
                None,
                format!("[[raise]] to `{}` does nothing for {names}: a raise never lowers", raise.risk.as_str()),
            );
        }
    }
    for (rule, other) in pairs(&policy.file.rules) {
        let groups = rule.approvers.as_ref().zip(other.approvers.as_ref());
        if groups.is_some_and(|(some, others)| some.as_set().is_disjoint(others.as_set())) {
            let both = catalog.entries().filter(|e| is_about(policy, rule, e) && is_about(policy, other, e));
            let names = named(both.map(|entry| entry.name.as_ref()));
            if !names.is_empty() {
                warn(
                    Some(rule),
                    format!(
                        "it and rule `{}` share no group of approvers; a call of {names} that both match is denied",
                        other.name
                    ),
                );
            }
        }
    }
}

/// What is odd about a rule's conditions on arguments, given the actions that it is about.
fn about_arguments(rule: &Rule, about: &[&Entry]) -> Vec<String> {
    let mut out = Vec::new();
    for (name, test) in &rule.arguments {
        let kind_of = |entry: &&&Entry| {
            let param = entry.action.declared().params.iter().find(|param| param.name == *name);
            param.map(|param| kind(&param.kind))
        };
        let (with, without): (Vec<&&Entry>, Vec<&&Entry>) = about.iter().partition(|entry| kind_of(entry).is_some());
        let allows = rule.decision == DecisionWord::Allow;
        let says_presence = test.present.is_some();
        if with.is_empty() {
            let then = match (allows, test.present) {
                (_, Some(false)) => continue,
                (_, Some(true)) | (true, None) => "so the rule never matches",
                (false, None) => "so the rule counts for every call of them as if the condition held",
            };
            out.push(format!("no action that it is about has an argument `{name}`, {then}"));
        } else if !without.is_empty() && !allows && !says_presence {
            let names = named(without.iter().map(|entry| &*entry.name));
            out.push(format!(
                "{names} have no argument `{name}`, and the rule counts for their calls as if the condition held; name the actions that you mean, or add `present = true` to the condition"
            ));
        }
        if let Some(odd) = with.iter().find(|entry| kind_of(entry).is_some_and(|kind| !fits_kind(test, kind))) {
            out.push(format!("it compares `{name}` of {} with a value of another kind, which can't be told", odd.name));
        }
    }
    out
}

fn kind(kind: &ParamKind) -> Kind {
    match kind {
        ParamKind::Boolean => Kind::Boolean,
        ParamKind::Integer { .. } | ParamKind::Number { .. } => Kind::Number,
        ParamKind::Text { .. } | ParamKind::Identifier | ParamKind::Choice { .. } => Kind::Text,
    }
}

fn fits_kind(test: &ArgumentTest, kind: Kind) -> bool {
    test.kinds().into_iter().all(|compared| compared == kind)
}

/// Whether a rule is about an action: what it asks of action, pack and risk holds.
fn is_about(policy: &Policy, rule: &Rule, entry: &Entry) -> bool {
    let raised = policy.file.raises.iter().filter(|raise| raise.actions.fit(&entry.name)).map(|raise| raise.risk);
    let risk = raised.chain([entry.action.declared().risk]).max();
    rule.actions.as_ref().is_none_or(|names| names.fit(&entry.name))
        && rule.packs.as_ref().is_none_or(|names| names.fit(pack_of(&entry.name)))
        && rule.risks.as_ref().is_none_or(|risks| risk.is_some_and(|risk| risks.contains(&risk)))
}

fn unfit<'a>(names: Option<&'a Names>, known: Option<&BTreeSet<String>>) -> Vec<&'a str> {
    let Some((names, known)) = names.zip(known) else { return Vec::new() };
    let fits = |pattern: &str| known.iter().any(|name| lockgate_signing::glob::matches(pattern, name));
    names.as_set().iter().map(String::as_str).filter(|pattern| !fits(pattern)).collect()
}

fn is_stricter(rule: &Rule, than: &Rule) -> bool {
    Verdict::from(rule.decision) > Verdict::from(than.decision)
}

/// Whether a rule matches whatever another one matches. Says no where it can't tell.
fn covers(wide: &Rule, narrow: &Rule) -> bool {
    let names = |wide: &Option<Names>, narrow: &Option<Names>| match (wide, narrow) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => wide.cover(narrow),
        (Some(_), None) => false,
    };
    // Compared as they stand: without patterns, or where patterns are compared in another way.
    let words = |wide: &Option<Names>, narrow: &Option<Names>| match (wide, narrow) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => narrow.as_set().is_subset(wide.as_set()),
        (Some(_), None) => false,
    };
    names(&wide.actions, &narrow.actions)
        && names(&wide.packs, &narrow.packs)
        && names(&wide.targets, &narrow.targets)
        && names(&wide.agents, &narrow.agents)
        && words(&wide.people, &narrow.people)
        && words(&wide.roles, &narrow.roles)
        && subset(wide.target_roles.as_ref(), narrow.target_roles.as_ref())
        && subset(wide.risks.as_ref(), narrow.risks.as_ref())
        && wide.arguments.iter().all(|(name, test)| narrow.arguments.get(name) == Some(test))
        && (wide.during.is_none() || wide.during == narrow.during)
        && (wide.outside.is_none() || wide.outside == narrow.outside)
}

fn subset<T: Ord>(wide: Option<&BTreeSet<T>>, narrow: Option<&BTreeSet<T>>) -> bool {
    wide.is_none_or(|wide| narrow.is_some_and(|narrow| narrow.is_subset(wide)))
}

/// Every two rules that ask for approval.
fn pairs(rules: &[Rule]) -> impl Iterator<Item = (&Rule, &Rule)> {
    let asks: Vec<&Rule> = rules.iter().filter(|rule| rule.approvers.is_some()).collect();
    let mut found = Vec::new();
    for (at, rule) in asks.iter().enumerate() {
        found.extend(asks.iter().skip(at + 1).map(|other| (*rule, *other)));
    }
    found.into_iter()
}

fn named<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.split_at_checked(NAMED) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => names.join(", "),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn warnings(rules: &str) -> Vec<String> {
        let policy = Policy::parse(&format!("version = 1\n{rules}"), "policy.toml").unwrap();
        let targets = BTreeSet::from(["primary".to_owned(), "shop-1".to_owned()]);
        check(&policy, Installed::default(), Some(&targets)).into_iter().map(|warning| warning.to_string()).collect()
    }

    fn rule(name: &str, decision: &str, conditions: &str) -> String {
        format!("[[rule]]\nname = \"{name}\"\ndecision = \"{decision}\"\n{conditions}\n")
    }

    #[test]
    fn a_rule_behind_a_stricter_and_wider_one_never_decides() {
        let all = rule("all", "deny", "actions = [\"pg.*\"]\nroles = [\"intern\", \"guest\"]");
        for (conditions, is_behind) in [
            ("actions = [\"pg.kill*\"]\nroles = [\"intern\"]", true),
            ("actions = [\"pg.kill*\"]\nroles = [\"intern\"]\ntargets = [\"primary\"]", true),
            ("actions = [\"pg.kill*\"]", false),
            ("actions = [\"p*\"]\nroles = [\"intern\"]", false),
            ("actions = [\"pg.kill*\"]\nroles = [\"intern\", \"dba\"]", false),
        ] {
            let found = warnings(&format!("{all}{}", rule("some", "approve", conditions)));
            assert_eq!(
                found.iter().any(|warning| warning.contains("`some`: it never decides")),
                is_behind,
                "{found:?}"
            );
        }
        let less = rule("less", "allow", "actions = [\"*\"]");
        assert!(warnings(&format!("{all}{less}")).is_empty(), "the wider one is not the stricter one");
    }

    #[test]
    fn a_target_that_there_is_not_is_named() {
        let found = warnings(&rule("a", "deny", "actions = [\"*\"]\ntargets = [\"shop-*\", \"prmary\"]"));
        assert_eq!(found, ["rule `a`: `prmary` in `targets` fits no configured target"]);
    }

    #[test]
    fn allowing_what_is_critical_is_said_to_be_no_such_thing() {
        let found = warnings(&rule("a", "allow", "actions = [\"*\"]\nrisks = [\"critical\"]"));
        assert!(found.iter().any(|warning| warning.contains("never allowed outright")), "{found:?}");
    }
}
