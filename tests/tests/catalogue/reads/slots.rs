//! `replication_slots`: what each keeps, against positions that the test itself reads and subtracts; a slot in use, one that
//! was lost, and one on a standby.

use lockgate_tests::session::{APP, PATIENCE, Session};

use crate::reads::stage::{Row, Stage, int, on_every_major, only, position, rows, text};

const ACTION: &str = "replication_slots";

async fn here(stage: &Stage) -> i64 {
    position(&stage.truth("SELECT pg_current_wal_lsn()").await.expect("a position"))
}

async fn restart_of(stage: &Stage, slot: &str) -> i64 {
    let restart = format!("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'");
    position(&stage.truth(&restart).await.expect("a position"))
}

async fn drop_slot(stage: &Stage, slot: &str) {
    stage.primary.execute_in("shop", &format!("SELECT pg_drop_replication_slot('{slot}')")).await.expect("a slot less");
}

#[test]
fn a_slot_that_nobody_reads_keeps_wal_and_how_much_is_right() {
    on_every_major(async |stage| {
        stage.primary.execute("SELECT pg_create_physical_replication_slot('forgotten', true)").await.unwrap();
        stage.write_wal(3000).await;
        let logical = "SELECT pg_create_logical_replication_slot('feed', 'pgoutput')";
        stage.primary.execute_in("shop", logical).await.unwrap();
        stage.write_wal(1000).await;

        // WAL may be written meanwhile (the server logs what runs), but not less than before nor more than after.
        let before = here(stage).await;
        let outcome = stage.ask(ACTION, "primary").await;
        let after = here(stage).await;
        assert!(outcome.summary.starts_with("2 replication slots, 2 without a consumer"), "{}", outcome.summary);
        let found = rows(&outcome);
        assert_eq!(
            (text(&found[0], "slot_name"), text(&found[1], "slot_name")),
            ("forgotten", "feed"),
            "the most first"
        );
        for row in &found {
            let restart = restart_of(stage, text(row, "slot_name")).await;
            assert_eq!(position(text(row, "restart_lsn")), restart);
            let kept = int(row, "retained_bytes");
            assert!((before - restart..=after - restart).contains(&kept), "{row:?}");
            assert_eq!((&row["active"], text(row, "wal_status")), (&false.into(), "reserved"), "{row:?}");
            assert!(row["active_pid"].is_null() && row["safe_wal_size"].is_null(), "there is no limit: {row:?}");
            assert_eq!(row["inactive_since"].is_string(), stage.major >= 17, "{row:?}");
            assert_eq!(row["two_phase"].is_boolean(), stage.major >= 14, "{row:?}");
        }
        let [physical, logical] = &found[..] else { panic!("{found:?}") };
        assert!(int(physical, "retained_bytes") > 3_000_000, "{physical:?}");
        assert_eq!((text(physical, "slot_type"), text(logical, "slot_type")), ("physical", "logical"));
        assert_eq!((text(logical, "plugin"), text(logical, "database")), ("pgoutput", "shop"));
        let unconfirmed = int(logical, "unconfirmed_bytes");
        let confirmed = position(text(logical, "confirmed_flush_lsn"));
        assert!((before - confirmed..=after - confirmed).contains(&unconfirmed), "{logical:?}");
        assert!(physical["unconfirmed_bytes"].is_null() && physical["catalog_xmin_age"].is_null(), "{physical:?}");
        stage.burn(5).await;
        let found = stage.rows(ACTION, "primary").await;
        let age = stage.number("SELECT age(catalog_xmin) FROM pg_replication_slots WHERE slot_name = 'feed'").await;
        assert_eq!(int(only(&found, "slot_name", "feed"), "catalog_xmin_age"), age);
        assert!(age >= 5, "{age}");
        drop_slot(stage, "forgotten").await;
        drop_slot(stage, "feed").await;
        assert!(stage.rows(ACTION, "primary").await.is_empty());
    });
}

#[test]
fn a_slot_in_use_says_by_whom_and_pins_what_its_standby_pins() {
    on_every_major(async |stage| {
        stage.primary.execute("SELECT pg_create_physical_replication_slot('follower', true)").await.unwrap();
        Stage::configure(&stage.standby, &["ALTER SYSTEM SET primary_slot_name = 'follower'"]).await;
        let active = |rows: &[Row]| rows.iter().any(|row| row["slot_name"] == "follower" && row["active"] == true);
        let found = stage.until(ACTION, "primary", active).await;
        let row = only(&found, "slot_name", "follower");
        assert_eq!(int(row, "active_pid"), stage.number("SELECT pid FROM pg_stat_replication").await);
        let application = stage.truth("SELECT application_name FROM pg_stat_replication").await;
        assert_eq!(row["application"].as_str(), application.as_deref());
        assert!(row["inactive_since"].is_null(), "{row:?}");

        let far = Session::of(&stage.standby, APP, "shop", "far-away").await;
        stage.caught_up().await;
        far.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await;
        stage.burn(10).await;
        let pinned = "SELECT age(xmin) >= 10 FROM pg_replication_slots WHERE slot_name = 'follower'";
        stage.primary.wait_for(pinned, "t", PATIENCE).await.unwrap();
        let found = stage.rows(ACTION, "primary").await;
        assert!(int(only(&found, "slot_name", "follower"), "xmin_age") >= 10, "{found:?}");
        let holders = stage.rows("backend_holding_xmin", "primary").await;
        let holder = only(&holders, "kind", "replication slot");
        assert_eq!((text(holder, "name"), text(holder, "holds")), ("follower", "all tables"));
        assert!(holders.iter().all(|row| row["kind"] != "standby"), "it is counted once: {holders:?}");
        far.execute("ROLLBACK").await;

        Stage::configure(&stage.standby, &["ALTER SYSTEM RESET primary_slot_name"]).await;
        let free = "SELECT active FROM pg_replication_slots WHERE slot_name = 'follower'";
        stage.primary.wait_for(free, "f", PATIENCE).await.unwrap();
        drop_slot(stage, "follower").await;
        stage.primary.wait_for("SELECT state FROM pg_stat_replication", "streaming", PATIENCE).await.unwrap();
    });
}

#[test]
fn a_slot_that_was_lost_is_said_to_be_of_no_use() {
    on_every_major(async |stage| {
        stage.primary.execute("SELECT pg_create_physical_replication_slot('lost', true)").await.unwrap();
        Stage::configure(&stage.primary, &["ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'"]).await;
        let found = stage.rows(ACTION, "primary").await;
        assert!(only(&found, "slot_name", "lost")["safe_wal_size"].is_i64(), "there is a limit now: {found:?}");
        for _ in 0..4 {
            stage.write_wal(10).await;
            stage.primary.execute("SELECT pg_switch_wal()").await.unwrap();
        }
        stage.caught_up().await;
        stage.primary.execute("CHECKPOINT").await.unwrap();
        let status = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'lost'";
        stage.primary.wait_for(status, "lost", PATIENCE).await.unwrap();
        let outcome = stage.ask(ACTION, "primary").await;
        assert!(outcome.notices.iter().any(|notice| notice.contains("1 slot is lost")), "{:?}", outcome.notices);
        let found = rows(&outcome);
        let lost = only(&found, "slot_name", "lost");
        assert_eq!(text(lost, "wal_status"), "lost");
        let reason = (stage.major >= 17).then_some("wal_removed");
        assert_eq!(lost["invalidation_reason"].as_str(), reason, "{lost:?}");
        Stage::configure(&stage.primary, &["ALTER SYSTEM RESET max_slot_wal_keep_size"]).await;
        drop_slot(stage, "lost").await;
    });
}

#[test]
fn a_standby_shows_its_own_slots() {
    on_every_major(async |stage| {
        stage.standby.execute("SELECT pg_create_physical_replication_slot('cascade', true)").await.unwrap();
        stage.write_wal(1000).await;
        stage.caught_up().await;
        let found = stage.rows(ACTION, "standby").await;
        let row = only(&found, "slot_name", "cascade");
        let restart = position(text(row, "restart_lsn"));
        let replayed = stage.standby.value("SELECT pg_last_wal_replay_lsn()").await.unwrap().unwrap();
        let kept = int(row, "retained_bytes");
        assert!(kept > 1_000_000 && kept <= position(&replayed) - restart, "{row:?} {replayed}");
        stage.standby.execute("SELECT pg_drop_replication_slot('cascade')").await.unwrap();
    });
}
