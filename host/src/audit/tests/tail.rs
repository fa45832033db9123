//! Somebody looks on.

use std::io::Write as _;

use super::*;

fn seqs(dir: &Path, count: u64) -> Vec<u64> {
    tail(dir, count, false).unwrap().map(|line| line.unwrap().seq()).collect()
}

#[test]
fn the_last_lines_are_shown_across_segments() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 11);
    for count in 0..14 {
        assert_eq!(seqs(dir.path(), count), (12u64.saturating_sub(count).max(1)..=11).collect::<Vec<_>>(), "{count}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(seqs(empty.path(), 5).is_empty());
}

#[test]
fn a_follower_sees_each_line_once_over_rotations_and_half_lines() {
    let dir = tempfile::tempdir().unwrap();
    let mut tail = tail(dir.path(), 0, true).unwrap();
    assert_eq!(tail.poll().unwrap(), None);
    let record = Record::open(RecordSettings { max_segment_bytes: 500, ..settings(dir.path()) }).unwrap();
    for seq in 2..12 {
        record.append_blocking(entry(seq)).unwrap();
    }
    let shown: Vec<u64> = std::iter::from_fn(|| tail.poll().unwrap()).map(|line| line.seq()).collect();
    assert_eq!(shown, (1..12).collect::<Vec<_>>());
    record.append_blocking(entry(12)).unwrap();
    assert_eq!(tail.poll().unwrap().map(|line| line.seq()), Some(12));
    drop(record);

    let path = segments(dir.path()).pop().unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    let last = lines(dir.path()).pop().unwrap().1;
    let next = last.replace("\"seq\":12", "\"seq\":13");
    file.write_all(&next.as_bytes()[..50]).unwrap();
    assert_eq!(tail.poll().unwrap(), None);
    file.write_all(&next.as_bytes()[50..]).unwrap();
    assert_eq!(tail.poll().unwrap(), None);
    file.write_all(b"\nnonsense\n").unwrap();
    assert_eq!(tail.poll().unwrap().map(|line| line.seq()), Some(13));
    assert!(matches!(tail.poll(), Err(TailError::Malformed { .. })));
    assert_eq!(tail.poll().unwrap(), None);
}
