//! Every kind of head at once, ended one after the other as suggested.

use std::{collections::BTreeMap, time::Instant};

use lockgate::gate::call::Outcome;
use lockgate_tests::{
    answers::{column, rows_where},
    session::{APP, Running, Session, in_background, run},
    site::call,
};
use serde_json::json;
use tokio_postgres::CopyInSink;

use super::ward::{Ward, on_each, severity, suggested, verdicts};

/// Somebody who waits until a table is free, and then commits.
async fn waiter(ward: &Ward, table: &str) -> Running {
    let session = ward.app("locks").await;
    let running = session.start(&format!("BEGIN; LOCK TABLE {table}; COMMIT")).await;
    waits(ward, running.pid).await;
    running
}

async fn waits(ward: &Ward, pid: i64) {
    let waits = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Lock'");
    ward.primary.wait_for(&waits, "1", lockgate_tests::session::PATIENCE).await.expect("it waits");
}

/// The sentence of the verdict about a backend.
fn about(outcome: &Outcome, pid: i64) -> Option<(String, String)> {
    let rows = &outcome.tables[0].rows;
    let start = format!("backend {pid} ");
    let cells = column(rows, "what").into_iter().zip(column(rows, "verdict"));
    cells.map(|(what, verdict)| (json_text(what), json_text(verdict))).find(|(what, _)| what.starts_with(&start))
}

fn json_text(cell: &lockgate::value::Value) -> String {
    cell.to_json().as_str().expect("text").to_owned()
}

/// Runs short statements in one transaction until its session is ended.
async fn busy(session: Session) -> i64 {
    let pid = session.pid;
    session.execute("BEGIN; LOCK TABLE d").await;
    in_background(async move { while session.client.simple_query("SELECT pg_sleep(0.05)").await.is_ok() {} });
    pid
}

#[test]
fn each_head_is_known_for_what_it_is_and_what_is_suggested_frees_its_waiters() {
    run(on_each(story));
}

async fn story(ward: &'static Ward) {
    let _turn = ward.turn.lock().await;
    ward.sql("locks", "CREATE TABLE a (id int); INSERT INTO a VALUES (1); CREATE TABLE b (id int); CREATE TABLE c (id int);
        CREATE TABLE d (id int); CREATE TABLE e (id int); CREATE TABLE f (id int); CREATE TABLE g (id int); CREATE TABLE h (id int)")
        .await;

    // A client that stopped in its transaction; a chain three deep behind it.
    let began = Instant::now();
    let gone = ward.app("locks").await;
    gone.execute("BEGIN; UPDATE a SET id = 2").await;
    let first = ward.app("locks").await.start("BEGIN; LOCK TABLE b; UPDATE a SET id = 3; COMMIT").await;
    waits(ward, first.pid).await;
    let young = ward.says("lock_pileup", "locks").await;
    if began.elapsed().as_secs() < 4 {
        assert_eq!((verdicts(&young), severity(&young), suggested(&young)), (vec!["short_wait"], "notice", None));
    }
    let mut behind_gone = vec![waiter(ward, "b").await, waiter(ward, "b").await, waiter(ward, "b").await];
    let truth = format!("SELECT pg_blocking_pids({})::text", first.pid);
    assert_eq!(ward.primary.value(&truth).await.unwrap().unwrap(), format!("{{{}}}", gone.pid));

    // A client that began to send rows and stopped.
    let stalled = ward.app("locks").await;
    stalled.execute("BEGIN; LOCK TABLE c IN SHARE ROW EXCLUSIVE MODE").await;
    let sink: CopyInSink<&'static [u8]> = stalled.client.copy_in("COPY c FROM STDIN").await.expect("a copy");
    let behind_stalled = vec![waiter(ward, "c").await, waiter(ward, "c").await, waiter(ward, "c").await];

    let busy = busy(ward.app("locks").await).await;
    let behind_busy = vec![waiter(ward, "d").await, waiter(ward, "d").await];

    let query = ward.app("locks").await.start("BEGIN; LOCK TABLE e; SELECT pg_sleep(600)").await;
    let behind_query = vec![waiter(ward, "e").await];

    // What no action ends.
    let superuser = Session::of(&ward.primary, "postgres", "locks", "dba").await;
    superuser.execute("BEGIN; LOCK TABLE f").await;
    let behind_superuser = waiter(ward, "f").await;
    ward.sql("locks", "BEGIN; LOCK TABLE g; PREPARE TRANSACTION 'forgotten'").await;
    let behind_prepared = waiter(ward, "g").await;
    let advisory = ward.app("locks").await;
    advisory.execute("SELECT pg_advisory_lock(42)").await;
    let behind_advisory = ward.app("locks").await.start("SELECT pg_advisory_lock(42)").await;
    let (one, other) = (ward.app("locks").await, ward.app("locks").await);
    one.execute("BEGIN; SELECT pg_advisory_xact_lock(1)").await;
    other.execute("BEGIN; SELECT pg_advisory_xact_lock(2)").await;
    let one = one.start("SELECT pg_advisory_xact_lock(2)").await;
    waits(ward, one.pid).await;
    let other = other.start("SELECT pg_advisory_xact_lock(1)").await;
    waits(ward, other.pid).await;

    // Once all of them have waited for long enough, each is known for what it is.
    let sorted = |outcome: &Outcome| {
        let mut words: Vec<String> = verdicts(outcome).into_iter().map(str::to_owned).collect();
        words.sort_unstable();
        words
    };
    let wanted = [
        "advisory_lock",
        "busy_transaction",
        "client_gone",
        "client_gone",
        "client_stalled",
        "deadlock_resolving",
        "long_query",
        "prepared_transaction",
    ];
    let mut outcome = ward.until("lock_pileup", "locks", |outcome| sorted(outcome) == wanted).await;
    for (pid, word) in [
        (gone.pid, "client_gone"),
        (stalled.pid, "client_stalled"),
        (busy, "busy_transaction"),
        (query.pid, "long_query"),
    ] {
        assert_eq!(about(&outcome, pid).expect("it is a head").1, word);
    }
    assert_eq!(verdicts(&outcome)[0], "client_gone", "the one with the most waiters comes first");
    let tree = outcome.tables.iter().find(|table| table.title == "Waiters under each head").expect("the tree");
    let direct = rows_where(&tree.rows, "pid", &lockgate::value::Value::Integer(first.pid));
    assert_eq!((&direct[0]["head_pid"], &direct[0]["depth"]), (&json!(gone.pid), &json!(1)));
    assert_eq!(direct[0]["waiters_behind"], 3, "the chain behind it: {direct:?}");
    let depths: Vec<i64> = behind_gone
        .iter()
        .map(|waiter| {
            rows_where(&tree.rows, "pid", &lockgate::value::Value::Integer(waiter.pid))[0]["depth"].as_i64().unwrap()
        })
        .collect();
    assert!(depths.iter().all(|depth| *depth >= 2), "{depths:?}");

    // Who sees but may not signal gets the same verdicts, no call, and the grant that is missing.
    let seen = ward.says("lock_pileup", "watcher").await;
    assert_eq!((sorted(&seen), suggested(&seen)), (sorted(&outcome), None));
    assert!(seen.notices.iter().any(|notice| notice.contains("pg_signal_backend")), "{:?}", seen.notices);
    let page = ward.says("checkup", "locks").await;
    assert_eq!(suggested(&page), suggested(&outcome), "the page suggests what its worst area does");

    // A cancel of what it must not be used for is refused, so what is suggested instead matters.
    let useless = call(&ward.gate, "postgres.cancel_query", "locks", json!({ "pid": gone.pid })).await;
    assert!(useless.is_err(), "{useless:?}");

    behind_gone.push(first);
    let mut piles = BTreeMap::from([
        (gone.pid, ("postgres.terminate_backend", behind_gone)),
        (stalled.pid, ("postgres.terminate_backend", behind_stalled)),
        (busy, ("postgres.terminate_backend", behind_busy)),
        (query.pid, ("postgres.cancel_query", behind_query)),
    ]);
    assert_eq!(suggested(&outcome), Some(("postgres.terminate_backend", json!({ "pid": gone.pid }))));
    while !piles.is_empty() {
        let (action, arguments) = suggested(&outcome).expect("a next step");
        let pid = arguments["pid"].as_i64().expect("a pid");
        let (expected, waiters) = piles.remove(&pid).expect("one of the heads, once");
        assert_eq!(action, expected);
        ward.follow(&outcome, "locks").await;
        for waiter in waiters {
            waiter.end().await.1.expect("it gets its lock and commits");
        }
        outcome = ward.says("lock_pileup", "locks").await;
        assert_eq!(about(&outcome, pid), None, "{:?}", outcome.findings);
    }
    drop(sink);
    let (cancelled, answer) = query.end().await;
    assert_eq!(answer.unwrap_err().code().map(|code| code.code().to_owned()).as_deref(), Some("57014"));
    cancelled.execute("ROLLBACK").await;
    assert!(cancelled.lives().await, "a cancel leaves the session");

    // The rest is for people, and it is said why.
    let left = ["advisory_lock", "client_gone", "deadlock_resolving", "prepared_transaction"];
    assert_eq!((sorted(&outcome), suggested(&outcome)), (left.map(str::to_owned).to_vec(), None));
    let why = outcome.notices.iter().find(|notice| notice.contains(&superuser.pid.to_string()));
    assert!(why.is_some_and(|why| why.contains("superuser")), "{:?}", outcome.notices);
    let prepared = outcome.tables.iter().find(|table| table.title == "Prepared transactions").expect("its evidence");
    assert_eq!(rows_where(&prepared.rows, "gid", &lockgate_tests::answers::text("forgotten"))[0]["waited_for_by"], 1);
    superuser.execute("COMMIT").await;
    advisory.execute("SELECT pg_advisory_unlock(42)").await;
    ward.sql("locks", "ROLLBACK PREPARED 'forgotten'").await;
    ward.primary.execute(&format!("SELECT pg_cancel_backend({})", one.pid)).await.unwrap();
    assert!(one.end().await.1.is_err());
    for waiter in [behind_superuser, behind_prepared, behind_advisory] {
        waiter.end().await.1.expect("it gets its lock");
    }
    drop(other.end().await.0);
    ward.becomes("lock_pileup", "locks", &["healthy"]).await;
}

#[test]
fn a_pile_up_on_a_standby_is_ended_there() {
    async fn story(ward: &'static Ward) {
        let _turn = ward.turn.lock().await;
        let head = Session::of(&ward.standby, APP, "replication", "reader").await;
        head.execute("BEGIN; SELECT pg_advisory_xact_lock(7)").await;
        let next = Session::of(&ward.standby, APP, "replication", "reader").await;
        let waiter = next.start("SELECT pg_advisory_xact_lock(7)").await;
        let outcome = ward.becomes("lock_pileup", "standby", &["client_gone"]).await;
        assert_eq!(suggested(&outcome), Some(("postgres.terminate_backend", json!({ "pid": head.pid }))));
        ward.follow(&outcome, "standby").await;
        waiter.end().await.1.expect("it gets its lock");
        assert_eq!(verdicts(&ward.says("lock_pileup", "standby").await), ["healthy"]);
    }
    run(on_each(story));
}
