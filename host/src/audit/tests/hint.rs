//! The writer's own hint lies, is old or is gone.

use super::*;

const FILE: &str = "state.json";

fn add(dir: &Path) -> Result<u64, RecordError> {
    let record = Record::open(settings(dir))?;
    let seq = record.append_blocking(entry(0))?.seq;
    record.close_blocking()?;
    Ok(seq)
}

/// The hint with another digit after the first `before`.
fn changed(hint: &str, before: &str) -> String {
    let at = hint.find(before).unwrap() + before.len();
    let digit = if hint[at..].starts_with('1') { "2" } else { "1" };
    [&hint[..at], digit, &hint[at + 1..]].concat()
}

#[test]
fn a_hint_that_is_wrong_or_gone_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 9);
    let path = dir.path().join(FILE);
    let old = fs::read_to_string(&path).unwrap();
    let lies: [&dyn Fn(&str) -> String; 9] = [
        &|hint| changed(hint, "\"seq\":"),
        &|hint| changed(hint, "\"segment\":"),
        &|hint| changed(hint, "\"start\":"),
        &|hint| changed(hint, "\"offset\":"),
        &|hint| changed(hint, "\"head\":\""),
        &|hint| changed(hint, "\"peaks\":[\""),
        &|_| old.clone(),
        &|_| String::new(),
        &|_| "\0".repeat(100),
    ];
    for (seq, lie) in (10..).zip(lies) {
        let lie = lie(&fs::read_to_string(&path).unwrap());
        fs::write(&path, &lie).unwrap();
        assert_eq!(add(dir.path()), Ok(seq), "{lie}");
        assert_intact(dir.path(), seq);
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(add(dir.path()), Ok(19));
    assert_intact(dir.path(), 19);
}

#[test]
fn a_record_with_a_changed_last_segment_is_not_continued_whatever_the_hint_says() {
    let dir = tempfile::tempdir().unwrap();
    Record::open(settings(dir.path())).unwrap().close_blocking().unwrap();
    for seq in 2..6 {
        assert_eq!(add(dir.path()), Ok(seq));
    }
    let path = segments(dir.path()).remove(0);
    let original = fs::read(&path).unwrap();
    for at in (0..original.len()).step_by(7) {
        let mut bytes = original.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(Record::open(settings(dir.path())).is_err(), "{at}");
        assert_eq!(segments(dir.path()).len(), 1);
    }
}
