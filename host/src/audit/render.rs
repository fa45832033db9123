//! A line of the record as one calm line for a person. Whatever a text contains, it stays one line, in one direction, in
//! the terminal's own colours: agents, packs and databases have a hand in what the record quotes.

use serde_json::Value;

use super::line::Line;
use crate::outside;

/// A quoted text is cut after this many characters.
const MAX_TEXT: usize = 120;

/// Time, event, who, action, target, state, code, run: those that the line has, in this order.
#[must_use]
pub fn render(line: &Line) -> String {
    let text = |name: &str| plain(line.text(name));
    let time = line.time().get(..19).unwrap_or_default().replace('T', " ");
    let mut out = format!("{:>6}  {time}Z  {:<20}", line.seq(), plain(line.event()));
    let mut add = |part: String| {
        if !part.is_empty() {
            out.push_str("  ");
            out.push_str(&part);
        }
    };
    add(match (text("agent"), text("person")) {
        (agent, person) if agent.is_empty() || person.is_empty() => agent + &person,
        (agent, person) => format!("{agent} for {person}"),
    });
    add(labelled("by", first(line, &["by", "approved_by"])));
    add(text("action"));
    add(labelled("on", text("target")));
    add(first(line, &["code", "status", "state", "verdict"]));
    add(labelled("run", text("run")));
    add(labelled("approval", text("approval")));
    out.trim_end().to_owned()
}

fn labelled(label: &str, text: String) -> String {
    if text.is_empty() { text } else { format!("{label} {text}") }
}

/// The first of these fields that says something; a list of names is joined.
fn first(line: &Line, names: &[&str]) -> String {
    let shown = |name: &&str| match line.fields().get(*name) {
        Some(Value::String(text)) => plain(text),
        Some(Value::Array(items)) => plain(&items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        _ => String::new(),
    };
    names.iter().map(shown).find(|text| !text.is_empty()).unwrap_or_default()
}

/// As much of it as a line has room for.
fn plain(text: &str) -> String {
    outside::plain(text, MAX_TEXT).text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::{Entry, genesis};

    fn line(entry: Entry) -> Line {
        let mut out = Vec::new();
        let time = jiff::Timestamp::from_microsecond(1_700_000_000_000_000).unwrap();
        super::super::line::encode(&mut out, 7, time, &genesis(), &entry.into_body().unwrap());
        Line::parse(std::str::from_utf8(&out).unwrap()).unwrap()
    }

    #[test]
    fn a_line_says_who_did_what_where_and_how_it_went() {
        let entry = Entry::new("call.refused")
            .field("run", "r1")
            .field("agent", "claude")
            .field("person", "ana")
            .field("action", "postgres.sessions.terminate")
            .field("target", "orders")
            .field("code", "denied_by_policy");
        assert_eq!(
            render(&line(entry)),
            "     7  2023-11-14 22:13:20Z  call.refused          claude for ana  postgres.sessions.terminate  on orders  \
             denied_by_policy  run r1"
        );
        let entry = Entry::new("approval.consumed").field("approved_by", serde_json::json!(["ana", "bo"]));
        assert!(render(&line(entry)).ends_with("by ana, bo"));
    }

    #[test]
    fn nothing_in_a_text_reaches_the_terminal_as_a_command() {
        assert_eq!(plain("\u{1b}[31mred\u{1b}[0m \u{9b}1mbold"), "red bold");
        // What a terminal would swallow up to an end marker stays, as text: nothing can be hidden that way.
        assert_eq!(plain("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\b"), "0;titlea8;;http://xb");
        assert_eq!(plain("a\u{202e}cba\u{2066}\u{200b}\u{feff}\r\nb\0"), "acba b");
        assert_eq!(plain(&"x".repeat(500)).chars().count(), MAX_TEXT + 1);
    }

    proptest! {
        #[test]
        fn any_text_stays_one_plain_line(text: String) {
            let shown = plain(&text);
            prop_assert!(shown.chars().all(|char| !outside::is_hidden(char)));
            prop_assert!(shown.chars().count() <= MAX_TEXT + 2);
        }
    }
}
