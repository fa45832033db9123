//! Many who look while many calls wait: two hundred open inboxes, fifty held calls of agents, and how soon each decision is in
//! every one of them.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use lockgate::{mcp::token, store::Decision};
use rmcp::{
    ServiceExt as _,
    model::CallToolRequestParams,
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    browser::Browser,
    host::{ACTION, Host, PATIENCE},
    live::{EACH, Stream},
};

/// People with as many open inboxes as one may have: two hundred in all.
const PEOPLE: usize = 5;
/// Agents, and calls of each that wait for people: fifty in all.
const AGENTS: usize = 2;
const HELD: usize = 25;
/// How many of those are decided while everybody looks.
const DECISIONS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_open_inboxes_see_each_decision_soon_while_fifty_calls_wait() {
    let tokens: Vec<_> = (0..AGENTS).map(|_| token::generate().expect("a token")).collect();
    let mut more = "[mcp]\nhold_seconds = 600\n".to_owned();
    for (number, (_, digest)) in tokens.iter().enumerate() {
        more += &format!("[[mcp.agent]]\nname = \"agent{number}\"\nperson = \"ada\"\ntoken_sha256 = \"{digest}\"\n");
    }
    let host = Host::new("crowd", None, &more).await;
    let mut inboxes = Vec::new();
    for number in 0..PEOPLE {
        let browser = host.person(&format!("viewer{number}"), "viewer", &[]).await;
        for _ in 0..EACH {
            inboxes.push((Stream::open(&host, &browser).await, browser.clone()));
        }
    }
    let at_rest = Used::by(host.server_id());
    let (_victims, _agents) =
        wait_for_people(&host, &tokens.into_iter().map(|(token, _)| token).collect::<Vec<_>>()).await;
    let ids: BTreeSet<String> = host.site.pending().into_iter().map(|approval| approval.id).collect();
    assert_eq!(ids.len(), AGENTS * HELD);
    let (saw, mut seen) = mpsc::unbounded_channel();
    for (stream, browser) in inboxes {
        tokio::spawn(look(stream, browser, ids.clone(), saw.clone()));
    }
    for _ in 0..PEOPLE * EACH {
        assert_eq!(timeout(PATIENCE, seen.recv()).await.expect("in time").expect("it looks").0, 0);
    }

    let (before, began) = (Used::by(host.server_id()), Instant::now());
    let (mut took, mut slowest) = (Vec::new(), Vec::new());
    for (number, id) in ids.iter().take(DECISIONS).enumerate() {
        host.site.decide(id, Decision::Deny, "grace").await.expect("it counts");
        let decided = Instant::now();
        for _ in 0..PEOPLE * EACH {
            let (shown, at) = timeout(PATIENCE, seen.recv()).await.expect("in time").expect("it looks");
            assert_eq!(shown, number + 1);
            took.push(at.saturating_duration_since(decided));
        }
        slowest.push(took[took.len() - PEOPLE * EACH..].iter().max().copied().unwrap_or_default().as_millis());
    }
    let (after, wall) = (Used::by(host.server_id()), began.elapsed());
    took.sort_unstable();
    assert_eq!(took.len(), PEOPLE * EACH * DECISIONS);
    let at = |share: usize| took[(took.len() * share).div_ceil(100) - 1];
    println!("{DECISIONS} decisions, {} open inboxes, {} held calls", PEOPLE * EACH, AGENTS * HELD);
    println!("from the decision to its place in an inbox: p50 {:?}, p99 {:?}, last {:?}", at(50), at(99), at(100));
    println!("the last inbox of each decision, in ms: {slowest:?}");
    let cpu = after.cpu.saturating_sub(before.cpu);
    println!("the server: {cpu:?} of CPU in {wall:?}, {:?} a decision", cpu / u32::try_from(DECISIONS).expect("few"));
    println!("resident: {} KiB without calls, {} with them, {} at the end", at_rest.kib, before.kib, after.kib);
    // The machine of the tests is shared; what was measured by itself is in docs/performance.md.
    assert!(at(99) < Duration::from_secs(5), "p99 {:?}", at(99));
    host.close().await;
}

/// Agents over HTTP whose calls wait, each for a session of its own.
async fn wait_for_people(host: &Host, tokens: &[String]) -> (Vec<impl Sized + use<>>, Vec<impl Sized + use<>>) {
    // The client wants one though it never speaks TLS here. Whoever was first has installed the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (mut victims, mut agents) = (Vec::new(), Vec::new());
    for token in tokens {
        let address = format!("http://{}/mcp", host.agents);
        let config = StreamableHttpClientTransportConfig::with_uri(address).auth_header(token.clone());
        let agent = ().serve(StreamableHttpClientTransport::from_config(config)).await.expect("a client");
        for _ in 0..HELD {
            let victim = host.victim("crowd").await;
            let arguments = json!({ "pid": victim.pid, "reason": "it blocks thirty writers" });
            let params =
                CallToolRequestParams::new(ACTION).with_arguments(arguments.as_object().expect("an object").clone());
            let peer = agent.peer().clone();
            tokio::spawn(async move { peer.call_tool(params).await });
            victims.push(victim);
        }
        agents.push(agent);
    }
    let until = Instant::now() + PATIENCE;
    while host.site.pending().len() < AGENTS * HELD {
        assert!(Instant::now() < until, "{} wait", host.site.pending().len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (victims, agents)
}

/// An open inbox: once everything that waits is known, at each change of it, the part of the page that shows it is had anew, as a
/// browser does; how many of them it no longer shows as waiting, and when.
async fn look(
    mut stream: Stream,
    mut browser: Browser,
    mut news: BTreeSet<String>,
    saw: mpsc::UnboundedSender<(usize, Instant)>,
) {
    let ids = news.clone();
    while !news.is_empty() {
        news.remove(&stream.changed().await);
    }
    let _ = saw.send((0, Instant::now()));
    let mut told = 0;
    while told < DECISIONS {
        if !ids.contains(&stream.changed().await) {
            continue;
        }
        let part = browser.get("/inbox/part").await;
        assert_eq!(part.status, 200, "{}", part.body);
        let shown = ids.len() - waiting(&part.body);
        // A request changes more than once in its life.
        if shown > told {
            told = shown;
            let _ = saw.send((shown, Instant::now()));
        }
    }
}

/// How many requests an inbox says that wait.
fn waiting(body: &str) -> usize {
    let said = body.split_once(" requests wait").unwrap_or_else(|| panic!("how many wait? {body}")).0;
    said.rsplit(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).expect("a number")
}

/// What the kernel says of a process.
struct Used {
    cpu: Duration,
    kib: u64,
}

impl Used {
    fn by(process: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process is there");
        // After the name, which ends at the last parenthesis: `utime` and `stime` are the 12th and 13th (proc(5)), in ticks of which
        // user space sees a hundred a second on every Linux.
        let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("ticks")).sum();
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its resident memory");
        let kib = resident.trim().trim_end_matches(" kB").trim().parse().expect("a number");
        Self { cpu: Duration::from_millis(ticks * 10), kib }
    }
}
