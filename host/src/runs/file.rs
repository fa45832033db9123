//! The file of the index: opened when it is first needed, emptied when another version of lockgate made it, thrown away
//! when it is damaged. Also how far it has come on the record.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior, params};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::{RunsError, take::signed};
use crate::{
    audit::Place,
    store::{StoreError, sqlite},
};

/// The version of the tables, in the file's header. It goes up with every change of `schema.sql` and of what is taken from
/// a line.
const VERSION: i64 = 2;

/// How long a step waits for another process's. Each takes a fraction of a second; several may be ahead on a busy machine.
const BUSY: Duration = Duration::from_secs(30);

/// The file, while it is open.
#[derive(Debug)]
pub(super) struct IndexFile {
    path: PathBuf,
    open: Option<(Connection, u64)>,
}

impl IndexFile {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None }
    }

    /// The connection. A file that was deleted or replaced meanwhile is opened anew.
    pub(super) fn connection(&mut self) -> Result<&mut Connection, RunsError> {
        if self.open.as_ref().is_none_or(|(_, inode)| self.inode() != Some(*inode)) {
            self.open = None;
            let _alone = self.lock()?;
            self.open = Some(match self.open_file() {
                Err(error) if is_beyond_repair(&error) => {
                    tracing::warn!(%error, "the index of the record is made anew");
                    self.unlink()?;
                    self.open_file()?
                }
                opened => opened?,
            });
        }
        // Just put there.
        self.open.as_mut().map(|(connection, _)| connection).ok_or(RunsError::Unsteady)
    }

    /// Deletes the file that is open. Another process that has it open, too, notices at its next question.
    pub(super) fn remove(&mut self) -> Result<(), RunsError> {
        let _alone = self.lock()?;
        let ours = self.open.take().map(|(_, inode)| inode);
        // Another process may have been quicker: what is there now is not what we found damaged.
        if ours.is_none() || ours == self.inode() { self.unlink() } else { Ok(()) }
    }

    fn open_file(&self) -> Result<(Connection, u64), RunsError> {
        if self.inode().is_none() {
            // What belonged to a file that was deleted would be taken for the new one's.
            self.unlink()?;
        }
        let mut connection = sqlite::open_copy(&self.path)?;
        connection.busy_timeout(BUSY)?;
        make(&mut connection)?;
        let inode = self.inode().ok_or(RunsError::Unsteady)?;
        Ok((connection, inode))
    }

    fn unlink(&self) -> Result<(), RunsError> {
        for suffix in ["-wal", "-shm", ""] {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(unusable(Path::new(&path), &error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn inode(&self) -> Option<u64> {
        fs::symlink_metadata(&self.path).ok().map(|found| found.ino())
    }

    /// One process at a time opens or deletes: a file must not be opened between the deletion of it and of what is beside
    /// it (<https://sqlite.org/howtocorrupt.html>, section 2.4). Held until dropped.
    fn lock(&self) -> Result<File, RunsError> {
        let path = self.path.with_extension("lock");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
        let locked = opened.and_then(|file| flock(&file, FlockOperation::LockExclusive).map(|()| file));
        locked.map(File::from).map_err(|errno| unusable(&path, &errno.into()))
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> RunsError {
    RunsError::Index(StoreError::Path { path: path.to_owned(), problem: error.to_string() })
}

/// Whether only a new file helps: this one is damaged, or is no database.
pub(super) fn is_beyond_repair(error: &RunsError) -> bool {
    let RunsError::Index(StoreError::Sqlite(error)) = error else { return false };
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// The tables, whatever was there before.
fn make(connection: &mut Connection) -> Result<(), RunsError> {
    let version = |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    if version(connection)? == VERSION {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&tx)? != VERSION {
        let tables: Vec<String> = tx
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for table in tables {
            tx.execute_batch(&format!("DROP TABLE \"{}\"", table.replace('"', "\"\"")))?;
        }
        tx.execute_batch(include_str!("schema.sql"))?;
        tx.pragma_update(None, "user_version", VERSION)?;
    }
    tx.commit()?;
    Ok(())
}

/// How far the index has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Where the next line begins.
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// The last line; of length 0 before the first.
    pub(super) last: Place,
    pub(super) last_hash: [u8; 32],
    /// How many stood where a line should and were none.
    pub(super) passed_over: u64,
}

impl Position {
    pub(super) fn start() -> Self {
        let nowhere = Place { segment: 0, offset: 0, length: 0 };
        Self { segment: 0, offset: 0, last: nowhere, last_hash: [0; 32], passed_over: 0 }
    }
}

pub(super) fn position(connection: &Connection) -> rusqlite::Result<Option<Position>> {
    let number = |row: &rusqlite::Row<'_>, column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.unsigned_abs());
    connection
        .prepare_cached(
            "SELECT segment, offset, last_segment, last_offset, last_length, last_hash, passed_over FROM position",
        )?
        .query_row([], |row| {
            Ok(Position {
                segment: number(row, 0)?,
                offset: number(row, 1)?,
                last: Place { segment: number(row, 2)?, offset: number(row, 3)?, length: number(row, 4)? },
                last_hash: row.get(5)?,
                passed_over: number(row, 6)?,
            })
        })
        .optional()
}

pub(super) fn set_position(tx: &Connection, at: &Position) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO position (one, segment, offset, last_segment, last_offset, last_length, last_hash, passed_over)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        signed(at.segment),
        signed(at.offset),
        signed(at.last.segment),
        signed(at.last.offset),
        signed(at.last.length),
        at.last_hash,
        signed(at.passed_over),
    ])?;
    Ok(())
}

/// Empties the index, in one transaction of its own.
pub(super) fn start_over(connection: &mut Connection) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    forget(&tx)?;
    tx.commit()
}

/// Empties the index: all of the record is read anew. Part of a transaction.
pub(super) fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "DELETE FROM position; DELETE FROM runs; DELETE FROM approvals; DELETE FROM lines;
         DELETE FROM changes; DELETE FROM admitted;",
    )
}
