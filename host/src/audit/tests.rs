//! What holds for the whole room: each file is named for what it tries to do to the record.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test says what went wrong by failing"
)]

mod bundle;
mod crash;
mod hint;
mod latch;
mod several;
mod tail;
mod tamper;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use ed25519_dalek::SigningKey;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn public_key() -> PublicKey {
    PublicKey::new(Origin::new("lockgate/test").unwrap(), signing_key().verifying_key())
}

fn settings(dir: &Path) -> RecordSettings {
    RecordSettings {
        dir: dir.to_owned(),
        max_segment_bytes: 1 << 20,
        checkpoint_every_lines: 1 << 20,
        checkpoint_every: HOUR,
        origin: "lockgate/test".to_owned(),
        key: signing_key(),
        export: Vec::new(),
    }
}

fn entry(number: u64) -> Entry {
    Entry::new("call.intent").field("run", format!("r{number}")).field("number", number)
}

/// A closed record of `count` lines (the first is the record's own), three lines a segment, a checkpoint every four.
fn closed(dir: &Path, count: u64) -> Checkpoint {
    let settings = RecordSettings { max_segment_bytes: 650, checkpoint_every_lines: 4, ..settings(dir) };
    let record = Record::open(settings).unwrap();
    for number in 2..=count {
        assert_eq!(record.append_blocking(entry(number)).unwrap().seq, number);
    }
    record.close_blocking().unwrap();
    let latest = notes::latest(&directory::Directory::open(dir).unwrap(), public_key().key()).unwrap().unwrap();
    latest.checkpoint.filter(|note| note.size() == count).unwrap()
}

fn check(dir: &Path) -> Report {
    verify(dir, &public_key(), None).unwrap()
}

fn check_with(dir: &Path, external: &Checkpoint) -> Report {
    verify(dir, &public_key(), Some(external.note())).unwrap()
}

#[track_caller]
fn assert_intact(dir: &Path, lines: u64) {
    let report = check(dir);
    assert!(report.intact, "{report}");
    assert_eq!(report.verified, lines, "{report}");
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let numbers = directory::Directory::open(dir).unwrap().segments().unwrap();
    numbers.into_iter().map(|number| dir.join(segment::name(number))).collect()
}

/// Every line of the record, with its segment.
fn lines(dir: &Path) -> Vec<(PathBuf, String)> {
    let of = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        text.lines().map(|line| (path.clone(), line.to_owned())).collect::<Vec<_>>()
    };
    segments(dir).into_iter().flat_map(of).collect()
}

/// Writes the lines back to the segments that they are given for.
fn put_lines(lines: &[(PathBuf, String)]) {
    for (path, _) in lines {
        fs::write(path, "").unwrap();
    }
    for (path, line) in lines {
        let text = fs::read_to_string(path).unwrap();
        fs::write(path, format!("{text}{line}\n")).unwrap();
    }
}

/// What somebody does who may write the files and knows the format, but has not the key: every `prev` is right again.
fn chain_again(lines: &mut [(PathBuf, String)]) {
    let mut prev = genesis();
    for (_, line) in lines {
        let at = line.find("\"prev\":\"").unwrap() + 8;
        line.replace_range(at..at + 64, &prev.to_string());
        prev = link(line.as_bytes());
    }
}
