//! Policy: one call in, one decision with its reason out. Total, the same whatever the order of the rules, no side
//! effects. Knows risks and names; knows no arguments' meaning, no pack code and no database.

mod file;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

pub use file::PolicyError;
use file::{DecisionWord, PolicyFile, Rule};
use lockgate_signing::{encoding::hex, glob};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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

/// What policy looks at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `pack.action`.
    pub action: &'a str,
    /// The signed risk.
    pub risk: Risk,
    /// The target's name.
    pub target: &'a str,
    /// The agent's name.
    pub agent: &'a str,
    /// Its roles.
    pub roles: &'a [String],
}

/// A decision and the rule that made it. Only [`Policy::decide`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    verdict: Verdict,
    rule: String,
    risk: Risk,
    approvals: u32,
    approvers: BTreeSet<String>,
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
    /// Reads `policy.toml`.
    pub fn load(path: &std::path::Path) -> Result<Self, PolicyError> {
        file::load(path).map(Self::from_file)
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

    /// Hex SHA-256 of the policy's meaning: the same for two files that differ only in layout.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Decides one call. If any rule matches, the strictest of the matching rules decides; otherwise the default of the
    /// call's risk does. What is critical is never allowed outright, whatever a rule says.
    #[must_use]
    pub fn decide(&self, subject: &Subject<'_>) -> Decision {
        let risk = self.risk(subject);
        let strictest = self
            .file
            .rules
            .iter()
            .filter(|rule| applies(rule, subject, risk))
            .max_by_key(|rule| (Verdict::from(rule.decision), rule.approvals.unwrap_or(1)));
        let mut decision = match strictest {
            Some(rule) => Decision {
                verdict: rule.decision.into(),
                rule: format!("rule `{}`", rule.name),
                risk,
                approvals: rule.approvals.unwrap_or(1),
                approvers: BTreeSet::new(),
                decide_within: None,
                reason_required: false,
                policy: Arc::clone(&self.digest),
            },
            None => Decision {
                verdict: self.file.defaults.of(risk),
                rule: format!("default for risk `{}`", risk.as_str()),
                risk,
                approvals: 1,
                approvers: BTreeSet::new(),
                decide_within: None,
                reason_required: false,
                policy: Arc::clone(&self.digest),
            },
        };
        if risk == Risk::Critical && decision.verdict == Verdict::Allow {
            decision.verdict = Verdict::Approve;
            decision.rule.push_str(", held because `critical` is never allowed outright");
        }
        decision
    }

    /// The signed risk, raised where the operator raises it.
    fn risk(&self, subject: &Subject<'_>) -> Risk {
        let raised = self.file.raises.iter().filter(|r| any(&r.actions, subject.action)).map(|r| r.risk);
        raised.chain([subject.risk]).max().unwrap_or(subject.risk)
    }
}

/// Whether every condition of a rule holds. A condition that is left out holds.
fn applies(rule: &Rule, subject: &Subject<'_>, risk: Risk) -> bool {
    let holds = |patterns: &Option<Vec<String>>, text: &str| patterns.as_ref().is_none_or(|p| any(p, text));
    any(&rule.actions, subject.action)
        && holds(&rule.targets, subject.target)
        && holds(&rule.agents, subject.agent)
        && rule.roles.as_ref().is_none_or(|roles| subject.roles.iter().any(|r| roles.contains(r)))
        && rule.risks.as_ref().is_none_or(|risks| risks.contains(&risk))
}

fn any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|p| glob::matches(p, text))
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::*;

    fn subject(action: &'static str, risk: Risk) -> Subject<'static> {
        Subject { action, risk, target: "primary", agent: "claude", roles: &[] }
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
        let text = "version = 1\n[[rule]]\nname = \"all\"\nactions = [\"*\"]\ndecision = \"allow\"\n";
        let policy = Policy::parse(text, "policy.toml").unwrap();
        assert_eq!(policy.decide(&subject("postgres.x", Risk::Critical)).verdict(), Verdict::Approve);
    }

    #[test]
    fn a_typo_is_an_error_with_its_line_and_the_nearest_key() {
        let text = "version = 1\n[[rule]]\nname = \"a\"\nactions = [\"*\"]\ndecison = \"deny\"\n";
        let error = Policy::parse(text, "policy.toml").unwrap_err().to_string();
        assert!(error.contains("policy.toml:5") && error.contains("did you mean `decision`"), "{error}");
    }

    proptest! {
        /// The strictest matching rule wins, in every order.
        #[test]
        fn order_does_not_matter(words in proptest::collection::vec(0_u8..3, 1..6), swap in proptest::prelude::any::<prop::sample::Index>()) {
            let rules = |order: &[u8]| {
                let mut text = String::from("version = 1\n");
                for (i, w) in order.iter().enumerate() {
                    let word = ["allow", "approve", "deny"][usize::from(*w) % 3];
                    text.push_str(&format!("[[rule]]\nname = \"r{i}\"\nactions = [\"postgres.*\"]\ndecision = \"{word}\"\n"));
                }
                Policy::parse(&text, "policy.toml").unwrap()
            };
            let mut turned = words.clone();
            let by = swap.index(turned.len());
            turned.rotate_left(by);
            let subject = subject("postgres.kill_idle", Risk::High);
            let (a, b) = (rules(&words).decide(&subject).verdict(), rules(&turned).decide(&subject).verdict());
            prop_assert_eq!(a, b);
            prop_assert_eq!(a as u8, *words.iter().max().unwrap());
        }

        /// An operator may only raise a risk.
        #[test]
        fn a_raise_never_lowers(low in 0_usize..4, to in 0_usize..4) {
            let risks = [Risk::Low, Risk::Medium, Risk::High, Risk::Critical];
            let text = format!("version = 1\n[[raise]]\nactions = [\"*\"]\nrisk = \"{}\"\n", risks[to].as_str());
            let policy = Policy::parse(&text, "policy.toml").unwrap();
            prop_assert_eq!(policy.decide(&subject("postgres.x", risks[low])).risk(), risks[low].max(risks[to]));
        }
    }
}
