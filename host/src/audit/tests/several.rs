//! Several writers at once.

use std::{
    collections::HashSet,
    process::{Command, Stdio},
    thread,
};

use super::*;

fn small(dir: &Path) -> RecordSettings {
    RecordSettings { max_segment_bytes: 3000, checkpoint_every_lines: 16, ..settings(dir) }
}

#[test]
fn two_handles_and_many_threads_make_one_chain() {
    const EACH: u64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let records = [Record::open(small(dir.path())).unwrap(), Record::open(small(dir.path())).unwrap()];
    let receipts: Vec<Receipt> = thread::scope(|scope| {
        let add =
            |record: Record| move || (0..EACH).map(|i| record.append_blocking(entry(i)).unwrap()).collect::<Vec<_>>();
        let threads: Vec<_> = records.iter().cycle().take(6).map(|record| scope.spawn(add(record.clone()))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let seqs: HashSet<u64> = receipts.iter().map(|receipt| receipt.seq).collect();
    assert_eq!(seqs, (2..=6 * EACH + 1).collect());
    let all = lines(dir.path());
    for receipt in receipts {
        let line = &all[usize::try_from(receipt.seq).unwrap() - 1].1;
        assert_eq!(link(line.as_bytes()), receipt.hash);
    }
    drop(records);
    let report = check(dir.path());
    assert!(report.intact && report.unanchored == 0 && report.verified == 6 * EACH + 1, "{report}");
}

/// The body of a child process.
#[test]
fn child_that_writes_a_hundred_lines() {
    let Ok(dir) = std::env::var("LOCKGATE_TEST_SHARED_RECORD") else { return };
    let record = Record::open(small(Path::new(&dir))).unwrap();
    (0..100).for_each(|number| assert!(record.append_blocking(entry(number)).is_ok()));
    record.close_blocking().unwrap();
}

#[test]
fn two_processes_make_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .stdout(Stdio::null())
            .args(["--exact", "audit::tests::several::child_that_writes_a_hundred_lines"])
            .env("LOCKGATE_TEST_SHARED_RECORD", dir.path())
            .spawn()
            .unwrap()
    };
    let children = [start(), start()];
    // A reader in the middle of it sees whole batches only.
    let record = Record::open(small(dir.path())).unwrap();
    record.append_blocking(entry(0)).unwrap();
    let report = check(dir.path());
    assert!(report.intact && report.torn_bytes == 0, "{report}");
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    record.close_blocking().unwrap();
    assert_intact(dir.path(), 202);
    assert_eq!(check(dir.path()).unanchored, 0);
}

#[tokio::test]
async fn futures_are_ready_when_their_lines_are_durable_and_share_batches() {
    let dir = tempfile::tempdir().unwrap();
    let record = Record::open(settings(dir.path())).unwrap();
    let waiting: Vec<_> = (0..50).map(|number| record.append(entry(number))).collect();
    // Dropped, and on the record all the same: the entry was queued when `append` was called.
    drop(record.append(entry(50)));
    let mut seqs = Vec::new();
    for future in waiting {
        seqs.push(future.await.unwrap().seq);
    }
    assert_eq!(seqs, (2..52).collect::<Vec<_>>());
    record.checkpoint().await.unwrap();
    assert_eq!(check(dir.path()).anchored, 52);
    assert!(matches!(record.append(Entry::new("two words")).await, Err(RecordError::Entry { .. })));
    record.close().await.unwrap();
    assert_intact(dir.path(), 52);
}
