//! The queries for what is remembered of packs, and for named values.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows::{micros, timestamp};
use crate::store::{PackChange, PackFloor, PackVersion, Remembered, StoreError};

pub(super) fn floor(tx: &Connection, name: &str) -> Result<Option<PackFloor>, StoreError> {
    let found = tx
        .query_row("SELECT version, digest, since FROM pack_floors WHERE name = ?1", [name], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    found
        .map(|(version, digest, since)| {
            let pack = PackVersion { name: name.to_owned(), version, digest };
            Ok(PackFloor { pack, since: timestamp(since)? })
        })
        .transpose()
}

pub(super) fn floors(tx: &Connection) -> Result<Vec<PackFloor>, StoreError> {
    let mut statement = tx.prepare("SELECT name FROM pack_floors ORDER BY name")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(names.iter().map(|name| floor(tx, name)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

pub(super) fn remember(
    tx: &Connection,
    pack: &PackVersion,
    is_higher: &dyn Fn(&str, &str) -> bool,
    now: Timestamp,
) -> Result<Remembered, StoreError> {
    let remembered = match floor(tx, &pack.name)? {
        None => Remembered::First,
        Some(floor) if is_higher(&pack.version, &floor.pack.version) => Remembered::Raised { from: floor.pack },
        Some(floor) => Remembered::Kept { floor: floor.pack },
    };
    if let Remembered::Kept { .. } = remembered {
        // Seen is noted once for each component: hosts start far more often than packs change.
        let known: bool = tx.query_row(
            "SELECT EXISTS (SELECT 1 FROM pack_history WHERE name = ?1 AND version = ?2 AND digest = ?3)",
            params![pack.name, pack.version, pack.digest],
            |row| row.get(0),
        )?;
        if !known {
            note(tx, pack, "seen", "", "", now)?;
        }
    } else {
        set_floor(tx, pack, now)?;
        note(tx, pack, "raised", "", "", now)?;
    }
    Ok(remembered)
}

pub(super) fn reset(
    tx: &Connection,
    pack: &PackVersion,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    set_floor(tx, pack, now)?;
    note(tx, pack, "reset", by, reason, now)
}

pub(super) fn history(tx: &Connection, name: &str) -> Result<Vec<PackChange>, StoreError> {
    let mut statement =
        tx.prepare("SELECT version, digest, change, by, reason, at FROM pack_history WHERE name = ?1 ORDER BY seq")?;
    let mut rows = statement.query([name])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        changes.push(PackChange {
            pack: PackVersion { name: name.to_owned(), version: row.get(0)?, digest: row.get(1)? },
            change: row.get(2)?,
            by: row.get(3)?,
            reason: row.get(4)?,
            at: timestamp(row.get(5)?)?,
        });
    }
    Ok(changes)
}

fn set_floor(tx: &Connection, pack: &PackVersion, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO pack_floors (name, version, digest, since) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET version = excluded.version, digest = excluded.digest, since = excluded.since",
        params![pack.name, pack.version, pack.digest, micros(now)],
    )?;
    Ok(())
}

fn note(
    tx: &Connection,
    pack: &PackVersion,
    change: &str,
    by: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO pack_history (name, version, digest, change, by, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![pack.name, pack.version, pack.digest, change, by, reason, micros(now)],
    )?;
    Ok(())
}

pub(super) fn meta(tx: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(tx.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?)
}

pub(super) fn set_meta(tx: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [key, value],
    )?;
    Ok(())
}
