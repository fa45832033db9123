//! What the store promises of operations: one claim for a key, whoever asks and however often; what may follow what; and
//! what is forgotten when.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::collapsible_match
)]

use std::{sync::Barrier, thread, time::Duration};

use proptest::prelude::*;
use serde_json::json;

use super::{testing::*, *};

const KEEP: Duration = Duration::from_secs(3_600);

fn key(id: &str) -> OperationKey {
    OperationKey { agent: "pager-bot".into(), person: Some("ada".into()), id: id.into() }
}

fn operation(id: &str, instance: &str) -> NewOperation {
    NewOperation {
        key: key(id),
        run: random_id("run_").unwrap(),
        instance: instance.into(),
        action: "postgres.cancel_query".into(),
        target: "orders".into(),
        facts: FactsDigest([1; 32]),
        keep: KEEP,
    }
}

/// Claims with every process alive.
fn claim(store: &dyn Store, new: &NewOperation, seconds: i64) -> Claim {
    store.claim_operation(new, &|_| true, at(seconds)).unwrap()
}

fn claimed(claim: Claim) -> ClaimedOperation {
    match claim {
        Claim::Claimed { claimed, .. } => claimed,
        Claim::Known(known) => panic!("it is known: {known:?}"),
    }
}

fn known(claim: Claim) -> Operation {
    match claim {
        Claim::Known(known) => *known,
        Claim::Claimed { claimed, .. } => panic!("it was claimed: {claimed:?}"),
    }
}

fn is_lost(result: Result<(), StoreError>) {
    assert!(matches!(result, Err(StoreError::OperationLost { .. })), "{result:?}");
}

#[test]
fn the_first_claims_it_and_everybody_else_is_given_its_end() {
    let (_state, store) = store();
    let new = operation("op-00001", "ins_1");
    let claim_1 = claimed(claim(&store, &new, 0));
    let running = known(claim(&store, &operation("op-00001", "ins_2"), 1));
    assert_eq!((running.state, running.begun, &running.run), (OperationState::Running, false, &new.run));
    store.begin_operation(&claim_1).unwrap();
    store.finish_operation(&claim_1, &json!({ "outcome": 1 }), at(2)).unwrap();
    store.finish_operation(&claim_1, &json!({ "outcome": 1 }), at(3)).expect("the same end may be written again");
    is_lost(store.finish_operation(&claim_1, &json!({ "outcome": 2 }), at(3)));
    is_lost(store.begin_operation(&claim_1));
    let done = known(claim(&store, &operation("op-00001", "ins_2"), 4));
    assert_eq!(
        (done.state, done.result, done.ended_at),
        (OperationState::Done, Some(json!({ "outcome": 1 })), Some(at(2)))
    );
}

#[test]
fn agent_person_and_id_are_the_key_and_nobody_is_not_the_person_without_a_name() {
    let (_state, store) = store();
    let mut others = vec![operation("op-00001", "ins_1"), operation("op-00002", "ins_1")];
    for person in [None, Some(String::new()), Some("grace".into())] {
        let mut other = operation("op-00001", "ins_1");
        other.key.person = person;
        others.push(other);
    }
    let mut other = operation("op-00001", "ins_1");
    other.key.agent = "other-bot".into();
    others.push(other);
    for new in &others {
        claimed(claim(&store, new, 0));
    }
    for new in &others {
        let again = NewOperation { run: random_id("run_").unwrap(), ..new.clone() };
        assert_eq!(known(claim(&store, &again, 1)).run, new.run);
        assert_eq!(store.operation(&new.key).unwrap().unwrap().run, new.run);
    }
    assert_eq!(store.running_operations().unwrap().len(), others.len());
}

#[test]
fn what_a_dead_process_had_not_begun_is_taken_over_and_what_it_had_is_not() {
    let (_state, store) = store();
    let dead = |id: &str| id != "ins_dead";
    let (read, act) = (operation("op-read1", "ins_dead"), operation("op-act01", "ins_dead"));
    let (claim_read, claim_act) = (claimed(claim(&store, &read, 0)), claimed(claim(&store, &act, 0)));
    store.begin_operation(&claim_act).unwrap();

    let other = NewOperation { facts: FactsDigest([2; 32]), ..operation("op-read1", "ins_2") };
    assert_eq!(known(store.claim_operation(&other, &dead, at(1)).unwrap()).run, read.run, "on other facts it is not");
    let heir = operation("op-read1", "ins_2");
    let Claim::Claimed { claimed: claim_heir, instead_of } = store.claim_operation(&heir, &dead, at(1)).unwrap() else {
        panic!("it was not taken over");
    };
    assert_eq!(instead_of, Some(read.run));
    // Were it alive after all, it could go on with nothing.
    is_lost(store.begin_operation(&claim_read));
    is_lost(store.finish_operation(&claim_read, &json!({}), at(2)));
    assert!(!store.release_operation(&claim_read).unwrap());
    store.begin_operation(&claim_heir).unwrap();

    let begun = known(store.claim_operation(&operation("op-act01", "ins_2"), &dead, at(1)).unwrap());
    assert_eq!((&begun.run, begun.begun), (&act.run, true));
    assert!(!store.forget_operation(&begun).unwrap(), "it is not forgotten either");
    store.close_operation(&begun, &json!({ "refusal": "unknown" }), at(2)).unwrap();
    is_lost(store.close_operation(&begun, &json!({ "refusal": "other" }), at(3)));
    is_lost(store.finish_operation(&claim_act, &json!({ "outcome": 1 }), at(3)));
    assert_eq!(store.operation(&act.key).unwrap().unwrap().result, Some(json!({ "refusal": "unknown" })));
}

#[test]
fn what_has_not_begun_can_be_released_and_claimed_again() {
    let (_state, store) = store();
    let first = claimed(claim(&store, &operation("op-00001", "ins_1"), 0));
    assert!(store.release_operation(&first).unwrap());
    assert!(!store.release_operation(&first).unwrap());
    let second = claimed(claim(&store, &operation("op-00001", "ins_1"), 1));
    store.begin_operation(&second).unwrap();
    assert!(!store.release_operation(&second).unwrap(), "it may have been sent");
    assert!(store.operation(&key("op-00001")).unwrap().unwrap().begun);
}

/// A request of the run that an operation was claimed for.
fn request_of(new: &NewOperation) -> NewApproval {
    let mut request = request();
    request.run.clone_from(&new.run);
    request.operation = Some(new.key.id.clone());
    testing::new(request)
}

#[test]
fn a_held_operation_waits_for_its_approval_and_ends_with_it() {
    let (_state, store) = store();
    let new = operation("op-00001", "ins_1");
    let claim_1 = claimed(claim(&store, &new, 0));
    let Creation::Created { approval, .. } = store.create(request_of(&new), at(0)).unwrap() else { panic!() };
    let held = store.operation(&new.key).unwrap().unwrap();
    assert_eq!((held.state, held.approval.as_deref()), (OperationState::Held, Some(approval.id.as_str())));
    is_lost(store.begin_operation(&claim_1));
    is_lost(store.finish_operation(&claim_1, &json!({}), at(1)));
    assert!(!store.release_operation(&claim_1).unwrap());

    // A second operation joins the request and waits with the first.
    let joins = operation("op-00002", "ins_1");
    claimed(claim(&store, &joins, 1));
    assert!(
        matches!(store.create(request_of(&joins), at(1)).unwrap(), Creation::Joined(joined) if joined.id == approval.id)
    );

    store.vote(&approve(&approval, "grace", 2)).unwrap();
    let consumed = store.consume(&approval.id, approval.digest, "ins_1", at(3)).unwrap();
    assert_eq!(store.operation(&new.key).unwrap().unwrap().state, OperationState::Held);
    store.finish(&consumed, &Terminal::Succeeded(json!({})), at(4)).unwrap();
    for key in [&new.key, &joins.key] {
        let done = store.operation(key).unwrap().unwrap();
        assert_eq!((done.state, done.ended_at, done.result), (OperationState::Done, Some(at(4)), None));
        assert_eq!(done.approval.as_deref(), Some(approval.id.as_str()));
    }
}

#[test]
fn a_request_of_an_operation_that_is_not_running_is_not_made() {
    let (_state, store) = store();
    let new = operation("op-00001", "ins_1");
    let lost = store.create(request_of(&new), at(0));
    assert!(matches!(lost, Err(TransitionError::Store(StoreError::OperationLost { .. }))), "{lost:?}");
    assert!(store.list(&Filter::default()).unwrap().is_empty(), "half of it is nothing of it");
}

#[test]
fn an_answer_is_kept_for_a_while_and_what_has_not_ended_for_ever() {
    let (_state, store) = store();
    let (done, running, held) =
        (operation("op-done1", "ins_1"), operation("op-runs1", "ins_1"), operation("op-held1", "ins_1"));
    let claims = [&done, &running, &held].map(|new| claimed(claim(&store, new, 0)));
    store.finish_operation(&claims[0], &json!({ "outcome": 1 }), at(10)).unwrap();
    store.create(request_of(&held), at(0)).unwrap();
    assert_eq!(known(claim(&store, &operation("op-done1", "ins_1"), 3_609)).run, done.run);
    claimed(claim(&store, &operation("op-done1", "ins_1"), 3_610));
    for kept in [&running, &held] {
        let again = operation(&kept.key.id, "ins_1");
        assert_eq!(known(claim(&store, &again, 9_999_999)).run, kept.run);
    }
}

#[test]
fn of_too_many_answers_the_oldest_makes_way() {
    let (_state, store) = store();
    let start = operation("op-start", "ins_1");
    let running = operation("op-runs1", "ins_1");
    claimed(claim(&store, &running, 0));
    let first = claimed(claim(&store, &start, 0));
    store.finish_operation(&first, &json!({}), at(1)).unwrap();
    fill(&store, OPERATIONS_KEPT - 1);
    assert!(store.operation(&start.key).unwrap().is_some());
    let one_more = claimed(claim(&store, &operation("op-more1", "ins_1"), 3));
    assert!(store.operation(&start.key).unwrap().is_none(), "the oldest is gone");
    assert!(store.operation(&key("op-fill-00000")).unwrap().is_some(), "and no other");
    assert!(store.operation(&running.key).unwrap().is_some(), "what has not ended stays, however old");
    store.finish_operation(&one_more, &json!({}), at(4)).unwrap();
}

/// Ended operations of the same agent, written at once: ten thousand durable claims take minutes.
fn fill(store: &SqliteStore, count: u32) {
    let connection = rusqlite::Connection::open(store.path()).unwrap();
    connection
        .execute(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
             INSERT INTO operations (agent, person, id, run, instance, action, target, facts, created_at)
             SELECT 'pager-bot', 'ada', printf('op-fill-%05d', i), printf('run_fill%05d', i), 'ins_1', 'a.b', 't', zeroblob(32), 0
             FROM n",
            [count],
        )
        .unwrap();
    connection
        .execute(
            "UPDATE operations SET state = 'done', result = '{}', ended_at = ?1 WHERE id LIKE 'op-fill-%'",
            [at(2).as_microsecond()],
        )
        .unwrap();
}

#[test]
fn an_answer_that_is_too_large_is_not_kept() {
    let (_state, store) = store();
    let claim_1 = claimed(claim(&store, &operation("op-00001", "ins_1"), 0));
    let large = json!("x".repeat(RESULT_LIMIT));
    assert!(matches!(store.finish_operation(&claim_1, &large, at(1)), Err(StoreError::Invalid(_))));
    store.finish_operation(&claim_1, &json!("x".repeat(RESULT_LIMIT - 2)), at(1)).unwrap();
}

#[test]
fn of_many_threads_exactly_one_claims_each() {
    let (state, _store) = store();
    let path = state.path().join("lockgate.db");
    let stores: Vec<SqliteStore> = (0..4).map(|_| SqliteStore::open(&path).unwrap()).collect();
    let start = Barrier::new(16);
    let claims: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|n| {
                let (store, start) = (&stores[n % stores.len()], &start);
                scope.spawn(move || {
                    start.wait();
                    let mut mine = Vec::new();
                    for id in 0..12 {
                        // Half of the claims of the dead are taken over, once each, by one of the living.
                        let is_alive = |id: &str| id != "ins_dead";
                        let instance = if n % 4 == 0 { "ins_dead" } else { "ins_1" };
                        let new = operation(&format!("op-{id:05}"), instance);
                        if let Claim::Claimed { .. } = store.claim_operation(&new, &is_alive, at(1)).unwrap()
                            && instance == "ins_1"
                        {
                            mine.push(new.key.id);
                        }
                    }
                    mine
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut ids = claims.clone();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(claims.len(), ids.len(), "claimed twice by the living: {claims:?}");
    for operation in stores[0].running_operations().unwrap() {
        assert_eq!(operation.instance == "ins_1", ids.contains(&operation.key.id), "{operation:?}");
    }
}

/// Whatever may happen to an operation.
#[derive(Clone, Debug)]
enum Step {
    Claim { instance: usize, facts: u8 },
    Begin(usize),
    Finish(usize, u8),
    Release(usize),
    Hold(usize),
    Die(usize),
    Decide,
    Wait(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0_usize..3, 0_u8..2).prop_map(|(instance, facts)| Step::Claim { instance, facts }),
        3 => any::<usize>().prop_map(Step::Begin),
        2 => (any::<usize>(), 0_u8..2).prop_map(|(claim, end)| Step::Finish(claim, end)),
        1 => any::<usize>().prop_map(Step::Release),
        1 => any::<usize>().prop_map(Step::Hold),
        2 => (0_usize..3).prop_map(Step::Die),
        1 => Just(Step::Decide),
        1 => prop::sample::select(vec![1_i64, 1_800, 3_600]).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_happens_nothing_begins_twice_and_no_end_changes(steps in prop::collection::vec(any_step(), 1..32)) {
        let (_state, store) = store();
        let mut claims: Vec<ClaimedOperation> = Vec::new();
        let mut dead = [false; 3];
        let mut now = 0;
        // The operation that is kept at present: how often something has begun for it.
        let mut begun: Vec<String> = Vec::new();
        let mut before: Option<Operation> = None;
        for step in steps {
            now += 1;
            match &step {
                Step::Claim { instance, facts } => {
                    let new = NewOperation {
                        facts: FactsDigest([*facts; 32]),
                        ..operation("op-00001", &format!("ins_{instance}"))
                    };
                    let is_alive = |id: &str| !dead[id.trim_start_matches("ins_").parse::<usize>().unwrap()];
                    let old = store.operation(&new.key).unwrap();
                    match store.claim_operation(&new, &is_alive, at(now)).unwrap() {
                        Claim::Claimed { claimed, instead_of } => {
                            if instead_of.is_some() {
                                let old = old.unwrap();
                                prop_assert!(!old.begun && old.state == OperationState::Running && !is_alive(&old.instance));
                                prop_assert_eq!(old.facts, new.facts);
                            } else {
                                prop_assert!(old.is_none_or(|old| old.ended_at.is_some_and(|end| end <= at(now - 3_600))));
                                begun.clear();
                            }
                            claims.push(claimed);
                        }
                        Claim::Known(known) => prop_assert_eq!(Some(*known), old),
                    }
                }
                Step::Begin(which) if !claims.is_empty() => {
                    let claim = &claims[which % claims.len()];
                    if store.begin_operation(claim).is_ok() {
                        begun.push(claim.run().to_owned());
                    }
                }
                Step::Finish(which, end) if !claims.is_empty() => {
                    _ = store.finish_operation(&claims[which % claims.len()], &json!(end), at(now));
                }
                Step::Release(which) if !claims.is_empty() => {
                    if store.release_operation(&claims[which % claims.len()]).unwrap() {
                        prop_assert!(begun.is_empty(), "released after it had begun");
                    }
                }
                Step::Hold(which) if !claims.is_empty() => {
                    let mut request = request();
                    request.run = claims[which % claims.len()].run().to_owned();
                    request.operation = Some("op-00001".into());
                    _ = store.create(new(request), at(now));
                }
                Step::Die(instance) => dead[*instance] = true,
                Step::Decide => {
                    for approval in store.list(&Filter { states: vec![State::Pending], ..Filter::default() }).unwrap() {
                        // Too late for some: then it expires.
                        _ = store.vote(&deny(&approval, "grace", now));
                    }
                    store.expire_due(at(now)).unwrap();
                }
                Step::Wait(seconds) => now += seconds,
                _ => {}
            }
            let after = store.operation(&key("op-00001")).unwrap();
            begun.dedup();
            prop_assert!(begun.len() <= 1, "two runs began: {begun:?}");
            if let (Some(before), Some(after)) = (&before, &after)
                && before.state == OperationState::Done && before.run == after.run
            {
                prop_assert_eq!(before, after, "an end has changed");
            }
            if let Some(before) = before.filter(|before| before.begun && before.state == OperationState::Running) {
                let after = after.as_ref();
                prop_assert!(after.is_some_and(|after| after.run == before.run), "what had begun is somebody else's");
            }
            before = after;
        }
    }
}
