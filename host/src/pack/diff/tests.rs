//! Every kind of change is noticed, and the ones by which authority grows are told from the others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::{
    pack::{
        manifest::{Action, Example, Manifest, Param, ParamKind, Risk},
        prove::prove_manifest,
    },
    statement::{Input, InputKind, Mode, Role, Statement, Variant, WhenEmpty},
    value::{Column, ColumnKind, Value},
};

const LOOK: &str =
    "SELECT a.pid::int8 AS pid, a.query AS query\n  FROM pg_catalog.pg_stat_activity AS a\n WHERE a.pid = $1::int8";
const STOP: &str = "SELECT pg_catalog.pg_cancel_backend(a.pid) AS done\n  FROM pg_catalog.pg_stat_activity AS a\n WHERE a.pid = $1::int8";

fn statement(id: &str, mode: Mode, columns: &[(&str, ColumnKind)], sql: &str) -> Statement {
    let column = |(name, kind): &(&str, ColumnKind)| Column { name: (*name).to_owned(), kind: *kind };
    Statement {
        id: id.to_owned(),
        mode,
        inputs: vec![Input { name: "pid".to_owned(), kind: InputKind::Integer }],
        columns: columns.iter().map(column).collect(),
        variants: vec![Variant {
            min_version: 0,
            below_version: 0,
            extension: None,
            role: Role::Any,
            sql: sql.to_owned(),
        }],
        max_rows: 10,
        timeout_ms: 1000,
        when_empty: WhenEmpty::TargetChanged,
    }
}

fn action(name: &str, risk: Risk, runs: &str, previews: &str) -> Action {
    let ids = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect();
    Action {
        name: name.to_owned(),
        title: "A title".to_owned(),
        description: "A description".to_owned(),
        risk,
        params: vec![Param {
            name: "pid".to_owned(),
            description: "Which".to_owned(),
            kind: ParamKind::Integer { min: 1, max: 100 },
            required: true,
            default: Value::Null,
        }],
        run_statements: ids(runs),
        preview_statements: ids(previews),
        side_effects: if risk == Risk::Low { String::new() } else { "It ends".to_owned() },
        privileges: Vec::new(),
        works_on_standby: false,
        idempotent: false,
        examples: vec![Example { situation: "now".to_owned(), arguments: r#"{"pid": 5}"#.to_owned() }],
        search_terms: vec!["stop".to_owned()],
    }
}

fn base() -> Manifest {
    let columns = [("pid", ColumnKind::Integer), ("query", ColumnKind::Query)];
    Manifest {
        name: "sample".to_owned(),
        version: "1.0.0".to_owned(),
        summary: "A sample".to_owned(),
        homepage: String::new(),
        actions: vec![action("show", Risk::Low, "look", ""), action("stop", Risk::High, "end", "look")],
        statements: vec![
            statement("look", Mode::Read, &columns, LOOK),
            statement("end", Mode::Act, &[("done", ColumnKind::Boolean)], STOP),
        ],
    }
}

fn compare(change: impl FnOnce(&mut Manifest)) -> ManifestDiff {
    let mut other = base();
    change(&mut other);
    diff(&prove_manifest(base()).unwrap(), &prove_manifest(other).unwrap())
}

/// `aspect` of each change, with `!` where authority grew.
fn aspects(change: impl FnOnce(&mut Manifest)) -> Vec<String> {
    let mark = |change: &Change| format!("{}{}", if change.grew.is_some() { "!" } else { "" }, change.aspect);
    let diff = compare(change);
    assert_eq!(diff.grew(), diff.growth().next().is_some());
    diff.changes.iter().map(mark).collect()
}

#[test]
fn the_same_is_the_same() {
    let same = compare(|_| {});
    assert!(same.changes.is_empty() && !same.grew());
    assert_eq!(same.render(), "sample 1.0.0 → sample 1.0.0\nboth declare the same");
    let later = compare(|m| m.version = "1.0.1".to_owned());
    assert!(later.changes.is_empty() && !later.grew());
    assert_ne!(later.old.manifest_sha256, later.new.manifest_sha256);
}

#[test]
fn what_gives_no_more_authority() {
    for (expected, change) in [
        ("summary", (|m| m.summary = "Other".into()) as fn(&mut Manifest)),
        ("homepage", |m| m.homepage = "https://example.com".into()),
        ("risk", |m| m.actions[0].risk = Risk::Medium),
        ("title", |m| m.actions[0].title = "Other".into()),
        ("description", |m| m.actions[0].description = "Other".into()),
        ("side effects", |m| m.actions[1].side_effects = "Other".into()),
        ("search terms", |m| m.actions[0].search_terms.clear()),
        ("examples", |m| m.actions[0].examples.clear()),
        ("idempotent", |m| m.actions[1].idempotent = true),
        ("type", |m| m.actions[0].params[0].kind = ParamKind::Integer { min: 2, max: 99 }),
        ("description", |m| m.actions[0].params[0].description = "Other".into()),
        ("sql", |m| m.statements[0].variants[0].sql.push_str(" AND a.pid > 1")),
        ("layout", |m| m.statements[1].variants[0].sql = STOP.replace('\n', " ")),
        ("most rows", |m| m.statements[0].max_rows = 5),
        ("time limit", |m| m.statements[0].timeout_ms = 500),
    ] {
        assert_eq!(aspects(change), [expected]);
    }
    assert_eq!(
        aspects(|m| {
            m.actions.remove(1);
            m.statements.remove(1);
        }),
        ["class", "action", "statement"]
    );
}

#[test]
fn what_gives_more() {
    for (expected, change) in [
        (vec!["!name"], (|m| m.name = "other".into()) as fn(&mut Manifest)),
        (vec!["!action"], |m| m.actions.push(action("again", Risk::Low, "look", ""))),
        (vec!["!type"], |m| m.actions[0].params[0].kind = ParamKind::Integer { min: 1, max: 101 }),
        (vec!["!need"], |m| m.actions[0].params[0].required = false),
        (vec!["!works on standby"], |m| m.actions[1].works_on_standby = true),
        (vec!["!previews with"], |m| m.actions[1].preview_statements.clear()),
        (vec!["!privilege"], |m| m.actions[1].privileges.push("pg_signal_backend".into())),
        (vec!["!sql"], |m| m.statements[1].variants[0].sql.push_str(" OR a.pid > $1::int8")),
        (vec!["!most rows"], |m| m.statements[1].max_rows = 11),
        (vec!["!time limit"], |m| m.statements[0].timeout_ms = 1001),
        (vec!["!when there is no row"], |m| m.statements[1].when_empty = WhenEmpty::Fine),
        (vec!["!names", "sql"], |m| {
            m.statements[0].variants[0].sql = LOOK.replace("= $1::int8", "= pg_catalog.abs($1::int8)");
        }),
    ] {
        assert_eq!(aspects(change), expected);
    }
    let mut lower = base();
    lower.actions[0].risk = Risk::Medium;
    let lowered = diff(&prove_manifest(lower).unwrap(), &prove_manifest(base()).unwrap());
    assert!(lowered.grew());
    assert_eq!(lowered.changes[0].aspect, "risk");
}

#[test]
fn a_class_that_comes_is_said_of_pack_action_and_statement() {
    let found = compare(|m| {
        m.statements[0].variants[0].sql = LOOK.replace("pg_catalog.pg_stat_activity", "app.activity");
        m.actions[0].risk = Risk::Medium;
    });
    let grew: Vec<_> = found.growth().map(|change| (change.place.as_str(), change.aspect)).collect();
    assert!(grew.contains(&("pack", "class")) && grew.contains(&("action `show`", "class")), "{grew:?}");
    assert!(grew.contains(&("statement `look`", "names")) && grew.contains(&("statement `look`", "class")), "{grew:?}");
}

#[test]
fn a_read_that_is_split_reaches_no_further() {
    let split = |m: &mut Manifest| {
        let mut other = m.statements[0].clone();
        other.id = "look_again".to_owned();
        m.statements.push(other);
        m.actions[0].run_statements.push("look_again".to_owned());
    };
    assert_eq!(aspects(split), ["runs", "statement"]);
    let stranger = |m: &mut Manifest| {
        split(m);
        m.statements[2].variants[0].sql = LOOK.replace("a.pid = $1", "a.pid + pg_catalog.pg_backend_pid() = $1");
    };
    assert_eq!(aspects(stranger), ["!runs", "statement"]);
}

#[test]
fn sql_is_shown_by_line_and_nothing_reaches_the_terminal_raw() {
    let text = compare(|m| {
        m.statements[1].variants[0].sql = STOP.replace("a.pid = $1", "a.pid > $1");
        m.summary = "two\nlines".to_owned();
    })
    .render();
    let expected = "sample 1.0.0 → sample 1.0.0\n  pack: summary A sample → two lines\n! statement `end`, every version: sql\n      \
                    SELECT pg_catalog.pg_cancel_backend(a.pid) AS done\n        FROM pg_catalog.pg_stat_activity AS a\n    \
                    -  WHERE a.pid = $1::int8\n    +  WHERE a.pid > $1::int8\n    grew: what it does to others or reads of users' \
                    data is decided by its whole text\nauthority grew in 1 place, marked with !";
    assert_eq!(text, expected);
}

#[test]
fn json_has_the_verdict() {
    let json = serde_json::to_value(compare(|m| m.statements[0].timeout_ms = 2000)).unwrap();
    assert_eq!(json["grew"], true);
    assert_eq!(json["changes"][0]["place"], "statement `look`");
    assert_eq!(json["changes"][0]["was"], "1000 ms");
}
