//! `policy.toml` as the operator writes it, and as it is written again: rules by name, lists sorted, so that one policy has
//! one text. What is wrong with it is said with its line.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    path::Path,
    time::Duration,
};

use lockgate_signing::file::{FileError, read_guarded, read_once};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{
    Verdict,
    arguments::ArgumentTest,
    names::{Names, is_fit},
    window::Window,
};
use crate::{
    pack::manifest::Risk,
    statement::Role,
    toml_error::{at_line, toml_error},
};

/// Largest policy that is read.
const MAX_POLICY: u64 = 1 << 20;
/// Longest name of a rule: it stands in every answer and on every line of the record that it decides.
const MAX_NAME: usize = 100;
/// Most people that a rule may ask for.
const MAX_APPROVALS: u32 = 10;
/// Shortest and longest time to decide that a rule may give, in seconds. The longest is the configuration's own.
const DECIDE_WITHIN: std::ops::RangeInclusive<u64> = 10..=7 * 86_400;
/// What the portal calls those who may use it; policy's groups are the operator's own words, and never these.
const PORTAL_ROLES: [&str; 3] = ["viewer", "approver", "admin"];

/// A policy can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

impl PolicyError {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }
}

/// What was found sound; rules by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct PolicyFile {
    version: u32,
    pub(super) defaults: Defaults,
    #[serde(rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub(super) rules: Vec<Rule>,
    #[serde(rename = "raise", skip_serializing_if = "Vec::is_empty")]
    pub(super) raises: Vec<Raise>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default, rename = "rule")]
    rules: Vec<Spanned<Rule>>,
    #[serde(default, rename = "raise")]
    raises: Vec<Raise>,
}

impl Default for PolicyFile {
    fn default() -> Self {
        Self { version: 1, defaults: Defaults::default(), rules: Vec::new(), raises: Vec::new() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DecisionWord {
    Allow,
    Approve,
    Deny,
}

impl From<DecisionWord> for Verdict {
    fn from(word: DecisionWord) -> Self {
        match word {
            DecisionWord::Allow => Self::Allow,
            DecisionWord::Approve => Self::Approve,
            DecisionWord::Deny => Self::Deny,
        }
    }
}

/// What happens to a call that no rule matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Defaults {
    low: DecisionWord,
    medium: DecisionWord,
    high: DecisionWord,
    critical: DecisionWord,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            low: DecisionWord::Allow,
            medium: DecisionWord::Allow,
            high: DecisionWord::Approve,
            critical: DecisionWord::Deny,
        }
    }
}

impl Defaults {
    pub(super) fn of(&self, risk: Risk) -> Verdict {
        match risk {
            Risk::Low => self.low,
            Risk::Medium => self.medium,
            Risk::High => self.high,
            Risk::Critical => self.critical,
        }
        .into()
    }
}

/// A target's place, as rules name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    Primary,
    Standby,
}

impl Place {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
        }
    }

    pub(super) fn is(self, role: Role) -> bool {
        matches!((self, role), (Self::Primary, Role::Primary) | (Self::Standby, Role::Standby))
    }
}

/// One rule; a condition that is left out holds for every call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) actions: Option<Names>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) packs: Option<Names>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) targets: Option<Names>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target_roles: Option<BTreeSet<Place>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agents: Option<Names>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) people: Option<Names>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) roles: Option<Names>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) risks: Option<BTreeSet<Risk>>,
    pub(super) decision: DecisionWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approvals: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approvers: Option<Names>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decide_within: Option<Length>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) reason_required: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) arguments: BTreeMap<String, ArgumentTest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) during: Option<Vec<Window>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outside: Option<Vec<Window>>,
}

/// The operator thinks an action more dangerous than its publisher does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raise {
    pub(super) actions: Names,
    pub(super) risk: Risk,
}

/// A length of time like `90s`, `30m` or `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Length(pub(super) Duration);

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            || format!("`{}` is no length of time like 90s, 30m, 1h30m or 2d", crate::outside::shown(&text, 40));
        let mut seconds = 0_u64;
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let digits =
                rest.find(|c: char| !c.is_ascii_digit()).filter(|at| (1..=9).contains(at)).ok_or_else(wrong)?;
            let (number, after) = rest.split_at(digits);
            let mut after = after.chars();
            let unit = match after.next() {
                Some('s') => 1,
                Some('m') => 60,
                Some('h') => 3600,
                Some('d') => 86_400,
                _ => return Err(wrong()),
            };
            seconds = seconds.saturating_add(number.parse::<u64>().map_err(|_| wrong())?.saturating_mul(unit));
            rest = after.as_str();
        }
        if text.is_empty() {
            return Err(wrong());
        }
        if !DECIDE_WITHIN.contains(&seconds) {
            return Err(format!("`{}` is not from 10s to 7d", crate::outside::shown(&text, 40)));
        }
        Ok(Self(Duration::from_secs(seconds)))
    }
}

impl From<Length> for String {
    fn from(length: Length) -> Self {
        length.to_string()
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_secs();
        for (unit, seconds) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
            if rest >= seconds {
                write!(f, "{}{unit}", rest / seconds)?;
                rest %= seconds;
            }
        }
        Ok(())
    }
}

pub(super) fn load(path: &Path) -> Result<PolicyFile, PolicyError> {
    parse(&read(path)?, &path.display().to_string())
}

/// The same of a file that only this user or root may write, as a policy must be that is to be in force.
pub(super) fn load_guarded(path: &Path) -> Result<PolicyFile, PolicyError> {
    let unfit = |e: FileError| PolicyError(format!("{e}; {}", e.remedy()));
    parse(&text_of(path, read_guarded(path, MAX_POLICY).map_err(unfit)?)?, &path.display().to_string())
}

pub(super) fn read(path: &Path) -> Result<String, PolicyError> {
    text_of(path, read_once(path, MAX_POLICY).map_err(|e| PolicyError(e.to_string()))?)
}

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String, PolicyError> {
    String::from_utf8(bytes).map_err(|_| PolicyError(format!("{} is not UTF-8", path.display())))
}

pub(super) fn parse(text: &str, place: &str) -> Result<PolicyFile, PolicyError> {
    let written: Written = toml::from_str(text).map_err(|e| PolicyError(toml_error(place, text, &e)))?;
    if written.version != 1 {
        return Err(PolicyError(format!("{place}: `version` must be 1")));
    }
    let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
    for spanned in written.rules {
        let Range { start, .. } = spanned.span();
        let rule = spanned.into_inner();
        let refuse = |what: String| PolicyError(at_line(place, text, start, &what));
        if let Some(what) = fault(&rule) {
            return Err(refuse(format!("rule `{}` {what}", crate::outside::shown(&rule.name, MAX_NAME))));
        }
        if let Some(first) = rules.insert(rule.name.clone(), rule) {
            return Err(refuse(format!(
                "there are two rules `{}`; answers and the record name a rule by it, so give each its own",
                first.name
            )));
        }
    }
    let mut raises = written.raises;
    raises.sort();
    raises.dedup();
    Ok(PolicyFile { version: 1, defaults: written.defaults, rules: rules.into_values().collect(), raises })
}

pub(super) fn write(file: &PolicyFile) -> Result<String, PolicyError> {
    toml::to_string(file).map_err(|e| PolicyError(format!("the policy can't be written: {e}")))
}

/// What is wrong with a rule as a whole, in words that go on from its name.
fn fault(rule: &Rule) -> Option<String> {
    if !is_fit(&rule.name, MAX_NAME) || rule.name.contains('`') {
        return Some(format!("needs a name of 1 to {MAX_NAME} characters that can all be seen, without backquotes"));
    }
    if rule.actions.is_none() && rule.packs.is_none() {
        return Some("needs `actions` or `packs`; `actions = [\"*\"]` stands for every action".into());
    }
    let empty = [
        ("target_roles", rule.target_roles.as_ref().is_some_and(BTreeSet::is_empty)),
        ("risks", rule.risks.as_ref().is_some_and(BTreeSet::is_empty)),
        ("during", rule.during.as_ref().is_some_and(Vec::is_empty)),
        ("outside", rule.outside.as_ref().is_some_and(Vec::is_empty)),
    ];
    if let Some((key, _)) = empty.iter().find(|(_, is_empty)| *is_empty) {
        return Some(format!("has an empty `{key}`; leave it out for all"));
    }
    if rule.decision != DecisionWord::Approve {
        let asks = [
            ("approvals", rule.approvals.is_some()),
            ("approvers", rule.approvers.is_some()),
            ("decide_within", rule.decide_within.is_some()),
            ("reason_required", rule.reason_required),
        ];
        let asked = asks.iter().find(|(_, is_set)| *is_set).map(|(key, _)| key);
        return asked.map(|key| format!("has `{key}` and asks nobody; it goes with `decision = \"approve\"`"));
    }
    if rule.approvals.is_some_and(|n| !(1..=MAX_APPROVALS).contains(&n)) {
        return Some(format!("must ask for 1 to {MAX_APPROVALS} approvals"));
    }
    let groups = rule.approvers.as_ref().map(Names::as_set);
    groups.and_then(|groups| groups.iter().find(|group| PORTAL_ROLES.contains(&group.to_lowercase().as_str()))).map(
        |group| {
            format!(
                "names `{group}` in `approvers`, which is a portal role; name groups of people, as their accounts do"
            )
        },
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What is wrong with a rule that has these lines beside a name, an action and its decision.
    fn refused(decision: &str, lines: &str) -> String {
        let text =
            format!("version = 1\n\n[[rule]]\nname = \"a\"\nactions = [\"*\"]\ndecision = \"{decision}\"\n{lines}\n");
        match parse(&text, "policy.toml") {
            Err(error) => error.to_string(),
            Ok(_) => format!("taken: {lines}"),
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (decision, lines, line, words) in [
            ("deny", "approvals = 2", 3, "asks nobody"),
            ("allow", "approvers = [\"dba\"]", 3, "asks nobody"),
            ("allow", "decide_within = \"5m\"", 3, "asks nobody"),
            ("deny", "reason_required = true", 3, "asks nobody"),
            ("approve", "approvals = 0", 3, "1 to 10"),
            ("approve", "approvals = 11", 3, "1 to 10"),
            ("approve", "approvers = [\"Admin\"]", 3, "portal role"),
            ("approve", "approvers = []", 7, "empty"),
            ("approve", "decide_within = \"soon\"", 7, "no length of time"),
            ("approve", "decide_within = \"9s\"", 7, "from 10s to 7d"),
            ("approve", "decide_within = \"8d\"", 7, "from 10s to 7d"),
            ("deny", "target_roles = []", 3, "empty"),
            ("deny", "risks = []", 3, "empty"),
            ("deny", "during = []", 3, "empty"),
            ("deny", "targets = [\"\"]", 7, "empty"),
            ("deny", "target_roles = [\"primry\"]", 7, "did you mean `primary`"),
            ("deny", "risks = [\"hgh\"]", 7, "did you mean `high`"),
            ("deny", "tragets = [\"*\"]", 7, "did you mean `targets`"),
            ("deny", "during = [{ zone = \"Europe/Nowhere\" }]", 7, "no time zone"),
            ("deny", "during = [{ dayz = [\"mon\"] }]", 7, "did you mean `days`"),
            ("deny", "[rule.arguments]\npid = {}", 8, "needs `is`"),
            ("deny", "[rule.arguments]\npid = { mim = 1 }", 8, "did you mean `min`"),
            ("deny", "[[rule]]\nname = \"a\"\nactions = [\"x\"]\ndecision = \"deny\"", 7, "two rules `a`"),
            ("deny", "[[rule]]\nname = \" \"\nactions = [\"x\"]\ndecision = \"deny\"", 7, "needs a name"),
            ("deny", "[[rule]]\nname = \"b\"\ndecision = \"deny\"", 7, "needs `actions` or `packs`"),
            ("deny", "[[rule]]\nname = \"b\"\nactions = [\"x\"]\ndecision = \"denny\"", 10, "did you mean `deny`"),
        ] {
            let error = refused(decision, lines);
            assert!(error.starts_with(&format!("policy.toml:{line}:")) && error.contains(words), "{lines}: {error}");
        }
    }

    #[test]
    fn a_length_of_time_is_read_and_written() {
        for (text, seconds, again) in [
            ("10s", 10, "10s"),
            ("90s", 90, "1m30s"),
            ("30m", 1800, "30m"),
            ("1h30m", 5400, "1h30m"),
            ("7d", 604_800, "7d"),
        ] {
            let length = Length::try_from(text.to_owned()).unwrap();
            assert_eq!((length.0.as_secs(), length.to_string().as_str()), (seconds, again));
        }
        for bad in ["", "m", "10", "1h30", "-1h", "1 h", "99999999999999999999h", "1w"] {
            assert!(Length::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
