//! Heads of chains.

use lockgate_pack::{Outcome, Value};
use lockgate_pack_shared::chains::CHAINS_READ;

use super::{NULL, headline, is, next, planted, says_nothing_planted, script, verdicts};
use crate::{PACK, backends::BACKENDS, lock_pileup::PREPARED};

/// A waiter, the one in front of it, and its head.
fn waiter(pid: i64, behind: i64, head: Option<i64>, seconds: Option<i64>) -> Vec<Value> {
    let mut row = vec![pid.into(), planted(), planted(), seconds.into(), "relation".into(), planted(), planted()];
    row.extend([behind.into(), 1_i64.into(), head.into(), planted(), planted(), planted(), NULL, NULL, NULL]);
    row.extend([planted(), planted()]);
    row
}

struct Head {
    pid: i64,
    kind: &'static str,
    state: &'static str,
    seconds: i64,
    transaction: i64,
    wait: (&'static str, &'static str),
    superuser: bool,
    may_signal: bool,
}

const HEAD: Head = Head {
    pid: 4471,
    kind: "client backend",
    state: "active",
    seconds: 1084,
    transaction: 1084,
    wait: ("", ""),
    superuser: false,
    may_signal: true,
};

fn backend(head: &Head, wraparound: bool) -> Vec<Value> {
    let mut row =
        vec![head.pid.into(), planted(), planted(), planted(), planted(), head.kind.into(), head.state.into()];
    row.extend([head.seconds.into(), head.transaction.into(), head.wait.0.into(), head.wait.1.into()]);
    row.extend([head.superuser.into(), head.may_signal.into(), wraparound.into(), planted()]);
    row
}

fn pileup(waiters: Vec<Vec<Value>>, heads: Vec<Vec<Value>>) -> Outcome {
    let script = script().answer(&CHAINS_READ, waiters).answer(&BACKENDS, heads);
    let outcome = script.run(&PACK, "lock_pileup", &[]).unwrap();
    says_nothing_planted(&outcome);
    outcome
}

/// One waiter for so long behind one head.
fn behind(head: &Head, waiting: i64) -> Outcome {
    pileup(vec![waiter(8801, head.pid, Some(head.pid), Some(waiting))], vec![backend(head, false)])
}

#[test]
fn nobody_waits() {
    let outcome = pileup(vec![], vec![]);
    assert_eq!(verdicts(&outcome), [("healthy".into(), "ok".into(), 100)]);
    assert_eq!(next(&outcome), None);
    assert!(outcome.findings().is_empty());
}

#[test]
fn what_a_head_is_decides_what_is_suggested() {
    let terminate = Some(r#"postgres.terminate_backend {"pid":4471}"#);
    let cancel = Some(r#"postgres.cancel_query {"pid":4471}"#);
    let idle = "idle in transaction";
    let aborted = "idle in transaction (aborted)";
    for (head, waiting, verdict, suggested) in [
        (Head { state: idle, wait: ("Client", "ClientRead"), ..HEAD }, 20, "client_gone", terminate),
        (Head { state: idle, ..HEAD }, 1, "client_gone", terminate),
        (Head { state: aborted, ..HEAD }, 20, "client_gone", terminate),
        (Head { state: idle, seconds: 0, ..HEAD }, 20, "busy_transaction", terminate),
        (Head { state: idle, seconds: 0, ..HEAD }, 4, "short_wait", None),
        (Head { ..HEAD }, 20, "long_query", cancel),
        (Head { wait: ("IO", "DataFileRead"), ..HEAD }, 20, "long_query", cancel),
        (Head { ..HEAD }, 4, "short_wait", None),
        (Head { seconds: 1, ..HEAD }, 20, "busy_transaction", terminate),
        (Head { wait: ("Client", "ClientRead"), ..HEAD }, 20, "client_stalled", terminate),
        (Head { wait: ("Client", "ClientWrite"), ..HEAD }, 20, "client_stalled", terminate),
        (Head { wait: ("IPC", "SyncRep"), ..HEAD }, 20, "waits_for_standby", None),
        (Head { state: "idle", ..HEAD }, 20, "advisory_lock", None),
        (Head { state: "disabled", ..HEAD }, 20, "untracked", None),
        (Head { kind: "autovacuum worker", ..HEAD }, 20, "autovacuum", None),
        (Head { kind: "autovacuum worker", ..HEAD }, 1, "short_wait", None),
        (Head { kind: "startup", state: "", ..HEAD }, 20, "replay", None),
        (Head { kind: "walsender", ..HEAD }, 20, "server_process", None),
    ] {
        let outcome = behind(&head, waiting);
        assert_eq!((headline(&outcome).0.as_str(), next(&outcome).as_deref()), (verdict, suggested), "{}", head.state);
    }
}

#[test]
fn an_autovacuum_against_wraparound_does_not_give_way() {
    let head = Head { kind: "autovacuum worker", ..HEAD };
    let outcome = pileup(vec![waiter(1, 4471, Some(4471), Some(1))], vec![backend(&head, true)]);
    assert_eq!(headline(&outcome), is("autovacuum", "warning"));
}

#[test]
fn severity_follows_how_many_wait_and_for_how_long() {
    let of = |count: i64, seconds: i64| {
        let waiters = (1..=count).map(|pid| waiter(pid, 4471, Some(4471), Some(seconds))).collect();
        headline(&pileup(waiters, vec![backend(&HEAD, false)])).1
    };
    assert_eq!((of(9, 59).as_str(), of(10, 59).as_str(), of(1, 60).as_str()), ("warning", "critical", "critical"));
}

#[test]
fn before_14_the_heads_own_age_stands_in() {
    let of = |head: Head| headline(&pileup(vec![waiter(1, 4471, Some(4471), None)], vec![backend(&head, false)]));
    assert_eq!(of(HEAD), is("long_query", "warning"));
    assert_eq!(of(Head { seconds: 2, transaction: 2, ..HEAD }), is("short_wait", "notice"));
}

#[test]
fn what_no_action_may_signal_is_not_suggested_and_it_is_said_why() {
    for (head, why) in
        [(Head { superuser: true, ..HEAD }, "superuser"), (Head { may_signal: false, ..HEAD }, "pg_signal_backend")]
    {
        let outcome = behind(&head, 20);
        assert_eq!((headline(&outcome).0.as_str(), next(&outcome)), ("long_query", None));
        assert!(outcome.notices()[0].contains(why), "{:?}", outcome.notices());
    }
}

#[test]
fn of_several_heads_the_one_with_the_most_waiters_comes_first() {
    let idle = |pid| Head { pid, state: "idle in transaction", ..HEAD };
    let waiters =
        vec![waiter(1, 10, Some(10), Some(20)), waiter(2, 20, Some(20), Some(20)), waiter(3, 2, Some(20), Some(20))];
    let outcome = pileup(waiters, vec![backend(&idle(10), false), backend(&idle(20), false)]);
    assert_eq!(next(&outcome).unwrap(), r#"postgres.terminate_backend {"pid":20}"#);
    assert_eq!(verdicts(&outcome).len(), 2);
    let (_, tree) = outcome.tables().nth(1).unwrap();
    let cells = |column| tree.integers(column).unwrap();
    assert_eq!(cells("head_pid"), [10, 20, 20]);
    assert_eq!(cells("depth"), [1, 1, 2]);
    assert_eq!(cells("waits_for_pid"), [10, 20, 2]);
    assert_eq!(cells("waiters_behind"), [0, 1, 0]);
}

#[test]
fn a_head_that_a_superuser_has_does_not_hide_one_that_can_be_ended() {
    let waiters =
        vec![waiter(1, 10, Some(10), Some(20)), waiter(2, 10, Some(10), Some(20)), waiter(3, 20, Some(20), Some(20))];
    let heads =
        vec![backend(&Head { pid: 10, superuser: true, ..HEAD }, false), backend(&Head { pid: 20, ..HEAD }, false)];
    let outcome = pileup(waiters, heads);
    assert_eq!(next(&outcome).unwrap(), r#"postgres.cancel_query {"pid":20}"#);
}

#[test]
fn a_circle_and_a_head_that_is_gone_pass_by_themselves() {
    let circle = pileup(vec![waiter(1, 2, None, Some(1)), waiter(2, 1, None, Some(1))], vec![]);
    assert_eq!(headline(&circle), is("deadlock_resolving", "notice"));
    let gone = pileup(vec![waiter(1, 4471, Some(4471), Some(20))], vec![]);
    assert_eq!(headline(&gone), is("resolving", "notice"));
    assert_eq!((next(&circle), next(&gone)), (None, None));
}

#[test]
fn a_prepared_transaction_is_for_a_person() {
    let prepared = |age: i64, waiters: i64| {
        vec!["731".into(), planted(), planted(), planted(), planted(), age.into(), waiters.into()]
    };
    let of = |waiting, rows| {
        let script = script().answer(&CHAINS_READ, vec![waiter(1, 0, Some(0), waiting)]).answer(&PREPARED, rows);
        let outcome = script.run(&PACK, "lock_pileup", &[]).unwrap();
        says_nothing_planted(&outcome);
        assert_eq!(next(&outcome), None);
        let (_, rows) = outcome.tables().next().unwrap();
        (headline(&outcome), rows.texts("what").unwrap().remove(0))
    };
    let (verdict, what) = of(Some(20), vec![prepared(7200, 1), prepared(90_000, 0)]);
    assert_eq!(verdict, is("prepared_transaction", "warning"));
    assert!(what.contains("2 h 0 min old") && what.contains("ROLLBACK PREPARED"), "{what}");
    assert_eq!(of(Some(1), vec![prepared(7200, 1)]).0, is("short_wait", "notice"));
    assert_eq!(of(None, vec![prepared(7200, 1)]).0.0, "prepared_transaction");
    assert_eq!(of(None, vec![prepared(2, 1)]).0.0, "short_wait");
}
