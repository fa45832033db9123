//! JSON lines by hand: what stdout carries, what is refused before it is looked at, and both eras of the protocol.

use std::{process::Stdio, sync::Arc, time::Duration};

use lockgate::{
    gate::call::Door,
    mcp::{McpSettings, server::Server, stdio},
};
use rmcp::{ServiceExt, model::CallToolRequestParams, transport::TokioChildProcess};
use serde_json::json;
use tokio::{io::DuplexStream, process::Command};
use tokio_util::sync::CancellationToken;

use crate::{
    fake_gate::{FakeGate, principal},
    wire::{Wire, call, modern},
};

type Half<T> = (tokio::io::ReadHalf<T>, tokio::io::WriteHalf<T>);

struct Line {
    wire: Wire<tokio::io::ReadHalf<DuplexStream>, tokio::io::WriteHalf<DuplexStream>>,
    gate: Arc<FakeGate>,
    ended: tokio::task::JoinHandle<std::io::Result<()>>,
}

fn line(settings: McpSettings) -> Line {
    let gate = FakeGate::new();
    let server = Server::new(Arc::clone(&gate), settings).with_caller(principal("laptop", Door::Stdio));
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (read, write): Half<DuplexStream> = tokio::io::split(theirs);
    let ended = tokio::spawn(stdio::serve_on(server, read, write, CancellationToken::new()));
    let (read, write) = tokio::io::split(ours);
    Line { wire: Wire::new(read, write), gate, ended }
}

const LOOK: &str = r#"{"reason":"looking around"}"#;

#[tokio::test]
async fn messages_that_could_be_read_in_two_ways_are_refused() {
    let Line { mut wire, gate, .. } = line(McpSettings { max_message: 4096, ..McpSettings::default() });
    wire.initialize().await;
    let twice =
        call(1, "postgres.terminate_backend", r#"{"pid":1,"p\u0069d":2,"target":"primary","reason":"a good reason"}"#);
    let answer = wire.ask(&twice).await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32600)));
    assert!(answer["error"]["message"].as_str().unwrap().contains("`pid` occurs twice"));
    assert_eq!(wire.ask("{not json").await["error"]["code"], -32700);
    assert_eq!(wire.ask(r#"[{"jsonrpc":"2.0","id":5,"method":"tools/list"}]"#).await["error"]["code"], -32600);
    let shapeless = wire.ask(r#"{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":7}}"#).await;
    assert_eq!(shapeless["id"], 6);
    let long = call(7, "postgres.activity", &format!(r#"{{"reason":"{}"}}"#, "x".repeat(8192)));
    assert!(wire.ask(&long).await["error"]["message"].as_str().unwrap().contains("longer than 4096 bytes"));
    // And goes on as if nothing had been.
    wire.send("").await;
    assert_eq!(wire.ask(&call(8, "postgres.activity", LOOK)).await["id"], 8);
    assert_eq!(gate.log().len(), 1, "{:?}", gate.log());
}

#[tokio::test]
async fn integers_arrive_exactly() {
    let Line { mut wire, gate, .. } = line(McpSettings { hold_wait: Duration::ZERO, ..McpSettings::default() });
    wire.initialize().await;
    for (id, number) in
        [(1, "9223372036854775807"), (2, "-9223372036854775808"), (3, "9223372036854775808"), (4, "7.0")]
    {
        let arguments = format!(r#"{{"pid":{number},"target":"primary","reason":"a good reason"}}"#);
        wire.ask(&call(id, "postgres.terminate_backend", &arguments)).await;
        // A float stays one: whether 7.0 is a pid is for the gate to say, not for the door to guess.
        gate.saw(&format!("{{\"pid\":{number}}}")).await;
    }
}

#[tokio::test]
async fn the_end_of_the_input_ends_the_server_after_the_last_answer() {
    let Line { mut wire, ended, .. } = line(McpSettings::default());
    wire.initialize().await;
    wire.send(&call(1, "postgres.activity", LOOK)).await;
    let rest = wire.end().await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0]["result"]["structuredContent"]["status"], "done");
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn input_that_never_begins_is_no_error() {
    let Line { wire, ended, .. } = line(McpSettings::default());
    assert!(wire.end().await.is_empty());
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_revision_without_a_handshake_is_served() {
    let Line { mut wire, .. } = line(McpSettings { hold_wait: Duration::ZERO, ..McpSettings::default() });
    let found = wire.ask(&modern(1, "server/discover", "")).await;
    assert!(found["result"]["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")), "{found}");
    assert!(found["result"]["capabilities"]["tools"].is_object());
    let listed = wire.ask(&modern(2, "tools/list", "")).await;
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 4);
    assert_eq!(listed["result"]["cacheScope"], "private", "what one agent may call is not for others");
    let called = wire.ask(&modern(3, "tools/call", &format!(r#""name":"postgres.activity","arguments":{LOOK}"#))).await;
    assert_eq!(called["result"]["resultType"], "complete");
    assert_eq!(called["result"]["structuredContent"]["status"], "done");
}

#[tokio::test]
async fn every_revision_with_a_handshake_is_served() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let Line { mut wire, .. } = line(McpSettings::default());
        let hello = crate::wire::INITIALIZE.replace("2025-11-25", version);
        assert_eq!(wire.ask(&hello).await["result"]["protocolVersion"], version);
        wire.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        assert!(wire.ask(&call(1, "postgres.activity", LOOK)).await["result"]["content"].is_array());
    }
}

#[tokio::test]
async fn a_real_client_talks_to_a_real_process() {
    let client =
        ().serve(TokioChildProcess::new(Command::new(env!("CARGO_BIN_EXE_mcp_stdio_fixture"))).unwrap()).await.unwrap();
    assert_eq!(client.list_all_tools().await.unwrap().len(), 4);
    let arguments = json!({"reason": "looking around"}).as_object().unwrap().clone();
    let result =
        client.call_tool(CallToolRequestParams::new("postgres.activity").with_arguments(arguments)).await.unwrap();
    assert!(result.structured_content.unwrap()["summary"].as_str().unwrap().contains("for laptop"));
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn a_process_whose_input_ends_exits_by_itself() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp_stdio_fixture"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut wire = Wire::new(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    wire.initialize().await;
    assert!(wire.end().await.is_empty());
    let output = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("ended in order"));
}
