//! What a case expects, and what is other than expected. What is left out is not looked at.

use lockgate_signing::encoding::closest;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value as Json;
use toml::Spanned;

use crate::{
    error::{Code, Refusal},
    gate::call::{Outcome, Table},
    value::{RowSet, Severity},
};

/// What a call came to.
pub(super) struct Came {
    /// Whether a person was asked.
    pub(super) held: bool,
    pub(super) end: Result<Box<Outcome>, Refusal>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// A refusal's code; without one the call must be carried out.
    code: Option<Spanned<Known>>,
    /// A part of the refusal's message.
    message: Option<Spanned<String>>,
    /// A part of the summary.
    summary: Option<Spanned<String>>,
    /// Whether policy's defaults hold the call for a person.
    held: Option<bool>,
    /// The findings' severities, in order.
    findings: Option<Vec<Severity>>,
    /// The action that is suggested.
    suggestion: Option<String>,
    /// The tables of the answer, in order.
    #[serde(rename = "table")]
    tables: Option<Vec<ExpectTable>>,
}

/// A code of the closed list.
#[derive(Clone, Copy, Debug)]
struct Known(Code);

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Code::ALL.iter().copied().find(|code| code.as_str() == text).map(Self).ok_or_else(|| {
            let near = closest(&text, Code::ALL.iter().map(|code| code.as_str()));
            let near = near.map(|near| format!("; did you mean `{near}`")).unwrap_or_default();
            D::Error::custom(format!("`{text}` is no code: docs/errors.md lists them{near}"))
        })
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectTable {
    title: Option<String>,
    columns: Option<Vec<String>>,
    /// How many rows.
    count: Option<usize>,
    /// All rows, in order.
    rows: Option<Vec<Vec<Cell>>>,
    /// Rows that must be among them, each by some of its columns.
    #[serde(default)]
    contains: Vec<std::collections::BTreeMap<String, Cell>>,
}

/// A cell as a case writes it. TOML has no null.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Cell {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    Word(Word),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    is: Special,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Special {
    Null,
    NotNull,
    Any,
}

impl Cell {
    fn fits(&self, cell: &Json) -> bool {
        match self {
            Self::Boolean(is) => cell.as_bool() == Some(*is),
            Self::Integer(is) => cell.as_i64() == Some(*is) || cell.as_f64().is_some_and(|n| is_close(n, *is)),
            Self::Number(is) => cell.as_f64().is_some_and(|n| (n - is).abs() <= is.abs() * 1e-9),
            Self::Text(is) => cell.as_str() == Some(is),
            Self::Word(Word { is: Special::Null }) => cell.is_null(),
            Self::Word(Word { is: Special::NotNull }) => !cell.is_null(),
            Self::Word(Word { is: Special::Any }) => true,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Boolean(is) => is.to_string(),
            Self::Integer(is) => is.to_string(),
            Self::Number(is) => is.to_string(),
            Self::Text(is) => format!("{is:?}"),
            Self::Word(Word { is: Special::Null }) => "null".to_owned(),
            Self::Word(Word { is: Special::NotNull }) => "anything but null".to_owned(),
            Self::Word(Word { is: Special::Any }) => "anything".to_owned(),
        }
    }
}

/// A whole number that a column of numbers shows.
fn is_close(number: f64, whole: i64) -> bool {
    // Whole numbers beyond 2^53 are no neighbours of each other as doubles.
    i32::try_from(whole).is_ok_and(|whole| (number - f64::from(whole)).abs() < 1e-9)
}

impl Expect {
    /// Expectations that nothing can meet: where, and why.
    pub(super) fn contradiction(&self) -> Option<(Option<usize>, &'static str)> {
        let at = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.span().start);
        match (&self.code, &self.message, &self.summary) {
            (Some(_), _, Some(_)) => {
                Some((at(&self.summary), "a call that is refused has no summary: write `message`"))
            }
            (None, Some(_), _) => Some((at(&self.message), "a message is a refusal's: say its `code`, too")),
            (Some(code), ..) if self.tables.is_some() || self.findings.is_some() || self.suggestion.is_some() => {
                Some((Some(code.span().start), "a call that is refused has no tables, findings and suggestion"))
            }
            _ => None,
        }
    }

    /// Everything that is other than expected.
    pub(super) fn compare(&self, came: &Came) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(held) = self.held.filter(|held| *held != came.held) {
            let (wanted, was) = if held { ("held for a person", "not") } else { ("not held for a person", "held") };
            problems.push(format!("expected to be {wanted}, and it was {was}"));
        }
        match (&came.end, &self.code) {
            (Ok(outcome), None) => self.outcome(outcome, &mut problems),
            (Ok(outcome), Some(code)) => {
                let code = code.get_ref().0;
                problems.push(format!("expected code `{code}`, and it was carried out: {}", outcome.summary));
            }
            (Err(refusal), None) => {
                problems.push(format!("expected to be carried out, and it was refused: {}", whole(refusal)));
            }
            (Err(refusal), Some(code)) => {
                if refusal.code != code.get_ref().0 {
                    problems.push(format!("expected code `{}`, and got {}", code.get_ref().0, whole(refusal)));
                }
                if let Some(part) =
                    self.message.as_ref().filter(|part| !whole(refusal).contains(part.get_ref().as_str()))
                {
                    problems.push(format!("expected a message with {:?}, and got {}", part.get_ref(), whole(refusal)));
                }
            }
        }
        problems
    }

    fn outcome(&self, outcome: &Outcome, problems: &mut Vec<String>) {
        if let Some(part) = self.summary.as_ref().filter(|part| !outcome.summary.contains(part.get_ref().as_str())) {
            problems.push(format!("expected a summary with {:?}, and got {:?}", part.get_ref(), outcome.summary));
        }
        if let Some(expected) = &self.findings {
            let found: Vec<Severity> = outcome.findings.iter().map(|finding| finding.severity).collect();
            if found != *expected {
                problems.push(format!("expected findings {expected:?}, and got {found:?}").to_lowercase());
            }
        }
        let suggested = outcome.suggestion.as_ref().map(|suggestion| suggestion.action.as_str());
        if let Some(expected) = self.suggestion.as_deref().filter(|expected| Some(*expected) != suggested) {
            let suggested = suggested.unwrap_or("nothing");
            problems.push(format!("expected `{expected}` to be suggested, and it was `{suggested}`"));
        }
        let Some(tables) = &self.tables else { return };
        if tables.len() != outcome.tables.len() {
            problems.push(format!("expected {} tables, and got {}", tables.len(), outcome.tables.len()));
        }
        for (number, (expected, table)) in tables.iter().zip(&outcome.tables).enumerate() {
            expected.compare(table, &format!("table {}", number + 1), problems);
        }
    }
}

impl ExpectTable {
    fn compare(&self, table: &Table, place: &str, problems: &mut Vec<String>) {
        let rows: &RowSet = &table.rows;
        let names: Vec<&str> = rows.columns.iter().map(|column| column.name.as_str()).collect();
        if let Some(title) = self.title.as_ref().filter(|title| **title != table.title) {
            problems.push(format!("{place}: expected the title {title:?}, and got {:?}", table.title));
        }
        if let Some(columns) = self.columns.as_ref().filter(|columns| **columns != names) {
            problems.push(format!("{place}: expected columns {}, and got {}", columns.join(", "), names.join(", ")));
        }
        if let Some(count) = self.count.filter(|count| *count != rows.rows.len()) {
            problems.push(format!("{place}: expected {count} rows, and got {}", rows.rows.len()));
        }
        let cells: Vec<Vec<Json>> =
            rows.rows.iter().map(|row| row.iter().map(crate::value::Value::to_json).collect()).collect();
        if let Some(expected) = &self.rows {
            all(expected, &cells, place, problems);
        }
        for wanted in &self.contains {
            if let Some(unknown) = wanted.keys().find(|name| !names.contains(&name.as_str())) {
                problems.push(format!("{place}: there is no column `{unknown}`, only {}", names.join(", ")));
                continue;
            }
            let fits = |row: &Vec<Json>| {
                let cell = |name: &String| names.iter().position(|n| n == name).and_then(|at| row.get(at));
                wanted.iter().all(|(name, expected)| cell(name).is_some_and(|cell| expected.fits(cell)))
            };
            if !cells.iter().any(fits) {
                let words: Vec<String> = wanted.iter().map(|(name, cell)| format!("{name} {}", cell.words())).collect();
                problems.push(format!("{place}: no row has {}", words.join(", ")));
            }
        }
    }
}

/// All rows in order; the first that differs is named.
fn all(expected: &[Vec<Cell>], cells: &[Vec<Json>], place: &str, problems: &mut Vec<String>) {
    if expected.len() != cells.len() {
        problems.push(format!("{place}: expected {} rows, and got {}", expected.len(), cells.len()));
    }
    for (number, (wanted, row)) in expected.iter().zip(cells).enumerate() {
        if wanted.len() != row.len() || !wanted.iter().zip(row).all(|(wanted, cell)| wanted.fits(cell)) {
            let wanted: Vec<String> = wanted.iter().map(Cell::words).collect();
            let row: Vec<String> = row.iter().map(ToString::to_string).collect();
            problems.push(format!(
                "{place}, row {}: expected {}, and got {}",
                number + 1,
                wanted.join(", "),
                row.join(", ")
            ));
            return;
        }
    }
}

/// A refusal with every problem of its arguments.
fn whole(refusal: &Refusal) -> String {
    let problems: Vec<String> = refusal.problems.iter().map(|p| format!("`{}` {}", p.argument, p.message)).collect();
    let sep = if problems.is_empty() { "" } else { ": " };
    format!("`{}`: {}{sep}{}", refusal.code, refusal.message, problems.join("; "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::value::{Column, ColumnKind, Value};

    fn came(held: bool) -> Came {
        let columns = ["name", "size"].map(|name| Column { name: name.into(), kind: ColumnKind::Text }).to_vec();
        let rows = vec![
            vec![Value::Text("orders".into()), Value::Integer(12)],
            vec![Value::Text("items".into()), Value::Null],
        ];
        let outcome = serde_json::json!({
            "run": "", "action": "sizes.big", "target": "t", "summary": "2 tables", "tables": [], "notices": [],
            "findings": [{ "severity": "warning", "text": "big" }],
        });
        let mut outcome: Outcome = serde_json::from_value(outcome).unwrap();
        outcome.tables.push(Table { title: "Tables".into(), rows: Arc::new(RowSet { columns, rows }) });
        Came { held, end: Ok(Box::new(outcome)) }
    }

    fn problems(expect: &str, came: &Came) -> Vec<String> {
        let expect: Expect = toml::from_str(expect).unwrap();
        assert!(expect.contradiction().is_none());
        expect.compare(came)
    }

    #[test]
    fn what_is_as_expected_has_no_problems() {
        let expect = "held = false\nsummary = \"2 tables\"\nfindings = [\"warning\"]\n[[table]]\ntitle = \"Tables\"\n\
                      columns = [\"name\", \"size\"]\ncount = 2\nrows = [[\"orders\", 12], [{ is = \"any\" }, { is = \"null\" }]]\n\
                      contains = [{ name = \"items\" }, { name = \"orders\", size = { is = \"not_null\" } }]\n";
        assert!(problems(expect, &came(false)).is_empty());
        assert!(problems("", &came(true)).is_empty());
    }

    #[test]
    fn what_is_other_is_named() {
        let of = |expect: &str| problems(expect, &came(true)).join("|");
        assert_eq!(of("held = false"), "expected to be not held for a person, and it was held");
        assert_eq!(of("code = \"not_found\""), "expected code `not_found`, and it was carried out: 2 tables");
        assert_eq!(of("summary = \"3\""), "expected a summary with \"3\", and got \"2 tables\"");
        assert_eq!(of("findings = [\"ok\"]"), "expected findings [ok], and got [warning]");
        assert_eq!(of("suggestion = \"a.b\""), "expected `a.b` to be suggested, and it was `nothing`");
        assert_eq!(of("table = []"), "expected 0 tables, and got 1");
        assert_eq!(of("[[table]]\ncount = 3"), "table 1: expected 3 rows, and got 2");
        assert_eq!(
            of("[[table]]\nrows = [[\"orders\", 13], [\"items\", 1]]"),
            "table 1, row 1: expected \"orders\", 13, and got \"orders\", 12"
        );
        assert_eq!(of("[[table]]\ncontains = [{ nam = 1 }]"), "table 1: there is no column `nam`, only name, size");
        assert_eq!(of("[[table]]\ncontains = [{ name = \"x\" }]"), "table 1: no row has name \"x\"");
    }

    #[test]
    fn a_refusal_is_compared_by_code_and_message() {
        let refused = Came { held: false, end: Err(Refusal::new(Code::NotFound, "no table `x`")) };
        assert!(problems("code = \"not_found\"\nmessage = \"no table\"", &refused).is_empty());
        assert_eq!(
            problems("", &refused),
            ["expected to be carried out, and it was refused: `not_found`: no table `x`"]
        );
        assert_eq!(
            problems("code = \"timeout\"", &refused),
            ["expected code `timeout`, and got `not_found`: no table `x`"]
        );
    }
}
