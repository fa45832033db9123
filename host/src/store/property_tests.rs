//! Whatever happens to a request, in whatever order: the rules of the diagram hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use serde_json::json;

use super::{testing::*, *};

/// Whatever may happen to a request.
#[derive(Clone, Debug)]
enum Step {
    Approve(&'static str),
    Deny(&'static str),
    StaleVote,
    Consume,
    Finish(u8),
    Withdraw,
    Supersede,
    Expire,
    Orphan,
    Wait(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let person = prop::sample::select(vec!["ada", "grace", "edsger", ""]);
    prop_oneof![
        4 => person.clone().prop_map(Step::Approve),
        1 => person.prop_map(Step::Deny),
        1 => Just(Step::StaleVote),
        4 => Just(Step::Consume),
        2 => (0_u8..3).prop_map(Step::Finish),
        1 => Just(Step::Withdraw),
        1 => Just(Step::Supersede),
        1 => Just(Step::Expire),
        1 => Just(Step::Orphan),
        2 => prop::sample::select(vec![1_i64, 60, 899, 900, 3_600]).prop_map(Step::Wait),
    ]
}

fn take(store: &dyn Store, approval: &Approval, consumed: &mut Vec<ConsumedApproval>, step: &Step, now: i64) -> bool {
    let id = &approval.id;
    match step {
        Step::Approve(person) => store.vote(&approve(approval, person, now)).is_ok(),
        Step::Deny(person) => store.vote(&deny(approval, person, now)).is_ok(),
        Step::StaleVote => {
            store.vote(&Vote { digest_shown: RequestDigest([1; 32]), ..approve(approval, "grace", now) }).is_ok()
        }
        Step::Consume => match store.consume(id, approval.digest, "ins_1", at(now)) {
            Ok(claim) => {
                consumed.push(claim);
                true
            }
            Err(_) => false,
        },
        Step::Finish(how) => consumed.last().is_some_and(|claim| {
            let end = match how {
                0 => Terminal::Succeeded(json!({})),
                1 => Terminal::Failed(json!({})),
                _ => Terminal::Unknown(json!({})),
            };
            store.finish(claim, &end, at(now)).is_ok()
        }),
        Step::Withdraw => store.withdraw(id, &approval.request.requester, at(now)).is_ok(),
        Step::Supersede => store.supersede(id, "changed", at(now)).is_ok(),
        Step::Expire => !store.expire_due(at(now)).unwrap().is_empty(),
        Step::Orphan => !store.mark_orphans_unknown(&|_| false, at(now)).unwrap().is_empty(),
        Step::Wait(_) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_happens_the_rules_hold(needed in 1_u32..3, steps in prop::collection::vec(any_step(), 1..24)) {
        let (_state, store) = store();
        let approval = pending(&store, |request| request.needed = needed);
        let (mut now, mut consumed) = (1, Vec::new());
        let mut before = store.get(&approval.id).unwrap().unwrap();
        for step in steps {
            if let Step::Wait(seconds) = step {
                now += seconds;
            }
            let did = take(&store, &approval, &mut consumed, &step, now);
            let after = store.get(&approval.id).unwrap().unwrap();
            // A step that was refused changed nothing, and what was asked for never changes.
            prop_assert!(did || after == before, "{step:?}");
            prop_assert_eq!(&after.request, &approval.request);
            prop_assert_eq!(after.digest, approval.digest);
            // Only along the edges of the diagram; a terminal state stays, and so does everything about it.
            prop_assert!(after.state == before.state || before.state.may_become(after.state), "{step:?}");
            prop_assert!(!before.state.is_terminal() || after == before);
            prop_assert!(consumed.len() <= 1, "consumed twice");
            prop_assert!(!after.votes.iter().any(|v| v.decision == Decision::Approve && approval.request.requester.is_behind(&v.person)));
            let ran = matches!(after.state, State::Consumed | State::Succeeded | State::Failed | State::Unknown);
            prop_assert_eq!(ran, !consumed.is_empty());
            if after.state == State::Approved || ran {
                prop_assert!(after.approvals() >= usize::try_from(needed).unwrap());
            }
            if step_used_up(&before, &after) {
                prop_assert!(at(now) < before.execute_by.unwrap(), "used after its time");
            }
            before = after;
        }
    }
}

fn step_used_up(before: &Approval, after: &Approval) -> bool {
    before.state == State::Approved && after.state == State::Consumed
}
