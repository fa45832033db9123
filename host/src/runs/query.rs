//! The two questions: which runs there were lately, and one of them. A principal sees its own runs only, and of those what
//! its credential lets it see: what is outside does not exist for it. Who answers for the database sees every run.

use lockgate_signing::glob;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Eyes, LONGEST_PAGE, RunFilter, RunPage, RunState, RunSummary, RunsError, SeenPrincipal};
use crate::audit::Place;

/// Runs that one page looks at: a filter that fits nothing ends after some ten milliseconds, with where to go on.
const LOOKED_AT: usize = 10_000;

const COLUMNS: &str = "run, state, action, target, risk, verdict, reason, evidence, expected, operation, summary, code,
    approval, joined, agent, person, door, started, ended, ms, first_seq, last_seq";

/// Where a line of a run stands.
pub(super) struct Kept {
    pub(super) seq: u64,
    pub(super) place: Place,
}

/// Principals that are listed at most, those lately seen first.
const PRINCIPALS: u32 = 500;

pub(super) fn recent(connection: &Connection, eyes: Eyes<'_>, filter: &RunFilter) -> Result<RunPage, RunsError> {
    let limit = filter.limit.unwrap_or(LONGEST_PAGE).clamp(1, LONGEST_PAGE);
    let before = match &filter.cursor {
        Some(cursor) => cursor_seq(cursor)?,
        None => i64::MAX,
    };
    let since = filter.since.map_or(i64::MIN, jiff::Timestamp::as_microsecond);
    let until = filter.until.map_or(i64::MAX, jiff::Timestamp::as_microsecond);
    let whose = whose(eyes);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, began FROM runs WHERE {whose} AND first_seq < ?3 ORDER BY first_seq DESC"
    ))?;
    let mut rows = statement.query(params![eyes.agent(), eyes.person(), before])?;
    let mut page = RunPage::default();
    let mut looked_at = 0;
    let mut last = before;
    while let Some(row) = rows.next()? {
        // One more than fits says that there is a next page.
        if page.runs.len() == limit || looked_at == LOOKED_AT {
            page.next = Some(last.to_string());
            break;
        }
        looked_at += 1;
        last = row.get("first_seq")?;
        if (since..until).contains(&row.get::<_, i64>("began")?) && fits(row, eyes, filter)? {
            page.runs.push(summary(row)?);
        }
    }
    Ok(page)
}

pub(super) fn run(
    connection: &Connection,
    eyes: Eyes<'_>,
    run: &str,
) -> Result<Option<(RunSummary, Vec<Kept>)>, RunsError> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE run = ?3 AND {}", whose(eyes)))?
        .query_row(params![eyes.agent(), eyes.person(), run], |row| {
            if is_visible(row, eyes)? { summary(row).map(Some) } else { Ok(None) }
        })
        .optional()?
        .flatten();
    let Some(summary) = found else { return Ok(None) };
    let lines = connection
        .prepare_cached("SELECT seq, segment, offset, length FROM lines WHERE run = ?1 ORDER BY seq")?
        .query_map([run], |row| {
            let place = Place { segment: number(row, 1)?, offset: number(row, 2)?, length: number(row, 3)? };
            Ok(Kept { seq: number(row, 0)?, place })
        })?
        .collect::<Result<_, _>>()?;
    Ok(Some((summary, lines)))
}

/// The condition on the first two parameters, agent and person. Both are null for those who see all; for the others an agent is
/// always named, so what is meant for the one can't open the runs of another.
fn whose(eyes: Eyes<'_>) -> &'static str {
    match eyes {
        Eyes::Own(_) => "agent = ?1 AND person IS ?2",
        Eyes::All => "?1 IS NULL AND ?2 IS NULL",
    }
}

/// Who has called so far, those lately seen first.
pub(super) fn principals(connection: &Connection) -> Result<Vec<SeenPrincipal>, RunsError> {
    let mut statement = connection.prepare_cached(
        "SELECT seen.agent, seen.person, seen.runs, last.door, last.started FROM
             (SELECT agent, person, count(*) AS runs, max(first_seq) AS latest FROM runs GROUP BY agent, person) AS seen
             JOIN runs AS last ON last.first_seq = seen.latest
         ORDER BY seen.latest DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([PRINCIPALS], |row| {
        Ok(SeenPrincipal {
            agent: row.get(0)?,
            person: row.get(1)?,
            runs: number(row, 2)?,
            door: row.get(3)?,
            last: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn cursor_seq(cursor: &str) -> Result<i64, RunsError> {
    let digits = cursor.bytes().all(|byte| byte.is_ascii_digit());
    cursor.parse().ok().filter(|_| digits).ok_or(RunsError::Cursor)
}

fn fits(row: &Row<'_>, eyes: Eyes<'_>, filter: &RunFilter) -> rusqlite::Result<bool> {
    let text = |column| row.get_ref(column).map(|value| value.as_str().unwrap_or_default());
    if let Some(state) = filter.state
        && text("state")? != state.as_str()
    {
        return Ok(false);
    }
    if let Some(target) = &filter.target
        && text("target")? != target
    {
        return Ok(false);
    }
    if let Some(pattern) = &filter.action
        && !glob::matches(pattern, text("action")?)
    {
        return Ok(false);
    }
    if let Some(agent) = &filter.agent
        && text("agent")? != agent
    {
        return Ok(false);
    }
    is_visible(row, eyes)
}

/// Whether the run is of a pack and on a target that may be seen.
fn is_visible(row: &Row<'_>, eyes: Eyes<'_>) -> rusqlite::Result<bool> {
    let Eyes::Own(viewer) = eyes else { return Ok(true) };
    let text = |column| row.get_ref(column).map(|value| value.as_str_or_null().ok().flatten());
    let within = |patterns: &Option<Vec<String>>, name: &str| {
        patterns.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| glob::matches(pattern, name)))
    };
    let action = text("action")?.unwrap_or_default();
    let pack = action.split_once('.').map_or(action, |(pack, _)| pack);
    // A call that named no target and was refused was on none.
    Ok(within(&viewer.packs, pack) && text("target")?.is_none_or(|target| within(&viewer.targets, target)))
}

fn summary(row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    let state: String = row.get("state")?;
    Ok(RunSummary {
        run: row.get("run")?,
        state: state.parse().unwrap_or(RunState::Unknown),
        action: row.get("action")?,
        target: row.get("target")?,
        risk: row.get("risk")?,
        verdict: row.get("verdict")?,
        reason: row.get("reason")?,
        evidence: row.get("evidence")?,
        expected: row.get("expected")?,
        operation: row.get("operation")?,
        summary: row.get("summary")?,
        code: row.get("code")?,
        approval: row.get("approval")?,
        joined: row.get("joined")?,
        agent: row.get("agent")?,
        person: row.get("person")?,
        door: row.get("door")?,
        started: row.get("started")?,
        ended: row.get("ended")?,
        ms: row.get::<_, Option<i64>>("ms")?.map(i64::unsigned_abs),
        first_seq: row.get::<_, i64>("first_seq")?.unsigned_abs(),
        last_seq: row.get::<_, i64>("last_seq")?.unsigned_abs(),
    })
}

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}
