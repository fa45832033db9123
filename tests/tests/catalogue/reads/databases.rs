//! `database_stats` and `db_sizes`: rollbacks and a deadlock that were made to happen, and a database that grows.

use lockgate_tests::session::PATIENCE;

use crate::reads::stage::{Row, int, on_every_major, only, rows};

/// The counters of the database that nobody else uses.
fn counters(rows: &[Row]) -> [i64; 2] {
    let row = only(rows, "database", "counters");
    [int(row, "rollbacks"), int(row, "deadlocks")]
}

#[test]
fn rollbacks_a_deadlock_and_a_spill_are_counted() {
    on_every_major(async |stage| {
        let schema = "DROP TABLE IF EXISTS public.pair; CREATE TABLE public.pair (id int PRIMARY KEY, n int);
            INSERT INTO public.pair VALUES (1, 0), (2, 0)";
        stage.primary.execute_in("counters", schema).await.unwrap();
        let before = stage.rows("database_stats", "primary").await;
        let spilled = int(only(&before, "database", "counters"), "temp_bytes");
        let before = counters(&before);

        let one = stage.superuser("counters", "one").await;
        let two = stage.superuser("counters", "two").await;
        for _ in 0..3 {
            one.execute("BEGIN; SELECT 1; ROLLBACK").await;
        }
        one.execute("BEGIN; UPDATE public.pair SET n = 1 WHERE id = 1").await;
        two.execute("BEGIN; UPDATE public.pair SET n = 1 WHERE id = 2").await;
        let waits = one.start("UPDATE public.pair SET n = 2 WHERE id = 2").await;
        let blocked = format!("SELECT wait_event_type FROM pg_stat_activity WHERE pid = {}", waits.pid);
        stage.primary.wait_for(&blocked, "Lock", PATIENCE).await.unwrap();
        let second = two.client.batch_execute("UPDATE public.pair SET n = 2 WHERE id = 1").await;
        let (one, first) = waits.end().await;
        assert_ne!(first.is_ok(), second.is_ok(), "one of them is the victim");
        one.execute("ROLLBACK").await;
        two.execute("ROLLBACK").await;
        let spill = "SET work_mem = '64kB'; SET max_parallel_workers_per_gather = 0;
            SELECT count(*) FROM (SELECT i FROM generate_series(1, 100000) i ORDER BY i DESC OFFSET 0) s";
        one.execute(spill).await;
        // At its end a session hands in what it still counted.
        drop((one, two));

        // Three, the victim's, the other's.
        let wanted = [before[0] + 5, before[1] + 1];
        let after = stage.until("database_stats", "primary", |rows| {
            counters(rows) == wanted && int(only(rows, "database", "counters"), "temp_bytes") > spilled
        });
        let after = after.await;
        let row = only(&after, "database", "counters");
        let count = |column: &str| row[column].as_f64().unwrap();
        let percent = 100.0 * count("rollbacks") / (count("commits") + count("rollbacks"));
        assert!((count("rollback_percent") - percent).abs() < 0.001, "{row:?}");
        // Sessions are counted from 14 on.
        assert_eq!(row["sessions"].is_i64(), stage.major >= 14, "{row:?}");
        assert!(row["checksum_failures"].is_null() || row["checksum_failures"] == 0, "{row:?}");

        let outcome = stage.ask("database_stats", "standby").await;
        let own = outcome.notices.iter().any(|notice| notice.contains("counts its own sessions"));
        assert!(own && int(only(&rows(&outcome), "database", "counters"), "deadlocks") == 0, "{:?}", outcome.notices);
    });
}

#[test]
fn a_database_grows() {
    on_every_major(async |stage| {
        let size = |rows: &[Row]| int(only(rows, "database", "counters"), "bytes");
        let truth = "SELECT pg_database_size('counters')";
        let before = size(&stage.rows("db_sizes", "primary").await);
        let grow = "DROP TABLE IF EXISTS public.large;
            CREATE TABLE public.large AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 8192); CHECKPOINT";
        stage.primary.execute_in("counters", grow).await.unwrap();
        let outcome = stage.ask("db_sizes", "primary").await;
        let found = rows(&outcome);
        assert!(size(&found) >= before + (8 << 20), "{before} {found:?}");
        assert_eq!(size(&found), stage.number(truth).await);
        let bytes: Vec<_> = found.iter().map(|row| int(row, "bytes")).collect();
        assert!(bytes.is_sorted_by(|a, b| a >= b), "{bytes:?}");
        assert_eq!(only(&found, "database", "template0")["allows_connections"], false);
        assert!(outcome.notices.is_empty(), "{:?}", outcome.notices);

        // A role that may look into some databases only gets what it may know, and is told.
        stage.primary.execute("REVOKE CONNECT ON DATABASE counters FROM PUBLIC").await.unwrap();
        let outcome = stage.ask("db_sizes", "blind").await;
        stage.primary.execute("GRANT CONNECT ON DATABASE counters TO PUBLIC").await.unwrap();
        let found = rows(&outcome);
        assert!(only(&found, "database", "counters")["bytes"].is_null(), "{found:?}");
        assert!(outcome.notices.iter().any(|notice| notice.contains("pg_monitor")), "{:?}", outcome.notices);
        stage.primary.execute_in("counters", "DROP TABLE public.large").await.unwrap();
    });
}
