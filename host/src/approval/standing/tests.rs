//! What is covered and what is not, who may grant it, and what it would have let through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::store::{StandingCast, Store, testing};

fn proposal() -> Proposal {
    Proposal {
        uses: 5,
        within: SignedDuration::from_hours(48),
        role: None,
        bounds: BTreeMap::new(),
        by: "edsger".into(),
        reason: "the same every night".into(),
    }
}

fn approved(change: impl FnOnce(&mut Request)) -> Approval {
    let (_state, store) = testing::store();
    let approval = testing::asked(&store, change);
    store.vote(&testing::approve(&approval, "grace", 1)).unwrap()
}

fn grant(change: impl FnOnce(&mut Proposal)) -> (Request, Grant) {
    let approval = approved(|_| ());
    let mut proposal = proposal();
    change(&mut proposal);
    let grant = propose(&approval, proposal, testing::at(2)).unwrap().grant;
    (approval.request, grant)
}

fn range(min: i64, max: i64) -> Bound {
    Bound::Range { min: min.into(), max: max.into() }
}

#[test]
fn a_grant_covers_the_request_that_it_comes_from_and_nothing_beside_it() {
    let (request, grant) = grant(|_| ());
    assert_eq!(uncovered(&grant, &Sought::of(&request)), None);
    type Change = fn(&mut Request);
    let changes: [(&str, Change); 16] = [
        ("it is for somebody else", |r| r.requester.agent.push('2')),
        ("it is for somebody else", |r| r.requester.person = None),
        ("it is for somebody else", |r| r.requester.person = Some("edsger".into())),
        ("it is for another action", |r| r.action = "postgres.cancel_query".into()),
        ("it is for another version of the pack", |r| r.pack_digest = "ab".into()),
        ("the risk of the call is higher", |r| r.risk = "critical".into()),
        ("the risk of the call is higher", |r| r.risk = "extreme".into()),
        ("it is for another target", |r| r.target = "shop".into()),
        ("it is for another target", |r| r.target_identity = "db2/7000".into()),
        ("an argument is outside of its bounds", |r| _ = r.arguments.insert("pid".into(), 4243.into())),
        ("an argument is outside of its bounds", |r| _ = r.arguments.insert("pid".into(), "4242".into())),
        ("an argument is outside of its bounds", |r| _ = r.arguments.insert("pid".into(), json!(4242.0))),
        ("an argument is outside of its bounds", |r| _ = r.arguments.remove("mode")),
        ("an argument is outside of its bounds", |r| _ = r.arguments.insert("force".into(), true.into())),
        ("policy asks for more people by now", |r| r.needed = 2),
        ("policy asks for other people by now", |r| _ = r.approvers.insert("dba".into())),
    ];
    for (why, change) in changes {
        let mut other = request.clone();
        change(&mut other);
        assert_eq!(uncovered(&grant, &Sought::of(&other)), Some(why));
    }
    // Which run, through which door and with which words makes no difference: none of it is what is done.
    let same = Request { run: "run_9".into(), reason: "again".into(), risk: "medium".into(), ..request };
    assert_eq!(uncovered(&grant, &Sought::of(&same)), None);
}

#[test]
fn nobody_behind_an_agent_takes_two_people_as_for_a_request() {
    let approval = approved(|request| (request.requester.person, request.needed) = (None, 2));
    assert!(approval.execute_by.is_none(), "one of two");
    let (mut request, mut grant) = grant(|p| p.role = Some("oncall".into()));
    request.requester.person = None;
    assert_eq!(uncovered(&grant, &Sought::of(&request)), Some("policy asks for more people by now"));
    grant.needed = 2;
    assert_eq!(uncovered(&grant, &Sought::of(&request)), None);
}

#[test]
fn groups_are_at_least_as_narrow_as_policy_has_them_now() {
    let (mut request, mut grant) = grant(|_| ());
    for (granted, asked, fits) in [
        (&["dba"][..], &["dba"][..], true),
        (&["dba"], &["dba", "lead"], true),
        (&["dba", "lead"], &["dba"], false),
        (&["dba"], &[], true),
        (&[], &["dba"], false),
    ] {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        (grant.approvers, request.approvers) = (set(granted), set(asked));
        assert_eq!(uncovered(&grant, &Sought::of(&request)).is_none(), fits, "{granted:?} {asked:?}");
    }
}

#[test]
fn bounds_hold_what_they_say() {
    for (bound, inside, outside) in [
        (
            range(60, 600),
            vec![json!(60), json!(600), json!(61.5)],
            vec![json!(59), json!(601), json!("60"), Json::Null],
        ),
        (range(i64::MAX - 1, i64::MAX), vec![json!(i64::MAX)], vec![json!(i64::MAX - 2)]),
        (
            Bound::Glob("shop_*".into()),
            vec![json!("shop_"), json!("shop_a")],
            vec![json!("shop"), json!(1), json!("xshop_")],
        ),
        (
            Bound::OneOf(vec![json!(1), json!("a")]),
            vec![json!(1), json!("a")],
            vec![json!("1"), json!(1.0), json!("b")],
        ),
        (Bound::Equal(json!(true)), vec![json!(true)], vec![json!(false), json!("true")]),
    ] {
        assert!(inside.iter().all(|value| admits(&bound, value)), "{bound:?}");
        assert!(!outside.iter().any(|value| admits(&bound, value)), "{bound:?}");
    }
}

#[test]
fn what_bounds_nothing_or_goes_beyond_the_request_is_not_proposed() {
    let approval = approved(|_| ());
    let refused = |change: &dyn Fn(&mut Proposal)| {
        let mut proposal = proposal();
        change(&mut proposal);
        propose(&approval, proposal, testing::at(2)).unwrap_err().to_string()
    };
    let with = |name: &str, bound: Bound| refused(&|p| _ = p.bounds.insert(name.into(), bound.clone()));
    assert!(with("mode", Bound::Glob("**".into())).contains("bounds nothing"));
    assert!(with("mode", Bound::Glob("a b".into())).contains("not a pattern"));
    assert!(with("mode", Bound::Glob("cancel*".into())).contains("does not let through the request itself"));
    assert!(with("pid", range(9, 1)).contains("is empty"));
    assert!(with("pid", Bound::OneOf(vec![])).contains("one of 1 to 50"));
    assert!(with("force", Bound::Equal(json!(true))).contains("no argument `force`"));
    assert!(refused(&|p| p.role = Some("admin".into())).contains("does not have the role"));
    let (_state, store) = testing::store();
    let pending = testing::asked(&store, |_| ());
    assert!(propose(&pending, proposal(), testing::at(2)).unwrap_err().to_string().contains("have not approved"));
    let denied =
        store.vote(&testing::deny(&store.vote(&testing::approve(&pending, "grace", 1)).unwrap(), "grace", 2)).unwrap();
    assert!(propose(&denied, proposal(), testing::at(3)).is_err(), "people took it back");
    let critical = approved(|request| request.risk = "critical".into());
    assert!(propose(&critical, proposal(), testing::at(2)).unwrap_err().to_string().contains("one by one"));
}

#[test]
fn the_digest_is_of_all_that_is_granted() {
    let approval = approved(|_| ());
    let one = propose(&approval, proposal(), testing::at(2)).unwrap();
    let of =
        |grant: &Grant, by: &str, reason: &str, source: &str| digest(&one.id, source, grant, by, reason).to_string();
    let changes: [fn(&mut Grant); 11] = [
        |g| g.to = Beneficiary::Role("pager-bot".into()),
        |g| g.action.push('x'),
        |g| g.pack_digest.push('0'),
        |g| g.risk = "medium".into(),
        |g| _ = g.arguments.insert("pid".into(), Bound::OneOf(vec![json!(4242)])),
        |g| _ = g.arguments.remove("pid"),
        |g| _ = g.targets.insert("shop".into(), "db2".into()),
        |g| g.uses += 1,
        |g| g.until = testing::at(9),
        |g| g.needed += 1,
        |g| _ = g.approvers.insert("dba".into()),
    ];
    let mut digests: BTreeSet<String> = changes
        .iter()
        .map(|change| {
            let mut grant = one.grant.clone();
            change(&mut grant);
            of(&grant, "edsger", &one.reason, &one.source)
        })
        .collect();
    digests.insert(one.digest.to_string());
    digests.insert(of(&one.grant, "grace", &one.reason, &one.source));
    digests.insert(of(&one.grant, "edsger", "x", &one.source));
    digests.insert(of(&one.grant, "edsger", &one.reason, "apr_x"));
    assert_eq!(digests.len(), changes.len() + 4);
}

fn stored(store: &dyn Store, approval: &Approval, change: impl FnOnce(&mut Proposal)) -> StandingApproval {
    let mut proposal = proposal();
    change(&mut proposal);
    let new = propose(approval, proposal, testing::at(2)).unwrap();
    store.propose_standing(&new, &|_| Ok(()), testing::at(2)).unwrap()
}

#[test]
fn a_replay_counts_what_people_would_not_have_been_asked() {
    let (_state, store) = testing::store();
    let with_pid = |pid: i64| testing::asked(&store, |request| _ = request.arguments.insert("pid".into(), pid.into()));
    let approval = store.vote(&testing::approve(&with_pid(60), "grace", 1)).unwrap();
    store.vote(&testing::deny(&with_pid(70), "grace", 1)).unwrap();
    with_pid(700);
    testing::asked(&store, |r| r.action = "postgres.cancel_query".into());
    testing::asked(&store, |r| (r.pack_digest, _) = ("ff".into(), r.arguments.insert("pid".into(), 61.into())));
    testing::asked(&store, |r| r.requester.agent = "other".into());
    let standing = stored(&store, &approval, |p| _ = p.bounds.insert("pid".into(), range(60, 600)));
    let found = replay(&store, &standing, testing::at(3)).unwrap();
    assert_eq!((found.asked, found.covered.len(), found.denied, found.of_another_pack, found.cut), (5, 2, 1, 1, false));
    assert!(found.covered.iter().any(|one| one.approval == approval.id && one.state == State::Approved));
    let later = replay(&store, &standing, testing::at(31 * 86_400)).unwrap();
    assert_eq!((later.asked, later.covered.len()), (0, 0), "thirty days back and no further");
}

#[test]
fn whoever_approved_it_is_not_let_through_by_it() {
    let (_state, store) = testing::store();
    let approval = store.vote(&testing::approve(&testing::asked(&store, |_| ()), "grace", 1)).unwrap();
    let mut standing = stored(&store, &approval, |p| p.role = Some("oncall".into()));
    standing.votes = vec![StandingCast {
        person: "Grace".into(),
        names: ["grace".to_owned(), "ghopper".to_owned()].into(),
        reason: "fine".into(),
        at: testing::at(3),
    }];
    let of = |person: Option<&str>, account: Option<&str>| Requester {
        person: person.map(str::to_owned),
        os_user: account.map(str::to_owned),
        ..approval.request.requester.clone()
    };
    for (asks, own) in [
        (of(Some("ada"), None), false),
        (of(Some("GRACE"), None), true),
        (of(Some("ghopper"), None), true),
        (of(None, Some("ghopper")), true),
        (of(Some("ada"), Some("ghopper")), false),
    ] {
        assert_eq!(is_by_its_own(&standing, &asks), own, "{asks:?}");
    }
}

proptest! {
    /// Whatever is proposed covers the request that it comes from, and a call beyond a bound is never covered.
    #[test]
    fn a_range_is_a_range(low in 0_i64..100, width in 0_i64..100, asked in 0_i64..200, call in -10_i64..220) {
        let approval = approved(|request| _ = request.arguments.insert("pid".into(), asked.into()));
        let mut proposal = proposal();
        proposal.bounds.insert("pid".into(), range(low, low + width));
        let inside = (low..=low + width).contains(&asked);
        let made = propose(&approval, proposal, testing::at(2));
        prop_assert_eq!(made.is_ok(), inside);
        if let Ok(made) = made {
            prop_assert_eq!(uncovered(&made.grant, &Sought::of(&approval.request)), None);
            let mut other = approval.request.clone();
            other.arguments.insert("pid".into(), call.into());
            prop_assert_eq!(uncovered(&made.grant, &Sought::of(&other)).is_none(), (low..=low + width).contains(&call));
        }
    }
}
