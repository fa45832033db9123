//! `lockgate pack inspect`: all that a reviewer must see of a component that nobody vouches for.

use std::path::Path;

use super::{
    super::terminal::{say, say_json},
    describe,
};
use crate::{
    error::Refusal,
    outside::plain,
    pack::{
        admission::Described,
        manifest::{Action, Manifest},
        wording,
    },
    statement::Statement,
};

pub(super) async fn inspect(component: &Path, json: bool) -> Result<(), Refusal> {
    let described = describe(component).await?;
    if json {
        say_json(described.manifest.manifest());
    } else {
        print(&described);
    }
    Ok(())
}

fn print(described: &Described) {
    let manifest = described.manifest.manifest();
    say(&format!("{} {}: {}", manifest.name, manifest.version, manifest.summary));
    if !manifest.homepage.is_empty() {
        say(&manifest.homepage);
    }
    say("not verified: this shows what the component declares; `lockgate pack verify` says whether to trust it");
    for action in &manifest.actions {
        print_action(manifest, action);
    }
    say("\nStatements");
    for statement in &manifest.statements {
        print_statement(statement);
    }
}

fn print_action(manifest: &Manifest, action: &Action) {
    say(&format!("\n{}.{}  risk {}  {}", manifest.name, action.name, action.risk.as_str(), action.title));
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
    if !action.works_on_standby {
        say("  not on a standby");
    }
}

fn print_statement(statement: &Statement) {
    say(&format!("\n{}  {}", wording::signature(statement), wording::limits(statement)));
    for variant in &statement.variants {
        say(&format!("  -- {}", one_line(&wording::servers(variant))));
        for line in variant.sql.lines() {
            say(&format!("  {}", one_line(line)));
        }
    }
}

/// Text of a component that nobody vouches for, fit for a terminal.
fn one_line(text: &str) -> String {
    plain(text, 2000).text
}
