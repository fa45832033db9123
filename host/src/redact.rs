//! What must not leave the host: literals in other people's SQL ([`shape_query`]), values in the server's messages
//! ([`redact_message`]), quoted parts and keys in whatever else a server shows ([`Redactor::rows`]), and secrets in any text
//! ([`Redactor::text`]). Text comes from databases, agents and packs, so nothing here trusts its form: what can't be read for
//! certain is dropped. Every pattern runs in time linear in the text.

mod literals;
mod message;
mod secrets;
mod shape;
mod tokens;

pub use message::{redact_message, redact_values};
pub use shape::shape_query;

use std::{borrow::Cow, sync::Arc};

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use crate::outside::is_hidden;
use crate::value::{ColumnKind, RowSet, Value};

/// What a redacted piece of text becomes.
pub const REDACTED: &str = "[redacted]";

/// More patterns than an operator can keep an eye on.
const MAX_PATTERNS: usize = 100;

/// Bytes of one compiled pattern. The largest built-in one takes a tenth of it.
const MAX_COMPILED: usize = 4 << 20;

/// Shorter values occur everywhere by chance; replacing them would show what they are.
const MIN_VALUE: usize = 4;

/// Why an operator's pattern is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedactionError {
    /// Not a regular expression, or too large a one.
    #[error("redaction pattern {number} does not compile: {why}")]
    Invalid {
        /// From 1.
        number: usize,
        /// The engine's words.
        why: String,
    },
    /// It would redact between any two characters.
    #[error("redaction pattern {number} matches the empty text; make it match at least one character")]
    MatchesEmpty {
        /// From 1.
        number: usize,
    },
    /// Too many.
    #[error("there are {0} redaction patterns, and {MAX_PATTERNS} are allowed; join some with `|`")]
    TooMany(usize),
}

struct Rule {
    pattern: Regex,
    /// Keeps what names the secret, so that a reader knows what is missing.
    replacement: &'static str,
}

struct Rules {
    /// All patterns at once: most text matches none, and one pass says so.
    any: RegexSet,
    each: Vec<Rule>,
    /// Secrets that the host itself holds.
    values: Vec<Box<str>>,
}

/// Removes secrets from text. Cheap to clone; the same for all who hold it.
#[derive(Clone)]
pub struct Redactor {
    rules: Arc<Rules>,
}

impl std::fmt::Debug for Redactor {
    /// Says how much is redacted and never what.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor")
            .field("patterns", &self.rules.each.len())
            .field("values", &self.rules.values.len())
            .finish()
    }
}

impl Redactor {
    /// The built-in patterns and an operator's own.
    ///
    /// # Errors
    ///
    /// The first pattern that can't be used.
    pub fn new(patterns: &[String]) -> Result<Self, RedactionError> {
        Self::with_values(patterns, [])
    }

    /// The same, which also redacts these very values wherever they occur: the passwords and tokens that the host was
    /// configured with. Values of fewer than four bytes are not looked for.
    ///
    /// # Errors
    ///
    /// The first pattern that can't be used.
    pub fn with_values(patterns: &[String], values: impl IntoIterator<Item = String>) -> Result<Self, RedactionError> {
        if patterns.len() > MAX_PATTERNS {
            return Err(RedactionError::TooMany(patterns.len()));
        }
        let compile = |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
        let mut each = Vec::new();
        // First the operator's: what they were written for must not be hidden by what a built-in one leaves.
        for (index, pattern) in patterns.iter().enumerate() {
            let number = index + 1;
            let pattern =
                compile(pattern).map_err(|error| RedactionError::Invalid { number, why: error.to_string() })?;
            if pattern.is_match("") {
                return Err(RedactionError::MatchesEmpty { number });
            }
            each.push(Rule { pattern, replacement: REDACTED });
        }
        for (pattern, replacement) in secrets::PATTERNS {
            let pattern =
                compile(pattern).map_err(|error| RedactionError::Invalid { number: 0, why: error.to_string() })?;
            each.push(Rule { pattern, replacement });
        }
        let any = RegexSetBuilder::new(each.iter().map(|rule| rule.pattern.as_str()))
            .size_limit(MAX_COMPILED * 4)
            .build()
            .map_err(|error| RedactionError::Invalid { number: 0, why: error.to_string() })?;
        let mut values: Vec<Box<str>> =
            values.into_iter().filter(|value| value.len() >= MIN_VALUE).map(String::into_boxed_str).collect();
        // The longest first, so that none is left half.
        values.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Ok(Self { rules: Arc::new(Rules { any, each, values }) })
    }

    /// The text without secrets, and without characters that disguise what it says. Done twice it is as done once.
    #[must_use]
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.known(self.named(text))
    }

    /// Without disguise, and without the values that the host itself holds.
    fn named<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = plain(text);
        for value in &self.rules.values {
            if text.contains(&**value) {
                text = Cow::Owned(text.replace(&**value, REDACTED));
            }
        }
        text
    }

    /// Without what a pattern knows.
    fn known<'t>(&self, mut text: Cow<'t, str>) -> Cow<'t, str> {
        if !self.rules.any.is_match(&text) {
            return text;
        }
        // All rules, not only those that the set names: what one leaves may be for another.
        for rule in &self.rules.each {
            if let Cow::Owned(redacted) = rule.pattern.replace_all(&text, rule.replacement) {
                text = Cow::Owned(redacted);
            }
        }
        text
    }

    /// Text that a server shows and somebody else chose: what an application calls itself, a setting, a definition. Beside
    /// secrets, it loses what it quotes and what looks like a key. Done twice it is as done once.
    #[must_use]
    pub fn foreign<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = self.named(text);
        // First: a pattern may take a quote with it, and what it stood around would then seem to be outside.
        if let Cow::Owned(clean) = literals::without_literals(&text) {
            text = Cow::Owned(clean);
        }
        guessed(self.known(text))
    }

    /// A server's message without the values that it quotes, without secrets and without what looks like a key.
    #[must_use]
    pub fn message(&self, message: &str) -> String {
        guessed(self.known(self.named(&redact_message(message)))).into_owned()
    }

    /// A server's result: query text as shapes, other text as [`Redactor::foreign`] gives it.
    #[must_use]
    pub fn rows(&self, rows: RowSet) -> RowSet {
        self.each(rows, |text| self.foreign(text))
    }

    /// A pack's own table: query text as shapes, other text as [`Redactor::text`] gives it. What a pack knows of a database
    /// has been through [`Redactor::rows`]; the sentences around it are its own.
    #[must_use]
    pub fn built(&self, rows: RowSet) -> RowSet {
        self.each(rows, |text| self.text(text))
    }

    fn each(&self, mut rows: RowSet, plain_text: impl for<'t> Fn(&'t str) -> Cow<'t, str>) -> RowSet {
        let clean = |text: &mut String, query: bool| {
            if query {
                *text = guessed(self.text(&shape_query(text))).into_owned();
            } else if let Cow::Owned(redacted) = plain_text(text) {
                *text = redacted;
            }
        };
        for column in &mut rows.columns {
            clean(&mut column.name, false);
        }
        for row in &mut rows.rows {
            for (index, cell) in row.iter_mut().enumerate() {
                // A cell without a column is nothing that a statement returns; it is held to be the worst.
                let query = rows.columns.get(index).is_none_or(|column| column.kind == ColumnKind::Query);
                match cell {
                    Value::Text(text) => clean(text, query),
                    Value::Texts(texts) => texts.iter_mut().for_each(|text| clean(text, query)),
                    Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Number(_) | Value::Integers(_) => {}
                }
            }
        }
        rows
    }
}

/// Without what looks like a key and has no known form.
fn guessed(text: Cow<'_, str>) -> Cow<'_, str> {
    match tokens::without_tokens(&text) {
        Cow::Owned(clean) => Cow::Owned(clean),
        Cow::Borrowed(_) => text,
    }
}

/// What hides or disguises, but for line feeds and tabs, which query text has.
fn is_disguise(c: char) -> bool {
    is_hidden(c) && !matches!(c, '\n' | '\t')
}

/// The text without such characters. They would also hide a secret from a pattern.
fn plain(text: &str) -> Cow<'_, str> {
    if text.contains(is_disguise) {
        Cow::Owned(text.chars().filter(|c| !is_disguise(*c)).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
