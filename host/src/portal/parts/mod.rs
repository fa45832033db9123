//! What pages are made of: tables that become cards on a phone, lists of facts, badges, code, fields, notices, pages of a long
//! list, times, and the mark that says whose words something is. All text given here is escaped; whatever is not the host's own goes through
//! `outside` first.

mod code;
mod facts;
mod field;
mod filter;
mod line;
mod outside;
mod pages;
mod table;
mod time;

use maud::{Markup, html};

pub use self::{
    code::{block, sql},
    facts::Facts,
    field::{Choice, Field, choices},
    filter::{filters, query, select},
    line::{event_words, fields, fields_but, line, when},
    outside::{From, marked, marked_block, marked_markup},
    pages::{onward, pages},
    table::{Cell, Table},
    time::{ago, countdown, moment},
};
use super::Tone;
use crate::pack::manifest::Risk;

/// A notice at the head of a page, or in it.
#[must_use]
pub fn notice(tone: Tone, content: &Markup) -> Markup {
    let role = match tone {
        Tone::Failed | Tone::Warning => "alert",
        Tone::Note | Tone::Done => "status",
    };
    let word = match tone {
        Tone::Note => "Note",
        Tone::Done => "Done",
        Tone::Warning => "Beware",
        Tone::Failed => "Failed",
    };
    html! {
        div class={ "notice " (tone.as_str()) } role=(role) {
            strong.word { (word) }
            div { (content) }
        }
    }
}

/// How much an action may harm: the word itself, and a colour that only repeats it.
#[must_use]
pub fn risk(risk: Risk) -> Markup {
    html! { span class={ "badge risk-" (risk.as_str()) } { (risk.as_str()) " risk" } }
}

/// A state in one word of ours; the colour only repeats it.
#[must_use]
pub fn state(word: &str) -> Markup {
    let kind = match word {
        "pending" | "waiting" | "approved" | "approve" | "consumed" | "running" | "held" => "open",
        "succeeded" | "done" | "verified" | "intact" | "trusted" | "up" | "reachable" | "valid" | "active"
        | "allow" => "good",
        "failed" | "denied" | "deny" | "unknown" | "broken" | "down" | "unreachable" | "revoked" | "refused"
        | "latched" | "not intact" | "not trusted" => "bad",
        _ => "quiet",
    };
    html! { span class={ "badge state-" (kind) } { (word) } }
}

/// A link that looks like a button.
#[must_use]
pub fn link_button(address: &str, words: &str) -> Markup {
    html! { a.button href=(address) { (words) } }
}
