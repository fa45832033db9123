//! Results as compact text: a header and one line a row, cells parted by `|`, as a person would see them from psql's
//! unaligned output. Nothing that a cell holds can start a new line, a new cell, or reorder what is shown.

use std::fmt::Write as _;

use crate::{
    outside::is_hidden,
    value::{RowSet, Value},
};

/// A result as lines of text: the header, then the rows. A null is empty; an empty text is `""`.
#[must_use]
pub fn text_table(rows: &RowSet) -> String {
    let mut text = String::new();
    for (index, column) in rows.columns.iter().enumerate() {
        if index > 0 {
            text.push('|');
        }
        push_escaped(&mut text, &column.name, true);
    }
    for row in &rows.rows {
        text.push('\n');
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                text.push('|');
            }
            push_cell(&mut text, cell);
        }
    }
    text
}

/// Text from elsewhere on one line: control characters and those that reorder or hide text are written as escapes.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    push_escaped(&mut line, text, false);
    line
}

fn push_cell(out: &mut String, cell: &Value) {
    match cell {
        Value::Null => {}
        Value::Boolean(true) => out.push('t'),
        Value::Boolean(false) => out.push('f'),
        Value::Integer(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Text(text) if text.is_empty() => out.push_str("\"\""),
        Value::Text(text) => push_escaped(out, text, true),
        Value::Integers(_) | Value::Texts(_) => {
            push_escaped(out, &cell.to_json().to_string(), true);
        }
    }
}

fn push_escaped(out: &mut String, text: &str, in_cell: bool) {
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '|' if in_cell => out.push_str("\\|"),
            '\\' if in_cell => out.push_str("\\\\"),
            _ if is_hidden(character) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::{Column, ColumnKind};

    fn column(name: &str, kind: ColumnKind) -> Column {
        Column { name: name.into(), kind }
    }

    #[test]
    fn looks_as_the_story_shows_it() {
        let rows = RowSet {
            columns: vec![
                column("pid", ColumnKind::Integer),
                column("usename", ColumnKind::Text),
                column("idle_seconds", ColumnKind::Integer),
                column("waiting", ColumnKind::Boolean),
                column("query", ColumnKind::Query),
            ],
            rows: vec![vec![
                Value::Integer(4471),
                Value::Text("deploy".into()),
                Value::Null,
                Value::Boolean(true),
                Value::Text("SELECT a\n|| b".into()),
            ]],
        };
        assert_eq!(text_table(&rows), "pid|usename|idle_seconds|waiting|query\n4471|deploy||t|SELECT a\\n\\|\\| b");
    }

    proptest! {
        #[test]
        fn a_cell_never_leaves_its_place(first in any::<String>(), second in any::<String>()) {
            let rows = RowSet {
                columns: vec![column("a", ColumnKind::Text), column("b", ColumnKind::Text)],
                rows: vec![vec![Value::Text(first), Value::Text(second)]],
            };
            let text = text_table(&rows);
            prop_assert_eq!(text.lines().count(), 2);
            prop_assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)));
            // Unescaped bars: exactly the one between the cells.
            let line = text.lines().nth(1).unwrap();
            let mut bars = 0;
            let mut escaped = false;
            for c in line.chars() {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '|' => bars += 1,
                    _ => {}
                }
            }
            prop_assert_eq!(bars, 1);
        }
    }
}
