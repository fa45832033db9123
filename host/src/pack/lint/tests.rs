//! Errors are the prover's, with their place; warnings are told from them; and what is shown can be read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::{
    pack::{
        manifest::{Action, Example, Param, ParamKind, Risk},
        prove::prove_manifest,
    },
    statement::{ExtensionRange, Mode, Role, Statement, Variant, WhenEmpty},
    value::{Column, ColumnKind, Value},
};

fn sound() -> Manifest {
    let variant = Variant {
        min_version: 0,
        below_version: 0,
        extension: None,
        role: Role::Any,
        sql: "SELECT c.relname::text AS name\n  FROM pg_catalog.pg_class AS c\n ORDER BY c.relname LIMIT 5".to_owned(),
    };
    let statement = Statement {
        id: "names".to_owned(),
        mode: Mode::Read,
        inputs: Vec::new(),
        columns: vec![Column { name: "name".to_owned(), kind: ColumnKind::Text }],
        variants: vec![variant],
        max_rows: 10,
        timeout_ms: 1000,
        when_empty: WhenEmpty::Fine,
    };
    let action = Action {
        name: "names".to_owned(),
        title: "Names".to_owned(),
        description: "The first few names of relations, for whoever has forgotten them all.".to_owned(),
        risk: Risk::Low,
        params: Vec::new(),
        run_statements: vec!["names".to_owned()],
        preview_statements: Vec::new(),
        side_effects: String::new(),
        privileges: Vec::new(),
        works_on_standby: true,
        idempotent: true,
        examples: vec![Example { situation: "what is there?".to_owned(), arguments: "{}".to_owned() }],
        search_terms: vec!["relations".to_owned()],
    };
    Manifest {
        name: "sample".to_owned(),
        version: "1.0.0".to_owned(),
        summary: "A sample".to_owned(),
        homepage: "https://example.com/".to_owned(),
        actions: vec![action],
        statements: vec![statement],
    }
}

fn of(change: impl FnOnce(&mut Manifest)) -> Report {
    let mut manifest = sound();
    change(&mut manifest);
    lint(&manifest, &prove_manifest(manifest.clone()))
}

fn rules(change: impl FnOnce(&mut Manifest)) -> Vec<String> {
    of(change).findings.into_iter().map(|finding| finding.rule).collect()
}

/// Makes the one action an act.
fn acting(m: &mut Manifest) {
    m.actions[0].risk = Risk::High;
    m.actions[0].side_effects = "It ends".to_owned();
    m.actions[0].works_on_standby = false;
    m.statements[0].mode = Mode::Act;
    m.statements[0].columns = vec![Column { name: "done".to_owned(), kind: ColumnKind::Boolean }];
    m.statements[0].variants[0].sql = "SELECT pg_catalog.pg_cancel_backend(a.pid) AS done FROM \
        pg_catalog.pg_stat_activity AS a WHERE a.pid = 1"
        .to_owned();
}

#[test]
fn a_sound_pack_has_nothing() {
    let report = of(|_| {});
    assert_eq!(report.render(), "sample 1.0.0: no errors, no warnings");
}

#[test]
fn an_error_is_shown_at_its_line_with_a_caret() {
    let report = of(|m| {
        m.statements[0].variants[0].sql =
            "SELECT\n\tnow()::text AS name\n  FROM pg_catalog.pg_class LIMIT 5".to_owned();
    });
    assert_eq!((report.errors, report.warnings), (1, 1), "{}", report.render());
    let expected = "error[qualified]: function `now` has no schema\n  --> statement `names`, variant 1 (any version), line 2, \
                    column 2\n   |\n2  |  now()::text AS name\n   |  ^\n  help: write pg_catalog.function\n\nwarning[order]: it has \
                    LIMIT and no ORDER BY\n  --> statement `names`\n  help: say ORDER BY: otherwise it is chance which rows \
                    are shown\n\nsample 1.0.0: 1 error, 1 warning";
    assert_eq!(report.render(), expected);
    let sql = report.findings[0].sql.as_ref().unwrap();
    assert_eq!((sql.statement.as_str(), sql.variant, sql.line, sql.column), ("names", 1, 2, 2));
    assert_eq!(sql.text, "\tnow()::text AS name");
}

#[test]
fn the_caret_stays_in_sight_on_a_long_line() {
    let report = of(|m| {
        let names = "c.relname::text || ".repeat(20);
        m.statements[0].variants[0].sql =
            format!("SELECT {names}now()::text AS name FROM pg_catalog.pg_class AS c ORDER BY 1 LIMIT 5");
    });
    let text = report.render();
    let lines: Vec<&str> = text.lines().collect();
    let (line, caret) = (lines[3], lines[4]);
    assert!(line.len() < 140, "{line}");
    let at = caret.find('^').unwrap();
    assert!(line[at..].starts_with("now()"), "{text}");
}

#[test]
fn faults_of_actions_are_errors_too() {
    let report = of(|m| {
        m.actions[0].run_statements[0] = "name".to_owned();
        m.actions[0].title = String::new();
    });
    let messages: Vec<_> = report.findings.iter().map(|f| (f.rule.as_str(), f.message.as_str())).collect();
    assert!(messages.contains(&("manifest_invalid", "the title is empty")), "{messages:?}");
    let unknown = "names a statement `name` that is not declared; did you mean `names`";
    assert!(messages.contains(&("manifest_invalid", unknown)), "{messages:?}");
    assert_eq!(
        rules(|m| {
            acting(m);
            m.actions[0].risk = Risk::Low;
        })[0],
        "risk_below_floor"
    );
}

#[test]
fn each_practice_is_warned_of() {
    for (expected, change) in [
        (vec!["homepage"], (|m| m.homepage.clear()) as fn(&mut Manifest)),
        (vec!["description"], |m| m.actions[0].description = "Names".into()),
        (vec!["examples"], |m| m.actions[0].examples.clear()),
        (vec!["search-terms"], |m| m.actions[0].search_terms.clear()),
        (vec!["bounds"], |m| {
            m.actions[0].params.push(Param {
                name: "n".into(),
                description: "How many".into(),
                kind: ParamKind::Integer { min: 0, max: i64::MAX },
                required: false,
                default: Value::Null,
            });
        }),
        (vec!["preview", "pins", "privileges"], acting),
        (vec!["standby"], |m| {
            m.actions[0].risk = Risk::Medium;
            m.actions[0].side_effects = "It reads all of it".into();
            m.actions[0].privileges = vec!["MAINTAIN ON TABLE".into()];
            m.statements[0].mode = Mode::Maintain;
            m.statements[0].columns.clear();
            m.statements[0].variants[0].sql = "ANALYZE app.orders".into();
        }),
        (vec!["privileges"], |m| {
            let range = ExtensionRange { name: "pg_buffercache".into(), min: String::new(), below: String::new() };
            m.statements[0].variants[0].extension = Some(range);
        }),
        (vec!["versions"], |m| {
            let mut later = m.statements[0].variants[0].clone();
            m.statements[0].variants[0].below_version = 15;
            later.min_version = 16;
            m.statements[0].variants.push(later);
        }),
        (vec!["limit"], |m| {
            m.statements[0].variants[0].sql = "SELECT c.relname::text AS name FROM pg_catalog.pg_class AS c".into();
        }),
        (vec!["order"], |m| {
            m.statements[0].variants[0].sql =
                "SELECT c.relname::text AS name FROM pg_catalog.pg_class AS c LIMIT 5".into();
        }),
        (vec!["timeout"], |m| m.statements[0].timeout_ms = 120_000),
    ] {
        let report = of(change);
        assert_eq!(report.errors, 0, "{}", report.render());
        let found: Vec<_> = report.findings.iter().map(|finding| finding.rule.as_str()).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn text_of_a_pack_does_not_reach_the_terminal_raw() {
    let text = of(|m| m.statements[0].variants[0].sql = "SELECT '\u{1b}[2J' AS name".to_owned()).render();
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

/// The page for authors lists every practice.
#[test]
fn the_page_names_every_practice() {
    let page = include_str!("../../../../docs/packs/authoring.md");
    for practice in practice::PRACTICES {
        assert!(page.contains(&format!("\n| `{practice}` |")), "{practice}");
    }
}
