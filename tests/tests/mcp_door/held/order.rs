//! Progress while a person is waited for: it rises, says how long is left, and ends with the answer.

use std::time::Duration;

use lockgate::mcp::{server::Server, stdio};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    gate::{HeldGate, People},
    rig::{ALL, Heard, Plan, Rig, answer, request, serve_http, settings, status, terminate},
};
use crate::{
    fake_gate::principal,
    wire::{Wire, http, modern},
};

#[tokio::test]
async fn progress_rises_and_says_how_long_is_left() {
    for (way, era) in ALL {
        let plan = Plan { hold: Duration::from_secs(50), ..Plan::default() };
        let mut rig = Rig::new(way, era, plan).await;
        let call = rig.begin(terminate()).await;
        let mut values = Vec::new();
        for seconds in [0, 1, 7] {
            rig.gate.now(People::Wait(seconds));
            let Heard::Progress { value, total, message } = rig.hears().await else { panic!("{way:?} {era:?}") };
            let left = 50 - seconds;
            assert_eq!(
                message,
                format!("waiting for a person to decide on approval ap_1: {left} s of 50 s left"),
                "{way:?} {era:?}"
            );
            assert_eq!(total, Some(50.0));
            values.push(value);
        }
        rig.gate.now(People::Approved);
        let Heard::Progress { value, message, .. } = rig.hears().await else { panic!("{way:?} {era:?}") };
        assert!(message.contains("ap_1 was given; the call is being run"), "{message}");
        values.push(value);
        assert!(values.windows(2).all(|two| two[0] < two[1]), "{values:?}");
        rig.gate.now(People::Done);
        assert_eq!(status(&answer(call).await), "done");
        // Time goes on, and the client hears nothing more of it.
        rig.gate.now(People::Wait(9));
        rig.client.call_tool(request("postgres.activity", json!({"reason": "looking around"}))).await.unwrap();
        let rest: Vec<_> = rig.rest().into_iter().filter(|heard| matches!(heard, Heard::Progress { .. })).collect();
        assert_eq!(rest, [], "{way:?} {era:?}");
    }
}

#[tokio::test]
async fn time_that_stands_still_or_goes_back_is_not_told() {
    let mut rig = Rig::new(ALL[0].0, ALL[0].1, Plan::default()).await;
    let call = rig.begin(terminate()).await;
    let mut last = -1.0;
    for seconds in [5, 5, 3, 6] {
        rig.gate.saw(1, "called").await;
        rig.gate.now(People::Wait(seconds));
        tokio::task::yield_now().await;
    }
    loop {
        let Heard::Progress { value, .. } = rig.hears().await else { panic!() };
        assert!(value > last, "{value} after {last}");
        last = value;
        if value == 6.0 {
            break;
        }
    }
    rig.gate.now(People::Done);
    answer(call).await;
}

/// A `tools/call` of revision 2026-07-28 that wants everything told.
fn everything(id: u32) -> String {
    let params =
        r#""name":"postgres.terminate_backend","arguments":{"pid":1,"target":"primary","reason":"a good reason"}"#;
    let more = r#""_meta":{"progressToken":"p","io.modelcontextprotocol/logLevel":"debug","#;
    modern(id, "tools/call", params).replacen(r#""_meta":{"#, more, 1)
}

fn is_answer(message: &serde_json::Value) -> bool {
    message.get("result").is_some()
}

#[tokio::test]
async fn the_answer_is_the_last_on_a_line() {
    let gate = HeldGate::new(None);
    let server = Server::new(gate.clone(), settings(Duration::from_secs(300)));
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (read, write) = tokio::io::split(theirs);
    let server = server.with_caller(principal("one", lockgate::gate::call::Door::Stdio));
    tokio::spawn(stdio::serve_on(server, read, write, CancellationToken::new()));
    let (read, write) = tokio::io::split(ours);
    let mut wire = Wire::new(read, write);
    for id in 1..100 {
        gate.now(People::Wait(0));
        wire.send(&everything(id)).await;
        gate.saw(usize::try_from(id).unwrap(), "called").await;
        // What is told last comes in the same moment as the answer.
        gate.now(People::Wait(1));
        tokio::task::yield_now().await;
        gate.now(People::Approved);
        if id % 2 == 0 {
            tokio::task::yield_now().await;
        }
        gate.now(People::Done);
        let mut told = 0;
        loop {
            let message = wire.next().await.unwrap();
            if is_answer(&message) {
                assert_eq!(message["id"], id, "nothing of an earlier call");
                break;
            }
            told += 1;
        }
        // Held, decided, the server's notice and the record's state.
        assert!(told >= 4, "{told}");
    }
    assert_eq!(wire.end().await, Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn the_answer_is_the_last_of_a_stream() {
    let gate = HeldGate::new(None);
    let (at, [token, _]) = serve_http(&gate, Duration::from_secs(300)).await;
    for id in 1..20 {
        gate.now(People::Wait(0));
        let (token, body) = (format!("Bearer {token}"), everything(id));
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("Authorization", &token),
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", "postgres.terminate_backend"),
        ];
        let decide = async {
            gate.saw(usize::try_from(id).unwrap(), "called").await;
            gate.now(People::Approved);
            tokio::task::yield_now().await;
            gate.now(People::Done);
        };
        let (reply, ()) = tokio::join!(http(at, "POST", "/mcp", &headers, &body), decide);
        let events: Vec<serde_json::Value> = reply
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect();
        let answers: Vec<_> = events.iter().map(is_answer).collect();
        assert!(answers.len() >= 4, "{reply:?}");
        assert!(answers.last().unwrap() & !answers[..answers.len() - 1].contains(&true), "{answers:?}");
    }
}
