//! What an action answers: an outcome, and before it the evidence that a person decides on.

use crate::{
    bindings::exports::lockgate::pack::actions as wit,
    rows::Rows,
    value::{Severity, Value},
};

/// A titled result.
#[derive(Debug)]
pub struct Table {
    pub(crate) title: String,
    pub(crate) rows: Rows,
}

/// The answer of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    pub(crate) summary: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) notices: Vec<String>,
    pub(crate) findings: Vec<(Severity, String)>,
    pub(crate) suggestion: Option<Suggestion>,
}

impl Outcome {
    /// An answer with one sentence that says it. Don't put text from the database into it: that belongs into tables, where
    /// a reader takes it for data.
    #[must_use]
    pub fn new(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), ..Self::default() }
    }

    /// Adds a table.
    #[must_use]
    pub fn table(mut self, title: impl Into<String>, rows: Rows) -> Self {
        self.tables.push(Table { title: title.into(), rows });
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn notice(mut self, text: impl Into<String>) -> Self {
        self.notices.push(text.into());
        self
    }

    /// Adds a conclusion.
    #[must_use]
    pub fn finding(mut self, severity: Severity, text: impl Into<String>) -> Self {
        self.findings.push((severity, text.into()));
        self
    }

    /// Names the one action to take next.
    #[must_use]
    pub fn suggest(mut self, suggestion: Suggestion) -> Self {
        self.suggestion = Some(suggestion);
        self
    }

    /// The sentence.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// The tables, each with its title.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &Rows)> {
        self.tables.iter().map(|table| (table.title.as_str(), &table.rows))
    }

    /// The remarks.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The conclusions.
    #[must_use]
    pub fn findings(&self) -> &[(Severity, String)] {
        &self.findings
    }

    /// The action to take next.
    #[must_use]
    pub fn suggestion(&self) -> Option<&Suggestion> {
        self.suggestion.as_ref()
    }
}

/// What a person sees before deciding, and the facts that the decision rests on.
#[derive(Debug, Default)]
pub struct Evidence {
    pub(crate) summary: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) pins: Vec<wit::Pin>,
}

impl Evidence {
    /// Evidence with one sentence that says what would be done to what.
    #[must_use]
    pub fn new(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), ..Self::default() }
    }

    /// Adds a table.
    #[must_use]
    pub fn table(mut self, title: impl Into<String>, rows: Rows) -> Self {
        self.tables.push(Table { title: title.into(), rows });
        self
    }

    /// Pins a fact. The run is given it back, and should make it a condition of its statement, so that the database itself
    /// refuses when the world has changed.
    #[must_use]
    pub fn pin(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.pins.push(wit::Pin { name: name.into(), value: value.into() });
        self
    }

    /// The sentence.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// The tables, each with its title.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &Rows)> {
        self.tables.iter().map(|table| (table.title.as_str(), &table.rows))
    }

    /// The pins, by name.
    pub fn pins(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.pins.iter().map(|pin| (pin.name.as_str(), &pin.value))
    }
}

/// The one action that a diagnosis would take next. It goes through policy like any other call.
#[derive(Clone, Debug)]
pub struct Suggestion {
    pub(crate) action: String,
    pub(crate) arguments: String,
    pub(crate) why: String,
}

impl Suggestion {
    /// `pack.action`, and why, in one sentence.
    #[must_use]
    pub fn new(action: &str, why: impl Into<String>) -> Self {
        Self { action: action.into(), arguments: "{}".into(), why: why.into() }
    }

    /// Adds a whole number as an argument.
    #[must_use]
    pub fn integer(self, name: &str, value: i64) -> Self {
        let digits = value.to_string();
        self.argument(name, &digits)
    }

    /// Adds `true` or `false` as an argument.
    #[must_use]
    pub fn boolean(self, name: &str, value: bool) -> Self {
        self.argument(name, if value { "true" } else { "false" })
    }

    /// Adds a text as an argument.
    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Self {
        let mut quoted = String::with_capacity(value.len() + 2);
        quote(&mut quoted, value);
        self.argument(name, &quoted)
    }

    fn argument(mut self, name: &str, json: &str) -> Self {
        self.arguments.pop();
        if self.arguments.len() > 1 {
            self.arguments.push(',');
        }
        quote(&mut self.arguments, name);
        self.arguments.push(':');
        self.arguments.push_str(json);
        self.arguments.push('}');
        self
    }

    /// `pack.action`.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The arguments as a JSON object.
    #[must_use]
    pub fn arguments(&self) -> &str {
        &self.arguments
    }

    /// Why.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }
}

/// Appends a JSON string (RFC 8259, section 7).
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{0}'..='\u{1f}' => {
                out.push_str("\\u00");
                for nibble in [u32::from(c) >> 4, u32::from(c) & 15] {
                    out.push(char::from_digit(nibble, 16).unwrap_or('0'));
                }
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::Suggestion;

    #[test]
    fn arguments_are_one_json_object() {
        let none = Suggestion::new("postgres.uptime", "to see");
        assert_eq!(none.arguments(), "{}");
        let some = none.integer("pid", -4471).boolean("analyze", true).text("schema", "a\"b\\c\n\u{1f}é");
        assert_eq!(some.arguments(), r#"{"pid":-4471,"analyze":true,"schema":"a\"b\\c\u000a\u001fé"}"#);
    }
}
