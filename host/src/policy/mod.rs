//! Policy: one call in, one decision with its reason out. Total, the same whatever the order of the rules, no side
//! effects. Knows risks, names, arguments' values and the time; knows no pack code and no database.
//!
//! `file` is the language, `judge` the judgement that everything here shares. Around it: [`explain`] (why), [`check`] (what is
//! odd about a policy), [`cases`] (what an operator's tests expect of it), [`change`] (two policies side by side, in words)
//! and [`diff`](mod@diff) (which calls of the record the other would have decided differently). All are plain functions, for the
//! command line and the portal alike.

mod arguments;
pub mod cases;
pub mod change;
pub mod check;
pub mod diff;
pub mod explain;
mod file;
mod holds;
mod judge;
mod names;
#[cfg(test)]
mod properties;
mod question;
mod window;
mod words;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

pub use file::PolicyError;
use file::PolicyFile;
pub use holds::Holds;
use judge::{Judged, judge};
pub use judge::{Subject, Unknown};
use lockgate_signing::encoding::hex;
pub use question::{Installed, Question};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
pub use words::RuleInWords;

use crate::pack::manifest::Risk;

/// What policy says to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Go ahead.
    Allow,
    /// A person must approve first.
    Approve,
    /// No.
    Deny,
}

impl Verdict {
    /// `allow`, `approve` or `deny`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A decision and the rule that made it. Only [`Policy::decide`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    verdict: Verdict,
    rule: String,
    rules: Vec<String>,
    risk: Risk,
    approvals: u32,
    approvers: BTreeSet<String>,
    #[serde(rename = "decide_within_seconds", serialize_with = "seconds")]
    decide_within: Option<Duration>,
    reason_required: bool,
    #[serde(skip)]
    policy: Arc<str>,
}

impl Decision {
    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The rule, in words.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The names of the rules that made it; none where the default did.
    #[must_use]
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// The risk it was decided by: the signed one, or what the operator raised it to.
    #[must_use]
    pub fn risk(&self) -> Risk {
        self.risk
    }

    /// How many people must approve.
    #[must_use]
    pub fn approvals(&self) -> u32 {
        self.approvals
    }

    /// Groups of which each approver must have one; empty if anyone who may decide may approve.
    #[must_use]
    pub fn approvers(&self) -> &BTreeSet<String> {
        &self.approvers
    }

    /// How long people have to decide, where a rule says so.
    #[must_use]
    pub fn decide_within(&self) -> Option<Duration> {
        self.decide_within
    }

    /// Whether who approves must say why.
    #[must_use]
    pub fn reason_required(&self) -> bool {
        self.reason_required
    }

    /// The digest of the policy that made it, which another may have replaced since.
    #[must_use]
    pub fn policy_digest(&self) -> &str {
        &self.policy
    }
}

fn seconds<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs()).serialize(serializer)
}

/// A policy that was read whole and found sound.
#[derive(Clone, Debug)]
pub struct Policy {
    file: PolicyFile,
    digest: Arc<str>,
}

impl Default for Policy {
    /// No file: defaults by risk.
    fn default() -> Self {
        Self::from_file(PolicyFile::default())
    }
}

impl Policy {
    /// Reads a policy to look at, whoever may write its file.
    ///
    /// # Errors
    /// When it can't be read or used: with the line.
    pub fn load(path: &std::path::Path) -> Result<Self, PolicyError> {
        file::load(path).map(Self::from_file)
    }

    /// Reads a policy to put in force: nobody but this user and root may write its file.
    ///
    /// # Errors
    /// When others may, or it can't be read or used: with the line.
    pub fn load_guarded(path: &std::path::Path) -> Result<Self, PolicyError> {
        file::load_guarded(path).map(Self::from_file)
    }

    /// Parses the text of a policy; `place` is what errors call it.
    pub fn parse(text: &str, place: &str) -> Result<Self, PolicyError> {
        file::parse(text, place).map(Self::from_file)
    }

    fn from_file(file: PolicyFile) -> Self {
        let json = serde_json::to_value(&file).unwrap_or(serde_json::Value::Null);
        let digest = hex(&Sha256::digest(crate::canonical::canonical_json(&json).as_bytes()));
        Self { file, digest: digest.into() }
    }

    /// Hex SHA-256 of the policy's meaning: the same for two files that differ only in layout or in the order of their rules.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The policy as one text: rules by name, lists sorted, every default written out. Comments are not kept.
    ///
    /// # Errors
    /// Never for a policy that was parsed; the writer's own otherwise.
    pub fn to_toml(&self) -> Result<String, PolicyError> {
        file::write(&self.file)
    }

    /// Decides one call. If any rule matches, the strictest of the matching rules decides; otherwise the default of the
    /// call's risk does. What is critical is never allowed outright, whatever a rule says. Rules that ask for approval are
    /// met together or not at all: if nobody could approve for all of them, the call is denied.
    #[must_use]
    pub fn decide(&self, subject: &Subject<'_>) -> Decision {
        self.decision(judge(&self.file, subject))
    }

    fn decision(&self, judged: Judged<'_>) -> Decision {
        Decision {
            rule: explain::ruling(&judged),
            rules: judged.by.iter().map(|rule| rule.name.clone()).collect(),
            verdict: judged.verdict,
            risk: judged.risk,
            approvals: judged.approvals,
            approvers: judged.approvers,
            decide_within: judged.decide_within,
            reason_required: judged.reason_required,
            policy: Arc::clone(&self.digest),
        }
    }

    /// The risk that a call is judged by: the signed one, or what the operator raises it to.
    #[must_use]
    pub fn risk(&self, subject: &Subject<'_>) -> Risk {
        judge::risk(&self.file, subject)
    }

    /// Whether a rule that is about such a call looks at the time.
    #[must_use]
    pub fn depends_on_time(&self, subject: &Subject<'_>) -> bool {
        let risk = judge::risk(&self.file, subject);
        let unknown = Unknown { argument: &|_| false, time: true };
        let asks = |rule: &&file::Rule| rule.during.is_some() || rule.outside.is_some();
        self.file
            .rules
            .iter()
            .filter(asks)
            .any(|rule| judge::rule_holds(rule, subject, risk, Some(&unknown)) != Holds::No)
    }

    /// The rules for which it is open whether they hold, given what is unknown of a call.
    #[must_use]
    pub fn open_rules(&self, subject: &Subject<'_>, unknown: &Unknown<'_>) -> Vec<&str> {
        let risk = judge::risk(&self.file, subject);
        let open = |rule: &&file::Rule| judge::rule_holds(rule, subject, risk, Some(unknown)) == Holds::Open;
        self.file.rules.iter().filter(open).map(|rule| rule.name.as_str()).collect()
    }

    /// Every verdict that a call may get, whatever turns out of what is unknown of it: at least those that it can get.
    #[must_use]
    pub fn possible(&self, subject: &Subject<'_>, unknown: &Unknown<'_>) -> BTreeSet<Verdict> {
        judge::possible(&self.file, subject, unknown)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn subject(action: &'static str, risk: Risk) -> Subject<'static> {
        static NONE: std::sync::LazyLock<Map<String, serde_json::Value>> = std::sync::LazyLock::new(Map::new);
        Subject {
            action,
            risk,
            target: "primary",
            target_role: Some(crate::statement::Role::Primary),
            agent: "claude",
            person: Some("ada"),
            roles: &[],
            arguments: &NONE,
            at: "2026-11-20T12:00:00Z".parse().unwrap(),
        }
    }

    fn policy(rules: &str) -> Policy {
        Policy::parse(&format!("version = 1\n{rules}"), "policy.toml").unwrap()
    }

    fn verdict(policy: &Policy, arguments: &serde_json::Value) -> Verdict {
        let subject = Subject { arguments: arguments.as_object().unwrap(), ..subject("postgres.x", Risk::High) };
        policy.decide(&subject).verdict()
    }

    #[test]
    fn without_a_file_risk_decides() {
        let policy = Policy::default();
        for (risk, verdict) in [
            (Risk::Low, Verdict::Allow),
            (Risk::Medium, Verdict::Allow),
            (Risk::High, Verdict::Approve),
            (Risk::Critical, Verdict::Deny),
        ] {
            assert_eq!(policy.decide(&subject("postgres.x", risk)).verdict(), verdict);
        }
    }

    #[test]
    fn critical_is_never_allowed_outright() {
        let policy = policy("[[rule]]\nname = \"all\"\nactions = [\"*\"]\ndecision = \"allow\"\n");
        assert_eq!(policy.decide(&subject("postgres.x", Risk::Critical)).verdict(), Verdict::Approve);
    }

    #[test]
    fn what_is_left_out_never_dodges_a_rule_and_never_opens_one() {
        let rule = |decision: &str, test: &str| {
            policy(&format!(
                "[[rule]]\nname = \"a\"\nactions = [\"*\"]\ndecision = \"{decision}\"\n[rule.arguments]\nschema = {test}\n"
            ))
        };
        let (billing, shop, none, number) =
            (json!({ "schema": "billing" }), json!({ "schema": "shop" }), json!({}), json!({ "schema": 1 }));
        let deny = rule("deny", "{ is = \"billing\" }");
        assert_eq!(
            [&billing, &shop, &none, &number].map(|arguments| verdict(&deny, arguments)),
            [Verdict::Deny, Verdict::Approve, Verdict::Deny, Verdict::Deny]
        );
        // Said to be about calls that have it, it is about those alone.
        let given = rule("deny", "{ present = true, is = \"billing\" }");
        assert_eq!(
            [&billing, &shop, &none].map(|arguments| verdict(&given, arguments)),
            [Verdict::Deny, Verdict::Approve, Verdict::Approve]
        );
        let allow = rule("allow", "{ is = \"billing\" }");
        assert_eq!(
            [&billing, &shop, &none, &number].map(|arguments| verdict(&allow, arguments)),
            [Verdict::Allow, Verdict::Approve, Verdict::Approve, Verdict::Approve]
        );
    }

    #[test]
    fn an_approve_rule_that_cannot_be_told_does_not_soften_a_default_of_deny() {
        let policy = policy(
            "[defaults]\nhigh = \"deny\"\n[[rule]]\nname = \"a\"\nactions = [\"*\"]\ndecision = \"approve\"\n[rule.arguments]\npid = { max = 10 }\n",
        );
        assert_eq!(verdict(&policy, &json!({ "pid": 5 })), Verdict::Approve);
        assert_eq!(verdict(&policy, &json!({ "pid": 50 })), Verdict::Deny);
        assert_eq!(verdict(&policy, &json!({})), Verdict::Deny);
    }

    #[test]
    fn an_unknown_person_or_place_is_taken_for_the_one_that_is_denied_and_not_for_the_one_that_is_allowed() {
        for (key, list) in [("people", "\"ada\""), ("target_roles", "\"primary\"")] {
            let rule = |decision: &str| {
                policy(&format!(
                    "[[rule]]\nname = \"a\"\nactions = [\"*\"]\ndecision = \"{decision}\"\n{key} = [{list}]\n"
                ))
            };
            let known = subject("postgres.x", Risk::High);
            let unknown = Subject { person: None, target_role: None, ..known };
            let other = Subject { person: Some(" Grace"), target_role: Some(crate::statement::Role::Standby), ..known };
            let verdicts = |policy: &Policy| [known, unknown, other].map(|subject| policy.decide(&subject).verdict());
            assert_eq!(verdicts(&rule("deny")), [Verdict::Deny, Verdict::Deny, Verdict::Approve], "{key}");
            assert_eq!(verdicts(&rule("allow")), [Verdict::Allow, Verdict::Approve, Verdict::Approve], "{key}");
        }
        let named = policy("[[rule]]\nname = \"a\"\nactions = [\"*\"]\ndecision = \"deny\"\npeople = [\"Ada\"]\n");
        let shouting = Subject { person: Some(" ADA "), ..subject("postgres.x", Risk::Low) };
        assert_eq!(named.decide(&shouting).verdict(), Verdict::Deny, "names are compared as people are");
    }

    #[test]
    fn rules_that_ask_for_approval_are_met_together() {
        let one = "[[rule]]\nname = \"one\"\nactions = [\"*\"]\ndecision = \"approve\"\napprovals = 2\napprovers = [\"dba\", \"lead\"]\ndecide_within = \"1h\"\n";
        let two = "[[rule]]\nname = \"two\"\nactions = [\"*\"]\ndecision = \"approve\"\napprovers = [\"lead\", \"security\"]\ndecide_within = \"10m\"\nreason_required = true\n";
        let third = "[[rule]]\nname = \"no more\"\nactions = [\"*\"]\ndecision = \"approve\"\napprovers = [\"cto\"]\n";
        let decision = policy(&format!("{two}{one}")).decide(&subject("postgres.x", Risk::Low));
        assert_eq!(decision.verdict(), Verdict::Approve);
        assert_eq!((decision.approvals(), decision.reason_required()), (2, true));
        assert_eq!(decision.decide_within(), Some(Duration::from_secs(600)));
        assert_eq!(decision.approvers(), &BTreeSet::from(["lead".to_owned()]), "fit for both rules");
        assert_eq!(decision.rule(), "rules `one`, `two`");
        // An empty set of approvers would mean that anyone may.
        let nobody = policy(&format!("{one}{two}{third}")).decide(&subject("postgres.x", Risk::Low));
        assert_eq!(nobody.verdict(), Verdict::Deny);
        assert!(nobody.rule().contains("no group"), "{}", nobody.rule());
    }

    #[test]
    fn a_window_opens_and_closes_a_rule() {
        let policy = policy(
            "[[rule]]\nname = \"day\"\nactions = [\"*\"]\ndecision = \"allow\"\nduring = [{ from = \"08:00\", to = \"18:00\" }]\n[[rule]]\nname = \"night\"\nactions = [\"*\"]\ndecision = \"deny\"\noutside = [{ from = \"06:00\", to = \"22:00\" }]\n",
        );
        let at = |at: &str| {
            policy.decide(&Subject { at: at.parse().unwrap(), ..subject("postgres.x", Risk::High) }).verdict()
        };
        assert_eq!(at("2026-11-20T12:00:00Z"), Verdict::Allow);
        assert_eq!(at("2026-11-20T19:00:00Z"), Verdict::Approve);
        assert_eq!(at("2026-11-20T23:00:00Z"), Verdict::Deny);
    }

    #[test]
    fn a_pack_is_matched_by_its_own_name() {
        let policy = policy("[[rule]]\nname = \"a\"\npacks = [\"post*\"]\ndecision = \"deny\"\n");
        assert_eq!(policy.decide(&subject("postgres.x", Risk::Low)).verdict(), Verdict::Deny);
        assert_eq!(policy.decide(&subject("my.postgres", Risk::Low)).verdict(), Verdict::Allow);
    }

    #[test]
    fn a_typo_is_an_error_with_its_line_and_the_nearest_key() {
        let text = "version = 1\n[[rule]]\nname = \"a\"\nactions = [\"*\"]\ndecison = \"deny\"\n";
        let error = Policy::parse(text, "policy.toml").unwrap_err().to_string();
        assert!(error.contains("policy.toml:5") && error.contains("did you mean `decision`"), "{error}");
    }
}
