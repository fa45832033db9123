//! The migration that died holding a lock, told over real processes: the agent on `lockgate mcp`, another on
//! `lockgate serve`, the person on the command line, and the record of it all afterwards.

use std::time::{Duration, Instant};

use lockgate_tests::site::Site;
use serde_json::{Value as Json, json};
use tokio_postgres::Client;

use crate::{
    agent::{Agent, pending, rows},
    door::{Served, free_port},
    process::{lockgate, run, succeeds},
    record::{all, in_order, only},
    stage::{PATIENCE, STRAGGLERS, Stage, WRITERS},
    standby,
};

const LOOKING: &str = "API writes time out since 02:14; looking for what they wait for";
const SEVER: &str = "crashed migrate-svc left an idle FOR UPDATE transaction blocking 30 writers";
const SWEEP: &str = "clear the remaining idle-in-transaction backends of the failed migrate-svc deploy";
/// The least that `kill_idle` takes.
const IDLE_SECONDS: i64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn the_migration_that_died_holding_a_lock() {
    let stage = Stage::build().await;
    // First of all: they must have idled for a minute before they may be swept.
    let stragglers = stage.stragglers().await;
    let port = free_port();
    let (token, sha256) = lockgate::mcp::token::generate().expect("a token");
    let more = format!(
        "[record]\nexport = \"checkpoints.txt\"\n[mcp]\nhold_seconds = 1\n[mcp.http]\nlisten = \"127.0.0.1:{port}\"\n\
         [[mcp.agent]]\nname = \"runbook\"\nperson = \"ada\"\ntoken_sha256 = \"{sha256}\"\n"
    );
    let site = Site::with_stock_pack(&stage.targets(), &more).await;
    let (_crashed, head) = stage.crash().await;
    let mut writers = stage.writers().await;

    let agent = Agent::start(&site).await;
    let tools = agent.tools().await;
    for tool in ["postgres.terminate_backend", "postgres.kill_idle", "lockgate.await_approval"] {
        assert!(tools.iter().any(|t| t == tool), "{tools:?}");
    }
    assert!(!tools.iter().any(|t| t.contains("exec") || t.contains("sql")), "{tools:?}");
    investigate(&agent, head).await;

    let held = agent.call("terminate_backend", "primary", json!({ "pid": head }), SEVER).await;
    let severed = Held { approval: pending(&held), run: run_of(&held), digest: text(&held, "digest") };
    // The process that asked dies while nobody has decided; a new one takes the call up again, and both times it waits.
    agent.kill().await;
    let agent = Agent::start(&site).await;
    assert_eq!(pending(&agent.await_approval(&severed.approval, 0).await), severed.approval);
    assert_eq!(writers.try_join_next().map(|_| ()), None, "a writer went on though nobody has decided");

    decide(&site, &severed, head).await;
    let done = agent.await_approval(&severed.approval, 50).await;
    assert_eq!((&done["status"], &done["approved_by"]), (&json!("done"), &json!(os_user())), "{done}");
    for _ in 0..WRITERS {
        let joined = tokio::time::timeout(PATIENCE, writers.join_next()).await.expect("the writers go on");
        assert_eq!(joined.expect("a writer").expect("its end"), 1, "an update of one row is committed");
    }

    let served = Served::start(&site, port).await;
    standby::reads_answer_acts_work_and_maintenance_is_refused(&stage, &site, &served, &token).await;
    let swept = sweep(&agent, &site, &stragglers).await;
    agent.close().await;
    drop(served);
    record_has_the_story(&site, &severed, &swept, head).await;
    record_verifies(&site).await;
}

/// A call that was held.
struct Held {
    approval: String,
    run: String,
    digest: String,
}

fn run_of(answer: &Json) -> String {
    text(answer, "run_id")
}

fn text(answer: &Json, member: &str) -> String {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member} in {answer}")).to_owned()
}

/// The person at the command line.
pub fn os_user() -> String {
    let output = std::process::Command::new("id").arg("-un").output().expect("id can be run");
    String::from_utf8(output.stdout).expect("a name").trim().to_owned()
}

/// From the symptom to the head of the chain, by reads that nobody has to approve.
async fn investigate(agent: &Agent, head: i64) {
    let states = rows(&agent.call("activity_states", "primary", json!({}), LOOKING).await);
    let of = |state: &str| states.iter().find(|row| row["state"] == state).cloned().unwrap_or_default();
    assert_eq!(of("active")["waiting_for_lock"], WRITERS, "{states:?}");
    assert_eq!(of("idle in transaction")["backends"], STRAGGLERS + 1, "{states:?}");

    let chains = rows(&agent.call("lock_blocking_chains", "primary", json!({}), LOOKING).await);
    assert_eq!(chains.len(), WRITERS);
    assert!(chains.iter().all(|row| row["head_pid"] == head), "{chains:?}");

    let idle = rows(&agent.call("idle_in_transaction", "primary", json!({}), LOOKING).await);
    assert_eq!(idle.len(), STRAGGLERS + 1);
    let row = idle.iter().find(|row| row["pid"] == head).expect("the head is among them");
    assert_eq!((&row["user_name"], &row["application"]), (&json!("deploy"), &json!("migrate-svc")));
    assert!(text(row, "last_query").ends_with("FOR UPDATE"), "{row}");

    let detail = rows(&agent.call("activity_detail", "primary", json!({ "limit": 200 }), LOOKING).await);
    let row = detail.iter().find(|row| row["pid"] == head).expect("the head is among them");
    assert_eq!((&row["wait_event_type"], &row["wait_event"]), (&json!("Client"), &json!("ClientRead")));
}

/// The person looks at what waits, reads it, and approves what they saw; from processes of their own.
async fn decide(site: &Site, held: &Held, head: i64) {
    let listed = succeeds(site, &["approvals", "list", "--json"]).await;
    let lines: Vec<Json> = listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 1, "{listed}");
    assert_eq!((&lines[0]["id"], &lines[0]["digest"]), (&json!(held.approval), &json!(held.digest)));
    assert_eq!(lines[0]["state_now"], "pending");

    let shown = succeeds(site, &["approvals", "show", &held.approval]).await;
    for part in
        ["postgres.terminate_backend", "primary", &head.to_string(), "blocks 30 other sessions", SEVER, "claude"]
    {
        assert!(shown.contains(part), "`{part}` is not shown: {shown}");
    }
    let said = succeeds(site, &["approvals", "approve", &held.approval, "--digest", &held.digest]).await;
    assert_eq!(said, format!("{} approved by {}\n", held.approval, os_user()));
    // One decision, one use: it can't be given twice.
    let again = run(lockgate(site).args(["approvals", "approve", &held.approval, "--digest", &held.digest])).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.starts_with("error[approval_closed]: "), "{again:?}");
}

/// Ends what the failed deploy left behind, once all of it has idled for long enough.
async fn sweep(agent: &Agent, site: &Site, stragglers: &[Client]) -> Held {
    let until = Instant::now() + PATIENCE + Duration::from_secs(30);
    loop {
        let idle = rows(&agent.call("idle_in_transaction", "primary", json!({}), SWEEP).await);
        assert_eq!(idle.len(), STRAGGLERS, "{idle:?}");
        if idle.iter().all(|row| row["idle_seconds"].as_i64() > Some(IDLE_SECONDS)) {
            break;
        }
        assert!(Instant::now() < until, "they don't grow older: {idle:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let arguments = json!({ "older_than_seconds": IDLE_SECONDS });
    let held = agent.call("kill_idle", "primary", arguments, SWEEP).await;
    let held = Held { approval: pending(&held), run: run_of(&held), digest: text(&held, "digest") };
    let shown = succeeds(site, &["approvals", "show", &held.approval, "--json"]).await;
    let shown: Json = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["request"]["evidence"]["tables"][0]["rows"]["rows"].as_array().map(Vec::len), Some(STRAGGLERS));
    succeeds(site, &["approvals", "approve", &held.approval, "--digest", &held.digest]).await;
    let done = agent.await_approval(&held.approval, 50).await;
    assert_eq!(done["status"], "done", "{done}");

    // What was told to end rolls back first.
    let until = Instant::now() + PATIENCE;
    loop {
        let left = rows(&agent.call("idle_in_transaction", "primary", json!({}), "checking what is left").await);
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < until, "{left:?}");
    }
    for straggler in stragglers {
        straggler.simple_query("SELECT 1").await.expect_err("its session is gone");
    }
    held
}

/// Who asked what and why, what was shown, who decided on which digest, what was used and what came of it, in this order.
async fn record_has_the_story(site: &Site, severed: &Held, swept: &Held, head: i64) {
    let lines = site.record();
    for (held, action, reason) in [(severed, "terminate_backend", SEVER), (swept, "kill_idle", SWEEP)] {
        let (run, approval) = (json!(held.run), json!(held.approval));
        let intent = only(&lines, "call.intent", &[("run", &run)]);
        let asked = only(&lines, "approval.requested", &[("run", &run), ("approval", &approval)]);
        let vote = vote_that_counted(&lines, held);
        let decided = only(&lines, "approval.decided", &[("approval", &approval)]);
        let consumed = only(&lines, "approval.consumed", &[("run", &run)]);
        let outcome = only(&lines, "call.outcome", &[("run", &run)]);
        in_order(&[intent, asked, vote, decided, consumed, outcome]);

        assert_eq!(intent["action"], format!("postgres.{action}"));
        assert_eq!(
            (&intent["agent"], &intent["person"], &intent["door"]),
            (&json!("claude"), &json!("ada"), &json!("stdio"))
        );
        assert_eq!((&intent["verdict"], &intent["reason"]), (&json!("approve"), &json!(reason)));
        assert_eq!((&vote["person"], &vote["decision"]), (&json!(os_user()), &json!("approve")));
        assert_eq!(decided["state"], "approved");
        for line in [asked, consumed] {
            assert_eq!(line["digest"], held.digest);
            assert_eq!(line["pins"], asked["pins"], "what was shown is what was used");
        }
        assert_eq!(consumed["approved_by"], os_user());
        assert_eq!(outcome["status"], "succeeded");
        let acts: Vec<&Json> =
            outcome["executed"].as_array().expect("a list").iter().filter(|e| e["mode"] == "act").collect();
        assert_eq!(acts.len(), 1, "{outcome}");
        assert_eq!(acts[0]["statement"], action);
    }
    let asked = only(&lines, "approval.requested", &[("approval", &json!(severed.approval))]);
    assert!(asked["pins"].to_string().contains(&head.to_string()), "{asked}");
}

/// The first vote; another came too late, was refused, and is on the record as well.
fn vote_that_counted<'a>(lines: &'a [Json], held: &Held) -> &'a Json {
    let (approval, digest) = (json!(held.approval), json!(held.digest));
    let votes: Vec<&Json> = all(lines, "approval.vote", &[("approval", &approval), ("digest", &digest)]).collect();
    let refused = all(lines, "approval.vote_refused", &[("approval", &approval)]).count();
    assert_eq!(votes.len(), refused + 1, "every vote but one was refused");
    votes[0]
}

/// Anybody who has the files and the public key can check them, with the checkpoints that were kept elsewhere too.
async fn record_verifies(site: &Site) {
    let key = succeeds(site, &["audit", "key"]).await;
    let checkpoints = site.path("checkpoints.txt");
    let checkpoints = checkpoints.to_str().expect("a path");
    let said = succeeds(site, &["audit", "verify", "--checkpoint", checkpoints]).await;
    assert!(said.contains(": intact\n"), "{said}");
    let bundle = site.path("bundle");
    let bundle = bundle.to_str().expect("a path");
    succeeds(site, &["audit", "export", bundle]).await;
    let said = run(crate::process::bare().args(["audit", "verify-export", bundle, "--key", key.trim()])).await;
    assert_eq!(said.code, 0, "{said:?}");
    let exported: Json = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(exported["first"], 1, "{exported}");

    // One letter of one exported line changed, and it does not verify any more.
    let lines = site.path("bundle").join("lines.jsonl");
    let changed = std::fs::read_to_string(&lines).expect("the lines").replacen("claude", "claudo", 1);
    std::fs::write(&lines, changed).expect("it is written");
    let said = run(crate::process::bare().args(["audit", "verify-export", bundle, "--key", key.trim()])).await;
    assert_eq!(said.code, 1, "{said:?}");
}
