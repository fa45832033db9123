//! The official conformance suite against `lockgate serve` with both packs and a real server behind it: every scenario of
//! every revision is run, and passes unless it is listed as asking for what lockgate does not have ([`super::exceptions`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use lockgate_tests::{
    clients::{installed, node},
    site::{APPROVER, Site},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use tokio::process::Command;

use super::{
    bridge::{Bridge, Words},
    exceptions::{CHECKS, SCENARIOS},
    page,
};
use crate::{
    door::{Served, free_port},
    order::server,
};
use lockgate::store::Decision;

/// The revisions that the suite has scenarios for and lockgate speaks.
const REVISIONS: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
/// What runs under no revision: the suite's name for scenarios of extensions.
const EXTENSION: &str = "extension";
/// For one run of the suite.
const PATIENCE: Duration = Duration::from_secs(180);
/// A request for so much work is never approved: the suite takes it back.
const ENDLESS: u64 = 30;

/// What the suite's person is asked about.
const POLICY: &str = "version = 1
[[rule]]
name = \"held for the suite\"
actions = [\"postgres.activity_detail\", \"postgres.reindex_concurrent\"]
decision = \"approve\"
";
/// What makes the lists shorter, by the actions of one playbook and with them the playbook.
const LESS: &str = "[[rule]]
name = \"less for the suite\"
actions = [
    \"diagnose.replication_health\",
    \"postgres.backend_holding_xmin\",
    \"postgres.cancel_query\",
    \"postgres.is_in_recovery\",
    \"postgres.longest_running_queries\",
    \"postgres.replication_lag\",
    \"postgres.replication_slots\",
    \"postgres.wal_archive_status\",
    \"postgres.wal_status\",
]
decision = \"deny\"
";

/// How often a scenario that gave warnings is run again.
const AGAIN: u32 = 2;

/// What came of one scenario under one revision: each check that did not succeed, with what the suite says.
type Outcome = Vec<(String, String)>;

#[tokio::test(flavor = "multi_thread")]
async fn the_conformance_suite_passes() {
    let port = free_port();
    let (token, sha256) = lockgate::mcp::token::generate().expect("a token");
    let bridge_origin = free_port();
    let more = format!(
        "policy = \"policy.toml\"\n[mcp]\nhold_seconds = 4\n[mcp.http]\nlisten = \"127.0.0.1:{port}\"\n\
         allowed_origins = [\"http://127.0.0.1:{bridge_origin}\"]\n\
         [[mcp.agent]]\nname = \"suite\"\nperson = \"ada\"\ntoken_sha256 = \"{sha256}\"\n"
    );
    let settings = server().await.target("conforming", "agent", "postgres");
    let table = "CREATE SCHEMA suite AUTHORIZATION agent; SET ROLE agent; CREATE TABLE suite.kept (id int PRIMARY KEY)";
    server().await.execute(table).await.expect("a table of the agent's role");
    let site = Arc::new(Site::with_stock_packs(&[settings], &more).await);
    site.write("policy.toml", POLICY);
    let served = Served::start(&site, port).await;
    let looked = served.call(&token, "uptime", "conforming", json!({}), "looking into ticket 123").await;
    let words = Ours {
        counter: AtomicU64::new(1),
        run: looked["run_id"].as_str().expect("a run").to_owned(),
        site: Arc::clone(&site),
        server: served.id(),
        less: AtomicBool::new(false),
    };
    let bridge = Bridge::start(bridge_origin, port, &token, words).await;
    let person = tokio::spawn(decide(Arc::clone(&site)));

    let url = format!("http://127.0.0.1:{}/mcp", bridge.port);
    let listed = listed().await;
    let mut problems = Vec::new();
    let mut ran = BTreeSet::new();
    for revision in REVISIONS.into_iter().chain([EXTENSION]) {
        for (scenario, mut outcome) in run(&site, &url, revision, None).await {
            let applies = listed.get(&scenario).is_some_and(|revisions| revisions.iter().any(|r| r == revision));
            if !applies {
                continue;
            }
            for again in 1..=AGAIN {
                if !is_late(&judge(&scenario, revision, &outcome)) {
                    break;
                }
                let mut outcomes = run(&site, &url, revision, Some((&scenario, again))).await;
                outcome = outcomes.remove(&scenario).expect("what was asked for");
            }
            problems.extend(judge(&scenario, revision, &outcome));
            ran.insert(scenario);
        }
    }
    for scenario in listed.keys().filter(|scenario| !ran.contains(*scenario)) {
        problems.push(format!("{scenario}: was never run"));
    }
    for (scenario, _) in SCENARIOS.iter().copied().chain(CHECKS.iter().map(|(scenario, check, _)| (*scenario, *check)))
    {
        if !listed.contains_key(scenario) {
            problems.push(format!("{scenario}: is listed as an exception, and the suite has no such scenario"));
        }
    }
    person.abort();
    drop((bridge, served));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    page::is_current(&listed);
}

/// Whether there are warnings and nothing else. The suite warns where something that a server SHOULD send has not come within a
/// second and a half; on a machine that runs other tests beside it that says nothing, until it is so again and again.
fn is_late(problems: &[String]) -> bool {
    !problems.is_empty() && problems.iter().all(|problem| problem.contains(": \"WARNING\""))
}

/// What is wrong with one outcome, in the light of the exceptions.
fn judge(scenario: &str, revision: &str, outcome: &[(String, String)]) -> Vec<String> {
    if SCENARIOS.iter().any(|(name, _)| *name == scenario) {
        let passed = outcome.is_empty();
        return passed
            .then(|| format!("{scenario} ({revision}): passes, and is listed as one that does not apply"))
            .into_iter()
            .collect();
    }
    let excepted = |check: &str| CHECKS.iter().any(|(of, name, _)| *of == scenario && *name == check);
    let wrong = outcome.iter().filter(|(check, _)| !excepted(check));
    let mut problems: Vec<String> =
        wrong.map(|(check, said)| format!("{scenario} ({revision}), {check}: {said}")).collect();
    for (_, check, _) in CHECKS.iter().filter(|(of, ..)| *of == scenario) {
        if !outcome.iter().any(|(name, _)| name == check) {
            problems
                .push(format!("{scenario} ({revision}), {check}: passes, and is listed as one that does not apply"));
        }
    }
    problems
}

/// The suite's own list of what it can ask a server: each scenario with its revisions.
async fn listed() -> BTreeMap<String, Vec<String>> {
    let output = suite(&["list", "--server"]).output().await.expect("the suite can be started");
    let text = String::from_utf8(output.stdout).expect("text");
    let scenarios: BTreeMap<String, Vec<String>> = text
        .lines()
        .filter_map(|line| {
            let (name, revisions) = line.trim().strip_prefix("- ")?.split_once(" [")?;
            Some((name.to_owned(), revisions.trim_end_matches(']').split(',').map(str::to_owned).collect()))
        })
        .collect();
    assert!(scenarios.len() > 50, "the suite's list has changed its form: {text}");
    scenarios
}

/// Runs all scenarios of a revision, or one of them once more, and returns what came of each.
async fn run(site: &Site, url: &str, revision: &str, one: Option<(&str, u32)>) -> BTreeMap<String, Outcome> {
    let (name, which) = match one {
        Some((scenario, again)) => (format!("conformance-{revision}-{scenario}-{again}"), ["--scenario", scenario]),
        None => (format!("conformance-{revision}"), ["--suite", "all"]),
    };
    let results = site.path(&name);
    let out = results.to_str().expect("a path");
    let mut arguments = vec!["server", "--url", url, which[0], which[1], "--output-dir", out];
    if revision != EXTENSION {
        arguments.extend(["--spec-version", revision]);
    }
    let output = tokio::time::timeout(PATIENCE, suite(&arguments).output()).await.expect("the suite ends");
    let output = output.expect("the suite can be started");
    // Its exit code says whether anything failed at all, which is looked into here one by one.
    assert!(results.is_dir(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut outcomes = BTreeMap::new();
    for entry in fs::read_dir(&results).expect("its results") {
        let path = entry.expect("a result").path();
        outcomes.insert(scenario_of(&path), outcome_in(&path.join("checks.json")));
    }
    outcomes
}

/// From `server-NAME-2026-01-01T00-00-00-000Z`.
fn scenario_of(directory: &Path) -> String {
    const TIME: usize = "-2026-01-01T00-00-00-000Z".len();
    let name = directory.file_name().and_then(|name| name.to_str()).expect("a name");
    name.get(..name.len() - TIME).and_then(|name| name.strip_prefix("server-")).expect("a result's name").to_owned()
}

/// The checks that did not succeed. What was skipped counts, and so does a warning: each has to be accounted for.
fn outcome_in(file: &Path) -> Outcome {
    let checks: Json = serde_json::from_slice(&fs::read(file).expect("the checks")).expect("JSON");
    let checks = checks.as_array().expect("a list");
    assert!(!checks.is_empty(), "{}: nothing was checked", file.display());
    let failed =
        checks.iter().filter(|check| !["SUCCESS", "INFO"].contains(&check["status"].as_str().unwrap_or_default()));
    failed
        .map(|check| {
            let said = format!("{} {} {}", check["status"], check["errorMessage"], check["details"]);
            (check["id"].as_str().expect("an id").to_owned(), said.chars().take(600).collect())
        })
        .collect()
}

fn suite(arguments: &[&str]) -> Command {
    let mut command = Command::new(node());
    command.arg(installed("js/node_modules/@modelcontextprotocol/conformance/dist/index.js")).args(arguments);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// The suite's tools, prompts and resources in lockgate's words.
struct Ours {
    counter: AtomicU64,
    /// A run whose record speaks of 123.
    run: String,
    site: Arc<Site>,
    server: Pid,
    /// Whether the lists are the shorter ones now.
    less: AtomicBool,
}

impl Ours {
    /// A call that policy holds, each unlike the others. The reason tells the person who decides how long to take.
    fn held(&self, seconds: u64) -> (String, Json) {
        let limit = self.counter.fetch_add(1, Ordering::Relaxed) % 200 + 1;
        (
            "postgres.activity_detail".into(),
            json!({ "limit": limit, "reason": format!("the suite asks, {seconds} seconds") }),
        )
    }
}

impl Ours {
    /// Another policy, by which the agent is shown more or less than before, read again at once.
    fn change_the_lists(&self) {
        let less = !self.less.fetch_xor(true, Ordering::Relaxed);
        self.site.write("policy.new", &if less { format!("{POLICY}{LESS}") } else { POLICY.to_owned() });
        fs::rename(self.site.path("policy.new"), self.site.path("policy.toml")).expect("another policy");
        kill_process(self.server, Signal::HUP).expect("the server is told");
    }
}

impl Words for Ours {
    fn tool(&self, name: &str, arguments: &Json) -> Option<(String, Json)> {
        let read = ("postgres.uptime".to_owned(), json!({ "reason": "the suite asks for a read" }));
        Some(match name {
            "test_simple_text" | "test_logging_tool" | "test_streaming_elicitation" | "test_reconnection" | "greet" => {
                read
            }
            "test_trigger_tool_change" | "test_trigger_prompt_change" => {
                self.change_the_lists();
                read
            }
            "test_error_handling" => ("postgres.uptime".to_owned(), json!({ "reason": "short" })),
            "test_tool_with_progress" => self.held(ENDLESS),
            // Held, decided, and a notice of what came of it.
            "test_tool_with_logging" => (
                "postgres.reindex_concurrent".to_owned(),
                json!({ "schema": "suite", "index": "kept_pkey", "reason": "the suite asks, 1 seconds" }),
            ),
            "slow_compute" => self.held(arguments["seconds"].as_u64().unwrap_or(0)),
            // Whoever decides this denies it.
            "failing_job" => {
                let (name, mut arguments) = self.held(0);
                arguments["reason"] = "the suite asks for a failure".into();
                (name, arguments)
            }
            _ => return None,
        })
    }

    fn prompt(&self, name: &str) -> Option<(String, Json)> {
        match name {
            "test_simple_prompt" => Some(("lock_pileup".into(), json!({}))),
            // A completion is asked for of one of its arguments.
            "test_prompt_with_arguments" => Some(("lock_pileup".into(), json!({ "target": "conforming" }))),
            _ => None,
        }
    }

    fn resource(&self, uri: &str) -> Option<String> {
        match uri {
            "test://static-text" => Some("lockgate://targets".into()),
            "test://template/123/data" => Some(format!("lockgate://runs/{}", self.run)),
            _ => None,
        }
    }
}

/// The person who decides what the suite asks for: after as many seconds as the reason says, and never if they are too many.
async fn decide(site: Arc<Site>) {
    loop {
        for approval in site.pending() {
            let reason = &approval.request.reason;
            let seconds = reason.split(' ').rev().nth(1).and_then(|word| word.parse::<u64>().ok());
            let waited = Timestamp::now().duration_since(approval.created_at).as_secs().unsigned_abs();
            let decision = match seconds {
                None => Decision::Deny,
                Some(seconds) if seconds < ENDLESS && waited >= seconds => Decision::Approve,
                Some(_) => continue,
            };
            // It may have been taken back in between.
            drop(site.decide(&approval.id, decision, APPROVER).await);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
