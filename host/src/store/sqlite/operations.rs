//! The transitions of an operation. Each runs inside one immediate transaction and names, in its own `UPDATE`, the run and
//! the state that it may leave, so that a process that was taken for dead can't go on with what another has taken over.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::rows::{micros, timestamp};
use crate::{
    canonical::canonical_json,
    store::{
        FactsDigest, NewOperation, OPERATIONS_KEPT, Operation, OperationKey, OperationState, RESULT_LIMIT, StoreError,
    },
};

/// How many old answers one claim removes at most: what is left over is the next one's.
const PRUNED_AT_ONCE: u32 = 500;

/// What a claim found, before it is committed.
pub(super) enum Found {
    Free { instead_of: Option<String> },
    Known(Box<Operation>),
}

pub(super) fn get(tx: &Connection, key: &OperationKey) -> Result<Option<Operation>, StoreError> {
    let mut statement = tx.prepare_cached("SELECT * FROM operations WHERE agent = ?1 AND id = ?2 AND person IS ?3")?;
    let mut rows = statement.query(params![key.agent, key.id, key.person])?;
    rows.next()?.map(read).transpose()
}

pub(super) fn running(tx: &Connection) -> Result<Vec<Operation>, StoreError> {
    let mut statement = tx.prepare_cached("SELECT * FROM operations WHERE state = 'running' ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub(super) fn claim(
    tx: &Connection,
    new: &NewOperation,
    is_alive: &dyn Fn(&str) -> bool,
    now: Timestamp,
) -> Result<Found, StoreError> {
    prune(tx, now, new.keep)?;
    let Some(known) = get(tx, &new.key)? else {
        make_room(tx, &new.key.agent)?;
        tx.prepare_cached(
            "INSERT INTO operations (agent, person, id, run, instance, action, target, facts, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            new.key.agent,
            new.key.person,
            new.key.id,
            new.run,
            new.instance,
            new.action,
            new.target,
            new.facts.0,
            micros(now)
        ])?;
        return Ok(Found::Free { instead_of: None });
    };
    // An operation that was kept too long is gone for whoever asks, removed or not.
    if known.ended_at.is_some_and(|ended| micros(ended) <= earliest_kept(now, new.keep)) {
        tx.execute("DELETE FROM operations WHERE run = ?1 AND state = 'done'", [&known.run])?;
        return claim(tx, new, is_alive, now);
    }
    let lost = known.state == OperationState::Running && !known.begun && !is_alive(&known.instance);
    if known.facts != new.facts || !lost {
        return Ok(Found::Known(Box::new(known)));
    }
    let changed = tx.execute(
        "UPDATE operations SET run = ?3, instance = ?4, created_at = ?5
         WHERE run = ?1 AND instance = ?2 AND state = 'running' AND NOT begun",
        params![known.run, known.instance, new.run, new.instance, micros(now)],
    )?;
    once(&known.run, changed)?;
    Ok(Found::Free { instead_of: Some(known.run) })
}

pub(super) fn begin(tx: &Connection, run: &str, instance: &str) -> Result<(), StoreError> {
    let changed = tx.execute(
        "UPDATE operations SET begun = 1 WHERE run = ?1 AND instance = ?2 AND state = 'running'",
        [run, instance],
    )?;
    once(run, changed)
}

/// From running to waiting for people; in the transaction that makes or joins the request.
pub(super) fn held(tx: &Connection, run: &str, approval: &str) -> Result<(), StoreError> {
    let changed = tx.execute(
        "UPDATE operations SET state = 'held', approval = ?2 WHERE run = ?1 AND state = 'running'",
        [run, approval],
    )?;
    once(run, changed)
}

pub(super) fn finish(
    tx: &Connection,
    run: &str,
    instance: &str,
    result: &serde_json::Value,
    now: Timestamp,
) -> Result<(), StoreError> {
    let result = canonical_json(result);
    if result.len() > RESULT_LIMIT {
        return Err(StoreError::Invalid(format!("the answer of run `{run}` is larger than {RESULT_LIMIT} bytes")));
    }
    let changed = tx.execute(
        "UPDATE operations SET state = 'done', result = ?3, ended_at = ?4
         WHERE run = ?1 AND instance = ?2 AND state = 'running'",
        params![run, instance, result, micros(now)],
    )?;
    if changed == 0 && is_finished_so(tx, run, instance, &result)? {
        return Ok(());
    }
    once(run, changed)
}

/// Whether it was written before by somebody who could not be told so.
fn is_finished_so(tx: &Connection, run: &str, instance: &str, result: &str) -> Result<bool, StoreError> {
    let found = tx.query_row(
        "SELECT 1 FROM operations WHERE run = ?1 AND instance = ?2 AND state = 'done' AND result = ?3",
        [run, instance, result],
        |_| Ok(()),
    );
    Ok(found.optional()?.is_some())
}

pub(super) fn release(tx: &Connection, run: &str, instance: &str) -> Result<bool, StoreError> {
    let gone = tx.execute(
        "DELETE FROM operations WHERE run = ?1 AND instance = ?2 AND state = 'running' AND NOT begun",
        [run, instance],
    )?;
    Ok(gone == 1)
}

fn prune(tx: &Connection, now: Timestamp, keep: Duration) -> Result<(), StoreError> {
    tx.prepare_cached(
        "DELETE FROM operations WHERE seq IN
             (SELECT seq FROM operations WHERE state = 'done' AND ended_at <= ?1 ORDER BY ended_at LIMIT ?2)",
    )?
    .execute(params![earliest_kept(now, keep), PRUNED_AT_ONCE])?;
    Ok(())
}

fn make_room(tx: &Connection, agent: &str) -> Result<(), StoreError> {
    let kept: u32 = tx
        .prepare_cached("SELECT count(*) FROM operations WHERE agent = ?1 AND state = 'done'")?
        .query_row([agent], |row| row.get(0))?;
    let over = (kept + 1).saturating_sub(OPERATIONS_KEPT);
    if over > 0 {
        tx.execute(
            "DELETE FROM operations WHERE seq IN
                 (SELECT seq FROM operations WHERE agent = ?1 AND state = 'done' ORDER BY ended_at, seq LIMIT ?2)",
            params![agent, over],
        )?;
    }
    Ok(())
}

fn earliest_kept(now: Timestamp, keep: Duration) -> i64 {
    micros(now).saturating_sub(i64::try_from(keep.as_micros()).unwrap_or(i64::MAX))
}

fn once(run: &str, changed: usize) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(StoreError::OperationLost { run: run.to_owned() }) }
}

fn read(row: &Row<'_>) -> Result<Operation, StoreError> {
    let corrupt = |what: String| StoreError::Corrupt(format!("an operation: {what}"));
    let state = match row.get::<_, String>("state")?.as_str() {
        "running" => OperationState::Running,
        "held" => OperationState::Held,
        "done" => OperationState::Done,
        other => return Err(corrupt(format!("it is in the unknown state `{other}`"))),
    };
    let result: Option<String> = row.get("result")?;
    let result = result.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| corrupt(e.to_string()))?;
    Ok(Operation {
        key: OperationKey { agent: row.get("agent")?, person: row.get("person")?, id: row.get("id")? },
        run: row.get("run")?,
        instance: row.get("instance")?,
        action: row.get("action")?,
        target: row.get("target")?,
        facts: FactsDigest(row.get("facts")?),
        state,
        begun: row.get("begun")?,
        approval: row.get("approval")?,
        result,
        created_at: timestamp(row.get("created_at")?)?,
        ended_at: row.get::<_, Option<i64>>("ended_at")?.map(timestamp).transpose()?,
    })
}
