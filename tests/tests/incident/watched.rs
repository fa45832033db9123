//! `lockgate approvals watch`: requests and decisions as they come, a quiet end, and nothing that could approve.

use std::{process::Stdio, time::Duration};

use lockgate::store::{Decision, State};
use lockgate_tests::site::Site;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};

use crate::{
    agent::{Agent, pending},
    order::{site, victim},
    process::lockgate,
};

const PATIENCE: Duration = Duration::from_secs(60);

struct Watching {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn start(site: &Site, more: &[&str]) -> Self {
        let mut command = lockgate(site);
        command.args(["approvals", "watch"]).args(more).stdin(Stdio::piped());
        let mut process = command.spawn().expect("lockgate starts");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        Self { process, lines }
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("a line comes");
        line.expect("it can be read").expect("it goes on")
    }

    fn pid(&self) -> Pid {
        self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it runs")
    }
}

async fn ask(agent: &Agent, target: &str) -> (String, tokio_postgres::Client) {
    let (client, pid) = victim().await;
    let held = agent.call("terminate_backend", target, json!({ "pid": pid }), "a test of watching").await;
    (pending(&held), client)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_decisions_are_shown_as_they_come_and_no_input_decides() {
    let site = site("watched").await;
    let agent = Agent::start(&site).await;
    let (first, _one) = ask(&agent, "watched").await;
    let mut watching = Watching::start(&site, &["--bell"]);
    let line = watching.line().await;
    for part in ["  waiting ", &first, "high", "postgres.terminate_backend on watched", "claude for ada", " left | "] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // Whatever is typed, or pasted, or comes from a script.
    let mut input = watching.process.stdin.take().expect("its input");
    input.write_all(format!("approve\ny\nyes\n{first}\napprove {first}\n").as_bytes()).await.expect("it is typed");
    let (second, _two) = ask(&agent, "watched").await;
    let line = watching.line().await;
    assert!(line.contains("  requested ") && line.contains(&second), "{line}");
    site.decide(&second, Decision::Deny, "grace").await.expect("it is denied");
    let line = watching.line().await;
    assert!(line.contains("  denied ") && line.contains(&second) && line.contains("by grace"), "{line}");
    let waits: Vec<_> = site.pending().into_iter().map(|approval| (approval.id, approval.state)).collect();
    assert_eq!(waits, [(first, State::Pending)], "what was typed decided nothing");

    kill_process(watching.pid(), Signal::INT).expect("it is there");
    let mut stderr = watching.process.stderr.take().expect("its errors");
    let status = tokio::time::timeout(PATIENCE, watching.process.wait()).await.expect("it ends").expect("a status");
    assert!(status.success(), "{status}");
    let mut said = String::new();
    stderr.read_to_string(&mut said).await.expect("its errors");
    assert_eq!(said, "\u{7}\u{7}", "a bell for each that asks for a decision, and nothing else");
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_are_whole_and_a_reader_that_goes_away_ends_it() {
    let site = site("watchedjson").await;
    let agent = Agent::start(&site).await;
    let mut watching = Watching::start(&site, &["--json"]);
    let (id, _client) = ask(&agent, "watchedjson").await;
    let line: Json = serde_json::from_str(&watching.line().await).expect("JSON");
    assert!(line["event"] == "requested" || line["event"] == "waiting", "{line}");
    assert_eq!(
        (&line["approval"], &line["target"], &line["risk"]),
        (&json!(id), &json!("watchedjson"), &json!("high"))
    );
    site.approve(&id).await;
    let mut events = Vec::new();
    while events.last() != Some(&json!("succeeded")) {
        let line: Json = serde_json::from_str(&watching.line().await).expect("JSON");
        events.push(line["event"].clone());
    }
    assert_eq!(events, ["approved", "consumed", "succeeded"], "each, however quickly it passed");
    // Nobody reads any more, and nothing happens either: it ends all the same.
    drop(watching.lines);
    let status = tokio::time::timeout(PATIENCE, watching.process.wait()).await.expect("it ends").expect("a status");
    assert!(status.success(), "{status}");
    agent.close().await;
}
