//! What a process was carrying out when it was killed: run by another if nothing but reads can have been sent, and unknown
//! for ever otherwise.

use std::fs::File;

use rustix::fs::{FlockOperation, flock};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_it_began_it_is_unknown_and_never_run_again() {
    for survivor in [true, false] {
        let target = if survivor { "killedone" } else { "killedall" };
        let site = site(target, "").await;
        let agent = Agent::start(&site).await;
        let witness = if survivor { Some(Agent::start(&site).await) } else { None };
        let blocker = Blocker::of(target).await;
        let lost = agent.sends("postgres.analyze_table", analyze(target, "op-killed-1"));
        until_analyzed(target, 1).await;
        // Who waits for it in another process is told as soon as it is known.
        let waiting =
            witness.as_ref().map(|witness| witness.sends("postgres.analyze_table", analyze(target, "op-killed-1")));
        agent.kill().await;
        blocker.let_go().await;
        drop(lost);
        if let Some(waiting) = waiting {
            is_unknown(&waiting.await.expect("a task").expect("an answer"));
        }
        let agent = match witness {
            Some(witness) => witness,
            None => Agent::start(&site).await,
        };
        for _ in 0..2 {
            is_unknown(&agent.answer("postgres.analyze_table", analyze(target, "op-killed-1")).await);
        }
        assert_eq!(analyzed(target).await, 1, "it was run again");
        let lines = site.record();
        let intent = only(&lines, "call.intent", &[("action", &json!("postgres.analyze_table"))]);
        let closed = only(&lines, "operation.closed", &[("run", &intent["run"])]);
        assert_eq!((&closed["code"], &closed["operation"]), (&json!("outcome_unknown"), &json!("op-killed-1")));
        // Under another id it is another operation, which the agent has decided on anew.
        let anew = agent.answer("postgres.analyze_table", analyze(target, "op-killed-2")).await;
        assert_eq!(anew["status"], "done", "{anew}");
        agent.close().await;
        assert!(site.verify_record().intact);
    }
}

fn is_unknown(answer: &Json) {
    assert_eq!((&answer["code"], &answer["replayed"]), (&json!("outcome_unknown"), &json!(true)), "{answer}");
    assert!(answer["remedy"].as_str().expect("a remedy").ends_with("use a new `operation_id`"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_it_began_it_is_run_by_whoever_asks_next() {
    let site = site("killedearly", "").await;
    let (agent, other) = (Agent::start(&site).await, Agent::start(&site).await);
    // Its intent can't be written while the record's lock is held; its claim can.
    let lock = File::options().write(true).open(site.config().record_dir().join("lock")).expect("the record's lock");
    flock(&lock, FlockOperation::LockExclusive).expect("it can be taken");
    let lost = agent.sends("postgres.analyze_table", analyze("killedearly", "op-early-01"));
    let store = lockgate::store::SqliteStore::open(&site.path("state").join("store.db")).expect("the store");
    let until = Instant::now() + PATIENCE;
    let claimed = loop {
        let running = lockgate::store::Store::running_operations(&store).expect("the store answers");
        if let Some(operation) = running.into_iter().next() {
            break operation;
        }
        assert!(Instant::now() < until, "it was never claimed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(!claimed.begun);
    agent.kill().await;
    drop(lost);
    flock(&lock, FlockOperation::Unlock).expect("it can be given back");

    let answer = other.answer("postgres.analyze_table", analyze("killedearly", "op-early-01")).await;
    assert_eq!((&answer["status"], answer.get("replayed")), (&json!("done"), None), "{answer}");
    assert_ne!(answer["run_id"], claimed.run);
    assert_eq!(analyzed("killedearly").await, 1);
    let lines = site.record();
    let intent = only(&lines, "call.intent", &[("run", &answer["run_id"])]);
    assert_eq!(intent["instead_of"], claimed.run);
    other.close().await;
}
