//! The handle on the record: cheap to clone, used from any task or thread, and gone for good once writing has failed.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use ed25519_dalek::SigningKey;
use jiff::Timestamp;

use super::{
    chain::Digest,
    directory::DiskError,
    entry::Entry,
    journal::Journal,
    public_key::PublicKey,
    writer::{Writer, WriterHandle},
};
use crate::error::{Code, Refusal};

/// Where the record is and how it is kept.
#[derive(Clone, Debug)]
pub struct RecordSettings {
    /// The directory; made where it is missing. Every process that writes the record has the same.
    pub dir: PathBuf,
    /// A segment that would grow beyond this is followed by a new one.
    pub max_segment_bytes: u64,
    /// A checkpoint is cut after this many lines,
    pub checkpoint_every_lines: u64,
    /// or after this time if there are new lines.
    pub checkpoint_every: Duration,
    /// The name of the record in its checkpoints, such as `lockgate/db-host-1`: one visible ASCII word without `+`.
    pub origin: String,
    /// The key that signs checkpoints. Its public half is in the first line; another key can't continue the record.
    pub key: SigningKey,
    /// Where checkpoints also go.
    pub export: Vec<CheckpointSink>,
}

/// A place for checkpoints besides the record's own directory. Only one that the host can't rewrite proves anything.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointSink {
    /// Notes are added to the end of this file and synced.
    File(PathBuf),
}

/// A durable line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its sequence number.
    pub seq: u64,
    /// The hash that the next line will name.
    pub hash: Digest,
}

/// How the record is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// All is well.
    Ok,
    /// Lines are durable, but a checkpoint could not be written or exported.
    Degraded {
        /// Why.
        reason: String,
    },
    /// Writing failed; this process writes nothing more.
    Latched {
        /// Why.
        reason: String,
    },
}

/// Why the record could not be opened or added to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A setting can't be used.
    #[error("the settings of the record are wrong: {reason}")]
    Settings {
        /// Which and why.
        reason: String,
    },
    /// The disk refused while the record was opened.
    #[error("{reason}")]
    Disk {
        /// What, where and why.
        reason: String,
    },
    /// What is there is not a record that can be continued.
    #[error("the record is damaged, run `lockgate audit verify`: {reason}")]
    Broken {
        /// Where, what was expected and what was found.
        reason: String,
    },
    /// The record belongs to another origin or key.
    #[error("the record belongs to the key `{theirs}`, not to `{ours}`: use that key, or another directory")]
    OtherKey {
        /// The key that was given.
        ours: String,
        /// The key in the first line.
        theirs: String,
    },
    /// The entry may not be written.
    #[error("the entry can't be recorded: {reason}")]
    Entry {
        /// Why.
        reason: String,
    },
    /// The entry is too large.
    #[error("the entry can't be recorded: its line would have up to {bytes} bytes, and {limit} are allowed")]
    TooLarge {
        /// How large.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
    /// Another process kept the lock for too long, or too much waits already. Nothing was written.
    #[error("the record is busy: {reason}")]
    Busy {
        /// With what.
        reason: String,
    },
    /// Writing failed, now or earlier. Whether this entry reached the disk is not known.
    #[error("the record can't be written any more: {reason}; make it writable, verify it and restart lockgate")]
    Latched {
        /// What failed.
        reason: String,
    },
    /// The record was closed.
    #[error("the record is closed")]
    Closed,
}

impl From<DiskError> for RecordError {
    fn from(error: DiskError) -> Self {
        Self::Disk { reason: error.to_string() }
    }
}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Self {
        let refusal = |code| Self::new(code, error.to_string());
        match &error {
            RecordError::Entry { .. } | RecordError::TooLarge { .. } => refusal(Code::InternalError),
            RecordError::Broken { .. } => refusal(Code::RecordUnavailable)
                .with_remedy("keep a copy of the record's directory as it is, and find out who could write there"),
            _ => refusal(Code::RecordUnavailable),
        }
    }
}

/// How far the record is, as this process last saw it under the lock: what others wrote since is not part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many lines there are.
    pub lines: u64,
    /// How many of them a checkpoint covers.
    pub covered: u64,
    /// When this process last cut a checkpoint, or found all lines covered.
    pub checkpoint_at: Option<Timestamp>,
}

/// Shared between the handles and the writer.
#[derive(Debug)]
pub(super) struct Status(RwLock<Health>, RwLock<Progress>);

impl Status {
    pub(super) fn new(progress: Progress) -> Self {
        Self(RwLock::new(Health::Ok), RwLock::new(progress))
    }

    pub(super) fn progress(&self) -> Progress {
        *self.1.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how far it is; with `checkpoint_at` also when that was covered.
    pub(super) fn is_at(&self, lines: u64, covered: u64, checkpoint_at: Option<Timestamp>) {
        let mut progress = self.1.write().unwrap_or_else(PoisonError::into_inner);
        let checkpoint_at = checkpoint_at.or(progress.checkpoint_at);
        *progress = Progress { lines, covered, checkpoint_at };
    }

    pub(super) fn get(&self) -> Health {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the health; a latch is never taken back.
    pub(super) fn set(&self, health: Health) {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*now, Health::Latched { .. }) {
            *now = health;
        }
    }
}

/// The record, open for adding. When the last clone is dropped, what is queued is written and a checkpoint is cut.
#[derive(Clone, Debug)]
pub struct Record {
    writer: Arc<WriterHandle>,
    status: Arc<Status>,
    kept: Arc<Kept>,
}

/// Where the record is, and what it is verified with.
#[derive(Debug)]
struct Kept {
    dir: PathBuf,
    key: PublicKey,
}

impl Record {
    /// Opens the record, or starts one, and starts its writer thread. A torn tail is quarantined and recorded here.
    ///
    /// # Errors
    /// When the settings are wrong, the disk refuses, or what is there can't be continued.
    pub fn open(settings: RecordSettings) -> Result<Self, RecordError> {
        let every = settings.checkpoint_every;
        let (dir, key) = (settings.dir.clone(), settings.key.verifying_key());
        let journal = Journal::open(settings)?;
        let kept = Arc::new(Kept { dir, key: PublicKey::new(journal.origin().clone(), key) });
        let (lines, covered) = journal.progress();
        let status = Arc::new(Status::new(Progress { lines, covered, checkpoint_at: None }));
        let writer = Writer::start(journal, every, Arc::clone(&status))?;
        Ok(Self { writer: Arc::new(writer), status, kept })
    }

    /// The directory that it is in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.kept.dir
    }

    /// What it is verified with. Whoever doubts this host takes it from elsewhere.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.kept.key
    }

    /// Queues the entry at once; the future is ready when its line is durable. Dropping the future does not take the
    /// entry back.
    ///
    /// # Errors
    /// [`RecordError::Entry`] and [`RecordError::TooLarge`] concern this entry; after [`RecordError::Latched`] nothing
    /// can be recorded any more.
    pub fn append(&self, entry: Entry) -> impl Future<Output = Result<Receipt, RecordError>> + Send + use<> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let queued = self.queue(entry, Box::new(move |result| drop(reply.send(result))));
        async move {
            queued?;
            answer.await.unwrap_or(Err(RecordError::Closed))
        }
    }

    /// The same for code without a runtime: waits until the line is durable.
    ///
    /// # Errors
    /// As [`Record::append`].
    pub fn append_blocking(&self, entry: Entry) -> Result<Receipt, RecordError> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.queue(entry, Box::new(move |result| drop(reply.send(result))))?;
        answer.recv().unwrap_or(Err(RecordError::Closed))
    }

    fn queue(&self, entry: Entry, reply: super::writer::Reply<Receipt>) -> Result<(), RecordError> {
        let body = entry.into_body()?;
        if let Health::Latched { reason } = self.status.get() {
            return Err(RecordError::Latched { reason });
        }
        self.writer.append(body, reply)
    }

    /// Cuts a checkpoint now if there are new lines, the other processes' among them.
    ///
    /// # Errors
    /// When the record can't be read or written any more.
    pub fn checkpoint(&self) -> impl Future<Output = Result<(), RecordError>> + Send + use<> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let queued = self.writer.checkpoint(Box::new(move |result| drop(reply.send(result))), false);
        async move {
            queued?;
            answer.await.unwrap_or(Err(RecordError::Closed))
        }
    }

    /// Writes what is queued, cuts a checkpoint and closes the record for every clone.
    ///
    /// # Errors
    /// As [`Record::checkpoint`].
    pub fn close(&self) -> impl Future<Output = Result<(), RecordError>> + Send + use<> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let queued = self.writer.checkpoint(Box::new(move |result| drop(reply.send(result))), true);
        async move {
            queued?;
            answer.await.unwrap_or(Err(RecordError::Closed))
        }
    }

    /// The same as [`Record::close`] for code without a runtime.
    ///
    /// # Errors
    /// As [`Record::checkpoint`].
    pub fn close_blocking(&self) -> Result<(), RecordError> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.writer.checkpoint(Box::new(move |result| drop(reply.send(result))), true)?;
        answer.recv().unwrap_or(Err(RecordError::Closed))
    }

    /// How far the record is, without touching the disk.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.status.progress()
    }

    /// How the record is, without touching the disk.
    #[must_use]
    pub fn health(&self) -> Health {
        self.status.get()
    }
}
