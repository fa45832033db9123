//! What the reads say is what the superuser finds, wherever that does not change by itself: sessions of a name of their own,
//! locks on a table of their own, a query that nobody else runs.

use std::collections::BTreeSet;

use lockgate::value::Value;
use lockgate_tests::site::done;
use serde_json::json;

use crate::world::{app, column, eventually, row_where, rows_where, run, text, truth, world};

#[test]
fn the_server_at_a_glance() {
    run(async {
        let world = world().await;
        for (target, cluster, standby) in [("primary", world.primary, false), ("standby", &world.standby, true)] {
            let outcome = done(&world.gate, "postgres.uptime", target, json!({})).await;
            let row = row_where(&outcome.tables[0].rows, "in_recovery", &Value::Boolean(standby));
            for (name, sql) in [
                ("server_version", "SHOW server_version"),
                ("max_connections", "SHOW max_connections"),
                (
                    "started_at",
                    "SELECT to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
                ),
            ] {
                let wanted = cluster.value(sql).await.unwrap().unwrap();
                assert_eq!(row[name].as_str().map_or_else(|| row[name].to_string(), str::to_owned), wanted, "{name}");
            }
            assert!(row["uptime_seconds"].as_i64().unwrap() >= 0 && row["connections"].as_i64().unwrap() >= 1);
            let outcome = done(&world.gate, "postgres.is_in_recovery", target, json!({})).await;
            assert_eq!(column(&outcome.tables[0].rows, "in_recovery"), [&Value::Boolean(standby)]);
        }
    });
}

#[test]
fn sessions_by_application_state_and_pid() {
    run(async {
        let world = world().await;
        let mut sessions = Vec::new();
        for number in 0..5 {
            let session = app("counted").await;
            session.execute(if number < 2 { "BEGIN; SELECT txid_current()" } else { "SELECT 7 AS seven" }).await;
            sessions.push(session);
        }
        let outcome = done(&world.gate, "postgres.connections", "primary", json!({})).await;
        let groups = rows_where(&outcome.tables[0].rows, "application", &text("counted"));
        let groups: BTreeSet<_> =
            groups.iter().map(|g| (g["state"].to_string(), g["connections"].to_string())).collect();
        let wanted = [("\"idle\"", "3"), ("\"idle in transaction\"", "2")].map(|(a, b)| (a.into(), b.into()));
        assert_eq!(groups, wanted.into());

        let outcome = done(&world.gate, "postgres.activity_detail", "primary", json!({ "limit": 200 })).await;
        let row = row_where(&outcome.tables[0].rows, "pid", &Value::Integer(sessions[4].pid));
        for (name, wanted) in [("user_name", "app"), ("application", "counted"), ("state", "idle")] {
            assert_eq!(row[name], wanted, "{row:?}");
        }
        assert_eq!(row["query"], "SELECT ? AS seven");

        let outcome = done(&world.gate, "postgres.idle_in_transaction", "primary", json!({})).await;
        let row = row_where(&outcome.tables[0].rows, "pid", &Value::Integer(sessions[0].pid));
        assert_eq!(
            (&row["database"], &row["holds_xmin"], &row["last_query"]),
            (&json!("shop"), &json!(true), &json!("BEGIN; SELECT txid_current()"))
        );
        assert!(rows_where(&outcome.tables[0].rows, "pid", &Value::Integer(sessions[4].pid)).is_empty());
        let none = done(&world.gate, "postgres.idle_in_transaction", "primary", json!({ "min_seconds": 86_400 })).await;
        assert!(none.tables[0].rows.rows.is_empty());

        let outcome = done(&world.gate, "postgres.activity_states", "primary", json!({})).await;
        let idle = row_where(&outcome.tables[0].rows, "state", &text("idle in transaction"));
        assert!(idle["backends"].as_i64().unwrap() >= 2);

        // A limit is kept, and said.
        let outcome = done(&world.gate, "postgres.activity_detail", "primary", json!({ "limit": 2 })).await;
        assert_eq!(outcome.tables[0].rows.rows.len(), 2);
        assert!(outcome.notices.iter().any(|notice| notice.contains("first 2")), "{:?}", outcome.notices);
    });
}

#[test]
fn running_queries_and_what_they_wait_for() {
    run(async {
        let world = world().await;
        let sleeping = app("sleeper").await.start("SELECT pg_sleep(600), 'x'").await;
        eventually(&format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {}", sleeping.pid), "PgSleep").await;
        let outcome = done(&world.gate, "postgres.longest_running_queries", "primary", json!({ "limit": 200 })).await;
        let row = row_where(&outcome.tables[0].rows, "pid", &Value::Integer(sleeping.pid));
        assert_eq!((&row["wait_event"], &row["query"]), (&json!("PgSleep"), &json!("SELECT pg_sleep(?), ?")));
        let none =
            done(&world.gate, "postgres.longest_running_queries", "primary", json!({ "min_seconds": 86_400 })).await;
        assert!(none.tables[0].rows.rows.is_empty(), "nothing has run for a day");
        let outcome = done(&world.gate, "postgres.wait_events", "primary", json!({})).await;
        let row = row_where(&outcome.tables[0].rows, "wait_event", &text("PgSleep"));
        assert!(row["backends"].as_i64().unwrap() >= 1 && row["wait_event_type"] == "Timeout");
        truth(&format!("SELECT pg_cancel_backend({})", sleeping.pid)).await;
        assert!(sleeping.end().await.1.is_err());
    });
}

#[test]
fn who_waits_for_whom() {
    run(async {
        let world = world().await;
        let owner = app("jam-owner").await;
        owner.execute("CREATE TABLE sales.jam (id int)").await;
        owner.execute("BEGIN; LOCK TABLE sales.jam IN ACCESS EXCLUSIVE MODE").await;
        let mut waiting = Vec::new();
        for _ in 0..3 {
            waiting.push(app("jam-waiter").await.start("INSERT INTO sales.jam VALUES (1)").await);
        }
        let blocked =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jam-waiter' AND wait_event_type = 'Lock'";
        eventually(blocked, "3").await;

        let outcome = done(&world.gate, "postgres.lock_blocking_chains", "primary", json!({})).await;
        let rows = rows_where(&outcome.tables[0].rows, "relation", &text("sales.jam"));
        let pids: BTreeSet<_> = rows.iter().map(|row| row["blocked_pid"].as_i64().unwrap()).collect();
        assert_eq!(pids, waiting.iter().map(|w| w.pid).collect());
        for row in &rows {
            let pid = &row["blocked_pid"];
            let direct = truth(&format!("SELECT cardinality(pg_blocking_pids({pid}))")).await.unwrap();
            assert_eq!(row["blockers"].to_string(), direct, "{row:?}");
            let head = (&row["head_pid"], &row["head_state"], &row["head_application"]);
            assert_eq!(head, (&json!(owner.pid), &json!("idle in transaction"), &json!("jam-owner")));
            assert_eq!((&row["lock_type"], &row["lock_mode"]), (&json!("relation"), &json!("RowExclusiveLock")));
            assert_eq!(row["blocked_query"], "INSERT INTO sales.jam VALUES (?)");
        }
        let notice = outcome.notices.iter().find(|notice| notice.contains(&owner.pid.to_string()));
        assert!(notice.expect("the head is named").contains("terminate_backend"));

        let outcome = done(&world.gate, "postgres.locks", "primary", json!({ "limit": 200 })).await;
        let locks = rows_where(&outcome.tables[0].rows, "relation", &text("sales.jam"));
        let found: BTreeSet<_> = locks
            .iter()
            .map(|l| (l["mode"].to_string(), l["granted"].to_string(), l["backends"].to_string()))
            .collect();
        let wanted = [("\"AccessExclusiveLock\"", "true", "1"), ("\"RowExclusiveLock\"", "false", "3")];
        assert_eq!(found, wanted.map(|(a, b, c)| (a.into(), b.into(), c.into())).into());

        owner.execute("ROLLBACK").await;
        for waiter in waiting {
            waiter.end().await.1.expect("it goes on");
        }
    });
}

#[test]
fn how_far_the_standby_is() {
    run(async {
        let world = world().await;
        let sender = truth("SELECT pid FROM pg_stat_replication").await.unwrap();
        let outcome = done(&world.gate, "postgres.replication_lag", "primary", json!({})).await;
        let row = row_where(&outcome.tables[0].rows, "standby", &text("downstream"));
        assert_eq!((row["pid"].to_string(), &row["state"]), (sender, &json!("streaming")));
        assert!(row["replay_lag_bytes"].as_i64().unwrap() >= 0);
        let outcome = done(&world.gate, "postgres.replication_lag", "standby", json!({})).await;
        let row = row_where(&outcome.tables[0].rows, "standby", &text("this server"));
        assert!(row["replay_lag_bytes"].as_i64().unwrap() >= 0);
    });
}

#[test]
fn slow_queries_are_those_of_the_extension() {
    run(async {
        let world = world().await;
        let asker = app("slow").await;
        for number in 0..10 {
            asker.execute(&format!("SELECT {number} AS slow_marker, pg_sleep(0.05)")).await;
        }
        let outcome = done(&world.gate, "postgres.slow_queries", "primary", json!({ "limit": 200 })).await;
        let rows = &outcome.tables[0].rows;
        let row = row_where(rows, "query", &text("SELECT $1 AS slow_marker, pg_sleep($2)"));
        let shop = world.primary.connect_to("shop").await.unwrap();
        let sql = "SELECT queryid::text, calls, mean_exec_time, max_exec_time FROM pg_stat_statements WHERE query LIKE '%slow_marker, pg_sleep%'";
        let truth = shop.query_one(sql, &[]).await.unwrap();
        assert_eq!(row["query_id"], truth.get::<_, String>(0));
        assert_eq!((row["calls"].as_i64(), row["rows"].as_i64()), (Some(truth.get(1)), Some(10)));
        assert!((row["mean_ms"].as_f64().unwrap() - truth.get::<_, f64>(2)).abs() < 1e-6);
        assert_eq!((&row["user_name"], &row["database"]), (&json!("app"), &json!("shop")));
        let means: Vec<f64> = column(rows, "mean_ms").iter().map(|mean| mean.to_json().as_f64().unwrap()).collect();
        assert!(means.is_sorted_by(|a, b| a >= b), "the slowest first");
        let calls = column(rows, "calls");
        assert!(calls.iter().all(|calls| matches!(calls, Value::Integer(10..))), "{calls:?}");
    });
}
