//! The schema, in numbered steps that are never edited once released. The triggers repeat in the database what the code
//! promises (terminal states stay, what was asked for stays, nothing is deleted), for whatever else may open the file.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use crate::store::StoreError;

/// `LkGt`, in the file's header, tells our file from another program's (<https://sqlite.org/fileformat2.html>, 1.3.16).
const APPLICATION_ID: i32 = 0x4c6b_4774;

const MIGRATIONS: &[&str] = &[include_str!("migration_1.sql")];

/// Brings the schema up to date, in one transaction, whoever else is doing the same.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: i32 = tx.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let objects: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let found = match (application, objects) {
        (APPLICATION_ID, _) => {
            tx.query_row("SELECT coalesce(max(version), 0) FROM migrations", [], |row| row.get(0))?
        }
        (0, 0) => 0,
        _ => return Err(StoreError::Foreign { path: path.to_owned() }),
    };
    if found > known {
        return Err(StoreError::SchemaNewer { found, known });
    }
    if found == 0 {
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.execute_batch(
            "CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT;",
        )?;
    }
    for (version, step) in (1_i64..).zip(MIGRATIONS) {
        if version > found {
            tx.execute_batch(step)?;
            tx.execute(
                "INSERT INTO migrations (version, applied_at) VALUES (?1, ?2)",
                (version, Timestamp::now().as_microsecond()),
            )?;
        }
    }
    tx.commit()?;
    Ok(())
}
