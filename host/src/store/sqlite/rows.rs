//! Between rows and the model. Whatever can't be read back exactly is an error, never a default.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use rusqlite::{Connection, Row, ToSql, named_params, params_from_iter};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    canonical::{canonical_json, canonical_object},
    store::{
        Approval, CastVote, Decision, Filter, LIST_LIMIT, NewApproval, REQUEST_LIMIT, Request, RequestDigest,
        Requester, StoreError,
    },
    value::Value,
};

/// The votes come along as JSON: one query, however many approvals.
const SELECT: &str = "SELECT a.*, (
    SELECT json_group_array(json_object('person', person, 'decision', decision, 'reason', reason, 'at', voted_at)
                            ORDER BY voted_at, person_key)
    FROM votes WHERE approval = a.id) AS votes FROM approvals a";

/// What people looked at a month ago is no ground for acting; and times stay far from where they overflow.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

pub(super) fn timestamp(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|error| StoreError::Corrupt(format!("a time: {error}")))
}

/// The time a while later, in whole microseconds as they are stored.
pub(super) fn later(time: Timestamp, by: Duration) -> i64 {
    micros(time).saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

pub(super) fn get(tx: &Connection, id: &str) -> Result<Option<Approval>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE a.id = ?1"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(read).transpose()
}

/// All that an SQL condition on `a` finds.
pub(super) fn find(tx: &Connection, condition: &str, params: &[&dyn ToSql]) -> Result<Vec<Approval>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE {condition}"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub(super) fn list(tx: &Connection, filter: &Filter) -> Result<Vec<Approval>, StoreError> {
    let mut sql = format!("{SELECT} WHERE a.created_at >= ? AND a.created_at < ?");
    let mut values: Vec<rusqlite::types::Value> =
        vec![filter.since.map_or(i64::MIN, micros).into(), filter.before.map_or(i64::MAX, micros).into()];
    if !filter.states.is_empty() {
        let places = vec!["?"; filter.states.len()].join(", ");
        sql.push_str(&format!(" AND a.state IN ({places})"));
        values.extend(filter.states.iter().map(|state| state.as_str().to_owned().into()));
    }
    sql.push_str(" ORDER BY a.created_at DESC, a.rowid DESC LIMIT ?");
    values.push(i64::from(filter.limit.unwrap_or(LIST_LIMIT).min(LIST_LIMIT)).into());

    let mut statement = tx.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub(super) fn insert(tx: &Connection, new: &NewApproval, now: Timestamp) -> Result<(), StoreError> {
    let request = &new.request;
    let not_finite = |value: &Value| matches!(value, Value::Number(number) if !number.is_finite());
    if let Some(pin) = request.pins.iter().find(|pin| not_finite(&pin.value)) {
        return Err(StoreError::Invalid(format!("pin `{}` is not a finite number", pin.name)));
    }
    if request.decide_within.is_zero() || request.execute_within.is_zero() || request.needed == 0 {
        return Err(StoreError::Invalid("it gives nobody a chance to decide or to execute".to_owned()));
    }
    if request.decide_within.max(request.execute_within) > LONGEST_WAIT {
        return Err(StoreError::Invalid("it gives more than thirty days to decide or to execute".to_owned()));
    }
    let arguments = canonical_object(&request.arguments);
    let pins = to_json(&request.pins)?;
    let evidence = canonical_json(&request.evidence);
    let said = [Some(&request.reason), request.agent_evidence.as_ref(), request.agent_expected.as_ref()];
    let said: usize = said.into_iter().flatten().map(String::len).sum();
    if arguments.len() + pins.len() + evidence.len() + said > REQUEST_LIMIT {
        return Err(StoreError::Invalid(format!("it is larger than {REQUEST_LIMIT} bytes")));
    }
    tx.prepare_cached(
        "INSERT INTO approvals (id, digest, nonce, run, agent, person, os_user, roles, door, action, pack_digest, risk,
             target, target_identity, arguments, reason, rule, policy_digest, pins, evidence, needed, approvers,
             execute_within, created_at, decide_by, agent_evidence, agent_expected, operation, reason_required)
         VALUES (:id, :digest, :nonce, :run, :agent, :person, :os_user, :roles, :door, :action, :pack_digest, :risk,
             :target, :target_identity, :arguments, :reason, :rule, :policy_digest, :pins, :evidence, :needed, :approvers,
             :execute_within, :created_at, :decide_by, :agent_evidence, :agent_expected, :operation, :reason_required)",
    )?
    .execute(named_params! {
        ":id": new.id,
        ":digest": new.digest.0,
        ":nonce": new.nonce,
        ":run": request.run,
        ":agent": request.requester.agent,
        ":person": request.requester.person,
        ":os_user": request.requester.os_user,
        ":roles": to_json(&request.requester.roles)?,
        ":door": request.requester.door,
        ":action": request.action,
        ":pack_digest": request.pack_digest,
        ":risk": request.risk,
        ":target": request.target,
        ":target_identity": request.target_identity,
        ":arguments": arguments,
        ":reason": request.reason,
        ":agent_evidence": request.agent_evidence,
        ":agent_expected": request.agent_expected,
        ":operation": request.operation,
        ":rule": request.rule,
        ":policy_digest": request.policy_digest,
        ":pins": pins,
        ":evidence": evidence,
        ":needed": request.needed,
        ":approvers": to_json(&request.approvers)?,
        ":reason_required": request.reason_required,
        ":execute_within": i64::try_from(request.execute_within.as_micros()).unwrap_or(i64::MAX),
        ":created_at": micros(now),
        ":decide_by": later(now, request.decide_within),
    })?;
    Ok(())
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Invalid(error.to_string()))
}

/// Reads JSON back; `what` it is, for people.
pub(super) fn from_text<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{what}: {error}")))
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    from_text(&row.get::<_, String>(column)?, &format!("{column} of an approval"))
}

fn optional_json(row: &Row<'_>, column: &str) -> Result<Option<serde_json::Value>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| StoreError::Corrupt(format!("{column} of an approval: {error}")))
}

fn time(row: &Row<'_>, column: &str) -> Result<Timestamp, StoreError> {
    timestamp(row.get(column)?)
}

fn optional_time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>, StoreError> {
    row.get::<_, Option<i64>>(column)?.map(timestamp).transpose()
}

#[derive(Deserialize)]
struct StoredVote {
    person: String,
    decision: Decision,
    reason: String,
    at: i64,
}

fn read(row: &Row<'_>) -> Result<Approval, StoreError> {
    let state: String = row.get("state")?;
    let created_at = time(row, "created_at")?;
    let decide_by = time(row, "decide_by")?;
    let votes = from_json::<Vec<StoredVote>>(row, "votes")?
        .into_iter()
        .map(|vote| {
            let StoredVote { person, decision, reason, at } = vote;
            Ok(CastVote { person, decision, reason, at: timestamp(at)? })
        })
        .collect::<Result<_, StoreError>>()?;
    let between = micros(decide_by).saturating_sub(micros(created_at));
    Ok(Approval {
        id: row.get("id")?,
        digest: RequestDigest(row.get("digest")?),
        nonce: row.get("nonce")?,
        request: Request {
            run: row.get("run")?,
            requester: Requester {
                agent: row.get("agent")?,
                person: row.get("person")?,
                os_user: row.get("os_user")?,
                roles: from_json::<BTreeSet<String>>(row, "roles")?,
                door: row.get("door")?,
            },
            action: row.get("action")?,
            pack_digest: row.get("pack_digest")?,
            risk: row.get("risk")?,
            target: row.get("target")?,
            target_identity: row.get("target_identity")?,
            arguments: from_json(row, "arguments")?,
            reason: row.get("reason")?,
            agent_evidence: row.get("agent_evidence")?,
            agent_expected: row.get("agent_expected")?,
            operation: row.get("operation")?,
            rule: row.get("rule")?,
            policy_digest: row.get("policy_digest")?,
            pins: from_json(row, "pins")?,
            evidence: from_json(row, "evidence")?,
            needed: row.get("needed")?,
            approvers: from_json(row, "approvers")?,
            reason_required: row.get("reason_required")?,
            decide_within: Duration::from_micros(u64::try_from(between).unwrap_or(0)),
            execute_within: Duration::from_micros(u64::try_from(row.get::<_, i64>("execute_within")?).unwrap_or(0)),
        },
        state: state
            .parse()
            .map_err(|()| StoreError::Corrupt(format!("an approval is in the unknown state `{state}`")))?,
        created_at,
        decide_by,
        execute_by: optional_time(row, "execute_by")?,
        decided_at: optional_time(row, "decided_at")?,
        decided_by: row.get("decided_by")?,
        decision_reason: row.get("decision_reason")?,
        votes,
        consumed_at: optional_time(row, "consumed_at")?,
        consumed_by: row.get("consumed_by")?,
        finished_at: optional_time(row, "finished_at")?,
        outcome: optional_json(row, "outcome")?,
        refusal: optional_json(row, "refusal")?,
    })
}
