//! Standbys, slots and replay.

use lockgate_pack::{Outcome, Value};
use lockgate_pack_shared::slots::SLOTS_READ;

use super::{NULL, headline, is, next, planted, says_nothing_planted, script, verdicts};
use crate::{
    PACK,
    backends::BACKENDS,
    replication_health::{CONFLICTS, REPLAY_BLOCKERS, SERVER, STANDBYS},
};

const MB: i64 = 1 << 20;

fn primary(names: &str, limit: Option<i64>) -> Vec<Value> {
    vec![false.into(), names.into(), limit.into(), NULL, NULL, NULL, NULL, NULL, NULL, NULL]
}

fn standby(paused: bool, bytes: i64, delay: i64, wait: (&str, &str)) -> Vec<Value> {
    let mut row = vec![true.into(), NULL, NULL, true.into(), "streaming".into(), paused.into(), bytes.into()];
    row.extend([delay.into(), wait.0.into(), wait.1.into()]);
    row
}

fn receiver(name: &str, sync: &str, bytes: i64, seconds: Option<i64>) -> Vec<Value> {
    let mut row = vec![7_i64.into(), planted(), name.into(), NULL, "streaming".into(), sync.into()];
    row.extend([bytes.into(), bytes.into(), seconds.into()]);
    row
}

fn slot(kind: &str, active: bool, status: &str, retained: Option<i64>) -> Vec<Value> {
    let mut row = vec![planted(), kind.into(), NULL, planted(), false.into(), active.into(), NULL, NULL, status.into()];
    row.extend([retained.into(), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL]);
    row
}

fn health(server: Vec<Value>, standbys: Vec<Vec<Value>>, slots: Vec<Vec<Value>>) -> Outcome {
    let script = script().answer(&SERVER, vec![server]).answer(&STANDBYS, standbys).answer(&SLOTS_READ, slots);
    let outcome = script.answer(&CONFLICTS, vec![]).run(&PACK, "replication_health", &[]).unwrap();
    says_nothing_planted(&outcome);
    assert_eq!(next(&outcome), None);
    outcome
}

#[test]
fn nothing_to_say_of_a_server_alone_or_of_one_in_step() {
    for (server, standbys) in [
        (primary("", None), vec![]),
        (primary("one", None), vec![receiver("ONE", "sync", 0, None)]),
        (standby(false, 0, 0, ("Activity", "RecoveryWalStream")), vec![]),
    ] {
        assert_eq!(verdicts(&health(server, standbys, vec![])), [("healthy".into(), "ok".into(), 100)]);
    }
}

#[test]
fn commits_that_wait_for_nobody_there_are_critical() {
    let of = |names, standbys| headline(&health(primary(names, None), standbys, vec![]));
    assert_eq!(of("*", vec![]), is("sync_standby_missing", "critical"));
    assert_eq!(of("one", vec![receiver("other", "async", 0, None)]), is("sync_standby_missing", "critical"));
    let quorum = || receiver("one", "quorum", 0, None);
    assert_eq!(of("ANY 2 (one, two)", vec![quorum()]), is("sync_standby_missing", "critical"));
    assert_eq!(of("ANY 1 (one, two)", vec![quorum()]), is("standby_missing", "warning"));
}

#[test]
fn lag_is_by_bytes_or_by_time() {
    let of =
        |bytes, seconds| headline(&health(primary("", None), vec![receiver("a", "async", bytes, seconds)], vec![]));
    assert_eq!(of(64 * MB - 1, Some(29)).0, "healthy");
    assert_eq!(of(64 * MB, None), is("standby_lagging", "warning"));
    assert_eq!(of(0, Some(30)), is("standby_lagging", "warning"));
    assert_eq!(of(1024 * MB, None), is("standby_lagging", "critical"));
}

#[test]
fn slots_that_nobody_uses_or_that_keep_much() {
    let of = |limit, rows| {
        let outcome = health(primary("", limit), vec![], rows);
        verdicts(&outcome).into_iter().map(|(word, severity, _)| format!("{word} {severity}")).collect::<Vec<_>>()
    };
    assert_eq!(of(None, vec![slot("physical", true, "reserved", Some(MB))]), ["healthy ok"]);
    assert_eq!(of(None, vec![slot("physical", false, "", None)]), ["healthy ok"], "never used");
    assert_eq!(of(None, vec![slot("physical", false, "reserved", Some(0))]), ["standby_missing warning"]);
    assert_eq!(of(None, vec![slot("logical", false, "reserved", Some(0))]), ["subscriber_missing warning"]);
    assert_eq!(of(None, vec![slot("logical", true, "extended", Some(1024 * MB))]), ["slot_keeps_wal warning"]);
    assert_eq!(of(Some(64 * MB), vec![slot("physical", true, "reserved", Some(32 * MB))]), ["slot_keeps_wal warning"]);
    assert_eq!(of(Some(64 * MB), vec![slot("physical", true, "extended", Some(58 * MB))]), ["slot_keeps_wal critical"]);
    let unreserved = of(Some(64 * MB), vec![slot("physical", false, "unreserved", Some(MB))]);
    assert_eq!(unreserved, ["slot_keeps_wal critical", "standby_missing warning"]);
    assert_eq!(of(None, vec![slot("physical", false, "lost", None)]), ["slot_lost warning"]);
}

fn blocked(delay: i64, state: &str, superuser: bool) -> Outcome {
    let mut backend = vec![4471_i64.into(), planted(), planted(), planted(), planted(), "client backend".into()];
    backend.extend([state.into(), 90_i64.into(), 90_i64.into(), NULL, NULL, superuser.into(), true.into()]);
    backend.extend([false.into(), planted()]);
    let script = script()
        .answer(&SERVER, vec![standby(false, MB, delay, ("IPC", "RecoveryConflictSnapshot"))])
        .answer(&STANDBYS, vec![])
        .answer(&SLOTS_READ, vec![])
        .answer(&REPLAY_BLOCKERS, vec![vec![4471_i64.into(), "snapshot".into(), NULL, planted(), 9_i64.into()]])
        .answer(&BACKENDS, vec![backend])
        .answer(&CONFLICTS, vec![]);
    let outcome = script.run(&PACK, "replication_health", &[]).unwrap();
    says_nothing_planted(&outcome);
    outcome
}

#[test]
fn what_holds_replay_back_is_ended() {
    let outcome = blocked(20, "active", false);
    assert_eq!(headline(&outcome), is("replay_blocked", "warning"));
    assert_eq!(next(&outcome).unwrap(), r#"postgres.cancel_query {"pid":4471}"#);
    let idle = blocked(30, "idle in transaction", false);
    assert_eq!(headline(&idle), is("replay_blocked", "critical"));
    assert_eq!(next(&idle).unwrap(), r#"postgres.terminate_backend {"pid":4471}"#);
    let fresh = blocked(4, "active", false);
    assert_eq!((headline(&fresh), next(&fresh)), (is("replay_blocked", "notice"), None));
    let superuser = blocked(20, "active", true);
    assert_eq!(next(&superuser), None);
    assert!(superuser.notices()[0].contains("superuser"), "{:?}", superuser.notices());
}

#[test]
fn replay_that_is_paused_cut_off_or_slow() {
    let of = |server| headline(&health(server, vec![], vec![]));
    assert_eq!(of(standby(true, 0, 0, ("", ""))), is("replay_paused", "warning"));
    assert_eq!(of(standby(true, 1024 * MB, 0, ("", ""))), is("replay_paused", "critical"));
    assert_eq!(of(standby(false, MB, 40, ("IO", "DataFileRead"))), is("replay_lagging", "warning"));
    let mut alone = standby(false, 0, 0, ("", ""));
    alone[4] = NULL;
    assert_eq!(of(alone.clone()), is("upstream_missing", "warning"));
    alone[3] = false.into();
    assert_eq!(of(alone), is("healthy", "ok"), "it reads from an archive");
}
