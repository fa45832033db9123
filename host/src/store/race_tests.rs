//! Two who come at the same moment, a thousand times each: exactly one wins, and the record has what happened in the order in
//! which it counted. Each side has a connection of its own, as two processes have. The files are in memory where there is a
//! file system for it, since what is asked here is who wins, not what survives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    path::Path,
    sync::{Barrier, Mutex},
    thread,
    time::{Duration, Instant},
};

use jiff::SignedDuration;

use super::{standing_tests::*, testing::*, *};

/// Of each pair.
const ROUNDS: usize = 1_000;
/// Pairs of racers that race at the same time, each on a file of its own.
const LANES: usize = 2;

fn quick_store() -> (tempfile::TempDir, SqliteStore) {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let dir = dir.or_else(|_| tempfile::tempdir()).unwrap();
    let store = SqliteStore::open(&dir.path().join("lockgate.db")).unwrap();
    (dir, store)
}

/// An agent has no more than so many requests pending.
fn from_another(request: &mut Request, round: usize) {
    request.requester.agent = format!("bot-{round}");
}

/// Lets the one or the other begin a little later, by less than a transaction takes, so that each comes first sometimes.
fn stagger(round: usize, prime: usize) {
    let until = Instant::now() + Duration::from_micros(u64::try_from(round * prime % 211).unwrap());
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// What the record would have: each line is written inside the step's transaction, as `gate::decide` writes it.
type Lines = Mutex<Vec<(usize, &'static str)>>;

/// Runs all rounds: `make` prepares one, the two sides race for it, `judge` is told what each said and what was recorded.
fn race<S: Sync, A: Send, B: Send>(
    make: impl Fn(&SqliteStore, usize) -> S + Sync,
    one: impl Fn(&SqliteStore, &S, &dyn Fn(&'static str)) -> A + Sync,
    other: impl Fn(&SqliteStore, &S, &dyn Fn(&'static str)) -> B + Sync,
    judge: impl Fn(&SqliteStore, &S, A, B, &[&'static str]) -> &'static str + Sync,
) {
    let wins = Mutex::new(std::collections::BTreeMap::<&'static str, usize>::new());
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let (_dir, store) = quick_store();
                let other_store = SqliteStore::open(store.path()).unwrap();
                let (start, end) = (Barrier::new(2), Barrier::new(2));
                let lines = Lines::default();
                let rounds: Vec<S> = (0..ROUNDS / LANES).map(|round| make(&store, round)).collect();
                let others = thread::scope(|racers| {
                    let second = racers.spawn(|| {
                        let mut said = Vec::new();
                        for (round, item) in rounds.iter().enumerate() {
                            start.wait();
                            stagger(round, 7_919);
                            said.push(other(&other_store, item, &|line| lines.lock().unwrap().push((round, line))));
                            end.wait();
                        }
                        said
                    });
                    let mut firsts = Vec::new();
                    for (round, item) in rounds.iter().enumerate() {
                        start.wait();
                        stagger(round, 104_729);
                        firsts.push(one(&store, item, &|line| lines.lock().unwrap().push((round, line))));
                        end.wait();
                    }
                    firsts.into_iter().zip(second.join().unwrap()).collect::<Vec<_>>()
                });
                let lines = lines.into_inner().unwrap();
                for (round, (item, (a, b))) in rounds.iter().zip(others).enumerate() {
                    let recorded: Vec<_> = lines.iter().filter(|(at, _)| *at == round).map(|(_, line)| *line).collect();
                    let winner = judge(&store, item, a, b, &recorded);
                    *wins.lock().unwrap().entry(winner).or_default() += 1;
                }
            });
        }
    });
    let wins = wins.into_inner().unwrap();
    assert_eq!(wins.values().sum::<usize>(), ROUNDS, "{wins:?}");
    // Two that never meet prove nothing: over a thousand rounds each side is first at least once.
    assert!(wins.len() >= 2, "one side won every round, so they did not race: {wins:?}");
}

fn state(store: &SqliteStore, approval: &Approval) -> State {
    store.get(&approval.id).unwrap().unwrap().state
}

fn cast(store: &SqliteStore, vote: &Vote, say: &dyn Fn(&'static str)) -> Result<Approval, TransitionError> {
    store.vote_recorded(vote, &|after| {
        say(after.state.as_str());
        Ok(())
    })
}

#[test]
fn approve_and_deny() {
    race(
        |store, round| pending(store, |request| from_another(request, round)),
        |store, approval, say| cast(store, &approve(approval, "grace", 2), say),
        |store, approval, say| cast(store, &deny(approval, "edsger", 2), say),
        |store, approval, approved, denied, recorded| {
            // A denial always counts; what differs is whether somebody had said yes before, and the record says it.
            assert_eq!((denied.unwrap().state, state(store, approval)), (State::Denied, State::Denied));
            let refused = store.consume(&approval.id, approval.digest, "ins_1", at(3));
            assert!(matches!(refused, Err(TransitionError::Closed { state: State::Denied, .. })), "{refused:?}");
            match approved {
                Ok(_) => {
                    assert_eq!(recorded, ["approved", "denied"]);
                    "approved first"
                }
                Err(TransitionError::Closed { state: State::Denied, .. }) => {
                    assert_eq!(recorded, ["denied"]);
                    "denied first"
                }
                Err(other) => panic!("{other:?}"),
            }
        },
    );
}

#[test]
fn approve_and_expire() {
    // The voter's clock says that it is in time, the other's that it is over: as near to each other as clocks can be.
    race(
        |store, round| {
            pending(store, |request| {
                from_another(request, round);
                // Each at a time of its own, so that one round's end is not another's.
                request.decide_within = Duration::from_secs(3_600 + u64::try_from(round).unwrap());
            })
        },
        |store, approval, say| {
            let last = approval.decide_by - SignedDuration::from_secs(1);
            cast(store, &Vote { now: last, ..approve(approval, "grace", 0) }, say)
        },
        |store, approval, say| {
            let due = store.expire_due(approval.decide_by).unwrap();
            let ours = due.iter().any(|expired| expired.id == approval.id);
            if ours {
                say("expired");
            }
            ours
        },
        |store, approval, approved, expired, recorded| match (approved, expired) {
            (Ok(_), false) => {
                assert_eq!((state(store, approval), recorded), (State::Approved, &["approved"][..]));
                "approved"
            }
            (Err(TransitionError::Closed { state: State::Expired, .. }), true) => {
                assert_eq!((state(store, approval), recorded), (State::Expired, &["expired"][..]));
                "expired"
            }
            other => panic!("{other:?}"),
        },
    );
}

#[test]
fn approve_and_approve() {
    race(
        |store, round| {
            pending(store, |request| {
                from_another(request, round);
                request.needed = 1 + u32::try_from(round % 2).unwrap();
            })
        },
        |store, approval, say| cast(store, &approve(approval, "grace", 2), say),
        |store, approval, say| cast(store, &approve(approval, "edsger", 2), say),
        |store, approval, one, other, recorded| {
            let now = store.get(&approval.id).unwrap().unwrap();
            assert_eq!(now.state, State::Approved);
            if approval.request.needed == 2 {
                assert!(one.is_ok() && other.is_ok() && now.approvals() == 2);
                assert_eq!(recorded, ["pending", "approved"], "of two votes one is the second");
            } else {
                assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
                assert_eq!((recorded, now.approvals()), (&["approved"][..], 1));
            }
            if now.decided_by.as_deref() == Some("grace") { "grace" } else { "edsger" }
        },
    );
}

#[test]
fn the_same_person_under_two_names_and_approve() {
    let named = |approval: &Approval, person: &str| Vote {
        also_known_as: ["grace".to_owned(), "ghopper".to_owned()].into(),
        ..approve(approval, person, 2)
    };
    race(
        |store, round| {
            pending(store, |request| {
                from_another(request, round);
                request.needed = 2;
            })
        },
        |store, approval, say| cast(store, &named(approval, "grace"), say),
        |store, approval, say| cast(store, &named(approval, "ghopper"), say),
        |store, approval, one, other, recorded| {
            assert_eq!((state(store, approval), recorded), (State::Pending, &["pending"][..]));
            match (one, other) {
                (Ok(_), Err(TransitionError::AlreadyVoted { .. })) => "grace",
                (Err(TransitionError::AlreadyVoted { .. }), Ok(_)) => "ghopper",
                other => panic!("{other:?}"),
            }
        },
    );
}

#[test]
fn consume_and_consume() {
    let take = |store: &SqliteStore, approval: &Approval, instance| {
        store.consume(&approval.id, approval.digest, instance, at(3))
    };
    race(
        |store, _| approved(store),
        |store, approval, _| take(store, approval, "ins_1"),
        |store, approval, _| take(store, approval, "ins_2"),
        |store, approval, one, other, _| {
            let by = store.get(&approval.id).unwrap().unwrap().consumed_by;
            match (one, other) {
                (Ok(_), Err(TransitionError::Closed { state: State::Consumed, .. })) => {
                    assert_eq!(by.as_deref(), Some("ins_1"));
                    "the one"
                }
                (Err(TransitionError::Closed { state: State::Consumed, .. }), Ok(_)) => {
                    assert_eq!(by.as_deref(), Some("ins_2"));
                    "the other"
                }
                both => panic!("{both:?}"),
            }
        },
    );
}

#[test]
fn revoke_and_use() {
    race(
        |store, round| (in_force(store, |grant| grant.uses = 1), format!("run_{round}")),
        |store, (standing, _), say| {
            let record: BeforeCommit<'_, StandingApproval> = &|_| {
                say("revoked");
                Ok(())
            };
            store.revoke_standing(&standing.id, "ada", "stop", record, at(5))
        },
        |store, (standing, run), say| {
            let record: BeforeCommit<'_, StandingApproval> = &|_| {
                say("used");
                Ok(())
            };
            store.use_standing(&standing.id, standing.digest, &new_use(run), record, at(5))
        },
        |store, (standing, run), revoked, used, recorded| {
            let now = store.standing(&standing.id).unwrap().unwrap();
            // To revoke always counts; the use counts if and only if it was first, and the record says it.
            assert!(revoked.is_ok() && now.revoked.is_some());
            let uses = store.standing_uses(&standing.id).unwrap();
            match used {
                Ok(claimed) => {
                    assert_eq!(
                        (recorded, now.used, claimed.run(), uses.len()),
                        (&["used", "revoked"][..], 1, run.as_str(), 1)
                    );
                    "used first"
                }
                Err(StandingError::Closed { state: StandingState::Revoked, .. }) => {
                    assert_eq!((recorded, now.used, uses.len()), (&["revoked"][..], 0, 0));
                    "revoked first"
                }
                Err(other) => panic!("{other:?}"),
            }
        },
    );
}

#[test]
fn use_and_use_of_the_last() {
    let take = |store: &SqliteStore, standing: &StandingApproval, run: &str| {
        store.use_standing(&standing.id, standing.digest, &new_use(run), &|_| Ok(()), at(5))
    };
    race(
        |store, round| (in_force(store, |grant| grant.uses = 1), format!("run_a{round}"), format!("run_b{round}")),
        |store, (standing, run, _), _| take(store, standing, run),
        |store, (standing, _, run), _| take(store, standing, run),
        |store, (standing, ..), one, other, _| {
            assert_eq!(store.standing_uses(&standing.id).unwrap().len(), 1);
            match (one, other) {
                (Ok(_), Err(StandingError::Closed { state: StandingState::UsedUp, .. })) => "the one",
                (Err(StandingError::Closed { state: StandingState::UsedUp, .. }), Ok(_)) => "the other",
                both => panic!("{both:?}"),
            }
        },
    );
}
