//! What the store promises of approvals, asked of the embedded one: who may move a request, from which state, how often.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use serde_json::json;

use super::{testing::*, *};

fn stored(store: &dyn Store, id: &str) -> Approval {
    store.get(id).unwrap().unwrap()
}

fn closed_as(result: Result<impl std::fmt::Debug, TransitionError>, expected: State) {
    match result {
        Err(TransitionError::Closed { state, .. }) => assert_eq!(state, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_goes_from_pending_to_its_end() {
    let (_state, store) = store();
    let approval = pending(&store, |_| ());
    assert_eq!((approval.state, approval.decide_by), (State::Pending, at(3_600)));
    let approval = store.vote(&approve(&approval, "grace", 10)).unwrap();
    assert_eq!((approval.state, approval.execute_by), (State::Approved, Some(at(910))));
    assert_eq!(approval.decided_by.as_deref(), Some("grace"));
    let consumed = store.consume(&approval.id, approval.digest, "ins_1", at(20)).unwrap();
    assert_eq!(consumed.approval().consumed_by.as_deref(), Some("ins_1"));
    let ended = store.finish(&consumed, &Terminal::Succeeded(json!({ "rows": 1 })), at(30)).unwrap();
    assert_eq!(
        (ended.state, ended.finished_at, ended.outcome.clone()),
        (State::Succeeded, Some(at(30)), Some(json!({ "rows": 1 })))
    );
    assert_eq!(stored(&store, &approval.id), ended);
    closed_as(store.finish(&consumed, &Terminal::Failed(json!({})), at(40)), State::Succeeded);
    assert_eq!(stored(&store, &approval.id), ended);
}

#[test]
fn what_was_asked_for_comes_back_exactly() {
    let (_state, store) = store();
    let asked = request();
    let new = new(asked.clone());
    let Creation::Created { approval, superseded: None } = store.create(new.clone(), at(0)).unwrap() else { panic!() };
    assert_eq!((approval.request, approval.digest, approval.nonce), (asked, new.digest, new.nonce));
}

#[test]
fn the_same_request_is_joined_and_one_on_other_facts_supersedes() {
    let (_state, store) = store();
    let Creation::Created { approval: first, .. } = store.create(new(request()), at(0)).unwrap() else { panic!() };
    let Creation::Joined(joined) = store.create(new(Request { run: "run_2".into(), ..request() }), at(1)).unwrap()
    else {
        panic!("a second request for the same thing");
    };
    assert_eq!(joined.id, first.id);

    let changed = Request { pins: vec![], ..request() };
    let Creation::Created { approval: second, superseded: Some(old) } = store.create(new(changed), at(2)).unwrap()
    else {
        panic!("joined on other facts");
    };
    assert_eq!((old.id.clone(), old.state), (first.id.clone(), State::Superseded));
    closed_as(store.vote(&approve(&first, "grace", 3)), State::Superseded);

    let other = Requester { agent: "other-bot".into(), ..request().requester };
    let asked = store.create(new(Request { requester: other, pins: vec![], ..request() }), at(4)).unwrap();
    assert!(matches!(asked, Creation::Created { superseded: None, .. }), "another agent's request is another request");
    assert_eq!(stored(&store, &second.id).state, State::Pending);
}

#[test]
fn an_agent_can_not_bury_people_in_requests() {
    let (_state, store) = store();
    for _ in 0..PENDING_LIMIT {
        pending(&store, |_| ());
    }
    let mut one_more = request();
    one_more.target = "other".into();
    assert!(matches!(
        store.create(new(one_more.clone()), at(1)),
        Err(TransitionError::TooManyPending { limit: PENDING_LIMIT, .. })
    ));
    one_more.requester.agent = "other-bot".into();
    store.create(new(one_more.clone()), at(1)).unwrap();
    // Those that have run out no longer count, written down or not.
    one_more.requester.agent = request().requester.agent;
    store.create(new(one_more), at(3_600)).unwrap();
}

#[test]
fn nobody_behind_the_request_approves_it_and_anyone_may_deny() {
    let (_state, store) = store();
    let approval = pending(&store, |_| ());
    let by_account = pending(&store, |request| {
        (request.requester.person, request.requester.os_user) = (None, Some("ada".into()));
    });
    for person in ["ada", " ADA ", "pager-bot"] {
        for approval in [&approval, &by_account] {
            let refused = store.vote(&approve(approval, person, 1));
            assert!(matches!(refused, Err(TransitionError::SelfApproval { .. })), "{person}: {refused:?}");
        }
    }
    for nobody in ["", "  "] {
        assert!(matches!(store.vote(&approve(&approval, nobody, 1)), Err(TransitionError::Nobody { .. })));
    }
    assert!(stored(&store, &approval.id).votes.is_empty());
    assert_eq!(store.vote(&deny(&approval, "ada", 2)).unwrap().state, State::Denied);
}

#[test]
fn the_person_behind_a_request_is_found_under_each_of_their_names() {
    let (_state, store) = store();
    let approval = pending(&store, |_| ());
    let by_account = pending(&store, |request| {
        (request.requester.person, request.requester.os_user) = (None, Some("alovelace".into()));
    });
    let named = |approval: &Approval, person: &str, also: &str| {
        store.vote(&Vote { also_known_as: [also.to_owned()].into(), ..approve(approval, person, 1) })
    };
    for refused in [
        named(&approval, "lovelace", " ADA "),
        named(&approval, "ada", "lovelace"),
        named(&approval, "grace", "Pager-Bot"),
        named(&by_account, "ada", "alovelace"),
    ] {
        assert!(matches!(refused, Err(TransitionError::SelfApproval { .. })), "{refused:?}");
    }
    assert!(matches!(named(&approval, " ", "grace"), Err(TransitionError::Nobody { .. })));
    assert!(stored(&store, &approval.id).votes.is_empty());
    assert_eq!(named(&approval, "grace", " ").unwrap().state, State::Approved, "a blank name is nobody's");
}

#[test]
fn nobody_votes_twice_under_two_names() {
    let (_state, store) = store();
    let approval = pending(&store, |request| request.needed = 2);
    let named = |person: &str, also: &[&str], seconds| {
        let also_known_as = also.iter().map(|&name| name.to_owned()).collect();
        store.vote(&Vote { also_known_as, ..approve(&approval, person, seconds) })
    };
    assert_eq!(named("grace", &["ghopper", "grace@example.com"], 1).unwrap().state, State::Pending);
    for (person, also) in [("GHopper", &[][..]), ("gh", &["grace@example.com"]), ("grace", &[]), ("x", &["Grace "])] {
        let again = named(person, also, 2);
        assert!(matches!(again, Err(TransitionError::AlreadyVoted { .. })), "{person}: {again:?}");
    }
    assert_eq!(stored(&store, &approval.id).approvals(), 1);
    // Somebody who is sure of it is not stopped by the names either: one no is enough.
    let approved = named("edsger", &["ewd"], 3).unwrap();
    assert_eq!(approved.state, State::Approved);
    let raw = rusqlite::Connection::open(store.path()).unwrap();
    for sql in ["DELETE FROM vote_names", "UPDATE vote_names SET name_key = 'x'"] {
        assert!(raw.execute(sql, []).is_err(), "{sql}");
    }
    let denied = store.vote(&Vote { also_known_as: ["grace".to_owned()].into(), ..deny(&approval, "ghopper", 4) });
    assert_eq!(denied.unwrap().state, State::Denied);
}

#[test]
fn where_policy_asks_for_a_reason_an_approval_says_why() {
    let (_state, store) = store();
    let approval = pending(&store, |request| request.reason_required = true);
    let with = |reason: &str| store.vote(&Vote { reason: reason.into(), ..approve(&approval, "grace", 1) });
    for silence in ["", "  \n", "...", "\u{200b}", "\u{fffd}"] {
        let refused = with(silence).unwrap_err();
        assert_eq!(refused.code(), crate::error::Code::ReasonRequired, "{silence:?}");
    }
    let denied = pending(&store, |request| request.reason_required = true);
    let silent = Vote { reason: String::new(), ..deny(&denied, "grace", 1) };
    assert_eq!(store.vote(&silent).unwrap().state, State::Denied, "nothing is in the way of a no");
    assert_eq!(with("it is the migration").unwrap().state, State::Approved);
    let raw = rusqlite::Connection::open(store.path()).unwrap();
    assert!(raw.execute("UPDATE approvals SET reason_required = 0 WHERE state = 'approved'", []).is_err());
}

#[test]
fn a_vote_on_another_screen_is_refused() {
    let (_state, store) = store();
    let approval = pending(&store, |_| ());
    for decision in [approve, deny] {
        let mut stale = decision(&approval, "grace", 1);
        stale.digest_shown.0[31] ^= 1;
        assert!(matches!(store.vote(&stale), Err(TransitionError::DigestMismatch { .. })));
    }
    assert_eq!(stored(&store, &approval.id), approval);
}

#[test]
fn policy_says_how_many_and_with_which_roles() {
    let (_state, store) = store();
    let approval = pending(&store, |request| {
        request.needed = 2;
        request.approvers = ["dba".to_owned()].into();
    });
    let with = |person: &str, role: &str, seconds| {
        store.vote(&Vote { roles: [role.to_owned()].into(), ..approve(&approval, person, seconds) })
    };
    assert!(matches!(with("grace", "intern", 1), Err(TransitionError::NotAnApprover { .. })));
    assert_eq!(with("grace", "dba", 2).unwrap().state, State::Pending);
    assert!(matches!(with("GRACE", "dba", 3), Err(TransitionError::AlreadyVoted { .. })));
    let approved = with("edsger", "dba", 4).unwrap();
    assert_eq!((approved.state, approved.decided_by.as_deref()), (State::Approved, Some("edsger")));
    closed_as(with("barbara", "dba", 5), State::Approved);
}

#[test]
fn a_denial_takes_an_approval_back_until_it_is_used() {
    let (_state, store) = store();
    let approval = approved(&store);
    let denied = store.vote(&deny(&approval, "grace", 5)).unwrap();
    assert_eq!((denied.state, denied.approvals()), (State::Denied, 0));
    closed_as(store.consume(&approval.id, approval.digest, "ins_1", at(6)), State::Denied);

    let used = approved(&store);
    store.consume(&used.id, used.digest, "ins_1", at(6)).unwrap();
    closed_as(store.vote(&deny(&used, "edsger", 7)), State::Consumed);
}

#[test]
fn time_runs_out_for_deciding_and_for_executing() {
    let (_state, store) = store();
    let (undecided, unused) = (pending(&store, |_| ()), approved(&store));
    for decision in [approve, deny] {
        let late = store.vote(&decision(&undecided, "grace", 3_600));
        assert!(matches!(late, Err(TransitionError::Expired { .. })), "{late:?}");
    }
    let late = store.consume(&unused.id, unused.digest, "ins_1", at(901));
    assert!(matches!(late, Err(TransitionError::Expired { .. })), "{late:?}");
    assert!(store.expire_due(at(900)).unwrap().is_empty());

    let expired = store.expire_due(at(901)).unwrap();
    assert_eq!(expired.iter().map(|a| (&a.id, a.state)).collect::<Vec<_>>(), [(&unused.id, State::Expired)]);
    let expired = store.expire_due(at(3_600)).unwrap();
    assert_eq!(expired.iter().map(|a| &a.id).collect::<Vec<_>>(), [&undecided.id]);
    assert!(store.expire_due(at(9_999)).unwrap().is_empty(), "an expiry is reported once");
    // At its last moment it can still be used.
    let last = approved(&store);
    store.consume(&last.id, last.digest, "ins_1", at(900)).unwrap();
}

#[test]
fn consuming_asks_for_the_digest_that_was_voted_on() {
    let (_state, store) = store();
    let approval = approved(&store);
    let other = RequestDigest([0; 32]);
    let refused = store.consume(&approval.id, other, "ins_1", at(2));
    assert!(matches!(refused, Err(TransitionError::DigestMismatch { .. })), "{refused:?}");
    let unknown = store.consume("apr_none", other, "ins_1", at(2));
    assert!(matches!(unknown, Err(TransitionError::UnknownApproval { .. })), "{unknown:?}");
    assert_eq!(stored(&store, &approval.id).state, State::Approved);
}

#[test]
fn only_its_requester_withdraws_a_request() {
    let (_state, store) = store();
    let approval = pending(&store, |_| ());
    let other = Requester { agent: "other-bot".into(), ..approval.request.requester.clone() };
    let probed = store.withdraw(&approval.id, &other, at(1)).unwrap_err().to_string();
    let unknown = store.withdraw("apr_none", &other, at(1)).unwrap_err().to_string();
    assert_eq!(probed.replace(&approval.id, "x"), unknown.replace("apr_none", "x"), "agents can't probe for ids");
    assert_eq!(store.withdraw(&approval.id, &approval.request.requester, at(2)).unwrap().state, State::Withdrawn);
    closed_as(store.withdraw(&approval.id, &approval.request.requester, at(3)), State::Withdrawn);
}

#[test]
fn what_people_have_decided_is_not_withdrawn() {
    let (_state, store) = store();
    let approval = approved(&store);
    closed_as(store.withdraw(&approval.id, &approval.request.requester, at(2)), State::Approved);
    assert_eq!(stored(&store, &approval.id).state, State::Approved);
}

#[test]
fn what_a_dead_instance_left_is_unknown_and_what_a_live_one_runs_is_not() {
    let (_state, store) = store();
    let (lost, running) = (approved(&store), approved(&store));
    let orphan = store.consume(&lost.id, lost.digest, "ins_dead", at(2)).unwrap();
    store.consume(&running.id, running.digest, "ins_alive", at(2)).unwrap();
    let marked = store.mark_orphans_unknown(&|id| id == "ins_alive", at(3)).unwrap();
    assert_eq!(marked.iter().map(|a| (&a.id, a.state)).collect::<Vec<_>>(), [(&lost.id, State::Unknown)]);
    assert_eq!(marked[0].refusal.as_ref().unwrap()["code"], "outcome_unknown");
    serde_json::from_value::<crate::error::Refusal>(marked[0].refusal.clone().unwrap()).unwrap();
    assert_eq!(stored(&store, &running.id).state, State::Consumed);
    assert!(store.mark_orphans_unknown(&|id| id == "ins_alive", at(4)).unwrap().is_empty());
    // Were it alive after all, it could no longer say that it went well.
    closed_as(store.finish(&orphan, &Terminal::Succeeded(json!({})), at(5)), State::Unknown);
}

#[test]
fn whoever_opens_the_file_can_not_undo_an_end() {
    let (_state, store) = store();
    let denied = store.vote(&deny(&pending(&store, |_| ()), "grace", 1)).unwrap();
    let waiting = pending(&store, |_| ());
    let raw = rusqlite::Connection::open(store.path()).unwrap();
    for (sql, id) in [
        ("UPDATE approvals SET state = 'approved' WHERE id = ?1", &denied.id),
        ("UPDATE approvals SET decision_reason = 'fine' WHERE id = ?1", &denied.id),
        ("UPDATE votes SET decision = 'approve' WHERE approval = ?1", &denied.id),
        ("DELETE FROM votes WHERE approval = ?1", &denied.id),
        ("DELETE FROM approvals WHERE id = ?1", &denied.id),
        ("UPDATE approvals SET state = 'consumed', consumed_by = 'x' WHERE id = ?1", &waiting.id),
        ("UPDATE approvals SET arguments = '{}' WHERE id = ?1", &waiting.id),
        ("UPDATE approvals SET needed = 1 WHERE id = ?1", &waiting.id),
        ("UPDATE approvals SET decide_by = decide_by + 1 WHERE id = ?1", &waiting.id),
    ] {
        assert!(raw.execute(sql, [id]).is_err(), "{sql}");
    }
    assert_eq!((stored(&store, &denied.id), stored(&store, &waiting.id)), (denied, waiting));
}

#[test]
fn what_can_not_be_stored_is_refused() {
    let (_state, store) = store();
    let changes: [fn(&mut Request); 6] = [
        |r| r.needed = 0,
        |r| r.decide_within = Duration::ZERO,
        |r| r.execute_within = Duration::ZERO,
        |r| r.execute_within = Duration::MAX,
        |r| r.pins[0].value = crate::value::Value::Number(f64::NAN),
        |r| r.reason = "x".repeat(REQUEST_LIMIT),
    ];
    for change in changes {
        let mut asked = request();
        change(&mut asked);
        let refused = store.create(new(asked), at(0));
        assert!(matches!(refused, Err(TransitionError::Store(StoreError::Invalid(_)))), "{refused:?}");
    }
    assert!(store.list(&Filter::default()).unwrap().is_empty());
}

#[test]
fn a_list_is_filtered_and_newest_first() {
    let (_state, store) = store();
    let ids: Vec<String> = (0..3)
        .map(|n| {
            let mut asked = request();
            asked.target = format!("target-{n}");
            match store.create(new(asked), at(n)).unwrap() {
                Creation::Created { approval, .. } => approval.id,
                Creation::Joined(_) => panic!("joined"),
            }
        })
        .collect();
    store.vote(&deny(&stored(&store, &ids[1]), "grace", 5)).unwrap();
    let listed = |filter: Filter| store.list(&filter).unwrap().into_iter().map(|a| a.id).collect::<Vec<_>>();
    assert_eq!(listed(Filter::default()), [ids[2].clone(), ids[1].clone(), ids[0].clone()]);
    assert_eq!(listed(Filter { states: vec![State::Denied], ..Filter::default() }), [ids[1].clone()]);
    assert_eq!(listed(Filter { since: Some(at(1)), before: Some(at(2)), ..Filter::default() }), [ids[1].clone()]);
    assert_eq!(listed(Filter { limit: Some(1), ..Filter::default() }), [ids[2].clone()]);
}

#[test]
fn a_pack_does_not_go_back_unless_somebody_says_so() {
    let (_state, store) = store();
    let version =
        |version: &str| PackVersion { name: "postgres".into(), version: version.into(), digest: version.into() };
    let remember = |v: &str| store.remember_pack(&version(v), &|new, floor| new > floor, at(0)).unwrap();
    assert!(store.pack_floor("postgres").unwrap().is_none());
    assert_eq!(remember("1.1"), Remembered::First);
    assert_eq!(remember("1.2"), Remembered::Raised { from: version("1.1") });
    assert_eq!(remember("1.1"), Remembered::Kept { floor: version("1.2") });
    assert_eq!(store.pack_floor("postgres").unwrap().unwrap().pack, version("1.2"));
    store.reset_pack_floor(&version("1.1"), "grace", "1.2 is broken", at(9)).unwrap();
    assert_eq!(store.pack_floor("postgres").unwrap().unwrap().pack, version("1.1"));
    let history = store.pack_history("postgres").unwrap();
    let changes: Vec<_> = history.iter().map(|line| (line.change.as_str(), line.pack.version.as_str())).collect();
    assert_eq!(changes, [("raised", "1.1"), ("raised", "1.2"), ("reset", "1.1")]);
    assert_eq!(history[2].by, "grace");
}

#[test]
fn a_mark_changes_with_every_write_of_whichever_connection() {
    let (_state, store) = store();
    let other = SqliteStore::open(store.path()).unwrap();
    let first = store.change_mark().unwrap();
    assert_eq!(store.change_mark().unwrap(), first);
    store.set_meta("k", "1").unwrap();
    let second = store.change_mark().unwrap();
    assert_ne!(second, first);
    other.set_meta("k", "2").unwrap();
    assert_ne!(store.change_mark().unwrap(), second);
    assert_eq!(store.meta("k").unwrap().as_deref(), Some("2"));
}

#[test]
fn a_denial_beats_a_concurrent_approval_and_a_concurrent_use() {
    let (_state, store) = store();
    let path = store.path().to_owned();
    let open = || SqliteStore::open(&path).unwrap();
    let (approver, denier, consumer) = (open(), open(), open());
    for round in 0..30 {
        let approval = if round % 2 == 0 { pending(&store, |_| ()) } else { approved(&store) };
        let start = Barrier::new(3);
        let (denied, consumed) = thread::scope(|scope| {
            let approving = scope.spawn(|| {
                start.wait();
                approver.vote(&approve(&approval, "edsger", 2))
            });
            let denying = scope.spawn(|| {
                start.wait();
                denier.vote(&deny(&approval, "barbara", 2))
            });
            let consuming = scope.spawn(|| {
                start.wait();
                consumer.consume(&approval.id, approval.digest, "ins_1", at(2))
            });
            _ = approving.join().unwrap();
            (denying.join().unwrap(), consuming.join().unwrap())
        });
        // Whichever came first: never both, and with a denial that was accepted it never runs.
        match (denied, consumed) {
            (Ok(_), Err(_)) => assert_eq!(stored(&store, &approval.id).state, State::Denied),
            (Err(TransitionError::Closed { state: State::Consumed, .. }), Ok(_)) => {
                assert_eq!(stored(&store, &approval.id).state, State::Consumed);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn threads_that_share_one_store_consume_once() {
    let (_state, store) = store();
    let store: Arc<dyn Store> = Arc::new(store);
    let approval = approved(&*store);
    let start = Barrier::new(16);
    let wins: usize = thread::scope(|scope| {
        let claims: Vec<_> = (0..16)
            .map(|n| {
                let (store, approval, start) = (&store, &approval, &start);
                scope.spawn(move || {
                    start.wait();
                    store.consume(&approval.id, approval.digest, &format!("ins_{n}"), at(2)).is_ok()
                })
            })
            .collect();
        claims.into_iter().map(|claim| usize::from(claim.join().unwrap())).sum()
    });
    assert_eq!(wins, 1);
}
