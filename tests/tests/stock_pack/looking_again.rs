//! Before a person decides, what the request rests on is looked at again on a real server: what moved, what changed, what is
//! gone, and that nobody approves what they have not seen.

use std::{fs, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use lockgate::{
    approval::{evidence::Snapshot, look},
    error::{Code, Refusal},
    gate::decide,
    startup::{self, State},
    store::{self, Approval, Decision, EvidenceDigest, Finding, Review, Seen, Vote},
};
use lockgate_tests::{
    AGENT,
    site::{APPROVER, Site, ended, held},
};
use serde_json::json;

use crate::world::{Session, app, eventually, gone, refused, run, world};

async fn site(name: &str) -> Site {
    Site::with_stock_pack(&[world().await.primary.target(name, AGENT, "shop")], "").await
}

/// A session that has begun a transaction, and the request to end it.
async fn asked(site: &Site, name: &str) -> (Arc<lockgate::gate::Gate>, Session, Approval) {
    let gate = site.gate().await;
    let victim = app(name).await;
    victim.execute("BEGIN; SELECT 1").await;
    let id = held(&gate, "postgres.terminate_backend", name, json!({ "pid": victim.pid })).await;
    let approval = site.pending().into_iter().find(|approval| approval.id == id).expect("it waits");
    (gate, victim, approval)
}

async fn cast(site: &Site, approval: &Approval, seen: Seen, reason: &str) -> Result<store::State, Refusal> {
    let state = State::open(&site.config()).expect("the state opens");
    let vote = Vote {
        id: approval.id.clone(),
        person: APPROVER.to_owned(),
        also_known_as: std::collections::BTreeSet::new(),
        roles: std::collections::BTreeSet::new(),
        decision: Decision::Approve,
        reason: reason.to_owned(),
        digest_shown: approval.digest,
        seen,
        now: Timestamp::now(),
    };
    decide::decide(&state.record, state.store, vote).await.map(|approval| approval.state)
}

fn looked(review: &Review) -> EvidenceDigest {
    match &review.answer {
        Some((_, Finding::Looked { digest, .. })) => *digest,
        other => panic!("{other:?}"),
    }
}

fn as_asked(approval: &Approval) -> Seen {
    Seen::Now(Snapshot::of(&approval.request).digest())
}

#[test]
fn what_only_grew_older_is_approved_as_it_was_shown() {
    run(async {
        let site = site("older").await;
        let (gate, victim, approval) = asked(&site, "older").await;
        let none = cast(&site, &approval, as_asked(&approval), "").await.expect_err("nobody has looked");
        assert_eq!(none.code, Code::EvidenceUnavailable, "{none}");
        let idle = format!(
            "SELECT state_change < clock_timestamp() - interval '1.5 s' FROM pg_stat_activity WHERE pid = {}",
            victim.pid
        );
        eventually(&idle, "t").await;
        let review = gate.review(&approval.id).await.expect("it is looked at");
        let changes = look::since_request(&approval, &review.answer.as_ref().expect("an answer").1).expect("it looked");
        assert!(!changes.is_empty() && !changes.is_material(), "{changes:?}");
        assert_eq!(cast(&site, &approval, as_asked(&approval), "").await.expect("it counts"), store::State::Approved);
        ended(&gate, &approval.id).await.expect("it ran");
        gone(victim.pid).await;
        // The record: asked, looked at with what was sent, voted on that evidence, decided, and only then consumed.
        let lines: Vec<_> = site.record().into_iter().filter(|line| line["approval"] == approval.id.as_str()).collect();
        let events: Vec<_> = lines.iter().map(|line| line["ev"].as_str().expect("an event")).collect();
        let voted = ["approval.vote", "approval.vote_refused"];
        let then = ["approval.reviewed", "approval.vote", "approval.decided", "approval.consumed"];
        assert_eq!(events, [&["approval.requested"][..], &voted, &then].concat());
        let reviewed = &lines[3];
        assert_eq!((&reviewed["finding"], &reviewed["executed"][1]["mode"]), (&json!("looked"), &json!("read")));
        assert!(lines[4]["evidence_seen"].as_str().is_some_and(|digest| digest.len() == 64));
        assert!(site.verify_record().intact);
    });
}

#[test]
fn what_changed_is_seen_before_it_is_approved() {
    run(async {
        let site = site("changed").await;
        let (gate, victim, approval) = asked(&site, "changed").await;
        victim.execute("SELECT 2, 'another query'").await;
        let review = gate.review(&approval.id).await.expect("it is looked at");
        let refused = cast(&site, &approval, as_asked(&approval), "").await.expect_err("it changed");
        assert_eq!(refused.code, Code::EvidenceChanged);
        assert!(refused.message.contains("query"), "it says what: {refused}");
        let waived = cast(&site, &approval, Seen::AsRequested, "I know it").await.expect_err("somebody has looked");
        assert_eq!(waived.code, Code::EvidenceChanged);
        // It goes on moving while they read; that it moves they have seen.
        victim.execute("SELECT 3").await;
        gate.review(&approval.id).await.expect("it is looked at");
        let decided = cast(&site, &approval, Seen::Now(looked(&review)), "").await;
        assert_eq!(decided.expect("it counts"), store::State::Approved);
        ended(&gate, &approval.id).await.expect("it ran");
    });
}

#[test]
fn a_request_whose_ground_is_gone_is_superseded_and_says_so() {
    run(async {
        let site = site("went").await;
        let (gate, victim, approval) = asked(&site, "went").await;
        let pid = victim.pid;
        drop(victim);
        gone(pid).await;
        let review = gate.review(&approval.id).await.expect("it is looked at");
        let Some((_, Finding::Gone { why })) = &review.answer else { panic!("{review:?}") };
        assert!(why.contains(&pid.to_string()), "{why}");
        let (code, message) = refused(ended(&gate, &approval.id).await);
        assert!(code == Code::TargetChanged && message.contains(why.as_str()), "{code} {message}");
        let late = cast(&site, &approval, Seen::AsRequested, "it was fine").await.expect_err("it is over");
        assert_eq!(late.code, Code::ApprovalClosed, "{late}");
        let closed = site.record().into_iter().find(|line| line["ev"] == "approval.closed").expect("on the record");
        assert_eq!((&closed["state"], &closed["approval"]), (&json!("superseded"), &json!(approval.id)));
    });
}

#[test]
fn where_nobody_can_look_a_person_may_decide_and_says_why() {
    run(async {
        let site = site("down").await;
        let (gate, victim, approval) = asked(&site, "down").await;
        drop(gate);
        // The same host, and the server's port answers no more.
        let config = fs::read_to_string(site.path("lockgate.toml")).expect("the configuration");
        let port = config.lines().find(|line| line.starts_with("port")).expect("a port").to_owned();
        site.write("lockgate.toml", &config.replace(&port, "port = 1"));
        let blind = site.gate().await;
        let review = blind.review(&approval.id).await.expect("it is answered");
        assert!(matches!(review.answer, Some((_, Finding::Unavailable { .. }))), "{review:?}");
        drop(blind);
        site.write("lockgate.toml", &config);
        let refused = cast(&site, &approval, as_asked(&approval), "go on").await.expect_err("nobody could look");
        assert_eq!(refused.code, Code::EvidenceUnavailable);
        let silent = cast(&site, &approval, Seen::AsRequested, " ").await.expect_err("without a word");
        assert_eq!(silent.code, Code::ReasonRequired);
        let decided = cast(&site, &approval, Seen::AsRequested, "the network is down, it is the migration").await;
        assert_eq!(decided.expect("it counts"), store::State::Approved);
        let vote = site.record().into_iter().rfind(|line| line["ev"] == "approval.vote").expect("on the record");
        assert_eq!(vote["evidence_seen"], "as_requested");
        let gate = site.gate().await;
        ended(&gate, &approval.id).await.expect("it runs when the server is there again");
        gone(victim.pid).await;
    });
}

#[test]
fn who_has_no_target_asks_through_the_store() {
    run(async {
        let site = site("elsewhere_asked").await;
        let opened = site.open().await.expect("the host opens");
        let (gate, _kept) = (Arc::clone(&opened.gate), startup::keep(opened.reloader));
        let victim = app("elsewhere_asked").await;
        victim.execute("BEGIN; SELECT 1").await;
        let id = held(&gate, "postgres.terminate_backend", "elsewhere_asked", json!({ "pid": victim.pid })).await;
        let elsewhere = State::open(&site.config()).expect("another process's state").store;
        let many = (0..4).map(|_| {
            let (store, id) = (Arc::clone(&elsewhere), id.clone());
            tokio::spawn(async move {
                look::look(store, &id, SignedDuration::ZERO, look::PATIENCE).await.expect("an answer")
            })
        });
        for asking in many.collect::<Vec<_>>() {
            looked(&asking.await.expect("its task"));
        }
        let unknown = look::look(elsewhere, "apr_none", SignedDuration::ZERO, look::PATIENCE).await;
        assert_eq!(unknown.expect_err("there is none").code(), Code::UnknownApproval);
        assert!(victim.lives().await, "a look is a look");
    });
}
