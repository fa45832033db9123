//! What the pages of requests say in the same words: names that come from outside, made inert; what is asked for; how urgent
//! a risk is.

use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    approval::evidence::Evidence,
    outside::plain,
    pack::manifest::Risk,
    portal::parts,
    store::{Approval, StandingApproval},
    value::Value,
};

/// Characters of a name and of a value.
const NAME: usize = 130;
const VALUE: usize = 1_000;

/// A name.
pub(super) fn name(text: &str) -> String {
    plain(text, NAME).text
}

/// A value, and whether it is there.
pub(super) fn value(value: &Value) -> Markup {
    match value {
        Value::Null => html! { span.quiet { "null" } },
        Value::Text(text) => html! { (plain(text, VALUE).text) },
        other => html! { (plain(&other.to_json().to_string(), VALUE).text) },
    }
}

/// An argument as it was given.
pub(super) fn json(value: &serde_json::Value) -> String {
    plain(&value.to_string(), VALUE).text
}

/// An action on a target.
pub(super) fn what(approval: &Approval) -> String {
    let request = &approval.request;
    format!("{} on {}", name(&request.action), name(&request.target))
}

/// Where a request's page is. An id has only letters, digits and `_`.
pub(super) fn address(approval: &Approval) -> String {
    format!("/approvals/{}", approval.id)
}

/// Where a standing approval's page is.
pub(super) fn standing_address(standing: &StandingApproval) -> String {
    format!("/standing/{}", standing.id)
}

/// The pack's summary of the evidence, if that can be read.
pub(super) fn summary(approval: &Approval) -> Option<String> {
    Evidence::deserialize(&approval.request.evidence).ok().map(|evidence| evidence.summary)
}

/// A stored risk; a word that nobody knows is shown as the worst.
pub(super) fn risk(word: &str) -> Markup {
    let known = [Risk::Low, Risk::Medium, Risk::High, Risk::Critical].into_iter().find(|risk| risk.as_str() == word);
    match known {
        Some(risk) => parts::risk(risk),
        None => html! { span.badge.risk-critical { (name(word)) } },
    }
}

/// Several names in a sentence.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|text| name(text)).collect::<Vec<_>>().join(", ")
}
