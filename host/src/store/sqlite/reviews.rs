//! The queries for looks at the evidence of a request.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::rows::{from_text, micros, timestamp, to_json};
use crate::{
    canonical::canonical_json,
    store::{EvidenceDigest, Finding, REVIEWS_KEPT, Review, StoreError, TransitionError},
};

const SELECT: &str =
    "SELECT id, approval, asked_at, answered_at, finding, why, digest, pins, evidence FROM reviews AS r";

/// One that nobody has answered and that is younger than this will do for whoever asks next.
const SHARED_FOR: i64 = 2_000_000;

pub(super) fn ask(tx: &Connection, new_id: &str, approval: &str, now: Timestamp) -> Result<Review, TransitionError> {
    let open: Option<bool> = tx
        .query_row("SELECT state = 'pending' FROM approvals WHERE id = ?1", [approval], |row| row.get(0))
        .optional()?;
    if open.is_none() {
        return Err(TransitionError::UnknownApproval { id: approval.to_owned() });
    }
    let shared: Option<String> = tx
        .query_row(
            "SELECT id FROM reviews WHERE approval = ?1 AND answered_at IS NULL AND claimed_by IS NULL AND asked_at > ?2",
            params![approval, micros(now) - SHARED_FOR],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(id) = shared {
        return Ok(known(tx, &id)?);
    }
    tx.execute(
        "DELETE FROM reviews WHERE approval = ?1
           AND NOT EXISTS (SELECT 1 FROM votes AS v WHERE v.approval = reviews.approval AND v.seen = reviews.digest)
           AND id NOT IN (SELECT id FROM reviews WHERE approval = ?1 ORDER BY asked_at DESC, id DESC LIMIT ?2)",
        params![approval, REVIEWS_KEPT - 1],
    )?;
    tx.execute(
        "INSERT INTO reviews (id, approval, asked_at) VALUES (?1, ?2, ?3)",
        params![new_id, approval, micros(now)],
    )?;
    Ok(known(tx, new_id)?)
}

/// Whether it is the instance's to answer: nobody else claimed it before.
pub(super) fn claim(tx: &Connection, id: &str, instance: &str) -> Result<bool, StoreError> {
    let changed = tx.execute(
        "UPDATE reviews SET claimed_by = ?2 WHERE id = ?1 AND claimed_by IS NULL AND answered_at IS NULL",
        params![id, instance],
    )?;
    Ok(changed == 1)
}

/// Answers one that the instance has claimed; says whether it was still open.
pub(super) fn answer(
    tx: &Connection,
    id: &str,
    instance: &str,
    finding: &Finding,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (word, why, digest, pins, evidence) = match finding {
        Finding::Looked { digest, pins, evidence } => {
            ("looked", None, Some(digest.0), Some(to_json(pins)?), Some(canonical_json(evidence)))
        }
        Finding::Gone { why } => ("gone", Some(why), None, None, None),
        Finding::Unavailable { why } => ("unavailable", Some(why), None, None, None),
    };
    let changed = tx.execute(
        "UPDATE reviews SET answered_at = ?3, finding = ?4, why = ?5, digest = ?6, pins = ?7, evidence = ?8
         WHERE id = ?1 AND claimed_by = ?2 AND answered_at IS NULL",
        params![id, instance, micros(now), word, why, digest, pins, evidence],
    )?;
    Ok(changed == 1)
}

/// Those that nobody has claimed, asked since a time, oldest first.
pub(super) fn open(tx: &Connection, since: Timestamp) -> Result<Vec<Review>, StoreError> {
    find(
        tx,
        "WHERE answered_at IS NULL AND claimed_by IS NULL AND asked_at >= ?1 ORDER BY asked_at, id LIMIT 100",
        params![micros(since)],
    )
}

pub(super) fn get(tx: &Connection, id: &str) -> Result<Option<Review>, StoreError> {
    Ok(find(tx, "WHERE id = ?1", params![id])?.pop())
}

/// Those of one approval, newest answer first; what is not answered comes last.
pub(super) fn of(tx: &Connection, approval: &str) -> Result<Vec<Review>, StoreError> {
    find(tx, "WHERE approval = ?1 ORDER BY answered_at DESC NULLS LAST, asked_at DESC, id DESC", params![approval])
}

fn known(tx: &Connection, id: &str) -> Result<Review, StoreError> {
    get(tx, id)?.ok_or_else(|| StoreError::Corrupt("a review that was just asked for is gone".to_owned()))
}

fn find(tx: &Connection, condition: &str, params: impl rusqlite::Params) -> Result<Vec<Review>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} {condition}"))?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Review, StoreError> {
    let word: Option<String> = row.get("finding")?;
    let why = || Ok::<_, StoreError>(row.get::<_, Option<String>>("why")?.unwrap_or_default());
    let finding = match word.as_deref() {
        None => None,
        Some("looked") => Some(Finding::Looked {
            digest: EvidenceDigest(row.get("digest")?),
            pins: from_text(&row.get::<_, String>("pins")?, "the pins of a review")?,
            evidence: from_text(&row.get::<_, String>("evidence")?, "the evidence of a review")?,
        }),
        Some("gone") => Some(Finding::Gone { why: why()? }),
        Some("unavailable") => Some(Finding::Unavailable { why: why()? }),
        Some(other) => return Err(StoreError::Corrupt(format!("a review found `{other}`"))),
    };
    let at = row.get::<_, Option<i64>>("answered_at")?.map(timestamp).transpose()?;
    Ok(Review {
        id: row.get("id")?,
        approval: row.get("approval")?,
        asked_at: timestamp(row.get("asked_at")?)?,
        answer: at.zip(finding),
    })
}
