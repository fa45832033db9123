//! Room for connections.

use lockgate_pack::{Outcome, Value};

use super::{NULL, headline, is, next, planted, says_nothing_planted, script, verdicts};
use crate::{
    PACK,
    connection_pressure::{LIMITS, TAKERS},
};

/// active, waiting for a lock, idle, idle in transaction, long so, age of the youngest of those.
type Uses = [i64; 6];

fn limit(kind: &str, allowed: i64, uses: Uses) -> Vec<Value> {
    let used: i64 = uses[..4].iter().sum();
    let name = if kind == "server" { NULL } else { planted() };
    let mut row = vec![kind.into(), name, allowed.into(), used.into()];
    row.extend(uses[..5].iter().map(|count| (*count).into()));
    row.push(if uses[4] == 0 { NULL } else { uses[5].into() });
    row
}

fn pressure(limits: Vec<Vec<Value>>) -> Outcome {
    let taker = vec![planted(), planted(), planted(), planted(), planted(), 3_i64.into(), 1_i64.into()];
    let script = script().answer(&LIMITS, limits).answer(&TAKERS, vec![taker]);
    let outcome = script.run(&PACK, "connection_pressure", &[]).unwrap();
    says_nothing_planted(&outcome);
    outcome
}

#[test]
fn room_decides_the_verdict() {
    for (used, verdict, severity) in [
        (80, "healthy", "ok"),
        (81, "headroom_low", "warning"),
        (95, "headroom_low", "warning"),
        (96, "nearly_exhausted", "critical"),
        (100, "exhausted", "critical"),
        (103, "exhausted", "critical"),
    ] {
        assert_eq!(
            headline(&pressure(vec![limit("server", 100, [used, 0, 0, 0, 0, 0])])),
            is(verdict, severity),
            "{used}"
        );
    }
}

#[test]
fn idle_transactions_are_ended_with_a_bound_that_takes_those_seen() {
    let of = |long: i64, youngest: i64| {
        let outcome = pressure(vec![limit("server", 100, [40, 0, 20, 40, long, youngest])]);
        assert!(verdicts(&outcome).iter().any(|(verdict, ..)| verdict == "idle_in_transaction"));
        next(&outcome)
    };
    let kill = |bound: i64| Some(format!(r#"postgres.kill_idle {{"older_than_seconds":{bound}}}"#));
    assert_eq!(of(30, 62), kill(61));
    assert_eq!(of(30, 700), kill(699));
    assert_eq!(of(30, 200_000), kill(86_400));
    assert_eq!(of(19, 700), None, "too few of them to help");
    assert_eq!(of(0, 0), None);
}

#[test]
fn what_takes_the_room_is_said_where_room_is_short_only() {
    let words = |uses: Uses| -> Vec<String> {
        let outcome = pressure(vec![limit("server", 100, uses)]);
        assert_eq!(next(&outcome), None);
        verdicts(&outcome).into_iter().skip(1).map(|(verdict, ..)| verdict).collect()
    };
    assert_eq!(words([100, 0, 0, 0, 0, 0]), ["busy"]);
    assert_eq!(words([10, 50, 40, 0, 0, 0]), ["blocked", "idle"]);
    assert!(words([0, 10, 0, 10, 10, 700]).is_empty(), "there is room");
}

#[test]
fn a_limit_of_a_role_or_a_database_counts_by_itself() {
    let server = || limit("server", 100, [0, 0, 6, 0, 0, 0]);
    let outcome = pressure(vec![server(), limit("role", 5, [0, 0, 0, 5, 5, 90])]);
    assert_eq!(headline(&outcome), is("limit_exhausted", "critical"));
    assert_eq!(next(&outcome).unwrap(), r#"postgres.kill_idle {"older_than_seconds":89}"#);
    let outcome = pressure(vec![server(), limit("database", 10, [9, 0, 0, 0, 0, 0])]);
    assert_eq!(headline(&outcome), is("limit_low", "warning"));
    let shut = pressure(vec![server(), limit("role", 0, [0, 0, 0, 0, 0, 0])]);
    assert_eq!(headline(&shut), is("healthy", "ok"), "a limit of 0 is no pressure");
}
