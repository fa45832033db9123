//! Why a call is decided as it is: every rule that was looked at, each of its conditions with what the call has, and which
//! rules made the decision. What is in it is for people; rules' names and patterns are the operator's words, the rest of a call is
//! somebody else's and is shown as such.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    Decision, Holds, Policy, Subject, Verdict,
    file::{DecisionWord, Rule},
    judge::{self, Asks, Judged, judge},
    words::{list, wanted},
};
use crate::{outside::shown, pack::manifest::Risk, statement::Role};

/// Rules that a decision names; the explanation has them all.
const NAMED: usize = 3;
/// Characters of a call's own words, where they are repeated.
const SHOWN: usize = 80;

/// A decision and how it came about.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// What [`Policy::decide`] answers.
    pub decision: Decision,
    /// The digest of the policy.
    pub policy_digest: String,
    /// The risk that the publisher signed.
    pub signed_risk: Risk,
    /// The patterns of `[[raise]]` that make it higher.
    pub raised_by: Vec<String>,
    /// The default for the risk.
    pub default: Verdict,
    /// Whether the default takes part: no rule matches for certain.
    pub default_counts: bool,
    /// Every rule, by name.
    pub rules: Vec<RuleExplained>,
}

/// One rule that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct RuleExplained {
    /// Its name.
    pub name: String,
    /// What it says.
    pub verdict: Verdict,
    /// Whether it holds for the call.
    pub holds: Holds,
    /// Whether it is one of those that made the decision.
    pub decides: bool,
    /// One sentence.
    pub why: String,
    /// Its conditions, all of them.
    pub conditions: Vec<ConditionExplained>,
}

/// One condition of a rule.
#[derive(Clone, Debug, Serialize)]
pub struct ConditionExplained {
    /// The key in the file.
    pub key: String,
    /// What the rule asks for.
    pub wanted: String,
    /// What the call has.
    pub found: String,
    /// Whether it holds.
    pub holds: Holds,
}

impl Policy {
    /// Decides one call and says why.
    #[must_use]
    pub fn explain(&self, subject: &Subject<'_>) -> Explanation {
        let judged = judge(&self.file, subject);
        let rules = self.file.rules.iter().map(|rule| explained(rule, subject, &judged)).collect();
        let raises = self.file.raises.iter().filter(|raise| {
            raise.actions.fit(subject.action) && raise.risk == judged.risk && judged.risk > subject.risk
        });
        Explanation {
            policy_digest: self.digest().to_owned(),
            signed_risk: subject.risk,
            raised_by: raises.map(|raise| list(&raise.actions)).collect(),
            default: judged.default.0,
            default_counts: judged.default.1,
            rules,
            decision: self.decision(judged),
        }
    }
}

/// What a decision rests on, in words.
pub(super) fn ruling(judged: &Judged<'_>) -> String {
    let mut text = match judged.by.as_slice() {
        [] => format!("default for risk `{}`", judged.risk.as_str()),
        [rule] => format!("rule `{}`", rule.name),
        rules => {
            let names: Vec<_> = rules.iter().take(NAMED).map(|rule| format!("`{}`", rule.name)).collect();
            let more = rules.len().saturating_sub(NAMED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("rules {}{more}", names.join(", "))
        }
    };
    if judged.is_unmeetable {
        text.push_str(", which have no group of approvers in common");
    }
    if judged.is_critical {
        text.push_str(", held because `critical` is never allowed outright");
    }
    text
}

fn explained(rule: &Rule, subject: &Subject<'_>, judged: &Judged<'_>) -> RuleExplained {
    let conditions: Vec<_> = judge::conditions(rule)
        .map(|asks| {
            let holds = judge::look(rule, asks, subject, judged.risk, None);
            let (key, wanted) = wanted(rule, asks);
            ConditionExplained { key, wanted, found: found(asks, subject, judged.risk), holds }
        })
        .collect();
    let holds = judge::rule_holds(rule, subject, judged.risk, None);
    let decides = judged.by.iter().any(|one| one.name == rule.name);
    let failing = |what: Holds| {
        let keys = conditions.iter().filter(|c| c.holds == what).map(|c| format!("`{}`", c.key));
        keys.collect::<Vec<_>>().join(", ")
    };
    let why = match holds {
        Holds::No => format!("does not match: {} does not fit", failing(Holds::No)),
        Holds::Untold | Holds::Open if rule.decision == DecisionWord::Allow => {
            format!("does not match: {} can't be told, and what can't be told allows nothing", failing(Holds::Untold))
        }
        Holds::Untold | Holds::Open if decides => {
            format!("counts: {} can't be told, which is no way around it", failing(Holds::Untold))
        }
        Holds::Untold | Holds::Open => {
            format!("may match ({} can't be told); a stricter one decides", failing(Holds::Untold))
        }
        Holds::Yes if decides => "matches and decides".to_owned(),
        Holds::Yes => "matches; a stricter one decides".to_owned(),
    };
    RuleExplained { name: rule.name.clone(), verdict: rule.decision.into(), holds, decides, why, conditions }
}

/// What a call has, where a condition asks.
fn found(asks: Asks<'_>, subject: &Subject<'_>, risk: Risk) -> String {
    let text = |text: &str| shown(text, SHOWN);
    match asks {
        Asks::Actions(_) => text(subject.action),
        Asks::Packs(_) => text(judge::pack_of(subject.action)),
        Asks::Targets(_) => text(subject.target),
        Asks::TargetRoles => match subject.target_role {
            Some(Role::Primary) => "primary".into(),
            Some(Role::Standby) => "standby".into(),
            Some(Role::Any) | None => "not known".into(),
        },
        Asks::Agents(_) => text(subject.agent),
        Asks::People(_) => subject.person.map_or("nobody known".into(), text),
        Asks::Roles(_) if subject.roles.is_empty() => "none".into(),
        Asks::Roles(_) => subject.roles.iter().map(|role| text(role)).collect::<Vec<_>>().join(", "),
        Asks::Risks => risk.as_str().into(),
        Asks::Argument(name) => {
            subject.arguments.get(name).map_or("not given".into(), |value| text(&value.to_string()))
        }
        Asks::During | Asks::Outside => subject.at.to_string(),
    }
}

impl Explanation {
    /// For a terminal: the decision, what it asks for, and every rule with its reason.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = format!("{}\n", sentence(&self.decision));
        let raised = if self.raised_by.is_empty() {
            String::new()
        } else {
            format!(" (signed `{}`, raised by {})", self.signed_risk.as_str(), self.raised_by.join("; "))
        };
        // Writing to a string can't fail.
        _ = writeln!(out, "risk      {}{raised}", self.decision.risk().as_str());
        let counts =
            if self.default_counts { "counts, since no rule matches for certain" } else { "not used: a rule matches" };
        _ = writeln!(out, "default   {} ({counts})", self.default);
        _ = writeln!(out, "policy    {}", self.policy_digest);
        if self.rules.is_empty() {
            out.push_str("no rules\n");
        }
        for rule in &self.rules {
            let mark = if rule.decides { '*' } else { ' ' };
            _ = writeln!(out, "\n{mark} rule `{}` ({}): {}", rule.name, rule.verdict, rule.why);
            for condition in &rule.conditions {
                let holds = match condition.holds {
                    Holds::Yes => "yes",
                    Holds::No => "no ",
                    Holds::Untold | Holds::Open => "?  ",
                };
                _ = writeln!(out, "    {holds} {}: {} — has {}", condition.key, condition.wanted, condition.found);
            }
        }
        out
    }
}

/// A decision in one sentence.
#[must_use]
pub fn sentence(decision: &Decision) -> String {
    let mut text = format!("{}, by {}", decision.verdict(), decision.rule());
    if decision.verdict() == Verdict::Approve {
        let people = match decision.approvals() {
            1 => "one person".to_owned(),
            n => format!("{n} people"),
        };
        let groups: Vec<_> = decision.approvers().iter().map(String::as_str).collect();
        let of = if groups.is_empty() { String::new() } else { format!(" of {}", groups.join(" or ")) };
        let within = decision.decide_within().map(|time| format!(", within {}", super::file::Length(time)));
        let why = if decision.reason_required() { ", with a reason" } else { "" };
        _ = write!(text, ": {people}{of}{}{why}", within.unwrap_or_default());
    }
    text
}
