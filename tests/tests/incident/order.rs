//! The order of record and effect, on a real disk: nothing is sent before its intent is durable, and once a line could not
//! be made durable nothing is sent any more until lockgate is started anew.

use std::{
    fs::{self, File},
    path::PathBuf,
    time::{Duration, Instant},
};

use lockgate::{
    audit::Entry,
    postgres::throwaway::{Cluster, Options},
    startup::State,
};
use lockgate_tests::site::Site;
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Resource, Rlimit, getrlimit, prlimit},
};
use serde_json::{Value as Json, json};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

use crate::{
    agent::{Agent, pending, rows},
    process::{on_a_full_disk, succeeds},
    record::only,
    server_log::executions,
};

const WHY: &str = "a test looks at the order of things";

/// One server for these tests, which logs what it is asked. Its clock and ours are one, and its log says it in UTC.
pub async fn server() -> &'static Cluster {
    static SERVER: OnceCell<Cluster> = OnceCell::const_new();
    SERVER
        .get_or_init(async || {
            let conf = vec!["log_timezone = 'UTC'".to_owned(), "max_connections = 200".to_owned()];
            let cluster = Cluster::primary(Options { log_statements: true, conf, ..Options::default() });
            let cluster = cluster.start().await.expect("a server");
            let roles = "CREATE ROLE agent LOGIN IN ROLE pg_monitor, pg_signal_backend; CREATE ROLE app LOGIN";
            cluster.execute(roles).await.expect("roles");
            cluster
        })
        .await
}

/// A host with one target of this name on that server.
pub async fn site(target: &str) -> Site {
    let settings = server().await.target(target, "agent", "postgres");
    Site::with_stock_pack(&[settings], "[mcp]\nhold_seconds = 0\n").await
}

/// A session that may be ended, and its backend's pid.
pub async fn victim() -> (Client, i32) {
    let mut config = server().await.superuser();
    config.user("app").application_name("victim");
    let (client, connection) = config.connect(NoTls).await.expect("a session");
    tokio::spawn(connection);
    let row = client.query_one("SELECT pg_catalog.pg_backend_pid()", &[]).await.expect("a row");
    let pid = row.get(0);
    (client, pid)
}

fn segment(site: &Site) -> PathBuf {
    site.config().record_dir().join("record-00000001.jsonl")
}

async fn look(agent: &Agent, target: &str) -> Json {
    agent.call("activity_states", target, json!({}), WHY).await
}

/// How often the statement of [`look`] was executed. What the host asks by itself, how its targets are, is no one's call.
async fn looks(target: &str) -> usize {
    executions(server().await, target).iter().filter(|e| e.sql.contains("AS waiting_for_lock")).count()
}

/// What was sent that does something.
async fn acts(target: &str) -> usize {
    executions(server().await, target).iter().filter(|e| e.sql.contains("pg_terminate_backend(")).count()
}

fn assert_unrecorded(answer: &Json) {
    assert_eq!((&answer["status"], &answer["code"]), (&json!("refused"), &json!("record_unavailable")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_until_its_intent_is_on_disk() {
    let site = site("ordered").await;
    let agent = Agent::start(&site).await;
    let lock = File::options().write(true).open(site.config().record_dir().join("lock")).expect("the record's lock");
    flock(&lock, FlockOperation::LockExclusive).expect("it can be taken");

    let mut call = Box::pin(look(&agent, "ordered"));
    // Long beside the milliseconds that the statement takes; the intent can't be written in that time.
    let early = tokio::time::timeout(Duration::from_secs(1), call.as_mut()).await;
    assert!(early.is_err(), "it was answered without a record: {early:?}");
    assert_eq!(looks("ordered").await, 0, "it was sent before its intent was durable");

    let freed = jiff::Timestamp::now();
    flock(&lock, FlockOperation::Unlock).expect("it can be given back");
    rows(&call.await);
    let lines = site.record();
    let intent = only(&lines, "call.intent", &[("action", &json!("postgres.activity_states"))]);
    let at: jiff::Timestamp = intent["ts"].as_str().expect("a time").parse().expect("a time");
    assert!(at >= freed, "{intent}");
    assert!(looks("ordered").await > 0);
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_runs_until_a_restart() {
    let site = site("full").await;
    // The first start compiles the pack and leaves that in its cache; then the record becomes the largest file that grows.
    Agent::start(&site).await.close().await;
    let state = State::open(&site.config()).expect("the state opens");
    for _ in 0..500 {
        drop(state.record.append(Entry::new("tests.filler").field("text", "x".repeat(2000))));
    }
    state.record.close().await.expect("all of it is written");
    drop(state);
    let room = 8;
    let blocks = fs::metadata(segment(&site)).expect("the segment").len() / 512 + room;

    let mut command = on_a_full_disk(&site, blocks);
    command.arg("mcp");
    let agent = Agent::over(command).await;
    let mut answered = 0;
    let refused = loop {
        let answer = look(&agent, "full").await;
        if answer["status"] == "refused" {
            break answer;
        }
        rows(&answer);
        answered += 1;
        assert!(answered < 50, "the disk never filled");
    };
    assert_unrecorded(&refused);
    assert_eq!(looks("full").await, answered, "a refused call was executed");

    // There is room again, for this very process: it trusts its record no more than before.
    make_room(&agent);
    let (client, pid) = victim().await;
    for _ in 0..3 {
        assert_unrecorded(&look(&agent, "full").await);
        assert_unrecorded(&agent.call("terminate_backend", "full", json!({ "pid": pid }), WHY).await);
    }
    assert_eq!((looks("full").await, acts("full").await), (answered, 0), "a latched host sent something");
    client.simple_query("SELECT 1").await.expect("its session goes on");
    agent.kill().await;

    succeeds(&site, &["audit", "verify"]).await;
    let agent = Agent::start(&site).await;
    rows(&look(&agent, "full").await);
    agent.close().await;
    assert!(site.verify_record().intact);
}

/// Takes the limit off a running process.
fn make_room(agent: &Agent) {
    let pid = agent.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let maximum = getrlimit(Resource::Fsize).maximum;
    prlimit(pid, Resource::Fsize, Rlimit { current: maximum, maximum }).expect("the limit can be raised");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_tampered_with_while_in_use_stops_everything() {
    type Spoil = fn(&Site);
    let ways: [(&str, Spoil); 3] = [
        ("removed", |site| fs::remove_file(segment(site)).expect("it is removed")),
        ("replaced", |site| {
            let other = segment(site).with_extension("other");
            fs::copy(segment(site), &other).expect("it is copied");
            fs::rename(other, segment(site)).expect("it is replaced");
        }),
        ("cut", |site| {
            let file = File::options().write(true).open(segment(site)).expect("the segment");
            file.set_len(file.metadata().expect("its size").len() - 10).expect("it is cut");
        }),
    ];
    for (way, tamper) in ways {
        let site = site(way).await;
        let agent = Agent::start(&site).await;
        rows(&look(&agent, way).await);
        let (client, pid) = victim().await;
        let held = agent.call("terminate_backend", way, json!({ "pid": pid }), WHY).await;
        let (approval, digest) = (pending(&held), held["digest"].as_str().expect("a digest").to_owned());
        let kept = fs::read(segment(&site)).expect("the record");
        let before = looks(way).await;

        tamper(&site);
        assert_unrecorded(&look(&agent, way).await);
        // The record is put back, so others can use it: the approval is given, and this process still executes nothing.
        put_back(&site, &kept);
        let as_requested = ["--as-requested", "--reason", "the host can't look, and the backend is known"];
        let decide = ["approvals", "approve", &approval, "--digest", &digest];
        succeeds(&site, &[&decide[..], &as_requested].concat()).await;
        assert_unrecorded(&agent.await_approval(&approval, 5).await);
        assert_unrecorded(&look(&agent, way).await);
        assert_eq!(acts(way).await, 0, "{way}: a latched host acted");
        assert_eq!(looks(way).await, before, "{way}: a latched host read");
        client.simple_query("SELECT 1").await.expect("its session goes on");
        agent.kill().await;

        let agent = Agent::start(&site).await;
        let done = agent.await_approval(&approval, 50).await;
        assert_eq!(done["status"], "done", "{way}: {done}");
        gone(&client).await;
        agent.close().await;
        assert!(site.verify_record().intact, "{way}");
    }
}

fn put_back(site: &Site, kept: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    let other = segment(site).with_extension("kept");
    fs::write(&other, kept).expect("it is written");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).expect("its mode is set");
    fs::rename(other, segment(site)).expect("it is put back");
}

/// Waits until a session has ended.
pub async fn gone(client: &Client) {
    let until = Instant::now() + Duration::from_secs(20);
    while !client.is_closed() {
        assert!(Instant::now() < until, "its session goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
