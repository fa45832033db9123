//! Standing approvals through the real gate on a real server: what one lets through runs at once and is counted and recorded;
//! what it does not cover waits for a person; and what policy denies is denied.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use lockgate::{
    approval::standing::Proposal,
    error::{Code, Refusal},
    gate::{
        Gate,
        call::{Answer, Approved, Principal},
        standing,
    },
    startup::{Cause, Opened, State},
    store::{Bound, StandingApproval, StandingVote, Voter},
};
use lockgate_tests::{
    AGENT,
    site::{Site, call, call_of, ended, held, hold, principal},
};
use serde_json::{Value as Json, json};

use crate::world::{Session, app, gone, refused, run, world};

const ACTION: &str = "postgres.terminate_backend";
const HELD: &str = "version = 1\n";
const DENIED: &str = "version = 1\n[[rule]]\nname = \"no more\"\nactions = [\"postgres.terminate_backend\"]\n\
    targets = [\"second\"]\ndecision = \"deny\"\n[[rule]]\nname = \"and not here\"\nactions = [\"postgres.terminate_*\"]\n\
    agents = [\"claude\"]\ndecision = \"deny\"\n";
const TWO: &str = "version = 1\n[[rule]]\nname = \"two\"\nactions = [\"postgres.terminate_backend\"]\ndecision = \"approve\"\napprovals = 2\n";

async fn site(name: &str) -> (Site, Opened) {
    let world = world().await;
    let targets = [world.primary.target(name, AGENT, "shop"), world.primary.target("second", AGENT, "bare")];
    let site = Site::with_stock_pack(&targets, "policy = \"policy.toml\"\n").await;
    site.write("policy.toml", HELD);
    let opened = site.open().await.expect("the host opens");
    (site, opened)
}

async fn victim(name: &str) -> Session {
    let victim = app(name).await;
    victim.execute("BEGIN; SELECT 1").await;
    victim
}

fn admin(person: &str) -> Voter {
    Voter { is_admin: true, ..Voter::named(person) }
}

/// Proposes from an approval: any pid, so many times.
async fn proposed(site: &Site, from: &str, uses: u32, role: Option<&str>) -> StandingApproval {
    let state = State::open(&site.config()).expect("the state opens");
    let any_pid = Bound::Range { min: 1.into(), max: 4_194_304.into() };
    let proposal = Proposal {
        uses,
        within: SignedDuration::from_hours(1),
        role: role.map(str::to_owned),
        bounds: BTreeMap::from([("pid".to_owned(), any_pid)]),
        by: "edsger".into(),
        reason: "the tests end many backends".into(),
    };
    standing::propose(&state.record, state.store, from, proposal).await.expect("it is proposed")
}

async fn approve(site: &Site, one: &StandingApproval, voter: Voter) -> Result<StandingApproval, Refusal> {
    let state = State::open(&site.config()).expect("the state opens");
    let (reason, now) = ("it is what tests do".to_owned(), Timestamp::now());
    let vote = StandingVote { id: one.id.clone(), voter, reason, digest_shown: one.digest, now };
    standing::approve(&state.record, state.store, vote).await
}

/// A standing approval in force, from a request that was approved and ran.
async fn in_force(site: &Site, gate: &Arc<Gate>, name: &str, uses: u32) -> StandingApproval {
    let first = victim(name).await;
    let id = held(gate, ACTION, name, json!({ "pid": first.pid })).await;
    site.approve(&id).await;
    ended(gate, &id).await.expect("it ran");
    let one = proposed(site, &id, uses, None).await;
    approve(site, &one, admin("grace")).await.expect("it counts")
}

fn lines(site: &Site, event: &str) -> Vec<Json> {
    site.record().into_iter().filter(|line| line["ev"] == event).collect()
}

#[test]
fn what_is_covered_runs_at_once_counted_and_on_the_record() {
    run(async {
        let (site, Opened { gate, .. }) = site("nightly").await;
        let one = in_force(&site, &gate, "nightly", 2).await;
        for number in 1..=2 {
            let victim = victim("nightly").await;
            let answer = call(&gate, ACTION, "nightly", json!({ "pid": victim.pid })).await.expect("it is let through");
            let Answer::Done(outcome) = answer else { panic!("{answer:?}") };
            assert_eq!(outcome.approval, Some(Approved { id: one.id.clone(), by: "grace".into() }));
            gone(victim.pid).await;
            let told = site.run(&outcome.run);
            let events: Vec<_> = told.iter().map(|line| line["ev"].as_str().expect("an event")).collect();
            assert_eq!(events, ["call.intent", "standing.used", "call.outcome"]);
            let used = &told[1];
            assert_eq!((&used["standing"], &used["use"], &used["of"]), (&json!(one.id), &json!(number), &json!(2)));
            let pinned = used["pins"].as_array().expect("pins").iter().any(|pin| pin["value"] == victim.pid);
            assert!(pinned && told[0]["verdict"] == "approve", "{told:?}");
        }
        // Used up: people are asked again.
        let last = victim("nightly").await;
        held(&gate, ACTION, "nightly", json!({ "pid": last.pid })).await;
        assert!(last.lives().await);
        let state = State::open(&site.config()).expect("the state opens");
        let now = state.store.standing(&one.id).expect("the store").expect("it");
        let uses = state.store.standing_uses(&one.id).expect("the store");
        assert_eq!((now.used, uses.len(), now.uses_left()), (2, 2, 0));
        assert!(site.verify_record().intact);
    });
}

#[test]
fn what_is_beyond_it_waits_for_a_person() {
    run(async {
        let (site, Opened { gate, .. }) = site("beyond").await;
        in_force(&site, &gate, "beyond", 9).await;
        let waits = async |principal: Principal, action: &str, target: &str, pid: i64| {
            let call = call_of(action, target, json!({ "pid": pid }));
            match gate.call(&principal, call, hold(std::time::Duration::ZERO)).await {
                Ok(Answer::Pending(_)) => {}
                other => panic!("{action} on {target}: {other:?}"),
            }
        };
        let victim = victim("beyond").await;
        waits(principal(), ACTION, "second", victim.pid).await;
        waits(Principal { agent: "other".into(), ..principal() }, ACTION, "beyond", victim.pid).await;
        waits(Principal { person: Some("edsger".into()), ..principal() }, ACTION, "beyond", victim.pid).await;
        let busy = app("beyond-busy").await.start("SELECT pg_sleep(600)").await;
        waits(principal(), "postgres.cancel_query", "beyond", busy.pid).await;
        assert!(victim.lives().await && busy.runs());
        assert!(lines(&site, "standing.used").is_empty());
    });
}

#[test]
fn a_denial_of_policy_and_a_demand_for_more_people_are_above_it() {
    run(async {
        let (site, Opened { gate, reloader, .. }) = site("above").await;
        in_force(&site, &gate, "above", 9).await;
        let victim = victim("above").await;
        let arguments = json!({ "pid": victim.pid });
        site.write("policy.toml", TWO);
        reloader.reload(Cause::Signal).await.expect("the policy is sound");
        held(&gate, ACTION, "above", arguments.clone()).await;
        site.write("policy.toml", DENIED);
        reloader.reload(Cause::Signal).await.expect("the policy is sound");
        let (code, message) = refused(call(&gate, ACTION, "above", arguments.clone()).await);
        assert!(matches!(code, Code::DeniedByPolicy | Code::UnknownAction), "{code} {message}");
        assert!(victim.lives().await && lines(&site, "standing.used").is_empty());
        // And with the policy it was granted under it is let through again.
        site.write("policy.toml", HELD);
        reloader.reload(Cause::Signal).await.expect("the policy is sound");
        assert!(matches!(call(&gate, ACTION, "above", arguments).await, Ok(Answer::Done(_))));
        gone(victim.pid).await;
    });
}

#[test]
fn revoked_it_lets_nothing_through_from_that_moment() {
    run(async {
        let (site, Opened { gate, .. }) = site("revoked").await;
        let one = in_force(&site, &gate, "revoked", 9).await;
        let state = State::open(&site.config()).expect("the state opens");
        let silent = standing::revoke(&state.record, Arc::clone(&state.store), &one.id, "ada", " ").await;
        assert_eq!(silent.expect_err("without a word").code, Code::ReasonRequired);
        standing::revoke(&state.record, Arc::clone(&state.store), &one.id, "ada", "the report is fixed")
            .await
            .expect("it is");
        let again = standing::revoke(&state.record, Arc::clone(&state.store), &one.id, "ada", "twice").await;
        assert_eq!(again.expect_err("once is enough").code, Code::StandingClosed);
        let victim = victim("revoked").await;
        held(&gate, ACTION, "revoked", json!({ "pid": victim.pid })).await;
        assert!(victim.lives().await);
        let told = lines(&site, "standing.revoked");
        assert_eq!((told.len(), &told[0]["by"], &told[0]["used"]), (1, &json!("ada"), &json!(0)));
    });
}

#[test]
fn who_stands_behind_the_calls_grants_nothing_and_profits_from_nothing_of_their_own() {
    run(async {
        let (site, Opened { gate, .. }) = site("own").await;
        let first = victim("own").await;
        let of = |person: &str| Principal { roles: vec!["night".into()], person: Some(person.into()), ..principal() };
        let asks = async |person: &str, pid: i64| {
            let call = call_of(ACTION, "own", json!({ "pid": pid }));
            gate.call(&of(person), call, hold(std::time::Duration::ZERO)).await.expect("it is no refusal")
        };
        let Answer::Pending(pending) = asks("ada", first.pid).await else { panic!("it was let through") };
        site.approve(&pending.approval).await;
        gone(first.pid).await;
        let one = proposed(&site, &pending.approval, 9, Some("night")).await;
        let also = Voter { also_known_as: ["Ada".to_owned()].into(), ..admin("lovelace") };
        for (voter, code) in [
            (admin("ada"), Code::SelfApproval),
            (also, Code::SelfApproval),
            (Voter::named("grace"), Code::Unauthorized),
        ] {
            assert_eq!(approve(&site, &one, voter).await.expect_err("not by them").code, code);
        }
        let hopper = Voter { also_known_as: ["ghopper".to_owned()].into(), ..admin("grace") };
        approve(&site, &one, hopper).await.expect("it counts");
        let second = victim("own").await;
        // Everybody with the role, but not who granted it, whatever their agent calls them.
        for person in ["grace", "GHopper"] {
            assert!(matches!(asks(person, second.pid).await, Answer::Pending(_)), "{person}");
        }
        assert!(second.lives().await);
        assert!(matches!(asks("barbara", second.pid).await, Answer::Done(_)));
        gone(second.pid).await;
    });
}

#[test]
fn a_named_call_is_let_through_once() {
    run(async {
        let (site, Opened { gate, .. }) = site("named").await;
        in_force(&site, &gate, "named", 9).await;
        let victim = victim("named").await;
        let mut call = call_of(ACTION, "named", json!({ "pid": victim.pid }));
        call.operation = Some("op-standing-1".into());
        for _ in 0..3 {
            let answer = gate.call(&principal(), call.clone(), hold(std::time::Duration::ZERO)).await;
            assert!(matches!(answer, Ok(Answer::Done(_))), "{answer:?}");
        }
        assert_eq!(lines(&site, "standing.used").len(), 1, "a repeated call uses nothing");
    });
}
