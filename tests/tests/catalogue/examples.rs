//! The reference pages: each is what `lockgate pack docs` makes of the pack as it is now and of the recorded calls, every
//! action has such a call, and no recorded answer is of another shape than the pack declares. With `LOCKGATE_WRITE_DOCS=1` the
//! calls are recorded anew, on servers that have something to show, and the pages written; `LOCKGATE_WRITE_DOCS=pages` writes
//! the pages from the calls that are there.

mod stage;

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use lockgate::{
    gate::call::Answer,
    mcp,
    pack::{
        admission::{Admission, Described},
        reference::{Examples, Held, Recorded, Shape, page},
        sandbox::Sandbox,
    },
};
use lockgate_tests::{
    session::run,
    site::{BuiltPack, call, diagnose_pack, ended, root, stock_pack},
};
use serde_json::{Map, Value as Json, json};

use self::stage::Stage;

/// The last words of a refusal, and of what was let through.
const AWAIT: &str = "lockgate.await_approval";

/// Actions whose answer may have no rows on the stage, with the reason.
const EMPTY: &[(&str, &str)] = &[];

fn file(pack: &str, ending: &str) -> PathBuf {
    root().join("docs/packs").join(format!("{pack}.{ending}"))
}

async fn described(pack: &BuiltPack) -> Described {
    let admission = Admission::new(Sandbox::new().expect("an engine"), None);
    admission.describe_unverified(&pack.bytes).await.expect("the component describes itself")
}

fn examples(pack: &str) -> Examples {
    let text = std::fs::read_to_string(file(pack, "examples.json")).expect("the examples are there");
    serde_json::from_str(&text).expect("the examples are as they were written")
}

#[test]
fn the_reference_pages_are_what_the_packs_declare() {
    run(async {
        let packs = [stock_pack().await, diagnose_pack().await];
        let write = std::env::var("LOCKGATE_WRITE_DOCS").ok();
        if write.as_deref().is_some_and(|what| what != "pages") {
            let mut stage = Stage::build().await;
            // The stock pack's acts end what a diagnosis would find.
            for pack in packs.into_iter().rev() {
                record(&mut stage, &described(pack).await).await;
            }
        }
        for pack in packs {
            let described = described(pack).await;
            let name = &described.manifest.manifest().name;
            let examples = examples(name);
            let page = page(&described.manifest, &examples).expect("every example is of an action");
            if write.is_some() {
                std::fs::write(file(name, "md"), &page).expect("the page is written");
            }
            let written = std::fs::read_to_string(file(name, "md")).expect("the page is there");
            assert!(
                written == page,
                "docs/packs/{name}.md is not of this pack: LOCKGATE_WRITE_DOCS=pages writes it anew"
            );
            assert_eq!(by_command(pack, name), page, "the command writes the same");
            every_action_has_an_example(&described, &examples);
            examples_are_of_this_pack(&described, &examples);
        }
    });
}

/// `lockgate pack docs`, in a process of its own.
fn by_command(pack: &BuiltPack, name: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let component = dir.path().join("pack.wasm");
    std::fs::write(&component, &pack.bytes).expect("the component is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate_cli"));
    command.args(["pack", "docs"]).arg(component).arg("--examples").arg(file(name, "examples.json"));
    let output = command.output().expect("lockgate can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a page is text")
}

fn every_action_has_an_example(pack: &Described, examples: &Examples) {
    let declared: BTreeSet<&str> = pack.manifest.actions().map(|action| action.declared().name.as_str()).collect();
    let recorded: BTreeSet<&str> = examples.actions.keys().map(String::as_str).collect();
    assert_eq!(declared, recorded);
}

fn examples_are_of_this_pack(pack: &Described, examples: &Examples) {
    let manifest = pack.manifest.manifest();
    for (name, recorded) in &examples.actions {
        let action = pack.manifest.action(name).expect("the action exists");
        let named = |columns: &[lockgate::value::Column]| columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
        let declared: Vec<_> = action.statements().into_values().map(|s| named(&s.declaration().columns)).collect();
        for table in &recorded.tables {
            // A diagnosis makes tables of its own.
            assert!(
                declared.contains(&table.columns) || manifest.name == "diagnose",
                "{name}: no statement has {:?} any more",
                table.columns
            );
            assert!(recorded.answer.contains(&table.columns.join("|")), "{name}: the answer shows its table");
        }
        let rows: usize = recorded.tables.iter().map(|table| table.rows).sum();
        let may_be_empty = EMPTY.iter().any(|(empty, _)| empty == name);
        assert!(rows > 0 || may_be_empty || !action.reads_only(), "{name} shows nothing: {}", recorded.answer);
        assert!(!recorded.answer.starts_with("Refused"), "{name}: {}", recorded.answer);
        assert_eq!(recorded.held.is_some(), recorded.answer.contains("\nApproved by "), "{name}");
        for machine in ["/tmp", "/home", "/root", "lockgate-pg-"] {
            assert!(!recorded.answer.contains(machine), "{name} names a place of one machine: {}", recorded.answer);
        }
    }
}

/// Calls every action of a pack and keeps what came of it. Acts come last: they end what the reads show.
async fn record(stage: &mut Stage, pack: &Described) {
    let manifest = pack.manifest.manifest();
    let mut examples = Examples { server: stage.version().await, ..Examples::default() };
    let (reads, acts): (Vec<_>, Vec<_>) = pack.manifest.actions().partition(|action| action.reads_only());
    for action in reads.into_iter().chain(acts) {
        let action = action.declared();
        let mut arguments = Map::new();
        for param in &action.params {
            // What an action leaves out by default may be all that there is.
            if let ("min_calls" | "min_seconds", lockgate::pack::manifest::ParamKind::Integer { min, .. }) =
                (param.name.as_str(), &param.kind)
            {
                arguments.insert(param.name.clone(), json!(min));
            }
        }
        arguments.extend(stage.prepare(&action.name).await);
        let recorded = one(stage, &format!("{}.{}", manifest.name, action.name), arguments).await;
        examples.actions.insert(action.name.clone(), recorded);
    }
    let text = serde_json::to_string_pretty(&examples).expect("examples are JSON") + "\n";
    std::fs::create_dir_all(root().join("docs/packs")).expect("a directory for the pages");
    std::fs::write(file(&manifest.name, "examples.json"), text).expect("the examples are written");
}

async fn one(stage: &Stage, action: &str, arguments: Map<String, Json>) -> Recorded {
    let answer = call(&stage.gate, action, "primary", Json::Object(arguments.clone())).await;
    let (answer, held) = match answer {
        Ok(Answer::Pending(pending)) => {
            let waiting = stage.site.pending().into_iter().find(|p| p.id == pending.approval).expect("it waits");
            let held = Held {
                evidence: waiting.request.evidence["summary"].as_str().unwrap_or_default().to_owned(),
                pins: waiting.request.pins.iter().map(|pin| pin.name.clone()).collect(),
            };
            stage.site.approve(&pending.approval).await;
            let end = ended(&stage.gate, &pending.approval).await;
            (end.map(|outcome| Answer::Done(Box::new(outcome))), Some(held))
        }
        other => (other, None),
    };
    let tables = match &answer {
        Ok(Answer::Done(outcome)) => outcome
            .tables
            .iter()
            .map(|table| Shape {
                columns: table.rows.columns.iter().map(|column| column.name.clone()).collect(),
                rows: table.rows.rows.len(),
            })
            .collect(),
        _ => Vec::new(),
    };
    let result = serde_json::to_value(mcp::result::of(&answer, AWAIT, None)).expect("a result is JSON");
    let text = result["content"][0]["text"].as_str().expect("a result has a text").to_owned();
    Recorded { target: "primary".to_owned(), arguments, held, answer: stage.placeless(&text), tables }
}
