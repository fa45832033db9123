//! `bgwriter_stats`: checkpoints that were asked for are counted, on a standby as what they are there.

use lockgate_tests::session::PATIENCE;

use crate::reads::stage::{int, on_every_major, rows, text};

const ACTION: &str = "bgwriter_stats";

#[test]
fn a_requested_checkpoint_is_counted_and_dated() {
    on_every_major(async |stage| {
        let before = stage.row(ACTION, "primary").await;
        for _ in 0..2 {
            stage.write_wal(2000).await;
            stage.primary.execute("CHECKPOINT").await.unwrap();
        }
        let requested = int(&before, "checkpoints_requested") + 2;
        let after = stage.until(ACTION, "primary", |rows| int(&rows[0], "checkpoints_requested") == requested).await;
        let after = &after[0];
        assert!(int(after, "buffers_checkpoint") > int(&before, "buffers_checkpoint"), "{before:?} {after:?}");
        assert!(int(after, "buffers_backend") >= 0 && int(after, "buffers_alloc") > 0, "{after:?}");
        let truth = "SELECT to_char(checkpoint_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
            FROM pg_control_checkpoint()";
        assert_eq!(stage.truth(truth).await.as_deref(), Some(text(after, "last_checkpoint_at")));
        assert!((0..60).contains(&int(after, "last_checkpoint_seconds")), "{after:?}");
        // Restartpoints have counters of their own from 17 on, and what was done from 18 on.
        assert_eq!(after["restartpoints_requested"].is_i64(), stage.major >= 17, "{after:?}");
        assert_eq!(after["checkpoints_done"].is_i64(), stage.major >= 18, "{after:?}");
    });
}

#[test]
fn a_backend_that_writes_for_itself_is_counted() {
    on_every_major(async |stage| {
        let before = int(&stage.row(ACTION, "primary").await, "buffers_backend");
        // Blocks that are added to a table are written by whoever adds them; 16 counts many that are added at once as one.
        let add = "DROP TABLE IF EXISTS public.added; CREATE TABLE public.added AS
            SELECT repeat('x', 1000) AS x FROM generate_series(1, 8192); DROP TABLE public.added";
        stage.primary.execute_in("shop", add).await.unwrap();
        // Up to 16 the checkpointer hands in what backends counted, when it has something to do.
        stage.primary.execute("CHECKPOINT").await.unwrap();
        stage.until(ACTION, "primary", |rows| int(&rows[0], "buffers_backend") >= before + 10).await;
    });
}

#[test]
fn a_standby_makes_restartpoints() {
    on_every_major(async |stage| {
        let column = if stage.major >= 17 { "restartpoints_requested" } else { "checkpoints_requested" };
        let before = int(&stage.row(ACTION, "standby").await, column);
        stage.write_wal(100).await;
        stage.primary.execute("CHECKPOINT").await.unwrap();
        stage.caught_up().await;
        stage.standby.execute("CHECKPOINT").await.unwrap();
        stage.until(ACTION, "standby", |rows| int(&rows[0], column) > before).await;
        let made = "SELECT (SELECT redo_lsn FROM pg_control_checkpoint()) > '0/0'";
        stage.standby.wait_for(made, "t", PATIENCE).await.unwrap();
        let outcome = stage.ask(ACTION, "standby").await;
        assert!(outcome.summary.contains("restartpoint"), "{}", outcome.summary);
        assert!(outcome.notices.iter().any(|notice| notice.contains("restartpoints")), "{:?}", outcome.notices);
        assert_eq!(rows(&outcome).len(), 1);
    });
}
