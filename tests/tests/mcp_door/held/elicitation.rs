//! A client that can open links is asked to once; what its person clicks decides nothing.

use std::time::Duration;

use rmcp::{
    ServiceError,
    model::{CallToolResponse, ElicitRequestParams, InputRequest},
};
use serde_json::json;

use super::{
    gate::{HeldGate, LINK, People},
    rig::{CLICKS, Click, Era, Heard, Plan, Rig, Way, answer, serve_http, status, take_up, terminate},
};
use crate::wire::{INITIALIZE, call, http};

fn url(click: Click) -> Plan {
    Plan { url: true, click, ..Plan::default() }
}

fn links(heard: &[Heard]) -> usize {
    heard.iter().filter(|heard| matches!(heard, Heard::Link { .. })).count()
}

#[tokio::test]
async fn whatever_is_clicked_the_call_waits_for_people() {
    for way in [Way::Stdio, Way::Http] {
        for click in CLICKS {
            let mut rig = Rig::new(way, Era::Handshake, url(click)).await;
            let waiting = rig.begin(terminate()).await;
            let link = loop {
                if let Heard::Link { url, message } = rig.hears().await {
                    break (url, message);
                }
            };
            assert_eq!(link.0, LINK);
            assert!(link.1.contains("`postgres.terminate_backend` on `primary`"), "{}", link.1);
            // The same call again, and taking it up, join what is shown already.
            let again = rig.begin(terminate()).await;
            rig.gate.saw(2, "called").await;
            let asked = rig.begin(take_up(json!({"approval_id": "ap_1", "wait_seconds": 0}))).await;
            let still = answer(asked).await;
            assert_eq!(status(&still), "pending", "{way:?} {click:?}");
            assert_eq!(still.structured_content.unwrap()["link"], LINK);
            rig.gate.now(People::Denied);
            assert_eq!(answer(waiting).await.is_error, Some(true), "an accepted link approved nothing");
            assert_eq!(answer(again).await.is_error, Some(true));
            let complete = Heard::Other {
                method: "notifications/elicitation/complete".into(),
                params: json!({"elicitationId": "ap_1"}),
            };
            let mut heard = Vec::new();
            while !(heard.contains(&complete) && (click != Click::Leave || heard.contains(&Heard::TakenBack))) {
                heard.push(rig.hears().await);
            }
            heard.extend(rig.rest());
            assert_eq!(links(&heard), 0, "{way:?} {click:?}");
            assert_eq!(heard.iter().filter(|one| **one == complete).count(), 1, "{way:?} {click:?}");
        }
    }
}

#[tokio::test]
async fn only_who_can_open_links_is_asked_and_only_if_there_is_one() {
    for era in [Era::Handshake, Era::Modern] {
        let short = Duration::from_millis(200);
        for plan in [
            Plan { url: false, hold: short, ..Plan::default() },
            Plan { url: true, link: None, hold: short, ..Plan::default() },
        ] {
            let mut rig = Rig::new(Way::Stdio, era, plan.clone()).await;
            let result = rig.client.call_tool(terminate()).await.unwrap();
            assert_eq!(status(&result), "pending");
            assert_eq!(links(&rig.rest()), 0);
            let content = result.structured_content.unwrap();
            assert_eq!(content.get("link").and_then(|link| link.as_str()), plan.link);
        }
    }
}

#[tokio::test]
async fn a_revision_without_links_is_not_asked_though_it_claims_to() {
    let gate = HeldGate::new(Some(LINK));
    let (at, [token, _]) = serve_http(&gate, Duration::from_millis(300)).await;
    let token = format!("Bearer {token}");
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("Authorization", token.as_str()),
    ];
    let hello = INITIALIZE
        .replace("2025-11-25", "2025-06-18")
        .replace(r#""capabilities":{}"#, r#""capabilities":{"elicitation":{"url":{}}}"#);
    let opened = http(at, "POST", "/mcp", &headers, &hello).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    headers.push(("Mcp-Session-Id", &session));
    let held = call(1, "postgres.terminate_backend", r#"{"pid":1,"target":"primary","reason":"a good reason"}"#);
    let reply = http(at, "POST", "/mcp", &headers, &held).await;
    assert!(!reply.body.contains("elicitation/create"), "{reply:?}");
    assert_eq!(reply.json()["result"]["structuredContent"]["status"], "pending");
}

#[tokio::test]
async fn without_a_handshake_the_link_comes_in_a_result_and_the_client_calls_again() {
    for way in [Way::Stdio, Way::Http] {
        for click in [Click::Accept, Click::Decline, Click::Cancel] {
            let mut rig = Rig::new(way, Era::Modern, url(click)).await;
            let decide = async {
                // The second call takes the first one up: nothing is asked for twice.
                rig.gate.saw(1, "awaits ap_1 for 300 s").await;
                rig.gate.now(People::Done);
            };
            let (result, ()) = tokio::join!(rig.client.call_tool(terminate()), decide);
            assert_eq!(status(&result.unwrap()), "done", "{way:?} {click:?}");
            assert_eq!(rig.gate.log(), ["called postgres.terminate_backend", "awaits ap_1 for 300 s"]);
            assert_eq!(links(&rig.rest()), 1);
        }
    }
}

#[tokio::test]
async fn a_client_that_never_calls_again_has_lost_nothing() {
    let plan = Plan { hold: Duration::from_millis(200), ..url(Click::Fail) };
    let mut rig = Rig::new(Way::Http, Era::Modern, plan).await;
    assert!(rig.client.call_tool(terminate()).await.is_err(), "its own person could not be shown the link");
    // A call without the state joins, is not asked to show it again, and says how to go on.
    let result = rig.client.call_tool(terminate()).await.unwrap();
    assert_eq!(status(&result), "pending");
    assert_eq!(links(&rig.rest()), 1);
    rig.gate.now(People::Done);
    let result = rig.client.call_tool(take_up(json!({"approval_id": "ap_1"}))).await.unwrap();
    assert_eq!(status(&result), "done");
}

#[tokio::test]
async fn a_state_is_good_for_whom_and_what_it_was_given() {
    let gate = HeldGate::new(Some(LINK));
    let (at, [one, two]) = serve_http(&gate, Duration::from_secs(300)).await;
    let plan = url(Click::Accept);
    let mine = Rig::on_http(gate.clone(), at, &one, Era::Modern, plan.clone()).await;
    let other = Rig::on_http(gate.clone(), at, &two, Era::Modern, plan.clone()).await;
    let CallToolResponse::InputRequired(asks) = mine.client.peer().call_tool_once(terminate()).await.unwrap() else {
        panic!("no link")
    };
    let requests = asks.input_requests.unwrap();
    let [InputRequest::Elicitation(asked)] = requests.values().collect::<Vec<_>>()[..] else { panic!("{requests:?}") };
    let ElicitRequestParams::UrlElicitationParams { url, .. } = &asked.params else { panic!("{asked:?}") };
    assert_eq!(url, LINK);
    let state = asks.request_state.unwrap();
    let mut changed = terminate();
    changed.arguments.as_mut().unwrap().insert("pid".into(), json!(1));
    let forged = state.replacen("rs1.", "rs1.B", 1);
    for (rig, call, state) in [
        (&other, terminate(), state.as_str()),
        (&mine, changed, &state),
        (&mine, terminate(), &forged),
        (&mine, terminate(), "ap_1"),
        (&mine, terminate(), ""),
    ] {
        let error = rig.client.peer().call_tool_once(call.with_request_state(state)).await.unwrap_err();
        let ServiceError::McpError(error) = error else { panic!("{error}") };
        assert_eq!(error.code.0, -32602, "{error:?}");
        assert!(error.message.contains("call again without it"), "{}", error.message);
    }
    assert_eq!(gate.log().len(), 1, "none of them reached the gate: {:?}", gate.log());
    // On a server that was started again it is as good as before.
    let (at, [again, _]) = serve_http(&gate, Duration::from_secs(300)).await;
    let later = Rig::on_http(gate.clone(), at, &again, Era::Modern, plan).await;
    gate.now(People::Done);
    let result = later.client.peer().call_tool_once(terminate().with_request_state(state)).await.unwrap();
    let CallToolResponse::Complete(result) = result else { panic!("{result:?}") };
    assert_eq!(status(&result), "done");
}
