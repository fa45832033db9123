use super::*;

fn refused(change: impl FnOnce(&mut Statement)) -> Vec<Fault> {
    let mut case = Case::new(Mode::Read, "SELECT $1::text AS x").inputs("a:text");
    change(&mut case.statement);
    case.prove().unwrap_err()
}

#[test]
fn the_header_has_bounds() {
    let rule = |change: fn(&mut Statement)| refused(change)[0].rule;
    assert_eq!(rule(|s| s.max_rows = 0), "bounds");
    assert_eq!(rule(|s| s.max_rows = 10_001), "bounds");
    assert_eq!(rule(|s| s.timeout_ms = 0), "bounds");
    assert_eq!(rule(|s| s.timeout_ms = 3_600_001), "bounds");
    assert_eq!(rule(|s| s.variants.clear()), "bounds");
    assert_eq!(rule(|s| s.variants = vec![s.variants[0].clone(); 65]), "bounds");
    assert_eq!(rule(|s| s.columns.clear()), "columns");
    assert_eq!(rule(|s| s.id = "No".to_owned()), "names");
    assert_eq!(rule(|s| s.id = "a\u{202e}".to_owned()), "names");
    assert_eq!(rule(|s| s.inputs[0].name = "extension_schema".to_owned()), "names");
    assert_eq!(rule(|s| s.inputs.push(s.inputs[0].clone())), "names");
    assert_eq!(rule(|s| s.columns.push(s.columns[0].clone())), "names");
    let mut untimed = Case::new(Mode::Maintain, "ANALYZE app.t");
    untimed.statement.timeout_ms = 0;
    assert_eq!(untimed.verdict(), "maintain");
}

#[test]
fn every_variant_is_proven() {
    let mut case = Case::new(Mode::Read, "SELECT 1 AS x");
    let mut newer = case.statement.variants[0].clone();
    case.statement.variants[0].below_version = 17;
    newer.min_version = 17;
    newer.sql = "SELECT 1 AS y".to_owned();
    case.statement.variants.push(newer);
    let faults = case.prove().unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].rule, "columns");
    assert_eq!(faults[0].place, "statement `case`, variant 2 (version ≥ 17)");

    case.statement.variants[1].sql = "SELECT id AS x FROM app.orders".to_owned();
    assert_eq!(case.prove().unwrap_err()[0].rule, "class", "variants of two classes");

    case.statement.variants[1].sql = "SELECT 2 AS x".to_owned();
    assert!(case.prove().is_ok());
    case.statement.variants[1].min_version = 16;
    assert_eq!(case.prove().unwrap_err()[0].rule, "coverage", "both fit 16");
}

#[test]
fn faults_say_where_and_what_to_do() {
    let faults = Case::new(Mode::Read, "SELECT\n  now() AS x,\n  pid\nFROM pg_locks").prove().unwrap_err();
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "statement `case`, variant 1 (version ≥ 13): line 2, column 3: function `now` has no schema (rule `qualified`): \
             write pg_catalog.function",
            "statement `case`, variant 1 (version ≥ 13): line 4, column 6: relation `pg_locks` has no schema and is no CTE in \
             scope (rule `qualified`): write schema.relation",
        ]
    );
}

#[test]
fn a_hostile_text_gives_bounded_faults() {
    let sql = format!("SELECT {}1 AS x", "f(".repeat(20));
    assert!(Case::new(Mode::Read, &sql).prove().unwrap_err().len() <= 50);
    let many = format!("SELECT {} AS x", vec!["f()"; 2000].join(", "));
    assert_eq!(Case::new(Mode::Read, &many).prove().unwrap_err().len(), 50);
    let comments = "/* */ ".repeat(2000);
    assert_eq!(Case::new(Mode::Read, &comments).prove().unwrap_err().len(), 50);
}
