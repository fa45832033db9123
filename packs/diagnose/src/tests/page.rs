//! The check-up.

use lockgate_pack::{QueryError, testing::Script};
use lockgate_pack_shared::{
    autovacuum::PAST_THRESHOLD,
    chains::CHAINS_READ,
    indexes::{duplicate::DUPLICATE_READ, invalid::INVALID_READ, unused::UNUSED_READ},
    slots::SLOTS_READ,
    wraparound::WRAPAROUND_READ,
    xmin_holders::XMIN_HOLDERS,
};

use super::{NULL, next, script, vacuum, verdicts};
use crate::{
    PACK,
    connection_pressure::{LIMITS, TAKERS},
    replication_health::{SERVER, STANDBYS},
    vacuum_health::{HERE, OLDEST, RUNNING},
};

fn limits(used: i64) -> Vec<lockgate_pack::Value> {
    let n = |number: i64| lockgate_pack::Value::Integer(number);
    vec!["server".into(), NULL, n(100), n(used), n(0), n(0), n(0), n(used), n(used), n(90)]
}

/// A server where nothing is wrong but what the test says before.
fn quiet(script: Script, used: i64) -> Script {
    script
        .answer(&CHAINS_READ, vec![])
        .answer(&LIMITS, vec![limits(used)])
        .answer(&TAKERS, vec![])
        .answer(&HERE, vec![vec!["shop".into(), false.into(), true.into()]])
        .answer(&XMIN_HOLDERS, vec![])
        .answer(&RUNNING, vec![])
        .answer(&PAST_THRESHOLD, vec![])
        .answer(&SERVER, vec![vec![false.into(), "".into(), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL]])
        .answer(&STANDBYS, vec![])
        .answer(&SLOTS_READ, vec![])
        .answer(&INVALID_READ, vec![])
        .answer(&UNUSED_READ, vec![])
}

#[test]
fn five_areas_one_page() {
    let quiet =
        quiet(script(), 5).answer(&WRAPAROUND_READ, vec![vacuum::ages("shop", 5)]).answer(&DUPLICATE_READ, vec![]);
    let outcome = quiet.run(&PACK, "checkup", &[]).unwrap();
    assert_eq!(outcome.summary(), "score 100 of 100; nothing needs anybody");
    assert_eq!(verdicts(&outcome), vec![("healthy".to_owned(), "ok".to_owned(), 100); 5]);
    let (_, rows) = outcome.tables().next().unwrap();
    assert_eq!(rows.texts("area").unwrap(), ["locks", "connections", "vacuum", "replication", "indexes"]);
    assert_eq!((outcome.findings().len(), next(&outcome)), (0, None));
}

#[test]
fn the_worst_decides_the_score_and_the_suggestion() {
    let oldest = vec!["sales".into(), "orders".into(), 1_i64.into(), 1_i64.into()];
    let bad = quiet(script(), 90)
        .answer(&WRAPAROUND_READ, vec![vacuum::ages("shop", 1_700_000_000)])
        .answer(&OLDEST, vec![oldest])
        .answer(&DUPLICATE_READ, vec![]);
    let outcome = bad.run(&PACK, "checkup", &[]).unwrap();
    let scores: Vec<_> = verdicts(&outcome).into_iter().map(|(word, _, score)| (word, score)).collect();
    let expected =
        [("healthy", 100), ("headroom_low", 30), ("wraparound_danger", 30), ("healthy", 100), ("healthy", 100)];
    assert_eq!(scores, expected.map(|(word, score)| (word.to_owned(), score)));
    assert_eq!(outcome.summary(), "score 30 of 100; 2 areas need attention");
    assert_eq!(next(&outcome).unwrap(), r#"postgres.vacuum_table {"schema":"sales","table":"orders"}"#);
    assert!(outcome.findings()[0].1.starts_with("vacuum: "), "the critical one is told first");
}

#[test]
fn an_area_that_can_not_be_looked_at_does_not_hide_the_others() {
    let slow = || quiet(script(), 5).answer(&WRAPAROUND_READ, vec![vacuum::ages("shop", 5)]);
    let outcome = slow().fail(&DUPLICATE_READ, QueryError::Timeout).run(&PACK, "checkup", &[]).unwrap();
    assert_eq!(verdicts(&outcome)[4], ("unknown".to_owned(), "warning".to_owned(), 65));
    let gone = slow().fail(&DUPLICATE_READ, QueryError::Connection("closed".into()));
    assert!(gone.run(&PACK, "checkup", &[]).is_err());
}
