//! A range of lines goes to somebody who has nothing but the key.

use super::*;

fn bundle(dir: &Path, first: u64, last: u64, since: Option<u64>, out: &Path) -> Result<Exported, ExportError> {
    export(dir, &public_key(), first..=last, since, out)
}

#[test]
fn every_range_proves_itself() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let size = 9;
    closed(dir.path(), size);
    let all = lines(dir.path());
    for (first, last) in (1..=size).flat_map(|first| (first..=size).map(move |last| (first, last))) {
        let path = out.path().join(format!("{first}-{last}"));
        let made = bundle(dir.path(), first, last, None, &path).unwrap();
        assert_eq!((made.first, made.last, made.size), (first, last, size));
        assert_eq!(verify_bundle(&path, &public_key(), None).unwrap(), made);
        let expected: String =
            all[first as usize - 1..last as usize].iter().map(|(_, line)| format!("{line}\n")).collect();
        assert_eq!(fs::read_to_string(path.join("lines.jsonl")).unwrap(), expected);
    }
}

#[test]
fn a_bundle_with_any_changed_byte_proves_nothing() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    closed(dir.path(), 6);
    let path = out.path().join("bundle");
    bundle(dir.path(), 2, 4, None, &path).unwrap();
    for name in ["lines.jsonl", "checkpoint", "proof.json"] {
        let file = path.join(name);
        let original = fs::read(&file).unwrap();
        // The line feed at the end of the proof is the one byte that says nothing.
        for at in 0..original.len() - usize::from(name == "proof.json") {
            let mut bytes = original.clone();
            bytes[at] ^= 2;
            fs::write(&file, bytes).unwrap();
            assert!(verify_bundle(&path, &public_key(), None).is_err(), "{name}: {at}");
        }
        fs::write(&file, original).unwrap();
    }
    assert!(verify_bundle(&path, &public_key(), None).is_ok());
    let lines = fs::read_to_string(path.join("lines.jsonl")).unwrap();
    fs::write(path.join("lines.jsonl"), lines.split_inclusive('\n').skip(1).collect::<String>()).unwrap();
    assert!(matches!(verify_bundle(&path, &public_key(), None), Err(ExportError::Unproved(_))));
}

#[test]
fn a_bundle_shows_that_the_record_still_begins_with_what_was_signed_before() {
    let (dir, other, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let older = closed(dir.path(), 5);
    let record = Record::open(settings(dir.path())).unwrap();
    (6..=11).for_each(|number| assert!(record.append_blocking(entry(number)).is_ok()));
    record.close_blocking().unwrap();
    let path = out.path().join("bundle");
    bundle(dir.path(), 7, 8, Some(5), &path).unwrap();
    assert_eq!(verify_bundle(&path, &public_key(), Some(older.note())).unwrap().since, Some(5));
    // Another history of the same length, by the same key.
    let stranger = closed(other.path(), 5);
    assert!(verify_bundle(&path, &public_key(), Some(stranger.note())).is_err());
}

#[test]
fn nothing_is_exported_that_no_checkpoint_covers_or_that_was_changed() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    closed(dir.path(), 6);
    let path = out.path().join("bundle");
    for (first, last) in [(0, 3), (4, 3), (5, 7)] {
        let result = bundle(dir.path(), first, last, None, &path);
        assert!(matches!(result, Err(ExportError::Range { covered: 6, .. })), "{first} to {last}");
    }
    assert!(bundle(dir.path(), 1, 2, Some(7), &path).is_err());
    assert!(!path.exists());
    let mut all = lines(dir.path());
    all[1].1 = all[1].1.replace("r2", "r3");
    chain_again(&mut all);
    put_lines(&all);
    assert!(matches!(bundle(dir.path(), 3, 4, None, &path), Err(ExportError::Broken(_))));
    assert!(verify_bundle(&path, &public_key(), None).is_err());
}
