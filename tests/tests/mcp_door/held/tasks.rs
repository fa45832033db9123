//! Held calls as tasks: at once, for who asked, with the very result, and nothing that a client sends decides one.

use std::time::Duration;

use rmcp::{
    ServiceError,
    model::{
        CallToolResponse, CancelTaskParams, CreateTaskResult, GetTaskParams, TaskPayload, TaskStatus, UpdateTaskParams,
    },
};
use serde_json::json;

use super::{
    gate::{HeldGate, LINK, People},
    rig::{Era, Plan, Rig, Way, answer, request, serve_http, status, take_up, terminate},
};

fn tasks() -> Plan {
    // With both, a task: it does not make the agent wait for its own person first.
    Plan { tasks: true, url: true, ..Plan::default() }
}

async fn task(rig: &Rig) -> CreateTaskResult {
    match rig.client.peer().call_tool_once(terminate()).await.unwrap() {
        CallToolResponse::Task(task) => task,
        other => panic!("{other:?}"),
    }
}

async fn get(rig: &Rig, id: &str) -> Result<(TaskStatus, TaskPayload, Option<u64>), i32> {
    match rig.client.peer().get_task(GetTaskParams::new(id)).await {
        Ok(got) => Ok((got.task.status(), got.task.payload, got.task.task.ttl_ms)),
        Err(ServiceError::McpError(error)) => Err(error.code.0),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_held_call_is_a_task_at_once_and_ends_with_the_very_result() {
    for way in [Way::Stdio, Way::Http] {
        for people in [People::Done, People::Denied] {
            let rig = Rig::new(way, Era::Modern, tasks()).await;
            assert!(rig.client.peer().peer_info().is_some_and(|info| info.capabilities.supports_tasks()));
            let created = task(&rig).await.task;
            assert_eq!((created.task_id.as_str(), created.status), ("ap_1", TaskStatus::Working));
            assert_eq!(created.ttl_ms, Some(3_600_000), "until it has to be decided");
            assert!(created.poll_interval_ms.is_some());
            assert!(created.status_message.unwrap().contains(LINK));
            assert_eq!(get(&rig, "ap_1").await.unwrap().1, TaskPayload::Working);
            rig.gate.now(People::Approved);
            assert_eq!(get(&rig, "ap_1").await.unwrap().1, TaskPayload::Working);
            rig.gate.now(people);
            let (status, payload, ttl) = get(&rig, "ap_1").await.unwrap();
            assert_eq!((status, ttl), (TaskStatus::Completed, None), "a refusal is a result too");
            let TaskPayload::Completed { result } = payload else { panic!("{payload:?}") };
            let CallToolResponse::Complete(direct) = rig.client.peer().call_tool_once(terminate()).await.unwrap()
            else {
                panic!("no result")
            };
            assert_eq!(serde_json::Value::Object(result), serde_json::to_value(direct).unwrap());
        }
    }
}

#[tokio::test]
async fn what_policy_allows_is_answered_directly() {
    let rig = Rig::new(Way::Http, Era::Modern, tasks()).await;
    let look = request("postgres.activity", json!({"reason": "looking around"}));
    let answer = rig.client.peer().call_tool_once(look).await.unwrap();
    assert!(matches!(answer, CallToolResponse::Complete(_)), "{answer:?}");
}

#[tokio::test]
async fn a_task_is_its_requesters_and_outlives_the_server() {
    let gate = HeldGate::new(None);
    let (at, [one, two]) = serve_http(&gate, Duration::from_secs(300)).await;
    let mine = Rig::on_http(gate.clone(), at, &one, Era::Modern, tasks()).await;
    let other = Rig::on_http(gate.clone(), at, &two, Era::Modern, tasks()).await;
    task(&mine).await;
    let mut said = Vec::new();
    for (rig, id) in [(&other, "ap_1"), (&mine, "ap_2"), (&mine, "../ap_1"), (&mine, "")] {
        let peer = rig.client.peer();
        let update = UpdateTaskParams::new(id, [("approval".to_owned(), json!({"action": "accept"}))].into());
        for error in [
            peer.get_task(GetTaskParams::new(id)).await.map(drop).unwrap_err(),
            peer.update_task(update).await.unwrap_err(),
            peer.cancel_task(CancelTaskParams::new(id)).await.unwrap_err(),
        ] {
            let ServiceError::McpError(error) = error else { panic!("{error}") };
            assert_eq!(error.code.0, -32602);
            said.push(error.message);
        }
    }
    assert!(said.windows(2).all(|two| two[0] == two[1]), "another's and none are said the same: {said:?}");
    // Another server before the same gate, as after a restart.
    let (at, [again, _]) = serve_http(&gate, Duration::from_secs(300)).await;
    let later = Rig::on_http(gate.clone(), at, &again, Era::Modern, tasks()).await;
    assert_eq!(get(&later, "ap_1").await.unwrap().0, TaskStatus::Working);
}

#[tokio::test]
async fn an_update_decides_nothing_and_a_cancel_takes_back_only_what_is_undecided() {
    for (people, end) in [
        (People::Wait(0), TaskStatus::Cancelled),
        (People::Approved, TaskStatus::Working),
        (People::Done, TaskStatus::Completed),
    ] {
        let rig = Rig::new(Way::Stdio, Era::Modern, tasks()).await;
        task(&rig).await;
        let accept = json!({"action": "accept", "content": {"decision": "approve"}});
        for key in ["approval", "ap_1", "decision"] {
            let update = UpdateTaskParams::new("ap_1", [(key.to_owned(), accept.clone())].into());
            rig.client.peer().update_task(update).await.unwrap();
        }
        assert_eq!(get(&rig, "ap_1").await.unwrap().0, TaskStatus::Working);
        rig.gate.now(people);
        for _ in 0..2 {
            rig.client.peer().cancel_task(CancelTaskParams::new("ap_1")).await.unwrap();
            assert_eq!(get(&rig, "ap_1").await.unwrap().0, end, "{people:?}");
        }
        let withdrawn = rig.gate.log().iter().filter(|line| *line == "withdrawn").count();
        assert_eq!(withdrawn, usize::from(end == TaskStatus::Cancelled));
    }
}

#[tokio::test]
async fn who_does_not_declare_tasks_has_none() {
    for era in [Era::Handshake, Era::Modern] {
        let rig = Rig::new(Way::Stdio, era, Plan::default()).await;
        let waiting = rig.begin(terminate()).await;
        rig.gate.saw(1, "called").await;
        assert_eq!(get(&rig, "ap_1").await.unwrap_err(), -32021);
        rig.gate.now(People::Done);
        assert_eq!(status(&answer(waiting).await), "done");
    }
    // In a revision before them they are not given out, whatever is declared.
    let rig = Rig::new(Way::Stdio, Era::Handshake, Plan { hold: Duration::ZERO, tasks: true, ..Plan::default() }).await;
    assert_eq!(status(&rig.client.call_tool(terminate()).await.unwrap()), "pending");
}

#[tokio::test]
async fn an_agent_takes_back_what_it_does_not_need_any_more() {
    let rig = Rig::new(Way::Stdio, Era::Handshake, Plan { hold: Duration::ZERO, ..Plan::default() }).await;
    assert_eq!(status(&rig.client.call_tool(terminate()).await.unwrap()), "pending");
    for _ in 0..2 {
        let back = take_up(json!({"approval_id": "ap_1", "withdraw": true}));
        let result = rig.client.call_tool(back).await.unwrap();
        assert_eq!(result.is_error, Some(false), "it is what was asked for");
        assert_eq!(result.structured_content.unwrap()["code"], "approval_withdrawn");
    }
    let foreign = take_up(json!({"approval_id": "ap_2", "withdraw": true}));
    let result = rig.client.call_tool(foreign).await.unwrap();
    assert_eq!(
        (result.is_error, result.structured_content.unwrap()["code"].as_str()),
        (Some(true), Some("unknown_approval"))
    );
    assert_eq!(rig.gate.log().iter().filter(|line| *line == "withdrawn").count(), 1);
}
