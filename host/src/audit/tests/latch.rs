//! The disk refuses.

use std::{
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use super::*;

#[track_caller]
fn assert_latched(record: &Record) {
    assert!(matches!(record.health(), Health::Latched { .. }));
    assert!(matches!(record.append_blocking(entry(0)), Err(RecordError::Latched { .. })));
    assert!(matches!(record.close_blocking(), Err(RecordError::Latched { .. })));
}

#[test]
fn a_segment_that_can_not_be_made_latches() {
    let dir = tempfile::tempdir().unwrap();
    let record = Record::open(RecordSettings { max_segment_bytes: 400, ..settings(dir.path()) }).unwrap();
    let blocked = dir.path().join(segment::name(2));
    fs::create_dir(&blocked).unwrap();
    let failed = (0..4).map(|number| record.append_blocking(entry(number))).find_map(Result::err);
    assert!(matches!(failed, Some(RecordError::Latched { .. })));
    // What was in the way is gone, and still nothing is written before a restart.
    fs::remove_dir(blocked).unwrap();
    assert_latched(&record);
    drop(record);
    assert!(check(dir.path()).intact);
    Record::open(settings(dir.path())).unwrap().append_blocking(entry(9)).unwrap();
}

#[test]
fn a_segment_that_was_removed_replaced_shortened_or_written_to_latches() {
    let harm: [fn(&Path); 5] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, &fs::read(path).unwrap()[..100]).unwrap(),
        |path| fs::write(path, [&fs::read(path).unwrap(), &b"{}\n"[..]].concat()).unwrap(),
        |path| {
            let aside = path.with_extension("aside");
            fs::copy(path, &aside).unwrap();
            fs::rename(aside, path).unwrap();
        },
        |path| {
            fs::remove_file(path).unwrap();
            symlink("/dev/full", path).unwrap();
        },
    ];
    for harm in harm {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::open(settings(dir.path())).unwrap();
        record.append_blocking(entry(1)).unwrap();
        harm(&segments(dir.path()).remove(0));
        assert!(record.append_blocking(entry(2)).is_err());
        assert_latched(&record);
    }
}

#[test]
fn a_latched_record_becomes_a_refusal() {
    use crate::error::{Code, Refusal};
    let refusal = Refusal::from(RecordError::Latched { reason: "disk full".to_owned() });
    assert_eq!(refusal.code, Code::RecordUnavailable);
    assert!(refusal.message.contains("disk full"));
}

/// The body of a child process whose files may not grow beyond what `ulimit` says.
#[tokio::test]
async fn child_with_little_room() {
    let Ok(dir) = std::env::var("LOCKGATE_TEST_FULL_RECORD") else { return };
    let record = Record::open(settings(Path::new(&dir))).unwrap();
    for seq in 2..5 {
        assert_eq!(record.append(entry(1).field("filler", "x".repeat(3000))).await.unwrap().seq, seq);
    }
    // While somebody else has the lock, all of this queues: the checkpoint keeps the two entries out of one batch.
    let directory = directory::Directory::open(Path::new(&dir)).unwrap();
    let locked = directory::Lock::exclusive(&directory).unwrap().acquire(&directory, HOUR).unwrap();
    let large = record.append(entry(1).field("filler", "x".repeat(100_000)));
    let checkpoint = record.checkpoint();
    let small = record.append(entry(1));
    drop(locked);
    let failed = large.await.unwrap_err();
    assert!(matches!(&failed, RecordError::Latched { reason } if reason.contains("taken back")), "{failed}");
    // The small line would fit, and is not written all the same.
    assert!(matches!(checkpoint.await, Err(RecordError::Latched { .. })));
    assert!(matches!(small.await, Err(RecordError::Latched { .. })));
    assert_latched(&record);
    fs::write(Path::new(&dir).join("done"), "").unwrap();
}

#[test]
fn a_full_disk_latches_and_leaves_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    // The shell ignores SIGXFSZ, and so does what it becomes: writing beyond the limit is an error, not a signal.
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" --exact audit::tests::latch::child_with_little_room"])
        .arg(std::env::current_exe().unwrap())
        .env("LOCKGATE_TEST_FULL_RECORD", dir.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(dir.path().join("done").exists());
    let report = check(dir.path());
    assert_eq!((report.intact, report.verified, report.torn_bytes), (true, 4, 0), "{report}");
}

#[tokio::test]
async fn a_checkpoint_that_can_not_be_exported_degrades_and_no_more() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (good, bad) = (outside.path().join("good"), outside.path().join("bad"));
    symlink("/dev/full", &bad).unwrap();
    let export = vec![CheckpointSink::File(bad.clone()), CheckpointSink::File(good.clone())];
    let record = Record::open(RecordSettings { checkpoint_every_lines: 2, export, ..settings(dir.path()) }).unwrap();
    record.append_blocking(entry(2)).unwrap();
    record.append_blocking(entry(3)).unwrap();
    assert!(matches!(record.health(), Health::Degraded { reason } if reason.contains("bad")));
    // A checkpoint without new lines must not hide it.
    record.append_blocking(entry(4)).unwrap();
    record.checkpoint().await.unwrap();
    assert!(matches!(record.health(), Health::Degraded { .. }));
    fs::remove_file(&bad).unwrap();
    record.close_blocking().unwrap();
    assert_eq!(record.health(), Health::Ok);
    assert!(verify(dir.path(), &public_key(), Some(&fs::read_to_string(bad).unwrap())).unwrap().intact);
    let kept = fs::read_to_string(good).unwrap();
    let report = verify(dir.path(), &public_key(), Some(&kept)).unwrap();
    assert!(report.intact && report.external == Some(4), "{report}");
}

#[test]
fn a_closed_record_takes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let record = Record::open(settings(dir.path())).unwrap();
    record.clone().close_blocking().unwrap();
    assert_eq!(record.append_blocking(entry(1)), Err(RecordError::Closed));
    assert_eq!(check(dir.path()).anchored, 1);
}
