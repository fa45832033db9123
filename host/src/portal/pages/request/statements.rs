//! What would be run, to the letter: the statements that the action may send, in the wording for this server, with their
//! inputs, and what the action says of itself.

use maud::{Markup, html};
use serde_json::{Map, Value as Json};

use super::super::words;
use crate::{
    pack::{catalog::Entry, wording},
    portal::{
        Portal, Tone,
        parts::{Cell, Facts, From, Table, marked_block, notice, sql},
    },
    postgres::Target,
    statement::{InputKind, Mode, ProvenStatement, ServerFacts},
    store::{Pin, Request},
};

/// The action and its statements; or why they can't be shown.
pub(super) fn show(portal: &Portal, request: &Request) -> Markup {
    let rules = portal.gate.rules();
    let Some(entry) = rules.catalog.get(&request.action) else {
        return notice(
            Tone::Warning,
            &html! { "The pack of this action is not in use here any more, so its statements can't be shown." },
        );
    };
    if entry.pack.digest() != request.pack_digest {
        return notice(
            Tone::Warning,
            &html! { "Another version of the pack is in use by now. This request was made with the version before, and can't run any more." },
        );
    }
    let facts = portal.gate.targets().get(&request.target).and_then(Target::last_facts);
    let facts = facts.as_ref().map(|facts| &facts.server);
    let declared = entry.action.declared();
    let of_run = declared.run_statements.iter().filter_map(|id| entry.action.run_statement(id));
    let of_preview: Vec<_> =
        declared.preview_statements.iter().filter_map(|id| entry.action.preview_statement(id)).collect();
    html! {
        (marked_block(From::Pack, &format!("{}. {}", declared.title, declared.description)))
        (radius(entry))
        @for proven in of_run { (statement(proven, facts, request)) }
        @if !of_preview.is_empty() {
            details {
                summary { "Statements that only look, for the evidence (" (of_preview.len()) ")" }
                @for proven in of_preview { (statement(proven, facts, request)) }
            }
        }
    }
}

/// How far it reaches, by what was proven of it and by what it says.
fn radius(entry: &Entry) -> Markup {
    let declared = entry.action.declared();
    let class = match entry.action.class() {
        crate::statement::Class::Read => "reads PostgreSQL's own catalogs and statistics",
        crate::statement::Class::Data => "reads users' data",
        crate::statement::Class::Maintain => "maintains a table or an index; changes no row",
        crate::statement::Class::Signal => "cancels or ends sessions; changes no row by itself",
        crate::statement::Class::Write => "changes rows",
    };
    let facts = Facts::new()
        .text("At most, as was proven", class)
        .with("Side effects", html! { (marked_block(From::Pack, if declared.side_effects.is_empty() { "none" } else { &declared.side_effects })) })
        .text("Done twice", if declared.idempotent { "no more than done once, says the pack" } else { "is done twice" });
    html! { h3 { "How far it reaches" } (facts.show()) }
}

fn statement(proven: &ProvenStatement, facts: Option<&ServerFacts>, request: &Request) -> Markup {
    let declared = proven.declaration();
    let mode = match declared.mode {
        Mode::Read => "reads, in a transaction that is rolled back",
        Mode::Act => "acts, in a transaction that is committed",
        Mode::Maintain => "maintains, alone and outside any transaction",
    };
    let chosen = facts.and_then(|facts| proven.variant_for(facts));
    html! {
        h3 { code { (declared.id) } " " span.quiet { (mode) "; " (wording::limits(declared)) } }
        @match chosen {
            Some(variant) => (sql("SQL, as this server is sent it", &variant.sql)),
            None => {
                p.quiet {
                    @if facts.is_some() { "No wording fits this server as it is now." }
                    @else { "This server has not said yet what it is, so every wording is shown." }
                }
                @for variant in &declared.variants { (sql(&format!("SQL for {}", wording::servers(variant)), &variant.sql)) }
            }
        }
        @if !declared.inputs.is_empty() { (inputs(proven, &request.arguments, &request.pins)) }
    }
}

/// The inputs by number and name. The pack's code fills them in when it runs; where one is called as an argument or a pin is,
/// that value stands beside it.
fn inputs(proven: &ProvenStatement, arguments: &Map<String, Json>, pins: &[Pin]) -> Markup {
    let declared = proven.declaration();
    let mut table = Table::new(format!("Inputs of {}", declared.id), ["Input", "Name", "Known value"]);
    let mut number = 0;
    for input in &declared.inputs {
        let place = if input.kind == InputKind::Identifier {
            format!(":\"{}\"", input.name)
        } else {
            number += 1;
            format!("${number}")
        };
        let pin = pins.iter().find(|pin| pin.name == input.name);
        let known = match (arguments.get(&input.name), pin) {
            (Some(value), _) => html! { code { (words::json(value)) } span.quiet { " argument" } },
            (None, Some(pin)) => html! { code { (words::value(&pin.value)) } span.quiet { " pin" } },
            (None, None) => html! { span.quiet { "set by the pack" } },
        };
        table.row([Cell::new(html! { code { (place) } }), Cell::text(&input.name), Cell::new(known)]);
    }
    html! { (table.show()) }
}
