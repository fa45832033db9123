//! The schema, in numbered steps that are never edited once released. The triggers repeat in the database what the code
//! promises (terminal states stay, what was asked for stays, nothing is deleted), for whatever else may open the file.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use crate::store::StoreError;

/// `LkGt`, in the file's header, tells our file from another program's (<https://sqlite.org/fileformat2.html>, 1.3.16).
const APPLICATION_ID: i32 = 0x4c6b_4774;

const MIGRATIONS: &[&str] = &[
    include_str!("migration_1.sql"),
    include_str!("migration_2.sql"),
    include_str!("migration_3.sql"),
    include_str!("migration_4.sql"),
    include_str!("migration_5.sql"),
    include_str!("migration_6.sql"),
    include_str!("migration_7.sql"),
];

/// Refuses a file that is not ours to use, before anything of it is changed.
pub(super) fn check(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    // One transaction: another process may be making the schema between two looks.
    let tx = connection.transaction()?;
    found(&tx, path).map(drop)
}

/// Brings the schema up to date, in one transaction, whoever else is doing the same.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = found(&tx, path)?;
    if found == 0 {
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.execute_batch("CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT;")?;
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

// The schema's version: 0 for a new file.
fn found(tx: &Connection, path: &Path) -> Result<i64, StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let application: i32 = tx.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let objects: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let found = match (application, objects) {
        (APPLICATION_ID, _) => {
            tx.query_row("SELECT coalesce(max(version), 0) FROM migrations", [], |row| row.get(0))?
        }
        (0, 0) => 0,
        _ => {
            return Err(StoreError::Foreign { path: path.to_owned() });
        }
    };
    if found > known { Err(StoreError::SchemaNewer { found, known }) } else { Ok(found) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, thread};

    use super::*;
    use crate::store::{SqliteStore, Store as _, testing::state_directory};

    fn raw(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        connection
    }

    fn versions(path: &PathBuf) -> Vec<i64> {
        let connection = Connection::open(path).unwrap();
        let mut statement = connection.prepare("SELECT version FROM migrations ORDER BY version").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn each_step_is_applied_once_however_many_open_it_at_once() {
        let state = state_directory();
        let path = state.path().join("lockgate.db");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| SqliteStore::open(&path).unwrap());
            }
        });
        drop(SqliteStore::open(&path).unwrap());
        assert_eq!(versions(&path), (1..=i64::try_from(MIGRATIONS.len()).unwrap()).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_file_becomes_a_store() {
        let state = state_directory();
        let path = state.path().join("lockgate.db");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        drop(SqliteStore::open(&path).unwrap());
        assert_eq!(versions(&path), (1..=i64::try_from(MIGRATIONS.len()).unwrap()).collect::<Vec<_>>());
    }

    #[test]
    fn the_file_of_an_earlier_lockgate_keeps_what_it_has() {
        let state = state_directory();
        let path = state.path().join("lockgate.db");
        let mut earlier = raw(&path);
        let tx = earlier.transaction().unwrap();
        tx.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        tx.execute_batch(MIGRATIONS[0]).unwrap();
        tx.execute_batch(
            "CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT;
             INSERT INTO migrations VALUES (1, 0);
             INSERT INTO approvals (id, digest, nonce, run, agent, roles, door, action, pack_digest, risk, target,
                 target_identity, arguments, reason, rule, policy_digest, pins, evidence, needed, approvers, execute_within,
                 created_at, decide_by)
             VALUES ('apr_1', zeroblob(32), zeroblob(32), 'run_1', 'pager-bot', '[]', 'stdio', 'a.b', 'aa', 'high', 't', 't/1',
                 '{}', 'a good reason', 'a rule', 'bb', '[]', '{}', 1, '[]', 1000000, 0, 1000000)",
        )
        .unwrap();
        tx.commit().unwrap();
        drop(earlier);
        let store = SqliteStore::open(&path).unwrap();
        let approval = store.get("apr_1").unwrap().unwrap();
        assert_eq!((approval.request.reason.as_str(), approval.request.operation), ("a good reason", None));
        assert!(!approval.request.reason_required);
        assert_eq!(store.expire_due(Timestamp::now()).unwrap().len(), 1, "and goes on with it");
        assert_eq!(versions(&path).len(), MIGRATIONS.len());
    }

    #[test]
    fn the_file_of_a_later_lockgate_is_left_alone() {
        let state = state_directory();
        let path = state.path().join("lockgate.db");
        drop(SqliteStore::open(&path).unwrap());
        raw(&path).execute("INSERT INTO migrations (version, applied_at) VALUES (99, 0)", []).unwrap();
        assert!(matches!(SqliteStore::open(&path), Err(StoreError::SchemaNewer { found: 99, .. })));
    }

    #[test]
    fn the_file_of_another_program_is_left_alone() {
        let state = state_directory();
        let path = state.path().join("other.db");
        raw(&path).execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 7;").unwrap();
        let before = fs::read(&path).unwrap();
        assert!(matches!(SqliteStore::open(&path), Err(StoreError::Foreign { .. })));
        assert_eq!(fs::read(&path).unwrap(), before, "not one byte of it is changed");

        let text = state.path().join("notes.txt");
        fs::write(&text, "not a database at all, but a longer text than a header has".repeat(4)).unwrap();
        fs::set_permissions(&text, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(SqliteStore::open(&text).is_err());
    }
}
