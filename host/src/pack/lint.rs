//! What an author should know of a pack before anybody signs it: everything for which admission would refuse it, by the same
//! prover, and what is allowed and not good practice. Each finding says what, where and what would be right; in a statement
//! the place is a line and a column of its SQL, which is shown.

mod practice;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    manifest::Manifest,
    prove::{Fault, ProvenManifest},
    wording,
};
use crate::{outside::plain, statement::Spot};

/// Characters of a text or a line that is shown.
const LINE: usize = 2000;

/// Whether a host would refuse the pack for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Admission refuses the pack.
    Error,
    /// Admission takes the pack.
    Warning,
}

/// One thing to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The stable name of the rule: a prover's rule, a code, or the name of a practice.
    pub rule: String,
    /// The action, argument or statement.
    pub place: String,
    /// The place in a statement's text, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlPlace>,
    /// What is wrong; one sentence.
    pub message: String,
    /// What would be right; empty where the message says it.
    pub help: String,
}

/// A place in the SQL of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SqlPlace {
    /// The statement's id.
    pub statement: String,
    /// Which of its variants, from 1.
    pub variant: usize,
    /// For which servers that variant is.
    pub servers: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line itself.
    pub text: String,
}

/// All findings of one pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The pack's name, as it says.
    pub pack: String,
    /// Its version, as it says.
    pub version: String,
    /// How many of the findings keep the pack out.
    pub errors: usize,
    /// How many do not.
    pub warnings: usize,
    /// Errors first.
    pub findings: Vec<Finding>,
}

/// Looks at a manifest and at what the prover said of it.
#[must_use]
pub fn lint(manifest: &Manifest, proof: &Result<ProvenManifest, Vec<Fault>>) -> Report {
    let mut findings: Vec<Finding> = match proof {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(|fault| error(manifest, fault)).collect(),
    };
    let errors = findings.len();
    practice::look(manifest, proof.as_ref().ok(), &mut findings);
    let warnings = findings.len() - errors;
    Report { pack: manifest.name.clone(), version: manifest.version.clone(), errors, warnings, findings }
}

fn error(manifest: &Manifest, fault: &Fault) -> Finding {
    let Some((id, found)) = fault.sql.as_deref() else {
        return Finding {
            severity: Severity::Error,
            rule: fault.code.as_str().to_owned(),
            place: fault.place.clone(),
            sql: None,
            message: fault.message.clone(),
            help: String::new(),
        };
    };
    let sql = found.spot.and_then(|spot| sql_place(manifest, id, spot));
    // The place is said on its own.
    let prefix = found.spot.map(|Spot { line, column, .. }| format!("line {line}, column {column}: "));
    let message = prefix.and_then(|prefix| found.message.strip_prefix(&prefix)).unwrap_or(&found.message);
    Finding {
        severity: Severity::Error,
        rule: found.rule.to_owned(),
        place: found.place.clone(),
        sql,
        message: message.to_owned(),
        help: found.remedy.to_owned(),
    }
}

fn sql_place(manifest: &Manifest, id: &str, spot: Spot) -> Option<SqlPlace> {
    // Two statements of one id are a fault of their own; the line shown must be one that has such a place.
    let of = manifest.statements.iter().filter(|statement| statement.id == id);
    let (variant, text) = of.filter_map(|s| s.variants.get(spot.variant)).find_map(|variant| {
        let text = variant.sql.split('\n').nth(spot.line - 1)?;
        (spot.column <= text.chars().count() + 1).then_some((variant, text))
    })?;
    Some(SqlPlace {
        statement: id.to_owned(),
        variant: spot.variant + 1,
        servers: wording::servers(variant),
        line: spot.line,
        column: spot.column,
        text: text.to_owned(),
    })
}

impl Report {
    /// For a terminal. Text of the pack is made fit to be shown.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            finding.render(&mut out);
        }
        let count = |n: usize, what: &str| match n {
            0 => format!("no {what}s"),
            1 => format!("1 {what}"),
            n => format!("{n} {what}s"),
        };
        let (errors, warnings) = (count(self.errors, "error"), count(self.warnings, "warning"));
        let _ = write!(out, "{} {}: {errors}, {warnings}", shown(&self.pack), shown(&self.version));
        out
    }
}

impl Finding {
    fn render(&self, out: &mut String) {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let _ = writeln!(out, "{severity}[{}]: {}", self.rule, shown(&self.message));
        match &self.sql {
            None => {
                let _ = writeln!(out, "  --> {}", shown(&self.place));
            }
            Some(sql) => sql.render(&self.place, out),
        }
        if !self.help.is_empty() {
            let _ = writeln!(out, "  help: {}", shown(&self.help));
        }
        out.push('\n');
    }
}

impl SqlPlace {
    fn render(&self, place: &str, out: &mut String) {
        let Self { line, column, text, .. } = self;
        let number = line.to_string();
        let edge = " ".repeat(number.len());
        // A tab or anything that is not seen takes one place, so that the caret stands under its character.
        let flat: String = text.chars().map(|c| if c == ' ' || is_seen(c) { c } else { ' ' }).collect();
        // Of a long line the part around the place.
        let skip = column.saturating_sub(81);
        let part: String = flat.chars().skip(skip).take(120).collect();
        let caret = " ".repeat(column.saturating_sub(1 + skip));
        let _ = writeln!(out, "{edge} --> {}, line {line}, column {column}", shown(place));
        let _ = writeln!(out, "{edge}  |\n{number}  | {}\n{edge}  | {caret}^", part.trim_end());
    }
}

fn is_seen(c: char) -> bool {
    plain(c.encode_utf8(&mut [0; 4]), 1).text.starts_with(c)
}

fn shown(text: &str) -> String {
    plain(text, LINE).text
}
