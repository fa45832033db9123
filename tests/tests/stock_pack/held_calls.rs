//! Held calls and calls that are given up, through a client, the door, the gate and a real server: a task ends with what
//! the call would have answered and outlives its host, a request is taken back while nobody has decided, and nothing of a
//! caller who left runs on.

use std::{sync::Arc, time::Duration};

use lockgate::{
    error::Code,
    gate::{Gate, call::Progress},
    mcp::{McpSettings, gatekeeper::GateDoor, server::Server, stdio},
    store::{Decision, State},
};
use lockgate_tests::{
    AGENT,
    site::{Site, call_of, ended, held, hold, principal},
};
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient,
    model::{
        CallToolRequest, CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities, ClientConfig,
        ClientRequest, GetTaskParams, Implementation, ProtocolVersion, TaskPayload,
    },
    service::{PeerRequestOptions, RunningService},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    timeouts,
    world::{app, eventually, refused, run, world},
};

/// A client of revision 2026-07-28 with the tasks extension, or of the one before without.
struct Client {
    tasks: bool,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if self.tasks {
            capabilities.extensions = ClientCapabilities::builder().enable_tasks().build().extensions;
        }
        ClientConfig::new(capabilities, Implementation::new("held-calls", "1"))
    }
}

async fn connect(gate: &Arc<Gate>, tasks: bool) -> RunningService<RoleClient, Client> {
    let settings = McpSettings { hold_wait: Duration::from_secs(60), ..McpSettings::default() };
    let server = Server::new(Arc::new(GateDoor(Arc::clone(gate))), settings).with_caller(principal());
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (read, write) = tokio::io::split(theirs);
    tokio::spawn(stdio::serve_on(server, read, write, CancellationToken::new()));
    let lifecycle = if tasks {
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
    } else {
        ClientLifecycleMode::Initialize
    };
    Client { tasks }.serve_with_lifecycle(ours, lifecycle).await.expect("a client")
}

fn tool(name: &str, target: &str, more: Value) -> CallToolRequestParams {
    let mut arguments = more.as_object().expect("an object").clone();
    arguments.insert("target".into(), target.into());
    arguments.insert("reason".into(), "a test looks at what happens".into());
    CallToolRequestParams::new(name.to_owned()).with_arguments(arguments)
}

async fn site(name: &str, more: &str) -> Site {
    Site::with_stock_pack(&[world().await.primary.target(name, AGENT, "shop")], more).await
}

async fn payload(client: &RunningService<RoleClient, Client>, id: &str) -> TaskPayload {
    client.peer().get_task(GetTaskParams::new(id)).await.expect("the task").task.payload
}

/// Asks until the task has ended.
async fn end_of(client: &RunningService<RoleClient, Client>, id: &str) -> TaskPayload {
    let until = std::time::Instant::now() + crate::world::PATIENCE;
    loop {
        match payload(client, id).await {
            TaskPayload::Working if std::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other,
        }
    }
}

#[test]
fn a_task_ends_with_the_calls_own_result_and_outlives_its_host() {
    run(async {
        let site = site("task", "").await;
        let victim = app("task").await;
        victim.execute("BEGIN; SELECT 1").await;
        let gate = site.gate().await;
        let client = connect(&gate, true).await;
        let call = tool("postgres.terminate_backend", "task", json!({ "pid": victim.pid }));
        let CallToolResponse::Task(created) = client.peer().call_tool_once(call).await.expect("an answer") else {
            panic!("no task")
        };
        let id = created.task.task_id;
        assert_eq!(payload(&client, &id).await, TaskPayload::Working);
        drop((client, gate));
        site.approve(&id).await;
        // Nothing but the store is left of it; a host that starts anew takes it up when it is asked for.
        let gate = site.gate().await;
        let client = connect(&gate, true).await;
        let TaskPayload::Completed { result } = end_of(&client, &id).await else { panic!("no result") };
        assert!(!victim.lives().await);
        let waits = CallToolRequestParams::new("lockgate.await_approval")
            .with_arguments(json!({ "approval_id": id }).as_object().expect("an object").clone());
        let CallToolResponse::Complete(direct) = client.peer().call_tool_once(waits).await.expect("an answer") else {
            panic!("no result")
        };
        assert_eq!(Value::Object(result), serde_json::to_value(direct).expect("JSON"));
        let consumed = site.record().into_iter().filter(|line| line["ev"] == "approval.consumed").count();
        assert_eq!(consumed, 1);
    });
}

#[test]
fn a_cancelled_task_is_withdrawn_on_the_record_and_an_approved_one_is_not() {
    run(async {
        let site = site("withdrawn", "").await;
        let gate = site.gate().await;
        let client = connect(&gate, true).await;
        let victim = app("withdrawn").await;
        victim.execute("BEGIN; SELECT 1").await;
        let arguments = json!({ "pid": victim.pid });
        let approval = held(&gate, "postgres.terminate_backend", "withdrawn", arguments.clone()).await;
        for _ in 0..2 {
            client.peer().cancel_task(CancelTaskParams::new(&approval)).await.expect("an acknowledgement");
            assert_eq!(payload(&client, &approval).await, TaskPayload::Cancelled);
        }
        let (code, message) = refused(ended(&gate, &approval).await);
        assert_eq!(code, Code::ApprovalWithdrawn, "{message}");
        let closed: Vec<_> = site.record().into_iter().filter(|line| line["ev"] == "approval.closed").collect();
        assert_eq!(closed.len(), 1, "{closed:?}");
        assert_eq!((&closed[0]["state"], &closed[0]["approval"]), (&json!("withdrawn"), &json!(approval)));
        let late = site.decide(&approval, Decision::Approve, "grace").await.expect_err("it was taken back");
        assert!(matches!(late.code, Code::ApprovalClosed | Code::ApprovalWithdrawn), "{late}");
        assert!(victim.lives().await);

        // What people have decided is not taken back, whoever is first.
        let again = held(&gate, "postgres.terminate_backend", "withdrawn", arguments).await;
        assert_ne!(again, approval);
        site.approve(&again).await;
        client.peer().cancel_task(CancelTaskParams::new(&again)).await.expect("an acknowledgement");
        assert!(matches!(end_of(&client, &again).await, TaskPayload::Completed { .. }));
        assert!(!victim.lives().await);
        assert!(site.verify_record().intact);
    });
}

#[test]
fn another_agents_request_can_be_neither_looked_at_nor_taken_back() {
    run(async {
        let site = site("foreign", "").await;
        let gate = site.gate().await;
        let victim = app("foreign").await;
        victim.execute("BEGIN; SELECT 1").await;
        let approval = held(&gate, "postgres.terminate_backend", "foreign", json!({ "pid": victim.pid })).await;
        let mut other = principal();
        other.agent = "other".into();
        let said = |refusal: lockgate::error::Refusal, id: &str| {
            assert_eq!(refusal.code, Code::UnknownApproval);
            refusal.message.replace(id, "ID")
        };
        let theirs = said(gate.held_call(&other, &approval).await.expect_err("not theirs"), &approval);
        assert_eq!(theirs, said(gate.held_call(&other, "apr_none").await.expect_err("none"), "apr_none"));
        assert_eq!(theirs, said(gate.withdraw(&other, &approval).await.expect_err("not theirs"), &approval));
        assert_eq!(theirs, said(gate.withdraw(&other, "apr_none").await.expect_err("none"), "apr_none"));
        assert_eq!(site.pending().len(), 1);
    });
}

#[test]
fn a_waiting_caller_hears_of_the_link_of_time_and_of_the_decision() {
    run(async {
        let site = site("heard", "[approvals]\nurl = \"https://gate.example.com/lg\"\n").await;
        let gate = site.gate().await;
        let victim = app("heard").await;
        victim.execute("BEGIN; SELECT 1").await;
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut asked = hold(Duration::from_secs(60));
        asked.progress = Some(tell);
        let call = call_of("postgres.terminate_backend", "heard", json!({ "pid": victim.pid }));
        let caller = {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { gate.call(&principal(), call, asked).await })
        };
        let Some(Progress::Held(pending)) = told.recv().await else { panic!("it is held first") };
        assert_eq!(
            pending.link.as_deref(),
            Some(&*format!("https://gate.example.com/lg/approvals/{}", pending.approval))
        );
        assert!(!pending.joined && !pending.approved);
        let Some(Progress::Waiting { waited }) = told.recv().await else { panic!("then it waits") };
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        // The same call joins, and says so.
        let same = call_of("postgres.terminate_backend", "heard", json!({ "pid": victim.pid }));
        let joined = gate.call(&principal(), same, hold(Duration::ZERO)).await.expect("held");
        let lockgate::gate::call::Answer::Pending(joined) = joined else { panic!("{joined:?}") };
        assert!(joined.joined && joined.approval == pending.approval);
        let held = gate.held_call(&principal(), &pending.approval).await.expect("it stands");
        assert_eq!(held.until.map(|until| until.to_string()), Some(pending.expires_at.clone()));
        site.approve(&pending.approval).await;
        caller.await.expect("the caller's task").expect("it ran");
        let mut rest = Vec::new();
        while let Some(news) = told.recv().await {
            rest.push(news);
        }
        assert_eq!(rest.last(), Some(&Progress::Approved), "{rest:?}");
        let held = gate.held_call(&principal(), &pending.approval).await.expect("it stands");
        assert!(held.until.is_none() && matches!(held.end, Some(Ok(_))));
        let state = lockgate::startup::State::open(&site.config()).expect("the state");
        assert_eq!(state.store.get(&pending.approval).expect("the store").expect("it").state, State::Succeeded);
    });
}

#[test]
fn what_a_client_gives_up_ends_on_the_server() {
    run(async {
        timeouts::database("given_up").await;
        let (_site, gate) = timeouts::host("gone", "given_up", 600_000, 3_600_000, "").await;
        let locker = timeouts::locking("given_up", "public.pg_stat_statements").await;
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockgate/gone' AND wait_event_type = 'Lock'";
        for closes in [false, true] {
            let client = connect(&gate, false).await;
            let call = CallToolRequest::new(tool("postgres.slow_queries", "gone", json!({})));
            let asked = client
                .send_cancellable_request(ClientRequest::CallToolRequest(call), PeerRequestOptions::no_options())
                .await
                .expect("it is sent");
            eventually(waits, "1").await;
            if closes {
                client.cancel().await.expect("it closes");
            } else {
                asked.cancel(Some("tired".into())).await.expect("it is sent");
            }
            eventually(waits, "0").await;
            timeouts::quiet("gone").await;
        }
        locker.execute("ROLLBACK").await;
    });
}
