//! A result as plain text of bounded width: columns where they fit, one cell a line where they don't, so that nothing which
//! decides a person's vote is cut off for want of room.

use serde_json::Value as Json;

use super::text::{clip, width, wrap};
use crate::outside::plain;
use crate::value::{ColumnKind, RowSet, Value};

/// Rows that are shown; whoever wants more reads the JSON.
const ROWS: usize = 20;

/// Columns that are shown: a result of a statement has a dozen.
const COLUMNS: usize = 24;

/// Characters of one cell that are shown; the text of a long statement is a page.
const CELL: usize = 600;

/// No column is made narrower than this for the sake of others.
const NARROWEST: usize = 8;

/// So many rows are still readable one cell a line.
const RECORDS: usize = 4;

/// The table as lines of at most so many columns; says itself what it leaves out. True if something hidden was left out.
pub(super) fn lines(rows: &RowSet, columns: usize) -> (Vec<String>, bool) {
    let mut hidden = false;
    let mut cell = |text: &str| {
        let plain = plain(text, CELL);
        hidden |= plain.had_hidden;
        plain.text
    };
    let names: Vec<String> = rows.columns.iter().take(COLUMNS).map(|column| cell(&column.name)).collect();
    let cells: Vec<Vec<String>> = rows
        .rows
        .iter()
        .take(ROWS)
        .map(|row| row.iter().take(COLUMNS).map(|value| cell(&value_text(value))).collect())
        .collect();
    let mut lines = if cells.is_empty() {
        vec!["(no rows)".to_owned()]
    } else {
        let widths = natural(&names, &cells);
        if total(&widths) > columns && (cells.len() <= RECORDS || widths.len() * (NARROWEST + 2) > columns) {
            records(&names, &cells, columns)
        } else {
            let right: Vec<bool> = rows
                .columns
                .iter()
                .map(|column| matches!(column.kind, ColumnKind::Integer | ColumnKind::Number))
                .collect();
            grid(&names, &cells, &right, &shrunk(widths, columns))
        }
    };
    let more_rows = rows.rows.len().saturating_sub(ROWS);
    let more_columns = rows.columns.len().saturating_sub(COLUMNS);
    if more_rows > 0 || more_columns > 0 {
        lines.push(format!("({more_rows} more rows and {more_columns} more columns are not shown here)"));
    }
    (lines, hidden)
}

/// A value for people: texts as they are, lists by commas.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => text.clone(),
        Value::Integers(values) => values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Value::Texts(values) => values.join(", "),
        scalar => match scalar.to_json() {
            Json::String(text) => text,
            other => other.to_string(),
        },
    }
}

fn natural(names: &[String], cells: &[Vec<String>]) -> Vec<usize> {
    let widest = |at: usize| cells.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or(0);
    names.iter().enumerate().map(|(at, name)| width(name).max(widest(at))).collect()
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)
}

// Takes from the widest until all fit.
fn shrunk(mut widths: Vec<usize>, columns: usize) -> Vec<usize> {
    let mut over = total(&widths).saturating_sub(columns);
    while over > 0 {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            _ => break,
        }
        over -= 1;
    }
    widths
}

fn grid(names: &[String], cells: &[Vec<String>], right: &[bool], widths: &[usize]) -> Vec<String> {
    let line = |texts: &[String]| {
        let mut line = String::new();
        for (at, columns) in widths.iter().enumerate() {
            let text = clip(texts.get(at).map_or("", String::as_str), *columns);
            let fill = " ".repeat(columns.saturating_sub(width(&text)));
            let between = if at == 0 { "" } else { "  " };
            let (before, after) =
                if right.get(at).copied().unwrap_or(false) { (fill.as_str(), "") } else { ("", fill.as_str()) };
            line.extend([between, before, text.as_str(), after]);
        }
        line.trim_end().to_owned()
    };
    let rule: Vec<String> = widths.iter().map(|columns| "-".repeat(*columns)).collect();
    [line(names), line(&rule)].into_iter().chain(cells.iter().map(|row| line(row))).collect()
}

fn records(names: &[String], cells: &[Vec<String>], columns: usize) -> Vec<String> {
    let labels = names.iter().map(|name| width(name)).max().unwrap_or(0).min(columns / 3);
    let mut lines = Vec::new();
    for (at, row) in cells.iter().enumerate() {
        if at > 0 {
            lines.push(String::new());
        }
        for (name, cell) in names.iter().zip(row) {
            lines.extend(pair(name, cell, labels, columns));
        }
    }
    lines
}

/// A label and its text, wrapped beside it.
pub(super) fn pair(label: &str, text: &str, labels: usize, columns: usize) -> Vec<String> {
    let label = clip(label, labels);
    let mut before = format!("{label}{}  ", " ".repeat(labels.saturating_sub(width(&label))));
    let blank = " ".repeat(labels + 2);
    wrap(text, columns.saturating_sub(labels + 2))
        .into_iter()
        .map(|line| {
            let line = format!("{before}{line}").trim_end().to_owned();
            before.clone_from(&blank);
            line
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::Column;

    fn table(columns: &[(&str, ColumnKind)], rows: Vec<Vec<Value>>) -> RowSet {
        let columns = columns.iter().map(|(name, kind)| Column { name: (*name).into(), kind: *kind }).collect();
        RowSet { columns, rows }
    }

    #[test]
    fn columns_line_up_by_what_is_seen() {
        let rows = table(
            &[("pid", ColumnKind::Integer), ("user", ColumnKind::Text), ("state", ColumnKind::Text)],
            vec![
                vec![Value::Integer(7), Value::Text("表表".into()), Value::Text("idle".into())],
                vec![Value::Integer(4242), Value::Text("e\u{301}".into()), Value::Null],
            ],
        );
        let (lines, hidden) = lines(&rows, 80);
        assert_eq!(lines, [" pid  user  state", "----  ----  -----", "   7  表表  idle", "4242  e\u{301}     null"]);
        assert!(!hidden);
    }

    #[test]
    fn a_few_wide_rows_are_shown_whole() {
        let query = "UPDATE orders SET note = 'x' WHERE id = 1 ".repeat(5);
        let rows = table(
            &[("pid", ColumnKind::Integer), ("query", ColumnKind::Query)],
            vec![vec![Value::Integer(1), Value::Text(query.clone())]],
        );
        let (lines, _) = lines(&rows, 60);
        assert!(lines[0].starts_with("pid    1"));
        let shown: String = lines[1..].iter().map(|line| &line[7..]).collect::<Vec<_>>().join(" ");
        assert_eq!(shown, query.trim_end());
    }

    #[test]
    fn what_is_left_out_is_said() {
        let rows = table(&[("n", ColumnKind::Integer)], (0..25).map(|n| vec![Value::Integer(n)]).collect());
        let (many, _) = lines(&rows, 60);
        assert_eq!(many.last().unwrap(), "(5 more rows and 0 more columns are not shown here)");
        assert_eq!(lines(&table(&[("n", ColumnKind::Integer)], vec![]), 60).0, ["(no rows)"]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide(
            names in prop::collection::vec(".{0,20}", 0..30),
            cells in prop::collection::vec(prop::collection::vec(".{0,80}", 0..31), 0..30),
        ) {
            let rows = RowSet {
                columns: names.into_iter().map(|name| Column { name, kind: ColumnKind::Text }).collect(),
                rows: cells.into_iter().map(|row| row.into_iter().map(Value::Text).collect()).collect(),
            };
            for line in lines(&rows, 90).0 {
                prop_assert!(width(&line) <= 90, "{}", line);
                prop_assert!(!line.chars().any(crate::outside::is_hidden));
            }
        }
    }
}
