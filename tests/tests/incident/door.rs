//! `lockgate serve` as a process, and one request after the other to it over HTTP/1.1, by hand.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use lockgate_tests::site::Site;
use rustix::process::Pid;
use serde_json::Value as Json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Child,
};

use crate::{agent::with_target, process::lockgate};

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// A loopback port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}

/// A running `lockgate serve`; killed when dropped.
pub struct Served {
    process: Child,
    port: u16,
}

impl Served {
    /// Starts it and waits until it listens.
    pub async fn start(site: &Site, port: u16) -> Self {
        let mut process = lockgate(site).arg("serve").spawn().expect("lockgate serve can be started");
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(process.try_wait().expect("its state").is_none(), "lockgate serve ended by itself");
            assert!(Instant::now() < until, "lockgate serve does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { process, port }
    }

    /// The process's id.
    pub fn id(&self) -> Pid {
        self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it runs")
    }

    /// Posts one call and returns status and structured answer. Revision 2026-07-28: no session, everything is in the call.
    pub async fn answer(&self, token: &str, tool: &str, arguments: &Json) -> (u16, Json) {
        let mut stream = self.send(token, tool, arguments).await;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.expect("an answer comes");
        let status = reply.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        // The message stands on one line, as the body or as the data of the last event.
        let message = reply.lines().rev().map(|l| l.strip_prefix("data:").unwrap_or(l).trim());
        let message: Option<Json> = message.filter(|l| l.starts_with('{')).find_map(|l| serde_json::from_str(l).ok());
        (status, message.map(|m| m["result"]["structuredContent"].clone()).unwrap_or_default())
    }

    /// The process's id.
    pub fn id(&self) -> Pid {
        self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it runs")
    }

    /// Posts one call and returns the connection that its answer will come on.
    pub async fn send(&self, token: &str, tool: &str, arguments: &Json) -> TcpStream {
        let body = serde_json::json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments, "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "by hand", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": {},
            } },
        })
        .to_string();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("a request is sent");
        stream
    }

    /// Calls an action of the stock pack on a target.
    pub async fn call(&self, token: &str, action: &str, target: &str, arguments: Json, reason: &str) -> Json {
        let arguments = with_target(arguments, target, reason);
        let (status, answer) = self.answer(token, &format!("postgres.{action}"), &arguments).await;
        assert_eq!(status, 200, "{action}: {answer}");
        answer
    }
}
