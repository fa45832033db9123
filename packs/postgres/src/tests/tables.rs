//! In which words the reads of tables, indexes and vacuum answer, and when they refuse.

use lockgate_pack::{Failure, QueryError, Severity, Value, testing::Script};
use lockgate_pack_shared::{
    indexes::{duplicate::DUPLICATE_READ, invalid::INVALID_READ, unused::UNUSED_READ},
    wraparound::WRAPAROUND_READ,
};

use super::{NULL, script};
use crate::{
    PACK,
    schemas::SCHEMA_EXISTS,
    sequences::{EXHAUSTION_READ, UNREAD_READ},
    tables::{full::FULL_READ, sizes::SIZES_READ, updates::UPDATES_READ},
    vacuum::{
        status::STATUS_READ,
        workers::{AUTOVACUUM_READ, WORKERS_READ},
        wraparound::OLDEST_READ,
    },
};

/// A row of nulls but for these cells.
fn row<const N: usize>(width: usize, cells: [(usize, Value); N]) -> Vec<Value> {
    let mut row = vec![NULL; width];
    for (index, value) in cells {
        row[index] = value;
    }
    row
}

fn words(script: &Script, action: &str) -> (String, String) {
    let outcome = script.run(&PACK, action, &[]).unwrap();
    (outcome.summary().to_owned(), outcome.notices().join("; "))
}

#[test]
fn a_schema_that_is_not_there_is_not_an_empty_one() {
    for (action, statement) in [("table_sizes", &SIZES_READ), ("vacuum_status", &STATUS_READ)] {
        let ask = |there: bool| {
            let script = Script::new().answer(&SCHEMA_EXISTS, vec![vec![there.into()]]).answer(statement, vec![]);
            script.run(&PACK, action, &[("schema", "shop".into())])
        };
        let Err(Failure::NotFound(why)) = ask(false) else { panic!("{action}: it must be refused") };
        assert!(why.contains("`shop`"), "{why}");
        assert!(ask(true).is_ok(), "{action}");
    }
}

#[test]
fn sizes_are_summed_and_a_cut_is_said() {
    let table = |bytes: i64| row(7, [(1, "t".into()), (5, bytes.into())]);
    let script = Script::new()
        .answer(&SCHEMA_EXISTS, vec![vec![true.into()]])
        .answer(&SIZES_READ, vec![table(2048), table(1024)]);
    assert_eq!(words(&script, "table_sizes").0, "2 tables, 3.0 kB in all, the largest first");
    let cut = script.run(&PACK, "table_sizes", &[("limit", 2_i64.into())]).unwrap();
    assert!(cut.notices()[0].contains("there may be more"));

    let full =
        |live: Option<i64>| Script::new().answer(&FULL_READ, vec![row(14, [(5, 10_i64.into()), (8, live.into())])]);
    assert_eq!(words(&full(Some(4)), "largest_tables_full").1, "");
    assert!(words(&full(None), "largest_tables_full").1.contains("ask the primary"), "a standby");
    let asked = Script::new().answer(&FULL_READ, vec![]);
    asked.run(&PACK, "largest_tables_full", &[]).unwrap();
    assert_eq!(asked.asked()[0].1, [50_i64.into()], "fifty unless told otherwise");
}

#[test]
fn indexes_in_words() {
    let unused = |rows| words(&Script::new().answer(&UNUSED_READ, rows), "unused_indexes");
    let index = || row(12, [(3, 1024_i64.into())]);
    assert_eq!(unused(vec![index(), index()]).0, "2 indexes without a scan, 2.0 kB in all");
    let (none, notice) = unused(vec![]);
    assert!(none.starts_with("every index") && notice.contains("a standby's reads"), "{none} {notice}");

    let duplicate = |rows| words(&Script::new().answer(&DUPLICATE_READ, rows), "duplicate_indexes").0;
    assert_eq!(duplicate(vec![row(13, [(3, 2048_i64.into())])]), "1 index does what another one does, 2.0 kB in all");

    let invalid = |states: &[Option<bool>]| {
        let rows = states.iter().map(|state| row(15, [(11, (*state).into())])).collect();
        words(&script().answer(&INVALID_READ, rows), "invalid_indexes")
    };
    assert_eq!(invalid(&[]).0, "every index is valid");
    assert_eq!(invalid(&[Some(false)]).0, "1 invalid index; nobody works at it");
    assert_eq!(
        invalid(&[Some(false), Some(true)]).0,
        "2 invalid indexes, 1 of them being built, rebuilt or dropped now"
    );
    let (there, notice) = invalid(&[None]);
    assert!(there == "1 invalid index" && notice.contains("ask the primary"), "{there} {notice}");
}

#[test]
fn updates_are_added_up() {
    let rows = vec![row(9, [(2, 10_i64.into()), (4, 4_i64.into())]), row(9, [(2, 5_i64.into()), (4, 0_i64.into())])];
    let summary = words(&Script::new().answer(&UPDATES_READ, rows), "hot_update_ratio").0;
    assert_eq!(summary, "2 tables with updates; 4 of 15 were not HOT");
}

#[test]
fn sequences_that_can_not_be_read_are_never_passed_over() {
    let schema =
        |readable: i64, not_granted: i64| row(4, [(0, "s".into()), (2, readable.into()), (3, not_granted.into())]);
    let ask = |schemas, sequences| {
        let script = Script::new().answer(&UNREAD_READ, schemas).answer(&EXHAUSTION_READ, sequences);
        script.run(&PACK, "sequence_exhaustion", &[])
    };
    let sequence = |cycles: bool, used: f64| row(11, [(6, cycles.into()), (9, used.into())]);
    let Err(Failure::Query(QueryError::MissingPrivilege(why))) = ask(vec![schema(0, 2)], vec![]) else {
        panic!("it must be refused")
    };
    assert!(why.contains("none of 2 sequences") && why.contains("GRANT SELECT ON ALL SEQUENCES IN SCHEMA"), "{why}");
    assert_eq!(ask(vec![], vec![]).unwrap().summary(), "the database has no sequences");
    let partly = ask(vec![schema(1, 1)], vec![sequence(false, 10.0)]).unwrap();
    assert!(partly.notices()[0].contains("1 sequence is not readable") && partly.tables().count() == 2);
    let full = ask(vec![schema(3, 0)], vec![sequence(false, 90.0), sequence(true, 99.0)]).unwrap();
    assert_eq!(full.summary(), "1 sequence has used three quarters of its range or more; the fullest 90.0 %");
    let many = ask(vec![schema(5000, 0)], vec![sequence(false, 1.0)]).unwrap();
    assert!(many.notices()[0].contains("out of 5000"), "{:?}", many.notices());
}

#[test]
fn a_table_that_is_due_while_autovacuum_is_off_for_it_is_said() {
    let table = |due: Option<&str>, enabled: bool| row(22, [(2, due.map_or(NULL, Into::into)), (3, enabled.into())]);
    let rows = vec![table(Some("vacuum"), false), table(Some("vacuum"), true), table(None, false)];
    let script = Script::new().answer(&SCHEMA_EXISTS, vec![vec![true.into()]]).answer(&STATUS_READ, rows);
    let (summary, notice) = words(&script, "vacuum_status");
    assert_eq!(summary, "3 tables, 2 of them past a threshold");
    assert!(notice.starts_with("1 table is past a threshold with autovacuum switched off"), "{notice}");
}

#[test]
fn workers_against_their_maximum() {
    let ask = |on: bool, workers: usize| {
        let settings = row(6, [(0, on.into()), (1, true.into()), (2, 3_i64.into())]);
        let script =
            script().answer(&AUTOVACUUM_READ, vec![settings]).answer(&WORKERS_READ, vec![vec![NULL; 12]; workers]);
        let outcome = script.run(&PACK, "autovacuum_workers", &[]).unwrap();
        (outcome.summary().to_owned(), outcome.findings().first().map(|(severity, _)| *severity))
    };
    assert_eq!(ask(true, 0), ("0 of 3 autovacuum workers run".to_owned(), None));
    assert_eq!(ask(true, 3).1, Some(Severity::Notice));
    assert_eq!(ask(false, 0).1, Some(Severity::Warning), "autovacuum is off");
}

#[test]
fn the_nearer_the_wall_the_louder() {
    let ask = |age: i64, failsafe: Option<i64>| {
        let percent = |age: i64| 100.0 * f64::from(i32::try_from(age).unwrap()) / 2_147_483_648.0;
        let database = row(
            13,
            [
                (1, age.into()),
                (2, 200_000_000_i64.into()),
                (3, failsafe.into()),
                (5, percent(age).into()),
                (7, 5_i64.into()),
                (8, 400_000_000_i64.into()),
                (9, failsafe.into()),
                (11, percent(5).into()),
            ],
        );
        let script = Script::new().answer(&WRAPAROUND_READ, vec![database]).answer(&OLDEST_READ, vec![]);
        let outcome = script.run(&PACK, "xid_wraparound_proximity", &[]).unwrap();
        (outcome.summary().to_owned(), outcome.findings().first().map(|(severity, _)| *severity))
    };
    let failsafe = Some(1_600_000_000);
    assert_eq!(ask(107_374_183, failsafe), ("the oldest database is 5.0 % of the way to wraparound".to_owned(), None));
    assert_eq!(ask(200_000_001, failsafe).1, Some(Severity::Warning));
    assert_eq!(ask(1_600_000_001, failsafe).1, Some(Severity::Critical));
    // 13 has no failsafe; it has the same wall.
    assert_eq!(
        (ask(1_600_000_001, None).1, ask(1_700_000_000, None).1),
        (Some(Severity::Warning), Some(Severity::Critical))
    );
}
