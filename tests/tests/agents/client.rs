//! A client's side of streamable HTTP on one connection that is kept, by hand: quick enough for many of them in one process,
//! and strict about what comes back.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::host::PATIENCE;

/// A connection that has had nothing to do for this long is given up, as the host gives it up after fifteen seconds.
const IDLE: Duration = Duration::from_secs(5);

/// Which way of beginning a client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// Revision 2025-11-25: `initialize`, and a session.
    Session,
    /// Revision 2026-07-28: neither.
    Modern,
}

/// A connected client.
pub struct Client {
    stream: BufReader<TcpStream>,
    port: u16,
    /// When the last answer came.
    heard: Instant,
    token: String,
    era: Era,
    session: Option<String>,
    next_id: u64,
}

/// One answer of HTTP.
pub struct Answer {
    pub status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The message with this id: the body, or the one event of the stream that has it.
    fn message(&self, id: u64) -> Json {
        let text = std::str::from_utf8(&self.body).expect("answers are UTF-8");
        let lines = text.lines().map(|line| line.strip_prefix("data:").unwrap_or(line).trim());
        let mut found = lines.filter(|line| line.starts_with('{')).filter_map(|line| {
            let message: Json = serde_json::from_str(line).expect("a message is JSON");
            (message.get("id") == Some(&json!(id))).then_some(message)
        });
        let message = found.next().unwrap_or_else(|| panic!("no answer to request {id}: {} {text}", self.head));
        assert!(found.next().is_none(), "two answers to request {id}: {text}");
        message
    }
}

impl Client {
    /// Connects, and opens a session if this era has them.
    pub async fn connect(port: u16, token: &str, era: Era) -> Self {
        let mut client = Self::without_session(port, token, era).await;
        if era == Era::Session {
            let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": { "name": "one of many", "version": "1" } });
            let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello });
            let answer = client.post("", &hello).await;
            assert_eq!(answer.status, 200);
            client.session = Some(answer.field("mcp-session-id").expect("a session").to_owned());
            let began = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
            assert_eq!(client.post("", &began).await.status, 202);
        }
        client
    }

    async fn without_session(port: u16, token: &str, era: Era) -> Self {
        let (stream, heard) = (open(port).await, Instant::now());
        Self { stream, port, heard, token: token.to_owned(), era, session: None, next_id: 1 }
    }

    /// Calls a tool and returns the structured answer.
    pub async fn call(&mut self, tool: &str, arguments: &Json) -> Json {
        let id = self.send_call(tool, arguments).await;
        let answer = self.receive(PATIENCE).await;
        assert_eq!(answer.status, 200, "{tool}: {}{}", answer.head, String::from_utf8_lossy(&answer.body));
        let message = answer.message(id);
        let content = message["result"]["structuredContent"].clone();
        assert!(content.is_object(), "{tool}: {message}");
        content
    }

    /// Sends a call and does not wait.
    pub async fn send_call(&mut self, tool: &str, arguments: &Json) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments } });
        if self.era == Era::Modern {
            message["params"]["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "one of many", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        self.send(tool, "POST", &message.to_string()).await;
        id
    }

    async fn post(&mut self, tool: &str, message: &Json) -> Answer {
        self.send(tool, "POST", &message.to_string()).await;
        self.receive(PATIENCE).await
    }

    async fn send(&mut self, tool: &str, method: &str, body: &str) {
        let mut request = format!(
            "{method} /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
            self.token,
            body.len()
        );
        match (&self.session, self.era) {
            (Some(session), _) => {
                request += &format!("MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: {session}\r\n")
            }
            (None, Era::Modern) => {
                request += "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\n";
                request += &format!("Mcp-Name: {tool}\r\n");
            }
            (None, Era::Session) => {}
        }
        request += "\r\n";
        request += body;
        if self.heard.elapsed() > IDLE {
            self.stream = open(self.port).await;
        }
        self.stream.get_mut().write_all(request.as_bytes()).await.expect("a request is sent");
    }

    async fn receive(&mut self, patience: Duration) -> Answer {
        let answer = tokio::time::timeout(patience, self.read()).await.expect("an answer comes in time");
        self.heard = Instant::now();
        answer
    }

    async fn read(&mut self) -> Answer {
        let mut head = String::new();
        loop {
            let before = head.len();
            self.stream.read_line(&mut head).await.expect("the connection stays");
            assert!(head.len() > before, "the server hung up: {head}");
            if &head[before..] == "\r\n" {
                break;
            }
        }
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: Vec::new() };
        if let Some(length) = answer.field("content-length") {
            answer.body = vec![0; length.parse().expect("a length")];
            self.stream.read_exact(&mut answer.body).await.expect("the body");
            return answer;
        }
        loop {
            let mut size = String::new();
            self.stream.read_line(&mut size).await.expect("a chunk");
            let size = usize::from_str_radix(size.trim(), 16).expect("its size");
            let begin = answer.body.len();
            answer.body.resize(begin + size + 2, 0);
            self.stream.read_exact(&mut answer.body[begin..]).await.expect("the chunk");
            answer.body.truncate(begin + size);
            if size == 0 {
                return answer;
            }
        }
    }

    /// Hangs up in the middle of whatever there is.
    pub fn hang_up(self) {
        drop(self.stream);
    }

    /// Ends the session, if there is one, and returns whose and which it was.
    pub async fn leave(mut self) -> Option<(String, String)> {
        self.session.as_ref()?;
        self.send("", "DELETE", "").await;
        let answer = self.receive(PATIENCE).await;
        assert!(matches!(answer.status, 200..=204), "{}", answer.head);
        Some((self.token, self.session.expect("looked at above")))
    }
}

async fn open(port: u16) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the host listens");
    stream.set_nodelay(true).expect("a socket");
    BufReader::new(stream)
}

/// What a call in this session is answered with.
pub async fn in_ended_session(port: u16, token: &str, session: &str) -> u16 {
    let mut client = Client::without_session(port, token, Era::Session).await;
    client.session = Some(session.to_owned());
    client.post("", &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await.status
}
