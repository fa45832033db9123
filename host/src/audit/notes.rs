//! `checkpoints`: the record's own file of signed notes, one after the other, each of five lines.

use std::{
    fs::File,
    io::{Read, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use ed25519_dalek::VerifyingKey;

use super::{
    checkpoint::{Checkpoint, DASH},
    directory::{Directory, DiskError, length},
    public_key::PublicKey,
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

/// The latest checkpoints of the record in a directory, the newest first: as many as stand whole at the end of its file, and
/// no more than `most`. What is not one by this key ends the list; that something is wrong is [`super::verify()`]'s to say.
///
/// # Errors
/// When the disk refuses.
pub fn checkpoints(dir: &Path, key: &PublicKey, most: usize) -> Result<Vec<Checkpoint>, DiskError> {
    /// Longer than any note with one signature.
    const NOTE: u64 = 512;
    let dir = Directory::open(dir)?;
    let failed = |error: std::io::Error| dir.error("read", FILE, error);
    let Some(stat) = dir.stat(FILE)? else { return Ok(Vec::new()) };
    let window = NOTE * u64::try_from(most).unwrap_or(u64::MAX / NOTE);
    let mut file = dir.read(FILE)?;
    file.seek(SeekFrom::Start(length(&stat).saturating_sub(window))).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(window).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes);
    // The last line feed ends the last note; behind it may be one that is being written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines: Vec<&str> = whole.lines().collect();
    let torn = lines.len() - lines.iter().rposition(|line| line.starts_with(DASH)).map_or(0, |last| last + 1);
    let lines = lines.get(..lines.len() - torn).unwrap_or_default();
    let notes = lines.rchunks_exact(LINES).map(|note| Checkpoint::open(&(note.join("\n") + "\n"), key.key()));
    Ok(notes.map_while(Result::ok).take(most).collect())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::audit::{Digest, Origin};

    #[test]
    fn the_latest_checkpoints_are_those_that_end_the_file_and_are_by_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let (key, other) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let origin = Origin::new("lockgate/test").unwrap();
        let note = |size, key: &SigningKey| Checkpoint::sign(&origin, size, Digest::of(&[&[1]]), key).note().to_owned();
        let public = PublicKey::new(origin.clone(), key.verifying_key());
        let sizes = |most| -> Vec<u64> {
            checkpoints(dir.path(), &public, most).unwrap().iter().map(Checkpoint::size).collect()
        };
        assert!(sizes(5).is_empty(), "there is no file yet");
        let write = |text: &str| fs::write(dir.path().join(FILE), text).unwrap();
        let all: String = (1..=40).map(|size| note(size, &key)).collect();
        write(&all);
        assert_eq!(sizes(3), [40, 39, 38]);
        assert_eq!(sizes(100).len(), 40);
        let begun = note(41, &key);
        for end in [10, begun.find('\n').unwrap() + 1, begun.len() - 5] {
            write(&format!("{all}{}", &begun[..end]));
            assert_eq!(sizes(2), [40, 39], "one is being written: {end}");
        }
        write(&format!("{}{}{}", note(1, &key), note(2, &other), note(3, &key)));
        assert_eq!(sizes(5), [3], "another key's ends the list");
    }
}
