//! A role that may not see or do something is told which grant it lacks, and never gets an answer that is green only because
//! it is empty. What a server can't do at all is said as such.

use lockgate::{
    error::{Code, Refusal},
    gate::call::Answer,
    privilege::Privilege,
    value::Value,
};
use lockgate_tests::site::{call, done, principal};
use serde_json::json;

use crate::world::{Session, app, column, refused, run, text, world};

#[test]
fn a_role_that_sees_nothing_is_told_so() {
    run(async {
        let world = world().await;
        let mut told = 0;
        for offer in world.gate.offers(&principal()).iter().filter(|offer| offer.reads_only) {
            let answer = call(&world.gate, &offer.name, "blind", json!({})).await;
            match offer.name.as_str() {
                // What anybody may know.
                "postgres.is_in_recovery"
                | "postgres.prepared_transactions"
                | "postgres.extensions_installed"
                | "postgres.database_stats"
                | "postgres.bgwriter_stats"
                | "postgres.wal_archive_status" => assert!(answer.is_ok(), "{answer:?}"),
                // The role may connect to every database here, which is enough to see its size.
                "postgres.db_sizes" => {
                    assert!(answer.is_ok_and(|answer| matches!(answer, Answer::Done(done) if done.notices.is_empty())))
                }
                // No predefined role brings these.
                "postgres.pg_hba_rules" => {
                    let (code, message) = refused(answer);
                    assert_eq!(code, Code::MissingPrivilege, "{message}");
                    assert!(message.contains("GRANT SELECT") && message.contains("GRANT EXECUTE"), "{message}");
                }
                // It answers, with what it can't know left out and said.
                "postgres.uptime" => {
                    let outcome = done(&world.gate, &offer.name, "blind", json!({})).await;
                    assert_eq!(column(&outcome.tables[0].rows, "connections"), [&Value::Null]);
                    assert!(outcome.summary.contains("pg_monitor"), "{}", outcome.summary);
                }
                name => {
                    let action =
                        &world.gate.rules().catalog.get(name).expect("what is offered is there").action.clone();
                    if !action.privileges().contains(&Privilege::Role("pg_monitor".into())) {
                        continue;
                    }
                    let Refusal { code, message, remedy, .. } = answer.expect_err("it is refused").refusal;
                    assert_eq!(code, Code::MissingPrivilege, "{name}: {message}");
                    assert!(remedy.contains("GRANT pg_monitor TO blind;"), "{name}: {remedy}");
                    told += 1;
                }
            }
        }
        assert!(told >= 10, "{told} actions");
        for (action, arguments) in [
            ("postgres.terminate_backend", json!({ "pid": 1 })),
            ("postgres.cancel_query", json!({ "pid": 1 })),
            ("postgres.kill_idle", json!({})),
        ] {
            let (code, message) = refused(call(&world.gate, action, "blind", arguments).await);
            assert_eq!(code, Code::MissingPrivilege, "{action}: {message}");
            assert!(message.contains("pg_monitor"), "{action}: {message}");
        }
    });
}

#[test]
fn a_role_that_may_not_signal_is_told_before_anybody_is_asked() {
    run(async {
        let world = world().await;
        let victim = app("unsignallable").await;
        victim.execute("BEGIN; SELECT 1").await;
        let before = world.site.pending().len();
        let arguments = json!({ "pid": victim.pid });
        let (code, message) = refused(call(&world.gate, "postgres.terminate_backend", "watcher", arguments).await);
        assert_eq!(code, Code::MissingPrivilege, "{message}");
        assert!(message.contains("pg_signal_backend"), "{message}");
        assert!(world.site.pending().iter().all(|approval| approval.request.target != "watcher"), "{before}");
        assert!(victim.lives().await);
    });
}

#[test]
fn slow_queries_needs_its_extension_and_finds_it_in_any_schema() {
    run(async {
        let world = world().await;
        let (code, message) = refused(call(&world.gate, "postgres.slow_queries", "bare", json!({})).await);
        assert_eq!(code, Code::UnsupportedServerVersion, "{message}");
        assert!(message.contains("pg_stat_statements"), "{message}");

        let asker = Session::of(world.primary, "app", "elsewhere", "asker").await;
        for _ in 0..3 {
            asker.execute("SELECT 1 AS asked_elsewhere, pg_sleep(0.2)").await;
        }
        let arguments = json!({ "min_calls": 3, "limit": 200 });
        let outcome = done(&world.gate, "postgres.slow_queries", "elsewhere", arguments).await;
        let queries = column(&outcome.tables[0].rows, "query");
        let shape = text("SELECT $1 AS asked_elsewhere, pg_sleep($2)");
        assert!(queries.contains(&&shape), "{queries:?}");
    });
}

#[test]
fn a_standby_is_not_maintained() {
    run(async {
        let world = world().await;
        let table = json!({ "schema": "sales", "table": "orders" });
        for (action, arguments) in [
            ("postgres.analyze_table", table.clone()),
            ("postgres.vacuum_table", table),
            ("postgres.reindex_concurrent", json!({ "schema": "sales", "index": "orders_pkey" })),
        ] {
            let (code, message) = refused(call(&world.gate, action, "standby", arguments).await);
            assert_eq!(code, Code::NotOnStandby, "{action}: {message}");
        }
        assert!(
            world.site.pending().iter().all(|a| a.request.target != "standby" || !a.request.action.contains("table"))
        );
    });
}
