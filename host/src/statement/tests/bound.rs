use pg_query::{NodeEnum, protobuf as pg};
use proptest::prelude::*;

use super::*;

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn wrong(error: Result<BoundStatement, BindError>) -> String {
    match error {
        Err(BindError::WrongInputs { which, .. }) => which,
        other => panic!("{other:?}"),
    }
}

#[test]
fn inputs_are_checked_against_their_kinds() {
    let sql =
        "SELECT $1::bool::text || $2::int8 || $3::float8 || $4::text || $5::int8[]::text || $6::text[]::text AS x";
    let proven =
        Case::new(Mode::Read, sql).inputs("b:boolean i:integer n:number t:text l:integers s:texts").prove().unwrap();
    let good = vec![
        Value::Boolean(true),
        Value::Integer(1),
        Value::Number(0.5),
        text("x'\""),
        Value::Integers(vec![1]),
        Value::Texts(vec!["a".to_owned()]),
    ];
    let bound = proven.bind(&server(15), &good).unwrap();
    assert_eq!(&*bound.sql, sql, "values are bound, never written");
    assert_eq!(bound.inputs.len(), 6);
    assert_eq!(bound.inputs[3], (InputKind::Text, text("x'\"")));
    assert!(proven.bind(&server(15), &vec![Value::Null; 6]).is_ok());
    for (index, name) in ["b", "i", "n", "t", "l", "s"].into_iter().enumerate() {
        let mut bad = good.clone();
        bad[index] = if index == 3 { Value::Integer(1) } else { text("1") };
        assert_eq!(wrong(proven.bind(&server(15), &bad)), name);
    }
    for (index, value, name) in [
        (2, Value::Number(f64::NAN), "n"),
        (2, Value::Number(f64::INFINITY), "n"),
        (3, text("a\0"), "t"),
        (5, Value::Texts(vec!["a".to_owned(), "\0".to_owned()]), "s"),
    ] {
        let mut bad = good.clone();
        bad[index] = value;
        assert_eq!(wrong(proven.bind(&server(15), &bad)), name);
    }
    assert_eq!(wrong(proven.bind(&server(15), &good[..5])), "6");
    assert!(matches!(proven.bind(&server(12), &good), Err(BindError::Unsupported { .. })));
    assert!(!proven.is_untested_on(&server(18)) && proven.is_untested_on(&server(19)));
}

fn vacuum() -> ProvenStatement {
    Case::new(Mode::Maintain, "VACUUM (VERBOSE) :\"s\".:\"t\"").inputs("s:identifier t:identifier").prove().unwrap()
}

#[test]
fn identifiers_are_narrow() {
    for bad in
        ["", "1a", "a b", "a\"b", "a.b", "a\0", "é", "a;--", "a\n", &"a".repeat(64), "$1", ":x", "a-b", "\u{202e}"]
    {
        assert_eq!(wrong(vacuum().bind(&server(15), &[text("public"), text(bad)])), "t", "{bad:?}");
    }
    for bad in [Value::Null, Value::Integer(1), Value::Texts(vec!["a".to_owned()])] {
        assert_eq!(wrong(vacuum().bind(&server(15), &[bad, text("t")])), "s");
    }
    let bound = vacuum().bind(&server(15), &[text("Public"), text("select")]).unwrap();
    assert_eq!(&*bound.sql, "VACUUM (VERBOSE) \"Public\".\"select\"");
    assert!(bound.inputs.is_empty());
}

#[test]
fn the_role_of_the_server_is_named() {
    let mut case = Case::new(Mode::Read, "SELECT 1 AS x");
    case.statement.variants[0].role = Role::Primary;
    let standby = ServerFacts { in_recovery: true, ..server(15) };
    assert_eq!(case.prove().unwrap().bind(&standby, &[]).unwrap_err(), BindError::NotOnStandby);
    case.statement.variants[0].role = Role::Standby;
    assert_eq!(case.prove().unwrap().bind(&server(15), &[]).unwrap_err(), BindError::NotOnPrimary);
}

fn statements() -> ProvenStatement {
    let sql = "SELECT calls AS x FROM :\"extension_schema\".pg_stat_statements";
    Case::new(Mode::Read, sql).extension("pg_stat_statements").prove().unwrap()
}

fn with_extension(schema: &str) -> ServerFacts {
    let extension = ("pg_stat_statements".to_owned(), "1.10".to_owned(), schema.to_owned());
    ServerFacts { extensions: vec![extension], ..server(15) }
}

#[test]
fn a_schema_that_can_not_be_quoted_is_not_used() {
    for bad in ["", "a\0b", &"a".repeat(64)] {
        assert!(statements().bind(&with_extension(bad), &[]).is_err(), "{bad:?}");
    }
    assert!(statements().bind(&server(15), &[]).is_err());
}

/// The parse tree of a bound text: what PostgreSQL makes of it.
fn tree(sql: &str) -> pg::ParseResult {
    pg_query::parse(sql, 0).unwrap().protobuf
}

fn vacuumed(tree: &mut pg::ParseResult) -> &mut pg::RangeVar {
    let Some(NodeEnum::VacuumStmt(vacuum)) = tree.stmts[0].stmt.as_mut().unwrap().node.as_mut() else { panic!() };
    let Some(NodeEnum::VacuumRelation(relation)) = vacuum.rels[0].node.as_mut() else { panic!() };
    relation.relation.as_mut().unwrap()
}

fn selected(tree: &mut pg::ParseResult) -> &mut pg::RangeVar {
    let Some(NodeEnum::SelectStmt(select)) = tree.stmts[0].stmt.as_mut().unwrap().node.as_mut() else { panic!() };
    let Some(NodeEnum::RangeVar(relation)) = select.from_clause[0].node.as_mut() else { panic!() };
    relation
}

proptest! {
    #[test]
    fn identifiers_change_names_and_nothing_else(schema in "[a-zA-Z_][a-zA-Z0-9_]{0,62}", table in "[a-zA-Z_][a-zA-Z0-9_]{0,62}") {
        let bound = vacuum().bind(&server(15), &[text(&schema), text(&table)]).unwrap();
        let mut found = tree(&bound.sql);
        let relation = vacuumed(&mut found);
        prop_assert_eq!((&relation.schemaname, &relation.relname), (&schema, &table));
        (relation.schemaname, relation.relname) = ("s".to_owned(), "t".to_owned());
        prop_assert_eq!(found, tree("VACUUM (VERBOSE) \"s\".\"t\""));
    }

    #[test]
    fn a_hostile_schema_of_an_extension_stays_a_name(schema in "[^\\x00]{1,15}|[\"';$ .a-]{1,30}") {
        let bound = statements().bind(&with_extension(&schema), &[]).unwrap();
        let mut found = tree(&bound.sql);
        let relation = selected(&mut found);
        prop_assert_eq!(&relation.schemaname, &schema);
        relation.schemaname = "s".to_owned();
        prop_assert_eq!(found, tree("SELECT calls AS x FROM \"s\".pg_stat_statements"));
    }

    #[test]
    fn any_text_is_answered(sql in any::<String>(), mode in 0..3usize) {
        let case = Case::new([Mode::Read, Mode::Act, Mode::Maintain][mode], &sql);
        if let Err(faults) = case.prove() {
            prop_assert!(!faults.is_empty() && faults.len() <= 50);
        }
    }

    #[test]
    fn any_tokens_are_answered(tokens in prop::collection::vec(prop::sample::select(vec![
        "SELECT", "FROM", "WHERE", "(", ")", ",", "*", "1", "x", "AS", "pg_catalog.", "pg_locks", "now()", ":\"s\"", "'a'", "$1",
        "WITH", "UNION", "VACUUM", "app.", "t", "::", "text", "::regclass", ".", "[", "]", "ARRAY", "CASE", "WHEN", "THEN", "END",
        "VALUES", "OVER", "ANY", "=", "LATERAL", "JOIN", "ON", "DELETE", "INTO", "FOR UPDATE", "ROW",
    ]), 0..24)) {
        drop(Case::new(Mode::Read, &tokens.join(" ")).prove());
    }
}
