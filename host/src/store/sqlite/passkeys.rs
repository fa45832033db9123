//! The queries for passkeys.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{
    accounts,
    rows::{micros, timestamp},
};
use crate::store::{AccountError, PASSKEY_LIMIT, StoreError, StoredPasskey};

pub(super) fn of(tx: &Connection, name: &str) -> Result<Vec<StoredPasskey>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT id, account, credential, label, data, added_at, last_used_at FROM passkeys WHERE account = ?1
         ORDER BY added_at, id",
    )?;
    let mut rows = statement.query([name])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub(super) fn add(tx: &Connection, new: &StoredPasskey) -> Result<(), AccountError> {
    accounts::enabled(tx, &new.account)?;
    let same: u32 =
        tx.query_row("SELECT count(*) FROM passkeys WHERE credential = ?1", [&new.credential], |row| row.get(0))?;
    if same > 0 {
        return Err(AccountError::PasskeyKnown);
    }
    let count: u32 =
        tx.query_row("SELECT count(*) FROM passkeys WHERE account = ?1", [&new.account], |row| row.get(0))?;
    if count >= PASSKEY_LIMIT {
        return Err(AccountError::TooMany { what: "passkeys", limit: PASSKEY_LIMIT });
    }
    tx.execute(
        "INSERT INTO passkeys (id, account, credential, label, data, added_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![new.id, new.account, new.credential, new.label, new.data, micros(new.added_at)],
    )?;
    Ok(())
}

pub(super) fn used(tx: &Connection, id: &str, data: &str, now: Timestamp) -> Result<(), StoreError> {
    tx.execute("UPDATE passkeys SET data = ?2, last_used_at = ?3 WHERE id = ?1", params![id, data, micros(now)])?;
    Ok(())
}

pub(super) fn remove(tx: &Connection, name: &str, id: &str) -> Result<bool, AccountError> {
    let admins = accounts::admins(tx)?;
    let removed = tx.execute("DELETE FROM passkeys WHERE id = ?1 AND account = ?2", params![id, name])?;
    accounts::still_administered(tx, admins, name)?;
    Ok(removed > 0)
}

fn read(row: &Row<'_>) -> Result<StoredPasskey, StoreError> {
    Ok(StoredPasskey {
        id: row.get(0)?,
        account: row.get(1)?,
        credential: row.get(2)?,
        label: row.get(3)?,
        data: row.get(4)?,
        added_at: timestamp(row.get(5)?)?,
        last_used_at: row.get::<_, Option<i64>>(6)?.map(timestamp).transpose()?,
    })
}
