//! Two policies side by side, in words that a person reads: what was added, removed and changed. For the record and for
//! whoever is about to put another policy in force.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Policy,
    words::{RuleInWords, in_words, raise_in_words},
};

/// What is other in the second policy than in the first, one sentence each; nothing if they mean the same.
#[must_use]
pub fn changes(before: &Policy, after: &Policy) -> Vec<String> {
    let mut out = Vec::new();
    for ((risk, was), (_, is)) in before.defaults().into_iter().zip(after.defaults()) {
        if was != is {
            out.push(format!("default for risk `{}`: {was} → {is}", risk.as_str()));
        }
    }
    let by_name = |policy: &Policy| -> BTreeMap<String, RuleInWords> {
        policy.file.rules.iter().map(|rule| (rule.name.clone(), in_words(rule))).collect()
    };
    let (old, new) = (by_name(before), by_name(after));
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        match (old.get(name), new.get(name)) {
            (Some(was), None) => out.push(format!("rule `{name}` removed: it was {}", whole(was))),
            (None, Some(is)) => out.push(format!("rule `{name}` added: {}", whole(is))),
            (Some(was), Some(is)) if was != is => out.push(format!("rule `{name}` changed: {}", difference(was, is))),
            _ => {}
        }
    }
    let raises = |policy: &Policy| -> BTreeSet<String> { policy.file.raises.iter().map(raise_in_words).collect() };
    let (old, new) = (raises(before), raises(after));
    out.extend(old.difference(&new).map(|raise| format!("{raise} removed")));
    out.extend(new.difference(&old).map(|raise| format!("{raise} added")));
    out
}

fn parts(rule: &RuleInWords) -> impl Iterator<Item = &(String, String)> {
    rule.conditions.iter().chain(&rule.asks)
}

fn whole(rule: &RuleInWords) -> String {
    let parts = parts(rule).map(|(key, text)| format!("; {key}: {text}"));
    format!("{}{}", rule.verdict, parts.collect::<String>())
}

fn difference(was: &RuleInWords, is: &RuleInWords) -> String {
    let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (parts(was).map(|(k, v)| (k, v)).collect(), parts(is).map(|(k, v)| (k, v)).collect());
    let mut out = Vec::new();
    if was.verdict != is.verdict {
        out.push(format!("decision: {} → {}", was.verdict, is.verdict));
    }
    for key in old.keys().chain(new.keys()).copied().collect::<BTreeSet<_>>() {
        match (old.get(key), new.get(key)) {
            (Some(was), Some(is)) if was != is => out.push(format!("{key}: {was} → {is}")),
            (Some(was), None) => out.push(format!("{key}: {was} → left out")),
            (None, Some(is)) => out.push(format!("{key}: left out → {is}")),
            _ => {}
        }
    }
    out.join("; ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_said() {
        let policy = |text: &str| Policy::parse(&format!("version = 1\n{text}"), "policy.toml").unwrap();
        let before = policy(
            "[defaults]\nmedium = \"approve\"\n[[rule]]\nname = \"a\"\nactions = [\"x.*\"]\ndecision = \"allow\"\n[[rule]]\nname = \"b\"\nactions = [\"y\", \"x\"]\ntargets = [\"t\"]\ndecision = \"approve\"\napprovals = 2\n[[raise]]\nactions = [\"z\"]\nrisk = \"high\"\n",
        );
        let after = policy(
            "[[rule]]\nname = \"b\"\nactions = [\"x\", \"y\"]\ndecision = \"approve\"\napprovals = 1\n[rule.arguments]\npid = { max = 9 }\n[[rule]]\nname = \"c\"\nactions = [\"*\"]\ndecision = \"deny\"\noutside = [{ days = [\"mon-wed\"] }]\n",
        );
        assert_eq!(
            changes(&before, &after),
            [
                "default for risk `medium`: approve → allow",
                "rule `a` removed: it was allow; actions: x.*",
                "rule `b` changed: approvals: 2 → 1; arguments.pid: left out → is at most 9; targets: t → left out",
                "rule `c` added: deny; actions: *; outside: mon, tue, wed (UTC)",
                "raise of z to `high` removed",
            ]
        );
        assert!(changes(&after, &after).is_empty());
    }
}
