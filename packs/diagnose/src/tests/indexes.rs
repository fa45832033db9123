//! Indexes.

use lockgate_pack::{Outcome, Value};
use lockgate_pack_shared::indexes::{duplicate::DUPLICATE_READ, invalid::INVALID_READ, unused::UNUSED_READ};

use super::{NULL, headline, is, next, planted, says_nothing_planted, script, verdicts};
use crate::PACK;

const MB: i64 = 1 << 20;

/// schema, name, in work, leftover, partitioned.
type Invalid = (&'static str, &'static str, Option<bool>, Option<&'static str>, bool);

fn invalid(of: Invalid) -> Vec<Value> {
    let (schema, name, in_work, leftover, partitioned) = of;
    let mut row =
        vec![schema.into(), planted(), name.into(), MB.into(), planted(), false.into(), true.into(), true.into()];
    row.extend([false.into(), partitioned.into(), leftover.into(), in_work.into(), NULL, NULL, NULL]);
    row
}

fn unused(bytes: i64, foreign_key: bool, scans: i64) -> Vec<Value> {
    let mut row = vec![planted(), planted(), planted(), bytes.into(), "btree".into(), planted(), false.into()];
    row.extend([foreign_key.into(), scans.into(), 0_i64.into(), NULL, NULL]);
    row
}

fn duplicate(bytes: i64) -> Vec<Value> {
    let mut row = vec![planted(), planted(), planted(), bytes.into(), NULL, planted(), NULL, "btree".into(), planted()];
    row.extend([false.into(), false.into(), 0_i64.into(), 0_i64.into()]);
    row
}

fn health(invalid: Vec<Vec<Value>>, duplicates: Vec<Vec<Value>>, unused: Vec<Vec<Value>>) -> Outcome {
    let script =
        script().answer(&INVALID_READ, invalid).answer(&DUPLICATE_READ, duplicates).answer(&UNUSED_READ, unused);
    let outcome = script.run(&PACK, "index_health", &[]).unwrap();
    says_nothing_planted(&outcome);
    outcome
}

#[test]
fn an_invalid_index_is_rebuilt_if_it_can_be_named() {
    let of = |rows: Vec<Invalid>| {
        let outcome = health(rows.into_iter().map(invalid).collect(), vec![], vec![]);
        (headline(&outcome).0, next(&outcome), outcome.notices().len())
    };
    let reindex = |name: &str| Some(format!(r#"postgres.reindex_concurrent {{"schema":"sales","index":"{name}"}}"#));
    let word = |word: &str| word.to_owned();
    assert_eq!(of(vec![("sales", "a", Some(false), None, false)]), (word("invalid_index"), reindex("a"), 0));
    for odd in ["odd name", "a\"b", "é", "1a", ""] {
        let only = of(vec![("sales", odd, Some(false), None, false)]);
        assert_eq!(only, (word("invalid_index"), None, 1), "{odd}");
        let both = of(vec![("sales", odd, Some(false), None, false), ("sales", "b", Some(false), None, false)]);
        assert_eq!(both, (word("invalid_index"), reindex("b"), 0));
    }
    assert_eq!(of(vec![("pg_toast", "a", Some(false), None, false)]).1, None);
    assert_eq!(of(vec![("sales", "a", None, None, false)]), (word("invalid_index"), None, 0), "on a standby");
    assert_eq!(of(vec![("sales", "a", Some(false), None, true)]), (word("invalid_index"), None, 0), "of partitions");
    assert_eq!(of(vec![("sales", "a", Some(true), None, false)]), (word("healthy"), None, 1), "it is being built");
    assert_eq!(of(vec![("sales", "a_ccnew", Some(false), Some("new"), false)]), (word("rebuild_leftover"), None, 0));
}

#[test]
fn waste_is_told_in_bytes() {
    let outcome = health(vec![], vec![duplicate(3 * MB), duplicate(4 * MB)], vec![unused(8 * MB, false, 5)]);
    let words: Vec<_> =
        verdicts(&outcome).into_iter().map(|(word, severity, _)| format!("{word} {severity}")).collect();
    assert_eq!(words, ["duplicate_indexes notice", "unused_indexes notice"]);
    assert!(outcome.findings()[0].1.contains("7.0 MB") && outcome.findings()[1].1.contains("8.0 MB"));
    assert_eq!(next(&outcome), None, "no action drops an index");
    let much = health(vec![], vec![], vec![unused(1024 * MB, false, 5)]);
    assert_eq!(headline(&much), is("unused_indexes", "warning"));
    for row in [unused(8 * MB - 1, false, 5), unused(900 * MB, true, 5), unused(900 * MB, false, 0)] {
        assert_eq!(headline(&health(vec![], vec![], vec![row])), is("healthy", "ok"));
    }
}
