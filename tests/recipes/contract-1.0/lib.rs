//! The smallest pack of contract 1.0.0, over bindings of that contract's text alone.

wit_bindgen::generate!({ path: "wit", world: "pack" });

use exports::lockgate::pack::actions::{
    Action, Evidence, Failure, Guest, Manifest, Mode, Outcome, Pin, Problem, Risk, Role, Statement, Table, TableData, Value,
    VariantSql, WhenEmpty,
};
use lockgate::pack::query::{Column, ColumnKind, execute};

struct Pack;

impl Guest for Pack {
    fn describe() -> Manifest {
        Manifest {
            name: "veteran".into(),
            version: "1.0.0".into(),
            summary: "As packs were when the contract was new".into(),
            homepage: String::new(),
            actions: vec![Action {
                name: "answer".into(),
                title: "Answer".into(),
                description: "Reads one number.".into(),
                risk: Risk::Low,
                params: Vec::new(),
                run_statements: vec!["answer".into()],
                preview_statements: Vec::new(),
                side_effects: String::new(),
                privileges: Vec::new(),
                works_on_standby: true,
                idempotent: true,
                examples: Vec::new(),
                search_terms: Vec::new(),
            }],
            statements: vec![Statement {
                id: "answer".into(),
                mode: Mode::Read,
                inputs: Vec::new(),
                columns: vec![Column { name: "answer".into(), kind: ColumnKind::Integer }],
                variants: vec![VariantSql {
                    min_version: 0,
                    below_version: 0,
                    extension: None,
                    role: Role::Any,
                    sql: "SELECT 42::int8 AS answer".into(),
                }],
                max_rows: 1,
                timeout_ms: 1000,
                when_empty: WhenEmpty::Fine,
            }],
        }
    }

    fn validate(_: String, _: Vec<Value>) -> Vec<Problem> {
        Vec::new()
    }

    fn preview(_: String, _: Vec<Value>) -> Result<Evidence, Failure> {
        Err(Failure::Internal("it previews nothing".into()))
    }

    fn run(_: String, _: Vec<Value>, _: Vec<Pin>) -> Result<Outcome, Failure> {
        let rows = execute("answer", &[]).map_err(Failure::Query)?;
        Ok(Outcome {
            summary: "Here it is.".into(),
            tables: vec![Table { title: "Answer".into(), data: TableData::Held(rows) }],
            notices: Vec::new(),
            findings: Vec::new(),
            suggestion: None,
        })
    }
}

export!(Pack);
