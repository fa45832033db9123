//! A standing approval as people see it: what it lets through, how far, who granted it, and what it would have let through.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::{
    approval::{digest, standing::Replay},
    outside::plain,
    store::{Beneficiary, Bound, StandingApproval, StandingUse},
};

/// Characters of a name or value, uses and past requests that are shown; the JSON has all.
const TEXT: usize = 200;
const SHOWN: usize = 10;

/// One line of a list.
pub(super) fn line(one: &StandingApproval, would: &Replay, now: Timestamp) -> String {
    let grant = &one.grant;
    format!(
        "{}  {}  {} on {} for {}, {} of {} used, until {}; would have let through {} of {} in 30 days",
        one.id,
        one.state_at(now),
        clean(&grant.action),
        targets(one),
        beneficiary(&grant.to),
        one.used,
        grant.uses,
        second(grant.until),
        would.covered.len(),
        would.asked,
    )
}

/// All of it.
pub(super) fn page(one: &StandingApproval, would: &Replay, uses: &[StandingUse], now: Timestamp) -> String {
    let grant = &one.grant;
    let mut out = format!("{}: {}\n\nLets through without asking\n", one.id, one.state_at(now));
    let mut fact = |label: &str, text: String| out.push_str(&format!("  {label:<11}{text}\n"));
    fact("action", format!("{} ({} risk)", clean(&grant.action), clean(&grant.risk)));
    fact("for", beneficiary(&grant.to));
    for (name, bound) in &grant.arguments {
        fact("argument", format!("{} {}", clean(name), bounds(bound)));
    }
    for (name, identity) in &grant.targets {
        fact("target", format!("{} ({})", clean(name), clean(identity)));
    }
    fact("pack", clean(&grant.pack_digest));
    fact("uses", format!("{} of {} used", one.used, grant.uses));
    fact("until", second(grant.until));
    fact("needs", format!("{} of an admin{}", grant.needed, groups(one)));
    fact("from", clean(&one.source));
    fact("proposed", format!("by {} at {}: {}", clean(&one.proposed_by), second(one.proposed_at), clean(&one.reason)));
    for vote in &one.votes {
        fact("approved", format!("by {} at {}: {}", clean(&vote.person), second(vote.at), clean(&vote.reason)));
    }
    if one.is_of_one_person() {
        fact("note", "proposed and approved by the same person, and by nobody else".to_owned());
    }
    if let Some(revoked) = &one.revoked {
        fact("revoked", format!("by {} at {}: {}", clean(&revoked.by), second(revoked.at), clean(&revoked.reason)));
    }
    for one in uses.iter().rev().take(SHOWN) {
        fact("used", format!("{} by {} at {}, {}", one.number, clean(&one.agent), second(one.at), clean(&one.run)));
    }
    replayed(would, &mut out);
    out.push_str(&format!(
        "\nDigest  (an approval is of exactly this)\n  short      {}\n  full       {}",
        digest::short(&one.digest),
        one.digest
    ));
    out
}

fn replayed(would: &Replay, out: &mut String) {
    out.push_str("\nOver the last 30 days\n");
    let denied = match would.denied {
        0 => String::new(),
        denied => format!("; people DENIED {denied} of these"),
    };
    let let_through = would.covered.len();
    out.push_str(&format!(
        "  it would have let through {let_through} of {} requests for this action{denied}\n",
        would.asked
    ));
    if would.of_another_pack > 0 {
        out.push_str(&format!("  and {} more that were of another version of the pack\n", would.of_another_pack));
    }
    for one in would.covered.iter().take(SHOWN) {
        let arguments = clean(&Json::Object(one.arguments.clone()).to_string());
        out.push_str(&format!("  {}  {}  {}  {arguments}\n", second(one.at), one.approval, one.state));
    }
    if let_through > SHOWN {
        out.push_str(&format!("  ({} more are not shown here; the JSON has them)\n", let_through - SHOWN));
    }
}

/// As JSON, with what a reader would otherwise have to work out.
pub(super) fn json(one: &StandingApproval, would: &Replay, uses: &[StandingUse], now: Timestamp) -> Json {
    let mut json = serde_json::to_value(one).unwrap_or_default();
    if let Some(object) = json.as_object_mut() {
        object.insert("state_now".to_owned(), json!(one.state_at(now)));
        object.insert("digest_short".to_owned(), digest::short(&one.digest).into());
        object.insert("of_one_person".to_owned(), one.is_of_one_person().into());
        object.insert("last_30_days".to_owned(), json!(would));
        object.insert("each_use".to_owned(), json!(uses));
    }
    json
}

fn bounds(bound: &Bound) -> String {
    match bound {
        Bound::Equal(value) => format!("= {}", clean(&value.to_string())),
        Bound::OneOf(values) => {
            format!("one of {}", clean(&values.iter().map(Json::to_string).collect::<Vec<_>>().join(", ")))
        }
        Bound::Glob(pattern) => format!("like {}", clean(pattern)),
        Bound::Range { min, max } => format!("from {min} to {max}"),
    }
}

fn beneficiary(to: &Beneficiary) -> String {
    match to {
        Beneficiary::Agent { agent, person: Some(person) } => format!("agent {} of {}", clean(agent), clean(person)),
        Beneficiary::Agent { agent, person: None } => format!("agent {}, of nobody who is named", clean(agent)),
        Beneficiary::Role(role) => format!("every agent with the role {}", clean(role)),
    }
}

fn targets(one: &StandingApproval) -> String {
    one.grant.targets.keys().map(|name| clean(name)).collect::<Vec<_>>().join(", ")
}

fn groups(one: &StandingApproval) -> String {
    let groups: Vec<String> = one.grant.approvers.iter().map(|group| clean(group)).collect();
    if groups.is_empty() { String::new() } else { format!(" in one of the groups {}", groups.join(", ")) }
}

fn clean(text: &str) -> String {
    plain(text, TEXT).text
}

fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
