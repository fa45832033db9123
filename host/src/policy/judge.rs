//! The judgement itself: which rules hold for a call, and what they come to together. What is decided, what is explained and
//! what is foreseen all go through here, so that none of them can say anything else than the others.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use lockgate_signing::glob;
use serde_json::{Map, Value as Json};

use super::{
    Verdict,
    file::{DecisionWord, PolicyFile, Rule},
    holds::Holds,
    names::Names,
};
use crate::{pack::manifest::Risk, statement::Role, store::person_key};

/// What policy looks at: one call, as it would be carried out.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `pack.action`.
    pub action: &'a str,
    /// The signed risk.
    pub risk: Risk,
    /// The target's name.
    pub target: &'a str,
    /// Whether the target is a primary or a standby, as it was last seen; `None` if nobody has seen it.
    pub target_role: Option<Role>,
    /// The agent's name.
    pub agent: &'a str,
    /// The person behind it, if anyone knows.
    pub person: Option<&'a str>,
    /// The agent's roles.
    pub roles: &'a [String],
    /// Validated, defaults filled in, what was left out absent.
    pub arguments: &'a Map<String, Json>,
    /// When.
    pub at: Timestamp,
}

/// What of a call is not known yet, where somebody wants to know what may become of it.
#[derive(Clone, Copy)]
pub struct Unknown<'a> {
    /// Whether an argument of this name may have any value or none. The others are as the subject has them.
    pub argument: &'a dyn Fn(&str) -> bool,
    /// Whether it may be any time. The place of a target that nobody has seen is open as well.
    pub time: bool,
}

/// What a rule asks about, in the order in which it is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks<'r> {
    Actions(&'r Names),
    Packs(&'r Names),
    Targets(&'r Names),
    TargetRoles,
    Agents(&'r Names),
    People(&'r Names),
    Roles(&'r Names),
    Risks,
    Argument(&'r str),
    During,
    Outside,
}

/// The conditions of a rule.
pub(super) fn conditions(rule: &Rule) -> impl Iterator<Item = Asks<'_>> {
    [
        rule.actions.as_ref().map(Asks::Actions),
        rule.packs.as_ref().map(Asks::Packs),
        rule.targets.as_ref().map(Asks::Targets),
        rule.target_roles.as_ref().map(|_| Asks::TargetRoles),
        rule.agents.as_ref().map(Asks::Agents),
        rule.people.as_ref().map(Asks::People),
        rule.roles.as_ref().map(Asks::Roles),
        rule.risks.as_ref().map(|_| Asks::Risks),
    ]
    .into_iter()
    .flatten()
    .chain(rule.arguments.keys().map(|name| Asks::Argument(name)))
    .chain(rule.during.as_ref().map(|_| Asks::During))
    .chain(rule.outside.as_ref().map(|_| Asks::Outside))
}

/// The pack of `pack.action`.
pub(super) fn pack_of(action: &str) -> &str {
    action.split_once('.').map_or(action, |(pack, _)| pack)
}

/// Whether one condition of a rule holds.
pub(super) fn look(
    rule: &Rule,
    asks: Asks<'_>,
    subject: &Subject<'_>,
    risk: Risk,
    unknown: Option<&Unknown<'_>>,
) -> Holds {
    let time_is_open = unknown.is_some_and(|unknown| unknown.time);
    match asks {
        Asks::Actions(names) => names.fit(subject.action).into(),
        Asks::Packs(names) => names.fit(pack_of(subject.action)).into(),
        Asks::Targets(names) => names.fit(subject.target).into(),
        Asks::TargetRoles => match subject.target_role.filter(|role| *role != Role::Any) {
            Some(role) => rule.target_roles.iter().flatten().any(|place| place.is(role)).into(),
            None if unknown.is_some() => Holds::Open,
            None => Holds::Untold,
        },
        Asks::Agents(names) => names.fit(subject.agent).into(),
        Asks::People(names) => match subject.person.map(person_key).filter(|person| !person.is_empty()) {
            Some(person) => names.as_set().iter().any(|name| glob::matches(&person_key(name), &person)).into(),
            None => Holds::Untold,
        },
        // A caller's roles are all known: who has none has none.
        Asks::Roles(names) => subject.roles.iter().any(|role| names.contain(role)).into(),
        Asks::Risks => rule.risks.as_ref().is_some_and(|risks| risks.contains(&risk)).into(),
        Asks::Argument(name) if unknown.is_some_and(|unknown| (unknown.argument)(name)) => Holds::Open,
        Asks::Argument(name) => {
            rule.arguments.get(name).map_or(Holds::Untold, |test| test.holds(subject.arguments.get(name)))
        }
        Asks::During | Asks::Outside if time_is_open => Holds::Open,
        Asks::During => rule.during.iter().flatten().any(|window| window.has(subject.at)).into(),
        Asks::Outside => (!rule.outside.iter().flatten().any(|window| window.has(subject.at))).into(),
    }
}

/// Whether a rule holds for a call.
pub(super) fn rule_holds(rule: &Rule, subject: &Subject<'_>, risk: Risk, unknown: Option<&Unknown<'_>>) -> Holds {
    let mut all = Holds::Yes;
    for asks in conditions(rule) {
        all = Holds::all([all, look(rule, asks, subject, risk, unknown)]);
        if all == Holds::No {
            break;
        }
    }
    all
}

/// Whether a rule takes part in the decision. Those that can't be told do if they can only make it stricter.
pub(super) fn counts(rule: &Rule, holds: Holds) -> bool {
    match holds {
        Holds::Yes => true,
        Holds::No => false,
        Holds::Untold | Holds::Open => rule.decision != DecisionWord::Allow,
    }
}

/// The risk that a call is judged by: the signed one, or what the operator raises it to.
pub(super) fn risk(file: &PolicyFile, subject: &Subject<'_>) -> Risk {
    let raised = file.raises.iter().filter(|raise| raise.actions.fit(subject.action)).map(|raise| raise.risk);
    raised.chain([subject.risk]).max().unwrap_or(subject.risk)
}

/// What the rules come to.
#[derive(Debug)]
pub(super) struct Judged<'p> {
    pub(super) verdict: Verdict,
    pub(super) risk: Risk,
    /// The rules that make it so, by name; none where the default does.
    pub(super) by: Vec<&'p Rule>,
    /// The verdict of the default for the risk, and whether it takes part because no rule matches for certain.
    pub(super) default: (Verdict, bool),
    /// An allowed call is held all the same, because of its risk.
    pub(super) is_critical: bool,
    /// The rules that ask for approval can't be satisfied together.
    pub(super) is_unmeetable: bool,
    pub(super) approvals: u32,
    pub(super) approvers: BTreeSet<String>,
    pub(super) decide_within: Option<Duration>,
    pub(super) reason_required: bool,
}

/// Judges one call.
pub(super) fn judge<'p>(file: &'p PolicyFile, subject: &Subject<'_>) -> Judged<'p> {
    let risk = risk(file, subject);
    let mut matching = Vec::new();
    let mut is_certain = false;
    for rule in &file.rules {
        let holds = rule_holds(rule, subject, risk, None);
        if counts(rule, holds) {
            matching.push(rule);
        }
        is_certain |= holds == Holds::Yes;
    }
    merge(file, risk, &matching, is_certain)
}

/// The strictest of the rules that take part, and of the default where none of them matches for certain. What several rules
/// of that verdict ask for is asked for together.
fn merge<'p>(file: &'p PolicyFile, risk: Risk, matching: &[&'p Rule], is_certain: bool) -> Judged<'p> {
    let default = file.defaults.of(risk);
    let verdicts = matching.iter().map(|rule| Verdict::from(rule.decision));
    let mut verdict = verdicts.chain((!is_certain).then_some(default)).max().unwrap_or(default);
    let by: Vec<&Rule> = matching.iter().copied().filter(|rule| Verdict::from(rule.decision) == verdict).collect();
    // Everything that each of them asks for, together.
    let approvals = by.iter().filter_map(|rule| rule.approvals).max().unwrap_or(1);
    let groups = by.iter().filter_map(|rule| rule.approvers.as_ref()).map(Names::as_set);
    let approvers = groups.fold(None::<BTreeSet<String>>, |common, groups| match common {
        None => Some(groups.clone()),
        Some(common) => Some(common.intersection(groups).cloned().collect()),
    });
    let is_unmeetable = approvers.as_ref().is_some_and(BTreeSet::is_empty);
    if is_unmeetable {
        verdict = Verdict::Deny;
    }
    let is_critical = risk == Risk::Critical && verdict == Verdict::Allow;
    if is_critical {
        verdict = Verdict::Approve;
    }
    Judged {
        verdict,
        risk,
        approvals,
        approvers: approvers.unwrap_or_default(),
        decide_within: by.iter().filter_map(|rule| rule.decide_within).min().map(|length| length.0),
        reason_required: by.iter().any(|rule| rule.reason_required),
        by,
        default: (default, !is_certain),
        is_critical,
        is_unmeetable,
    }
}

/// Every verdict that a call may get, whatever what is unknown of it turns out to be. Never too few.
pub(super) fn possible(file: &PolicyFile, subject: &Subject<'_>, unknown: &Unknown<'_>) -> BTreeSet<Verdict> {
    let risk = risk(file, subject);
    let (mut certain, mut untold, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for rule in &file.rules {
        match rule_holds(rule, subject, risk, Some(unknown)) {
            Holds::Yes => certain.push(rule),
            Holds::Untold if counts(rule, Holds::Untold) => untold.push(rule),
            Holds::Open => open.push(rule),
            Holds::Untold | Holds::No => {}
        }
    }
    let mut found = BTreeSet::new();
    let mut try_with = |extra: &[&Rule], is_certain: bool| {
        let matching: Vec<_> = certain.iter().chain(&untold).chain(extra).copied().collect();
        found.insert(merge(file, risk, &matching, is_certain || !certain.is_empty()).verdict);
    };
    try_with(&[], false);
    for rule in &open {
        // As one that holds, and as one that can't be told.
        try_with(&[rule], true);
        if counts(rule, Holds::Untold) {
            try_with(&[rule], false);
        }
    }
    // Rules that can only be met apart deny together.
    if open.len() > 1 {
        try_with(&open, true);
    }
    found
}
