//! Nothing runs on: a statement that runs out of time, waits too long for a lock, belongs to a call that is over or to a
//! caller who went away is ended on the server too, and the next call finds everything as it was.

use std::{sync::Arc, time::Duration};

use lockgate::{
    error::Code,
    gate::Gate,
    postgres::{Limits, QueryError},
    statement,
    value::Value,
};
use lockgate_tests::{
    AGENT,
    site::{Site, call, call_of, done, hold, principal},
};
use serde_json::json;

use crate::world::{PATIENCE, Session, app, eventually, refused, run, truth, world};

/// A database of one test, whose extension's view and catalogs may be locked without getting into anybody's way.
pub async fn database(name: &str) {
    let primary = world().await.primary;
    primary.execute(&format!("CREATE DATABASE {name} OWNER app")).await.expect("a database");
    let sql = "CREATE EXTENSION pg_stat_statements; SET ROLE app; CREATE TABLE public.plain (id int)";
    primary.execute_in(name, sql).await.expect("its extension");
}

/// A host with one target on that database.
pub async fn host(name: &str, dbname: &str, lock_ms: u32, statement_ms: u32, more: &str) -> (Site, Arc<Gate>) {
    let mut settings = world().await.primary.target(name, AGENT, dbname);
    settings.lock_timeout_ms = Some(lock_ms);
    settings.statement_timeout_ms = Some(statement_ms);
    let site = Site::with_stock_pack(&[settings], more).await;
    let gate = site.gate().await;
    // Connected and warm: what follows is about statements.
    done(&gate, "postgres.slow_queries", name, json!({})).await;
    (site, gate)
}

/// Holds a lock that a statement waits for.
pub async fn locking(dbname: &str, relation: &str) -> Session {
    let session = Session::of(world().await.primary, "postgres", dbname, "locker").await;
    session.execute(&format!("BEGIN; LOCK TABLE {relation} IN ACCESS EXCLUSIVE MODE")).await;
    session
}

/// Waits until nothing of a target runs on the server.
pub async fn quiet(target: &str) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockgate/{target}' AND state <> 'idle'"
    );
    eventually(&sql, "0").await;
}

/// The errors that the server's log has of a target.
async fn errors(target: &str) -> Vec<String> {
    let log = std::fs::read_to_string(world().await.primary.log_path()).expect("the log");
    let mark = format!("lockgate/{target} ");
    log.lines().filter(|l| l.contains(&mark) && l.contains("ERROR:")).map(str::to_owned).collect()
}

// One test, since one lock on the view is in everybody's way.
#[test]
fn statements_that_are_held_up_end_on_the_server() {
    run(async {
        database("slow").await;
        // A lock that is not to be had.
        let (site, gate) = host("locked", "slow", 300, 60_000, "").await;
        let locker = locking("slow", "public.pg_stat_statements").await;
        let answer = call(&gate, "postgres.slow_queries", "locked", json!({})).await;
        let run_id = answer.as_ref().expect_err("it is locked").run.clone();
        let (code, message) = refused(answer);
        assert_eq!(code, Code::Timeout, "{message}");
        quiet("locked").await;
        assert!(errors("locked").await.iter().any(|line| line.contains("lock timeout")));
        let end = site.run(&run_id).pop().expect("an end");
        assert_eq!((&end["status"], &end["code"]), (&json!("failed"), &json!("timeout")));

        // A statement that runs out of time.
        locker.execute("ROLLBACK").await;
        let (_site, gate) = host("timed", "slow", 600_000, 400, "").await;
        let locker = locking("slow", "public.pg_stat_statements").await;
        let (code, message) = refused(call(&gate, "postgres.slow_queries", "timed", json!({})).await);
        assert_eq!(code, Code::Timeout, "{message}");
        quiet("timed").await;
        assert!(errors("timed").await.iter().any(|line| line.contains("canceling statement due to")));

        // A caller who goes away, by dropping the future and by saying so.
        locker.execute("ROLLBACK").await;
        let (site, gate) = host("left", "slow", 600_000, 3_600_000, "").await;
        let locker = locking("slow", "public.pg_stat_statements").await;
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockgate/left' AND wait_event_type = 'Lock'";
        for politely in [false, true] {
            let asked = hold(Duration::ZERO);
            let cancel = asked.cancel.clone();
            let going = Arc::clone(&gate);
            let caller = tokio::spawn(async move {
                going.call(&principal(), call_of("postgres.slow_queries", "left", json!({})), asked).await
            });
            eventually(waits, "1").await;
            if politely {
                cancel.cancel();
                let (code, _) = refused(caller.await.expect("the caller's task"));
                assert_eq!(code, Code::Cancelled);
            } else {
                caller.abort();
                assert!(caller.await.expect_err("it is gone").is_cancelled());
            }
            eventually(waits, "0").await;
            quiet("left").await;
        }
        let ended: Vec<_> = errors("left").await;
        assert!(ended.len() >= 2 && ended.iter().all(|line| line.contains("due to user request")), "{ended:?}");
        let until = std::time::Instant::now() + PATIENCE;
        let cancelled = || site.record().into_iter().filter(|line| line["code"] == "cancelled").count();
        while cancelled() < 2 && std::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(cancelled(), 2, "nobody waits for it, and the record has its end");

        // And all is as it was.
        locker.execute("ROLLBACK").await;
        done(&gate, "postgres.slow_queries", "left", json!({})).await;
    });
}

#[test]
fn a_preview_that_takes_longer_than_a_call_may_ends_on_the_server() {
    run(async {
        database("stuck").await;
        let (site, gate) = host("preview", "stuck", 600_000, 3_600_000, "[limits]\ncall_seconds = 1\n").await;
        let locker = locking("stuck", "pg_catalog.pg_namespace").await;
        let arguments = json!({ "schema": "public", "table": "plain" });
        let (code, message) = refused(call(&gate, "postgres.vacuum_table", "preview", arguments).await);
        assert!(matches!(code, Code::Timeout | Code::PackTimeout), "{code}: {message}");
        assert!(site.pending().is_empty(), "nobody is asked about what could not be shown");
        quiet("preview").await;
        assert!(errors("preview").await.iter().all(|line| line.contains("canceling statement due to")));
        locker.execute("ROLLBACK").await;
    });
}

#[test]
fn a_result_that_is_too_large_is_none() {
    run(async {
        let world = world().await;
        let mut crowd = Vec::new();
        for _ in 0..12 {
            crowd.push(app(&"n".repeat(63)).await);
        }
        let target = world.primary.target("small", AGENT, "shop");
        let site = Site::with_stock_pack(&[target], "[limits]\noutput_kib = 1\n").await;
        let gate = site.gate().await;
        let (code, message) = refused(call(&gate, "postgres.activity_detail", "small", json!({ "limit": 200 })).await);
        assert_eq!(code, Code::OutputTooLarge, "{message}");
        quiet("small").await;
        // The next call of the same host is not the worse for it.
        done(&gate, "postgres.is_in_recovery", "small", json!({})).await;

        // More rows than declared: the pack's own statement, declared for one row.
        let rules = world.gate.rules();
        let pack = rules.catalog.packs().next().expect("the stock pack").manifest().manifest();
        let mut declared = pack.statements.iter().find(|s| s.id == "activity_detail").expect("the statement").clone();
        declared.max_rows = 1;
        let proven = statement::prove(&declared).expect("it is still sound");
        let target = &world.gate.targets()["primary"];
        let bound = proven.bind(&target.facts().await.unwrap().server, &[Value::Integer(200)]).unwrap();
        let limits = Limits { max_bytes: 1 << 20, deadline: std::time::Instant::now() + PATIENCE };
        assert_eq!(target.execute(&bound, &limits).await, Err(QueryError::TooManyRows(1)));
        let nobody = truth("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND usename = 'agent' AND state LIKE 'idle in%'").await;
        assert_eq!(nobody.as_deref(), Some("0"), "no transaction is left open");
        assert_eq!(crowd.len(), 12);
    });
}
