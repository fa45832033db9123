//! Streamable HTTP by hand: who is let in, what is refused before it is read, whose a session is, and how it ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lockgate::{
    gate::call::Door,
    mcp::{
        McpSettings,
        http::{self as door, HttpSettings},
        server::Server,
        token::{self, Agents},
    },
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    fake_gate::{FakeGate, principal},
    wire::{INITIALIZE, Reply, call, http, modern},
};

struct Served {
    at: SocketAddr,
    gate: Arc<FakeGate>,
    stop: CancellationToken,
    ended: JoinHandle<()>,
    one: String,
    two: String,
}

async fn served(settings: McpSettings) -> Served {
    let gate = FakeGate::new();
    let (one, first) = token::generate().unwrap();
    let (two, second) = token::generate().unwrap();
    let agents = Agents::new([(first, principal("one", Door::Http)), (second, principal("two", Door::Http))]).unwrap();
    let http = HttpSettings {
        allowed_hosts: vec!["gate.example".into()],
        allowed_origins: vec!["https://ui.example:443".into()],
        agents,
        ..HttpSettings::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = Server::new(Arc::clone(&gate), settings);
    let ended = tokio::spawn(door::serve(listener, server, http, stop.clone()));
    Served { at, gate, stop, ended, one: format!("Bearer {one}"), two: format!("Bearer {two}") }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");
const ACCEPT: (&str, &str) = ("Accept", "application/json, text/event-stream");
const LOOK: &str = r#"{"reason":"looking around"}"#;

impl Served {
    async fn post(&self, token: &str, more: &[(&str, &str)], body: &str) -> Reply {
        let mut headers = vec![JSON, ACCEPT, ("Authorization", token)];
        headers.extend_from_slice(more);
        http(self.at, "POST", "/mcp", &headers, body).await
    }

    /// Opens a session and returns its id.
    async fn session(&self, token: &str) -> String {
        let opened = self.post(token, &[], INITIALIZE).await;
        assert_eq!(opened.status, 200, "{opened:?}");
        let id = opened.header("mcp-session-id").unwrap().to_owned();
        let began = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(self.post(token, &[("Mcp-Session-Id", &id)], began).await.status, 202);
        id
    }

    async fn modern(&self, token: &str, id: u32, method: &str, name: &str, params: &str) -> Reply {
        let mut more = vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
        if !name.is_empty() {
            more.push(("Mcp-Name", name));
        }
        self.post(token, &more, &modern(id, method, params)).await
    }
}

#[tokio::test]
async fn nobody_comes_in_without_a_token() {
    let served = served(McpSettings::default()).await;
    let wrong = format!("{}x", served.one);
    for headers in [
        vec![JSON, ACCEPT],
        vec![JSON, ACCEPT, ("Authorization", "Bearer lgt_wrong")],
        vec![JSON, ACCEPT, ("Authorization", &wrong)],
        vec![JSON, ACCEPT, ("Authorization", &served.one), ("Authorization", &served.two)],
    ] {
        for (method, path) in
            [("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp"), ("GET", "/nothing"), ("POST", "/")]
        {
            let reply = http(served.at, method, path, &headers, INITIALIZE).await;
            assert_eq!(reply.status, 401, "{method} {path} {headers:?}");
            assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
    }
    assert_eq!(http(served.at, "GET", "/healthz", &[], "").await.status, 200);
    assert_eq!(http(served.at, "GET", "/nothing", &[("Authorization", &served.one)], "").await.status, 404);
    assert!(served.gate.log().is_empty());
}

#[tokio::test]
async fn other_hosts_and_origins_are_refused() {
    let served = served(McpSettings::default()).await;
    let status = |header: (&'static str, &'static str)| {
        let served = &served;
        async move { served.post(&served.one, &[header], INITIALIZE).await.status }
    };
    assert_eq!(status(("Host", "evil.example")).await, 403);
    assert_eq!(status(("Host", "127.0.0.1.evil.example")).await, 403);
    assert_eq!(status(("Host", "gate.example:7432")).await, 200);
    assert_eq!(status(("Host", "localhost:1")).await, 200);
    assert_eq!(status(("Origin", "https://evil.example")).await, 403);
    assert_eq!(status(("Origin", "null")).await, 403);
    assert_eq!(status(("Origin", "https://ui.example.evil.example")).await, 403);
    assert_eq!(status(("Origin", "https://ui.example")).await, 200);
}

#[tokio::test]
async fn bodies_that_are_too_long_or_ambiguous_are_refused() {
    let served = served(McpSettings { max_message: 4096, ..McpSettings::default() }).await;
    let long = call(1, "postgres.activity", &format!(r#"{{"reason":"{}"}}"#, "x".repeat(5000)));
    assert_eq!(served.post(&served.one, &[], &long).await.status, 413);
    let twice =
        call(2, "postgres.terminate_backend", r#"{"pid":1,"pid":2,"target":"primary","reason":"a good reason"}"#);
    let reply = served.post(&served.one, &[], &twice).await;
    assert_eq!(reply.status, 400);
    assert_eq!((&reply.json()["id"], &reply.json()["error"]["code"]), (&json!(2), &json!(-32600)));
    for (body, code) in [("{", -32700), ("", -32700), ("[]", -32600), ("{\"jsonrpc\":\"1.0\"}", -32600)] {
        let reply = served.post(&served.one, &[], body).await;
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!(code)), "{body}");
    }
    assert!(served.gate.log().is_empty());
}

#[tokio::test]
async fn a_session_answers_to_its_own_agent_only() {
    let served = served(McpSettings::default()).await;
    let id = served.session(&served.one).await;
    let session = [("Mcp-Session-Id", id.as_str())];
    let look = call(1, "postgres.activity", LOOK);
    let own = served.post(&served.one, &session, &look).await.json();
    assert!(own["result"]["structuredContent"]["summary"].as_str().unwrap().contains("for one"));
    assert_eq!(served.post(&served.two, &session, &look).await.status, 404);
    for method in ["GET", "DELETE"] {
        let headers = [ACCEPT, ("Authorization", &served.two), session[0]];
        assert_eq!(http(served.at, method, "/mcp", &headers, "").await.status, 404);
    }
    let both = [session[0], session[0]];
    assert_eq!(served.post(&served.one, &both, &look).await.status, 404);
    assert_eq!(served.gate.log().len(), 1);
}

#[tokio::test]
async fn an_agent_leaves_connections_to_others() {
    let served = served(McpSettings::default()).await;
    let mut open = Vec::new();
    for _ in 0..door::REQUESTS_PER_AGENT {
        let mut stream = TcpStream::connect(served.at).await.unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
            served.one
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The door has begun to read the body, so the request counts.
        let mut go_on = [0; 12];
        stream.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100");
        open.push(stream);
    }
    assert_eq!(served.post(&served.one, &[], INITIALIZE).await.status, 429);
    assert_eq!(served.post(&served.two, &[], INITIALIZE).await.status, 200);
}

#[tokio::test]
async fn a_held_call_reports_progress_and_is_cancelled_in_its_session() {
    let served = served(McpSettings { hold_wait: Duration::from_secs(300), ..McpSettings::default() }).await;
    let id = served.session(&served.one).await;
    let session = [("Mcp-Session-Id", id.as_str())];
    let held = r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"_meta":{"progressToken":"p"},"name":"postgres.terminate_backend","arguments":{"pid":4471,"target":"primary","reason":"dead migration blocks thirty writers"}}}"#;
    let approve = async {
        served.gate.saw("called postgres.terminate_backend").await;
        let other = call(1, "lockgate.await_approval", r#"{"approval_id":"ap_1","wait_seconds":0}"#);
        let strange = served
            .modern(
                &served.two,
                2,
                "tools/call",
                "lockgate.await_approval",
                r#""name":"lockgate.await_approval","arguments":{"approval_id":"ap_1"}"#,
            )
            .await;
        assert_eq!(strange.json()["result"]["structuredContent"]["code"], "unknown_approval");
        let own = served.post(&served.one, &session, &other).await.json();
        assert_eq!(own["result"]["structuredContent"]["status"], "pending");
        let cancelled =
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9,"reason":"tired"}}"#;
        assert_eq!(served.post(&served.one, &session, cancelled).await.status, 202);
        served.gate.saw("wait cancelled").await;
        served.gate.approve();
        served
            .post(&served.one, &session, &call(3, "lockgate.await_approval", r#"{"approval_id":"ap_1"}"#))
            .await
            .json()
    };
    let mut stream = TcpStream::connect(served.at).await.unwrap();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: {}\r\nAuthorization: {}\r\n\
         Mcp-Session-Id: {id}\r\nContent-Length: {}\r\n\r\n{held}",
        ACCEPT.1,
        served.one,
        held.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let done = approve.await;
    assert_eq!(done["result"]["structuredContent"]["status"], "done");
    let mut heard = vec![0; 1 << 16];
    let mut text = String::new();
    while !text.contains("waiting for a person") {
        let read = stream.read(&mut heard).await.unwrap();
        assert_ne!(read, 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&heard[..read]));
    }
    assert!(text.contains("notifications/progress"));
}

#[tokio::test]
async fn the_revision_without_sessions_is_served() {
    let served = served(McpSettings::default()).await;
    let found = served.modern(&served.one, 1, "server/discover", "", "").await;
    assert_eq!(found.status, 200, "{found:?}");
    assert!(found.json()["result"]["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")));
    assert!(found.header("mcp-session-id").is_none());
    let params = format!(r#""name":"postgres.activity","arguments":{LOOK}"#);
    let called = served.modern(&served.two, 2, "tools/call", "postgres.activity", &params).await;
    assert!(called.json()["result"]["structuredContent"]["summary"].as_str().unwrap().contains("for two"));
    // A header that names another tool than the body would lead a proxy astray.
    let astray = served.modern(&served.two, 3, "tools/call", "postgres.other", &params).await;
    assert_eq!(astray.status, 400, "{astray:?}");
    let unknown = served.modern(&served.two, 4, "tools/call", "postgres.exec", r#""name":"postgres.exec""#).await;
    assert_eq!(unknown.json()["error"]["code"], -32602);
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_wait() {
    let served = served(McpSettings { hold_wait: Duration::from_secs(300), ..McpSettings::default() }).await;
    let params =
        r#""name":"postgres.terminate_backend","arguments":{"pid":1,"target":"primary","reason":"a good reason"}"#;
    let waiting = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::select! {
            reply = served.modern(&served.one, 1, "tools/call", "postgres.terminate_backend", params) => panic!("{reply:?}"),
            () = served.gate.saw("called postgres.terminate_backend") => {}
        }
    });
    waiting.await.unwrap();
    served.gate.saw("wait cancelled").await;
}

#[tokio::test]
async fn stopping_brings_running_calls_to_their_end() {
    let served = served(McpSettings { hold_wait: Duration::from_secs(300), ..McpSettings::default() }).await;
    let id = served.session(&served.one).await;
    let held = call(1, "postgres.terminate_backend", r#"{"pid":1,"target":"primary","reason":"a good reason"}"#);
    let session = [("Mcp-Session-Id", id.as_str())];
    let call = served.post(&served.one, &session, &held);
    let stop = async {
        served.gate.saw("called postgres.terminate_backend").await;
        served.stop.cancel();
    };
    let (_, ()) = tokio::join!(call, stop);
    tokio::time::timeout(Duration::from_secs(40), served.ended).await.unwrap().unwrap();
    assert!(served.gate.log().iter().any(|line| line == "wait cancelled"), "{:?}", served.gate.log());
    assert!(TcpStream::connect(served.at).await.is_err());
}
