//! A file of cases: calls, and what the operator expects policy to say to them. For the CI that guards `policy.toml`.

use std::{fmt::Write as _, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::{
    Decision, Installed, Policy, PolicyError, Question, Subject, Verdict,
    explain::sentence,
    file::{self, Length},
};
use crate::toml_error::toml_error;

/// Cases as they were read.
#[derive(Debug)]
pub struct Cases {
    place: String,
    cases: Vec<(usize, Case)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    #[serde(default, rename = "case")]
    cases: Vec<Spanned<Case>>,
}

/// One call and what is expected. What is left out is not looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    call: Question,
    expect: Verdict,
    rule: Option<String>,
    by_default: Option<bool>,
    approvals: Option<u32>,
    approvers: Option<Vec<String>>,
    decide_within: Option<Length>,
    reason_required: Option<bool>,
}

/// How the cases came out.
#[derive(Clone, Debug, Serialize)]
pub struct Tested {
    /// Each, in the order of the file.
    pub cases: Vec<TestedCase>,
    /// How many came out as expected.
    pub passed: usize,
    /// How many did not.
    pub failed: usize,
}

/// One case.
#[derive(Clone, Debug, Serialize)]
pub struct TestedCase {
    /// Its name.
    pub name: String,
    /// `file:line`.
    pub place: String,
    /// What policy says, in one sentence; empty if it could not be asked.
    pub decision: String,
    /// What is not as expected; nothing if all is.
    pub problems: Vec<String>,
}

impl Cases {
    /// Reads a file of cases.
    ///
    /// # Errors
    /// When it can't be read or understood: with the line.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        Self::parse(&file::read(path)?, &path.display().to_string())
    }

    /// Parses the text of a file of cases; `place` is what errors call it.
    ///
    /// # Errors
    /// When it can't be understood: with the line. A file without a case is an error: it would always pass.
    pub fn parse(text: &str, place: &str) -> Result<Self, PolicyError> {
        let written: Written = toml::from_str(text).map_err(|e| PolicyError::new(toml_error(place, text, &e)))?;
        if written.version != 1 {
            return Err(PolicyError::new(format!("{place}: `version` must be 1")));
        }
        if written.cases.is_empty() {
            return Err(PolicyError::new(format!("{place}: there is no [[case]]")));
        }
        let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let cases = written.cases.into_iter().map(|case| (line(case.span().start), case.into_inner())).collect();
        Ok(Self { place: place.to_owned(), cases })
    }

    /// Whether every case says all that is needed to be decided without the installed packs.
    #[must_use]
    pub fn say_risks(&self) -> bool {
        self.cases.iter().all(|(_, case)| case.call.risk.is_some())
    }

    /// Asks a policy.
    #[must_use]
    pub fn run(&self, policy: &Policy, installed: Installed<'_>) -> Tested {
        let cases: Vec<_> = self
            .cases
            .iter()
            .map(|(line, case)| {
                let (decision, problems) = match case.decide(policy, installed) {
                    Ok(decision) => (sentence(&decision), case.compare(&decision)),
                    Err(problem) => (String::new(), vec![problem]),
                };
                TestedCase { name: case.name.clone(), place: format!("{}:{line}", self.place), decision, problems }
            })
            .collect();
        let passed = cases.iter().filter(|case| case.problems.is_empty()).count();
        Tested { passed, failed: cases.len() - passed, cases }
    }
}

impl Case {
    fn decide(&self, policy: &Policy, installed: Installed<'_>) -> Result<Decision, String> {
        let call = self.call.clone().complete(installed)?;
        let risk = call.risk.ok_or("the risk is not known; say it")?;
        let subject: Subject<'_> = call.subject(risk, Timestamp::UNIX_EPOCH);
        // A test whose answer depends on when it is run is none.
        if call.at.is_none() && policy.depends_on_time(&subject) {
            return Err("the answer depends on the time; say `at` in the call".into());
        }
        Ok(policy.decide(&subject))
    }

    fn compare(&self, decision: &Decision) -> Vec<String> {
        let mut problems = Vec::new();
        let mut expect = |what: &str, wanted: String, is: String| {
            if wanted != is {
                problems.push(format!("{what}: expected {wanted}, is {is}"));
            }
        };
        expect("decision", self.expect.to_string(), decision.verdict().to_string());
        if let Some(wanted) = self.by_default {
            expect("by default", wanted.to_string(), decision.rules().is_empty().to_string());
        }
        if let Some(wanted) = self.approvals {
            expect("approvals", wanted.to_string(), decision.approvals().to_string());
        }
        if let Some(wanted) = self.reason_required {
            expect("reason required", wanted.to_string(), decision.reason_required().to_string());
        }
        let listed = |mut groups: Vec<String>| {
            groups.sort();
            if groups.is_empty() { "anyone who may decide".to_owned() } else { groups.join(", ") }
        };
        if let Some(wanted) = &self.approvers {
            expect("approvers", listed(wanted.clone()), listed(decision.approvers().iter().cloned().collect()));
        }
        if let Some(wanted) = self.decide_within {
            let is =
                decision.decide_within().map_or("not limited by a rule".to_owned(), |time| Length(time).to_string());
            expect("to decide within", wanted.to_string(), is);
        }
        if let Some(wanted) = self.rule.as_ref().filter(|wanted| !decision.rules().contains(wanted)) {
            problems.push(format!("rule: expected `{wanted}`, is {}", decision.rule()));
        }
        problems
    }
}

impl Tested {
    /// For a terminal: what failed, and the count.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        for case in &self.cases {
            let mark = if case.problems.is_empty() { "ok  " } else { "FAIL" };
            // Writing to a string can't fail.
            _ = writeln!(out, "{mark} {}", case.name);
            if !case.problems.is_empty() {
                let decision = if case.decision.is_empty() { "not decided" } else { &case.decision };
                _ = writeln!(out, "     at {}; policy says: {decision}", case.place);
                case.problems.iter().for_each(|problem| out.push_str(&format!("     - {problem}\n")));
            }
        }
        _ = write!(out, "{} passed, {} failed", self.passed, self.failed);
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const POLICY: &str = "version = 1\n[[rule]]\nname = \"two\"\nactions = [\"pg.kill\"]\ndecision = \"approve\"\napprovals = 2\napprovers = [\"dba\", \"lead\"]\ndecide_within = \"10m\"\n[[rule]]\nname = \"freeze\"\nactions = [\"pg.vacuum\"]\ndecision = \"deny\"\nduring = [{ days = [\"sat\", \"sun\"] }]\n";

    fn run(case: &str) -> TestedCase {
        let text = format!("version = 1\n\n[[case]]\nname = \"a\"\n{case}\n");
        let cases = Cases::parse(&text, "cases.toml").unwrap();
        let tested = cases.run(&Policy::parse(POLICY, "policy.toml").unwrap(), Installed::default());
        assert_eq!(tested.passed + tested.failed, 1);
        tested.cases[0].clone()
    }

    #[test]
    fn what_is_expected_passes_and_each_thing_that_is_not_is_said() {
        let call = "call = { action = \"pg.kill\", risk = \"high\", target = \"t\", agent = \"a\" }\n";
        let right = "expect = \"approve\"\nrule = \"two\"\nby_default = false\napprovals = 2\napprovers = [\"lead\", \"dba\"]\ndecide_within = \"600s\"\nreason_required = false";
        assert_eq!(run(&format!("{call}{right}")).problems, Vec::<String>::new());
        let wrong = "expect = \"deny\"\nrule = \"one\"\nby_default = true\napprovals = 1\napprovers = []\ndecide_within = \"1h\"\nreason_required = true";
        let problems = run(&format!("{call}{wrong}")).problems;
        assert_eq!(problems.len(), 7, "{problems:#?}");
        assert!(problems.contains(&"decision: expected deny, is approve".to_owned()), "{problems:#?}");
    }

    #[test]
    fn a_case_that_depends_on_the_time_must_say_when() {
        let case = |at: &str| {
            run(&format!(
                "call = {{ action = \"pg.vacuum\", risk = \"low\", target = \"t\", agent = \"a\"{at} }}\nexpect = \"deny\""
            ))
        };
        assert!(case("").problems[0].contains("say `at`"));
        assert!(case(", at = \"2026-11-21T12:00:00Z\"").problems.is_empty(), "a Saturday");
        assert!(!case(", at = \"2026-11-20T12:00:00Z\"").problems.is_empty(), "a Friday");
    }

    #[test]
    fn what_could_never_fail_is_refused() {
        for (text, words) in [
            ("version = 1\n", "no [[case]]"),
            ("version = 2\n", "`version` must be 1"),
            ("version = 1\n[[case]]\nname = \"a\"\nexpekt = \"deny\"\n", "cases.toml:4"),
        ] {
            let error = Cases::parse(text, "cases.toml").unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let unknown = run("call = { action = \"pg.kill\", target = \"t\", agent = \"a\" }\nexpect = \"deny\"");
        assert!(unknown.problems[0].contains("risk"), "{unknown:?}");
    }
}
