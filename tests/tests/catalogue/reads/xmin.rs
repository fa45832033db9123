//! `backend_holding_xmin`: everything that pins the oldest xmin, staged one after the other with a known number of
//! transactions between, then released in the same order: the oldest of what is left is always named first.

use lockgate_tests::session::{APP, PATIENCE, Session};

use crate::reads::stage::{Row, Stage, int, on_every_major, only, rows, text};

const ACTION: &str = "backend_holding_xmin";

/// The age of what was staged when the next transaction id was this.
async fn age(stage: &Stage, staged: i64) -> i64 {
    next(stage).await - staged
}

/// The transaction id that is given out next.
async fn next(stage: &Stage) -> i64 {
    stage.number("SELECT txid_snapshot_xmax(txid_current_snapshot())").await
}

async fn oldest(stage: &Stage, summary: &str) -> Row {
    let outcome = stage.ask(ACTION, "primary").await;
    assert!(outcome.summary.starts_with(summary), "{}", outcome.summary);
    let rows = rows(&outcome);
    let ages: Vec<_> = rows.iter().map(|row| int(row, "age")).collect();
    assert!(ages.is_sorted_by(|a, b| a >= b), "{ages:?}");
    rows[0].clone()
}

#[test]
fn each_kind_of_holder_is_ranked_by_age_and_named() {
    on_every_major(async |stage| {
        // First of all: making it would wait for the end of every transaction that has an id.
        stage
            .primary
            .execute_in("shop", "SELECT pg_create_logical_replication_slot('pins', 'pgoutput')")
            .await
            .unwrap();
        stage.primary.execute_in("shop", "CREATE TABLE IF NOT EXISTS public.pinned (id int)").await.unwrap();
        stage.burn(20).await;

        let reader = stage.app("forgotten").await;
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await;
        let read_at = next(stage).await;
        stage.burn(20).await;

        let prepared_at = next(stage).await;
        let prepare = "BEGIN; INSERT INTO public.pinned VALUES (1); PREPARE TRANSACTION 'held-back'";
        stage.primary.execute_in("shop", prepare).await.unwrap();
        stage.burn(20).await;

        stage.caught_up().await;
        let far = Session::of(&stage.standby, APP, "shop", "far-away").await;
        far.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await;
        stage.burn(20).await;
        let fed_back = "SELECT age(backend_xmin) >= 20 FROM pg_stat_replication";
        stage.primary.wait_for(fed_back, "t", PATIENCE).await.unwrap();

        let slot = oldest(stage, "a replication slot holds back vacuum the furthest").await;
        assert_eq!((text(&slot, "kind"), text(&slot, "name")), ("replication slot", "pins"));
        assert_eq!((text(&slot, "holds"), text(&slot, "state")), ("catalogs of all databases", "inactive"));
        assert!(text(&slot, "release").contains("drops the slot") && int(&slot, "age") > 60, "{slot:?}");
        stage.primary.execute("SELECT pg_drop_replication_slot('pins')").await.unwrap();

        let backend = oldest(stage, &format!("backend {} holds back vacuum the furthest", reader.pid)).await;
        assert_eq!((text(&backend, "kind"), int(&backend, "pid")), ("backend", reader.pid));
        assert_eq!(int(&backend, "age"), age(stage, read_at).await, "{backend:?}");
        assert_eq!((text(&backend, "application"), text(&backend, "database")), ("forgotten", "shop"));
        assert!(text(&backend, "release").contains("terminate_backend"), "{backend:?}");
        reader.execute("ROLLBACK").await;

        let prepared = oldest(stage, "a prepared transaction holds back vacuum the furthest").await;
        assert_eq!((text(&prepared, "kind"), text(&prepared, "name")), ("prepared transaction", "held-back"));
        assert_eq!(int(&prepared, "age"), age(stage, prepared_at).await, "{prepared:?}");
        assert_eq!((text(&prepared, "database"), text(&prepared, "holds")), ("shop", "tables of its database"));
        assert!(text(&prepared, "release").contains("ROLLBACK PREPARED"), "{prepared:?}");
        stage.primary.execute_in("shop", "ROLLBACK PREPARED 'held-back'").await.unwrap();

        let standby = oldest(stage, "standby ").await;
        let sender = stage.number("SELECT pid FROM pg_stat_replication").await;
        assert_eq!((text(&standby, "kind"), int(&standby, "pid")), ("standby", sender));
        assert_eq!((text(&standby, "holds"), text(&standby, "state")), ("all tables", "streaming"));
        assert!(
            int(&standby, "age") >= 20 && text(&standby, "release").contains("hot_standby_feedback"),
            "{standby:?}"
        );

        // The standby knows who it is that it reports.
        let outcome = stage.ask(ACTION, "standby").await;
        assert!(outcome.notices.iter().any(|notice| notice.contains("reported upstream")), "{:?}", outcome.notices);
        assert_eq!(int(only(&rows(&outcome), "application", "far-away"), "pid"), far.pid);
        far.execute("ROLLBACK").await;
    });
}

#[test]
fn a_vacuum_pins_nothing_and_neither_does_who_asks() {
    on_every_major(async |stage| {
        let fill = "DROP TABLE IF EXISTS public.dusty;
            CREATE TABLE public.dusty AS SELECT i FROM generate_series(1, 20000) i; DELETE FROM public.dusty";
        stage.primary.execute_in("shop", fill).await.unwrap();
        let vacuum = stage.superuser("shop", "sweeper").await;
        vacuum.execute("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1").await;
        let vacuuming = vacuum.start("VACUUM public.dusty").await;
        let seen = format!("SELECT count(*) FROM pg_stat_progress_vacuum WHERE pid = {}", vacuuming.pid);
        stage.primary.wait_for(&seen, "1", PATIENCE).await.unwrap();
        let pinned = format!("SELECT count(backend_xmin) FROM pg_stat_activity WHERE pid = {}", vacuuming.pid);
        stage.primary.wait_for(&pinned, "1", PATIENCE).await.unwrap();
        let holders = stage.rows(ACTION, "primary").await;
        assert!(holders.iter().all(|row| row["pid"] != vacuuming.pid), "{holders:?}");
        assert!(holders.iter().all(|row| row["application"] != "lockgate"), "{holders:?}");
        stage.truth(&format!("SELECT pg_cancel_backend({})", vacuuming.pid)).await;
        assert!(vacuuming.end().await.1.is_err(), "it was still at it");
    });
}
