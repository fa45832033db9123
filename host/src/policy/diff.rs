//! Which calls another policy would have decided differently: calls of the record, put to both. What the record does not have
//! of a call (an argument that was redacted, a target's place) is not guessed: where a rule asks about it, the call is said
//! to be undecided.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{Decision, Policy, Subject, Unknown, Verdict, explain::sentence};
use crate::{audit::Line, error::Code, outside::shown, pack::manifest::Risk, statement::Role};

/// Groups that are told one by one on a terminal.
const SHOWN: usize = 100;

/// Says whether these arguments are those that a keyed digest on the record was taken over.
pub type IsExact<'a> = &'a dyn Fn(&Map<String, Json>, &str) -> bool;

/// Puts calls of the record to two policies.
pub struct Replay<'p> {
    before: &'p Policy,
    after: &'p Policy,
    is_exact: IsExact<'p>,
    since: Option<Timestamp>,
    found: Difference,
    groups: BTreeMap<Group, Seen>,
    undecided: BTreeMap<String, u64>,
}

/// Calls that are told together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Group {
    /// Whether the other policy is stricter or less strict.
    pub becomes: Becomes,
    /// `pack.action`.
    pub action: String,
    /// Where.
    pub target: String,
    /// Who called.
    pub agent: String,
    /// The person behind the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The decision of the policy that is in force, in a sentence.
    pub before: String,
    /// The decision of the other one.
    pub after: String,
}

/// Which way a decision turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Becomes {
    /// What was held or denied goes further.
    LessStrict,
    /// The same verdict, with other demands on approvers.
    OtherApproval,
    /// What went through is held or denied.
    Stricter,
}

/// How many calls are in a group, and the last of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// How many.
    pub calls: u64,
    /// The run of the last one.
    pub last_run: String,
    /// When that was, as the record has it.
    pub last_at: String,
}

/// What a replay came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Difference {
    /// Calls that policy had decided on.
    pub calls: u64,
    /// Of them, decided alike by both.
    pub same: u64,
    /// Of them, decided differently.
    pub differ: u64,
    /// Of them, those for which the record does not have what a rule asks about.
    pub undecided: u64,
    /// Calls that were refused as unknown actions: whether policy hid them is not on the record.
    pub hidden: u64,
    /// Lines that could not be understood and may have been of calls.
    pub unreadable: u64,
    /// Those that differ, together where they are alike; less strict first.
    pub groups: Vec<(Group, Seen)>,
    /// Why calls are undecided, and how many.
    pub why_undecided: BTreeMap<String, u64>,
}

impl<'p> Replay<'p> {
    /// Between the policy in force and another; calls before `since` are passed over.
    #[must_use]
    pub fn new(before: &'p Policy, after: &'p Policy, is_exact: IsExact<'p>, since: Option<Timestamp>) -> Self {
        let (found, groups, undecided) = (Difference::default(), BTreeMap::new(), BTreeMap::new());
        Self { before, after, is_exact, since, found, groups, undecided }
    }

    /// Takes a line of the record; those that are no decided calls are passed over.
    pub fn take(&mut self, line: &Line) {
        let is_call = match line.event() {
            "call.intent" => true,
            "call.refused" if line.text("code") == Code::DeniedByPolicy.as_str() => true,
            "call.refused" if line.text("code") == Code::UnknownAction.as_str() => false,
            _ => return,
        };
        let Ok(at) = line.time().parse::<Timestamp>() else {
            self.found.unreadable += 1;
            return;
        };
        if self.since.is_some_and(|since| at < since) {
            return;
        }
        if !is_call {
            self.found.hidden += 1;
            return;
        }
        self.found.calls += 1;
        match RecordedCall::read(line, at) {
            Some(call) => self.put(&call),
            None => self.found.unreadable += 1,
        }
    }

    /// Counts what is no line of the record: it may have been a call.
    pub fn pass_over(&mut self) {
        self.found.unreadable += 1;
    }

    fn put(&mut self, call: &RecordedCall<'_>) {
        let exact = call.arguments.is_some_and(|arguments| (self.is_exact)(arguments, call.digest));
        // Only texts are ever redacted; what is not on the record at all may be anything.
        let argument = |name: &str| match call.arguments {
            None => true,
            Some(arguments) => !exact && arguments.get(name).is_some_and(Json::is_string),
        };
        let unknown = Unknown { argument: &argument, time: false };
        let subject = call.subject();
        let mut open = self.before.open_rules(&subject, &unknown);
        open.extend(self.after.open_rules(&subject, &unknown));
        if !open.is_empty() {
            open.sort_unstable();
            open.dedup();
            let what = match (call.arguments, call.target_role) {
                (None, _) => "arguments that the record does not have",
                (Some(_), None) if exact => "the target's place, which the record does not have",
                (Some(_), None) => "arguments or a target's place that the record does not have",
                (Some(_), Some(_)) => "arguments that were redacted",
            };
            let names: Vec<_> = open.iter().map(|name| format!("`{name}`")).collect();
            *self.undecided.entry(format!("{} ask about {what}", names.join(", "))).or_default() += 1;
            self.found.undecided += 1;
            return;
        }
        let (before, after) = (self.before.decide(&subject), self.after.decide(&subject));
        let Some(becomes) = turn(&before, &after) else {
            self.found.same += 1;
            return;
        };
        self.found.differ += 1;
        let group = Group {
            becomes,
            action: shown(subject.action, 130),
            target: shown(subject.target, 130),
            agent: shown(subject.agent, 130),
            person: subject.person.map(|person| shown(person, 130)),
            before: sentence(&before),
            after: sentence(&after),
        };
        let seen = self.groups.entry(group).or_default();
        seen.calls += 1;
        seen.last_run = shown(call.run, 64);
        seen.last_at = call.at.to_string();
    }

    /// What it came to.
    #[must_use]
    pub fn finish(self) -> Difference {
        Difference { groups: self.groups.into_iter().collect(), why_undecided: self.undecided, ..self.found }
    }
}

/// Which way the second decision turns; none if it says the same. Which rule said it is not looked at.
fn turn(before: &Decision, after: &Decision) -> Option<Becomes> {
    let asks = |d: &Decision| {
        let approve = d.verdict() == Verdict::Approve;
        approve.then(|| (d.approvals(), d.approvers().clone(), d.decide_within(), d.reason_required()))
    };
    match after.verdict().cmp(&before.verdict()) {
        std::cmp::Ordering::Less => Some(Becomes::LessStrict),
        std::cmp::Ordering::Greater => Some(Becomes::Stricter),
        std::cmp::Ordering::Equal => (asks(before) != asks(after)).then_some(Becomes::OtherApproval),
    }
}

/// A call as the record has it.
struct RecordedCall<'l> {
    run: &'l str,
    action: &'l str,
    target: &'l str,
    agent: &'l str,
    person: Option<&'l str>,
    roles: Vec<String>,
    risk: Risk,
    target_role: Option<Role>,
    arguments: Option<&'l Map<String, Json>>,
    digest: &'l str,
    at: Timestamp,
}

impl<'l> RecordedCall<'l> {
    fn read(line: &'l Line, at: Timestamp) -> Option<Self> {
        let some = |name: &str| Some(line.text(name)).filter(|text| !text.is_empty());
        // The risk that was signed, where policy had raised it; older lines have only what it was decided by.
        let risk = some("signed_risk").or_else(|| some("risk"))?;
        Some(Self {
            run: line.text("run"),
            action: some("action")?,
            target: some("target")?,
            agent: some("agent")?,
            person: some("person"),
            roles: line.fields().get("roles").and_then(|roles| serde_json::from_value(roles.clone()).ok())?,
            risk: serde_json::from_value(Json::from(risk)).ok()?,
            target_role: match line.text("target_role") {
                "primary" => Some(Role::Primary),
                "standby" => Some(Role::Standby),
                _ => None,
            },
            arguments: line.fields().get("arguments").and_then(Json::as_object),
            digest: line.text("arguments_hmac"),
            at,
        })
    }

    fn subject(&self) -> Subject<'_> {
        static NONE: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);
        Subject {
            action: self.action,
            risk: self.risk,
            target: self.target,
            target_role: self.target_role,
            agent: self.agent,
            person: self.person,
            roles: &self.roles,
            arguments: self.arguments.unwrap_or(&NONE),
            at: self.at,
        }
    }
}

impl Difference {
    /// For a terminal.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        for (title, becomes) in [
            ("less strict", Becomes::LessStrict),
            ("other approval", Becomes::OtherApproval),
            ("stricter", Becomes::Stricter),
        ] {
            let groups: Vec<_> = self.groups.iter().filter(|(group, _)| group.becomes == becomes).collect();
            if groups.is_empty() {
                continue;
            }
            // Writing to a string can't fail.
            _ = writeln!(out, "{title}:");
            for (group, seen) in groups.iter().take(SHOWN) {
                let person = group.person.as_deref().map(|person| format!(" for {person}")).unwrap_or_default();
                let times = if seen.calls == 1 { "once".to_owned() } else { format!("{} times", seen.calls) };
                _ = writeln!(
                    out,
                    "  {} on {} by {}{person}, {times}, last {} ({})",
                    group.action, group.target, group.agent, seen.last_at, seen.last_run
                );
                _ = writeln!(out, "    now  {}\n    then {}", group.before, group.after);
            }
            if let Some(more) = groups.len().checked_sub(SHOWN).filter(|more| *more > 0) {
                _ = writeln!(out, "  and {more} more kinds of calls; --json has them all");
            }
        }
        for (why, calls) in &self.why_undecided {
            _ = writeln!(out, "not told, {calls} calls: {why}");
        }
        if self.hidden > 0 {
            _ = writeln!(
                out,
                "{} calls were refused as unknown actions; whether policy hid them is not on the record",
                self.hidden
            );
        }
        if self.unreadable > 0 {
            _ = writeln!(out, "{} lines could not be understood and may have been of calls", self.unreadable);
        }
        _ = write!(
            out,
            "{} calls: {} alike, {} different, {} not told",
            self.calls, self.same, self.differ, self.undecided
        );
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(event: &str, fields: &Json) -> Line {
        let mut text = format!(
            "{{\"v\":1,\"seq\":1,\"ts\":\"2026-11-20T12:00:00.000000Z\",\"prev\":\"{}\",\"ev\":\"{event}\"",
            "0".repeat(64)
        );
        for (name, value) in fields.as_object().unwrap() {
            _ = write!(text, ",\"{name}\":{value}");
        }
        Line::parse(&format!("{text}}}")).unwrap()
    }

    /// A call as the record has it; what is given takes the place of what is here.
    fn call(more: &Json) -> Json {
        let mut fields = json!({
            "run": "run_1", "agent": "claude", "person": "ada", "roles": ["oncall"], "action": "pg.kill",
            "target": "primary", "risk": "high", "arguments": { "pid": 5, "schema": "shop" }, "arguments_hmac": "right",
        });
        for (name, value) in more.as_object().unwrap() {
            fields[name] = value.clone();
        }
        fields
    }

    fn policy(rule: &str) -> Policy {
        let rule = if rule.is_empty() {
            String::new()
        } else {
            format!("[[rule]]\nname = \"a\"\nactions = [\"pg.*\"]\n{rule}\n")
        };
        Policy::parse(&format!("version = 1\n{rule}"), "policy.toml").unwrap()
    }

    fn replayed(before: &str, after: &str, lines: &[Line]) -> Difference {
        let (before, after) = (policy(before), policy(after));
        let is_exact = |_: &Map<String, Json>, digest: &str| digest == "right";
        let mut replay = Replay::new(&before, &after, &is_exact, "2026-11-20T00:00:00Z".parse().ok());
        lines.iter().for_each(|line| replay.take(line));
        replay.finish()
    }

    fn told(difference: &Difference) -> (u64, u64, u64) {
        assert_eq!(
            difference.calls,
            difference.same + difference.differ + difference.undecided + difference.unreadable
        );
        (difference.same, difference.differ, difference.undecided)
    }

    #[test]
    fn calls_that_come_out_differently_are_grouped_by_which_way_they_turn() {
        let lines = [
            line("call.intent", &call(&json!({}))),
            line("call.intent", &call(&json!({ "run": "run_2" }))),
            line("call.intent", &call(&json!({ "agent": "other" }))),
            line("call.intent", &call(&json!({ "action": "dx.look", "risk": "low" }))),
            line("call.outcome", &json!({ "run": "run_1" })),
        ];
        for (rule, becomes) in [
            ("decision = \"allow\"", Becomes::LessStrict),
            ("decision = \"deny\"", Becomes::Stricter),
            ("decision = \"approve\"\napprovers = [\"dba\"]", Becomes::OtherApproval),
        ] {
            let found = replayed("", rule, &lines);
            assert_eq!(told(&found), (1, 3, 0), "{rule}");
            let groups: Vec<_> =
                found.groups.iter().map(|(g, seen)| (g.becomes, g.agent.as_str(), seen.calls)).collect();
            assert_eq!(groups, [(becomes, "claude", 2), (becomes, "other", 1)]);
            assert_eq!(found.groups[0].1.last_run, "run_2");
            assert!(found.render().ends_with("4 calls: 1 alike, 3 different, 0 not told"), "{}", found.render());
        }
        // The same answer by another rule is the same answer.
        assert_eq!(told(&replayed("", "decision = \"approve\"", &lines)), (4, 0, 0));
    }

    #[test]
    fn a_redacted_text_is_not_guessed_and_a_number_is_known() {
        let redacted = line("call.intent", &call(&json!({ "arguments_hmac": "of something else" })));
        let exact = line("call.intent", &call(&json!({})));
        let by_schema = "decision = \"deny\"\n[rule.arguments]\nschema = { is = \"shop\" }";
        assert_eq!(told(&replayed("", by_schema, &[redacted.clone(), exact.clone()])), (0, 1, 1));
        let found = replayed("", by_schema, std::slice::from_ref(&redacted));
        let why: Vec<_> = found.why_undecided.keys().collect();
        assert!(why.len() == 1 && why[0].starts_with("`a` ask"), "{why:?}");
        let by_pid = "decision = \"deny\"\n[rule.arguments]\npid = { max = 9 }";
        assert_eq!(told(&replayed("", by_pid, &[redacted, exact])), (0, 2, 0));
    }

    #[test]
    fn denied_calls_are_replayed_and_other_refusals_are_not() {
        let denied = line("call.refused", &call(&json!({ "code": "denied_by_policy" })));
        let mut without = call(&json!({ "code": "denied_by_policy" }));
        without.as_object_mut().unwrap().remove("arguments");
        let invalid = line("call.refused", &call(&json!({ "code": "invalid_arguments" })));
        let hidden = line("call.refused", &call(&json!({ "code": "unknown_action" })));
        let by_pid = "decision = \"deny\"\n[rule.arguments]\npid = { max = 9 }";
        let found = replayed(by_pid, "", &[denied, line("call.refused", &without), invalid, hidden]);
        assert_eq!((told(&found), found.hidden), ((0, 1, 1), 1));
        assert_eq!(found.groups[0].0.becomes, Becomes::LessStrict);
    }

    #[test]
    fn a_call_is_replayed_by_its_signed_risk_at_its_time_and_place() {
        let raised = line("call.intent", &call(&json!({ "risk": "critical", "signed_risk": "low" })));
        assert_eq!(told(&replayed("", "decision = \"approve\"\nrisks = [\"critical\"]", &[raised])), (1, 0, 0));
        let plain = line("call.intent", &call(&json!({})));
        let friday = "decision = \"deny\"\nduring = [{ days = [\"fri\"] }]";
        let saturday = "decision = \"deny\"\nduring = [{ days = [\"sat\"] }]";
        assert_eq!(told(&replayed("", friday, std::slice::from_ref(&plain))), (0, 1, 0));
        assert_eq!(told(&replayed("", saturday, std::slice::from_ref(&plain))), (1, 0, 0));
        let place = "decision = \"deny\"\ntarget_roles = [\"primary\"]";
        assert_eq!(told(&replayed("", place, &[plain])), (0, 0, 1), "an older line has no place");
        let placed = line("call.intent", &call(&json!({ "target_role": "standby" })));
        assert_eq!(told(&replayed("", place, &[placed])), (1, 0, 0));
        let early = replayed("", "decision = \"deny\"", &[line("call.intent", &call(&json!({ "roles": 7 })))]);
        assert_eq!((early.unreadable, told(&early)), (1, (0, 0, 0)));
    }
}
