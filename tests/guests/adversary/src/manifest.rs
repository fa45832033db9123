//! What this copy declares: an honest pack of four actions, with any field replaced or any list blown up by its mode.

use lockgate_pack::bindings::{
    exports::lockgate::pack::actions::{
        Action, Example, ExtensionRange, Input, InputType, IntegerRange, Manifest, Mode, NumberRange, Param, ParamType,
        Risk, Role, Statement, TextRule, VariantSql, WhenEmpty,
    },
    lockgate::pack::query::{Column, ColumnKind, Value},
};

use crate::mode;

/// Reads one constant.
const ANSWER: &str = "SELECT 42::int8 AS answer";
/// Gives a text back.
const ECHO: &str = "SELECT $1::text AS word";
/// Another action's.
const OTHER: &str = "SELECT 7::int8 AS seven";
/// Nine thousand rows.
const MANY: &str =
    "SELECT n::int8 AS n, pg_catalog.repeat('x', 40) AS pad FROM pg_catalog.generate_series(1, 9000) AS n";
/// Cancels a query of one backend, if there is such a backend.
const CANCEL: &str = "\
WITH found AS MATERIALIZED (SELECT a.pid FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = $1::int8)
SELECT pg_catalog.pg_cancel_backend(f.pid) AS signalled FROM found AS f";
/// An act that succeeds and signals nobody.
const NUDGE: &str =
    "SELECT pg_catalog.pg_cancel_backend(n) AS signalled FROM pg_catalog.generate_series(1, 1) AS n WHERE n < 0";
/// Looks at a table's columns.
const ANALYZE: &str = "ANALYZE :\"namespace\".:\"relation\"";

/// `describe`
pub(crate) fn manifest() -> Manifest {
    let mut manifest = Manifest {
        name: mode::or("name", "adversary"),
        version: mode::or("version", "1.0.0"),
        summary: mode::or("summary", "Does whatever its mode says"),
        homepage: mode::or("homepage", ""),
        actions: vec![
            action("answer", Risk::Low, &["answer"], &[]),
            action("misbehave", Risk::Low, &["answer", "echo", "many"], &[]),
            action("other", Risk::Low, &["other"], &[]),
            action("held", Risk::High, &["answer", "cancel", "nudge"], &["answer"]),
            action("maintain", Risk::Medium, &["analyze"], &[]),
        ],
        statements: vec![
            read("answer", ANSWER, &[], &[("answer", ColumnKind::Integer)]),
            read("echo", ECHO, &[("word", InputType::Text)], &[("word", ColumnKind::Text)]),
            read("other", OTHER, &[], &[("seven", ColumnKind::Integer)]),
            read("many", MANY, &[], &[("n", ColumnKind::Integer), ("pad", ColumnKind::Text)]),
            statement(
                "cancel",
                Mode::Act,
                CANCEL,
                &[("pid", InputType::Integer)],
                &[("signalled", ColumnKind::Boolean)],
            ),
            statement("nudge", Mode::Act, NUDGE, &[], &[("signalled", ColumnKind::Boolean)]),
            statement(
                "analyze",
                Mode::Maintain,
                ANALYZE,
                &[("namespace", InputType::Identifier), ("relation", InputType::Identifier)],
                &[],
            ),
        ],
    };
    if mode::get("small").is_some() {
        manifest.actions.truncate(1);
        manifest.statements.truncate(1);
    }
    // Every mode that touches these is about one more action and one more statement than the honest ones.
    if mode::get("extra").is_some() {
        let (action, statement) = extra();
        for number in 0..mode::number("actions", 1) {
            let name = if number == 0 { action.name.clone() } else { format!("{}_{number}", action.name) };
            manifest.actions.push(Action { name, ..action.clone() });
        }
        // Several texts are several statements, which the one action all names.
        let texts = mode::or("statements.sql", "");
        for (number, sql) in texts.split('\u{1e}').filter(|_| !texts.is_empty()).enumerate() {
            let id = format!("{}_of_many_{number}", statement.id);
            let mut one = Statement { id: id.clone(), ..statement.clone() };
            one.variants.iter_mut().for_each(|variant| sql.clone_into(&mut variant.sql));
            manifest.statements.push(one);
            manifest.actions.iter_mut().last().into_iter().for_each(|action| action.run_statements.push(id.clone()));
        }
        for number in 0..mode::number("statements", 1) {
            let id = if number == 0 { statement.id.clone() } else { format!("{}_{number}", statement.id) };
            manifest.statements.push(Statement { id, ..statement.clone() });
        }
    }
    manifest
}

fn action(name: &str, risk: Risk, run: &[&str], preview: &[&str]) -> Action {
    let changes = run.iter().any(|id| matches!(*id, "cancel" | "nudge" | "analyze"));
    Action {
        name: name.to_owned(),
        title: mode::or("title", "An action"),
        description: mode::or("description", "It is there to be called by a test."),
        risk,
        params: if matches!(name, "answer" | "other") { Vec::new() } else { vec![how()] },
        run_statements: run.iter().map(|id| (*id).to_owned()).collect(),
        preview_statements: preview.iter().map(|id| (*id).to_owned()).collect(),
        side_effects: if changes { mode::or("side_effects", "A query may end.") } else { String::new() },
        privileges: if run.contains(&"analyze") { vec!["MAINTAIN ON TABLE".to_owned()] } else { Vec::new() },
        works_on_standby: true,
        idempotent: true,
        examples: Vec::new(),
        search_terms: Vec::new(),
    }
}

/// Which misdeed.
fn how() -> Param {
    let kind = ParamType::Text(TextRule { max_length: 40, pattern: "[a-z_]+".to_owned() });
    Param {
        name: "how".to_owned(),
        description: mode::or("description", "Which misdeed."),
        kind,
        required: true,
        default: Value::Null,
    }
}

fn read(id: &str, sql: &str, inputs: &[(&str, InputType)], columns: &[(&str, ColumnKind)]) -> Statement {
    statement(id, Mode::Read, sql, inputs, columns)
}

fn statement(
    id: &str,
    mode: Mode,
    sql: &str,
    inputs: &[(&str, InputType)],
    columns: &[(&str, ColumnKind)],
) -> Statement {
    Statement {
        id: id.to_owned(),
        mode,
        inputs: inputs.iter().map(|(name, kind)| Input { name: (*name).to_owned(), kind: *kind }).collect(),
        columns: columns.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind }).collect(),
        variants: vec![VariantSql {
            min_version: 0,
            below_version: 0,
            extension: None,
            role: Role::Any,
            sql: sql.to_owned(),
        }],
        max_rows: 10_000,
        timeout_ms: 5000,
        when_empty: if id == "cancel" { WhenEmpty::TargetChanged } else { WhenEmpty::Fine },
    }
}

/// The action and the statement that are under attack, every field as the mode says.
fn extra() -> (Action, Statement) {
    let id = mode::or("statement.id", "attacked");
    let named = mode::or("action.statement", &id);
    let run = std::iter::repeat_n(named.clone(), mode::number("action.names", 1)).collect();
    let action = Action {
        name: mode::or("action.name", "attacked"),
        title: mode::or("action.title", "Attacked"),
        description: mode::or("action.description", "It is under attack."),
        risk: match mode::or("action.risk", "low").as_str() {
            "medium" => Risk::Medium,
            "high" => Risk::High,
            "critical" => Risk::Critical,
            _ => Risk::Low,
        },
        params: (0..mode::number("params", usize::from(mode::get("param.kind").is_some()))).map(param).collect(),
        run_statements: run,
        preview_statements: if mode::get("action.previews").is_some() { vec![named] } else { Vec::new() },
        side_effects: mode::or("action.effects", ""),
        privileges: mode::get("action.privilege").into_iter().collect(),
        works_on_standby: true,
        idempotent: true,
        examples: mode::get("example.situation")
            .map(|situation| Example { situation, arguments: mode::or("example.arguments", "{}") })
            .into_iter()
            .collect(),
        search_terms: mode::get("search.term")
            .into_iter()
            .flat_map(|term| std::iter::repeat_n(term, mode::number("search.repeat", 1)))
            .chain((0..mode::number("search.terms", 0)).map(|at| format!("term {at}")))
            .collect(),
    };
    let sql = mode::or("statement.sql", "SELECT 1::int8 AS one");
    let text = std::iter::repeat_n(sql, mode::number("statement.repeat", 1)).collect::<String>();
    let variants = std::iter::repeat_n(
        VariantSql {
            min_version: 0,
            below_version: 0,
            extension: mode::get("extension.name").map(|name| ExtensionRange {
                name,
                min: mode::or("extension.min", ""),
                below: String::new(),
            }),
            role: Role::Any,
            sql: mode::or("statement.before", "") + &text + &mode::or("statement.after", ""),
        },
        mode::number("variants", 1),
    );
    let statement = Statement {
        id,
        mode: match mode::or("statement.mode", "read").as_str() {
            "act" => Mode::Act,
            "maintain" => Mode::Maintain,
            _ => Mode::Read,
        },
        inputs: mode::get("input.name").map(|name| Input { name, kind: input_type() }).into_iter().collect(),
        columns: match mode::or("column.name", "one").as_str() {
            "" => Vec::new(),
            name => vec![Column { name: name.to_owned(), kind: ColumnKind::Integer }],
        },
        variants: variants.collect(),
        max_rows: u32::try_from(mode::number("statement.rows", 10)).unwrap_or(u32::MAX),
        timeout_ms: u32::try_from(mode::number("statement.timeout", 5000)).unwrap_or(u32::MAX),
        when_empty: WhenEmpty::Fine,
    };
    (action, statement)
}

fn input_type() -> InputType {
    match mode::or("input.kind", "integer").as_str() {
        "text" => InputType::Text,
        "identifier" => InputType::Identifier,
        _ => InputType::Integer,
    }
}

fn param(number: usize) -> Param {
    let value = mode::or("param.value", "a");
    let kind = match mode::or("param.kind", "text").as_str() {
        "nan" => ParamType::Number(NumberRange { min: f64::NAN, max: 1.0 }),
        "reversed" => ParamType::Integer(IntegerRange { min: 1, max: 0 }),
        "choice" => ParamType::Choice(vec![value]),
        "choices" => ParamType::Choice((0..5000).map(|n| n.to_string()).collect()),
        _ => ParamType::Text(TextRule { max_length: 1000, pattern: value }),
    };
    let name = mode::or("param.name", "word");
    Param {
        name: if number == 0 { name } else { format!("{name}_{number}") },
        description: mode::or("param.description", "A word."),
        kind,
        required: mode::get("param.default").is_none(),
        default: mode::get("param.default").map_or(Value::Null, Value::Text),
    }
}
