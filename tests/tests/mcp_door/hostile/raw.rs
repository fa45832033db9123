//! A request as bytes: the intact one, and whatever is made of it.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::wire::Reply;

/// How long any answer may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A request that can be spoilt in every part.
#[derive(Clone)]
pub struct Raw {
    pub method: String,
    pub target: String,
    pub version: String,
    /// Names and values, in order. `Content-Length` is added if none of these frames the body.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// What ends a line of the head.
    pub line_end: &'static str,
    /// The client says that nothing more will come.
    pub half_close: bool,
}

impl Raw {
    /// A POST of this message.
    pub fn post(token: &str, fields: &[(&str, &str)], body: &str) -> Self {
        let mut raw = Self {
            method: "POST".into(),
            target: "/mcp".into(),
            version: "HTTP/1.1".into(),
            fields: Vec::new(),
            body: body.as_bytes().to_vec(),
            line_end: "\r\n",
            half_close: false,
        };
        raw.add("Host", "127.0.0.1");
        raw.add("Connection", "close");
        raw.add("Authorization", token);
        raw.add("Content-Type", "application/json");
        raw.add("Accept", "application/json, text/event-stream");
        for (name, value) in fields {
            raw.add(name, value);
        }
        raw
    }

    /// Adds a field after all others.
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
    }

    /// Adds a field before all others.
    pub fn add_first(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.fields.insert(0, (name.to_owned(), value.as_ref().to_vec()));
    }

    /// Takes a field away.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// Gives a field another value.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.remove(name);
        self.add(name, value);
    }

    /// A field's value.
    pub fn field(&self, name: &str) -> String {
        let found = self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).expect("the field");
        String::from_utf8(found.1.clone()).expect("text")
    }

    /// Puts something in the place of a piece of the body, which must be there.
    pub fn replace(&mut self, piece: &str, by: impl AsRef<[u8]>) {
        let at = self.body.windows(piece.len()).position(|w| w == piece.as_bytes());
        let at = at.unwrap_or_else(|| panic!("`{piece}` is in the body"));
        self.body.splice(at..at + piece.len(), by.as_ref().iter().copied());
    }

    /// The body in chunks, as one.
    pub fn chunk(&mut self) {
        self.body = [format!("{:x}\r\n", self.body.len()).as_bytes(), &self.body, b"\r\n0\r\n\r\n"].concat();
        self.add("Transfer-Encoding", "chunked");
    }

    /// All of it.
    pub fn bytes(&self) -> Vec<u8> {
        let end = self.line_end.as_bytes();
        let mut bytes = format!("{} {} {}", self.method, self.target, self.version).into_bytes();
        bytes.extend_from_slice(end);
        for (name, value) in &self.fields {
            bytes.extend_from_slice(&[name.as_bytes(), b": ", value, end].concat());
        }
        let framed = |(name, _): &(String, Vec<u8>)| {
            let name = name.trim();
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
        };
        if !self.fields.iter().any(framed) {
            bytes.extend_from_slice(format!("Content-Length: {}", self.body.len()).as_bytes());
            bytes.extend_from_slice(end);
        }
        bytes.extend_from_slice(end);
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it and takes what comes back until the server hangs up.
    pub async fn replies(&self, at: SocketAddr) -> Vec<Reply> {
        replies(at, &self.bytes(), self.half_close).await
    }
}

/// Sends bytes and takes every answer until the server hangs up.
pub async fn replies(at: SocketAddr, bytes: &[u8], half_close: bool) -> Vec<Reply> {
    let mut stream = TcpStream::connect(at).await.expect("the door is open");
    let mut text = Vec::new();
    let talk = async {
        // A server that has heard enough may close while we still talk; what it said before counts.
        let _ = stream.write_all(bytes).await;
        if half_close {
            let _ = stream.shutdown().await;
        }
        let _ = stream.read_to_end(&mut text).await;
    };
    tokio::time::timeout(PATIENCE, talk).await.unwrap_or_else(|_| {
        panic!(
            "the server neither answers nor hangs up: {}",
            String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes))
        )
    });
    split(&String::from_utf8_lossy(&text))
}

/// The answers on one connection. The bodies here never contain the beginning of an answer.
fn split(text: &str) -> Vec<Reply> {
    let answers = text.split("HTTP/1.").skip(1);
    answers
        .map(|answer| {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
            let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
            Reply { status, head: head.into(), body: body.into() }
        })
        .collect()
}
