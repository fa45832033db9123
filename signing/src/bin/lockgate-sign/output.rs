//! Standard output: text for people, JSON for pipelines, bytes for signers. What can't be written in full is a failure: a
//! script that reads half an answer must not take it for one.

use std::{fs::File, io::Write as _, os::fd::AsFd as _};

use lockgate_signing::{
    encoding::{hex, printable},
    predicate::Statement,
};
use serde_json::{Value, json};

use crate::failure::Failure;

pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    // The descriptor itself: the standard library's door takes one that can't be written to for one that nobody reads.
    let out = std::io::stdout().as_fd().try_clone_to_owned().map(File::from);
    out.and_then(|mut out| out.write_all(bytes)).map_err(|error| Failure {
        code: "io",
        message: format!("standard output can't be written: {error}"),
        help: "check where the output goes".to_owned(),
        refused: false,
    })
}

pub fn text(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// One document, indented, with a line end.
pub fn json(value: &Value) -> Result<(), Failure> {
    text(&format!("{value:#}\n"))
}

/// What a statement says, for people. All of it, so that whoever signs has seen everything.
pub fn statement(statement: &Statement) -> String {
    let predicate = statement.predicate();
    let mut rows = vec![
        ("pack", format!("{} {}", statement.pack(), statement.version())),
        ("publisher", predicate.publisher.clone()),
        ("file", statement.subject_name().to_owned()),
        ("sha256", hex(statement.subject_digest())),
        ("contract", predicate.contract.clone()),
        ("manifest", predicate.manifest_sha256.clone()),
        ("issued", predicate.issued.to_string()),
        ("expires", predicate.expires.to_string()),
        ("classes", if predicate.classes.is_empty() { "none".to_owned() } else { predicate.classes.join(", ") }),
    ];
    let risks = ["critical", "high", "medium", "low"];
    for risk in risks {
        let names: Vec<_> =
            predicate.actions.iter().filter(|action| action.risk == risk).map(|action| action.name.as_str()).collect();
        if !names.is_empty() {
            rows.push((risk, names.join(", ")));
        }
    }
    if let Some(provenance) = &predicate.provenance {
        let built_at = provenance.built_at.map(|time| time.to_string());
        let fields = [
            ("source", &provenance.source),
            ("commit", &provenance.commit),
            ("builder", &provenance.builder),
            ("built at", &built_at),
            ("sbom", &provenance.sbom_sha256),
        ];
        for (name, field) in fields {
            rows.extend(field.iter().map(|text| (name, text.clone())));
        }
    }
    rows.iter().map(|(name, value)| row(name, value)).collect()
}

/// One line of text output, whoever wrote the value. Action lists are ours and checked, so they may be long.
pub fn row(name: &str, value: &str) -> String {
    let value =
        if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) { value.to_owned() } else { printable(value) };
    format!("  {name:<11}{value}\n")
}

/// What a statement says, for pipelines.
pub fn statement_json(statement: &Statement) -> Value {
    json!({
        "subject": { "name": statement.subject_name(), "sha256": hex(statement.subject_digest()) },
        "predicate": statement.predicate(),
    })
}
