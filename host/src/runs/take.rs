//! What one line of the record says of a run. Each line is taken once, by its number; taking it again changes nothing.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value as Json;

use super::{RunState, changes};
use crate::{
    audit::{Line, Place},
    error::Code,
};

/// Takes a line in. Lines that concern no run and change nothing are left to the record.
pub(super) fn take(tx: &Connection, line: &Line, place: Place) -> rusqlite::Result<()> {
    changes::take(tx, line, place)?;
    let Some(run) = run_of(tx, line)? else { return Ok(()) };
    let added = tx
        .prepare_cached("INSERT OR IGNORE INTO lines (seq, run, segment, offset, length) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![signed(line.seq()), run, signed(place.segment), signed(place.offset), signed(place.length)])?;
    if added == 0 {
        return Ok(());
    }
    match line.event() {
        "call.intent" => {
            begin(tx, line, &run, RunState::Running)?;
            if let Some(died) = some(line, "instead_of") {
                let summary = format!("its process died before it had begun; run {run} took its place");
                end_unused(tx, line, died, &End { state: RunState::Failed, code: "", summary: &summary, ms: None })?;
            }
        }
        "call.refused" => {
            begin(tx, line, &run, RunState::Refused)?;
            let end =
                End { state: RunState::Refused, code: line.text("code"), summary: line.text("message"), ms: None };
            finish(tx, line, &run, &end)?;
        }
        "call.outcome" => finish(tx, line, &run, &outcome(line))?,
        "approval.requested" => wait(tx, line, &run, RunState::Held)?,
        "approval.joined" => wait(tx, line, &run, RunState::Joined)?,
        "approval.decided" => decided(tx, line, &run)?,
        "approval.consumed" => advance(tx, &run, RunState::Running)?,
        "approval.closed" => closed(tx, line, &run)?,
        "operation.closed" => {
            let summary = "its process died after it had begun";
            let end = End { state: RunState::Unknown, code: line.text("code"), summary, ms: None };
            end_unused(tx, line, &run, &end)?;
        }
        _ => {}
    }
    tx.prepare_cached("UPDATE runs SET last_seq = max(last_seq, ?2) WHERE run = ?1")?
        .execute(params![run, signed(line.seq())])?;
    Ok(())
}

/// The run that a line belongs to: the one that it names, or the one whose approval it names.
fn run_of(tx: &Connection, line: &Line) -> rusqlite::Result<Option<String>> {
    if !["call.", "approval.", "operation.", "standing.used"].iter().any(|room| line.event().starts_with(room)) {
        return Ok(None);
    }
    let named = line.text("run");
    if !named.is_empty() {
        return Ok(Some(named.to_owned()));
    }
    tx.prepare_cached("SELECT run FROM approvals WHERE approval = ?1")?
        .query_row([line.text("approval")], |row| row.get(0))
        .optional()
}

fn begin(tx: &Connection, line: &Line, run: &str, state: RunState) -> rusqlite::Result<()> {
    let began = line.time().parse::<Timestamp>().map_or(0, Timestamp::as_microsecond);
    tx.prepare_cached(
        "INSERT OR IGNORE INTO runs (run, agent, person, door, action, target, risk, verdict, reason, evidence, expected,
             operation, state, started, began, first_seq, last_seq)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16)",
    )?
    .execute(params![
        run,
        line.text("agent"),
        some(line, "person"),
        line.text("door"),
        line.text("action"),
        some(line, "target"),
        some(line, "risk"),
        some(line, "verdict"),
        line.text("reason"),
        some(line, "evidence"),
        some(line, "expected"),
        some(line, "operation"),
        state.as_str(),
        line.time(),
        began,
        signed(line.seq()),
    ])?;
    Ok(())
}

/// How a run ended.
struct End<'a> {
    state: RunState,
    code: &'a str,
    summary: &'a str,
    ms: Option<i64>,
}

fn outcome(line: &Line) -> End<'_> {
    let state = match line.text("status") {
        "succeeded" => RunState::Done,
        "failed" => RunState::Failed,
        // Said so, or said something that this version does not know.
        _ => RunState::Unknown,
    };
    let summary = if state == RunState::Done { line.text("summary") } else { line.text("message") };
    End { state, code: line.text("code"), summary, ms: line.fields().get("ms").and_then(Json::as_i64) }
}

/// The end that the gate saw itself: it stands, whatever is said of the approval afterwards or was said before.
fn finish(tx: &Connection, line: &Line, run: &str, end: &End<'_>) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE runs SET state = ?2, code = ?3, summary = ?4, ended = ?5, ms = ?6 WHERE run = ?1")?
        .execute(params![run, end.state.as_str(), filled(end.code), filled(end.summary), line.time(), end.ms])?;
    Ok(())
}

fn wait(tx: &Connection, line: &Line, run: &str, state: RunState) -> rusqlite::Result<()> {
    let approval = line.text("approval");
    if state == RunState::Held {
        tx.prepare_cached("INSERT OR IGNORE INTO approvals (approval, run) VALUES (?1, ?2)")?
            .execute(params![approval, run])?;
    }
    tx.prepare_cached("UPDATE runs SET state = ?2, approval = ?3, joined = ?4 WHERE run = ?1 AND ended IS NULL")?
        .execute(params![run, state.as_str(), approval, some(line, "first_run")])?;
    Ok(())
}

fn advance(tx: &Connection, run: &str, state: RunState) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE runs SET state = ?2 WHERE run = ?1 AND ended IS NULL")?
        .execute(params![run, state.as_str()])?;
    Ok(())
}

/// A vote that was counted: a yes that was enough, a no, or one yes of several.
fn decided(tx: &Connection, line: &Line, run: &str) -> rusqlite::Result<()> {
    match line.text("state") {
        "approved" => advance(tx, run, RunState::Approved),
        "denied" => {
            let summary = format!("denied by {}", line.text("person"));
            let code = Code::ApprovalDenied.as_str();
            end_unused(tx, line, run, &End { state: RunState::Denied, code, summary: &summary, ms: None })
        }
        _ => Ok(()),
    }
}

fn closed(tx: &Connection, line: &Line, run: &str) -> rusqlite::Result<()> {
    let state = match line.text("state") {
        "denied" => RunState::Denied,
        "expired" => RunState::Expired,
        "withdrawn" => RunState::Withdrawn,
        "superseded" => RunState::Superseded,
        _ => RunState::Unknown,
    };
    end_unused(tx, line, run, &End { state, code: line.text("code"), summary: line.text("why"), ms: None })
}

/// The end of an approval, where the run has none of its own: a process that was killed between an outcome and its copy in
/// the store leaves both.
fn end_unused(tx: &Connection, line: &Line, run: &str, end: &End<'_>) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE runs SET state = ?2, code = ?3, summary = ?4, ended = ?5 WHERE run = ?1 AND ended IS NULL",
    )?
    .execute(params![run, end.state.as_str(), filled(end.code), filled(end.summary), line.time()])?;
    Ok(())
}

fn some<'a>(line: &'a Line, name: &str) -> Option<&'a str> {
    filled(line.text(name))
}

fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// SQLite's integers are signed; no record has so many lines or bytes.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
