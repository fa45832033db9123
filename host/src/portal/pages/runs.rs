//! What was run: everybody's runs, the newest first and narrowed down, and one of them with every line that the record has of
//! it.

use axum::extract::{Path, Query, State};
use jiff::{Timestamp, civil, tz::TimeZone};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value as Json;

use super::off_thread;
use crate::{
    outside::plain,
    portal::{
        Here, Page, Portal, Problem, Viewer, next_encoded,
        parts::{
            Cell, Facts, Field, From, Table, filters, line, marked, marked_block, moment, onward, query, risk, select,
            state,
        },
    },
    runs::{RunFilter, RunRecord, RunState, RunSummary},
};

/// What a list is narrowed down by, as the form has it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    action: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    agent: String,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    since: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    from: String,
}

impl Wanted {
    fn filter(&self) -> Result<RunFilter, Problem> {
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let state = match self.outcome.as_str() {
            "" => None,
            word => Some(word.parse::<RunState>().map_err(|()| Problem::bad_request("there is no such outcome"))?),
        };
        Ok(RunFilter {
            action: some(&self.action),
            target: some(&self.target),
            agent: some(&self.agent),
            state,
            since: time(&self.since)?,
            until: time(&self.until)?,
            limit: None,
            cursor: some(&self.from),
        })
    }

    fn pairs(&self) -> [(&str, &str); 6] {
        [
            ("action", &self.action),
            ("target", &self.target),
            ("agent", &self.agent),
            ("outcome", &self.outcome),
            ("since", &self.since),
            ("until", &self.until),
        ]
    }
}

/// A time as people write it down, in UTC: to the minute or the second, a day alone, or RFC 3339.
pub(super) fn time(text: &str) -> Result<Option<Timestamp>, Problem> {
    let text = text.trim().trim_end_matches("UTC").trim_end();
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Some(at));
    }
    let wrong = || {
        let what = format!("`{}` is no time; write 2026-03-01 02:14", plain(text, 40).text);
        Problem::bad_request(what)
    };
    let local = text.parse::<civil::DateTime>().map_err(|_| wrong())?;
    local.to_zoned(TimeZone::UTC).map(|zoned| Some(zoned.timestamp())).map_err(|_| wrong())
}

/// How times are written in a form.
pub(super) const TIME_HINT: &str = "UTC, such as 2026-03-01 02:14";

/// The list.
pub(super) async fn list(
    State(portal): State<Portal>,
    _: Viewer,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Problem> {
    let filter = wanted.filter()?;
    let page = off_thread(move || portal.runs.recent_of_all(&filter)).await?;
    let is_narrowed = wanted.pairs().iter().any(|(_, value)| !value.is_empty());
    let mut table = Table::new("Runs", ["Action", "Outcome", "Target", "Agent", "Began", "Came of it"])
        .named_above()
        .or_say(match (is_narrowed, page.next.is_some()) {
            (true, true) => "None of the runs looked at so far is like that; go on with those before.",
            (true, false) => "No run is like that.",
            (false, _) => "Nothing has been run yet. Every call that an agent makes will be here, refused ones too.",
        });
    for run in &page.runs {
        table.row(row(run));
    }
    let at = |from: &str| {
        let mut pairs = wanted.pairs().to_vec();
        pairs.push(("from", from));
        query("/runs", &pairs)
    };
    let newest = (!wanted.from.is_empty()).then(|| at(""));
    let older = page.next.as_deref().map(at);
    Ok(Page::new(
        "Runs",
        Here::Runs,
        html! {
            (form(&wanted, is_narrowed))
            (table.show())
            (onward(newest.as_deref(), older.as_deref()))
        },
    ))
}

fn form(wanted: &Wanted, is_narrowed: bool) -> Markup {
    let states: Vec<(&str, &str)> =
        [("", "any")].into_iter().chain(RunState::ALL.iter().map(|state| (state.as_str(), state.as_str()))).collect();
    filters(
        "/runs",
        is_narrowed,
        &html! {
            (Field::new("action", "Action").value(&wanted.action).hint("postgres.* for those of a pack").longest(130).show())
            (Field::new("target", "Target").value(&wanted.target).longest(130).show())
            (Field::new("agent", "Agent").value(&wanted.agent).longest(200).show())
            (select("outcome", "Outcome", &wanted.outcome, &states))
            (Field::new("since", "From").value(&wanted.since).hint(TIME_HINT).longest(40).show())
            (Field::new("until", "To").value(&wanted.until).hint(TIME_HINT).longest(40).show())
        },
    )
}

fn row(run: &RunSummary) -> [Cell; 6] {
    // Of a refused call these are what the caller wrote.
    let from_caller = |text: &str| {
        if run.state == RunState::Refused {
            marked(From::Agent, text)
        } else {
            html! { (plain(text, 130).text) }
        }
    };
    [
        html! { a href={ "/runs/" (next_encoded(&run.run)) } { (plain(&run.action, 130).text) } }.into(),
        state(run.state.as_str()).into(),
        run.target.as_deref().map_or_else(|| html! { span.quiet { "none" } }, from_caller).into(),
        html! { (plain(&run.agent, 200).text) @if let Some(person) = &run.person { " for " (plain(person, 100).text) } }.into(),
        stamp(&run.started).into(),
        came_of_it(run, 160).into(),
    ]
}

/// What came of a run: the words of the pack or the server, bounded; the code where it did not succeed.
fn came_of_it(run: &RunSummary, most: usize) -> Markup {
    let text = run.summary.as_deref().unwrap_or_default();
    let cut: String = text.chars().take(most).collect();
    let cut = if cut.len() < text.len() { cut + "…" } else { cut };
    html! {
        @if let Some(code) = &run.code { code { (plain(code, 64).text) } " " }
        @match (&run.summary, run.state) {
            (None, _) => {}
            (Some(_), RunState::Done) => (marked(From::Pack, &cut)),
            (Some(_), RunState::Failed | RunState::Unknown) => (marked(From::Database, &cut)),
            (Some(_), RunState::Refused) => (marked(From::Agent, &cut)),
            (Some(_), _) => (plain(&cut, most).text),
        }
    }
}

fn stamp(text: &str) -> Markup {
    text.parse::<Timestamp>().map_or_else(|_| html! { (plain(text, 40).text) }, moment)
}

/// One run.
pub(super) async fn show(State(portal): State<Portal>, _: Viewer, Path(id): Path<String>) -> Result<Page, Problem> {
    let found = off_thread(move || portal.runs.run_of_all(&id)).await?;
    let RunRecord { run, lines } =
        found.ok_or_else(|| Problem::not_found("no run of this id is on the record, or its lines were archived"))?;
    Ok(Page::new(
        format!("Run of {}", plain(&run.action, 130).text),
        Here::Runs,
        html! {
            (about(&run))
            h2 { "What the record has of it" }
            p.quiet { "Every line, in order. Whether the record is as it was written is said "
                a href="/record" { "on its own page" } "." }
            @for one in lines.iter().filter_map(Json::as_object) { (line(one)) }
            p { a href="/runs" { "All runs" } }
        },
    ))
}

fn about(run: &RunSummary) -> Markup {
    let of_caller = |text: &Option<String>| {
        text.as_deref().map_or_else(|| html! { span.quiet { "not said" } }, |text| marked_block(From::Agent, text))
    };
    let mut facts = Facts::new()
        .with("Outcome", state(run.state.as_str()))
        .with("Came of it", came_of_it(run, 4000))
        .with("Run", html! { code { (plain(&run.run, 64).text) } })
        .with("Agent", html! {
            a href=(query("/runs", &[("agent", &run.agent)])) { (plain(&run.agent, 200).text) }
            @if let Some(person) = &run.person { " for " (plain(person, 100).text) } ", over " (plain(&run.door, 20).text)
        });
    facts = match &run.target {
        Some(target) if run.state == RunState::Refused => facts.with("Target", marked(From::Agent, target)),
        Some(target) => facts.with(
            "Target",
            html! {
                a href={ "/targets/" (next_encoded(target)) } { (plain(target, 130).text) }
            },
        ),
        None => facts.text("Target", ""),
    };
    if run.state != RunState::Refused {
        facts = facts.with("Action", action_link(&run.action));
    }
    if let Some(level) = run.risk.as_deref().and_then(risk_named) {
        facts = facts.with("Risk", risk(level));
    }
    if let Some(verdict) = &run.verdict {
        facts = facts.with("Policy said", state(verdict));
    }
    facts = facts.with("Why", marked_block(From::Agent, &run.reason));
    facts = facts.with("Evidence", of_caller(&run.evidence)).with("Expected", of_caller(&run.expected));
    if let Some(approval) = &run.approval {
        facts = facts.with(
            "Request",
            html! {
                a href={ "/approvals/" (next_encoded(approval)) } { (plain(approval, 64).text) }
            },
        );
    }
    if let Some(joined) = &run.joined {
        facts = facts.with("Joined", html! { a href={ "/runs/" (next_encoded(joined)) } { (plain(joined, 64).text) } });
    }
    facts = facts.with("Began", stamp(&run.started));
    if let Some(ended) = &run.ended {
        facts = facts.with("Ended", stamp(ended));
    }
    if let Some(ms) = run.ms {
        facts = facts.text("Took", format!("{ms} ms"));
    }
    facts.show()
}

/// To the action's page in the catalogue.
pub(super) fn action_link(action: &str) -> Markup {
    match action.split_once('.') {
        Some((pack, name)) => html! {
            a href={ "/catalogue/" (next_encoded(pack)) "/" (next_encoded(name)) } { (plain(action, 130).text) }
        },
        None => html! { (plain(action, 130).text) },
    }
}

fn risk_named(word: &str) -> Option<crate::pack::manifest::Risk> {
    serde_json::from_value(Json::from(word)).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let read = |text: &str| time(text).unwrap().map(|at| at.to_string());
        assert_eq!(read(" "), None);
        for text in ["2026-03-01 02:14", "2026-03-01T02:14", "2026-03-01 02:14 UTC", "2026-03-01T03:14:00+01:00"] {
            assert_eq!(read(text).as_deref(), Some("2026-03-01T02:14:00Z"), "{text}");
        }
        assert_eq!(read("2026-03-01").as_deref(), Some("2026-03-01T00:00:00Z"));
        assert!(time("yesterday").is_err() && time("<b>").is_err());
    }
}
