//! Somebody changes the files of a closed record.

use proptest::prelude::*;

use super::*;

#[test]
fn an_untouched_record_is_intact_and_anchored() {
    let dir = tempfile::tempdir().unwrap();
    let last = closed(dir.path(), 10);
    assert!(segments(dir.path()).len() >= 3);
    let report = check_with(dir.path(), &last);
    assert!(report.intact, "{report}");
    assert_eq!((report.verified, report.anchored, report.unanchored), (10, 10, 0));
    assert_eq!((report.external, report.first_bad(), report.root), (Some(10), None, last.root()));
    assert!(report.checkpoints >= 3, "{report}");
    assert!(report.to_string().contains("lines 1 to 10"), "{report}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["intact"], &json["verified"]), (&true.into(), &10.into()));
}

/// Flips the bit and puts the byte back after the look.
fn look_at_flipped(dir: &Path, path: &Path, at: usize, bit: u8) -> Report {
    let original = fs::read(path).unwrap();
    let mut bytes = original.clone();
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
    let report = check(dir);
    fs::write(path, original).unwrap();
    report
}

#[test]
fn a_flipped_bit_in_any_byte_is_found_and_nothing_from_that_line_on_is_vouched_for() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 7);
    let mut seq = 1;
    for path in segments(dir.path()) {
        let bytes = fs::read(&path).unwrap();
        for (at, byte) in bytes.iter().enumerate() {
            let report = look_at_flipped(dir.path(), &path, at, (at % 8) as u8);
            assert!(!report.intact, "line {seq}, byte {at}: {report}");
            assert!(report.verified < seq, "line {seq}, byte {at}: {report}");
            assert!(report.first_bad().is_some_and(|bad| bad <= seq), "line {seq}, byte {at}: {report}");
            seq += u64::from(*byte == b'\n');
        }
    }
    assert_intact(dir.path(), 7);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_flipped_bit_is_found(places in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 16)) {
        let dir = tempfile::tempdir().unwrap();
        closed(dir.path(), 5);
        let all: Vec<(PathBuf, usize)> = segments(dir.path())
            .into_iter()
            .flat_map(|path| (0..fs::metadata(&path).unwrap().len()).map(move |at| (path.clone(), at as usize)))
            .collect();
        for (index, bit) in places {
            let (path, at) = index.get(&all);
            prop_assert!(!look_at_flipped(dir.path(), path, *at, bit).intact, "{}: {at}.{bit}", path.display());
        }
    }
}

#[test]
fn a_removed_repeated_or_moved_line_is_found_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 8);
    let original = lines(dir.path());
    for at in 0..original.len() {
        let bad = at as u64 + 1;
        let mut removed = original.clone();
        let (path, _) = removed.remove(at);
        fs::write(path, "").unwrap();
        put_lines(&removed);
        assert_eq!(check(dir.path()).first_bad(), Some(bad), "removed {bad}");

        let mut repeated = original.clone();
        repeated.insert(at, original[at].clone());
        put_lines(&repeated);
        assert_eq!(check(dir.path()).first_bad(), Some(bad + 1), "repeated {bad}");

        if at + 1 < original.len() {
            let mut moved = original.clone();
            let (one, two) = (original[at].1.clone(), original[at + 1].1.clone());
            (moved[at].1, moved[at + 1].1) = (two, one);
            put_lines(&moved);
            assert_eq!(check(dir.path()).first_bad(), Some(bad), "moved {bad}");
        }
    }
    put_lines(&original);
    assert_intact(dir.path(), 8);
}

#[test]
fn a_missing_or_exchanged_segment_is_found() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 12);
    let paths = segments(dir.path());
    let aside = dir.path().join("aside");
    for path in &paths {
        fs::rename(path, &aside).unwrap();
        assert!(!check(dir.path()).intact, "{}", path.display());
        fs::rename(&aside, path).unwrap();
    }
    fs::rename(&paths[0], &aside).unwrap();
    fs::rename(&paths[1], &paths[0]).unwrap();
    fs::rename(&aside, &paths[1]).unwrap();
    assert_eq!(check(dir.path()).first_bad(), Some(1));
}

#[test]
fn a_cut_off_end_is_found_at_any_byte_with_a_checkpoint_from_outside() {
    let dir = tempfile::tempdir().unwrap();
    let last = closed(dir.path(), 5);
    // Whoever cuts the end off also removes what the record itself has as evidence of it.
    fs::remove_file(dir.path().join("checkpoints")).unwrap();
    for path in segments(dir.path()).into_iter().rev() {
        let bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).rev() {
            fs::write(&path, &bytes[..at]).unwrap();
            let report = check_with(dir.path(), &last);
            let found = report.problems.iter().any(|problem| problem.kind == ProblemKind::Truncated);
            assert!(found && report.verified < 5, "{at}: {report}");
        }
        fs::remove_file(path).unwrap();
    }
    assert_eq!(check_with(dir.path(), &last).first_bad(), Some(1));
    assert!(matches!(verify(dir.path(), &public_key(), None), Err(VerifyError::NoRecord(_))));
}

#[test]
fn a_cut_off_end_contradicts_the_records_own_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 6);
    let mut all = lines(dir.path());
    let (path, _) = all.pop().unwrap();
    fs::write(path, "").unwrap();
    put_lines(&all);
    let report = check(dir.path());
    assert_eq!(report.problems[0].kind, ProblemKind::Truncated, "{report}");
    assert_eq!(report.first_bad(), Some(6));
    let opened = Record::open(settings(dir.path()));
    assert!(matches!(opened, Err(RecordError::Broken { .. })));
}

#[test]
fn a_record_that_was_put_back_is_found_with_a_later_checkpoint() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    closed(dir.path(), 5);
    for file in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let record = Record::open(settings(dir.path())).unwrap();
    record.append_blocking(entry(6)).unwrap();
    record.close_blocking().unwrap();
    let sink = fs::read_to_string(dir.path().join("checkpoints")).unwrap();

    assert_intact(copy.path(), 5);
    let report = verify(copy.path(), &public_key(), Some(&sink)).unwrap();
    assert_eq!((report.problems[0].kind, report.external), (ProblemKind::Truncated, Some(5)), "{report}");
    assert!(verify(dir.path(), &public_key(), Some(&sink)).unwrap().intact);
}

#[test]
fn lines_that_were_written_anew_without_the_key_are_found_by_any_checkpoint_over_them() {
    let dir = tempfile::tempdir().unwrap();
    let last = closed(dir.path(), 10);
    let mut all = lines(dir.path());
    all[5].1 = all[5].1.replace("\"r6\"", "\"r9\"");
    chain_again(&mut all);
    put_lines(&all);
    let report = check(dir.path());
    assert_eq!(report.problems[0].kind, ProblemKind::Root, "{report}");
    // Line 6 was changed: the checkpoint before it still holds, and no line behind it is vouched for.
    let first_bad = report.first_bad().unwrap();
    assert!((2..=6).contains(&first_bad) && report.verified == first_bad - 1, "{report}");
    assert_eq!(report.anchored, report.verified);

    // Without the record's own checkpoints nothing in the directory gives it away: this is the stated limit.
    fs::remove_file(dir.path().join("checkpoints")).unwrap();
    let report = check(dir.path());
    assert!(report.intact && report.anchored == 0 && report.unanchored == 10, "{report}");
    assert_eq!(check_with(dir.path(), &last).problems[0].kind, ProblemKind::Root);
}

#[test]
fn not_even_the_key_can_rewrite_what_was_signed_and_kept_elsewhere() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kept = closed(dir.path(), 6);
    // The same lines but later, by the same key: another history.
    closed(other.path(), 9);
    assert_intact(other.path(), 9);
    let report = check_with(other.path(), &kept);
    assert_eq!((report.problems[0].kind, report.anchored, report.verified), (ProblemKind::Root, 0, 0), "{report}");
}

#[test]
fn another_key_or_origin_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let last = closed(dir.path(), 3);
    let key = SigningKey::from_bytes(&[8; 32]);
    let other = PublicKey::new(Origin::new("lockgate/test").unwrap(), key.verifying_key());
    let report = verify(dir.path(), &other, None).unwrap();
    assert_eq!((report.problems[0].kind, report.verified), (ProblemKind::Owner, 0), "{report}");
    assert!(report.problems.iter().any(|problem| problem.kind == ProblemKind::Checkpoint), "{report}");
    let elsewhere = PublicKey::new(Origin::new("lockgate/other").unwrap(), signing_key().verifying_key());
    let result = verify(dir.path(), &elsewhere, Some(last.note()));
    assert!(matches!(result, Err(VerifyError::OtherOrigin { .. })));
    assert!(matches!(verify(dir.path(), &other, Some(last.note())), Err(VerifyError::External(_))));
    let opened = Record::open(RecordSettings { key, ..settings(dir.path()) });
    assert!(matches!(opened, Err(RecordError::Broken { .. } | RecordError::OtherKey { .. })));
}

#[test]
fn a_changed_checkpoint_of_the_record_is_found() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 8);
    let path = dir.path().join("checkpoints");
    let original = fs::read(&path).unwrap();
    for at in 0..original.len() - 1 {
        let mut bytes = original.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let report = check(dir.path());
        assert!(!report.intact || report.anchored < 8, "{at}: {report}");
    }
}
