//! `policy.toml` as the operator writes it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::{pack::manifest::Risk, toml_error::toml_error};

/// Largest policy that is read.
const MAX_POLICY: u64 = 1 << 20;

/// A policy can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    version: u32,
    #[serde(default)]
    pub(super) defaults: Defaults,
    #[serde(default, rename = "rule")]
    pub(super) rules: Vec<Rule>,
    #[serde(default, rename = "raise")]
    pub(super) raises: Vec<Raise>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DecisionWord {
    Allow,
    Approve,
    Deny,
}

/// What happens to a call that no rule matches.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

/// One rule; a condition that is left out holds for every call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) actions: Vec<String>,
    pub(super) targets: Option<Vec<String>>,
    pub(super) agents: Option<Vec<String>>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) risks: Option<Vec<Risk>>,
    pub(super) decision: DecisionWord,
    pub(super) approvals: Option<u32>,
}

/// The operator thinks an action more dangerous than its publisher does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raise {
    pub(super) actions: Vec<String>,
    pub(super) risk: Risk,
}

pub(super) fn load(path: &Path) -> Result<PolicyFile, PolicyError> {
    let place = path.display().to_string();
    let bytes = lockgate_signing::file::read_once(path, MAX_POLICY).map_err(|e| PolicyError(e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| PolicyError(format!("{place} is not UTF-8")))?;
    parse(&text, &place)
}

pub(super) fn parse(text: &str, place: &str) -> Result<PolicyFile, PolicyError> {
    let file: PolicyFile = toml::from_str(text).map_err(|e| PolicyError(toml_error(place, text, &e)))?;
    if file.version != 1 {
        return Err(PolicyError(format!("{place}: `version` must be 1")));
    }
    for rule in &file.rules {
        if rule.name.trim().is_empty() || rule.actions.is_empty() {
            return Err(PolicyError(format!("{place}: rule `{}` needs a name and at least one action", rule.name)));
        }
        if rule.approvals.is_some() && rule.decision != DecisionWord::Approve {
            return Err(PolicyError(format!(
                "{place}: rule `{}` counts approvals and does not ask for any",
                rule.name
            )));
        }
        if rule.approvals.is_some_and(|n| !(1..=10).contains(&n)) {
            return Err(PolicyError(format!("{place}: rule `{}` must ask for 1 to 10 approvals", rule.name)));
        }
    }
    Ok(file)
}
