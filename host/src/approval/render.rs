//! What a person is shown before they decide, as plain text for a terminal: what would be hit first, then why, then who. The
//! host writes every line; text that comes from an agent, a pack or a database stands behind a bar and is made inert first
//! ([`text`]). Nothing here decides anything.

mod fresh;
mod table;
pub mod text;
pub(crate) mod time;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::fresh::render_fresh;
use self::{
    text::{clip, width, wrap},
    time::{absolute, duration, relative, span},
};
use super::digest;
use crate::{
    outside::{Plain, escape_hidden, plain},
    store::{Approval, Decision, State},
    value::RowSet,
};

/// Columns of a page: what a terminal beside a chat window has.
const COLUMNS: usize = 100;

/// What stands before every line of text that is not the host's own.
const BAR: &str = "  | ";

/// Characters of one piece of text: the gate takes no longer reason, and an approver reads no longer summary.
const TEXT: usize = 1_000;

/// Characters of a name.
const NAME: usize = 130;

/// Arguments, pins and tables that are shown; the JSON has all.
const ITEMS: usize = 40;
const TABLES: usize = 8;

/// Whether the page may carry colours. Never the only sign of anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    #[default]
    Off,
    /// ANSI escape sequences; for a terminal whose user did not set `NO_COLOR`.
    On,
}

/// An approval, without colours. See [`render_with`].
#[must_use]
pub fn render(approval: &Approval, now: Timestamp) -> String {
    render_with(approval, now, Colour::Off)
}

/// An approval as a page of at most 100 columns: what would be done to what, the evidence, who asks, the limits, the digest.
#[must_use]
pub fn render_with(approval: &Approval, now: Timestamp, colour: Colour) -> String {
    let mut page = Page { out: String::new(), colour, had_hidden: false };
    headline(&mut page, approval, now);
    effect(&mut page, approval);
    asker(&mut page, approval);
    rules(&mut page, approval);
    times(&mut page, approval, now);
    end(&mut page, approval);
    identity(&mut page, approval);
    page.out.push_str(
        "\nLines behind a bar are text from the agent, the pack or the database: facts to weigh, not instructions.\n",
    );
    if page.had_hidden {
        page.out.push_str("Some of it had characters that can't be seen; they were left out here.\n");
    }
    page.out
}

/// One line for each approval: id, state and time left, risk, what on which target, who asks.
#[must_use]
pub fn render_list(approvals: &[Approval], now: Timestamp) -> String {
    let name = |text: &str| plain(text, NAME).text;
    let rows: Vec<[String; 5]> = approvals
        .iter()
        .map(|approval| {
            let request = &approval.request;
            let left = limit(approval, now).map(|limit| format!(", {} left", span(limit, now))).unwrap_or_default();
            [
                name(&approval.id),
                format!("{}{left}", approval.state_at(now)),
                name(&request.risk),
                format!("{} on {}", name(&request.action), name(&request.target)),
                name(&request.requester.agent),
            ]
        })
        .collect();
    let widths: [usize; 5] =
        std::array::from_fn(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or(0));
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, columns) in row.iter().zip(widths) {
            line.extend([cell.as_str(), &" ".repeat(columns.saturating_sub(width(cell)) + 2)]);
        }
        out.push_str(&clip(line.trim_end(), COLUMNS));
        out.push('\n');
    }
    out
}

/// An approval as JSON, with what a reader would otherwise have to work out.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    /// As it is stored.
    #[serde(flatten)]
    pub approval: &'a Approval,
    /// Its state now: what has run out is `expired`, written down or not.
    pub state_now: State,
    /// The digest as people compare and type it.
    pub digest_short: String,
    /// Seconds until it can't be decided, or executed, any more.
    pub seconds_left: Option<i64>,
}

impl<'a> View<'a> {
    /// The view at a time.
    #[must_use]
    pub fn new(approval: &'a Approval, now: Timestamp) -> Self {
        Self {
            approval,
            state_now: approval.state_at(now),
            digest_short: digest::short(&approval.digest),
            seconds_left: limit(approval, now).map(|limit| limit.duration_since(now).as_secs()),
        }
    }
}

/// [`View`] as one line of JSON in which hidden characters are escapes, so that a terminal may show it.
#[must_use]
pub fn to_json(approval: &Approval, now: Timestamp) -> String {
    // Plain data with text keys: it always serialises.
    escape_hidden(&serde_json::to_string(&View::new(approval, now)).unwrap_or_default())
}

struct Page {
    out: String,
    colour: Colour,
    had_hidden: bool,
}

impl Page {
    fn styled(&self, text: &str, code: &str) -> String {
        match self.colour {
            Colour::Off => text.to_owned(),
            Colour::On => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }

    fn heading(&mut self, title: &str, note: &str) {
        let title = self.styled(title, "1");
        let note = if note.is_empty() { String::new() } else { format!("  ({note})") };
        self.out.push_str(&format!("\n{title}{note}\n"));
    }

    /// A line of the host's own: a label and its text.
    fn fact(&mut self, label: &str, text: &str) {
        for line in table::pair(label, text, 9, COLUMNS - 2) {
            self.out.push_str(&format!("  {line}\n"));
        }
    }

    fn barred(&mut self, line: &str) {
        self.out.push_str(format!("{BAR}{line}").trim_end());
        self.out.push('\n');
    }

    /// Text from outside, in as many lines as it takes.
    fn quote(&mut self, text: &str) {
        let text = self.clean(text, TEXT);
        for line in wrap(&text, COLUMNS - BAR.len()) {
            self.barred(&line);
        }
    }

    /// Names and values from outside, beside each other.
    fn pairs(&mut self, pairs: &[(String, String)]) {
        let shown: Vec<_> =
            pairs.iter().take(ITEMS).map(|(name, value)| (self.clean(name, NAME), self.clean(value, TEXT))).collect();
        let labels = shown.iter().map(|(name, _)| width(name)).max().unwrap_or(0).min(COLUMNS / 3);
        for (name, value) in &shown {
            for line in table::pair(name, value, labels, COLUMNS - BAR.len()) {
                self.barred(&line);
            }
        }
        if pairs.len() > ITEMS {
            let left = pairs.len() - ITEMS;
            self.out.push_str(&format!("  ({left} more are not shown here; the JSON has them)\n"));
        }
    }

    fn clean(&mut self, text: &str, most: usize) -> String {
        let Plain { text, had_hidden, cut } = plain(text, most);
        self.had_hidden |= had_hidden;
        if cut > 0 { format!("{text} ({cut} more characters are not shown here)") } else { text }
    }

    fn name(&mut self, text: &str) -> String {
        self.clean(text, NAME)
    }
}

fn headline(page: &mut Page, approval: &Approval, now: Timestamp) {
    let request = &approval.request;
    let (action, target) = (page.name(&request.action), page.name(&request.target));
    let risk = format!("{} RISK", page.name(&request.risk).to_uppercase());
    let what = clip(&format!("{action} on {target}"), COLUMNS - 2 - width(&risk).min(COLUMNS / 2));
    let gap = " ".repeat(COLUMNS.saturating_sub(width(&what) + width(&risk)).max(2));
    let code = if matches!(request.risk.as_str(), "low" | "medium") { "1;33" } else { "1;31" };
    let (what, risk) = (page.styled(&what, "1"), page.styled(&clip(&risk, COLUMNS / 2), code));
    page.out.push_str(&format!("{what}{gap}{risk}\n"));
    let state = match (approval.state_at(now), limit(approval, now)) {
        (State::Pending, Some(limit)) => format!("waits for a decision, {} left", span(limit, now)),
        (State::Approved, Some(limit)) => format!("approved, {} left to run it", span(limit, now)),
        (state, _) => state.to_string(),
    };
    page.out.push_str(&format!("{}: {state}\n", approval.id));
}

#[derive(Deserialize)]
struct Evidence {
    summary: String,
    tables: Vec<EvidenceTable>,
}

#[derive(Deserialize)]
struct EvidenceTable {
    title: String,
    rows: RowSet,
}

fn effect(page: &mut Page, approval: &Approval) {
    let request = &approval.request;
    page.heading("Arguments", "chosen by the agent, checked by the host");
    let arguments: Vec<_> = request.arguments.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
    if arguments.is_empty() {
        page.out.push_str("  none\n");
    }
    page.pairs(&arguments);

    page.heading("What would be hit", "as the pack found it in the database just before it asked");
    match Evidence::deserialize(&request.evidence) {
        Ok(evidence) => {
            page.quote(&evidence.summary);
            for table in evidence.tables.iter().take(TABLES) {
                page.barred("");
                page.quote(&table.title);
                let (lines, had_hidden) = table::lines(&table.rows, COLUMNS - BAR.len());
                page.had_hidden |= had_hidden;
                for line in lines {
                    page.barred(&line);
                }
            }
            if evidence.tables.len() > TABLES {
                let left = evidence.tables.len() - TABLES;
                page.out.push_str(&format!("  ({left} more tables are not shown here; the JSON has them)\n"));
            }
        }
        // Said, not left out: nobody should take the absence of evidence for evidence of absence.
        Err(_) => page.out.push_str("  the evidence can't be read: do not approve this unless you know without it\n"),
    }

    if !request.pins.is_empty() {
        page.heading("What must still be so when it runs", "if any of it has changed, nothing is done");
        let pins: Vec<_> = request.pins.iter().map(|pin| (pin.name.clone(), table::value_text(&pin.value))).collect();
        page.pairs(&pins);
    }
}

fn asker(page: &mut Page, approval: &Approval) {
    let requester = &approval.request.requester;
    page.heading("Who asks", "");
    let (agent, door) = (page.name(&requester.agent), page.name(&requester.door));
    page.fact("agent", &format!("{agent}, over {door}"));
    let behind = match (requester.behind().map(|name| page.name(name)), &requester.person) {
        (None, _) => "nobody is named behind this agent, so it takes two people".to_owned(),
        (Some(person), Some(_)) => format!("{person}, who may not approve this"),
        (Some(account), None) => format!("whoever runs it as {account}, and may not approve this"),
    };
    page.fact("for", &behind);
    page.out.push_str("  reason, in the agent's own words:\n");
    page.quote(&approval.request.reason);
    let said = [
        ("what it saw, in the agent's own words:", &approval.request.agent_evidence),
        ("what it expects of it, in the agent's own words:", &approval.request.agent_expected),
        ("the agent's name for this operation:", &approval.request.operation),
    ];
    for (label, text) in said {
        if let Some(text) = text {
            page.out.push_str(&format!("  {label}\n"));
            page.quote(text);
        }
    }
}

fn rules(page: &mut Page, approval: &Approval) {
    let request = &approval.request;
    page.heading("Why it waits for a person", "");
    let rule = page.clean(&request.rule, TEXT);
    page.fact("policy", &rule);
    let people =
        if request.needed == 1 { "1 person".to_owned() } else { format!("{} different people", request.needed) };
    let roles = if request.approvers.is_empty() {
        String::new()
    } else {
        let roles: Vec<String> = request.approvers.iter().map(|role| page.name(role)).collect();
        format!(" with one of the roles {}", roles.join(", "))
    };
    let why = if request.reason_required { ", who must say why" } else { "" };
    page.fact("needs", &format!("{people}{roles}{why}; {} approved so far", approval.approvals()));
    for vote in &approval.votes {
        let verb = match vote.decision {
            Decision::Approve => "approved",
            Decision::Deny => "denied",
        };
        let (person, reason) = (page.name(&vote.person), page.clean(&vote.reason, TEXT));
        let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        page.fact("vote", &format!("{person} {verb} at {}{because}", absolute(vote.at)));
    }
}

fn times(page: &mut Page, approval: &Approval, now: Timestamp) {
    page.heading("Times", "");
    let mut time = |label: &str, at: Option<Timestamp>| {
        if let Some(at) = at {
            page.fact(label, &format!("{}  {}", absolute(at), relative(at, now)));
        }
    };
    time("asked", Some(approval.created_at));
    time("decide by", Some(approval.decide_by));
    time("decided", approval.decided_at);
    time("run by", approval.execute_by);
    time("started", approval.consumed_at);
    time("ended", approval.finished_at);
    if approval.execute_by.is_none() && approval.state_at(now) == State::Pending {
        page.fact("run", &format!("within {} of the approval, once", duration(approval.request.execute_within)));
    }
}

// How it ended, where that is more than a vote: a refusal's message, or why it was set aside.
fn end(page: &mut Page, approval: &Approval) {
    let message = |json: &Option<serde_json::Value>, key: &str| {
        json.as_ref().and_then(|json| json.get(key)).and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    let text = match approval.state {
        State::Succeeded => message(&approval.outcome, "summary"),
        State::Failed | State::Unknown => message(&approval.refusal, "message"),
        State::Superseded => approval.decision_reason.clone(),
        _ => None,
    };
    if let Some(text) = text {
        page.heading("How it ended", approval.state.as_str());
        page.quote(&text);
    }
}

fn identity(page: &mut Page, approval: &Approval) {
    let request = &approval.request;
    page.heading("Digest of this request", "a decision is on exactly this");
    let short = page.styled(&digest::short(&approval.digest), "1");
    page.fact("short", &short);
    page.fact("full", &approval.digest.to_string());
    let (pack, policy) = (page.name(&request.pack_digest), page.name(&request.policy_digest));
    let (target, run) = (page.name(&request.target_identity), page.name(&request.run));
    page.fact("target", &target);
    page.fact("pack", &pack);
    page.fact("rules", &policy);
    page.fact("run", &run);
}

/// The time limit that counts in the present state, if one does.
fn limit(approval: &Approval, now: Timestamp) -> Option<Timestamp> {
    match approval.state_at(now) {
        State::Pending => Some(approval.decide_by),
        State::Approved => approval.execute_by,
        _ => None,
    }
}

#[cfg(test)]
mod tests;
