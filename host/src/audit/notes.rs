//! `checkpoints`: the record's own file of signed notes, one after the other, each of five lines.

use std::{
    fs::File,
    io::{Read, Seek as _, SeekFrom, Write as _},
};

use ed25519_dalek::VerifyingKey;

use super::{
    checkpoint::Checkpoint,
    directory::{Directory, DiskError, length},
    segment::{LineReader, Piece},
};

pub(super) const FILE: &str = "checkpoints";

/// Origin, size, root, an empty line, one signature.
const LINES: usize = 5;

/// What a checkpoint file has next.
#[derive(Debug)]
pub(super) enum Next {
    Note(Box<Checkpoint>),
    /// Five lines that are no checkpoint by this key, and why.
    Bad(String),
    /// This many bytes at the end that are not a whole note.
    Torn(u64),
    End,
}

/// Reads notes one by one.
pub(super) struct NoteReader<R> {
    lines: LineReader<R>,
    key: VerifyingKey,
}

impl<R: Read> NoteReader<R> {
    pub(super) fn new(reader: R, key: VerifyingKey) -> Self {
        Self { lines: LineReader::new(reader, 0), key }
    }

    /// How many bytes were read.
    pub(super) fn offset(&self) -> u64 {
        self.lines.offset()
    }

    pub(super) fn next(&mut self) -> std::io::Result<Next> {
        let begin = self.lines.offset();
        let mut note = String::new();
        for read in 0..LINES {
            match self.lines.next()? {
                Piece::Line(line) => {
                    note.push_str(&String::from_utf8_lossy(line));
                    note.push('\n');
                }
                Piece::End if read == 0 => return Ok(Next::End),
                Piece::End | Piece::Torn(_) => return Ok(Next::Torn(self.lines.offset() - begin)),
                Piece::Overlong => return Ok(Next::Bad("a line is too long".to_owned())),
            }
        }
        Ok(match Checkpoint::open(&note, &self.key) {
            Ok(checkpoint) => Next::Note(Box::new(checkpoint)),
            Err(error) => Next::Bad(error.to_string()),
        })
    }
}

/// The end of the file: the latest checkpoint, where it ends, and how many bytes of an unfinished note follow.
#[derive(Debug, Default)]
pub(super) struct Latest {
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) end: u64,
    pub(super) torn: u64,
}

/// Finds the latest checkpoint. The outer error is the disk's; the inner one says that a note is not ours.
pub(super) fn latest(dir: &Directory, key: &VerifyingKey) -> Result<Result<Latest, String>, DiskError> {
    let failed = |error: std::io::Error| dir.error("read", FILE, error);
    let Some(stat) = dir.stat(FILE)? else { return Ok(Ok(Latest::default())) };
    let size = length(&stat);
    let mut file = dir.read(FILE)?;
    if let Some(checkpoint) = last_note(&mut file, size, key).map_err(failed)? {
        return Ok(Ok(Latest { checkpoint: Some(checkpoint), end: size, torn: 0 }));
    }
    // The file does not end in a whole note: a crash while one was written, or another hand. Read it from the beginning.
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut reader = NoteReader::new(file.take(size), *key);
    let mut latest = Latest::default();
    loop {
        match reader.next().map_err(failed)? {
            Next::Note(checkpoint) => {
                latest.end = reader.offset();
                latest.checkpoint = Some(*checkpoint);
            }
            Next::Bad(why) => return Ok(Err(why)),
            Next::Torn(bytes) => return Ok(Ok(Latest { torn: bytes, ..latest })),
            Next::End => return Ok(Ok(latest)),
        }
    }
}

/// The note that the file ends in, if it does.
fn last_note(file: &mut File, size: u64, key: &VerifyingKey) -> std::io::Result<Option<Checkpoint>> {
    /// Longer than any note with one signature.
    const WINDOW: u64 = 1024;
    file.seek(SeekFrom::Start(size.saturating_sub(WINDOW)))?;
    let mut bytes = Vec::new();
    file.take(WINDOW).read_to_end(&mut bytes)?;
    let Some(text) = bytes.strip_suffix(b"\n") else { return Ok(None) };
    let from = text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').nth(LINES - 1);
    let note = match from {
        Some((at, _)) => bytes.get(at + 1..),
        None => (size <= WINDOW).then_some(bytes.as_slice()),
    };
    let note = note.and_then(|note| std::str::from_utf8(note).ok());
    Ok(note.and_then(|note| Checkpoint::open(note, key).ok()))
}

/// Adds a note durably to the end of a file that is `end` long; takes back what it could write if it can't write it all.
pub(super) fn append(mut file: &File, end: u64, note: &str) -> std::io::Result<u64> {
    let written = file.write_all(note.as_bytes()).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // If this fails too, the next reader finds a torn note and says so.
        let _ = file.set_len(end).and_then(|()| file.sync_data());
        return Err(error);
    }
    Ok(end + note.len() as u64)
}
