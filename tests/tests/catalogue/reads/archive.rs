//! `wal_archive_status`: archiving that fails, works, and is told nothing to do it with.

use std::time::{Duration, Instant};

use lockgate_tests::session::PATIENCE;

use crate::reads::stage::{Row, Stage, int, on_every_major, position, text};

const ACTION: &str = "wal_archive_status";
/// A WAL file's bytes as initdb makes them.
const SEGMENT: i64 = 16 << 20;

/// Fills WAL files until the answer is as wanted: an archiver that failed three times waits for the next file.
async fn fill_until(stage: &Stage, wanted: impl Fn(&Row) -> bool) -> Row {
    let deadline = Instant::now() + PATIENCE;
    loop {
        stage.write_wal(1).await;
        stage.primary.execute("SELECT pg_switch_wal()").await.expect("another file");
        for _ in 0..10 {
            let row = stage.row(ACTION, "primary").await;
            if wanted(&row) {
                return row;
            }
            assert!(Instant::now() < deadline, "{row:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[test]
fn archiving_that_fails_and_archiving_that_works_are_told_apart() {
    on_every_major(async |stage| {
        let works = fill_until(stage, |row| row["failing"] == false && int(row, "archived_count") > 0).await;
        assert_eq!((text(&works, "archive_mode"), text(&works, "method")), ("on", "command"));

        Stage::configure(&stage.primary, &["ALTER SYSTEM SET archive_command = 'false'"]).await;
        let failed = int(&works, "failed_count");
        let fails = fill_until(stage, |row| row["failing"] == true && int(row, "failed_count") > failed).await;
        assert!(text(&fails, "last_failed_wal") > text(&fails, "last_archived_wal"), "the next is tried: {fails:?}");
        assert!((0..60).contains(&int(&fails, "last_failed_seconds")), "{fails:?}");
        let outcome = stage.ask(ACTION, "primary").await;
        assert!(outcome.summary.starts_with("archiving fails: "), "{}", outcome.summary);

        // What waits is what was written since the end of the last file that is safe.
        let last = text(&fails, "last_archived_wal").to_owned();
        let part = |from: usize| i64::from_str_radix(&last[from..from + 8], 16).unwrap();
        let safe = (part(8) << 32) + (part(16) + 1) * SEGMENT;
        let here = async || position(&stage.truth("SELECT pg_current_wal_lsn()").await.unwrap());
        let before = here().await;
        let row = stage.row(ACTION, "primary").await;
        let after = here().await;
        assert_eq!(text(&row, "last_archived_wal"), last);
        assert!((before - safe..=after - safe).contains(&int(&row, "waiting_bytes")), "{row:?} {before} {safe}");
        assert!(int(&row, "waiting_bytes") >= SEGMENT, "a whole file waits: {row:?}");

        Stage::configure(&stage.primary, &["ALTER SYSTEM SET archive_command = ''"]).await;
        let none = |rows: &[Row]| rows[0]["method"] == "none";
        stage.until(ACTION, "primary", none).await;
        let outcome = stage.ask(ACTION, "primary").await;
        assert!(outcome.notices.iter().any(|n| n.contains("neither a command nor a library")), "{:?}", outcome.notices);

        Stage::configure(&stage.primary, &["ALTER SYSTEM SET archive_command = 'true'"]).await;
        let again =
            fill_until(stage, |row| row["failing"] == false && text(row, "last_archived_wal") > last.as_str()).await;
        assert!(int(&again, "archived_count") > int(&works, "archived_count"), "{again:?}");
        assert!(int(&again, "failed_count") > failed, "what failed stays counted: {again:?}");
        let outcome = stage.ask(ACTION, "primary").await;
        assert!(outcome.summary.contains("archived, the last"), "{}", outcome.summary);
    });
}

#[test]
fn a_standby_says_that_it_does_not_archive() {
    on_every_major(async |stage| {
        let outcome = stage.ask(ACTION, "standby").await;
        assert!(
            outcome.summary.contains("archiving is off") || outcome.notices[0].contains("ask the primary"),
            "{outcome:?}"
        );
        assert!(outcome.notices.iter().any(|notice| notice.contains("this is a standby")), "{:?}", outcome.notices);
    });
}
