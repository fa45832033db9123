//! The queries for people's sessions.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    accounts, api_tokens,
    rows::{later, micros, timestamp},
};
use crate::store::{Account, AccountError, Method, NewSession, SESSION_LIMIT, Session, SessionLimits, StoreError};

const SELECT: &str = "SELECT id, account, method, address, agent, began_at, seen_at, confirmed_at FROM sessions";

/// A use is noted when the last note is so old: pages come in bursts, and each note is a write.
const NOTED_EVERY: Duration = Duration::from_secs(30);
/// Sessions that have ended are kept for so long, for whoever looks into what happened.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(super) fn open(
    tx: &Connection,
    new: &NewSession,
    instead_of: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<Session, AccountError> {
    let account = accounts::enabled(tx, &new.account)?.name;
    tx.execute("DELETE FROM sessions WHERE ended_at < ?1", [micros(now) - later(Timestamp::UNIX_EPOCH, KEPT)])?;
    if let Some(sha256) = instead_of {
        tx.execute(
            "UPDATE sessions SET ended_at = ?2, ended_why = 'another login of the same browser'
             WHERE sha256 = ?1 AND ended_at IS NULL",
            params![sha256, micros(now)],
        )?;
    }
    tx.execute(
        "UPDATE sessions SET ended_at = ?2, ended_why = 'too many sessions' WHERE id IN (
             SELECT id FROM sessions WHERE account = ?1 AND ended_at IS NULL ORDER BY seen_at DESC LIMIT -1 OFFSET ?3)",
        params![account, micros(now), SESSION_LIMIT - 1],
    )?;
    tx.execute(
        "INSERT INTO sessions (id, sha256, account, method, address, agent, began_at, seen_at, confirmed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
        params![
            new.id,
            new.sha256,
            account,
            new.method.as_str(),
            new.address,
            new.agent,
            micros(now),
            micros(new.confirmed_at)
        ],
    )?;
    tx.execute("UPDATE accounts SET last_login_at = ?2 WHERE name = ?1", params![account, micros(now)])?;
    let made = tx.query_row(&format!("{SELECT} WHERE id = ?1"), [&new.id], |row| Ok(read(row)))?;
    Ok(made?)
}

pub(super) fn get(
    tx: &Connection,
    sha256: &[u8; 32],
    limits: SessionLimits,
    now: Timestamp,
) -> Result<Option<(Session, Account)>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE sha256 = ?1 AND ended_at IS NULL"))?;
    let Some(session) = statement.query_row([sha256], |row| Ok(read(row))).optional()?.transpose()? else {
        return Ok(None);
    };
    if !is_open(&session, limits, now) {
        return Ok(None);
    }
    let account = accounts::get(tx, &session.account)?.filter(|account| account.disabled.is_none());
    Ok(account.map(|account| (session, account)))
}

pub(super) fn is_still_open(
    tx: &Connection,
    id: &str,
    limits: SessionLimits,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE id = ?1 AND ended_at IS NULL"))?;
    let session = statement.query_row([id], |row| Ok(read(row))).optional()?.transpose()?;
    Ok(session.is_some_and(|session| is_open(&session, limits, now)))
}

/// Whether a use now is worth a note.
pub(super) fn is_news(session: &Session, now: Timestamp) -> bool {
    micros(now) >= later(session.seen_at, NOTED_EVERY)
}

pub(super) fn seen(tx: &Connection, id: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE sessions SET seen_at = max(seen_at, ?2) WHERE id = ?1 AND ended_at IS NULL";
    tx.execute(sql, params![id, micros(now)])?;
    Ok(())
}

pub(super) fn confirm(tx: &Connection, id: &str, sha256: &[u8; 32], now: Timestamp) -> Result<(), AccountError> {
    let changed = tx.execute(
        "UPDATE sessions SET sha256 = ?2, confirmed_at = ?3, seen_at = ?3 WHERE id = ?1 AND ended_at IS NULL",
        params![id, sha256, micros(now)],
    )?;
    if changed == 1 { Ok(()) } else { Err(AccountError::SessionEnded) }
}

pub(super) fn of(
    tx: &Connection,
    name: &str,
    limits: SessionLimits,
    now: Timestamp,
) -> Result<Vec<Session>, StoreError> {
    let mut statement =
        tx.prepare_cached(&format!("{SELECT} WHERE account = ?1 AND ended_at IS NULL ORDER BY seen_at DESC, id"))?;
    let mut rows = statement.query([name])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let session = read(row)?;
        if is_open(&session, limits, now) {
            found.push(session);
        }
    }
    Ok(found)
}

pub(super) fn end(tx: &Connection, name: &str, id: &str, why: &str, now: Timestamp) -> Result<bool, StoreError> {
    let changed = tx.execute(
        "UPDATE sessions SET ended_at = ?3, ended_why = ?4 WHERE id = ?1 AND account = ?2 AND ended_at IS NULL",
        params![id, name, micros(now), why],
    )?;
    Ok(changed > 0)
}

pub(super) fn end_all(
    tx: &Connection,
    name: &str,
    but: Option<&str>,
    why: &str,
    now: Timestamp,
) -> Result<usize, StoreError> {
    api_tokens::end_all(tx, name, why, now)?;
    Ok(tx.execute(
        "UPDATE sessions SET ended_at = ?3, ended_why = ?4 WHERE account = ?1 AND ended_at IS NULL AND id IS NOT ?2",
        params![name, but, micros(now), why],
    )?)
}

fn is_open(session: &Session, limits: SessionLimits, now: Timestamp) -> bool {
    micros(now) < later(session.seen_at, limits.idle) && micros(now) < later(session.began_at, limits.absolute)
}

fn read(row: &Row<'_>) -> Result<Session, StoreError> {
    let method: String = row.get(2)?;
    Ok(Session {
        id: row.get(0)?,
        account: row.get(1)?,
        method: Method::ALL
            .into_iter()
            .find(|known| known.as_str() == method)
            .ok_or_else(|| StoreError::Corrupt(format!("a way to log in: `{method}`")))?,
        address: row.get(3)?,
        agent: row.get(4)?,
        began_at: timestamp(row.get(5)?)?,
        seen_at: timestamp(row.get(6)?)?,
        confirmed_at: timestamp(row.get(7)?)?,
    })
}
