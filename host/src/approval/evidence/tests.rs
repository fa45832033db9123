//! What is news and what is not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn table(rows: &Json) -> Json {
    json!({ "summary": "ends a backend", "tables": [{ "title": "The backend", "rows": {
        "columns": [
            { "name": "pid", "kind": "integer" }, { "name": "state", "kind": "text" },
            { "name": "idle_seconds", "kind": "integer" }, { "name": "superuser", "kind": "boolean" },
            { "name": "query", "kind": "query" },
        ],
        "rows": rows,
    }}]})
}

fn pin(name: &str, value: Value) -> Pin {
    Pin { name: name.into(), value }
}

fn pids(pids: &[i64]) -> Vec<Pin> {
    vec![pin("pids", Value::Integers(pids.to_vec()))]
}

fn between(pins: [&[Pin]; 2], rows: [&Json; 2], moving: &Moving) -> Changes {
    let (before, now) = (table(rows[0]), table(rows[1]));
    compare(Snapshot { pins: pins[0], evidence: &before }, Snapshot { pins: pins[1], evidence: &now }, moving)
}

fn row(pid: i64, state: &str, idle: i64) -> Json {
    json!([pid, state, idle, false, "SELECT ?"])
}

#[test]
fn what_is_measured_moves_and_is_no_news() {
    let pins = pids(&[7]);
    let changes = between([&pins, &pins], [&json!([row(7, "idle", 60)]), &json!([row(7, "idle", 95)])], &Moving::new());
    assert!(!changes.is_empty() && !changes.is_material() && !changes.ends_it(), "{changes:?}");
    assert_eq!(changes.moving(), [(0, "idle_seconds".to_owned())].into());
}

#[test]
fn what_a_thing_does_is_news_once() {
    let pins = pids(&[7]);
    let rows = [&json!([row(7, "idle", 60)]), &json!([row(7, "active", 1)])];
    let changes = between([&pins, &pins], rows, &Moving::new());
    assert!(changes.is_material() && !changes.ends_it());
    assert_eq!(changes.material_words(), "`state` of 7 was idle and is active");
    // Who has seen that column move is not asked again because it moves.
    assert!(!between([&pins, &pins], rows, &changes.moving()).is_material());
    let other = json!([[7, "idle", 60, false, "DELETE FROM ?"]]);
    assert!(between([&pins, &pins], [rows[0], &other], &changes.moving()).is_material(), "another column is news");
}

#[test]
fn rows_that_come_or_go_are_news_and_of_a_list_something_must_be_left() {
    let two = json!([row(7, "idle", 1), row(8, "idle", 1)]);
    let one = json!([row(8, "idle", 2)]);
    let went = between([&pids(&[7, 8]), &pids(&[8])], [&two, &one], &Moving::new());
    assert!(went.is_material() && !went.ends_it());
    assert_eq!(went.tables[0].went, ["7"]);
    let came = between([&pids(&[8]), &pids(&[7, 8])], [&one, &two], &Moving::new());
    assert!(came.is_material() && !came.ends_it());
    assert_eq!(came.tables[0].appeared, ["7"]);
    let none = between([&pids(&[7]), &pids(&[8])], [&two, &two], &Moving::new());
    assert!(none.ends_it());
    let moved: Moving = ["pid", "state", "idle_seconds", "superuser", "query"].map(|c| (0, c.to_owned())).into();
    assert!(between([&pids(&[8]), &pids(&[8])], [&one, &two], &moved).is_material(), "a row is never known to move");
}

#[test]
fn another_value_of_one_fact_ends_it() {
    let rows = json!([row(7, "idle", 1)]);
    let (was, is) = ([pin("start", Value::Text("a".into()))], [pin("start", Value::Text("b".into()))]);
    for (was, is, ends) in [(&was[..], &is[..], true), (&was[..], &[], true), (&[], &is[..], false)] {
        let changes = between([was, is], [&rows, &rows], &Moving::new());
        assert!(changes.is_material());
        assert_eq!(changes.ends_it(), ends, "{changes:?}");
    }
}

#[test]
fn another_shape_is_news_and_so_is_what_cant_be_read() {
    let one = table(&json!([]));
    let renamed: Json = serde_json::from_str(&one.to_string().replace("idle_seconds", "seconds")).unwrap();
    let more = json!({ "summary": "", "tables": [one["tables"][0], one["tables"][0]] });
    for other in [&renamed, &more, &json!({}), &json!({ "summary": "", "tables": [] })] {
        for (a, b) in [(&one, other), (other, &one)] {
            let changes =
                compare(Snapshot { pins: &[], evidence: a }, Snapshot { pins: &[], evidence: b }, &Moving::new());
            assert!(changes.is_material(), "{a} {b}");
        }
    }
}

#[test]
fn rows_that_no_pin_names_are_told_apart_all_the_same() {
    let none: &[Pin] = &[];
    let same = json!([row(7, "idle", 1), row(8, "idle", 1)]);
    let turned = json!([row(8, "idle", 9), row(7, "idle", 9)]);
    let changes = between([none, none], [&same, &turned], &Moving::new());
    assert!(!changes.is_material(), "the order of rows says nothing: {changes:?}");
    // Alike in the first column: told apart by what is no number, each counted.
    let alike = json!([row(7, "idle", 1), row(7, "idle", 2)]);
    let three = json!([row(7, "idle", 1), row(7, "idle", 2), row(7, "idle", 3)]);
    assert!(between([none, none], [&alike, &three], &Moving::new()).is_material());
    assert!(
        !between([none, none], [&alike, &json!([row(7, "idle", 4), row(7, "idle", 5)])], &Moving::new()).is_material()
    );
}

fn any_rows() -> impl Strategy<Value = Json> {
    let row = (0_i64..4, "[ab]", 0_i64..3, any::<bool>()).prop_map(|(pid, state, n, b)| json!([pid, state, n, b, "q"]));
    prop::collection::vec(row, 0..5).prop_map(Json::from)
}

proptest! {
    #[test]
    fn nothing_changes_from_a_thing_to_itself_and_what_is_material_is_both_ways(
        a in any_rows(), b in any_rows(), pinned in any::<bool>(),
    ) {
        let pins = if pinned { pids(&[0, 1, 2, 3]) } else { vec![] };
        prop_assert!(between([&pins, &pins], [&a, &a], &Moving::new()).is_empty());
        let there = between([&pins, &pins], [&a, &b], &Moving::new());
        let back = between([&pins, &pins], [&b, &a], &Moving::new());
        prop_assert_eq!(there.is_material(), back.is_material());
        let (one, other) = (table(&a), table(&b));
        let digest = |json| Snapshot { pins: &pins, evidence: json }.digest();
        prop_assert_eq!(digest(&one) == digest(&other), a == b);
    }
}
