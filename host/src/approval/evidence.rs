//! What an approval rests on, at two times, and what is different. Everybody who decides is told; what is *material* has to
//! be seen before an approval counts.
//!
//! The rule says nothing of any pack's columns by name:
//!
//! - **Pins** are what the pack itself calls the ground of its act. Any change is material. Where a pin that is one value has
//!   another one, or of a list nothing is left, the request can't hold: the database would refuse to act on it.
//! - **Rows** are told apart by the columns that the pins name (`pid` by the pin `pid` or `pids`); without such a column by
//!   the first one, if it has a different value in every row; otherwise by all that is no number. A row that came or went is
//!   material.
//! - **Numbers** in a row measure something, and what is measured moves: durations, counts, sizes. They are never material.
//! - **Everything else** in a row (text, truth values, queries) says what the thing is or does. It is material, unless the
//!   person has already seen that column move since the request: what was moving when they looked is no news.

mod describe;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    canonical::canonical_json,
    store::{EvidenceDigest, Pin, Request},
    value::{ColumnKind, RowSet, Table, Value},
};

/// What the digest's preimage starts with.
const DOMAIN: &[u8] = b"lockgate evidence v1\0";

/// Pins and evidence as they were found at one time.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The facts that an approval rests on.
    pub pins: &'a [Pin],
    /// An object of `summary` and `tables`.
    pub evidence: &'a serde_json::Value,
}

impl<'a> Snapshot<'a> {
    /// What the request was made on.
    #[must_use]
    pub fn of(request: &'a Request) -> Self {
        Self { pins: &request.pins, evidence: &request.evidence }
    }

    /// Names it: the same for two that show the same.
    #[must_use]
    pub fn digest(&self) -> EvidenceDigest {
        let json = serde_json::json!({ "pins": self.pins, "evidence": self.evidence });
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(canonical_json(&json).as_bytes());
        EvidenceDigest(hash.finalize().into())
    }
}

/// The evidence, read back.
#[derive(Clone, Debug, Deserialize)]
pub struct Evidence {
    /// One sentence of the pack's.
    pub summary: String,
    /// What would be hit.
    pub tables: Vec<Table>,
}

/// Columns that somebody has seen move: a table by its place, and a column's name.
pub type Moving = BTreeSet<(usize, String)>;

/// A pin that is not what it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PinChange {
    /// Which.
    pub name: String,
    /// What it was; `None` if there was none.
    pub was: Option<Value>,
    /// What it is; `None` if there is none.
    pub is: Option<Value>,
    /// Whether the request can't hold with it.
    pub ends: bool,
}

/// A cell of a row that is there before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellChange {
    /// The row, by what tells it from the others.
    pub row: String,
    /// The column.
    pub column: String,
    /// What it was.
    pub was: Value,
    /// What it is.
    pub is: Value,
    /// Whether it has to be seen, rather than being a number or known to move.
    pub material: bool,
}

/// What is different in one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TableChange {
    /// Its title.
    pub title: String,
    /// Its place among the tables.
    pub place: usize,
    /// Whether it has another title or other columns, so that nothing in it can be compared.
    pub reshaped: bool,
    /// Rows that were not there before, by what tells them apart.
    pub appeared: Vec<String>,
    /// Rows that are not there any more.
    pub went: Vec<String>,
    /// Cells that are not what they were.
    pub cells: Vec<CellChange>,
}

/// All that is different.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Changes {
    /// Of the pins.
    pub pins: Vec<PinChange>,
    /// Of the tables.
    pub tables: Vec<TableChange>,
    /// Whether one of the two can't be read, so that nothing is known of the tables.
    pub unreadable: bool,
}

impl Changes {
    /// Whether nothing is different at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a person has to see it before their approval counts.
    #[must_use]
    pub fn is_material(&self) -> bool {
        let table = |t: &TableChange| {
            t.reshaped || !t.appeared.is_empty() || !t.went.is_empty() || t.cells.iter().any(|cell| cell.material)
        };
        self.unreadable || !self.pins.is_empty() || self.tables.iter().any(table)
    }

    /// Whether the request can't hold any more: what it was about is not there.
    #[must_use]
    pub fn ends_it(&self) -> bool {
        self.pins.iter().any(|pin| pin.ends)
    }

    /// The columns in which something moved.
    #[must_use]
    pub fn moving(&self) -> Moving {
        let of = |table: &TableChange| {
            let place = table.place;
            table.cells.iter().map(move |cell| (place, cell.column.clone())).collect::<Vec<_>>()
        };
        self.tables.iter().flat_map(of).collect()
    }
}

/// What is different between two times. `moving` are the columns that the person has seen move before.
#[must_use]
pub fn compare(before: Snapshot<'_>, now: Snapshot<'_>, moving: &Moving) -> Changes {
    let mut changes = Changes { pins: pin_changes(before.pins, now.pins), ..Changes::default() };
    if before.evidence == now.evidence {
        return changes;
    }
    let (Ok(before_read), Ok(now_read)) = (Evidence::deserialize(before.evidence), Evidence::deserialize(now.evidence))
    else {
        changes.unreadable = true;
        return changes;
    };
    let named: BTreeSet<&str> = before.pins.iter().chain(now.pins).map(|pin| pin.name.as_str()).collect();
    let places = before_read.tables.len().max(now_read.tables.len());
    for place in 0..places {
        let change = match (before_read.tables.get(place), now_read.tables.get(place)) {
            (Some(was), Some(is)) if was.title == is.title && was.rows.columns == is.rows.columns => {
                table_change(place, was, is, &named, moving)
            }
            (was, is) => {
                let title = is.or(was).map(|table| table.title.clone()).unwrap_or_default();
                TableChange { title, place, reshaped: true, ..TableChange::default() }
            }
        };
        if change.reshaped || !(change.appeared.is_empty() && change.went.is_empty() && change.cells.is_empty()) {
            changes.tables.push(change);
        }
    }
    changes
}

fn pin_changes(before: &[Pin], now: &[Pin]) -> Vec<PinChange> {
    let find = |pins: &[Pin], name: &str| pins.iter().find(|pin| pin.name == name).map(|pin| pin.value.clone());
    let names: BTreeSet<&str> = before.iter().chain(now).map(|pin| pin.name.as_str()).collect();
    let change = |name: &str| {
        let (was, is) = (find(before, name), find(now, name));
        (was != is).then(|| {
            let ends = !overlaps(was.as_ref(), is.as_ref());
            PinChange { name: name.to_owned(), was, is, ends }
        })
    };
    names.into_iter().filter_map(change).collect()
}

/// Whether something of a list is left: then the act still has an object, and the database leaves alone what is not pinned.
fn overlaps(was: Option<&Value>, is: Option<&Value>) -> bool {
    match (was, is) {
        (Some(Value::Integers(was)), Some(Value::Integers(is))) => was.iter().any(|one| is.contains(one)),
        (Some(Value::Texts(was)), Some(Value::Texts(is))) => was.iter().any(|one| is.contains(one)),
        // A fact that the pack did not pin before: nothing that was approved is missing.
        (None, Some(_)) => true,
        _ => false,
    }
}

fn table_change(place: usize, was: &Table, is: &Table, pins: &BTreeSet<&str>, moving: &Moving) -> TableChange {
    let keys = identity(&was.rows, &is.rows, pins);
    let (before, now) = (by_key(&was.rows, &keys), by_key(&is.rows, &keys));
    let name = |key: &Key| key.0.clone();
    let mut change = TableChange {
        title: is.title.clone(),
        place,
        appeared: now.keys().filter(|key| !before.contains_key(key)).map(name).collect(),
        went: before.keys().filter(|key| !now.contains_key(key)).map(name).collect(),
        ..TableChange::default()
    };
    for (key, row) in &before {
        let Some(later) = now.get(key) else { continue };
        for (column, (was, is)) in is.rows.columns.iter().zip(row.iter().zip(later.iter())) {
            if was != is {
                let measures = matches!(column.kind, ColumnKind::Integer | ColumnKind::Number);
                let seen = moving.contains(&(place, column.name.clone()));
                change.cells.push(CellChange {
                    row: name(key),
                    column: column.name.clone(),
                    was: was.clone(),
                    is: is.clone(),
                    material: !measures && !seen,
                });
            }
        }
    }
    change
}

/// What tells a row from the others, as text, and how many alike came before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(String, usize);

/// The places of the columns that tell rows apart.
fn identity(was: &RowSet, is: &RowSet, pins: &BTreeSet<&str>) -> Vec<usize> {
    let columns = || is.columns.iter().enumerate();
    let pinned = |name: &str| pins.contains(name) || pins.contains(format!("{name}s").as_str());
    let named: Vec<usize> = columns().filter(|(_, column)| pinned(&column.name)).map(|(at, _)| at).collect();
    if !named.is_empty() {
        return named;
    }
    let distinct = |rows: &RowSet| {
        let mut seen = BTreeSet::new();
        rows.rows.iter().all(|row| match row.first() {
            None | Some(Value::Null) => false,
            Some(value) => seen.insert(value.to_json().to_string()),
        })
    };
    if distinct(was) && distinct(is) {
        return vec![0];
    }
    let is_fact = |kind| !matches!(kind, ColumnKind::Integer | ColumnKind::Number);
    columns().filter(|(_, column)| is_fact(column.kind)).map(|(at, _)| at).collect()
}

fn by_key<'a>(rows: &'a RowSet, keys: &[usize]) -> BTreeMap<Key, &'a Vec<Value>> {
    let mut found = BTreeMap::new();
    for row in &rows.rows {
        let parts: Vec<String> = keys.iter().filter_map(|at| row.get(*at)).map(describe::value).collect();
        let name = parts.join(", ");
        let alike = found.range(Key(name.clone(), 0)..=Key(name.clone(), usize::MAX)).count();
        found.insert(Key(name, alike), row);
    }
    found
}

#[cfg(test)]
mod tests;
