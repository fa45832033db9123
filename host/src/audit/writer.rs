//! The one thread of a process that writes: it takes all that has queued, commits it as one batch and answers everybody.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    entry::Body,
    journal::Journal,
    record::{Health, Receipt, RecordError, Status},
};

/// Batches are bounded so that the lock is never held for long: 1024 lines of a kilobyte take about five milliseconds.
const BATCH_LINES: usize = 1024;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Entries that may wait. The gate admits far fewer calls at once; beyond this the disk is not keeping up.
const QUEUE: usize = 16 * 1024;

/// Whom to tell.
pub(super) type Reply<T> = Box<dyn FnOnce(Result<T, RecordError>) + Send>;

enum Message {
    Append(Body, Reply<Receipt>),
    Checkpoint { reply: Reply<()>, close: bool },
}

/// The sending side. Dropping it ends the thread, after everything queued is written and covered by a checkpoint.
#[derive(Debug)]
pub(super) struct WriterHandle {
    sender: Option<Sender<Message>>,
    queued: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl WriterHandle {
    pub(super) fn append(&self, body: Body, reply: Reply<Receipt>) -> Result<(), RecordError> {
        if self.queued.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            return Err(RecordError::Busy { reason: format!("{QUEUE} entries wait already") });
        }
        self.send(Message::Append(body, reply))
    }

    pub(super) fn checkpoint(&self, reply: Reply<()>, close: bool) -> Result<(), RecordError> {
        self.send(Message::Checkpoint { reply, close })
    }

    fn send(&self, message: Message) -> Result<(), RecordError> {
        let sender = self.sender.as_ref().ok_or(RecordError::Closed)?;
        sender.send(message).map_err(|_| RecordError::Closed)
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.sender = None;
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The process may be about to end: without waiting, the last lines would have no checkpoint.
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// The receiving side.
pub(super) struct Writer {
    journal: Journal,
    inbox: Receiver<Message>,
    queued: Arc<AtomicUsize>,
    status: Arc<Status>,
    every: Duration,
    /// When the next checkpoint is due at the latest.
    due: Option<Instant>,
}

impl Writer {
    pub(super) fn start(journal: Journal, every: Duration, status: Arc<Status>) -> Result<WriterHandle, RecordError> {
        let (sender, inbox) = channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let mut writer = Self { journal, inbox, queued: Arc::clone(&queued), status, every, due: None };
        writer.schedule();
        let thread = thread::Builder::new().name("lockgate-record".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| RecordError::Disk { reason: format!("can't start a thread: {error}") })?;
        Ok(WriterHandle { sender: Some(sender), queued, thread: Mutex::new(Some(thread)) })
    }

    fn run(mut self) {
        loop {
            let message = match self.due {
                Some(due) => self.inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let mut other = match message {
                Ok(Message::Append(body, reply)) => self.batch(body, reply),
                Ok(other) => Some(other),
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.checkpoint();
                    None
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.checkpoint();
                    return;
                }
            };
            if let Some(Message::Checkpoint { reply, close }) = other.take() {
                let result = self.checkpoint();
                if close {
                    // Nobody may queue anything behind a checkpoint that was the last.
                    drop(self);
                    return reply(result);
                }
                reply(result);
            }
        }
    }

    /// Commits this entry and all that wait behind it, up to one that is no entry, which is returned.
    fn batch(&mut self, body: Body, reply: Reply<Receipt>) -> Option<Message> {
        let mut bytes = body.as_bytes().len();
        let (mut bodies, mut replies) = (vec![body], vec![reply]);
        let mut other = None;
        while bodies.len() < BATCH_LINES && bytes < BATCH_BYTES {
            match self.inbox.try_recv() {
                Ok(Message::Append(body, reply)) => {
                    bytes += body.as_bytes().len();
                    bodies.push(body);
                    replies.push(reply);
                }
                Ok(message) => {
                    other = Some(message);
                    break;
                }
                Err(_) => break,
            }
        }
        self.queued.fetch_sub(bodies.len(), Ordering::Relaxed);
        let mut receipts = Vec::with_capacity(bodies.len());
        let result = match self.status.get() {
            Health::Latched { reason } => Err(RecordError::Latched { reason }),
            _ => self.journal.commit(&bodies, &mut receipts).map_err(|error| self.failed(error)),
        };
        let mut receipts = receipts.into_iter();
        for reply in replies {
            match (receipts.next(), &result) {
                (Some(receipt), _) => reply(Ok(receipt)),
                (None, Err(error)) => reply(Err(error.clone())),
                (None, Ok(())) => reply(Err(RecordError::Closed)),
            }
        }
        self.note(None);
        if result.is_ok() {
            self.schedule();
            if self.journal.is_checkpoint_due() {
                let _ = self.checkpoint();
            }
        }
        other
    }

    /// Covers all lines, and notes how the record is.
    fn checkpoint(&mut self) -> Result<(), RecordError> {
        self.due = None;
        if let Health::Latched { reason } = self.status.get() {
            return Err(RecordError::Latched { reason });
        }
        let health = match self.journal.checkpoint() {
            Ok(Ok(())) => Health::Ok,
            Ok(Err(reason)) => Health::Degraded { reason },
            Err(error) => {
                let error = self.failed(error);
                self.schedule();
                return Err(error);
            }
        };
        if let Health::Degraded { reason } = &health {
            tracing::warn!(reason, "the record is degraded");
        }
        self.note((health == Health::Ok).then(Timestamp::now));
        self.status.set(health);
        self.schedule();
        Ok(())
    }

    /// For whoever asks how far the record is.
    fn note(&self, checkpoint_at: Option<Timestamp>) {
        let (lines, covered) = self.journal.progress();
        self.status.is_at(lines, covered, checkpoint_at);
    }

    /// Latches, unless another process was merely slow.
    fn failed(&self, error: RecordError) -> RecordError {
        if let RecordError::Busy { .. } = error {
            return error;
        }
        let reason = error.to_string();
        tracing::error!(reason, "the record can't be written any more");
        self.status.set(Health::Latched { reason: reason.clone() });
        RecordError::Latched { reason }
    }

    /// Sees to it that lines don't stay uncovered, or checkpoints at home, for longer than they may.
    fn schedule(&mut self) {
        if self.due.is_none() && self.journal.is_behind() {
            self.due = Instant::now().checked_add(self.every);
        }
    }
}
