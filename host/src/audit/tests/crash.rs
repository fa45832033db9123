//! The writer dies: its last bytes are half there.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use super::*;
use crate::audit::journal::{Fault, Journal};

/// Lines without a checkpoint over them.
fn uncovered(dir: &Path, count: u64) {
    let mut journal = Journal::open(settings(dir)).unwrap();
    let bodies: Vec<_> = (2..=count).map(|number| entry(number).into_body().unwrap()).collect();
    journal.commit(&bodies, &mut Vec::new()).unwrap();
}

#[test]
fn a_tail_torn_at_any_byte_is_set_aside_and_recorded() {
    let original = tempfile::tempdir().unwrap();
    uncovered(original.path(), 3);
    let bytes = fs::read(segments(original.path()).remove(0)).unwrap();
    let start = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for at in start..bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(segment::name(1));
        fs::write(&path, &bytes[..at]).unwrap();
        assert_eq!(check(dir.path()).torn_bytes, (at - start) as u64);

        let record = Record::open(settings(dir.path())).unwrap();
        let receipt = record.append_blocking(entry(4)).unwrap();
        record.close_blocking().unwrap();
        if at == start {
            assert_eq!(receipt.seq, 3);
            continue;
        }
        assert_eq!(receipt.seq, 4, "{at}");
        assert_intact(dir.path(), 4);
        let line = Line::parse(&lines(dir.path())[2].1).unwrap();
        assert_eq!((line.event(), line.text("file")), ("record.torn_tail", "record-00000001.jsonl"));
        assert_eq!(line.fields()["offset"], start);
        assert_eq!(fs::read(dir.path().join(line.text("kept"))).unwrap(), &bytes[start..at]);
    }
}

#[test]
fn a_crash_between_setting_aside_and_recording_is_recorded_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    uncovered(dir.path(), 3);
    let path = segments(dir.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&bytes, &b"{\"v\":1,"[..]].concat()).unwrap();
    let directory = directory::Directory::open(dir.path()).unwrap();
    quarantine::set_aside(&directory, &segment::name(1), bytes.len() as u64).unwrap();
    drop(Record::open(settings(dir.path())).unwrap());
    drop(Record::open(settings(dir.path())).unwrap());
    assert_intact(dir.path(), 4);
    assert!(lines(dir.path())[3].1.contains("record.torn_tail"));
}

#[test]
fn a_torn_first_line_and_a_torn_note_are_no_end_of_the_record() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(segment::name(1)), "{\"v\":1,\"se").unwrap();
    fs::write(dir.path().join("checkpoints"), "lockgate/te").unwrap();
    let record = Record::open(settings(dir.path())).unwrap();
    record.append_blocking(entry(1)).unwrap();
    record.close_blocking().unwrap();
    let report = check(dir.path());
    assert!(report.intact, "{report}");
    assert_eq!((report.verified, report.anchored), (4, 4), "{report}");
}

#[test]
fn a_writer_that_dies_in_a_batch_does_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) =
        (Journal::open(settings(dir.path())).unwrap(), Journal::open(settings(dir.path())).unwrap());
    let body = || [entry(1).into_body().unwrap()];
    one.commit(&body(), &mut Vec::new()).unwrap();
    one.fault = Some(Fault::Crash);
    let mut receipts = Vec::new();
    assert!(one.commit(&body(), &mut receipts).is_err());
    assert!(receipts.is_empty());
    two.commit(&body(), &mut receipts).unwrap();
    // Created, the first entry, the torn tail, the second entry.
    assert_eq!(receipts[0].seq, 4);
    assert_intact(dir.path(), 4);
}

#[test]
fn what_could_not_be_synced_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(settings(dir.path())).unwrap();
    journal.fault = Some(Fault::Sync);
    let mut receipts = Vec::new();
    let result = journal.commit(&[entry(1).into_body().unwrap()], &mut receipts);
    assert!(matches!(result, Err(RecordError::Disk { reason }) if reason.contains("taken back")));
    assert!(receipts.is_empty());
    assert_intact(dir.path(), 1);
}

/// The body of a child process: adds lines and says which were acknowledged, until it is killed.
#[test]
fn child_that_writes_until_killed() {
    let Ok(dir) = std::env::var("LOCKGATE_TEST_KILLED_RECORD") else { return };
    let settings = RecordSettings { max_segment_bytes: 4000, checkpoint_every_lines: 7, ..settings(Path::new(&dir)) };
    let record = Record::open(settings).unwrap();
    for number in 0.. {
        println!("\nacknowledged {}", record.append_blocking(entry(number)).unwrap().seq);
    }
}

#[test]
fn no_acknowledged_line_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "audit::tests::crash::child_that_writes_until_killed", "--nocapture"])
            .env("LOCKGATE_TEST_KILLED_RECORD", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let acknowledged = output.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
        let mut last = 0;
        for (count, seq) in acknowledged.enumerate() {
            last = seq;
            if count == 10 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let report = check(dir.path());
        assert!(report.intact && report.verified >= last && last > 0, "{last}: {report}");
    }
    Record::open(settings(dir.path())).unwrap().close_blocking().unwrap();
    let report = check(dir.path());
    assert!(report.intact && report.unanchored == 0, "{report}");
}
