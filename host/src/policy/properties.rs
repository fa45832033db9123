//! What holds for every policy and every call, whatever they are: policies and calls are made up at random from few enough
//! words that they meet.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select, subsequence},
};
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::statement::Role;

/// A made-up rule, without its name.
#[derive(Clone, Debug)]
struct MadeRule {
    decision: &'static str,
    lines: Vec<String>,
    tests: Vec<String>,
}

impl MadeRule {
    fn text(&self, name: &str) -> String {
        let tests = if self.tests.is_empty() {
            String::new()
        } else {
            format!("[rule.arguments]\n{}\n", self.tests.join("\n"))
        };
        format!("[[rule]]\nname = \"{name}\"\ndecision = \"{}\"\n{}\n{tests}", self.decision, self.lines.join("\n"))
    }
}

fn list(words: &[&str]) -> String {
    format!("[{}]", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
}

fn some_of(key: &'static str, words: Vec<&'static str>) -> impl Strategy<Value = Option<String>> {
    let most = words.len();
    option::weighted(0.3, subsequence(words, 1..=most).prop_map(move |some| format!("{key} = {}", list(&some))))
}

const WINDOWS: [&str; 4] = [
    "{ days = [\"mon-fri\"], from = \"08:00\", to = \"18:00\", zone = \"Europe/Berlin\" }",
    "{ from = \"22:00\", to = \"06:00\" }",
    "{ first_day = \"2026-12-20\", last_day = \"2027-01-03\" }",
    "{ days = [\"sat\", \"sun\"] }",
];

const TESTS: [&str; 8] = [
    "pid = { min = 10 }",
    "pid = { max = 10 }",
    "pid = { is = \"text\" }",
    "schema = { is = \"billing\" }",
    "schema = { one_of = [\"billing\", \"shop\"] }",
    "schema = { matches = \"tmp_*\" }",
    "force = { is = true }",
    "pid = { min = 5, max = 20.5 }",
];
const PRESENCE: [&str; 3] =
    ["schema = { present = true }", "pid = { present = false }", "schema = { present = true, is = \"billing\" }"];

fn made_rule(presence: bool) -> impl Strategy<Value = MadeRule> {
    let tests: Vec<&'static str> =
        if presence { TESTS.iter().chain(&PRESENCE).copied().collect() } else { TESTS.into() };
    let who = (
        some_of("targets", vec!["t1", "t*", "s1"]),
        some_of("target_roles", vec!["primary", "standby"]),
        some_of("agents", vec!["claude", "c*", "other"]),
        some_of("people", vec!["Ada", "g*"]),
        some_of("roles", vec!["oncall", "intern"]),
        some_of("risks", vec!["low", "medium", "high", "critical"]),
        some_of("packs", vec!["pg", "d*"]),
    );
    let when = (
        option::weighted(0.2, select(WINDOWS.to_vec()).prop_map(|window| format!("during = [{window}]"))),
        option::weighted(0.2, select(WINDOWS.to_vec()).prop_map(|window| format!("outside = [{window}]"))),
    );
    let asks = (
        option::of((1_u32..4).prop_map(|n| format!("approvals = {n}"))),
        some_of("approvers", vec!["dba", "lead", "security"]),
        option::of(select(vec!["10m", "1h", "90s"]).prop_map(|time| format!("decide_within = \"{time}\""))),
        option::of(any::<bool>().prop_map(|why| format!("reason_required = {why}"))),
    );
    let actions =
        subsequence(vec!["*", "pg.*", "pg.kill", "dx.*"], 1..=2).prop_map(|a| format!("actions = {}", list(&a)));
    let tests = option::weighted(0.4, select(tests).prop_map(ToOwned::to_owned));
    (select(vec!["allow", "approve", "deny"]), actions, who, when, asks, tests).prop_map(
        |(decision, actions, who, when, asks, tests)| {
            let (a, b, c, d, e, f, g) = who;
            let mut lines = vec![actions];
            lines.extend([a, b, c, d, e, f, g, when.0, when.1].into_iter().flatten());
            if decision == "approve" {
                lines.extend([asks.0, asks.1, asks.2, asks.3].into_iter().flatten());
            }
            MadeRule { decision, lines, tests: tests.into_iter().collect() }
        },
    )
}

/// Defaults and raises, as text.
fn made_base() -> impl Strategy<Value = String> {
    let word = || select(vec!["allow", "approve", "deny"]);
    let raise = option::of((select(vec!["pg.*", "dx.look"]), select(vec!["medium", "high", "critical"])));
    (word(), word(), word(), word(), raise).prop_map(|(low, medium, high, critical, raise)| {
        let raise = raise.map(|(actions, risk)| format!("[[raise]]\nactions = [\"{actions}\"]\nrisk = \"{risk}\"\n"));
        format!(
            "version = 1\n[defaults]\nlow = \"{low}\"\nmedium = \"{medium}\"\nhigh = \"{high}\"\ncritical = \"{critical}\"\n{}",
            raise.unwrap_or_default()
        )
    })
}

fn policy(base: &str, rules: &[(String, MadeRule)]) -> Policy {
    let rules: String = rules.iter().map(|(name, rule)| rule.text(name)).collect();
    let text = format!("{base}{rules}");
    Policy::parse(&text, "policy.toml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn named(rules: &[MadeRule]) -> Vec<(String, MadeRule)> {
    rules.iter().enumerate().map(|(at, rule)| (format!("r{at}"), rule.clone())).collect()
}

/// A made-up call.
#[derive(Clone, Debug)]
struct MadeCall {
    action: &'static str,
    risk: Risk,
    target: &'static str,
    target_role: Option<Role>,
    agent: &'static str,
    person: Option<&'static str>,
    roles: Vec<String>,
    arguments: Map<String, Json>,
    at: Timestamp,
}

impl MadeCall {
    fn subject(&self) -> Subject<'_> {
        Subject {
            action: self.action,
            risk: self.risk,
            target: self.target,
            target_role: self.target_role,
            agent: self.agent,
            person: self.person,
            roles: &self.roles,
            arguments: &self.arguments,
            at: self.at,
        }
    }
}

fn made_call() -> impl Strategy<Value = MadeCall> {
    let arguments = (
        option::of(select(vec![json!(5), json!(10), json!(15), json!(20.6), json!("text")])),
        option::of(select(vec![json!("billing"), json!("shop"), json!("tmp_1"), json!(7)])),
        option::of(any::<bool>().prop_map(Json::from)),
    );
    (
        (
            select(vec!["pg.kill", "pg.idle", "dx.look"]),
            select(vec![Risk::Low, Risk::Medium, Risk::High, Risk::Critical]),
            select(vec!["t1", "t2", "s1"]),
            option::of(select(vec![Role::Primary, Role::Standby])),
        ),
        (
            select(vec!["claude", "other"]),
            option::of(select(vec!["ada", " ADA", "grace", ""])),
            subsequence(vec!["oncall".to_owned(), "intern".to_owned()], 0..=2),
        ),
        arguments,
        1_790_000_000_i64..1_800_000_000,
    )
        .prop_map(|((action, risk, target, target_role), (agent, person, roles), (pid, schema, force), at)| {
            let given = [("pid", pid), ("schema", schema), ("force", force)];
            MadeCall {
                action,
                risk,
                target,
                target_role,
                agent,
                person,
                roles,
                arguments: given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
                at: Timestamp::from_second(at).unwrap(),
            }
        })
}

/// Whether a decision asks for at least as much as another one.
fn at_least(decision: &Decision, than: &Decision) -> bool {
    if decision.verdict() != than.verdict() || decision.verdict() != Verdict::Approve {
        return decision.verdict() >= than.verdict();
    }
    let no_later = match (decision.decide_within(), than.decide_within()) {
        (Some(this), Some(that)) => this <= that,
        (None, Some(_)) => false,
        (_, None) => true,
    };
    let no_wider = than.approvers().is_empty()
        || (!decision.approvers().is_empty() && decision.approvers().is_subset(than.approvers()));
    decision.approvals() >= than.approvals()
        && no_wider
        && no_later
        && (decision.reason_required() || !than.reason_required())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Every call gets an answer, and the explanation is of that answer: what the rules in it say comes to it.
    #[test]
    fn what_is_explained_is_what_is_decided(base in made_base(), rules in vec(made_rule(true), 0..6), call in made_call()) {
        let policy = policy(&base, &named(&rules));
        let (subject, decision) = (call.subject(), policy.decide(&call.subject()));
        let told = policy.explain(&subject);
        prop_assert_eq!(&told.decision, &decision);
        prop_assert_eq!(told.rules.len(), rules.len());
        let mut strictest = None;
        let mut certain = false;
        for rule in &told.rules {
            // By the words of the documentation, without the code that decides.
            let all = |holds: Holds| rule.conditions.iter().any(|condition| condition.holds == holds);
            let holds = if all(Holds::No) { Holds::No } else if all(Holds::Untold) { Holds::Untold } else { Holds::Yes };
            prop_assert_eq!(rule.holds, holds, "{:?}", rule);
            if holds == Holds::Yes || (holds == Holds::Untold && rule.verdict != Verdict::Allow) {
                strictest = strictest.max(Some(rule.verdict));
            }
            certain |= holds == Holds::Yes;
            prop_assert_eq!(rule.decides, decision.rules().contains(&rule.name));
        }
        prop_assert_eq!(told.default_counts, !certain);
        if !certain {
            strictest = strictest.max(Some(told.default));
        }
        let mut verdict = strictest.unwrap();
        if verdict == Verdict::Approve && decision.verdict() == Verdict::Deny {
            prop_assert!(decision.rule().contains("no group of approvers in common"), "{}", decision.rule());
            verdict = Verdict::Deny;
        }
        if verdict == Verdict::Allow && decision.risk() == Risk::Critical {
            verdict = Verdict::Approve;
        }
        prop_assert_eq!(decision.verdict(), verdict);
        prop_assert!(decision.risk() >= call.risk, "a risk is raised and never lowered");
        prop_assert!(!told.render().is_empty());
    }

    /// The order of the rules in the file changes nothing at all, not even the digest.
    #[test]
    fn order_does_not_matter(base in made_base(), rules in vec(made_rule(true), 1..6), turn in any::<Index>(), call in made_call()) {
        let rules = named(&rules);
        let mut turned = rules.clone();
        turned.rotate_left(turn.index(rules.len()));
        turned.reverse();
        let (one, other) = (policy(&base, &rules), policy(&base, &turned));
        prop_assert_eq!(one.decide(&call.subject()), other.decide(&call.subject()));
        prop_assert_eq!(one.digest(), other.digest());
        prop_assert_eq!(one.to_toml().unwrap(), other.to_toml().unwrap());
    }

    /// A rule that denies never loosens anything, wherever it is added.
    #[test]
    fn a_deny_rule_never_loosens(base in made_base(), rules in vec(made_rule(true), 0..5), deny in made_rule(true), call in made_call()) {
        let deny = MadeRule {
            decision: "deny",
            lines: deny.lines.into_iter().filter(|line| !line.starts_with("appro") && !line.starts_with("decide") && !line.starts_with("reason")).collect(),
            tests: deny.tests,
        };
        let mut more = named(&rules);
        let before = policy(&base, &more).decide(&call.subject());
        more.push(("added".into(), deny));
        let after = policy(&base, &more).decide(&call.subject());
        prop_assert!(at_least(&after, &before), "{before:?} became {after:?}");
    }

    /// Where a rule matches for certain, no rule that is added loosens what it asks for, whatever it says.
    #[test]
    fn no_rule_loosens_another(base in made_base(), rules in vec(made_rule(true), 1..5), added in made_rule(true), call in made_call()) {
        let mut more = named(&rules);
        let policy_before = policy(&base, &more);
        let before = policy_before.decide(&call.subject());
        more.push(("added".into(), added));
        let after = policy(&base, &more).decide(&call.subject());
        if !policy_before.explain(&call.subject()).default_counts {
            prop_assert!(at_least(&after, &before), "{before:?} became {after:?}");
        }
    }

    /// Leaving out arguments, the person or the target's place never makes an answer less strict, unless a rule says in as
    /// many words that it is about what is left out.
    #[test]
    fn leaving_something_out_never_helps(base in made_base(), rules in vec(made_rule(false), 0..6), call in made_call(), what in 0..5) {
        let policy = policy(&base, &named(&rules));
        let mut less = call.clone();
        match what {
            0 => less.person = None,
            1 => less.target_role = None,
            2 => drop(less.arguments.remove("pid")),
            3 => drop(less.arguments.remove("schema")),
            _ => less.arguments.clear(),
        }
        let (with, without) = (policy.decide(&call.subject()), policy.decide(&less.subject()));
        prop_assert!(without.verdict() >= with.verdict(), "{with:?} became {without:?}");
    }

    /// Whatever turns out of what was unknown, the verdict was foreseen; so nothing is hidden that could be called.
    #[test]
    fn what_can_come_is_foreseen(base in made_base(), rules in vec(made_rule(true), 0..6), call in made_call(), open in subsequence(vec!["pid", "schema", "force"], 0..=3), time in any::<bool>()) {
        let policy = policy(&base, &named(&rules));
        let unknown = Unknown { argument: &|name| open.contains(&name), time };
        // Seen from before the call: nothing of what is open is there yet.
        let mut early = call.clone();
        early.arguments.retain(|name, _| !open.contains(&name.as_str()));
        if time {
            early.at = Timestamp::UNIX_EPOCH;
        }
        let foreseen: BTreeSet<Verdict> = policy.possible(&early.subject(), &unknown);
        let verdict = policy.decide(&call.subject()).verdict();
        prop_assert!(foreseen.contains(&verdict), "{verdict} is not among {foreseen:?}");
        if policy.open_rules(&early.subject(), &unknown).is_empty() {
            prop_assert_eq!(foreseen, BTreeSet::from([verdict]));
        }
    }

    /// Written and read again a policy is the same, and there is one way to write it.
    #[test]
    fn a_policy_survives_being_written(base in made_base(), rules in vec(made_rule(true), 0..6)) {
        let policy = policy(&base, &named(&rules));
        let text = policy.to_toml().unwrap();
        let again = Policy::parse(&text, "written").unwrap();
        prop_assert_eq!(&again.file, &policy.file);
        prop_assert_eq!(again.digest(), policy.digest());
        prop_assert_eq!(again.to_toml().unwrap(), text);
        prop_assert!(change::changes(&policy, &again).is_empty());
    }

    /// Two policies that differ in meaning differ in digest, and the difference is said.
    #[test]
    fn a_change_is_never_silent(base in made_base(), other in made_base(), rules in vec(made_rule(true), 0..4), others in vec(made_rule(true), 0..4)) {
        let (one, two) = (policy(&base, &named(&rules)), policy(&other, &named(&others)));
        let same = one.file == two.file;
        prop_assert_eq!(one.digest() == two.digest(), same);
        prop_assert_eq!(change::changes(&one, &two).is_empty(), same);
    }
}
