//! What stands between the conformance suite and `lockgate serve`. The suite can send no token, so the bridge adds one; and
//! it asks for tools, prompts and resources by names of its own (`test_simple_text`), so the bridge asks for something of
//! lockgate's that is of the same kind. It changes requests only: every answer that the suite judges is lockgate's, byte for
//! byte.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What the suite asks for, in lockgate's words.
pub trait Words: Send + Sync + 'static {
    /// A tool and its arguments, for a call of the suite's; `None` passes it on as it is.
    fn tool(&self, name: &str, arguments: &Json) -> Option<(String, Json)>;
    /// A prompt and its arguments.
    fn prompt(&self, name: &str) -> Option<(String, Json)>;
    /// A resource's address.
    fn resource(&self, uri: &str) -> Option<String>;
}

/// A running bridge; it goes with this value.
pub struct Bridge {
    /// Where it listens, on loopback.
    pub port: u16,
    accepting: JoinHandle<()>,
}

impl Bridge {
    /// On this port, to a server on loopback.
    pub async fn start(port: u16, server: u16, token: &str, words: impl Words) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port");
        let (token, words): (Arc<str>, Arc<dyn Words>) = (token.into(), Arc::new(words));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (token, words) = (Arc::clone(&token), Arc::clone(&words));
                // A connection that breaks is for the suite to notice.
                tokio::spawn(async move { carry(client, server, &token, &*words).await.ok() });
            }
        });
        Self { port, accepting }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One request and its answer, after which the connection closes.
async fn carry(mut client: TcpStream, server: u16, token: &str, words: &dyn Words) -> io::Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut body = bytes.split_off(end + 4);
    let header = |wanted: &str| {
        head.lines().skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    let length: usize = header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    while body.len() < length {
        if client.read_buf(&mut body).await? == 0 {
            return Ok(());
        }
    }
    let renamed = reworded(&mut body, words);

    let mut lines = head.split("\r\n");
    let mut sent = format!("{}\r\n", lines.next().unwrap_or_default());
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match (name.to_ascii_lowercase().as_str(), &renamed) {
            ("connection" | "content-length" | "authorization", _) => {}
            // A header that says something else than the body goes on saying it.
            ("mcp-name", Some((from, to))) if value.trim() == from => sent.push_str(&format!("{name}: {to}\r\n")),
            _ => sent.push_str(&format!("{line}\r\n")),
        }
    }
    if length > 0 {
        sent.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    sent.push_str(&format!("Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"));
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    server.write_all(sent.as_bytes()).await?;
    server.write_all(&body).await?;

    // Whichever side goes first takes the other with it, as on one connection.
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, _to_server) = server.split();
    let mut rest = [0; 64];
    tokio::select! {
        copied = io::copy(&mut from_server, &mut to_client) => copied.map(drop)?,
        gone = from_client.read(&mut rest) => drop(gone?),
    }
    to_client.shutdown().await
}

/// Puts a message in lockgate's words, if the suite has words of its own for it. Returns the name before and after.
fn reworded(body: &mut Vec<u8>, words: &dyn Words) -> Option<(String, String)> {
    let mut message: Json = serde_json::from_slice(body).ok()?;
    let method = message["method"].as_str()?.to_owned();
    let params = message.get_mut("params")?.as_object_mut()?;
    let renamed = match method.as_str() {
        "tools/call" => {
            let given = params.get("arguments").cloned().unwrap_or(Json::Object(Map::new()));
            let (name, arguments) = words.tool(params.get("name")?.as_str()?, &given)?;
            params.insert("arguments".to_owned(), arguments);
            replace(params, "name", name)
        }
        "prompts/get" => {
            let (name, arguments) = words.prompt(params.get("name")?.as_str()?)?;
            params.insert("arguments".to_owned(), arguments);
            replace(params, "name", name)
        }
        "resources/read" => {
            let uri = words.resource(params.get("uri")?.as_str()?)?;
            replace(params, "uri", uri)
        }
        "completion/complete" => {
            let reference = params.get_mut("ref")?.as_object_mut()?;
            let (name, arguments) = words.prompt(reference.get("name")?.as_str()?)?;
            let renamed = replace(reference, "name", name);
            let argument = arguments.as_object()?.keys().next()?.clone();
            params.get_mut("argument")?.as_object_mut()?.insert("name".to_owned(), argument.into());
            renamed
        }
        _ => None,
    };
    *body = message.to_string().into_bytes();
    renamed
}

fn replace(object: &mut Map<String, Json>, member: &str, value: String) -> Option<(String, String)> {
    let before = object.insert(member.to_owned(), value.clone().into())?;
    Some((before.as_str()?.to_owned(), value))
}
