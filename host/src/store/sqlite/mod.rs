//! The embedded store: one SQLite file (WAL, `synchronous=FULL`), shared safely by several processes of one machine. Every
//! write is one `BEGIN IMMEDIATE` transaction, so what it checked is still so when it commits.

mod accounts;
mod api_tokens;
mod approvals;
pub(super) mod files;
mod operations;
mod outbox;
mod packs;
mod passkeys;
mod people;
mod reviews;
mod rows;
mod schema;
mod sessions;
mod standing;
mod tokens;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, config::DbConfig};

use super::{
    Approval, BeforeCommit, ChangeMark, Claim, ClaimedOperation, ClaimedUse, ConsumedApproval, Creation, Filter,
    Finding, NewApproval, NewOperation, NewStanding, NewToken, NewUse, Operation, OperationKey, PackChange, PackFloor,
    PackVersion, Remembered, RequestDigest, Requester, Review, Revoked, StandingApproval, StandingError, StandingUse,
    StandingVote, State, Store, StoreError, Terminal, Token, TransitionError, Vote, random_id,
};

/// How long a write waits for another process's write: each takes about a millisecond, so this is a stuck disk.
const BUSY: Duration = Duration::from_secs(5);

/// One thread at a time opens: between making a file and closing it, no other connection of this process may hold locks on
/// it (see [`files::prepare`]).
static OPENING: Mutex<()> = Mutex::new(());

/// The embedded store.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Mutex<Connection>,
    // A commit waits for the disk, and some steps for the record besides. Whoever only reads does not wait for that: with a
    // write-ahead log they see what was committed last.
    reader: Mutex<Connection>,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens the file, making it (0600) and its directory (0700) where they are missing, and brings its schema up to date.
    ///
    /// # Errors
    /// If others may write to the directory or the file, if the file is another program's or a later lockgate's, or if
    /// SQLite can't open it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let _one = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut connection, path) = connect(path)?;
        schema::check(&mut connection, &path)?;
        use_wal(&connection)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        schema::migrate(&mut connection, &path)?;
        let reader = open_prepared(&path)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Self { writer: Mutex::new(connection), reader: Mutex::new(reader), path })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read<T, E: From<rusqlite::Error>>(&self, step: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        // One transaction, so that several reads see one state of the file.
        let mut connection = lock(&self.reader);
        let tx = connection.transaction()?;
        step(&tx)
    }

    fn write<T, E: From<rusqlite::Error>>(&self, step: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = lock(&self.writer);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = step(&tx)?;
        tx.commit()?;
        Ok(result)
    }
}

// A panic while the lock was held rolled its transaction back; the connection itself is sound.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SqliteStore {
    /// One step of a standing approval, on the record before it is committed.
    fn write_standing(
        &self,
        record: BeforeCommit<'_, StandingApproval>,
        step: impl FnOnce(&Transaction<'_>) -> Result<StandingApproval, StandingError>,
    ) -> Result<StandingApproval, StandingError> {
        self.write(|tx| {
            let standing = step(tx)?;
            record(&standing)?;
            Ok(standing)
        })
    }
}

/// A file of its own for what can be made anew from elsewhere: as private and as shared as the store, and a commit is not
/// awaited to be on the disk.
pub(crate) fn open_copy(path: &Path) -> Result<Connection, StoreError> {
    let _one = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    let (connection, _) = connect(path)?;
    use_wal(&connection)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<(Connection, PathBuf), StoreError> {
    let path = files::prepare(path)?;
    Ok((open_prepared(&path)?, path))
}

/// Opens a file that is there and was looked at.
fn open_prepared(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(connection)
}

// Changing to WAL can answer *busy* at once, without waiting, when two processes make the same new file.
fn use_wal(connection: &Connection) -> Result<(), StoreError> {
    let give_up = Instant::now() + BUSY;
    loop {
        let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(StoreError::Invalid(format!(
                    "this file system gives SQLite no write-ahead log (it offers `{mode}`): use a local directory"
                )));
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

impl Store for SqliteStore {
    fn create_recorded(
        &self,
        new: NewApproval,
        record: BeforeCommit<'_, Creation>,
        now: Timestamp,
    ) -> Result<Creation, TransitionError> {
        self.write(|tx| {
            let creation = approvals::create(tx, &new, now)?;
            if new.request.operation.is_some() {
                let (Creation::Created { approval, .. } | Creation::Joined(approval)) = &creation;
                operations::held(tx, &new.request.run, &approval.id)?;
            }
            record(&creation)?;
            Ok(creation)
        })
    }

    fn get(&self, id: &str) -> Result<Option<Approval>, StoreError> {
        self.read(|tx| rows::get(tx, id))
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Approval>, StoreError> {
        self.read(|tx| rows::list(tx, filter))
    }

    fn vote_recorded(&self, vote: &Vote, record: BeforeCommit<'_, Approval>) -> Result<Approval, TransitionError> {
        self.write(|tx| {
            let approval = approvals::vote(tx, vote)?;
            record(&approval)?;
            Ok(approval)
        })
    }

    fn consume(
        &self,
        id: &str,
        digest: RequestDigest,
        instance: &str,
        now: Timestamp,
    ) -> Result<ConsumedApproval, TransitionError> {
        let approval = self.write(|tx| approvals::consume(tx, id, digest, instance, now))?;
        Ok(ConsumedApproval::new(approval, instance.to_owned()))
    }

    fn finish(&self, consumed: &ConsumedApproval, end: &Terminal, now: Timestamp) -> Result<Approval, TransitionError> {
        self.write(|tx| approvals::finish(tx, consumed, end, now))
    }

    fn withdraw(&self, id: &str, by: &Requester, now: Timestamp) -> Result<Approval, TransitionError> {
        self.write(|tx| approvals::withdraw(tx, id, by, now))
    }

    fn supersede(&self, id: &str, why: &str, now: Timestamp) -> Result<Approval, TransitionError> {
        self.write(|tx| approvals::supersede(tx, id, why, now))
    }

    fn expire_due(&self, now: Timestamp) -> Result<Vec<Approval>, StoreError> {
        // Looked at first without the write lock: this runs every second and mostly finds nothing.
        if self.read(|tx| approvals::due(tx, now))?.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|tx| approvals::expire_due(tx, now))
    }

    fn mark_orphans_unknown(
        &self,
        is_alive: &dyn Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<Vec<Approval>, StoreError> {
        let filter = Filter { states: vec![State::Consumed], ..Filter::default() };
        if self.read(|tx| rows::list(tx, &filter))?.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|tx| approvals::mark_orphans_unknown(tx, is_alive, now))
    }

    fn ask_review(&self, approval: &str, now: Timestamp) -> Result<Review, TransitionError> {
        let id = random_id("rev_")?;
        self.write(|tx| reviews::ask(tx, &id, approval, now))
    }

    fn claim_review(&self, id: &str, instance: &str) -> Result<bool, StoreError> {
        self.write(|tx| reviews::claim(tx, id, instance))
    }

    fn answer_review(&self, id: &str, instance: &str, finding: &Finding, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|tx| reviews::answer(tx, id, instance, finding, now))
    }

    fn review(&self, id: &str) -> Result<Option<Review>, StoreError> {
        self.read(|tx| reviews::get(tx, id))
    }

    fn reviews(&self, approval: &str) -> Result<Vec<Review>, StoreError> {
        self.read(|tx| reviews::of(tx, approval))
    }

    fn open_reviews(&self, since: Timestamp) -> Result<Vec<Review>, StoreError> {
        self.read(|tx| reviews::open(tx, since))
    }

    fn propose_standing(
        &self,
        new: &NewStanding,
        record: BeforeCommit<'_, StandingApproval>,
        now: Timestamp,
    ) -> Result<StandingApproval, StandingError> {
        self.write_standing(record, |tx| standing::propose(tx, new, now))
    }

    fn approve_standing(
        &self,
        vote: &StandingVote,
        record: BeforeCommit<'_, StandingApproval>,
    ) -> Result<StandingApproval, StandingError> {
        self.write_standing(record, |tx| standing::approve(tx, vote))
    }

    fn revoke_standing(
        &self,
        id: &str,
        by: &str,
        reason: &str,
        record: BeforeCommit<'_, StandingApproval>,
        now: Timestamp,
    ) -> Result<StandingApproval, StandingError> {
        self.write_standing(record, |tx| standing::revoke(tx, id, by, reason, now))
    }

    fn use_standing(
        &self,
        id: &str,
        digest: RequestDigest,
        new: &NewUse,
        record: BeforeCommit<'_, StandingApproval>,
        now: Timestamp,
    ) -> Result<ClaimedUse, StandingError> {
        let used = self.write_standing(record, |tx| standing::claim_use(tx, id, digest, new, now))?;
        Ok(ClaimedUse::new(used, new.run.clone()))
    }

    fn standing(&self, id: &str) -> Result<Option<StandingApproval>, StoreError> {
        self.read(|tx| standing::get(tx, id))
    }

    fn standings(&self) -> Result<Vec<StandingApproval>, StoreError> {
        self.read(standing::all)
    }

    fn active_standings(&self, action: &str, now: Timestamp) -> Result<Vec<StandingApproval>, StoreError> {
        self.read(|tx| standing::active(tx, action, now))
    }

    fn standing_uses(&self, id: &str) -> Result<Vec<StandingUse>, StoreError> {
        self.read(|tx| standing::uses(tx, id))
    }

    fn claim_operation(
        &self,
        new: &NewOperation,
        is_alive: &dyn Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        Ok(match self.write(|tx| operations::claim(tx, new, is_alive, now))? {
            operations::Found::Known(operation) => Claim::Known(operation),
            operations::Found::Free { instead_of } => {
                Claim::Claimed { claimed: ClaimedOperation::new(new.run.clone(), new.instance.clone()), instead_of }
            }
        })
    }

    fn begin_operation(&self, claimed: &ClaimedOperation) -> Result<(), StoreError> {
        self.write(|tx| operations::begin(tx, claimed.run(), claimed.instance()))
    }

    fn finish_operation(
        &self,
        claimed: &ClaimedOperation,
        result: &serde_json::Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|tx| operations::finish(tx, claimed.run(), claimed.instance(), result, now))
    }

    fn release_operation(&self, claimed: &ClaimedOperation) -> Result<bool, StoreError> {
        self.write(|tx| operations::release(tx, claimed.run(), claimed.instance()))
    }

    fn forget_operation(&self, operation: &Operation) -> Result<bool, StoreError> {
        self.write(|tx| operations::release(tx, &operation.run, &operation.instance))
    }

    fn close_operation(
        &self,
        operation: &Operation,
        result: &serde_json::Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|tx| operations::finish(tx, &operation.run, &operation.instance, result, now))
    }

    fn operation(&self, key: &OperationKey) -> Result<Option<Operation>, StoreError> {
        self.read(|tx| operations::get(tx, key))
    }

    fn running_operations(&self) -> Result<Vec<Operation>, StoreError> {
        self.read(operations::running)
    }

    fn change_mark(&self) -> Result<ChangeMark, StoreError> {
        // It counts the commits of every other connection, and this one makes none.
        Ok(ChangeMark(lock(&self.reader).pragma_query_value(None, "data_version", |row| row.get(0))?))
    }

    fn pack_floor(&self, name: &str) -> Result<Option<PackFloor>, StoreError> {
        self.read(|tx| packs::floor(tx, name))
    }

    fn pack_floors(&self) -> Result<Vec<PackFloor>, StoreError> {
        self.read(packs::floors)
    }

    fn remember_pack(
        &self,
        pack: &PackVersion,
        is_higher: &dyn Fn(&str, &str) -> bool,
        now: Timestamp,
    ) -> Result<Remembered, StoreError> {
        self.write(|tx| packs::remember(tx, pack, is_higher, now))
    }

    fn reset_pack_floor(&self, pack: &PackVersion, by: &str, reason: &str, now: Timestamp) -> Result<(), StoreError> {
        self.write(|tx| packs::reset(tx, pack, by, reason, now))
    }

    fn pack_history(&self, name: &str) -> Result<Vec<PackChange>, StoreError> {
        self.read(|tx| packs::history(tx, name))
    }

    fn create_token(&self, new: &NewToken, now: Timestamp) -> Result<Token, StoreError> {
        self.write(|tx| tokens::create(tx, new, now))
    }

    fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.read(tokens::all)
    }

    fn valid_tokens(&self, now: Timestamp) -> Result<Vec<Token>, StoreError> {
        self.read(|tx| tokens::valid(tx, now))
    }

    fn revoke_token(&self, id: &str, by: &str, reason: &str, now: Timestamp) -> Result<Revoked, StoreError> {
        self.write(|tx| tokens::revoke(tx, id, by, reason, now))
    }

    fn tokens_used(&self, used: &[(String, Timestamp)]) -> Result<(), StoreError> {
        self.write(|tx| tokens::used(tx, used))
    }

    fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.read(|tx| packs::meta(tx, key))
    }

    fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.write(|tx| packs::set_meta(tx, key, value))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::store::testing::state_directory;

    #[test]
    fn a_commit_is_on_disk_before_it_is_answered() {
        let state = state_directory();
        let path = state.path().join("lockgate.db");
        // Asked of a new file and of one that was there: neither setting but the journal's is kept in the file.
        for _ in 0..2 {
            let store = SqliteStore::open(&path).unwrap();
            let connection = lock(&store.writer);
            let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(pragma("synchronous"), 2, "2 is FULL (https://sqlite.org/pragma.html#pragma_synchronous)");
            assert_eq!(pragma("foreign_keys"), 1);
            let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            assert_eq!(journal, "wal");
        }
    }

    #[test]
    fn whoever_reads_waits_for_no_commit_and_writes_nothing() {
        let state = state_directory();
        let store = SqliteStore::open(&state.path().join("lockgate.db")).unwrap();
        let mark = store.change_mark().unwrap();
        let during = store.write(|tx| {
            packs::set_meta(tx, "k", "v")?;
            Ok::<_, StoreError>((store.meta("k").unwrap(), store.change_mark().unwrap()))
        });
        assert_eq!(during.unwrap(), (None, mark), "what is not committed is not there");
        assert_eq!(store.meta("k").unwrap().as_deref(), Some("v"));
        assert_ne!(store.change_mark().unwrap(), mark);
        assert!(store.read(|tx| packs::set_meta(tx, "k", "w")).is_err());
    }

    #[test]
    fn a_failed_step_leaves_nothing_behind() {
        let state = state_directory();
        let store = SqliteStore::open(&state.path().join("lockgate.db")).unwrap();
        let mark = store.change_mark().unwrap();
        let failed: Result<(), StoreError> = store.write(|tx| {
            packs::set_meta(tx, "k", "v")?;
            Err(StoreError::Invalid("no".into()))
        });
        assert!(failed.is_err());
        assert_eq!((store.meta("k").unwrap(), store.change_mark().unwrap()), (None, mark));
    }
}
