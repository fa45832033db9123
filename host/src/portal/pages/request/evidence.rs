//! What would be hit: the evidence that a request rests on, and what has changed in it since. All of it is a pack's or a
//! database's, stands behind their mark and is bounded; what is left out is said.

use maud::{Markup, html};
use serde::Deserialize as _;

use super::super::words;
use crate::{
    approval::evidence::{Changes, Evidence},
    outside::plain,
    portal::{
        Tone,
        parts::{Cell, From, Table, marked_block, marked_markup, notice},
    },
    store::Pin,
    value::{self, ColumnKind, Value},
};

/// Rows and columns of a table, and tables, that are shown.
const ROWS: usize = 100;
const COLUMNS: usize = 24;
const TABLES: usize = 8;
/// Differences that are shown one by one.
const CHANGES: usize = 40;

/// The evidence, or that it can't be read.
pub(super) fn show(evidence: &serde_json::Value) -> Markup {
    let Ok(evidence) = Evidence::deserialize(evidence) else {
        // Said, not left out: nobody should take the absence of evidence for evidence of absence.
        return notice(
            Tone::Warning,
            &html! { "The evidence can't be read. Do not approve this unless you know without it." },
        );
    };
    html! {
        (marked_block(From::Pack, &evidence.summary))
        @for table in evidence.tables.iter().take(TABLES) { (marked_markup(From::Database, &rows(table))) }
        @if evidence.tables.len() > TABLES {
            p.quiet { (evidence.tables.len() - TABLES) " more tables are not shown here; `lockgate approvals show --json` has them." }
        }
    }
}

/// A table of a pack's, with cells of the database's.
pub(super) fn rows(table: &value::Table) -> Markup {
    let (columns, rows) = (&table.rows.columns, &table.rows.rows);
    let names: Vec<String> = columns.iter().take(COLUMNS).map(|column| words::name(&column.name)).collect();
    let mut shown = Table::new(plain(&table.title, 200).text, names.iter().map(String::as_str)).or_say("No rows.");
    for row in rows.iter().take(ROWS) {
        let cells = row.iter().zip(columns).take(COLUMNS);
        shown.row(cells.map(|(cell, column)| match (cell, column.kind) {
            (Value::Integer(_) | Value::Number(_), _) => Cell::number(cell.to_json()),
            (Value::Text(_), ColumnKind::Query) => Cell::new(html! { code { (words::value(cell)) } }),
            _ => Cell::new(words::value(cell)),
        }));
    }
    html! {
        (shown.show())
        @if rows.len() > ROWS || columns.len() > COLUMNS {
            p.quiet {
                (rows.len().saturating_sub(ROWS)) " more rows and " (columns.len().saturating_sub(COLUMNS))
                " more columns are not shown here."
            }
        }
    }
}

/// The facts that an approval rests on.
pub(super) fn pins(pins: &[Pin]) -> Markup {
    if pins.is_empty() {
        return html! { p.quiet { "The pack pinned nothing: the statements above say by themselves what they act on." } };
    }
    let mut table = Table::new("Pins", ["Fact", "Value"]);
    for pin in pins {
        table.row([Cell::text(words::name(&pin.name)), Cell::new(words::value(&pin.value))]);
    }
    html! {
        p { "If any of this is no longer so when it runs, nothing is done." }
        (marked_markup(From::Database, &table.show()))
    }
}

/// What is different since the request was made. Every value is the database's.
pub(super) fn changes(changes: &Changes) -> Markup {
    if changes.is_empty() {
        return notice(Tone::Note, &html! { "Looked at just now: nothing has changed since it was asked." });
    }
    let is_material = changes.is_material();
    let caption = if is_material { "What changed" } else { "What is measured, then and now" };
    let mut table = Table::new(caption, ["What", "Was", "Is", "Matters"]);
    let none = || html! { span.quiet { "nothing" } };
    let mut left_out = 0;
    let mut add = |what: Markup, was: Markup, is: Markup, matters: bool, table: &mut Table| {
        if table.len() < CHANGES {
            let word = if matters {
                html! { strong { "yes" } }
            } else {
                html! { "measured" }
            };
            table.row([Cell::new(what), Cell::new(was), Cell::new(is), Cell::new(word)]);
        } else {
            left_out += 1;
        }
    };
    for pin in &changes.pins {
        let of = |value: &Option<Value>| value.as_ref().map_or_else(none, words::value);
        add(html! { "pin " (words::name(&pin.name)) }, of(&pin.was), of(&pin.is), true, &mut table);
    }
    for of in &changes.tables {
        let title = plain(&of.title, 100).text;
        if of.reshaped {
            add(html! { (title) }, none(), html! { "another table" }, true, &mut table);
        }
        for row in &of.appeared {
            add(html! { (title) ", " (words::name(row)) }, none(), html! { "there" }, true, &mut table);
        }
        for row in &of.went {
            add(html! { (title) ", " (words::name(row)) }, html! { "there" }, html! { "gone" }, true, &mut table);
        }
        for cell in &of.cells {
            let what = html! { (words::name(&cell.column)) " of " (words::name(&cell.row)) };
            add(what, words::value(&cell.was), words::value(&cell.is), cell.material, &mut table);
        }
    }
    html! {
        @if is_material {
            (notice(Tone::Warning, &html! { "Looked at just now: it has " strong { "changed" } " since it was asked. You decide on what is there now." }))
        } @else {
            (notice(Tone::Note, &html! { "Looked at just now: nothing has changed since it was asked but what is measured." }))
        }
        @if changes.unreadable { p { "The evidence of one of the two times can't be read." } }
        @if is_material && !table.is_empty() {
            (marked_markup(From::Database, &table.show()))
        } @else if !table.is_empty() {
            details { summary { "What is measured, then and now" } (marked_markup(From::Database, &table.named_above().show())) }
        }
        @if left_out > 0 { p.quiet { (left_out) " more differences are not shown here." } }
    }
}
