//! Standbys that are missing or lag, slots that keep WAL, and replay that waits for a query.

use lockgate_tests::session::{APP, Session, run};
use serde_json::json;

use super::ward::{Ward, on_each, severity, suggested, verdicts};

const HEALTH: &str = "replication_health";

/// Moves the WAL on by so many segments of 16 MB.
async fn wal(ward: &Ward, segments: usize) {
    for _ in 0..segments {
        // A switch right behind a switch does nothing.
        ward.primary.execute("SELECT pg_logical_emit_message(false, 'tests', 'x')").await.unwrap();
        ward.primary.execute("SELECT pg_switch_wal()").await.unwrap();
    }
}

#[test]
fn a_primary_knows_who_is_missing_and_what_is_kept_for_them() {
    async fn story(ward: &'static Ward) {
        let _turn = ward.turn.lock().await;
        assert_eq!(verdicts(&ward.says(HEALTH, "replication").await), ["healthy"]);

        let set = async |names: &str| {
            ward.primary.execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'")).await.unwrap();
            ward.primary.execute("SELECT pg_reload_conf()").await.unwrap();
        };
        set("absent").await;
        let outcome = ward.becomes(HEALTH, "replication", &["sync_standby_missing"]).await;
        assert_eq!((severity(&outcome), suggested(&outcome)), ("critical", None));
        set("ANY 1 (absent, walreceiver)").await;
        ward.becomes(HEALTH, "replication", &["standby_missing"]).await;
        set("").await;
        ward.becomes(HEALTH, "replication", &["healthy"]).await;

        // A new slot keeps what was written since the last checkpoint.
        ward.primary.execute("CHECKPOINT").await.unwrap();
        ward.primary.execute("SELECT pg_create_physical_replication_slot('gone', true)").await.unwrap();
        assert_eq!(verdicts(&ward.says(HEALTH, "replication").await), ["standby_missing"]);
        wal(ward, 3).await;
        let outcome = ward.becomes(HEALTH, "replication", &["slot_keeps_wal", "standby_missing"]).await;
        assert_eq!(severity(&outcome), "warning", "{:?}", outcome.findings);
        // Past what it may keep, the next checkpoint takes its WAL away; the standby has no slot and must have it by then.
        wal(ward, 4).await;
        ward.caught_up().await;
        ward.primary.execute("CHECKPOINT").await.unwrap();
        let status = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'gone'";
        assert_eq!(ward.primary.value(status).await.unwrap().as_deref(), Some("lost"));
        ward.becomes(HEALTH, "replication", &["slot_lost"]).await;
        ward.primary.execute("SELECT pg_drop_replication_slot('gone')").await.unwrap();
        ward.becomes(HEALTH, "replication", &["healthy"]).await;
    }
    run(on_each(story));
}

#[test]
fn a_paused_standby_lags_for_both_sides() {
    async fn story(ward: &'static Ward) {
        let _turn = ward.turn.lock().await;
        ward.caught_up().await;
        ward.standby.execute("SELECT pg_wal_replay_pause()").await.unwrap();
        wal(ward, 5).await;
        let outcome = ward.becomes(HEALTH, "replication", &["standby_lagging"]).await;
        assert_eq!((severity(&outcome), suggested(&outcome)), ("warning", None), "{:?}", outcome.findings);
        let there = ward.becomes(HEALTH, "standby", &["replay_paused"]).await;
        assert_eq!(suggested(&there), None, "no action resumes it");
        ward.standby.execute("SELECT pg_wal_replay_resume()").await.unwrap();
        for target in ["replication", "standby"] {
            ward.becomes(HEALTH, target, &["healthy"]).await;
        }
    }
    run(on_each(story));
}

#[test]
fn replay_goes_on_when_what_is_suggested_is_done() {
    async fn story(ward: &'static Ward) {
        let _turn = ward.turn.lock().await;
        let fill = "CREATE TABLE replayed (id int) WITH (autovacuum_enabled = off); INSERT INTO replayed SELECT generate_series(1, 1000)";
        ward.sql("replication", fill).await;
        ward.caught_up().await;

        // A transaction that was left open on the standby still sees rows that the primary cleans up.
        let reader = Session::of(&ward.standby, APP, "replication", "reader").await;
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM replayed").await;
        ward.sql("replication", "DELETE FROM replayed WHERE id > 10").await;
        ward.sql("replication", "VACUUM replayed").await;
        let outcome = ward.until(HEALTH, "standby", |outcome| severity(outcome) == "warning").await;
        assert_eq!(verdicts(&outcome), ["replay_blocked"]);
        assert_eq!(suggested(&outcome), Some(("postgres.terminate_backend", json!({ "pid": reader.pid }))));
        ward.follow(&outcome, "standby").await;
        ward.caught_up().await;
        ward.becomes(HEALTH, "standby", &["healthy"]).await;

        // A query holds a lock that the primary has taken away.
        let reader = Session::of(&ward.standby, APP, "replication", "report").await;
        let report = reader.start("SELECT count(*), pg_sleep(600) FROM replayed").await;
        ward.sql("replication", "BEGIN; LOCK TABLE replayed; INSERT INTO replayed VALUES (0); COMMIT").await;
        let outcome = ward.until(HEALTH, "standby", |outcome| severity(outcome) == "warning").await;
        assert_eq!(verdicts(&outcome), ["replay_blocked"]);
        assert_eq!(suggested(&outcome), Some(("postgres.cancel_query", json!({ "pid": report.pid }))));
        assert_eq!(suggested(&ward.says("checkup", "standby").await), suggested(&outcome));
        ward.follow(&outcome, "standby").await;
        let (session, answer) = report.end().await;
        assert!(answer.is_err() && session.lives().await);
        ward.caught_up().await;
        ward.becomes(HEALTH, "standby", &["healthy"]).await;
    }
    run(on_each(story));
}
