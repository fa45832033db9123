//! An act hits what was approved or nothing: the very backend, by its pid and its start, running the very query. Between
//! the approval and the execution the world moves on, and a pid is soon given to somebody else.

use lockgate::{
    error::Code,
    postgres::{Limits, QueryError},
    value::Value,
};
use lockgate_tests::site::{ended, held};
use serde_json::json;

use crate::world::{PATIENCE, Session, app, gone, refused, run, text, truth, world};

/// Runs a statement of an action with inputs of our own, past everything that the pack and the gate would check before.
async fn signal(action: &str, inputs: &[Value]) -> Result<usize, QueryError> {
    let world = world().await;
    let rules = world.gate.rules();
    let pack = rules.catalog.packs().next().expect("the stock pack").manifest();
    let statement = pack.action(action).expect("the action").run_statement(action).expect("its statement");
    let target = &world.gate.targets()["primary"];
    let bound = statement.bind(&target.facts().await?.server, inputs).expect("the inputs fit");
    let limits = Limits { max_bytes: 1 << 20, deadline: std::time::Instant::now() + PATIENCE };
    Ok(target.execute(&bound, &limits).await?.rows.rows.len())
}

/// An instant of a backend, in the words in which it is pinned.
async fn instant(pid: i64, column: &str) -> String {
    let words = format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
    truth(&format!("SELECT {words} FROM pg_stat_activity WHERE pid = {pid}")).await.expect("the backend is there")
}

/// The same a microsecond later: as close as two backends can come to each other.
fn next_microsecond(instant: &str) -> String {
    let digits: u32 = instant[20..26].parse().expect("microseconds");
    format!("{}{:06}Z", &instant[..20], (digits + 1) % 1_000_000)
}

#[test]
fn a_backend_that_is_gone_is_not_signalled() {
    run(async {
        let world = world().await;
        let (victim, bystander) = (app("leaves").await, app("stays").await);
        victim.execute("BEGIN; SELECT 1").await;
        let pid = victim.pid;
        let approval = held(&world.gate, "postgres.terminate_backend", "primary", json!({ "pid": pid })).await;
        drop(victim);
        gone(pid).await;
        world.site.approve(&approval).await;
        let (code, message) = refused(ended(&world.gate, &approval).await);
        assert_eq!(code, Code::TargetChanged, "{message}");
        assert!(bystander.lives().await);
        let run = world.site.record().into_iter().find(|line| line["approval"] == approval.as_str()).unwrap();
        let outcome = world.site.run(run["run"].as_str().unwrap()).pop().unwrap();
        assert_eq!(
            (&outcome["ev"], &outcome["status"], &outcome["code"]),
            (&json!("call.outcome"), &json!("failed"), &json!("target_changed"))
        );
    });
}

#[test]
fn the_same_pid_with_another_start_is_somebody_else() {
    run(async {
        let recycled = app("recycled").await;
        recycled.execute("BEGIN; SELECT 1").await;
        let (pid, start) = (Value::Integer(recycled.pid), instant(recycled.pid, "backend_start").await);
        let other = next_microsecond(&start);
        for wrong in [other.as_str(), "", "2026-01-01T00:00:00.000000Z", "infinity"] {
            let answer = signal("terminate_backend", &[pid.clone(), text(wrong)]).await;
            assert_eq!(answer, Err(QueryError::TargetChanged), "{wrong}");
            let lists = [Value::Integers(vec![recycled.pid]), Value::Texts(vec![wrong.into()]), Value::Integer(0)];
            assert_eq!(signal("kill_idle", &lists).await, Err(QueryError::TargetChanged), "{wrong}");
        }
        assert_eq!(signal("terminate_backend", &[pid.clone(), Value::Null]).await, Err(QueryError::TargetChanged));
        // Of two backends each with the other's start, neither is the one that was approved.
        let second = app("recycled").await;
        second.execute("BEGIN; SELECT 1").await;
        let starts = vec![instant(second.pid, "backend_start").await, start.clone()];
        let swapped = [Value::Integers(vec![recycled.pid, second.pid]), Value::Texts(starts), Value::Integer(0)];
        assert_eq!(signal("kill_idle", &swapped).await, Err(QueryError::TargetChanged));
        assert!(recycled.lives().await && second.lives().await, "nobody was signalled");
        // And the right start does what the wrong ones did not.
        assert_eq!(signal("terminate_backend", &[pid, text(&start)]).await, Ok(1));
        gone(recycled.pid).await;
        assert!(second.lives().await);
    });
}

#[test]
fn no_signal_reaches_a_superuser_or_a_process_of_the_server_whatever_the_inputs() {
    run(async {
        let world = world().await;
        let superuser = Session::of(world.primary, "postgres", "shop", "superuser").await;
        superuser.execute("BEGIN; SELECT 1").await;
        let writer = truth("SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'").await.unwrap();
        for pid in [superuser.pid, writer.parse().unwrap()] {
            let start = instant(pid, "backend_start").await;
            let answer = signal("terminate_backend", &[Value::Integer(pid), text(&start)]).await;
            assert_eq!(answer, Err(QueryError::TargetChanged));
            let lists = [Value::Integers(vec![pid]), Value::Texts(vec![start]), Value::Integer(0)];
            assert_eq!(signal("kill_idle", &lists).await, Err(QueryError::TargetChanged));
        }
        assert!(superuser.lives().await);
    });
}

#[test]
fn a_cancel_is_for_the_query_that_was_approved() {
    run(async {
        let world = world().await;
        let first = app("goes-on").await.start("SELECT pg_sleep(600), 1").await;
        let pid = first.pid;
        let approval = held(&world.gate, "postgres.cancel_query", "primary", json!({ "pid": pid })).await;
        truth(&format!("SELECT pg_cancel_backend({pid})")).await;
        let (session, _) = first.end().await;
        // The same backend, another query.
        let second = session.start("SELECT pg_sleep(600), 2").await;
        assert_eq!(second.pid, pid);
        world.site.approve(&approval).await;
        let (code, message) = refused(ended(&world.gate, &approval).await);
        assert_eq!(code, Code::TargetChanged, "{message}");
        // And at the statement: the right backend, a query that started a microsecond later.
        let (start, query) = (instant(pid, "backend_start").await, instant(pid, "query_start").await);
        let later = next_microsecond(&query);
        let answer = signal("cancel_query", &[Value::Integer(pid), text(&start), text(&later)]).await;
        assert_eq!(answer, Err(QueryError::TargetChanged));
        assert!(second.runs(), "the second query was left alone");
        assert_eq!(signal("cancel_query", &[Value::Integer(pid), text(&start), text(&query)]).await, Ok(1));
        let (session, answer) = second.end().await;
        assert!(answer.is_err());

        // A backend that sits in its transaction by the time of the execution would answer true and do nothing.
        session.execute("BEGIN").await;
        let third = session.start("SELECT pg_sleep(600), 3").await;
        let approval = held(&world.gate, "postgres.cancel_query", "primary", json!({ "pid": pid })).await;
        truth(&format!("SELECT pg_cancel_backend({pid})")).await;
        let (session, _) = third.end().await;
        world.site.approve(&approval).await;
        let (code, message) = refused(ended(&world.gate, &approval).await);
        assert_eq!(code, Code::TargetChanged, "{message}");
        assert!(session.client.batch_execute("ROLLBACK").await.is_ok());
    });
}

#[test]
fn our_own_session_is_refused() {
    run(async {
        let world = world().await;
        let mut settings = world.primary.target("solo", lockgate_tests::AGENT, "shop");
        settings.pool_size = Some(1);
        let site = lockgate_tests::site::Site::with_stock_pack(&[settings], "").await;
        let gate = site.gate().await;
        lockgate_tests::site::done(&gate, "postgres.uptime", "solo", json!({})).await;
        let pid = truth("SELECT pid FROM pg_stat_activity WHERE application_name = 'lockgate/solo'").await.unwrap();
        let pid: i64 = pid.parse().unwrap();
        for action in ["postgres.terminate_backend", "postgres.cancel_query"] {
            let (code, message) =
                refused(lockgate_tests::site::call(&gate, action, "solo", json!({ "pid": pid })).await);
            assert_eq!(code, Code::NotApplicable, "{action}: {message}");
            assert!(message.contains("the backend that asks"), "{message}");
        }
        assert!(site.pending().is_empty());
        assert_eq!(
            truth(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}")).await.as_deref(),
            Some("1")
        );
    });
}
