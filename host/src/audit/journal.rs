//! One process's side of writing: under the lock, take note of what others wrote, add a batch of lines, make them durable,
//! and cut a checkpoint when one is due. No threads here; [`super::writer`] has the thread.

use std::{fs::File, io::Write as _, path::Path, time::Duration};

use jiff::Timestamp;
use rustix::fs::{Mode, OFlags, Stat};

use super::{
    checkpoint::{Checkpoint, Origin, encode_key},
    directory::{Directory, DiskError, Lock, Locked, length},
    entry::{Body, Entry},
    hint, line, notes, quarantine,
    record::{CheckpointSink, Receipt, RecordError, RecordSettings},
    recover::{self, CREATED, recover},
    segment,
    tip::{ReadFailure, Tip},
};

/// A writer holds the lock for a batch, so for milliseconds. One that holds it this long is stuck or stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// The record as this process sees it.
#[derive(Debug)]
pub(super) struct Journal {
    dir: Directory,
    lock: Lock,
    settings: RecordSettings,
    origin: Origin,
    tip: Tip,
    /// The segment that the tip is in, open for writing.
    open: Option<Open>,
    /// How many lines the latest known checkpoint covers, and where it ends in the file.
    covered: u64,
    notes_end: u64,
    /// Sinks that miss the latest checkpoint, by their place in the settings.
    owed: Vec<(usize, Checkpoint)>,
    #[cfg(test)]
    pub(super) fault: Option<Fault>,
}

#[derive(Debug)]
struct Open {
    file: File,
    stat: Stat,
}

/// What a test makes go wrong.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The next sync fails.
    Sync,
    /// The next write stops half-way, and taking it back fails as well.
    Crash,
}

/// How adding a batch ended.
pub(super) type Committed = Result<(), RecordError>;

impl Journal {
    /// Opens the record, or starts one.
    pub(super) fn open(settings: RecordSettings) -> Result<Self, RecordError> {
        let refuse = |reason: &str| RecordError::Settings { reason: reason.to_owned() };
        let origin = Origin::new(&settings.origin);
        let origin = origin.ok_or_else(|| refuse("the origin must be one visible ASCII word without `+`"))?;
        if settings.max_segment_bytes == 0 || settings.checkpoint_every_lines == 0 {
            return Err(refuse("a segment and a checkpoint must have room for a line"));
        }
        let key = settings.key.verifying_key();
        let dir = Directory::create(&settings.dir)?;
        let lock = Lock::exclusive(&dir)?;
        let locked = lock.acquire(&dir, PATIENCE)?.ok_or_else(busy)?;
        let found = recover(&dir, &origin, &key)?;
        let open = match found.tip.segment {
            0 => None,
            number => Some(Open::existing(&dir, number)?),
        };
        let mut journal = Self {
            covered: found.latest.checkpoint.as_ref().map_or(0, Checkpoint::size),
            notes_end: found.latest.end,
            tip: found.tip,
            dir,
            lock,
            settings,
            origin,
            open,
            owed: Vec::new(),
            #[cfg(test)]
            fault: None,
        };
        if found.torn > 0 {
            quarantine::set_aside(&journal.dir, &segment::name(journal.tip.segment), journal.tip.offset)?;
        }
        if found.latest.torn > 0 {
            quarantine::set_aside(&journal.dir, notes::FILE, found.latest.end)?;
        }
        journal.write(quarantine::pending(&journal.dir)?, &[], &mut Vec::new())?;
        drop(locked);
        Ok(journal)
    }

    /// The record's name.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Adds the entries, in order and durably; then a checkpoint if enough lines are uncovered. The receipts are of those
    /// that are durable, also when the rest failed.
    pub(super) fn commit(&mut self, bodies: &[Body], receipts: &mut Vec<Receipt>) -> Committed {
        let _locked = self.acquire()?;
        let pending = self.catch_up()?;
        self.write(pending, bodies, receipts)
    }

    /// How many lines there are, and how many of them a checkpoint is known to cover.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.tip.seq, self.covered)
    }

    /// True if there are lines that no checkpoint is known to cover.
    fn is_uncovered(&self) -> bool {
        self.tip.seq > self.covered
    }

    /// True if there is something that the next checkpoint would put right.
    pub(super) fn is_behind(&self) -> bool {
        self.is_uncovered() || !self.owed.is_empty()
    }

    /// True if so many lines are uncovered that a checkpoint is due.
    pub(super) fn is_checkpoint_due(&self) -> bool {
        self.tip.seq.saturating_sub(self.covered) >= self.settings.checkpoint_every_lines
    }

    /// Takes note of what others wrote and covers all of it with a checkpoint. The inner error leaves the lines as good as
    /// they were: a note could not be written or exported.
    pub(super) fn checkpoint(&mut self) -> Result<Result<(), String>, RecordError> {
        let _locked = self.acquire()?;
        let pending = self.catch_up()?;
        self.write(pending, &[], &mut Vec::new())?;
        let key = self.settings.key.verifying_key();
        let stat = self.dir.stat(notes::FILE)?;
        let end = stat.as_ref().map_or(0, length);
        if end < self.notes_end {
            return Err(changed(notes::FILE, "it is shorter than it was"));
        }
        if end > self.notes_end {
            let latest = notes::latest(&self.dir, &key)?;
            let latest = latest.map_err(|why| changed(notes::FILE, &why))?;
            if latest.torn > 0 {
                quarantine::set_aside(&self.dir, notes::FILE, latest.end)?;
                self.write(quarantine::pending(&self.dir)?, &[], &mut Vec::new())?;
            }
            self.notes_end = latest.end;
            self.covered = latest.checkpoint.as_ref().map_or(0, Checkpoint::size);
        }
        if !self.is_uncovered() {
            let owed = std::mem::take(&mut self.owed);
            return Ok(self.export(owed));
        }
        let root = self.tip.frontier.root();
        let checkpoint = Checkpoint::sign(&self.origin, self.tip.seq, root, &self.settings.key);
        Ok(self.publish(&checkpoint, stat.is_none()))
    }

    /// Writes the note to the record's own file and to the sinks.
    fn publish(&mut self, checkpoint: &Checkpoint, first: bool) -> Result<(), String> {
        let file = if first { self.dir.make(notes::FILE) } else { self.dir.append(notes::FILE) };
        let file = file.map_err(|error| error.to_string())?;
        let added = notes::append(&file, self.notes_end, checkpoint.note());
        self.notes_end = added.map_err(|error| self.dir.error("write", notes::FILE, error).to_string())?;
        self.covered = checkpoint.size();
        let hinted = hint::save(&self.dir, &self.tip).map_err(|error| error.to_string());
        let due = (0..self.settings.export.len()).map(|sink| (sink, checkpoint.clone())).collect();
        self.export(due).and(hinted)
    }

    /// Sends each checkpoint to its sink. What can't be sent stays owed until the next time.
    fn export(&mut self, due: Vec<(usize, Checkpoint)>) -> Result<(), String> {
        let mut result = Ok(());
        self.owed.clear();
        for (place, checkpoint) in due {
            let Some(CheckpointSink::File(path)) = self.settings.export.get(place) else { continue };
            if let Err(error) = export(path, &checkpoint) {
                result = Err(format!("can't export a checkpoint to `{}`: {error}", path.display()));
                self.owed.push((place, checkpoint));
            }
        }
        result
    }

    fn acquire(&self) -> Result<Locked, RecordError> {
        self.lock.acquire(&self.dir, PATIENCE)?.ok_or_else(busy)
    }

    /// Moves the tip over what other processes added. If nobody did, this costs two looks at the directory.
    fn catch_up(&mut self) -> Result<Vec<(Entry, String)>, RecordError> {
        let mut torn = 0;
        loop {
            if let Some(open) = &self.open {
                let name = segment::name(self.tip.segment);
                let stat = self.dir.stat(&name)?.ok_or_else(|| changed(&name, "it was removed"))?;
                if (stat.st_dev, stat.st_ino) != (open.stat.st_dev, open.stat.st_ino) {
                    return Err(changed(&name, "it was replaced"));
                }
                if length(&stat) < self.tip.offset {
                    return Err(changed(&name, "it is shorter than it was"));
                }
                if length(&stat) > self.tip.offset {
                    let read = self.tip.read(&open.file, |_| {});
                    torn = read.map_err(|failure| match failure {
                        ReadFailure::Disk(error) => self.dir.error("read", &name, error).into(),
                        ReadFailure::Broken(_) => recover::at(&self.tip, &failure),
                    })?;
                }
            }
            let next = self.tip.segment + 1;
            if self.dir.stat(&segment::name(next))?.is_none() {
                break;
            }
            if torn > 0 {
                return Err(changed(&segment::name(self.tip.segment), "it does not end with a whole line"));
            }
            self.open = Some(Open::existing(&self.dir, next)?);
            self.tip.next_segment();
        }
        if torn == 0 {
            return Ok(Vec::new());
        }
        quarantine::set_aside(&self.dir, &segment::name(self.tip.segment), self.tip.offset)?;
        Ok(quarantine::pending(&self.dir)?)
    }

    /// Writes the record's own lines and the entries behind the tip. The lock is held.
    fn write(&mut self, pending: Vec<(Entry, String)>, bodies: &[Body], receipts: &mut Vec<Receipt>) -> Committed {
        let mut own = Vec::new();
        if self.tip.seq == 0 {
            let key = encode_key(&self.origin, &self.settings.key.verifying_key());
            let created = Entry::internal(CREATED).field("origin", self.origin.as_str()).field("key", key);
            own.push(created.into_body()?);
        }
        let mut settled = Vec::new();
        for (entry, name) in pending {
            own.push(entry.into_body()?);
            settled.push(name);
        }
        let mut made = Vec::new();
        let written = self.write_lines(own.iter().chain(bodies), &mut made);
        receipts.extend(made.into_iter().skip(own.len()));
        written?;
        for name in settled {
            quarantine::settle(&self.dir, &name)?;
        }
        Ok(())
    }

    fn write_lines<'a>(&mut self, bodies: impl Iterator<Item = &'a Body>, receipts: &mut Vec<Receipt>) -> Committed {
        let mut staged = self.tip.clone();
        let (mut bytes, mut line, mut made) = (Vec::new(), Vec::new(), Vec::new());
        for body in bodies {
            line.clear();
            line::encode(&mut line, staged.seq + 1, Timestamp::now(), &staged.hash, body);
            let full = staged.offset > 0 && staged.offset + line.len() as u64 >= self.settings.max_segment_bytes;
            if full || staged.segment == 0 {
                self.make_durable(&bytes, &staged)?;
                receipts.append(&mut made);
                bytes.clear();
                self.rotate()?;
                staged = self.tip.clone();
            }
            staged.advance(&line);
            made.push(Receipt { seq: staged.seq, hash: staged.hash });
            bytes.append(&mut line);
            bytes.push(b'\n');
        }
        self.make_durable(&bytes, &staged)?;
        receipts.append(&mut made);
        Ok(())
    }

    /// Begins the next segment. What was written before is durable.
    fn rotate(&mut self) -> Result<(), DiskError> {
        let name = segment::name(self.tip.segment + 1);
        self.open = Some(Open::new(&self.dir, &name, self.dir.make(&name)?)?);
        self.tip.next_segment();
        Ok(())
    }

    /// Puts the bytes behind the tip and moves the tip; or takes them back. After a failed sync nobody knows which pages
    /// reached the disk, and another process could go on from lines that are not there: so they must go then, too.
    fn make_durable(&mut self, bytes: &[u8], staged: &Tip) -> Result<(), RecordError> {
        let Some(open) = self.open.as_ref().filter(|_| !bytes.is_empty()) else { return Ok(()) };
        let name = segment::name(self.tip.segment);
        if let Err(error) = self.put(&open.file, bytes) {
            let reason = self.dir.error("write", &name, error).to_string();
            let undone = match self.is_crashed() {
                true => Err(std::io::Error::other("crashed")),
                false => open.file.set_len(self.tip.offset).and_then(|()| open.file.sync_data()),
            };
            return Err(RecordError::Disk {
                reason: match undone {
                    Ok(()) => format!("{reason}; what was written in part was taken back"),
                    Err(error) => format!("{reason}; what was written in part could not be taken back: {error}"),
                },
            });
        }
        self.tip = staged.clone();
        Ok(())
    }

    #[cfg(not(test))]
    fn put(&self, mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
        file.write_all(bytes)?;
        file.sync_data()
    }

    #[cfg(not(test))]
    fn is_crashed(&self) -> bool {
        false
    }

    #[cfg(test)]
    fn put(&self, mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
        match self.fault {
            None => file.write_all(bytes).and_then(|()| file.sync_data()),
            Some(Fault::Sync) => file.write_all(bytes).and(Err(std::io::Error::other("the sync was made to fail"))),
            Some(Fault::Crash) => {
                let (half, _) = bytes.split_at(bytes.len() / 2);
                file.write_all(half).and(Err(std::io::Error::other("the write was made to fail")))
            }
        }
    }

    #[cfg(test)]
    fn is_crashed(&self) -> bool {
        self.fault == Some(Fault::Crash)
    }
}

impl Open {
    fn existing(dir: &Directory, number: u64) -> Result<Self, DiskError> {
        let name = segment::name(number);
        Self::new(dir, &name, dir.append(&name)?)
    }

    fn new(dir: &Directory, name: &str, file: File) -> Result<Self, DiskError> {
        let stat = rustix::fs::fstat(&file).map_err(|errno| dir.error("look at", name, errno))?;
        Ok(Self { file, stat })
    }
}

/// Adds the note to a sink's file. A note that can't be added whole is taken back.
fn export(path: &Path, checkpoint: &Checkpoint) -> std::io::Result<()> {
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR | Mode::RGRP)?);
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    notes::append(&file, about.len(), checkpoint.note()).map(|_| ())
}

fn busy() -> RecordError {
    RecordError::Busy { reason: format!("another process kept the lock for {} seconds", PATIENCE.as_secs()) }
}

/// Somebody other than a writer of the record touched it.
fn changed(name: &str, how: &str) -> RecordError {
    RecordError::Broken { reason: format!("`{name}` was changed while in use: {how}") }
}
