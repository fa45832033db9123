//! The runs that the record tells of, to be searched: which there were lately, and the lines of one of them.
//!
//! The record's files are the evidence; what is here is a copy of what they say, in a file of its own that may be deleted
//! at any time and is made anew from them. It is pulled, never pushed: before each question it reads the lines that came
//! since the last one, whichever process wrote them, so that a call pays nothing for being found again. It reads the
//! record and never writes it, and it shows a principal that principal's own runs only; what shows all of them says so in
//! its name and is for people who answer for the database. Beside the runs it has the lines that changed who may do what
//! ([`changes`]). Methods block: async callers use `spawn_blocking`.

pub mod changes;
mod file;
mod model;
mod query;
mod take;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, TransactionBehavior};

pub use self::model::{
    LONGEST_PAGE, RunFilter, RunPage, RunRecord, RunState, RunSummary, SeenPrincipal, Viewer, unknown_run,
};
use self::{
    changes::{ChangeFilter, ChangePage},
    file::{IndexFile, Position},
    model::Eyes,
};
use crate::{
    audit::{DiskError, Follow, Line},
    error::{Code, Problem, Refusal},
    store::StoreError,
};

/// Lines that are taken in one transaction: some tens of milliseconds, so that another process's question waits no longer.
const STEP: usize = 1000;

/// How often a question begins anew when the record is not what it was a moment ago.
const ATTEMPTS: usize = 3;

/// A question that could not be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunsError {
    /// The index can't be used, nor made anew.
    #[error("the index of the record can't be used: {0}")]
    Index(#[from] StoreError),
    /// The record can't be read.
    #[error("the record can't be read: {0}")]
    Record(#[from] DiskError),
    /// The record was another one every time that it was looked at.
    #[error("the record changed while it was read")]
    Unsteady,
    /// The cursor is not one of ours.
    #[error("`cursor` is not one that this server gave")]
    Cursor,
}

impl From<rusqlite::Error> for RunsError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Index(error.into())
    }
}

impl From<RunsError> for Refusal {
    fn from(error: RunsError) -> Self {
        let code = match &error {
            RunsError::Index(_) => Code::StoreUnavailable,
            RunsError::Record(_) | RunsError::Unsteady => Code::RecordUnavailable,
            RunsError::Cursor => {
                let problem = Problem { argument: "cursor".into(), message: "is not one that this server gave".into() };
                return Self::new(Code::InvalidArguments, error.to_string())
                    .with_remedy("leave `cursor` out to begin with the newest, or give `next` of the page before")
                    .with_problems(vec![problem]);
            }
        };
        Self::new(code, error.to_string())
    }
}

/// What catching up came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaughtUp {
    /// Lines that were read.
    pub lines: usize,
    /// Whether all of it was read anew, because the record is not the one that the index was made from.
    pub anew: bool,
    /// Whether there may be more: a step ends after so many lines.
    pub more: bool,
}

/// The index of one record.
#[derive(Debug)]
pub struct Runs {
    record: PathBuf,
    file: Mutex<IndexFile>,
}

impl Runs {
    /// The index at `path` of the record in `record`. Nothing is opened before it is needed.
    #[must_use]
    pub fn new(record: &Path, path: &Path) -> Self {
        Self { record: record.to_owned(), file: Mutex::new(IndexFile::new(path)) }
    }

    /// Reads what is new on the record, up to so many lines.
    ///
    /// # Errors
    /// [`RunsError`].
    pub fn step(&self) -> Result<CaughtUp, RunsError> {
        self.with(|connection| self.read_on(connection))
    }

    /// Reads all that is new on the record.
    ///
    /// # Errors
    /// [`RunsError`].
    pub fn catch_up(&self) -> Result<CaughtUp, RunsError> {
        self.with(|connection| self.read_all(connection))
    }

    /// The viewer's runs, the newest first.
    ///
    /// # Errors
    /// [`RunsError`].
    pub fn recent(&self, viewer: &Viewer, filter: &RunFilter) -> Result<RunPage, RunsError> {
        self.recent_for(Eyes::Own(viewer), filter)
    }

    /// Everybody's runs, the newest first.
    ///
    /// # Errors
    /// [`RunsError`].
    pub fn recent_of_all(&self, filter: &RunFilter) -> Result<RunPage, RunsError> {
        self.recent_for(Eyes::All, filter)
    }

    /// One of the viewer's runs with its lines; `None` if there is none of this id for this viewer.
    ///
    /// # Errors
    /// [`RunsError`].
    pub fn run(&self, viewer: &Viewer, run: &str) -> Result<Option<RunRecord>, RunsError> {
        self.run_for(Eyes::Own(viewer), run)
    }

    /// One of everybody's runs with its lines; `None` if there is none of this id.
    ///
    /// # Errors
    /// [`RunsError`].
    pub fn run_of_all(&self, run: &str) -> Result<Option<RunRecord>, RunsError> {
        self.run_for(Eyes::All, run)
    }

    /// Who has called so far, those lately seen first; the latest few hundred.
    ///
    /// # Errors
    /// [`RunsError`].
    pub fn principals(&self) -> Result<Vec<SeenPrincipal>, RunsError> {
        self.with(|connection| {
            self.read_all(connection)?;
            query::principals(connection)
        })
    }

    /// The lines that changed who may do what, the newest first.
    ///
    /// # Errors
    /// [`RunsError`].
    pub fn changes(&self, filter: &ChangeFilter) -> Result<ChangePage, RunsError> {
        self.with(|connection| {
            self.steadily(connection, |connection| {
                let (places, next) = changes::query(connection, filter)?;
                let is_change = |line: &Line| changes::Kind::of(line.event()).is_some();
                Ok(self.lines(&places, is_change)?.map(|lines| ChangePage { lines, next }))
            })
        })
    }

    fn recent_for(&self, eyes: Eyes<'_>, filter: &RunFilter) -> Result<RunPage, RunsError> {
        self.with(|connection| {
            self.read_all(connection)?;
            query::recent(connection, eyes, filter)
        })
    }

    fn run_for(&self, eyes: Eyes<'_>, run: &str) -> Result<Option<RunRecord>, RunsError> {
        self.with(|connection| {
            self.steadily(connection, |connection| {
                let Some((summary, places)) = query::run(connection, eyes, run)? else { return Ok(Some(None)) };
                let is_its = |line: &Line| [run, ""].contains(&line.text("run"));
                Ok(self.lines(&places, is_its)?.map(|lines| Some(RunRecord { run: summary, lines })))
            })
        })
    }

    /// Asks until the lines are where the index has them: `None` says that they were not.
    fn steadily<T>(
        &self,
        connection: &mut Connection,
        mut ask: impl FnMut(&Connection) -> Result<Option<T>, RunsError>,
    ) -> Result<T, RunsError> {
        for _ in 0..ATTEMPTS {
            self.read_all(connection)?;
            if let Some(answer) = ask(connection)? {
                return Ok(answer);
            }
            // The record was put back to an older state behind the index's back.
            file::start_over(connection)?;
        }
        Err(RunsError::Unsteady)
    }

    /// The lines in these places; `None` if one of them is not the line that was there.
    fn lines(
        &self,
        places: &[query::Kept],
        is_it: impl Fn(&Line) -> bool,
    ) -> Result<Option<Vec<serde_json::Value>>, RunsError> {
        let record = Follow::open(&self.record, None)?;
        let mut lines = Vec::new();
        for kept in places {
            let Some((line, _)) = record.line_at(kept.place)? else {
                // A segment that was archived is no reason to read the record anew, nor to hide what is left.
                if record.segment_length(kept.place.segment)?.is_none() {
                    continue;
                }
                return Ok(None);
            };
            if line.seq() != kept.seq || !is_it(&line) {
                return Ok(None);
            }
            lines.push(serde_json::Value::Object(line.fields().clone()));
        }
        Ok(Some(lines))
    }

    fn read_all(&self, connection: &mut Connection) -> Result<CaughtUp, RunsError> {
        let mut all = CaughtUp::default();
        loop {
            let step = self.read_on(connection)?;
            all.lines += step.lines;
            all.anew |= step.anew;
            if !step.more {
                return Ok(all);
            }
        }
    }

    /// One step. Whether there is anything to do is found out without the write lock.
    fn read_on(&self, connection: &mut Connection) -> Result<CaughtUp, RunsError> {
        let position = file::position(connection)?;
        let mut record = self.follow(position.as_ref())?;
        if record.is_some() && record.as_mut().map(Follow::advance).transpose()?.flatten().is_none() {
            return Ok(CaughtUp::default());
        }
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Read again: another process may have been here in between.
        let mut position = file::position(&tx)?;
        let anew = position.is_some();
        let (mut record, anew) = match self.follow(position.as_ref())? {
            Some(record) => (record, false),
            None => {
                file::forget(&tx)?;
                position = None;
                (Follow::open(&self.record, None)?, anew)
            }
        };
        let mut lines = 0;
        let mut more = false;
        while let Some(found) = record.advance()? {
            let mut at = position.unwrap_or_else(Position::start);
            (at.segment, at.offset) = (found.place.segment, found.place.end());
            match &found.line {
                Ok((line, hash)) => {
                    take::take(&tx, line, found.place)?;
                    at.last = found.place;
                    at.last_hash = *hash.as_bytes();
                }
                Err(why) => {
                    tracing::warn!(place = ?found.place, why, "what is no line of the record was passed over");
                    at.passed_over += 1;
                }
            }
            position = Some(at);
            lines += 1;
            if lines == STEP {
                more = true;
                break;
            }
        }
        if let Some(position) = &position {
            file::set_position(&tx, position)?;
        }
        tx.commit()?;
        Ok(CaughtUp { lines, anew, more })
    }

    /// The record from a position on; `None` if the record is not what it was when the position was taken.
    fn follow(&self, position: Option<&Position>) -> Result<Option<Follow>, RunsError> {
        let Some(at) = position else { return Ok(Some(Follow::open(&self.record, None)?)) };
        let record = Follow::open(&self.record, Some((at.segment, at.offset)))?;
        let reaches = match record.segment_length(at.segment)? {
            Some(length) => length >= at.offset,
            // Archived, if there are later ones; then nothing tells whether it was this record.
            None => return Ok(None),
        };
        let is_same = match at.last.length {
            // Nothing but what was no line has been read.
            0 => true,
            _ => record.line_at(at.last)?.is_some_and(|(_, hash)| *hash.as_bytes() == at.last_hash),
        };
        Ok((reaches && is_same).then_some(record))
    }

    /// Works on the file; once more on a new one if it turns out to be none that can be used.
    fn with<T>(&self, mut work: impl FnMut(&mut Connection) -> Result<T, RunsError>) -> Result<T, RunsError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match work(file.connection()?) {
            Err(error) if file::is_beyond_repair(&error) => {
                tracing::warn!(%error, "the index of the record is made anew");
                file.remove()?;
                work(file.connection()?)
            }
            done => done,
        }
    }
}
