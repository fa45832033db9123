//! The prover as a whole: statements that it must accept and with which class, and statements that it must refuse and by
//! which rule. Each line of a table says what it is for.

mod accepted;
mod bound;
mod declared;
mod kinds;
mod objects;
mod refused;

use super::*;
use crate::value::ColumnKind;

/// A declaration around a text, with columns `a, b, …` of the given number.
struct Case {
    statement: Statement,
}

impl Case {
    fn new(mode: Mode, sql: &str) -> Self {
        let variant =
            Variant { min_version: 13, below_version: 0, extension: None, role: Role::Any, sql: sql.to_owned() };
        let statement = Statement {
            id: "case".to_owned(),
            mode,
            inputs: Vec::new(),
            columns: if mode == Mode::Maintain { Vec::new() } else { columns("x") },
            variants: vec![variant],
            max_rows: 100,
            timeout_ms: 1000,
            when_empty: WhenEmpty::Fine,
        };
        Self { statement }
    }

    fn columns(mut self, names: &str) -> Self {
        self.statement.columns = columns(names);
        self
    }

    /// `name:kind name:kind`
    fn inputs(mut self, inputs: &str) -> Self {
        let input = |text: &str| {
            let (name, kind) = text.split_once(':').unwrap();
            let kind = match kind {
                "boolean" => InputKind::Boolean,
                "integer" => InputKind::Integer,
                "number" => InputKind::Number,
                "text" => InputKind::Text,
                "identifier" => InputKind::Identifier,
                "integers" => InputKind::Integers,
                "texts" => InputKind::Texts,
                other => panic!("{other}"),
            };
            Input { name: name.to_owned(), kind }
        };
        self.statement.inputs = inputs.split_ascii_whitespace().map(input).collect();
        self
    }

    fn extension(mut self, name: &str) -> Self {
        let range = ExtensionRange { name: name.to_owned(), min: String::new(), below: String::new() };
        self.statement.variants[0].extension = Some(range);
        self
    }

    fn prove(&self) -> Result<ProvenStatement, Vec<Fault>> {
        prove(&self.statement)
    }

    /// The first rule that refuses it, or its class.
    fn verdict(&self) -> String {
        match self.prove() {
            Ok(proven) => proven.class().as_str().to_owned(),
            Err(faults) => faults[0].rule.to_owned(),
        }
    }
}

/// `a b q?`: text columns; those that end in `?` show a query.
fn columns(names: &str) -> Vec<Column> {
    let column = |name: &str| match name.strip_suffix('?') {
        Some(name) => Column { name: name.to_owned(), kind: ColumnKind::Query },
        None => Column { name: name.to_owned(), kind: ColumnKind::Text },
    };
    names.split_ascii_whitespace().map(column).collect()
}

fn server(major: u32) -> ServerFacts {
    ServerFacts { version_num: major * 10_000, in_recovery: false, extensions: Vec::new() }
}

/// The page for pack authors says what the lists say.
#[test]
fn the_page_names_every_rule_function_and_type() {
    let page = include_str!("../../../../docs/statements.md");
    let missing: Vec<&str> = functions::listed().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for rule in [
        "bounds",
        "calls",
        "characters",
        "class",
        "columns",
        "comments",
        "constructs",
        "coverage",
        "functions",
        "identifiers",
        "kinds",
        "mode",
        "names",
        "nesting",
        "numbers",
        "one-statement",
        "parameters",
        "placeholders",
        "qualified",
        "relations",
        "size",
        "strings",
        "syntax",
        "types",
    ] {
        assert!(page.contains(&format!("\n| `{rule}` |")), "{rule}");
    }
}
