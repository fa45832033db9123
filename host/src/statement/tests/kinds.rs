//! Statements of the kinds that PostgreSQL's regression files hold, in our own words, each labelled by hand: with the class
//! that it has, or with `no` and the first rule that refuses it. A line in `kinds/` is
//! `kind | mode | label | columns, inputs, extension | text`, where the kind is the name of the regression file.
//!
//! The label is what the page for pack authors and a reviewer say, not what the prover answers. A line that fails is a
//! question of who is right.

use std::collections::BTreeSet;

use super::*;

const TABLES: [&str; 4] = [
    include_str!("kinds/queries.txt"),
    include_str!("kinds/values.txt"),
    include_str!("kinds/changes.txt"),
    include_str!("kinds/server.txt"),
];

struct Row {
    kind: &'static str,
    mode: Mode,
    label: &'static str,
    options: &'static str,
    sql: &'static str,
}

impl Row {
    fn of(line: &'static str) -> Self {
        let fields: Vec<&str> = line.splitn(5, '|').map(str::trim).collect();
        let [kind, mode, label, options, sql] = fields[..] else { panic!("not five fields: {line}") };
        let mode = match mode {
            "read" => Mode::Read,
            "act" => Mode::Act,
            "maintain" => Mode::Maintain,
            other => panic!("no mode: {other}"),
        };
        Self { kind, mode, label, options, sql }
    }

    fn case(&self) -> Case {
        self.options.split_ascii_whitespace().fold(Case::new(self.mode, self.sql), |case, option| {
            match option.split_once('=') {
                Some(("columns", names)) => case.columns(&names.replace(',', " ")),
                Some(("inputs", inputs)) => case.inputs(&inputs.replace(',', " ")),
                Some(("extension", name)) => case.extension(name),
                _ => panic!("no option: {option}"),
            }
        })
    }

    fn is_good(&self) -> bool {
        !self.label.starts_with("no ")
    }

    /// What is wrong with the prover's answer, or with the label.
    fn disagreement(&self) -> Option<String> {
        let (found, said) = match self.case().prove() {
            Ok(proven) => (proven.class().as_str().to_owned(), String::new()),
            Err(faults) => (format!("no {}", faults[0].rule), format!("\n    {}", faults[0])),
        };
        let Self { kind, label, sql, .. } = self;
        (found != *label).then(|| format!("{kind}: labelled `{label}`, judged `{found}`: {sql}{said}"))
    }
}

fn rows() -> Vec<Row> {
    let lines = TABLES.into_iter().flat_map(str::lines);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(Row::of).collect()
}

#[test]
fn every_statement_gets_the_label_that_it_has() {
    let wrong = with_parser_stack(|| rows().iter().filter_map(Row::disagreement).collect::<Vec<_>>()).unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows().len(), wrong.join("\n"));
}

/// So that nobody empties the table, and the page says how much is in it.
#[test]
fn the_table_holds_what_the_page_says() {
    let rows = rows();
    let good = rows.iter().filter(|row| row.is_good()).count();
    let bad = rows.len() - good;
    let kinds = rows.iter().map(|row| row.kind).collect::<BTreeSet<_>>().len();
    assert!(good >= 200 && bad >= 400 && kinds >= 150, "{good} good, {bad} bad, {kinds} kinds");
    let page = include_str!("../../../../docs/statements.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let said = format!("{} statements of {kinds} kinds: {good} that must pass and {bad} that must not", rows.len());
    assert!(page.contains(&said), "not on the page: {said}");
    let texts: BTreeSet<_> = rows.iter().map(|row| (format!("{:?}", row.mode), row.sql)).collect();
    assert_eq!(texts.len(), rows.len(), "a statement is there twice");
}
