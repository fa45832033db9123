//! What the store promises of standing approvals: who puts one in force, that its uses are counted once each, and that nobody
//! bends one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{testing::*, *};

const UNRECORDED: BeforeCommit<'static, StandingApproval> = &|_| Ok(());

pub(super) fn new_standing(store: &dyn Store, change: impl FnOnce(&mut Grant)) -> NewStanding {
    let source = approved(store);
    let request = &source.request;
    let mut grant = Grant {
        to: Beneficiary::Agent { agent: request.requester.agent.clone(), person: request.requester.person.clone() },
        action: request.action.clone(),
        pack_digest: request.pack_digest.clone(),
        risk: request.risk.clone(),
        arguments: BTreeMap::new(),
        targets: [(request.target.clone(), request.target_identity.clone())].into(),
        uses: 3,
        until: at(1_000),
        needed: 1,
        approvers: [].into(),
    };
    change(&mut grant);
    let digest = RequestDigest(random_bytes().unwrap());
    let id = random_id("sta_").unwrap();
    NewStanding { id, digest, source: source.id, grant, proposed_by: "edsger".into(), reason: "every night".into() }
}

pub(super) fn proposed(store: &dyn Store, change: impl FnOnce(&mut Grant)) -> StandingApproval {
    store.propose_standing(&new_standing(store, change), UNRECORDED, at(2)).unwrap()
}

pub(super) fn admin(person: &str) -> Voter {
    Voter { is_admin: true, ..Voter::named(person) }
}

fn vote(standing: &StandingApproval, voter: Voter, seconds: i64) -> StandingVote {
    StandingVote {
        id: standing.id.clone(),
        voter,
        reason: "looked at it".into(),
        digest_shown: standing.digest,
        now: at(seconds),
    }
}

pub(super) fn in_force(store: &dyn Store, change: impl FnOnce(&mut Grant)) -> StandingApproval {
    let standing = proposed(store, change);
    store.approve_standing(&vote(&standing, admin("grace"), 3), UNRECORDED).unwrap()
}

pub(super) fn new_use(run: &str) -> NewUse {
    NewUse {
        run: run.into(),
        instance: "ins_1".into(),
        agent: "pager-bot".into(),
        person: Some("ada".into()),
        target: "orders".into(),
    }
}

fn used(store: &dyn Store, standing: &StandingApproval, run: &str, seconds: i64) -> Result<ClaimedUse, StandingError> {
    store.use_standing(&standing.id, standing.digest, &new_use(run), UNRECORDED, at(seconds))
}

fn closed_as(result: Result<impl std::fmt::Debug, StandingError>, expected: StandingState) {
    match result {
        Err(StandingError::Closed { state, .. }) => assert_eq!(state, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_goes_from_its_proposal_to_its_last_use() {
    let (_state, store) = store();
    let standing = proposed(&store, |_| ());
    closed_as(used(&store, &standing, "run_1", 3), StandingState::Proposed);
    let standing = store.approve_standing(&vote(&standing, admin("grace"), 4), UNRECORDED).unwrap();
    assert_eq!(
        (standing.state_at(at(5)), standing.approved_at, standing.uses_left()),
        (StandingState::Active, Some(at(4)), 3)
    );
    assert_eq!((standing.approved_by(), standing.is_of_one_person()), ("grace".to_owned(), false));
    closed_as(store.approve_standing(&vote(&standing, admin("barbara"), 5), UNRECORDED), StandingState::Active);
    for n in 1..=3 {
        let claimed = used(&store, &standing, &format!("run_{n}"), 5 + n).unwrap();
        assert_eq!((claimed.standing().used, claimed.run()), (u32::try_from(n).unwrap(), &*format!("run_{n}")));
    }
    closed_as(used(&store, &standing, "run_4", 9), StandingState::UsedUp);
    let uses = store.standing_uses(&standing.id).unwrap();
    assert_eq!(
        uses.iter().map(|one| (one.number, one.run.as_str())).collect::<Vec<_>>(),
        [(1, "run_1"), (2, "run_2"), (3, "run_3")]
    );
    assert!(store.active_standings(&standing.grant.action, at(9)).unwrap().is_empty());
    assert_eq!(
        store.standing(&standing.id).unwrap().unwrap().grant,
        standing.grant,
        "what is granted comes back exactly"
    );
}

#[test]
fn time_ends_one_and_so_does_a_person() {
    let (_state, store) = store();
    let standing = in_force(&store, |_| ());
    used(&store, &standing, "run_1", 999).unwrap();
    closed_as(used(&store, &standing, "run_2", 1_000), StandingState::Expired);
    let revoked = store.revoke_standing(&standing.id, "ada", "not any more", UNRECORDED, at(10)).unwrap();
    assert_eq!((revoked.state_at(at(10)), revoked.used), (StandingState::Revoked, 1));
    closed_as(used(&store, &standing, "run_3", 11), StandingState::Revoked);
    closed_as(store.revoke_standing(&standing.id, "eve", "me too", UNRECORDED, at(12)), StandingState::Revoked);
    assert_eq!(store.standing(&standing.id).unwrap().unwrap().revoked.unwrap().by, "ada", "who was first stays");
    let never = proposed(&store, |_| ());
    store.revoke_standing(&never.id, "ada", "not this", UNRECORDED, at(10)).unwrap();
    closed_as(store.approve_standing(&vote(&never, admin("grace"), 11), UNRECORDED), StandingState::Revoked);
}

#[test]
fn only_an_admin_who_is_somebody_else_puts_one_in_force() {
    let (_state, store) = store();
    let standing = proposed(&store, |grant| grant.approvers = ["dba".to_owned()].into());
    let cast = |voter: Voter, seconds| store.approve_standing(&vote(&standing, voter, seconds), UNRECORDED);
    let dba = |person: &str| Voter { groups: ["dba".to_owned()].into(), ..admin(person) };
    assert!(matches!(cast(Voter { is_admin: false, ..dba("grace") }, 3), Err(StandingError::NotAnApprover { .. })));
    assert!(matches!(cast(admin("grace"), 3), Err(StandingError::NotAnApprover { .. })));
    assert!(matches!(cast(dba(" "), 3), Err(StandingError::Nobody { .. })));
    let also = |person: &str, other: &str| Voter { also_known_as: [other.to_owned()].into(), ..dba(person) };
    for own in [dba("ADA"), dba("pager-bot"), also("lovelace", "Ada ")] {
        assert!(matches!(cast(own, 3), Err(StandingError::SelfApproval { .. })));
    }
    let silent = StandingVote { reason: " . ".into(), ..vote(&standing, dba("grace"), 3) };
    assert!(matches!(store.approve_standing(&silent, UNRECORDED), Err(StandingError::ReasonRequired { .. })));
    let other = StandingVote { digest_shown: RequestDigest([0; 32]), ..vote(&standing, dba("grace"), 3) };
    assert!(matches!(store.approve_standing(&other, UNRECORDED), Err(StandingError::DigestMismatch { .. })));
    assert_eq!(store.standing(&standing.id).unwrap().unwrap(), standing, "a vote that is refused changes nothing");
    assert!(cast(dba("grace"), 3).unwrap().approved_at.is_some());
}

#[test]
fn as_many_people_as_policy_asks_for_and_nobody_twice_under_two_names() {
    let (_state, store) = store();
    let standing = proposed(&store, |grant| grant.needed = 2);
    let cast = |voter: Voter, seconds| store.approve_standing(&vote(&standing, voter, seconds), UNRECORDED);
    let one = cast(Voter { also_known_as: ["ghopper".to_owned()].into(), ..admin("grace") }, 3).unwrap();
    assert_eq!(one.state_at(at(4)), StandingState::Proposed);
    closed_as(used(&store, &standing, "run_1", 4), StandingState::Proposed);
    for same in [admin("GRACE"), admin("ghopper"), Voter { also_known_as: ["ghopper".to_owned()].into(), ..admin("g") }]
    {
        assert!(matches!(cast(same, 4), Err(StandingError::AlreadyVoted { .. })));
    }
    assert_eq!(cast(admin("barbara"), 5).unwrap().state_at(at(6)), StandingState::Active);
}

#[test]
fn one_person_alone_may_and_it_is_said() {
    let (_state, store) = store();
    let standing = proposed(&store, |_| ());
    let alone = store.approve_standing(&vote(&standing, admin("Edsger"), 3), UNRECORDED).unwrap();
    assert!(alone.is_of_one_person());
}

#[test]
fn a_run_uses_one_once_and_what_is_not_recorded_did_not_happen() {
    let (_state, store) = store();
    let standing = in_force(&store, |_| ());
    used(&store, &standing, "run_1", 4).unwrap();
    assert!(matches!(used(&store, &standing, "run_1", 5), Err(StandingError::Store(_))));
    let full: BeforeCommit<'_, StandingApproval> = &|_| Err(StoreError::Unrecorded("the disk is full".into()));
    let claimed = store.use_standing(&standing.id, standing.digest, &new_use("run_2"), full, at(5));
    assert!(matches!(claimed, Err(StandingError::Store(StoreError::Unrecorded(_)))), "{claimed:?}");
    let revoked = store.revoke_standing(&standing.id, "ada", "stop", full, at(5));
    assert!(matches!(revoked, Err(StandingError::Store(StoreError::Unrecorded(_)))));
    let now = store.standing(&standing.id).unwrap().unwrap();
    assert_eq!((now.used, now.revoked), (1, None));
    let waiting = pending(&store, |_| ());
    let voted = store.vote_recorded(&approve(&waiting, "grace", 6), &|_| Err(StoreError::Unrecorded("full".into())));
    assert!(matches!(voted, Err(TransitionError::Store(StoreError::Unrecorded(_)))));
    assert_eq!(store.get(&waiting.id).unwrap().unwrap(), waiting);
}

#[test]
fn what_goes_beyond_what_any_may_grant_is_refused() {
    let (_state, store) = store();
    let changes: [fn(&mut Grant); 8] = [
        |g| g.risk = "critical".into(),
        |g| g.risk = "none".into(),
        |g| g.uses = 0,
        |g| g.uses = MOST_USES + 1,
        |g| g.until = at(2),
        |g| g.until = at(91 * 86_400),
        |g| g.targets.clear(),
        |g| g.needed = 0,
    ];
    for change in changes {
        let refused = store.propose_standing(&new_standing(&store, change), UNRECORDED, at(2));
        assert!(matches!(refused, Err(StandingError::NotGrantable(_))), "{refused:?}");
    }
    let silent = NewStanding { reason: "…".into(), ..new_standing(&store, |_| ()) };
    assert!(matches!(store.propose_standing(&silent, UNRECORDED, at(2)), Err(StandingError::ReasonRequired { .. })));
    assert!(store.standings().unwrap().is_empty());
}

#[test]
fn whoever_opens_the_file_can_not_bend_one() {
    let (_state, store) = store();
    let (active, waiting) = (in_force(&store, |_| ()), proposed(&store, |_| ()));
    used(&store, &active, "run_1", 4).unwrap();
    let gone = in_force(&store, |_| ());
    let gone = store.revoke_standing(&gone.id, "ada", "stop", UNRECORDED, at(5)).unwrap();
    let raw = rusqlite::Connection::open(store.path()).unwrap();
    for (sql, id) in [
        ("UPDATE standing_approvals SET uses = 9 WHERE id = ?1", &active.id),
        ("UPDATE standing_approvals SET until = until + 1 WHERE id = ?1", &active.id),
        ("UPDATE standing_approvals SET grant_json = '{}' WHERE id = ?1", &active.id),
        ("UPDATE standing_approvals SET used = 0 WHERE id = ?1", &active.id),
        ("UPDATE standing_approvals SET state = 'proposed' WHERE id = ?1", &active.id),
        ("DELETE FROM standing_approvals WHERE id = ?1", &active.id),
        ("DELETE FROM standing_uses WHERE standing = ?1", &active.id),
        ("UPDATE standing_uses SET run = 'run_9' WHERE standing = ?1", &active.id),
        ("DELETE FROM standing_votes WHERE standing = ?1", &active.id),
        ("DELETE FROM standing_names WHERE standing = ?1", &active.id),
        ("INSERT INTO standing_uses VALUES (?1, 3, 'run_x', 'i', 'a', NULL, 't', 5000000000000000)", &active.id),
        ("INSERT INTO standing_uses VALUES (?1, 1, 'run_y', 'i', 'a', NULL, 't', 1767323050000000)", &waiting.id),
        ("UPDATE standing_approvals SET state = 'active', approved_at = 9 WHERE id = ?1", &waiting.id),
        ("UPDATE standing_approvals SET state = 'active' WHERE id = ?1", &gone.id),
        ("UPDATE standing_approvals SET revoked_reason = 'fine' WHERE id = ?1", &gone.id),
        ("INSERT INTO standing_uses VALUES (?1, 1, 'run_z', 'i', 'a', NULL, 't', 1767323050000000)", &gone.id),
        ("INSERT INTO standing_votes VALUES (?1, 'eve', '[]', 'because', 1)", &gone.id),
    ] {
        assert!(raw.execute(sql, [id]).is_err(), "{sql}");
    }
    let now = |id: &str| store.standing(id).unwrap().unwrap();
    assert_eq!((now(&active.id).used, now(&waiting.id), now(&gone.id)), (1, waiting, gone));
}

#[derive(Clone, Debug)]
enum Step {
    Approve(&'static str),
    Use,
    Revoke,
    Wait(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::sample::select(vec!["ada", "grace", "edsger", ""]).prop_map(Step::Approve),
        6 => Just(Step::Use),
        1 => Just(Step::Revoke),
        2 => prop::sample::select(vec![1_i64, 400, 999]).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_the_bounds_hold(needed in 1_u32..3, uses in 1_u32..4, steps in prop::collection::vec(any_step(), 1..24)) {
        let (_state, store) = store();
        let standing = proposed(&store, |grant| (grant.needed, grant.uses) = (needed, uses));
        let (mut now, mut claims) = (3, 0_u32);
        let mut before = standing.clone();
        for (n, step) in steps.into_iter().enumerate() {
            let did = match &step {
                Step::Approve(person) => store.approve_standing(&vote(&standing, admin(person), now), UNRECORDED).is_ok(),
                Step::Use => used(&store, &standing, &format!("run_{n}"), now).is_ok(),
                Step::Revoke => store.revoke_standing(&standing.id, "ada", "stop", UNRECORDED, at(now)).is_ok(),
                Step::Wait(seconds) => {
                    now += seconds;
                    false
                }
            };
            let after = store.standing(&standing.id).unwrap().unwrap();
            if matches!(step, Step::Use) && did {
                claims += 1;
                prop_assert_eq!(before.state_at(at(now)), StandingState::Active, "used while it was not in force");
            }
            prop_assert!(did || after == before, "{:?}: refused, and something changed", step);
            prop_assert_eq!((&after.grant, after.digest), (&standing.grant, standing.digest));
            prop_assert_eq!(after.used, claims);
            prop_assert_eq!(store.standing_uses(&standing.id).unwrap().len(), usize::try_from(claims).unwrap());
            prop_assert!(after.used <= uses);
            prop_assert!(before.revoked.is_none() || after == before, "a revoked one stays");
            prop_assert!(after.approved_at.is_none() || after.votes.len() >= usize::try_from(needed).unwrap());
            prop_assert!(!after.votes.iter().any(|vote| vote.names.contains("ada")), "the one behind the request");
            before = after;
        }
    }
}
