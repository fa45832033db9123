//! The incident with clients of others: the official SDKs, over both transports, in both eras of the protocol. The stage is
//! the one of the story, the person is at the command line, and the record has every run.

use std::time::Instant;

use lockgate_tests::{clients::Script, site::Site};
use serde_json::{Value as Json, json};

use crate::{
    door::{Served, free_port},
    process::succeeds,
    record::{in_order, only},
    stage::{PATIENCE, Stage, WRITERS},
    story::os_user,
};

/// The script, how it speaks, the transport, and the revision that the two must agree on, where the SDK tells it.
const RUNS: [(&str, &str, &str, Option<&str>); 8] = [
    ("incident.mjs", "v2", "stdio", Some("2026-07-28")),
    ("incident.mjs", "v2", "http", Some("2026-07-28")),
    ("incident.mjs", "v2-legacy", "http", Some("2025-11-25")),
    ("incident.mjs", "v1", "stdio", None),
    ("incident.mjs", "v1", "http", Some("2025-11-25")),
    ("incident.py", "auto", "stdio", Some("2026-07-28")),
    ("incident.py", "auto", "http", Some("2026-07-28")),
    ("incident.py", "legacy", "stdio", Some("2025-11-25")),
];

#[tokio::test(flavor = "multi_thread")]
async fn official_sdks_live_through_the_incident() {
    let stage = Stage::build().await;
    let port = free_port();
    let (token, sha256) = lockgate::mcp::token::generate().expect("a token");
    let more = format!(
        "[mcp]\nhold_seconds = 2\n[mcp.http]\nlisten = \"127.0.0.1:{port}\"\n\
         [[mcp.agent]]\nname = \"runbook\"\nperson = \"ada\"\ntoken_sha256 = \"{sha256}\"\n"
    );
    let site = Site::with_stock_pack(&stage.targets(), &more).await;
    let served = Served::start(&site, port).await;
    for (script, way, transport, revision) in RUNS {
        let began = Instant::now();
        let mut arguments = vec![way.to_owned(), transport.to_owned()];
        if transport == "http" {
            arguments.push(format!("http://127.0.0.1:{port}/mcp"));
        } else {
            let config = site.path("lockgate.toml").to_str().expect("a path").to_owned();
            arguments.extend([
                env!("CARGO_BIN_EXE_lockgate_cli").to_owned(),
                "mcp".to_owned(),
                "--config".to_owned(),
                config,
            ]);
        }
        let (crashed, head) = stage.crash().await;
        let mut writers = stage.writers().await;
        let start = if script.ends_with(".py") { Script::python } else { Script::javascript };
        let mut agent = start(script, &arguments, &token);

        let held = up_to_the_request(&mut agent, head, revision).await;
        assert!(writers.try_join_next().is_none(), "a writer went on though nobody has decided");
        let (approval, digest) = (text(&held, "approval_id"), text(&held, "digest"));
        succeeds(&site, &["approvals", "approve", &approval, "--digest", &digest]).await;

        let done = agent.hears("answered").await;
        assert_eq!((&done["status"], &done["approved_by"]), (&json!("done"), &json!(os_user())), "{done}");
        for _ in 0..WRITERS {
            let joined = tokio::time::timeout(PATIENCE, writers.join_next()).await.expect("the writers go on");
            assert_eq!(joined.expect("a writer").expect("its end"), 1, "an update of one row is committed");
        }
        assert_eq!(agent.hears("after").await["waiting"], 0);
        agent.ends().await;
        drop(crashed);
        record_has_it(&site, &held, transport);
        println!("{script} {way} {transport}: {:?}", began.elapsed());
    }
    drop(served);
    assert!(site.verify_record().intact);
}

/// Connecting, looking, and asking: what it heard is what there is.
async fn up_to_the_request(agent: &mut Script, head: i64, revision: Option<&str>) -> Json {
    let connected = agent.hears("connected").await;
    if let Some(revision) = revision {
        assert_eq!(connected["revision"], revision, "{connected}");
    }
    assert!(connected["instructions"].as_str().is_some_and(|text| text.contains("`reason`")), "{connected}");
    let tools = agent.hears("tools").await;
    for tool in ["postgres.lock_blocking_chains", "postgres.terminate_backend", "lockgate.await_approval"] {
        assert!(tools["names"].as_array().is_some_and(|names| names.contains(&json!(tool))), "{tools}");
    }
    let found = agent.hears("head").await;
    assert_eq!(
        (&found["pid"], &found["waiting"], &found["application"]),
        (&json!(head), &json!(WRITERS), &json!("migrate-svc"))
    );
    let held = agent.hears("pending").await;
    let heard = held["heard"].as_array().expect("a list");
    assert!(!heard.is_empty(), "it waited without a sign of progress: {held}");
    assert!(heard.is_sorted_by(|a, b| a["progress"].as_f64() < b["progress"].as_f64()), "{heard:?}");
    assert_eq!(held["next"]["tool"], "lockgate.await_approval", "{held}");
    held
}

/// Asked, approved by the person, used once, done: in this order, and by the agent that this transport is configured to have.
fn record_has_it(site: &Site, held: &Json, transport: &str) {
    let lines = site.record();
    let (run, approval) = (&held["run_id"], &held["approval_id"]);
    let intent = only(&lines, "call.intent", &[("run", run)]);
    let asked = only(&lines, "approval.requested", &[("run", run), ("approval", approval)]);
    let decided = only(&lines, "approval.decided", &[("approval", approval)]);
    let consumed = only(&lines, "approval.consumed", &[("run", run)]);
    let outcome = only(&lines, "call.outcome", &[("run", run)]);
    in_order(&[intent, asked, decided, consumed, outcome]);
    let agent = if transport == "http" { "runbook" } else { "claude" };
    assert_eq!((&intent["agent"], &intent["door"]), (&json!(agent), &json!(transport)));
    assert_eq!((&consumed["approved_by"], &outcome["status"]), (&json!(os_user()), &json!("succeeded")));
}

fn text(answer: &Json, member: &str) -> String {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member} in {answer}")).to_owned()
}
