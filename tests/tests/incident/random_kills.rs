//! `kill -9` at any moment: whatever was recorded stays verifiable, nothing is done twice, nothing was done without being on
//! the record first, and what nobody lived to finish is called unknown.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use lockgate::{
    startup::State as HostState,
    store::{Approval, Decision, Filter, State},
};
use lockgate_tests::site::{APPROVER, Site};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use tokio_postgres::Client;

use crate::{
    agent::{Agent, pending},
    order::{gone, server, site, victim},
    process::lockgate,
    record::all,
    server_log::{Execution, executions},
};

const WHY: &str = "a test kills this process at some moment";
/// What only the act's statement has in it.
const ACT: &str = "pg_terminate_backend(v.pid";
/// What only the read's statement has in it.
const READ: &str = "AS waiting_for_lock";

#[tokio::test(flavor = "multi_thread")]
async fn killed_25_times_it_does_nothing_twice_and_nothing_unrecorded() {
    campaign("kills", 25).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign of minutes: make test-long"]
async fn killed_100_times_it_does_nothing_twice_and_nothing_unrecorded() {
    campaign("manykills", 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_was_doing_is_unknown_and_never_done_again() {
    let site = site("midway").await;
    let agent = Agent::start(&site).await;
    let (client, pid) = victim().await;
    let approval = pending(&agent.call("terminate_backend", "midway", json!({ "pid": pid }), WHY).await);
    // The server waits for the backend to end, which it can't while it is stopped: time to kill lockgate in the middle.
    let backend = Pid::from_raw(pid).expect("a pid");
    kill_process(backend, Signal::STOP).expect("the backend can be stopped");
    site.approve(&approval).await;
    let until = Instant::now() + Duration::from_secs(20);
    while acts(&executions(server().await, "midway")).is_empty() {
        assert!(Instant::now() < until, "the approved act was never sent");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    agent.kill().await;
    assert_eq!(stored(&site, &approval).state, State::Consumed);
    kill_process(backend, Signal::CONT).expect("the backend goes on");
    gone(&client).await;

    // The next process says so by itself, before anybody asks.
    let agent = Agent::start(&site).await;
    assert_eq!(stored(&site, &approval).state, State::Unknown);
    let answer = agent.await_approval(&approval, 5).await;
    assert_eq!((&answer["status"], &answer["code"]), (&json!("refused"), &json!("outcome_unknown")), "{answer}");
    agent.close().await;
    let lines = site.record();
    let closed: Vec<&Json> = all(&lines, "approval.closed", &[("approval", &json!(approval))]).collect();
    assert_eq!((closed.len(), &closed[0]["state"]), (1, &json!("unknown")), "{closed:?}");
    assert_eq!(acts(&executions(server().await, "midway")).len(), 1);
    assert!(site.verify_record().intact);
}

/// Starts lockgate, lets it read and act, kills it, and looks; again and again.
async fn campaign(target: &str, times: usize) {
    let site = site(target).await;
    let mut random = Random::new();
    let mut victims: BTreeMap<String, Client> = BTreeMap::new();
    for round in 0..times {
        if round % 5 == 4 {
            // Killed while it starts, too.
            let mut process = lockgate(&site).arg("mcp").spawn().expect("lockgate mcp starts");
            tokio::time::sleep(random.up_to(150)).await;
            process.kill().await.expect("it could be killed");
        } else {
            live_and_die(&site, target, &mut random, round % 5 == 3, &mut victims).await;
        }
        // Opening sets a torn tail aside; whatever was acknowledged must be there, and nothing else.
        drop(HostState::open(&site.config()).expect("the state opens after a crash"));
        let report = site.verify_record();
        assert!(report.intact, "round {round}, seed {}: {report}", random.seed);
    }
    settle(&site, &victims).await;
    judge(&site, target, &victims, random.seed).await;
}

/// One process: it takes up what earlier ones left, is asked for more, and is killed in the middle of it, or as soon as it has done
/// something.
async fn live_and_die(
    site: &Site,
    target: &str,
    random: &mut Random,
    succeeds: bool,
    victims: &mut BTreeMap<String, Client>,
) {
    let agent = Agent::start(site).await;
    let mut fresh = Vec::new();
    for _ in 0..2 {
        let (client, pid) = victim().await;
        let approval = pending(&agent.call("terminate_backend", target, json!({ "pid": pid }), WHY).await);
        victims.insert(approval.clone(), client);
        fresh.push(approval);
    }
    let open: Vec<String> = approvals(site).into_iter().filter(|a| !a.state.is_terminal()).map(|a| a.id).collect();
    let kill_after = random.up_to(150);
    let asked = async {
        for (at, id) in open.iter().enumerate() {
            if at % 2 == 0 {
                agent.tries("lockgate.await_approval", json!({ "approval_id": id, "wait_seconds": 0 })).await;
            }
            let read = json!({ "target": target, "reason": WHY });
            agent.tries("postgres.activity_states", read).await;
        }
        std::future::pending::<()>().await;
    };
    let decided = async {
        for id in &fresh {
            site.decide(id, Decision::Approve, APPROVER).await.expect("the vote counts");
        }
        // Decided calls are noticed by a poll of a tenth of a second; in some rounds that is before the end, in some after.
        while succeeds && !stored(site, &fresh[0]).state.is_terminal() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(kill_after).await;
    };
    tokio::select! { () = asked => {}, () = decided => {} }
    agent.kill().await;
}

/// A last process, which lives: everything that was approved comes to an end.
async fn settle(site: &Site, victims: &BTreeMap<String, Client>) {
    let agent = Agent::start(site).await;
    for id in victims.keys() {
        let answer = agent.await_approval(id, 50).await;
        assert!(answer["status"] == "done" || answer["status"] == "refused", "{answer}");
    }
    agent.close().await;
}

/// What the server was asked to do, against what the record says.
async fn judge(site: &Site, target: &str, victims: &BTreeMap<String, Client>, seed: u64) {
    let lines = site.record();
    let sent = executions(server().await, target);
    let acts = acts(&sent);
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for approval in approvals(site) {
        let id = json!(approval.id);
        let consumed: Vec<&Json> = all(&lines, "approval.consumed", &[("approval", &id)]).collect();
        let outcomes = all(&lines, "call.outcome", &[("run", &json!(approval.request.run))]).count();
        let mine = acts.iter().filter(|act| is_of(act, &approval)).count();
        let about = format!("{} ended {}, seed {seed}", approval.id, approval.state);
        assert!(consumed.len() <= 1, "used twice: {about}");
        assert!(mine <= 1, "signalled {mine} times: {about}");
        assert!(mine <= consumed.len(), "signalled without being used: {about}");
        match approval.state {
            State::Succeeded | State::Failed => assert_eq!((consumed.len(), outcomes), (1, 1), "{about}"),
            State::Unknown => {
                // Twice if the process that said so was itself killed before it could write it down in the store.
                assert!(all(&lines, "approval.closed", &[("approval", &id)]).count() >= 1, "{about}");
            }
            other => panic!("{other} is no end of an approved call: {about}"),
        }
        *ends.entry(approval.state.as_str()).or_default() += 1;
    }
    assert_eq!(ends.values().sum::<usize>(), victims.len(), "every request is accounted for");
    assert!(ends.contains_key("succeeded"), "nothing ever succeeded, so nothing was tried: {ends:?}");
    let approved: BTreeSet<_> = acts.iter().map(|act| (act.values.get(&1), act.values.get(&2))).collect();
    assert_eq!(approved.len(), acts.len(), "one backend was signalled twice");
    every_read_was_intended(&lines, &sent);
    println!("{} executions, ends: {ends:?}", sent.len());
}

/// At each moment no more reads had been executed than intents recorded.
fn every_read_was_intended(lines: &[Json], sent: &[Execution]) {
    let time = |line: &Json| line["ts"].as_str().expect("a time").parse::<Timestamp>().expect("a time");
    let action = json!("postgres.activity_states");
    let intents: Vec<Timestamp> = all(lines, "call.intent", &[("action", &action)]).map(time).collect();
    let reads: Vec<&Execution> = sent.iter().filter(|e| e.sql.contains(READ)).collect();
    assert!(!reads.is_empty(), "no read was tried");
    for (before, read) in reads.iter().enumerate() {
        // The server's log has milliseconds, cut off.
        let by = read.at.checked_add(jiff::SignedDuration::from_millis(1)).expect("a time");
        let intended = intents.iter().filter(|at| **at <= by).count();
        assert!(intended > before, "read {before} was executed at {} with {intended} intents", read.at);
    }
}

fn acts(sent: &[Execution]) -> Vec<&Execution> {
    sent.iter().filter(|e| e.sql.contains(ACT)).collect()
}

/// Whether an act was bound to the backend that this approval pinned.
fn is_of(act: &Execution, approval: &Approval) -> bool {
    let pins = serde_json::to_string(&approval.request.pins).expect("pins");
    [1, 2].iter().all(|n| pins.contains(act.values.get(n).expect("both values are in the log").as_str()))
}

fn approvals(site: &Site) -> Vec<Approval> {
    let state = HostState::open(&site.config()).expect("the state opens");
    state.store.list(&Filter { limit: Some(1000), ..Filter::default() }).expect("the store answers")
}

fn stored(site: &Site, id: &str) -> Approval {
    approvals(site).into_iter().find(|a| a.id == id).expect("the approval is there")
}

/// Moments that differ from run to run; the seed is said when something fails.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
        let seed = u64::try_from(now.as_nanos() % u128::from(u64::MAX)).expect("it fits") | 1;
        Self { seed, state: seed }
    }

    /// From 5 milliseconds up to so many. Xorshift: even enough for this.
    fn up_to(&mut self, most: u64) -> Duration {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        Duration::from_millis(5 + self.state % (most - 4))
    }
}
