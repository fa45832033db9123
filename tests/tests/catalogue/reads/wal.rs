//! `wal_status`: the position of a primary, and of a standby that follows, is paused, and follows again.

use lockgate_tests::session::PATIENCE;

use crate::reads::stage::{int, on_every_major, position, rows, text};

const ACTION: &str = "wal_status";

#[test]
fn a_primary_says_where_it_writes() {
    on_every_major(async |stage| {
        let here = "SELECT pg_current_wal_lsn()";
        let before = position(&stage.truth(here).await.unwrap());
        let first = stage.row(ACTION, "primary").await;
        stage.write_wal(2000).await;
        let row = stage.row(ACTION, "primary").await;
        let after = position(&stage.truth(here).await.unwrap());
        let (was, is) = (position(text(&first, "write_lsn")), position(text(&row, "write_lsn")));
        assert!(before <= was && was + 2_000_000 <= is && is <= after, "{before} {was} {is} {after}");
        assert!(position(text(&row, "insert_lsn")) >= is && position(text(&row, "flush_lsn")) <= is, "{row:?}");
        let file = format!("SELECT pg_walfile_name('{}')", text(&row, "write_lsn"));
        assert_eq!(stage.truth(&file).await.as_deref(), Some(text(&row, "wal_file")));
        assert_eq!((&row["in_recovery"], row["replayed_lsn"].is_null()), (&false.into(), true));
        // How much was made is counted from 14 on.
        assert_eq!(row["generated_bytes"].is_i64(), stage.major >= 14, "{row:?}");
        if stage.major >= 14 {
            let made = int(&row, "generated_bytes");
            stage.until(ACTION, "primary", |rows| int(&rows[0], "generated_bytes") >= made.max(2_000_000)).await;
        }
    });
}

#[test]
fn a_standby_says_what_it_received_and_replayed() {
    on_every_major(async |stage| {
        stage.write_wal(10).await;
        stage.caught_up().await;
        let outcome = stage.ask(ACTION, "standby").await;
        assert!(outcome.summary.starts_with("a standby: it streams"), "{}", outcome.summary);
        let caught_up = rows(&outcome).remove(0);
        assert_eq!((&caught_up["in_recovery"], text(&caught_up, "receiver_status")), (&true.into(), "streaming"));
        assert!(caught_up["write_lsn"].is_null() && caught_up["wal_file"].is_null(), "{caught_up:?}");
        assert_eq!(int(&caught_up, "sender_port"), i64::from(stage.primary.port()));
        assert_eq!(text(&caught_up, "replay_pause"), "not paused");
        assert!((0..60).contains(&int(&caught_up, "last_message_seconds")), "{caught_up:?}");

        stage.standby.execute("SELECT pg_wal_replay_pause()").await.unwrap();
        stage.write_wal(2000).await;
        let here = stage.truth("SELECT pg_current_wal_flush_lsn()").await.unwrap();
        let received = format!("SELECT pg_last_wal_receive_lsn() >= '{here}'");
        stage.standby.wait_for(&received, "t", PATIENCE).await.unwrap();
        let outcome = stage.ask(ACTION, "standby").await;
        assert!(outcome.summary.ends_with("left to replay; replay is paused"), "{}", outcome.summary);
        let behind = rows(&outcome).remove(0);
        let (received, replayed) = (position(text(&behind, "received_lsn")), position(text(&behind, "replayed_lsn")));
        assert_eq!(int(&behind, "replay_gap_bytes"), received - replayed);
        assert!(received - replayed > 1_000_000 && received >= position(&here), "{behind:?}");
        let truth = stage.standby.value("SELECT pg_last_wal_replay_lsn()").await.unwrap();
        assert_eq!(truth.as_deref(), Some(text(&behind, "replayed_lsn")), "nothing is replayed meanwhile");

        stage.standby.execute("SELECT pg_wal_replay_resume()").await.unwrap();
        stage.caught_up().await;
        stage.until(ACTION, "standby", |rows| rows[0]["replay_gap_bytes"] == 0).await;
    });
}
