//! Each action as a whole: every read answers on a primary and on a standby with the columns that its pack declared, and the
//! acts say in their own words and codes when there is nothing for them to do.

use lockgate::{
    error::Code,
    statement::Role,
    value::{ColumnKind, Value},
};
use lockgate_tests::site::{call, done, ended, held, principal};
use serde_json::json;

use crate::world::{Session, app, gone, refused, run, truth, world};

fn is_of(kind: ColumnKind, cell: &Value) -> bool {
    match cell {
        Value::Null => true,
        Value::Boolean(_) => kind == ColumnKind::Boolean,
        Value::Integer(_) => kind == ColumnKind::Integer,
        Value::Number(number) => kind == ColumnKind::Number && number.is_finite(),
        Value::Text(_) => matches!(kind, ColumnKind::Text | ColumnKind::Query),
        Value::Integers(_) | Value::Texts(_) => false,
    }
}

#[test]
fn every_read_answers_as_declared_on_both_servers() {
    run(async {
        let world = world().await;
        let rules = world.gate.rules();
        let pack = rules.catalog.packs().next().expect("the stock pack").manifest();
        let mut answered = 0;
        for action in pack.actions().filter(|action| action.reads_only()) {
            let name = format!("postgres.{}", action.declared().name);
            for target in ["primary", "standby"] {
                // What a standby's numbers would be zeros of is asked of the primary; its statements say so.
                let primary_only = !action.declared().works_on_standby
                    || action.statements().into_values().any(|statement| {
                        statement.declaration().variants.iter().all(|variant| variant.role == Role::Primary)
                    });
                if target == "standby" && primary_only {
                    let (code, message) = refused(call(&world.gate, &name, target, json!({})).await);
                    assert_eq!(code, Code::NotOnStandby, "{name}: {message}");
                    continue;
                }
                let outcome = done(&world.gate, &name, target, json!({})).await;
                assert_eq!((outcome.action.as_str(), outcome.target.as_str()), (name.as_str(), target));
                assert!(outcome.summary.len() > 5 && !outcome.record_degraded, "{name}: {}", outcome.summary);
                assert!(!outcome.tables.is_empty(), "{name}");
                for table in &outcome.tables {
                    let rows = &table.rows;
                    let mut declared = action.statements().into_values().map(|s| s.declaration());
                    let statement = declared.find(|s| s.columns == rows.columns);
                    let statement = statement.unwrap_or_else(|| panic!("{name}: no statement has {:?}", rows.columns));
                    assert!(rows.rows.len() <= statement.max_rows as usize, "{name}");
                    for row in &rows.rows {
                        assert_eq!(row.len(), rows.columns.len(), "{name}");
                        for (column, cell) in rows.columns.iter().zip(row) {
                            assert!(is_of(column.kind, cell), "{name} {}: {cell:?}", column.name);
                        }
                    }
                }
                let events: Vec<_> = world.site.run(&outcome.run).iter().map(|l| l["ev"].clone()).collect();
                assert_eq!(events, ["call.intent", "call.outcome"], "{name}");
                answered += 1;
            }
        }
        assert!(answered >= 70, "{answered} answers");
        assert!(world.site.verify_record().intact, "the record holds");
    });
}

#[test]
fn every_example_of_the_pack_is_a_call_that_it_takes() {
    run(async {
        let world = world().await;
        for offer in world.gate.offers(&principal()) {
            for example in &offer.examples {
                let arguments = serde_json::from_str(&example.arguments).expect("an object");
                // A preview may find nothing, and says so; it never finds fault with the arguments.
                if let Err(error) = call(&world.gate, &offer.name, "bare", arguments).await {
                    let code = error.refusal.code;
                    let fine = [Code::NotFound, Code::NothingToDo, Code::UnsupportedServerVersion];
                    assert!(fine.contains(&code), "{}: {}", offer.name, error.refusal);
                }
            }
        }
    });
}

#[test]
fn acts_with_nothing_to_act_on_ask_nobody() {
    run(async {
        let world = world().await;
        let asked_before = world.site.pending().len();
        let refuse = async |action: &str, arguments| {
            let (code, message) = refused(call(&world.gate, action, "primary", arguments).await);
            (code, message)
        };
        // 4194304 is the highest pid that Linux can give, and no small machine ever gives it.
        for action in ["postgres.terminate_backend", "postgres.cancel_query"] {
            let (code, message) = refuse(action, json!({ "pid": 4_194_304 })).await;
            assert_eq!(code, Code::NotFound, "{message}");
            assert!(message.contains("4194304"), "{message}");
        }
        let (code, message) = refuse("postgres.kill_idle", json!({ "older_than_seconds": 86_400 })).await;
        assert_eq!(code, Code::NothingToDo, "{message}");

        let idle = app("idle").await;
        let (code, message) = refuse("postgres.cancel_query", json!({ "pid": idle.pid })).await;
        assert_eq!(code, Code::NothingToDo, "{message}");

        // A cancel would answer true here, and do nothing.
        idle.execute("BEGIN; SELECT 1").await;
        let (code, message) = refuse("postgres.cancel_query", json!({ "pid": idle.pid })).await;
        assert_eq!(code, Code::NotApplicable, "{message}");
        assert!(message.contains("terminate_backend") && message.contains("do nothing"), "{message}");
        idle.fails("SELECT 1/0").await;
        let (code, message) = refuse("postgres.cancel_query", json!({ "pid": idle.pid })).await;
        assert_eq!(code, Code::NotApplicable, "failed transactions too: {message}");

        for (action, arguments) in [
            ("postgres.vacuum_table", json!({ "schema": "sales", "table": "Orders" })),
            ("postgres.analyze_table", json!({ "schema": "Sales", "table": "orders" })),
            ("postgres.reindex_concurrent", json!({ "schema": "sales", "index": "no_index" })),
        ] {
            let (code, message) = refuse(action, arguments).await;
            assert_eq!(code, Code::NotFound, "names are taken exactly: {action}: {message}");
        }
        assert!(
            world.site.pending().iter().all(|a| a.request.arguments.get("pid") != Some(&json!(idle.pid))),
            "{asked_before}"
        );
        assert!(idle.lives().await || idle.client.batch_execute("ROLLBACK").await.is_ok());
    });
}

#[test]
fn what_no_signal_may_go_to_is_refused() {
    run(async {
        let world = world().await;
        let superuser = Session::of(world.primary, "postgres", "shop", "superuser").await;
        let sleeping = superuser.start("SELECT pg_sleep(600)").await;
        let process = truth("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'").await.unwrap();
        let sender = truth("SELECT pid FROM pg_stat_replication").await.unwrap();
        let pids = [("superuser", sleeping.pid), ("server", process.parse().unwrap()), ("", sender.parse().unwrap())];
        for action in ["postgres.terminate_backend", "postgres.cancel_query"] {
            for (word, pid) in pids {
                let (code, message) = refused(call(&world.gate, action, "primary", json!({ "pid": pid })).await);
                assert_eq!(code, Code::NotApplicable, "{action}: {message}");
                assert!(message.contains(word), "{action}: {message}");
            }
        }
        assert!(sleeping.runs(), "the superuser's query was left alone");
        truth(&format!("SELECT pg_cancel_backend({})", sleeping.pid)).await;
        assert!(sleeping.end().await.1.is_err());
        assert_eq!(truth("SELECT count(*) FROM pg_stat_replication").await.as_deref(), Some("1"));
    });
}

#[test]
fn cancel_ends_the_query_and_keeps_the_session() {
    run(async {
        let world = world().await;
        let victim = app("cancel-me").await;
        let sleeping = victim.start("SELECT pg_sleep(600)").await;
        let approval = held(&world.gate, "postgres.cancel_query", "primary", json!({ "pid": sleeping.pid })).await;
        assert!(sleeping.runs(), "nothing happens before somebody approves");
        world.site.approve(&approval).await;
        let outcome = ended(&world.gate, &approval).await.expect("it is cancelled");
        assert!(outcome.summary.contains("cancel"), "{}", outcome.summary);
        assert_eq!(outcome.approval.expect("an approval").by, "grace");
        let (victim, answer) = sleeping.end().await;
        assert_eq!(answer.unwrap_err().code().map(|code| code.code().to_owned()).as_deref(), Some("57014"));
        assert!(victim.lives().await, "its session stays");
    });
}

#[test]
fn terminate_ends_the_head_of_a_chain_and_on_a_standby_a_reader() {
    run(async {
        let world = world().await;
        for (target, cluster) in [("primary", world.primary), ("standby", &world.standby)] {
            let victim = Session::of(cluster, "app", "shop", "terminate-me").await;
            let witness = Session::of(cluster, "app", "shop", "witness").await;
            victim.execute("BEGIN; SELECT count(*) FROM sales.orders").await;
            let approval = held(&world.gate, "postgres.terminate_backend", target, json!({ "pid": victim.pid })).await;
            assert!(victim.lives().await, "nothing happens before somebody approves");
            world.site.approve(&approval).await;
            let outcome = ended(&world.gate, &approval).await.expect("it is ended");
            assert!(outcome.summary.contains(&victim.pid.to_string()), "{}", outcome.summary);
            if target == "primary" {
                gone(victim.pid).await;
            }
            assert!(!victim.lives().await);
            assert!(witness.lives().await, "and nobody else");
        }
    });
}
