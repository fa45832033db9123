//! The reference page of a pack, in Markdown: all that its manifest declares, worked out and put into words, with recorded
//! calls beside it. Made from the manifest and nothing else, so it can't say anything that the pack does not.

mod examples;
mod markdown;

pub use examples::{Examples, Held, Recorded, Shape};

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use self::markdown::{code, fenced, text};
use super::{
    manifest::{Action, Manifest, Risk},
    prove::{ProvenAction, ProvenManifest},
    wording,
};
use crate::statement::Statement;

/// Lines of an example's answer that the page shows.
const LINES: usize = 24;

/// Characters of one such line. A terminal scrolls further than a page does.
const WIDTH: usize = 200;

/// Recorded calls that belong to another manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is an example of `{0}`, and the pack has no such action")]
pub struct UnknownAction(String);

/// The page.
///
/// # Errors
/// An example of an action that the pack does not have.
pub fn page(manifest: &ProvenManifest, examples: &Examples) -> Result<String, UnknownAction> {
    excerpt(manifest, examples, &|_| true)
}

/// The page with some of the actions, by their names without the pack's, as if there were no others.
///
/// # Errors
/// An example of an action that the pack does not have.
pub fn excerpt(
    manifest: &ProvenManifest,
    examples: &Examples,
    shown: &dyn Fn(&str) -> bool,
) -> Result<String, UnknownAction> {
    if let Some(name) = examples.actions.keys().find(|name| manifest.action(name).is_none()) {
        return Err(UnknownAction(name.clone()));
    }
    let declared = manifest.manifest();
    let shared = shared(declared, shown);
    let actions: Vec<&Arc<ProvenAction>> = manifest.actions().filter(|a| shown(&a.declared().name)).collect();
    let mut page = head(declared, examples);
    contents(&mut page, &actions, !shared.is_empty());
    for action in actions {
        describe(&mut page, declared, action, &shared);
        if let Some(recorded) = examples.actions.get(&action.declared().name) {
            example(&mut page, declared, action.declared(), recorded);
        }
        sql_of(&mut page, declared, action.declared(), &shared);
    }
    if !shared.is_empty() {
        page.push_str("\n## Shared statements\n\nStatements that more than one action may run.\n");
        for (id, users) in &shared {
            if let Some(statement) = statement_of(declared, id) {
                sql(&mut page, statement);
                let users: Vec<String> = users.iter().map(|name| link(name)).collect();
                let _ = writeln!(page, "\nOf {}.", users.join(", "));
            }
        }
    }
    Ok(page)
}

fn head(manifest: &Manifest, examples: &Examples) -> String {
    let mut page =
        format!("# {}\n\n{}\n", code(&format!("{} {}", manifest.name, manifest.version)), text(&manifest.summary));
    if !manifest.homepage.is_empty() {
        let _ = writeln!(page, "\n{}", code(&manifest.homepage));
    }
    page.push_str("\nMade by `lockgate pack docs` from the pack's own manifest");
    if examples.actions.is_empty() {
        page.push_str(".\n");
    } else {
        let _ = writeln!(
            page,
            "; the outputs are from a run on {}, as an agent gets them.\nEverything in an output after the note about data was \
             read from the database.",
            text(&examples.server)
        );
    }
    page
}

fn contents(page: &mut String, actions: &[&Arc<ProvenAction>], has_shared: bool) {
    page.push_str("\n## Actions\n");
    for risk in [Risk::Low, Risk::Medium, Risk::High, Risk::Critical] {
        let of: Vec<_> = actions.iter().filter(|a| a.declared().risk == risk).collect();
        if of.is_empty() {
            continue;
        }
        let _ = write!(page, "\n**{} risk**\n\n| action | | servers |\n|---|---|---|\n", title_case(risk.as_str()));
        for action in of {
            let Action { name, title, .. } = action.declared();
            let _ = writeln!(page, "| {} | {} | {} |", link(name), text(title), text(&reach(action)));
        }
    }
    if has_shared {
        page.push_str("\nThen: [shared statements](#shared-statements).\n");
    }
}

/// A heading's anchor is its text in lower case; names are proven to be such.
fn link(name: &str) -> String {
    format!("[{}](#{name})", text(name))
}

fn title_case(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

/// The servers that an action can be called on, in words.
#[must_use]
pub fn reach(action: &ProvenAction) -> String {
    let statements: Vec<&Statement> = action.statements().into_values().map(|s| s.declaration()).collect();
    wording::reach(&statements, action.declared().works_on_standby)
}

fn describe(page: &mut String, manifest: &Manifest, action: &ProvenAction, shared: &BTreeMap<&str, Vec<&str>>) {
    let declared = action.declared();
    let _ = write!(
        page,
        "\n## {}\n\n**{}.** {}\n\n",
        text(&declared.name),
        text(declared.title.trim_end_matches('.')),
        text(&declared.description)
    );
    page.push_str("| | |\n|---|---|\n");
    let mut row = |what: &str, words: String| {
        if !words.is_empty() {
            let _ = writeln!(page, "| {what} | {words} |");
        }
    };
    row("call", code(&format!("{}.{}", manifest.name, declared.name)));
    row("risk", format!("{}; its statements are of class {}", declared.risk.as_str(), action.class().as_str()));
    row("needs", listed(&declared.privileges, |name| code(name)));
    row("servers", text(&reach(action)));
    row("runs", statements(manifest, &declared.run_statements, shared));
    row("previews with", statements(manifest, &declared.preview_statements, shared));
    row("side effects", text(&declared.side_effects));
    if let Some(twice) = wording::twice(action) {
        row("twice", twice.to_owned());
    }
    if !declared.params.is_empty() {
        page.push_str("\n| argument | type | | |\n|---|---|---|---|\n");
        for param in &declared.params {
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} |",
                code(&param.name),
                text(&wording::kind(param)),
                text(&wording::need(param)),
                text(&param.description)
            );
        }
    }
    if !declared.examples.is_empty() {
        page.push_str("\nFor example:\n\n");
        for example in &declared.examples {
            let _ = writeln!(page, "* {}: {}", text(&example.situation), code(&example.arguments));
        }
    }
    if !declared.search_terms.is_empty() {
        let _ = writeln!(page, "\nAlso found by: {}.", text(&declared.search_terms.join(", ")));
    }
}

fn listed<T>(items: &[T], each: impl Fn(&T) -> String) -> String {
    items.iter().map(each).collect::<Vec<_>>().join(", ")
}

/// Names and limits; those that other actions have too stand at the end of the page.
fn statements(manifest: &Manifest, ids: &[String], shared: &BTreeMap<&str, Vec<&str>>) -> String {
    listed(ids, |id| {
        let limits = statement_of(manifest, id).map(wording::limits).unwrap_or_default();
        let name = if shared.contains_key(id.as_str()) { format!("[{}](#statement-{id})", text(id)) } else { code(id) };
        format!("{name} ({})", text(&limits))
    })
}

/// Statements of more than one of the actions shown, in the order of the manifest's ids, with the actions.
fn shared<'m>(manifest: &'m Manifest, shown: &dyn Fn(&str) -> bool) -> BTreeMap<&'m str, Vec<&'m str>> {
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for action in manifest.actions.iter().filter(|action| shown(&action.name)) {
        for id in action.run_statements.iter().chain(&action.preview_statements) {
            let of = users.entry(id).or_default();
            if of.last() != Some(&action.name.as_str()) {
                of.push(&action.name);
            }
        }
    }
    users.retain(|_, of| of.len() > 1);
    users
}

fn statement_of<'m>(manifest: &'m Manifest, id: &str) -> Option<&'m Statement> {
    manifest.statements.iter().find(|statement| statement.id == id)
}

/// The statements that an action may run or preview with, each once: first those that it runs.
#[must_use]
pub fn statements_of<'m>(manifest: &'m Manifest, action: &Action) -> Vec<&'m Statement> {
    let mut ids: Vec<&String> = Vec::new();
    for id in action.run_statements.iter().chain(&action.preview_statements) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids.into_iter().filter_map(|id| statement_of(manifest, id)).collect()
}

fn sql_of(page: &mut String, manifest: &Manifest, action: &Action, shared: &BTreeMap<&str, Vec<&str>>) {
    for statement in statements_of(manifest, action).into_iter().filter(|s| !shared.contains_key(s.id.as_str())) {
        sql(page, statement);
    }
}

fn sql(page: &mut String, statement: &Statement) {
    let _ = write!(
        page,
        "\n### Statement {}\n\n{}: {}.\n",
        text(&statement.id),
        code(&wording::signature(statement)),
        text(&wording::limits(statement))
    );
    for variant in &statement.variants {
        let _ = write!(page, "\nOn {}:\n\n{}", text(&wording::servers(variant)), fenced("sql", &variant.sql));
    }
}

fn example(page: &mut String, manifest: &Manifest, action: &Action, recorded: &Recorded) {
    let arguments = serde_json::Value::Object(recorded.arguments.clone()).to_string();
    let call = format!("{}.{} {arguments}", manifest.name, action.name);
    let _ = write!(page, "\nCalled as {} on {}", code(&call), code(&recorded.target));
    match &recorded.held {
        None => page.push_str(":\n\n"),
        Some(held) => {
            let pins = match &held.pins[..] {
                [] => String::new(),
                pins => format!(", pinned by {}", listed(pins, |pin| code(pin))),
            };
            let _ = write!(
                page,
                ", it was held{pins}. The person who approved it saw: *{}*. Then:\n\n",
                text(&held.evidence)
            );
        }
    }
    let lines: Vec<&str> = recorded.answer.lines().collect();
    let cut = |line: &&str| match line.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => (*line).to_owned(),
    };
    let mut shown: Vec<String> = lines.iter().take(LINES).map(cut).collect();
    if lines.len() > LINES {
        shown.push(format!("… {} more lines", lines.len() - LINES));
    }
    page.push_str(&fenced("text", &shown.join("\n")));
}

#[cfg(test)]
mod tests;
