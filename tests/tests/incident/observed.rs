//! A real `lockgate serve`, watched: its numbers move as calls go through it, a call's steps arrive as spans where they are
//! sent, it says whether it is ready, and its log can be read by a program.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use lockgate_tests::site::Site;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    door::{Served, free_port},
    order::{server, victim},
    process::{lockgate, succeeds},
    receiver::Receiver,
};

/// A host that serves agents at one port, and watchers at another.
struct Watched {
    site: Site,
    port: u16,
    at: SocketAddr,
    token: String,
}

impl Watched {
    async fn new(target: &str, more: &str) -> Self {
        let settings = server().await.target(target, "agent", "postgres");
        let mut nowhere = server().await.target("nowhere", "agent", "postgres");
        nowhere.port = Some(1);
        let (port, at) = (free_port(), SocketAddr::from(([127, 0, 0, 1], free_port())));
        let more = format!(
            "[mcp]\nhold_seconds = 0\n[mcp.http]\nlisten = \"127.0.0.1:{port}\"\n[observe]\nlisten = \"{at}\"\n{more}"
        );
        let site = Site::with_stock_pack(&[settings, nowhere], &more).await;
        let made = succeeds(&site, &["token", "create", "--agent", "cursor", "--person", "ada", "--json"]).await;
        let made: Json = serde_json::from_str(&made).expect("JSON");
        Self { token: made["token"].as_str().expect("a token").to_owned(), site, port, at }
    }

    async fn serve(&self) -> Served {
        Served::start(&self.site, self.port).await
    }

    async fn get(&self, path: &str, host: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.at).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is sent");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.expect("it answers");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    async fn metrics(&self) -> BTreeMap<String, f64> {
        let (status, body) = self.get("/metrics", "127.0.0.1").await;
        assert_eq!(status, 200, "{body}");
        read(&body)
    }
}

/// Series and their values, of OpenMetrics text. Panics at what is none.
fn read(text: &str) -> BTreeMap<String, f64> {
    let text: String = text.lines().filter(|line| !is_chunk_size(line)).map(|line| format!("{line}\n")).collect();
    assert!(text.trim_end().ends_with("# EOF"), "{text}");
    let mut series = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no series: {line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("no value: {line}"));
        assert!(series.insert(name.to_owned(), value).is_none(), "twice: {line}");
        let name = name.split('{').next().expect("a name");
        let is_known = |kind: &str| text.contains(&format!("# TYPE {} ", name.strip_suffix(kind).unwrap_or(name)));
        let known = ["", "_total", "_sum", "_count", "_bucket", "_info"].iter().any(|kind| is_known(kind));
        assert!(known, "a series of no declared metric: {line}");
    }
    series
}

fn is_chunk_size(line: &str) -> bool {
    !line.is_empty() && line.len() < 8 && line.bytes().all(|byte| byte.is_ascii_hexdigit())
}

const CALLS: &str = "lockgate_calls_total";

fn call(action: &str, target: &str, verdict: &str, code: &str) -> String {
    format!("{CALLS}{{action=\"{action}\",target=\"{target}\",verdict=\"{verdict}\",code=\"{code}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_move_as_calls_go_through() {
    let watched = Watched::new("counted", "").await;
    let served = watched.serve().await;
    let token = watched.token.as_str();
    let look = async |reason: &str| served.call(token, "activity_states", "counted", json!({}), reason).await;
    for _ in 0..3 {
        assert_eq!(look("a test counts what it does").await["status"], "done");
    }
    let (victim, pid) = victim().await;
    let held = served.call(token, "terminate_backend", "counted", json!({ "pid": pid }), "a test of counting").await;
    let id = held["approval_id"].as_str().expect("an id").to_owned();
    // Whatever an agent makes up is no label.
    for made_up in ["postgres.drop_everything", "x{y=\"z\"}\n"] {
        let arguments = json!({ "target": "elsewhere", "reason": "a test makes up a name" });
        served.answer(token, "lockgate.run_action", &json!({ "action": made_up, "arguments": arguments })).await;
        let _ = served.answer(token, made_up.trim(), &arguments).await;
    }
    assert_eq!(look("x").await["code"], "invalid_arguments");

    let before = watched.metrics().await;
    let value = |name: &str| before.get(name).copied().unwrap_or_else(|| panic!("no {name} in {before:#?}"));
    assert_eq!(value(&call("postgres.activity_states", "counted", "allow", "ok")), 3.0);
    assert_eq!(value(&call("postgres.terminate_backend", "counted", "approve", "pending_approval")), 1.0);
    assert!(before.keys().all(|name| !name.contains("drop_everything") && !name.contains("elsewhere")), "{before:#?}");
    let labels: Vec<_> = before.keys().filter(|name| name.starts_with(CALLS)).collect();
    assert!(labels.iter().any(|name| name.contains("action=\"unknown\"")), "{labels:#?}");
    let steps = |name: &str| value(&format!("lockgate_step_duration_seconds_count{{step=\"{name}\"}}"));
    assert_eq!((steps("execute"), steps("preview"), steps("hold")), (3.0, 1.0, 0.0));
    assert!(steps("resolve") >= 5.0 && steps("validate") >= 4.0 && steps("decide") >= 4.0 && steps("record") >= 7.0);
    assert!(value("lockgate_step_duration_seconds_sum{step=\"execute\"}") > 0.0);
    assert_eq!(value("lockgate_approvals{state=\"pending\"}"), 1.0);
    assert_eq!(value("lockgate_held_calls"), 1.0);
    assert_eq!(value("lockgate_approval_events_total{event=\"requested\"}"), 1.0);
    assert_eq!((value("lockgate_store_up"), value("lockgate_packs")), (1.0, 1.0));
    assert!(value("lockgate_store_duration_seconds_count") >= 1.0);
    assert_eq!(value("lockgate_target_up{target=\"counted\"}"), 1.0);
    assert_eq!(value("lockgate_target_up{target=\"nowhere\"}"), 0.0);
    assert_eq!(value("lockgate_target_connections{target=\"counted\",state=\"in_use\"}"), 0.0);
    assert!(value("lockgate_target_connections{target=\"counted\",state=\"idle\"}") >= 1.0);
    assert_eq!((value("lockgate_record_latched"), value("lockgate_record_degraded")), (0.0, 0.0));
    let lines = watched.site.record().len();
    assert!(value("lockgate_record_lines_total") as usize <= lines, "{lines}");
    assert!(value("process_resident_memory_bytes") > 1e6 && value("process_start_time_seconds") > 1.7e9);
    assert_eq!(value("lockgate_mcp_calls_under_way"), 0.0);

    watched.site.approve(&id).await;
    let until = Instant::now() + Duration::from_secs(60);
    let ran = "lockgate_executions_total{action=\"postgres.terminate_backend\",target=\"counted\",code=\"ok\"}";
    let after = loop {
        let after = watched.metrics().await;
        if after.get(ran) == Some(&1.0) && after["lockgate_held_calls"] == 0.0 {
            break after;
        }
        assert!(Instant::now() < until, "it does not run: {after:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(after["lockgate_step_duration_seconds_count{step=\"hold\"}"], 1.0);
    assert_eq!(after["lockgate_step_duration_seconds_count{step=\"execute\"}"], 4.0);
    assert_eq!(after["lockgate_approval_events_total{event=\"approved\"}"], 1.0);
    assert_eq!(after["lockgate_approvals{state=\"pending\"}"], 0.0);
    assert!(after["lockgate_record_lines_total"] > before["lockgate_record_lines_total"]);
    drop(victim);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_whether_it_is_ready_and_only_to_whom_it_should() {
    let watched = Watched::new("ready", "").await;
    let served = watched.serve().await;
    let host = watched.at.to_string();
    assert_eq!(watched.get("/healthz", &host).await.0, 200);
    let until = Instant::now() + Duration::from_secs(60);
    let said = loop {
        let (status, body) = watched.get("/readyz", &host).await;
        let said: Json = serde_json::from_str(body.trim()).expect("JSON");
        assert_eq!((status, &said["ready"]), (200, &json!(true)), "a target that is down fails nothing: {said}");
        if said["targets"]["ready"] == "reachable" && said["targets"]["nowhere"] == "unreachable" {
            break said;
        }
        assert!(Instant::now() < until, "{said}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((&said["record"], &said["store"], &said["packs"]), (&json!("ok"), &json!("ok"), &json!(1)));
    assert_eq!(watched.get("/elsewhere", &host).await.0, 404);
    // A page in a browser that was led here by a name of its own.
    for path in ["/metrics", "/readyz"] {
        assert_eq!(watched.get(path, "rebound.evil.example").await.0, 421, "{path}");
        assert_eq!(watched.get(path, "localhost:9464").await.0, 200, "{path}");
    }

    // Somebody keeps the store to themselves.
    let store = rusqlite::Connection::open(watched.site.path("state").join("store.db")).expect("the store");
    store.execute_batch("BEGIN IMMEDIATE").expect("its lock");
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let (status, body) = watched.get("/readyz", &host).await;
        if status == 503 {
            assert!(body.contains("\"store\":\"unavailable\"") && body.contains("\"ready\":false"), "{body}");
            break;
        }
        assert!(Instant::now() < until, "{body}");
    }
    assert_eq!(watched.get("/healthz", &host).await.0, 200, "it lives all the same");
    store.execute_batch("ROLLBACK").expect("its lock is given back");
    let until = Instant::now() + Duration::from_secs(60);
    while watched.get("/readyz", &host).await.0 != 200 {
        assert!(Instant::now() < until, "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(served);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_log_is_json_where_it_is_asked_for() {
    let watched = Watched::new("logged", "[log]\nformat = \"json\"\n").await;
    let mut command = lockgate(&watched.site);
    command.arg("serve").env("LOCKGATE_LOG", "lockgate=debug,info").stdout(Stdio::null());
    let mut process = command.spawn().expect("it is started");
    let until = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(watched.at).await.is_err() {
        assert!(Instant::now() < until, "it does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // It listens before it is up, and answers then.
    assert_eq!(watched.get("/healthz", "127.0.0.1").await.0, 200);
    let pid =
        process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    let mut said = String::new();
    process.stderr.take().expect("its errors").read_to_string(&mut said).await.expect("its log");
    let lines: Vec<Json> = said.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let up = lines.iter().find(|line| line["message"] == "lockgate is up").expect("a line");
    assert!(up["level"] == "INFO" && up["timestamp"].is_string() && up["targets"] == 2, "{up}");
    assert!(!said.contains(&watched.token));
}

// ---- traces ----

/// The length-delimited fields of a message, by number (<https://protobuf.dev/programming-guides/encoding/>).
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        match key & 7 {
            0 => _ = varint(&mut bytes),
            1 => bytes = &bytes[8..],
            5 => bytes = &bytes[4..],
            2 => {
                let length = usize::try_from(varint(&mut bytes)).expect("a length");
                let (value, rest) = bytes.split_at(length);
                found.push((key >> 3, value));
                bytes = rest;
            }
            wire => panic!("a field of wire type {wire}"),
        }
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().expect("a number goes on");
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn parts(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    fields(bytes).into_iter().filter(|(at, _)| *at == number).map(|(_, value)| value).collect()
}

fn text(bytes: &[u8], number: u64) -> String {
    parts(bytes, number).first().map(|part| String::from_utf8_lossy(part).into_owned()).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// opentelemetry/proto/trace/v1/trace.proto, as far as these tests look.
#[derive(Clone, Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    attributes: BTreeMap<String, String>,
}

fn spans(body: &[u8]) -> Vec<Span> {
    let scopes = parts(body, 1).into_iter().flat_map(|resource| parts(resource, 2));
    let spans = scopes.flat_map(|scope| parts(scope, 2));
    let id = |span: &[u8], number| parts(span, number).first().map(|id| hex(id)).unwrap_or_default();
    let attribute = |pair: &[u8]| {
        let value = parts(pair, 2).first().map(|value| text(value, 1)).unwrap_or_default();
        (text(pair, 1), value)
    };
    spans
        .map(|span| Span {
            trace: id(span, 1),
            id: id(span, 2),
            parent: id(span, 4),
            name: text(span, 5),
            attributes: parts(span, 9).into_iter().map(attribute).collect(),
        })
        .collect()
}

async fn traced(receiver: &Receiver, is_there: impl Fn(&[Span]) -> bool) -> Vec<Span> {
    let all = |posted: &[crate::receiver::Posted]| posted.iter().flat_map(|one| spans(&one.body)).collect::<Vec<_>>();
    all(&receiver.until_that(|posted| is_there(&all(posted))).await)
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Posts one call of the newest revision with more in its `_meta` and its head.
async fn call_in_trace(watched: &Watched, arguments: &Json, meta: Option<&str>, head: Option<&str>) -> String {
    let mut said = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "by hand", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if let Some(meta) = meta {
        said["traceparent"] = meta.into();
    }
    let tool = arguments["tool"].as_str().expect("a tool");
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments["arguments"], "_meta": said },
    })
    .to_string();
    let head = head.map(|head| format!("traceparent: {head}\r\n")).unwrap_or_default();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {}\r\n{head}\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        watched.token,
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", watched.port)).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it is sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("an answer");
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_s_steps_arrive_as_spans_of_its_caller_s_trace_and_say_nothing_they_should_not() {
    let receiver = Receiver::start().await;
    let traces = format!("[observe.traces]\nendpoint = \"http://{}/v1/traces\"\n", receiver.at);
    let watched = Watched::new("traced", &traces).await;
    let served = watched.serve().await;
    let (client, pid) = victim().await;
    let reason = "a secret reason nobody else reads";
    let look = json!({ "tool": "postgres.activity_states", "arguments": { "target": "traced", "reason": reason } });
    let kill = json!({
        "tool": "postgres.terminate_backend", "arguments": { "target": "traced", "pid": pid, "reason": reason }
    });
    let good = format!("00-{TRACE}-{PARENT}-01");
    call_in_trace(&watched, &look, Some(&good), Some("00-11111111111111111111111111111111-2222222222222222-01")).await;
    call_in_trace(&watched, &look, None, Some(&good)).await;
    call_in_trace(&watched, &look, Some("00-not-a-trace"), None).await;
    call_in_trace(&watched, &kill, Some(&good), None).await;
    let id = watched.site.pending().pop().expect("it is held").id;
    watched.site.approve(&id).await;
    let found = traced(&receiver, |spans| {
        let calls = spans.iter().filter(|span| span.name == "call").count();
        calls >= 4 && spans.iter().any(|span| span.name == "held")
    })
    .await;
    assert_eq!(receiver.posted()[0].path, "/v1/traces");
    let calls: Vec<&Span> = found.iter().filter(|span| span.name == "call").collect();
    let (ours, alone): (Vec<&Span>, Vec<&Span>) = calls.iter().copied().partition(|call| call.trace == TRACE);
    assert_eq!((ours.len(), alone.len()), (3, 1), "what the message says counts before its head; nonsense is no trace");
    assert!(ours.iter().all(|call| call.parent == PARENT) && alone[0].parent.is_empty(), "{calls:#?}");
    let under = |parent: &Span| -> Vec<&str> {
        found.iter().filter(|span| span.parent == parent.id).map(|span| span.name.as_str()).collect()
    };
    let steps = |call: &Span| {
        let mut steps = under(call);
        steps.sort_unstable();
        steps
    };
    let read = |call: &&&Span| call.attributes["lockgate.action"] == "postgres.activity_states";
    for call in calls.iter().filter(read) {
        assert_eq!(steps(call), ["decide", "execute", "record", "record", "resolve", "validate"], "{found:#?}");
        assert_eq!((&*call.attributes["lockgate.verdict"], &*call.attributes["lockgate.code"]), ("allow", "ok"));
        assert_eq!(call.attributes["lockgate.target"], "traced");
    }
    let held_call =
        calls.iter().find(|call| call.attributes["lockgate.code"] == "pending_approval").expect("it is held");
    assert_eq!(steps(held_call), ["decide", "held", "preview", "record", "resolve", "validate"], "{found:#?}");
    let held = found.iter().find(|span| span.name == "held").expect("it was waited for");
    assert_eq!((held.trace.as_str(), held.parent.as_str()), (TRACE, held_call.id.as_str()));
    let after = under(held);
    assert!(after.contains(&"hold") && after.contains(&"execute") && after.contains(&"record"), "{after:?}");
    // Neither a reason nor an argument, nor a statement.
    let sent: Vec<u8> = receiver.posted().iter().flat_map(|posted| posted.body.to_vec()).collect();
    let sent = String::from_utf8_lossy(&sent);
    for part in ["secret reason", "SELECT", "pg_catalog", &pid.to_string()] {
        assert!(!sent.contains(part), "{part} left");
    }
    drop((served, client));
}

/// Not a test of anything: prints what sending spans costs a call. Run by hand, on a quiet machine, with `--ignored
/// --nocapture`; docs/observability.md has what it said.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn what_observing_costs() {
    let receiver = Receiver::start().await;
    let traces = format!("[observe.traces]\nendpoint = \"http://{}/v1/traces\"\n", receiver.at);
    let limits = "[mcp.limits]\ncalls_per_minute = 1000000\nburst = 1000000\n";
    let hosts = [Watched::new("unseen", limits).await, Watched::new("seen", &format!("{limits}{traces}")).await];
    let served = [hosts[0].serve().await, hosts[1].serve().await];
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..2000 {
        // In turns, so that what else the machine does weighs on both alike.
        for (at, target) in ["unseen", "seen"].into_iter().enumerate() {
            let began = Instant::now();
            served[at].call(&hosts[at].token, "activity_states", target, json!({}), "a measurement").await;
            if round >= 200 {
                times[at].push(began.elapsed());
            }
        }
    }
    for (target, times) in ["without spans", "with spans"].into_iter().zip(&mut times) {
        times.sort_unstable();
        println!("{target}: median {:?}, p90 {:?}", times[times.len() / 2], times[times.len() * 9 / 10]);
    }
    let metrics = lockgate::observe::Metrics::default();
    let rounds = 100_000_u32;
    let began = Instant::now();
    for _ in 0..rounds {
        for step in lockgate::observe::Step::ALL {
            metrics.step_now(step, || ());
        }
        metrics.called(lockgate::observe::CallEnd {
            action: Some("postgres.activity_states"),
            target: Some("seen"),
            verdict: None,
            code: None,
        });
        metrics.store_used(Duration::from_micros(100));
    }
    println!("counting and timing of one call: {:?}", began.elapsed() / rounds);
}
