//! The steps of a standing approval. Each runs inside one immediate transaction; the triggers of the schema repeat what is
//! checked here.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{
    approvals,
    rows::{from_text, micros, timestamp, to_json},
};
use crate::{
    canonical::canonical_json,
    store::{
        Beneficiary, LONGEST_STANDING, MOST_USES, NewStanding, NewUse, RequestDigest, StandingApproval, StandingCast,
        StandingError, StandingRevoked, StandingState, StandingUse, StandingVote, StoreError, Voter, says_nothing,
    },
};

const SELECT: &str = "SELECT s.*, (
    SELECT json_group_array(json_object('person', person, 'names', json(names), 'reason', reason, 'at', voted_at)
                            ORDER BY voted_at, person)
    FROM standing_votes WHERE standing = s.id) AS votes FROM standing_approvals AS s";

pub(super) fn propose(tx: &Connection, new: &NewStanding, now: Timestamp) -> Result<StandingApproval, StandingError> {
    let (id, grant) = (|| new.id.clone(), &new.grant);
    if new.proposed_by.trim().is_empty() {
        return Err(StandingError::Nobody { id: id() });
    }
    if says_nothing(&new.reason) {
        return Err(StandingError::ReasonRequired { id: id() });
    }
    let refuse = |why: &str| Err(StandingError::NotGrantable(why.to_owned()));
    if !matches!(grant.risk.as_str(), "low" | "medium" | "high") {
        return refuse("calls of critical risk are decided one by one");
    }
    if !(1..=MOST_USES).contains(&grant.uses) {
        return refuse("it lets through 1 to 1000 calls");
    }
    let within = i64::try_from(LONGEST_STANDING.as_micros()).unwrap_or(i64::MAX);
    if grant.until <= now || micros(grant.until).saturating_sub(micros(now)) > within {
        return refuse("it ends in the future, and within 90 days");
    }
    if grant.targets.is_empty() || grant.needed == 0 || grant.pack_digest.is_empty() || grant.action.is_empty() {
        return refuse("a target, an action, its pack and somebody who approves are missing");
    }
    let json = serde_json::to_value(grant).map_err(|error| StoreError::Invalid(error.to_string()))?;
    tx.execute(
        "INSERT INTO standing_approvals (id, digest, source, grant_json, action, risk, uses, until, needed, proposed_at,
             proposed_by, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            new.id,
            new.digest.0,
            new.source,
            canonical_json(&json),
            grant.action,
            grant.risk,
            grant.uses,
            micros(grant.until),
            grant.needed,
            micros(now),
            new.proposed_by.trim(),
            new.reason,
        ],
    )?;
    known(tx, &new.id)
}

pub(super) fn approve(tx: &Connection, vote: &StandingVote) -> Result<StandingApproval, StandingError> {
    let (id, voter) = (|| vote.id.clone(), &vote.voter);
    let person = || voter.person.trim().to_owned();
    let standing = known(tx, &vote.id)?;
    if standing.digest != vote.digest_shown {
        return Err(StandingError::DigestMismatch { id: id() });
    }
    is_in(&standing, vote.now, &[StandingState::Proposed])?;
    if voter.person.trim().is_empty() {
        return Err(StandingError::Nobody { id: id() });
    }
    if says_nothing(&vote.reason) {
        return Err(StandingError::ReasonRequired { id: id() });
    }
    let grant = &standing.grant;
    let refuse = |why: String| Err(StandingError::NotAnApprover { id: id(), person: person(), why });
    if !voter.is_admin {
        return refuse("an admin has to".to_owned());
    }
    if !grant.approvers.is_empty() && grant.approvers.is_disjoint(&voter.groups) {
        let groups = grant.approvers.iter().map(|group| format!("`{group}`")).collect::<Vec<_>>().join(", ");
        return refuse(format!("policy asks for one of the groups {groups}"));
    }
    if is_behind(tx, &standing, voter)? {
        return Err(StandingError::SelfApproval { id: id(), person: person() });
    }
    let keys = voter.keys();
    if standing.votes.iter().any(|cast| !cast.names.is_disjoint(&keys)) {
        return Err(StandingError::AlreadyVoted { id: id(), person: person() });
    }
    tx.execute(
        "INSERT INTO standing_votes (standing, person, names, reason, voted_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![vote.id, person(), to_json(&keys)?, vote.reason, micros(vote.now)],
    )?;
    for key in &keys {
        tx.execute("INSERT INTO standing_names (standing, name_key) VALUES (?1, ?2)", params![vote.id, key])?;
    }
    tx.execute(
        "UPDATE standing_approvals SET state = 'active', approved_at = ?2
         WHERE id = ?1 AND state = 'proposed' AND until > ?2
           AND needed <= (SELECT count(*) FROM standing_votes WHERE standing = ?1)",
        params![vote.id, micros(vote.now)],
    )?;
    known(tx, &vote.id)
}

/// Whether the voter is behind the request that it was made from, or is the one that it is for.
fn is_behind(tx: &Connection, standing: &StandingApproval, voter: &Voter) -> Result<bool, StandingError> {
    let source = approvals::known(tx, &standing.source)
        .map_err(|error| StoreError::Corrupt(format!("a standing approval without its request: {error}")))?;
    let keys = voter.keys();
    let profits = match &standing.grant.to {
        Beneficiary::Agent { agent, person } => [Some(agent), person.as_ref()]
            .into_iter()
            .flatten()
            .any(|name| keys.contains(&crate::store::person_key(name))),
        // Of a role it is found out for each use.
        Beneficiary::Role(_) => false,
    };
    Ok(profits || keys.iter().any(|key| source.request.requester.is_behind(key)))
}

pub(super) fn revoke(
    tx: &Connection,
    id: &str,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Result<StandingApproval, StandingError> {
    let standing = known(tx, id)?;
    if by.trim().is_empty() {
        return Err(StandingError::Nobody { id: id.to_owned() });
    }
    if says_nothing(reason) {
        return Err(StandingError::ReasonRequired { id: id.to_owned() });
    }
    // Also one that has run out: whoever looks later finds that somebody did not want it.
    is_in(
        &standing,
        now,
        &[StandingState::Proposed, StandingState::Active, StandingState::UsedUp, StandingState::Expired],
    )?;
    let changed = tx.execute(
        "UPDATE standing_approvals SET state = 'revoked', revoked_at = ?2, revoked_by = ?3, revoked_reason = ?4
         WHERE id = ?1 AND state IN ('proposed', 'active')",
        params![id, micros(now), by.trim(), reason],
    )?;
    if changed != 1 {
        return Err(inconsistent(id).into());
    }
    known(tx, id)
}

pub(super) fn claim_use(
    tx: &Connection,
    id: &str,
    digest: RequestDigest,
    new: &NewUse,
    now: Timestamp,
) -> Result<StandingApproval, StandingError> {
    let standing = known(tx, id)?;
    if standing.digest != digest {
        return Err(StandingError::DigestMismatch { id: id.to_owned() });
    }
    is_in(&standing, now, &[StandingState::Active])?;
    // The count is the database's own: a trigger adds one for each use, and refuses one that is not covered.
    let changed = tx.execute(
        "INSERT INTO standing_uses (standing, number, run, instance, agent, person, target, used_at)
         SELECT id, used + 1, ?2, ?3, ?4, ?5, ?6, ?7 FROM standing_approvals
          WHERE id = ?1 AND state = 'active' AND used < uses AND until > ?7",
        params![id, new.run, new.instance, new.agent, new.person, new.target, micros(now)],
    )?;
    if changed != 1 {
        return Err(inconsistent(id).into());
    }
    known(tx, id)
}

pub(super) fn get(tx: &Connection, id: &str) -> Result<Option<StandingApproval>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE s.id = ?1"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(read).transpose()
}

pub(super) fn all(tx: &Connection) -> Result<Vec<StandingApproval>, StoreError> {
    find(tx, "ORDER BY s.proposed_at DESC, s.rowid DESC", params![])
}

/// Those in force for an action, the one that ends first first: what would be lost is used first.
pub(super) fn active(tx: &Connection, action: &str, now: Timestamp) -> Result<Vec<StandingApproval>, StoreError> {
    find(
        tx,
        "WHERE s.state = 'active' AND s.action = ?1 AND s.until > ?2 AND s.used < s.uses ORDER BY s.until, s.rowid",
        params![action, micros(now)],
    )
}

pub(super) fn uses(tx: &Connection, id: &str) -> Result<Vec<StandingUse>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT number, run, agent, person, target, used_at FROM standing_uses WHERE standing = ?1 ORDER BY number",
    )?;
    let mut rows = statement.query([id])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(StandingUse {
            number: row.get(0)?,
            run: row.get(1)?,
            agent: row.get(2)?,
            person: row.get(3)?,
            target: row.get(4)?,
            at: timestamp(row.get(5)?)?,
        });
    }
    Ok(found)
}

fn known(tx: &Connection, id: &str) -> Result<StandingApproval, StandingError> {
    get(tx, id)?.ok_or_else(|| StandingError::Unknown { id: id.to_owned() })
}

fn is_in(standing: &StandingApproval, now: Timestamp, states: &[StandingState]) -> Result<(), StandingError> {
    let state = standing.state_at(now);
    if states.contains(&state) { Ok(()) } else { Err(StandingError::Closed { id: standing.id.clone(), state }) }
}

fn inconsistent(id: &str) -> StoreError {
    StoreError::Corrupt(format!("standing approval `{id}` changed inside a transaction that holds the write lock"))
}

fn find(tx: &Connection, rest: &str, params: impl rusqlite::Params) -> Result<Vec<StandingApproval>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} {rest}"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

#[derive(serde::Deserialize)]
struct StoredVote {
    person: String,
    names: std::collections::BTreeSet<String>,
    reason: String,
    at: i64,
}

fn read(row: &Row<'_>) -> Result<StandingApproval, StoreError> {
    let votes = from_text::<Vec<StoredVote>>(&row.get::<_, String>("votes")?, "the votes of a standing approval")?
        .into_iter()
        .map(|StoredVote { person, names, reason, at }| Ok(StandingCast { person, names, reason, at: timestamp(at)? }))
        .collect::<Result<_, StoreError>>()?;
    let time = |column: &str| row.get::<_, Option<i64>>(column)?.map(timestamp).transpose();
    let revoked = match time("revoked_at")? {
        Some(at) => Some(StandingRevoked { at, by: row.get("revoked_by")?, reason: row.get("revoked_reason")? }),
        None => None,
    };
    Ok(StandingApproval {
        id: row.get("id")?,
        digest: RequestDigest(row.get("digest")?),
        source: row.get("source")?,
        grant: from_text(&row.get::<_, String>("grant_json")?, "what a standing approval grants")?,
        proposed_at: timestamp(row.get("proposed_at")?)?,
        proposed_by: row.get("proposed_by")?,
        reason: row.get("reason")?,
        votes,
        approved_at: time("approved_at")?,
        used: row.get("used")?,
        revoked,
    })
}
