//! Statements: their texts, what they reach, and the limits around them.

use std::collections::{BTreeMap, BTreeSet};

use super::Change;
use crate::{
    pack::{prove::ProvenManifest, wording},
    statement::{Class, Mode, ProvenStatement, Statement, Variant, WhenEmpty, tokens},
    value::{Column, ColumnKind},
};

const ANY_WORD: &str = "what it does to others or reads of users' data is decided by its whole text";

pub(super) fn compare(old: &ProvenManifest, new: &ProvenManifest, out: &mut Vec<Change>) {
    let (before, after) = (all(old), all(new));
    for declared in &new.manifest().statements {
        let Some(is) = after.get(declared.id.as_str()) else { continue };
        match before.get(declared.id.as_str()) {
            Some(was) => changed(was, is, out),
            // Whether authority grew by it is said where an action may request it.
            None => out.push(Change::added(&place(declared), "statement", whole(is))),
        }
    }
    for declared in &old.manifest().statements {
        if let (Some(was), false) = (before.get(declared.id.as_str()), after.contains_key(declared.id.as_str())) {
            out.push(Change::removed(&place(declared), "statement", whole(was)));
        }
    }
}

/// Every statement, by its id: each is of some action.
fn all(manifest: &ProvenManifest) -> BTreeMap<&str, &ProvenStatement> {
    let mut all = BTreeMap::new();
    for action in manifest.actions() {
        for (id, statement) in action.statements() {
            all.insert(id, &**statement);
        }
    }
    all
}

fn place(statement: &Statement) -> String {
    format!("statement `{}`", statement.id)
}

fn whole(statement: &ProvenStatement) -> String {
    let touches: Vec<&str> = statement.touches().iter().map(String::as_str).collect();
    let declared = statement.declaration();
    let names = if touches.is_empty() { String::new() } else { format!("; names {}", touches.join(", ")) };
    format!("class {}, {}{names}", statement.class().as_str(), wording::limits(declared))
}

fn changed(before: &ProvenStatement, after: &ProvenStatement, out: &mut Vec<Change>) {
    let (was, is) = (before.declaration(), after.declaration());
    let place = &place(is);
    if before.class() != after.class() {
        let change = Change::new(place, "class", before.class().as_str(), after.class().as_str());
        out.push(change.growing(after.class() > before.class(), "it has more authority"));
    }
    if was.mode != is.mode {
        let change = Change::new(place, "mode", mode(was.mode), mode(is.mode));
        out.push(change.growing(is.mode != Mode::Read, "it may change something"));
    }
    let (had, has) = (before.touches(), after.touches());
    out.extend(has.difference(had).map(|name| Change::added(place, "names", name).growing(true, "it reaches further")));
    out.extend(had.difference(has).map(|name| Change::removed(place, "names", name)));
    variants(was, is, after.class() == Class::Read && before.class() == Class::Read, place, out);
    inputs(was, is, place, out);
    columns(&was.columns, &is.columns, place, out);
    if was.max_rows != is.max_rows {
        let change = Change::new(place, "most rows", was.max_rows.to_string(), is.max_rows.to_string());
        out.push(change.growing(is.max_rows > was.max_rows, "it may show or change more rows"));
    }
    if was.timeout_ms != is.timeout_ms {
        let longer = is.timeout_ms == 0 || (was.timeout_ms != 0 && is.timeout_ms > was.timeout_ms);
        let change = Change::new(place, "time limit", time(was.timeout_ms), time(is.timeout_ms));
        out.push(change.growing(longer, "it may keep the server busy for longer"));
    }
    if was.when_empty != is.when_empty {
        let change = Change::new(place, "when there is no row", empty(was.when_empty), empty(is.when_empty));
        let lost = was.when_empty == WhenEmpty::TargetChanged;
        out.push(change.growing(lost, "it no longer refuses when what was approved has changed"));
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Read => "read",
        Mode::Act => "act",
        Mode::Maintain => "maintain",
    }
}

fn time(ms: u32) -> String {
    if ms == 0 { "none".to_owned() } else { format!("{ms} ms") }
}

fn empty(when: WhenEmpty) -> &'static str {
    match when {
        WhenEmpty::Fine => "an answer",
        WhenEmpty::TargetChanged => "target_changed",
    }
}

/// Which servers a variant is for: what it is found again by.
fn servers(variant: &Variant) -> String {
    wording::servers(variant)
}

fn variants(was: &Statement, is: &Statement, reads: bool, place: &str, out: &mut Vec<Change>) {
    for variant in &is.variants {
        let servers = servers(variant);
        let place = format!("{place}, {servers}");
        match was.variants.iter().find(|other| wording::servers(other) == servers) {
            Some(other) if other.sql == variant.sql => {}
            Some(other) if is_same(&other.sql, &variant.sql) => {
                out.push(Change::new(&place, "layout", "spaces and line breaks", "others"));
            }
            Some(other) => out.push(Change::new(&place, "sql", &other.sql, &variant.sql).growing(!reads, ANY_WORD)),
            None => {
                // The same words for other servers reach where they did not; of a read, only as far as it may be called.
                out.push(Change::added(&place, "sql", &variant.sql).growing(!reads, ANY_WORD));
            }
        }
    }
    for variant in &was.variants {
        let servers = servers(variant);
        if is.variants.iter().all(|other| wording::servers(other) != servers) {
            out.push(Change::removed(&format!("{place}, {servers}"), "sql", &variant.sql));
        }
    }
}

/// Whether two texts are the same to PostgreSQL's scanner.
fn is_same(one: &str, other: &str) -> bool {
    let words = |sql: &str| -> Option<Vec<String>> {
        let tokens = tokens(sql).ok()?;
        let text = |start: i32, end: i32| sql.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?);
        tokens.iter().map(|token| text(token.start, token.end).map(str::to_owned)).collect()
    };
    matches!((words(one), words(other)), (Some(one), Some(other)) if one == other)
}

fn inputs(was: &Statement, is: &Statement, place: &str, out: &mut Vec<Change>) {
    let words = |statement: &Statement| {
        let one = |input: &crate::statement::Input| {
            let kind = serde_json::to_value(input.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
            format!("{} {}", input.name, kind.unwrap_or_default())
        };
        statement.inputs.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    super::differing(out, place, "inputs", &words(was), &words(is));
}

fn columns(was: &[Column], is: &[Column], place: &str, out: &mut Vec<Change>) {
    let words = |columns: &[Column]| {
        let one = |column: &Column| format!("{} {}", column.name, column.kind.name());
        columns.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    if was == is {
        return;
    }
    let shapes: BTreeSet<&str> = was.iter().filter(|c| c.kind == ColumnKind::Query).map(|c| c.name.as_str()).collect();
    let bare = is.iter().any(|c| c.kind == ColumnKind::Text && shapes.contains(c.name.as_str()));
    let change = Change::new(place, "columns", words(was), words(is));
    out.push(change.growing(bare, "text of others' SQL would leave with the values in it"));
}
