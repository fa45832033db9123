//! The queries for people's tokens.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    SqliteStore, accounts,
    rows::{later, micros, timestamp},
};
use crate::store::{
    API_TOKEN_LIMIT, Account, AccountError, ApiToken, ApiTokens, LONGEST_API_TOKEN, NewApiToken, StoreError,
};

const SELECT: &str = "SELECT id, account, label, created_at, expires_at, last_used_at FROM api_tokens";

/// A use is noted when the last note is so old: each note is a write.
const NOTED_EVERY: Duration = Duration::from_secs(30);

impl ApiTokens for SqliteStore {
    fn create_api_token(&self, new: &NewApiToken, now: Timestamp) -> Result<ApiToken, AccountError> {
        self.write(|tx| create(tx, new, now))
    }

    fn api_tokens_of(&self, name: &str, now: Timestamp) -> Result<Vec<ApiToken>, StoreError> {
        self.read(|tx| of(tx, name, now))
    }

    fn api_token(&self, sha256: &[u8; 32], now: Timestamp) -> Result<Option<(ApiToken, Account)>, StoreError> {
        let found = self.read(|tx| get(tx, sha256, now))?;
        if let Some((token, _)) = &found
            && token.last_used_at.is_none_or(|last| micros(now) >= later(last, NOTED_EVERY))
        {
            self.write(|tx| {
                let sql = "UPDATE api_tokens SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1";
                tx.execute(sql, params![token.id, micros(now)])
            })?;
        }
        Ok(found)
    }

    fn end_api_token(&self, name: &str, id: &str, why: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|tx| {
            let sql = "UPDATE api_tokens SET ended_at = ?3, ended_why = ?4
                       WHERE id = ?1 AND account = ?2 AND ended_at IS NULL AND expires_at > ?3";
            Ok(tx.execute(sql, params![id, name, micros(now), why])? > 0)
        })
    }
}

/// Ends all of an account.
pub(super) fn end_all(tx: &Connection, name: &str, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE api_tokens SET ended_at = ?2, ended_why = ?3 WHERE account = ?1 AND ended_at IS NULL";
    tx.execute(sql, params![name, micros(now), why])?;
    Ok(())
}

fn create(tx: &Connection, new: &NewApiToken, now: Timestamp) -> Result<ApiToken, AccountError> {
    if new.valid.is_zero() || new.valid > LONGEST_API_TOKEN {
        return Err(StoreError::Invalid("a token is valid for some time and for at most 90 days".to_owned()).into());
    }
    let account = accounts::enabled(tx, &new.account)?.name;
    if of(tx, &account, now)?.len() >= API_TOKEN_LIMIT as usize {
        return Err(AccountError::TooMany { what: "tokens for the command line", limit: API_TOKEN_LIMIT });
    }
    tx.execute(
        "INSERT INTO api_tokens (id, sha256, account, label, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![new.id, new.sha256, account, new.label, micros(now), later(now, new.valid)],
    )?;
    let made = tx.query_row(&format!("{SELECT} WHERE id = ?1"), [&new.id], |row| Ok(read(row)))?;
    Ok(made?)
}

fn of(tx: &Connection, name: &str, now: Timestamp) -> Result<Vec<ApiToken>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE account = ?1 AND ended_at IS NULL AND expires_at > ?2 ORDER BY created_at DESC, rowid DESC"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query(params![name, micros(now)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn get(tx: &Connection, sha256: &[u8; 32], now: Timestamp) -> Result<Option<(ApiToken, Account)>, StoreError> {
    let sql = format!("{SELECT} WHERE sha256 = ?1 AND ended_at IS NULL AND expires_at > ?2");
    let mut statement = tx.prepare_cached(&sql)?;
    let found = statement.query_row(params![sha256, micros(now)], |row| Ok(read(row))).optional()?.transpose()?;
    let Some(token) = found else { return Ok(None) };
    let account = accounts::get(tx, &token.account)?.filter(|account| account.disabled.is_none());
    Ok(account.map(|account| (token, account)))
}

fn read(row: &Row<'_>) -> Result<ApiToken, StoreError> {
    let last: Option<i64> = row.get(5)?;
    Ok(ApiToken {
        id: row.get(0)?,
        account: row.get(1)?,
        label: row.get(2)?,
        created_at: timestamp(row.get(3)?)?,
        expires_at: timestamp(row.get(4)?)?,
        last_used_at: last.map(timestamp).transpose()?,
    })
}
