//! A line of the record, to be read: what happened in words, when, and every field of it. Whatever an agent, a pack or the
//! database had a hand in says so; whoever wants the line as it stands can have it.

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::{Map, Value as Json};

use super::{Cell, Facts, From, Table, block, marked, marked_block, marked_markup, moment};
use crate::{outside::plain, portal::next_encoded};

/// Fields that the head of a line says already.
const HEAD: [&str; 6] = ["v", "seq", "ts", "prev", "ev", "run"];

/// Longest text that is shown, in characters: a line is no longer than 256 KiB, and a page has many.
const LONGEST: usize = 4000;
/// Longer than this a text of others stands by itself.
const IN_LINE: usize = 80;

/// What happened, in words; the event itself where there are none for it.
#[must_use]
pub fn event_words(event: &str) -> &str {
    match event {
        "record.created" => "The record begins",
        "record.torn_tail" => "What a crash left was set aside",
        "host.start" => "lockgate started",
        "host.stop" => "lockgate stopped",
        "host.reload" => "Packs, trust and policy were read again",
        "host.reload_refused" => "Packs, trust and policy were not taken in",
        "policy.changed" => "Another policy is in force",
        "trust.changed" => "Another trust policy is in force",
        "trust.unchanged" => "The trust policy could not be changed",
        "pack.installed" => "A pack was installed",
        "pack.removed" => "A pack was removed",
        "pack.admitted" => "A pack came in",
        "pack.refused" => "A pack was refused",
        "call.intent" => "The call was taken in",
        "call.refused" => "The call was refused",
        "call.outcome" => "The call ended",
        "approval.requested" => "People were asked",
        "approval.joined" => "It joined a request that was open",
        "approval.reviewed" => "It was looked at again before a decision",
        "approval.vote" => "Somebody decides",
        "approval.decided" => "The decision counted",
        "approval.vote_refused" => "A decision was refused",
        "approval.consumed" => "The approval was used",
        "approval.closed" => "The request ended",
        "operation.replayed" => "The call was made again under its id",
        "operation.closed" => "Its process died",
        "standing.proposed" => "A standing approval was proposed",
        "standing.approved" => "A standing approval was approved",
        "standing.revoked" => "A standing approval was revoked",
        "standing.used" => "A standing approval was used",
        "account.created" => "An account was made",
        "account.changed" => "An account was changed",
        "account.disabled" => "An account was disabled",
        "account.enabled" => "An account was enabled",
        "account.link_made" => "A link to set a password was made",
        "account.password_changed" => "A password was set",
        "account.identity_bound" => "A company account was tied to an account",
        "passkey.added" => "A passkey was added",
        "passkey.removed" => "A passkey was removed",
        "login" => "Somebody logged in",
        "login.failed" => "A login failed",
        "sessions.ended" => "Sessions were ended",
        "token.created" => "A token was made",
        "token.revoked" => "A token was revoked",
        other => other,
    }
}

/// The whole line, under a heading of this level.
#[must_use]
pub fn line(line: &Map<String, Json>) -> Markup {
    let seq = line.get("seq").and_then(Json::as_u64).unwrap_or_default();
    let event = text(line, "ev");
    let id = format!("line-{seq}");
    html! {
        article.card.line aria-labelledby=(id) {
            h3 #(id) { (shown(event_words(event))) }
            p.quiet { (when(line)) " · line " (seq) " · " code { (shown(event)) } }
            (fields(line).show())
            details {
                summary { "The line as it stands on the record" }
                (block("JSON", &serde_json::to_string_pretty(line).unwrap_or_default()))
            }
        }
    }
}

/// When a line was written.
#[must_use]
pub fn when(line: &Map<String, Json>) -> Markup {
    match text(line, "ts").parse::<Timestamp>() {
        Ok(at) => moment(at),
        Err(_) => shown(text(line, "ts")),
    }
}

/// Every field of a line that says something, but for those of its head.
#[must_use]
pub fn fields(line: &Map<String, Json>) -> Facts {
    fields_but(line, &[])
}

/// The same without some more.
#[must_use]
pub fn fields_but(line: &Map<String, Json>, but: &[&str]) -> Facts {
    let event = text(line, "ev");
    let said = line
        .iter()
        .filter(|(name, value)| !HEAD.contains(&name.as_str()) && !but.contains(&name.as_str()) && !is_nothing(value));
    said.fold(Facts::new(), |facts, (name, value)| facts.with(words(name), field(event, name, value)))
}

fn is_nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn text<'a>(line: &'a Map<String, Json>, name: &str) -> &'a str {
    line.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// `policy_digest` as `Policy digest`.
fn words(name: &str) -> String {
    let plain = plain(&name.replace('_', " "), 60).text;
    let mut rest = plain.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

/// Whose words a field of an event holds, if they are not the host's or the operator's.
fn whose(event: &str, name: &str) -> Option<From> {
    match (event, name) {
        ("call.intent" | "call.refused", "reason" | "evidence" | "expected" | "operation" | "arguments")
        | ("call.refused", "action" | "target" | "message")
        | ("approval.requested" | "approval.reviewed", "agent_evidence" | "agent_expected" | "operation")
        | ("operation.replayed" | "operation.closed" | "standing.used", "operation")
        | ("standing.proposed", "arguments") => Some(From::Agent),
        ("approval.requested" | "approval.reviewed" | "standing.used", "evidence")
        | ("call.outcome", "summary")
        | ("pack.refused" | "host.reload_refused", "message" | "why_out") => Some(From::Pack),
        ("call.outcome", "message" | "tables") | (_, "pins" | "changed") => Some(From::Database),
        _ => None,
    }
}

fn field(event: &str, name: &str, value: &Json) -> Markup {
    match (event, name, value) {
        ("call.outcome", "executed", Json::Array(statements)) => executed(statements),
        ("call.outcome", "tables", Json::Array(tables)) => html! { @for one in tables { (table(one)) } },
        (_, "approval" | "from_approval", Json::String(id)) => to("/approvals/", id),
        (_, "first_run" | "instead_of", Json::String(id)) => to("/runs/", id),
        _ => match (whose(event, name), value) {
            (Some(from), Json::String(text)) if text.chars().count() > IN_LINE => marked_block(from, text),
            (Some(from), Json::String(text)) => marked(from, text),
            (Some(from), other) => marked_markup(from, &block("JSON", &pretty(other))),
            (None, value) => own(value),
        },
    }
}

fn to(place: &str, id: &str) -> Markup {
    html! { a href={ (place) (next_encoded(id)) } { (shown(id)) } }
}

/// A value of the host's or the operator's. It is shown as carefully as any other: a name comes from somewhere.
fn own(value: &Json) -> Markup {
    match value {
        Json::String(text) if is_digest(text) => html! { code { (text) } },
        Json::String(text) => match text.parse::<Timestamp>() {
            Ok(at) => moment(at),
            Err(_) => shown(text),
        },
        Json::Array(items) if items.iter().all(Json::is_string) => html! {
            ul.plain { @for item in items { li { (shown(item.as_str().unwrap_or_default())) } } }
        },
        Json::Bool(yes) => html! { @if *yes { "yes" } @else { "no" } },
        Json::Number(number) => html! { (number.to_string()) },
        other => block("JSON", &pretty(other)),
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn shown(text: &str) -> Markup {
    let plain = plain(text, LONGEST);
    html! {
        (plain.text)
        @if plain.had_hidden { " " small.ours { "[hidden characters left out]" } }
    }
}

fn pretty(value: &Json) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn executed(statements: &[Json]) -> Markup {
    let mut rows = Table::new("Statements that were sent", ["Statement", "Mode", "Rows", "Time", "Error"]);
    for one in statements {
        let word = |name: &str| shown(one.get(name).and_then(Json::as_str).unwrap_or_default());
        let number = |name: &str| one.get(name).and_then(Json::as_u64).map(|n| n.to_string()).unwrap_or_default();
        rows.row([
            word("statement").into(),
            word("mode").into(),
            Cell::number(number("rows")),
            Cell::number(format!("{} ms", number("ms"))),
            match one.get("error").and_then(Json::as_str) {
                Some(error) => marked(From::Database, error).into(),
                None => Cell::text("none"),
            },
        ]);
    }
    rows.or_say("None was sent.").show()
}

/// A table of an outcome: how many rows it had, and of an act what they were.
fn table(one: &Json) -> Markup {
    let title = one.get("title").and_then(Json::as_str).unwrap_or_default();
    let rows = one.get("rows").and_then(Json::as_u64).unwrap_or_default();
    let list = |name: &str| one.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
    let effect = list("effect");
    html! {
        p { (marked(From::Pack, title)) ": " (rows) @if rows == 1 { " row" } @else { " rows" } }
        @if !effect.is_empty() { (marked_markup(From::Database, &effect_table(&list("columns"), &effect))) }
    }
}

fn effect_table(columns: &[Json], effect: &[Json]) -> Markup {
    let names: Vec<String> = columns.iter().map(|c| plain(c.as_str().unwrap_or_default(), 64).text).collect();
    let mut table = Table::new("What it did", names.iter().map(String::as_str));
    for row in effect {
        table.row(row.as_array().into_iter().flatten().map(|cell| {
            Cell::new(match cell {
                Json::String(text) => shown(text),
                other => shown(&other.to_string()),
            })
        }));
    }
    table.show()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    const EVIL: &str = "<img src=x onerror=alert(1)>\u{202e}";

    #[test]
    fn whatever_stands_in_a_line_comes_out_as_text_and_says_whose_it_is() {
        let made = json!({
            "v": 1, "seq": 7, "ts": "2026-03-01T00:00:00.000000Z", "prev": "00", "ev": "call.outcome", "run": EVIL,
            "summary": EVIL, EVIL: EVIL, "list": [EVIL], "deep": { EVIL: [EVIL] },
            "executed": [{ "statement": EVIL, "mode": EVIL, "rows": 1, "ms": 2, "error": EVIL }],
            "tables": [{ "title": EVIL, "rows": 1, "columns": [EVIL], "effect": [[EVIL, { EVIL: 1 }]] }],
            "approval": EVIL, "pins": [[EVIL]],
        });
        for event in ["call.outcome", "call.intent", "approval.requested", "login.failed", EVIL] {
            let mut fields = made.as_object().unwrap().clone();
            fields.insert("ev".to_owned(), event.into());
            let html = line(&fields).into_string();
            assert!(!html.contains("<img") && !html.contains('\u{202e}'), "{event}: {html}");
            assert!(html.contains("&lt;img src=x"), "{event}: {html}");
        }
        let html = line(made.as_object().unwrap()).into_string();
        for part in ["from the pack", "from the database", "The call ended", "line 7", "2026-03-01 00:00:00 UTC"] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(html.contains("href=\"/approvals/%3Cimg"), "{html}");
    }

    #[test]
    fn every_field_that_says_something_is_there() {
        let made = json!({ "v": 1, "seq": 1, "ts": "", "prev": "", "ev": "host.reload", "run": "r", "packs_in": [],
            "policy_from": null, "policy_to": "ab".repeat(32), "count": 0, "is_new": false, "reason": "" });
        let html = fields(made.as_object().unwrap()).show().into_string();
        for part in ["Policy to", "<code>abab", "Count", "<dd>0</dd>", "Is new", "<dd>no</dd>"] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(!html.contains("Packs in") && !html.contains("Policy from") && !html.contains("Reason"), "{html}");
    }
}
