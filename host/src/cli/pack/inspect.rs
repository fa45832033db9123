//! `lockgate pack inspect`: all that a reviewer must see of a component that nobody vouches for.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use lockgate_signing::encoding::hex;
use serde_json::{Value as Json, json};

use super::{
    super::terminal::{say, say_json},
    Built, described, read,
};
use crate::{
    error::Refusal,
    outside::plain,
    pack::{
        manifest::Manifest,
        prove::{ProvenAction, ProvenManifest},
        wording,
    },
    statement::{ProvenStatement, WhenEmpty},
};

pub(super) async fn inspect(component: &Path, json: bool) -> Result<(), Refusal> {
    let built = described(read(component)?).await?;
    if json {
        say_json(&as_json(&built));
    } else {
        print(&built);
    }
    Ok(())
}

/// The manifest, and beside what it says what was found out about it.
fn as_json(built: &Built) -> Json {
    let proven = &built.described.manifest;
    let mut json = serde_json::to_value(proven.manifest()).unwrap_or_default();
    let statements = statements(proven);
    for statement in json.get_mut("statements").and_then(Json::as_array_mut).into_iter().flatten() {
        let id = statement.get("id").and_then(Json::as_str).unwrap_or_default();
        let Some((class, names)) = statements.get(id).map(|s| (s.class().as_str(), s.touches().clone())) else {
            continue;
        };
        add(statement, "class", json!(class));
        add(statement, "names", json!(names));
    }
    for action in json.get_mut("actions").and_then(Json::as_array_mut).into_iter().flatten() {
        let name = action.get("name").and_then(Json::as_str).unwrap_or_default();
        let Some(class) = proven.action(name).map(|action| action.class().as_str()) else { continue };
        add(action, "class", json!(class));
    }
    let declaration = &built.described.declaration;
    add(&mut json, "contract", json!(declaration.contract));
    add(&mut json, "classes", json!(declaration.classes));
    add(&mut json, "component_sha256", json!(hex(&built.sha256())));
    add(&mut json, "manifest_sha256", json!(declaration.manifest_sha256));
    json
}

fn add(object: &mut Json, key: &str, value: Json) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

/// Every statement, by its id: each is of some action.
fn statements(manifest: &ProvenManifest) -> BTreeMap<&str, &Arc<ProvenStatement>> {
    manifest.actions().flat_map(|action| action.statements()).collect()
}

fn print(built: &Built) {
    let (proven, declaration) = (&built.described.manifest, &built.described.declaration);
    let manifest = proven.manifest();
    say(&format!("{} {}: {}", manifest.name, manifest.version, manifest.summary));
    if !manifest.homepage.is_empty() {
        say(&manifest.homepage);
    }
    say(&format!("component sha256 {}, {} bytes", hex(&built.sha256()), built.bytes.len()));
    say(&format!("manifest sha256 {}, contract {}", declaration.manifest_sha256, declaration.contract));
    say(&format!("classes of its statements: {}", declaration.classes.join(", ")));
    say("not verified: this shows what the component declares; `lockgate pack verify` says whether to trust it");
    for action in proven.actions() {
        print_action(manifest, action);
    }
    say("\nStatements");
    let statements = statements(proven);
    for statement in manifest.statements.iter().filter_map(|statement| statements.get(statement.id.as_str())) {
        print_statement(statement);
    }
}

fn print_action(manifest: &Manifest, proven: &ProvenAction) {
    let action = proven.declared();
    let (risk, class) = (action.risk.as_str(), proven.class().as_str());
    say(&format!("\n{}.{}  risk {risk}, class {class}  {}", manifest.name, action.name, action.title));
    say(&format!("  {}", one_line(&action.description)));
    for param in &action.params {
        let (kind, need) = (one_line(&wording::kind(param)), one_line(&wording::need(param)));
        say(&format!("  argument {}: {kind}, {need}. {}", param.name, one_line(&param.description)));
    }
    let list = |what: &str, items: &[String]| {
        if !items.is_empty() {
            say(&format!("  {what}: {}", one_line(&items.join(", "))));
        }
    };
    list("also found by", &action.search_terms);
    list("runs", &action.run_statements);
    list("previews with", &action.preview_statements);
    list("needs", &action.privileges);
    if !action.side_effects.is_empty() {
        say(&format!("  side effects: {}", one_line(&action.side_effects)));
    }
    if let Some(twice) = wording::twice(proven) {
        say(&format!("  called again: {twice}"));
    }
    if !action.works_on_standby {
        say("  not on a standby");
    }
    for example in &action.examples {
        say(&format!("  example: {} {}", one_line(&example.situation), one_line(&example.arguments)));
    }
}

fn print_statement(proven: &ProvenStatement) {
    let statement = proven.declaration();
    let class = proven.class().as_str();
    say(&format!("\n{}  class {class}, {}", wording::signature(statement), wording::limits(statement)));
    let names: Vec<&str> = proven.touches().iter().map(String::as_str).collect();
    if !names.is_empty() {
        say(&format!("  names: {}", one_line(&names.join(", "))));
    }
    let columns: Vec<String> = statement.columns.iter().map(|c| format!("{} {}", c.name, c.kind.name())).collect();
    if !columns.is_empty() {
        say(&format!("  returns: {}", one_line(&columns.join(", "))));
    }
    if statement.when_empty == WhenEmpty::TargetChanged {
        say("  no row: refused with target_changed");
    }
    for variant in &statement.variants {
        say(&format!("  -- {}", one_line(&wording::servers(variant))));
        for line in variant.sql.lines() {
            say(&format!("  {}", indented(line)));
        }
    }
}

/// A line of SQL: its indentation says something, so it stays.
fn indented(line: &str) -> String {
    let spaces: String = line.chars().take_while(|c| *c == ' ').take(80).collect();
    format!("{spaces}{}", one_line(line))
}

/// Text of a component that nobody vouches for, fit for a terminal.
fn one_line(text: &str) -> String {
    plain(text, 2000).text
}
