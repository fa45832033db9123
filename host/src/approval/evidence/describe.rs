//! What is different, in words: short, since it is read by somebody who is about to decide.

use super::{Changes, TableChange};
use crate::{outside::plain, value::Value};

/// Differences that are named, and characters of each value.
const NAMED: usize = 6;
const VALUE: usize = 60;

impl Changes {
    /// What has to be seen, in one sentence.
    #[must_use]
    pub fn material_words(&self) -> String {
        let mut parts = Vec::new();
        if self.unreadable {
            parts.push("the evidence of one of the two times can't be read".to_owned());
        }
        for pin in &self.pins {
            let of = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), self::value);
            parts.push(format!("`{}` was {} and is {}", name(&pin.name), of(&pin.was), of(&pin.is)));
        }
        for table in &self.tables {
            table_words(table, &mut parts);
        }
        let more = parts.len().saturating_sub(NAMED);
        parts.truncate(NAMED);
        let mut text = parts.join("; ");
        if more > 0 {
            text.push_str(&format!("; and {more} more differences"));
        }
        if text.is_empty() { "nothing has changed".to_owned() } else { text }
    }
}

fn table_words(table: &TableChange, parts: &mut Vec<String>) {
    let title = name(&table.title);
    if table.reshaped {
        parts.push(format!("the table \"{title}\" is another one"));
    }
    if !table.appeared.is_empty() {
        parts.push(format!("new in \"{title}\": {}", listed(&table.appeared)));
    }
    if !table.went.is_empty() {
        parts.push(format!("gone from \"{title}\": {}", listed(&table.went)));
    }
    for cell in table.cells.iter().filter(|cell| cell.material) {
        let (row, column) = (name(&cell.row), name(&cell.column));
        parts.push(format!("`{column}` of {row} was {} and is {}", value(&cell.was), value(&cell.is)));
    }
}

fn listed(rows: &[String]) -> String {
    let mut names: Vec<String> = rows.iter().take(NAMED).map(|row| name(row)).collect();
    if rows.len() > NAMED {
        names.push(format!("and {} more", rows.len() - NAMED));
    }
    names.join(", ")
}

fn name(text: &str) -> String {
    plain(text, VALUE).text
}

/// A value as it is named: text as it is, without what can't be seen.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => name(text),
        other => name(&other.to_json().to_string()),
    }
}
