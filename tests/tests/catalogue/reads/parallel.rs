//! `activity_detail` and `wait_events` with parallel workers: each is seen, says whose it is, and is counted.

use lockgate_tests::session::PATIENCE;

use crate::reads::stage::{Row, int, on_every_major, only, text};

#[test]
fn parallel_workers_are_seen_with_their_leader() {
    on_every_major(async |stage| {
        let fill =
            "DROP TABLE IF EXISTS public.wide; CREATE TABLE public.wide AS SELECT i FROM generate_series(1, 50000) i;
            ANALYZE public.wide";
        stage.primary.execute_in("shop", fill).await.unwrap();
        let leader = stage.superuser("shop", "leader").await;
        leader
            .execute(
                "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
                 SET max_parallel_workers_per_gather = 2",
            )
            .await;
        // Workers and their leader sleep at their first row.
        let leader = leader.start("SELECT count(pg_sleep(600)) FROM public.wide").await;
        let all = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND {0} IN (pid, leader_pid)",
            leader.pid
        );
        stage.primary.wait_for(&all, "3", PATIENCE).await.unwrap();

        let rows = stage.rows("activity_detail", "primary").await;
        let workers: Vec<&Row> = rows.iter().filter(|row| row["leader_pid"] == leader.pid).collect();
        let mut pids: Vec<_> = workers.iter().map(|row| int(row, "pid").to_string()).collect();
        pids.sort_unstable();
        let truth = format!(
            "SELECT string_agg(pid::text, ' ' ORDER BY pid::text) FROM pg_stat_activity WHERE leader_pid = {}",
            leader.pid
        );
        assert_eq!(stage.truth(&truth).await.as_deref(), Some(pids.join(" ").as_str()));
        assert_eq!(workers.len(), 2, "{rows:?}");
        for worker in &workers {
            assert_eq!((text(worker, "backend_type"), text(worker, "state")), ("parallel worker", "active"));
            assert_eq!((text(worker, "wait_event_type"), text(worker, "wait_event")), ("Timeout", "PgSleep"));
        }
        let own = rows.iter().find(|row| row["pid"] == leader.pid).expect("the leader");
        assert!(own["leader_pid"].is_null() && own["backend_type"] == "client backend", "{own:?}");
        // What a worker runs has an id from 14 on, the same as its leader's, where ids are computed.
        if stage.major >= 14 {
            assert!(workers.iter().all(|worker| worker["query_id"] == own["query_id"]), "{rows:?}");
        }

        let waits = stage.rows("wait_events", "primary").await;
        let sleep = only(&waits, "wait_event", "PgSleep");
        assert_eq!((text(sleep, "wait_event_type"), int(sleep, "backends")), ("Timeout", 3));

        // A worker holds back what its leader holds back, and is not named beside it.
        let holders = stage.rows("backend_holding_xmin", "primary").await;
        assert!(holders.iter().any(|row| row["pid"] == leader.pid), "{holders:?}");
        assert!(workers.iter().all(|worker| holders.iter().all(|row| row["pid"] != worker["pid"])), "{holders:?}");
        stage.truth(&format!("SELECT pg_cancel_backend({})", leader.pid)).await;
        assert!(leader.end().await.1.is_err(), "it was still asleep");
    });
}
