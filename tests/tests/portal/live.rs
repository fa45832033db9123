//! Pages that keep themselves up to date: an event says what changed and the page's part is there anew, in every open inbox
//! and soon; nothing of it tells more than a kind and an id; and it ends with the session.

use std::time::{Duration, Instant};

use lockgate::store::Decision;
use serde_json::Value as Json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    time::timeout,
};

use crate::{
    browser::Browser,
    host::{Host, PATIENCE, until_it_says},
    html,
};

/// Streams that one person may have.
pub const EACH: usize = 40;

/// An open stream.
pub struct Stream {
    lines: Lines<BufReader<OwnedReadHalf>>,
    head: String,
    _write: OwnedWriteHalf,
}

impl Stream {
    pub async fn open(host: &Host, browser: &Browser) -> Self {
        let (read, mut write) = TcpStream::connect(host.portal).await.expect("it listens").into_split();
        let cookies: Vec<String> = browser.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = format!(
            "GET /live HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nAccept: text/event-stream\r\n\r\n",
            browser.host,
            cookies.join("; ")
        );
        write.write_all(request.as_bytes()).await.expect("it is sent");
        let mut lines = BufReader::new(read).lines();
        let mut head = String::new();
        loop {
            let line = timeout(PATIENCE, lines.next_line()).await.expect("a head").expect("a line").expect("a line");
            if line.is_empty() {
                break;
            }
            head.push_str(&line);
            head.push('\n');
        }
        let mut stream = Self { lines, head, _write: write };
        assert!(stream.head.starts_with("HTTP/1.1 200"), "{}", stream.head);
        assert_eq!(stream.next().await.expect("a first event").0, "hello");
        stream
    }

    /// The next event's name and data; `None` when the stream has ended.
    async fn next(&mut self) -> Option<(String, String)> {
        let mut event = String::new();
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await.expect("in time").ok()??;
            if let Some(name) = line.strip_prefix("event: ") {
                event = name.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((event, data.to_owned()));
            }
        }
    }

    /// Waits for a change of this thing.
    pub async fn change(&mut self, id: &str) {
        while self.changed().await != id {}
    }

    /// The id of the next thing that changes.
    pub async fn changed(&mut self) -> String {
        let (event, data) = self.next().await.expect("the stream goes on");
        assert_eq!(event, "change", "{data}");
        let change: Json = serde_json::from_str(&data).expect("JSON");
        let keys: Vec<_> = change.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(keys, ["id", "kind"], "a kind and an id, and nothing else: {data}");
        change["id"].as_str().expect("an id").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_request_its_decision_and_an_expiry_arrive_by_themselves() {
    let host = Host::new("live", None, "decide_seconds = 4\n").await;
    let mut viewer = host.person("vera", "viewer", &[]).await;
    let page = viewer.get("/").await.body;
    assert!(page.contains("data-live=\"/inbox/part\"") && page.contains("aria-live=\"polite\""), "{page}");
    let mut stream = Stream::open(&host, &viewer).await;
    let head = stream.head.to_ascii_lowercase();
    for header in ["text/event-stream", "no-store, no-transform", "x-accel-buffering: no", "default-src 'none'"] {
        assert!(head.contains(header), "{header}: {head}");
    }
    let victim = host.victim("live").await;
    let id = host.asked(victim.pid).await;
    stream.change(&id).await;
    let part = viewer.get("/inbox/part").await;
    assert!(part.body.contains(&id) && part.body.contains("One request waits: "), "{}", part.body);
    html::check("part", &format!("<!DOCTYPE html><html><header></header><main><h1></h1>{}</main></html>", part.body));

    host.site.decide(&id, Decision::Deny, "grace").await.expect("it counts");
    stream.change(&id).await;
    let part = viewer.get("/inbox/part").await.body;
    assert!(part.contains("Nothing waits for a decision.") && part.contains("denied"), "{part}");

    // Nobody has to write an expiry down for it to be seen.
    let other = host.victim("live-other").await;
    let id = host.asked(other.pid).await;
    stream.change(&id).await;
    stream.change(&id).await;
    until_it_says(&mut viewer, "/inbox/part", "expired").await;
    let part = viewer.get(&format!("/approvals/{id}/part")).await.body;
    assert!(part.contains("Its time ran out") && part.contains("It is expired."), "{part}");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_session() {
    let host = Host::new("ends", None, "").await;
    let mut vera = host.person("vera", "viewer", &[]).await;
    let mut stream = Stream::open(&host, &vera).await;
    assert_eq!(vera.submit("/account", "/logout", &[]).await.status, 303);
    let ended = timeout(Duration::from_secs(30), async { while stream.next().await.is_some() {} }).await;
    assert!(ended.is_ok(), "nobody is logged in, and it goes on");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_so_many_streams_and_no_more() {
    let host = Host::new("many", None, "").await;
    let mut vera = host.person("vera", "viewer", &[]).await;
    let mut open = Vec::new();
    for _ in 0..EACH {
        open.push(Stream::open(&host, &vera).await);
    }
    assert_eq!(vera.get("/live").await.status, 429);
    drop(open);
    // Their places are free when the server has seen that they are gone: at the latest with the next thing that it sends.
    let until = Instant::now() + PATIENCE;
    loop {
        let victim = host.victim("many").await;
        host.asked(victim.pid).await;
        let (read, mut write) = TcpStream::connect(host.portal).await.expect("it listens").into_split();
        let cookies: Vec<String> = vera.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = format!("GET /live HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n", vera.host, cookies.join("; "));
        write.write_all(request.as_bytes()).await.expect("it is sent");
        let first = BufReader::new(read).lines().next_line().await.expect("a line").expect("a line");
        if first.contains(" 200 ") {
            break;
        }
        assert!(Instant::now() < until, "{first}");
    }
    host.close().await;
}
