//! A call that has an `operation_id` is carried out once, whoever repeats it, wherever, and whatever dies in between. The
//! act is an ANALYZE, which policy allows, held up by a lock for as long as a test likes; the server's own log says how
//! often it was asked for.

mod held;
mod kills;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lockgate::{
    error::Code,
    gate::{
        Gate,
        call::{Answer, Call, Outcome, Refused},
    },
};
use lockgate_tests::site::{Site, call_of, hold, maintenance, principal};
use serde_json::{Value as Json, json};
use tokio_postgres::{Client, NoTls};

use crate::{
    agent::Agent,
    door::{Served, free_port},
    order::server,
    record::{all, only},
    server_log::executions,
};

const WHY: &str = "statistics are stale after the import";
const PATIENCE: Duration = Duration::from_secs(60);

/// A host with one target of this name, whose maintenance may wait long for a lock, and a table of that name to analyze.
async fn site(target: &str, more: &str) -> Site {
    let cluster = server().await;
    let mut settings = cluster.target(target, "agent", "postgres");
    settings.maintenance = Some(maintenance("app"));
    settings.lock_timeout_ms = Some(120_000);
    let table = format!("CREATE TABLE public.{target} (id int); ALTER TABLE public.{target} OWNER TO app");
    cluster.execute(&table).await.expect("a table");
    Site::with_stock_pack(&[settings], more).await
}

/// Arguments of a call that analyzes the target's own table.
fn analyze(target: &str, operation: &str) -> Json {
    json!({ "schema": "public", "table": target, "target": target, "reason": WHY, "operation_id": operation })
}

/// The same, for the gate itself.
fn analyze_call(target: &str, operation: &str) -> Call {
    let call = call_of("postgres.analyze_table", target, json!({ "schema": "public", "table": target }));
    Call { operation: Some(operation.to_owned()), ..call }
}

/// How often the server was asked to analyze.
async fn analyzed(target: &str) -> usize {
    executions(server().await, target).iter().filter(|e| e.sql.starts_with("ANALYZE ")).count()
}

async fn until_analyzed(target: &str, times: usize) {
    let until = Instant::now() + PATIENCE;
    while analyzed(target).await < times {
        assert!(Instant::now() < until, "the server was never asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Holds an ANALYZE of the table up until it is let go.
struct Blocker(Client);

impl Blocker {
    async fn of(target: &str) -> Self {
        let (client, connection) = server().await.superuser().connect(NoTls).await.expect("a session");
        tokio::spawn(connection);
        let lock = format!("BEGIN; LOCK TABLE public.{target} IN SHARE UPDATE EXCLUSIVE MODE");
        client.batch_execute(&lock).await.expect("the lock");
        Self(client)
    }

    async fn let_go(self) {
        self.0.batch_execute("COMMIT").await.expect("it is let go");
    }
}

fn outcome(answer: Result<Answer, Refused>) -> Outcome {
    match answer {
        Ok(Answer::Done(outcome)) => *outcome,
        other => panic!("{other:?}"),
    }
}

async fn calls(gate: &Arc<Gate>, call: Call) -> Result<Answer, Refused> {
    gate.call(&principal(), call, hold(Duration::ZERO)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_with_the_connection_is_there_over_http() {
    let (token, sha256) = lockgate::mcp::token::generate().expect("a token");
    let port = free_port();
    let more = format!(
        "[mcp.http]\nlisten = \"127.0.0.1:{port}\"\n[[mcp.agent]]\nname = \"claude\"\nperson = \"ada\"\n\
         token_sha256 = \"{sha256}\"\n"
    );
    let site = site("losthttp", &more).await;
    let served = Served::start(&site, port).await;
    let blocker = Blocker::of("losthttp").await;
    let arguments = analyze("losthttp", "op-lost-http");
    let connection = served.send(&token, "postgres.analyze_table", &arguments).await;
    until_analyzed("losthttp", 1).await;
    drop(connection);
    // Hanging up does not stop what has begun, and who comes back waits for it.
    let again = served.answer(&token, "postgres.analyze_table", &arguments);
    tokio::pin!(again);
    assert!(tokio::time::timeout(Duration::from_secs(1), again.as_mut()).await.is_err(), "it still runs");
    blocker.let_go().await;
    let (status, answer) = again.await;
    assert_eq!((status, &answer["status"], &answer["replayed"]), (200, &json!("done"), &json!(true)), "{answer}");
    let (_, once_more) = served.answer(&token, "postgres.analyze_table", &arguments).await;
    assert_eq!(once_more, answer);
    assert_eq!(analyzed("losthttp").await, 1);

    let lines = site.record();
    let intent = only(&lines, "call.intent", &[("action", &json!("postgres.analyze_table"))]);
    assert_eq!((&intent["run"], &intent["operation"]), (&answer["run_id"], &json!("op-lost-http")));
    only(&lines, "call.outcome", &[("run", &answer["run_id"]), ("status", &json!("succeeded"))]);
    let replays: Vec<&Json> = all(&lines, "operation.replayed", &[("run", &answer["run_id"])]).collect();
    assert_eq!(replays.len(), 2, "{replays:?}");
    assert!(replays.iter().all(|line| line["operation"] == "op-lost-http" && line["agent"] == "claude"), "{replays:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_with_the_process_is_there_over_stdio() {
    let site = site("loststdio", "").await;
    let agent = Agent::start(&site).await;
    let blocker = Blocker::of("loststdio").await;
    let lost = agent.sends("postgres.analyze_table", analyze("loststdio", "op-lost-stdio"));
    until_analyzed("loststdio", 1).await;
    // The client goes away; the process has some seconds to see the act to its end.
    let (closed, ()) = tokio::join!(agent.close(), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        blocker.let_go().await;
    });
    let () = closed;
    drop(lost);
    let agent = Agent::start(&site).await;
    let answer = agent.answer("postgres.analyze_table", analyze("loststdio", "op-lost-stdio")).await;
    assert_eq!((&answer["status"], &answer["replayed"]), (&json!("done"), &json!(true)), "{answer}");
    assert_eq!(analyzed("loststdio").await, 1);
    agent.close().await;
    assert!(site.verify_record().intact);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_and_many_callers_at_once_have_one_effect() {
    let site = site("racing", "").await;
    let agents = [Agent::start(&site).await, Agent::start(&site).await];
    let gates = [site.gate().await, site.gate().await];
    let blocker = Blocker::of("racing").await;
    let over_doors: Vec<_> =
        (0..4).map(|n| agents[n % 2].sends("postgres.analyze_table", analyze("racing", "op-racing-1"))).collect();
    let in_gates: Vec<_> = (0..6)
        .map(|n| {
            let gate = Arc::clone(&gates[n % 2]);
            tokio::spawn(async move { calls(&gate, analyze_call("racing", "op-racing-1")).await })
        })
        .collect();
    until_analyzed("racing", 1).await;
    blocker.let_go().await;
    let mut runs = Vec::new();
    for call in over_doors {
        let answer = call.await.expect("a task").expect("an answer");
        assert_eq!(answer["status"], "done", "{answer}");
        runs.push((answer["run_id"].as_str().expect("a run").to_owned(), answer["replayed"] == true));
    }
    for call in in_gates {
        let outcome = outcome(call.await.expect("a task"));
        runs.push((outcome.run, outcome.replayed));
    }
    assert!(runs.iter().all(|(run, _)| *run == runs[0].0), "{runs:?}");
    assert_eq!(runs.iter().filter(|(_, replayed)| !replayed).count(), 1, "{runs:?}");
    assert_eq!(analyzed("racing").await, 1);
    let lines = site.record();
    only(&lines, "call.intent", &[("action", &json!("postgres.analyze_table"))]);
    assert_eq!(all(&lines, "operation.replayed", &[]).count(), runs.len() - 1);
    for agent in agents {
        agent.close().await;
    }
    assert!(site.verify_record().intact);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_another_call_is_a_conflict_and_nothing_runs() {
    let site = site("conflict", "").await;
    let gate = site.gate().await;
    let run = outcome(calls(&gate, analyze_call("conflict", "op-conflict")).await).run;
    let other_table = Call {
        arguments: json!({ "schema": "secret_schema", "table": "secret_table" })
            .as_object()
            .expect("an object")
            .clone(),
        ..analyze_call("conflict", "op-conflict")
    };
    let other_action =
        Call { operation: Some("op-conflict".into()), ..call_of("postgres.activity_states", "conflict", json!({})) };
    for (call, kind) in [(other_table, "the arguments differ"), (other_action, "the action differs")] {
        let action = call.action.clone();
        let Err(Refused { run: refused_run, refusal }) = calls(&gate, call).await else { panic!("{kind}: it ran") };
        assert_eq!(refusal.code, Code::OperationConflict, "{refusal}");
        assert!(refusal.message.contains(&run) && refusal.message.ends_with(kind), "{refusal}");
        assert!(!refusal.message.contains("secret") && !refusal.replayed, "{refusal}");
        let lines = site.run(&refused_run);
        let line = only(&lines, "call.refused", &[("code", &json!("operation_conflict"))]);
        assert_eq!((lines.len(), &line["operation"], &line["action"]), (1, &json!("op-conflict"), &json!(action)));
    }
    assert_eq!(analyzed("conflict").await, 1);
    // Another principal's ids are its own.
    let mut other = principal();
    other.person = Some("grace".into());
    let theirs = gate.call(&other, analyze_call("conflict", "op-conflict"), hold(Duration::ZERO)).await;
    let theirs = outcome(theirs);
    assert!(theirs.run != run && !theirs.replayed, "{theirs:?}");

    // While it runs, too; and whoever worded it differently is no other call.
    let blocker = Blocker::of("conflict").await;
    let (running, at) = (Arc::clone(&gate), analyze_call("conflict", "op-running"));
    let running = tokio::spawn(async move { calls(&running, at).await });
    until_analyzed("conflict", 3).await;
    let conflicting =
        Call { operation: Some("op-running".into()), ..call_of("postgres.activity_states", "conflict", json!({})) };
    let Err(refused) = calls(&gate, conflicting).await else { panic!("it ran") };
    assert_eq!(refused.refusal.code, Code::OperationConflict);
    let reworded = Call {
        reason: "the same, in other words than before".into(),
        evidence: Some("n_mod_since_analyze is large".into()),
        ..analyze_call("conflict", "op-running")
    };
    let follower = tokio::spawn(async move { calls(&gate, reworded).await });
    blocker.let_go().await;
    let (first, second) = (outcome(running.await.expect("a task")), outcome(follower.await.expect("a task")));
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(first.run, second.run);
    assert_eq!(analyzed("conflict").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_before_it_begins_uses_no_id_up_and_what_ended_stays_so() {
    let site = site("unused", "").await;
    let gate = site.gate().await;
    let refused = async |call: Call| match calls(&gate, call).await {
        Err(Refused { refusal, .. }) => refusal,
        other => panic!("{other:?}"),
    };
    let bad = |change: fn(&mut Call)| {
        let mut call = analyze_call("unused", "op-unused1");
        change(&mut call);
        call
    };
    for (call, code) in [
        (bad(|call| _ = call.arguments.insert("table".into(), json!(7))), Code::InvalidArguments),
        (bad(|call| call.reason = "no".into()), Code::InvalidArguments),
        (bad(|call| call.evidence = Some("two\nlines".into())), Code::InvalidArguments),
        (bad(|call| call.expected = Some("x".repeat(1001))), Code::InvalidArguments),
        (bad(|call| call.operation = Some("short".into())), Code::InvalidArguments),
        (bad(|call| call.target = Some("elsewhere".into())), Code::UnknownTarget),
        (bad(|call| call.action = "postgres.nothing".into()), Code::UnknownAction),
    ] {
        assert_eq!(refused(call).await.code, code);
    }
    let first = outcome(calls(&gate, analyze_call("unused", "op-unused1")).await);
    assert!(!first.replayed);

    // A refusal of the call itself is its end, and says so each time.
    let gone = |operation: &str| Call {
        arguments: json!({ "schema": "public", "table": "no_such_table" }).as_object().expect("an object").clone(),
        ..analyze_call("unused", operation)
    };
    let (first, again) = (refused(gone("op-refused1")).await, refused(gone("op-refused1")).await);
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!((first.code, &first.message, &first.remedy), (again.code, &again.message, &again.remedy));
    assert!(first.remedy.ends_with("to try again, use a new `operation_id`"), "{}", first.remedy);
    assert!(!refused(gone("op-refused2")).await.replayed, "with a new one it is tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_nothing_runs_that_is_to_run_once() {
    let site = site("storeless", "").await;
    let gate = site.gate().await;
    let store = rusqlite::Connection::open(site.path("state").join("store.db")).expect("the store");
    store.execute_batch("BEGIN IMMEDIATE").expect("its lock");
    let Err(Refused { refusal, .. }) = calls(&gate, analyze_call("storeless", "op-storeless")).await else {
        panic!("it ran without a claim")
    };
    assert_eq!(refusal.code, Code::StoreUnavailable, "{refusal}");
    assert_eq!(analyzed("storeless").await, 0);
    let without = Call { operation: None, ..analyze_call("storeless", "op-storeless") };
    outcome(calls(&gate, without).await);
    store.execute_batch("ROLLBACK").expect("its lock is given back");
    let done = outcome(calls(&gate, analyze_call("storeless", "op-storeless")).await);
    assert!(!done.replayed, "the refusal did not use it up");
    assert_eq!(analyzed("storeless").await, 2);
}
