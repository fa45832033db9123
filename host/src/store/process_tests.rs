//! What holds between processes: this test program starts itself again as the other ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Barrier,
    thread,
};

use super::{testing::*, *};

const STATE: &str = "LOCKGATE_TEST_STATE";
const MARK: &str = "child:";

fn database(state: &Path) -> PathBuf {
    state.join("lockgate.db")
}

/// Starts one test of this program as a process of its own, with a line to and from it.
fn start(test: &str, state: &Path) -> Child {
    start_as(test, state, None)
}

/// The same with one more variable set in its environment.
fn start_as(test: &str, state: &Path, variable: Option<&str>) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .envs(variable.map(|name| (name, "1")))
        .args(["--exact", &format!("{}::{test}", module_path!().split_once("::").unwrap().1)])
        .args(["--nocapture", "--test-threads=1"])
        .env(STATE, state)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What the child says next.
fn hear(out: &mut impl std::io::BufRead) -> Option<String> {
    out.lines().map_while(Result::ok).find_map(|line| {
        // The test runner may have written its own start of the line.
        line.split_once(MARK).map(|(_, said)| said.to_owned())
    })
}

fn say(text: &str) {
    println!("{MARK}{text}");
}

/// Not a test of its own: the process that is killed. Does nothing unless it was started by the test below.
#[test]
fn child_that_dies_between_consuming_and_finishing() {
    let Some(state) = std::env::var_os(STATE).map(PathBuf::from) else {
        return;
    };
    let store = SqliteStore::open(&database(&state)).unwrap();
    let instance = instance::Instance::register(&state).unwrap();
    let approved = store.list(&Filter { states: vec![State::Approved], ..Filter::default() }).unwrap();
    let _consumed = store.consume(&approved[0].id, approved[0].digest, instance.id(), at(2)).unwrap();
    say(instance.id());
    // Ends when the parent closes the pipe, if it does not kill first.
    _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[test]
fn what_a_killed_process_was_executing_is_unknown() {
    let (state, store) = store();
    let approval = approved(&store);
    let mut child = start("child_that_dies_between_consuming_and_finishing", state.path());
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let id = hear(&mut out).expect("the child consumes it");

    let is_alive = |id: &str| instance::is_alive(state.path(), id);
    assert!(is_alive(&id));
    assert!(store.mark_orphans_unknown(&is_alive, at(3)).unwrap().is_empty());
    assert_eq!(store.get(&approval.id).unwrap().unwrap().state, State::Consumed);

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!is_alive(&id));
    let marked = store.mark_orphans_unknown(&is_alive, at(4)).unwrap();
    assert_eq!(marked.iter().map(|a| (&a.id, a.state)).collect::<Vec<_>>(), [(&approval.id, State::Unknown)]);
    assert_eq!(marked[0].consumed_by.as_ref(), Some(&id));
    let again = store.consume(&approval.id, approval.digest, "ins_other", at(5));
    assert!(matches!(again, Err(TransitionError::Closed { state: State::Unknown, .. })), "{again:?}");
    assert_eq!(instance::sweep(state.path(), &|_| false), 1);
}

/// Not a test of its own: one of the processes that race.
#[test]
fn child_that_races() {
    let Some(state) = std::env::var_os(STATE).map(PathBuf::from) else {
        return;
    };
    let shared = SqliteStore::open(&database(&state)).unwrap();
    let approved = shared.list(&Filter { states: vec![State::Approved], ..Filter::default() }).unwrap();
    // Half of the threads share a connection, half have their own.
    let stores: Vec<Option<SqliteStore>> =
        (0..16).map(|n| (n % 2 == 0).then(|| SqliteStore::open(&database(&state)).unwrap())).collect();
    say("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let start = Barrier::new(stores.len());
    thread::scope(|scope| {
        for own in &stores {
            let (store, approved, start) = (own.as_ref().unwrap_or(&shared), &approved, &start);
            scope.spawn(move || {
                start.wait();
                for approval in approved {
                    match store.consume(&approval.id, approval.digest, "ins_1", at(2)) {
                        Ok(consumed) => say(&consumed.approval().id),
                        Err(TransitionError::Closed { state: State::Consumed, .. }) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    say("done");
}

#[test]
fn of_many_threads_in_two_processes_one_consumes() {
    let (state, store) = store();
    let approved: Vec<Approval> = (0..12).map(|_| approved(&store)).collect();
    let mut children = [start("child_that_races", state.path()), start("child_that_races", state.path())];
    let mut outs: Vec<_> = children.iter_mut().map(|child| BufReader::new(child.stdout.take().unwrap())).collect();
    for out in &mut outs {
        assert_eq!(hear(out).as_deref(), Some("ready"));
    }
    for child in &mut children {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let mut claims: BTreeMap<String, usize> = BTreeMap::new();
    for out in &mut outs {
        loop {
            match hear(out).expect("the child says when it is done").as_str() {
                "done" => break,
                id => *claims.entry(id.to_owned()).or_default() += 1,
            }
        }
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(claims.len(), approved.len());
    assert!(claims.values().all(|count| *count == 1), "{claims:?}");
}

/// Not a test of its own: one of the processes that open new files at once.
#[test]
fn child_that_opens() {
    let Some(state) = std::env::var_os(STATE).map(PathBuf::from) else { return };
    say("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    for n in 0..ROUNDS {
        let store = SqliteStore::open(&state.join(format!("{n}/lockgate.db"))).unwrap();
        store.set_meta(&std::process::id().to_string(), "here").unwrap();
    }
    say("done");
}

const ROUNDS: usize = 8;

#[test]
fn processes_that_make_the_same_new_file_share_it() {
    let state = state_directory();
    let mut children: Vec<Child> = (0..4).map(|_| start("child_that_opens", state.path())).collect();
    let mut outs: Vec<_> = children.iter_mut().map(|child| BufReader::new(child.stdout.take().unwrap())).collect();
    outs.iter_mut().for_each(|out| assert_eq!(hear(out).as_deref(), Some("ready")));
    for child in &mut children {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    outs.iter_mut().for_each(|out| assert_eq!(hear(out).as_deref(), Some("done")));
    for n in 0..ROUNDS {
        let store = SqliteStore::open(&state.path().join(format!("{n}/lockgate.db"))).unwrap();
        for child in &children {
            assert_eq!(store.meta(&child.id().to_string()).unwrap().as_deref(), Some("here"));
        }
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

/// Set for the process that says yes and uses; the other says no and revokes.
const FIRST: &str = "LOCKGATE_TEST_FIRST";

/// Not a test of its own: one of the two processes whose people decide at the same time.
#[test]
fn child_that_decides() {
    let Some(state) = std::env::var_os(STATE).map(PathBuf::from) else { return };
    let store = SqliteStore::open(&database(&state)).unwrap();
    let mut pending = store.list(&Filter { states: vec![State::Pending], ..Filter::default() }).unwrap();
    pending.sort_by(|a, b| a.id.cmp(&b.id));
    let mut standings = store.standings().unwrap();
    standings.sort_by(|a, b| a.id.cmp(&b.id));
    let is_first = std::env::var_os(FIRST).is_some();
    say("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    for (approval, standing) in pending.iter().zip(&standings) {
        let voted = if is_first { approve(approval, "grace", 2) } else { deny(approval, "edsger", 2) };
        if store.vote(&voted).is_ok() {
            say(&approval.id);
        }
        let stepped = if is_first {
            let run = format!("run_{}", standing.id);
            let new = standing_tests::new_use(&run);
            store.use_standing(&standing.id, standing.digest, &new, &|_| Ok(()), at(5)).is_ok()
        } else {
            store.revoke_standing(&standing.id, "edsger", "stop", &|_| Ok(()), at(5)).is_ok()
        };
        if stepped {
            say(&standing.id);
        }
    }
    say("done");
}

#[test]
fn of_two_processes_that_decide_at_once_the_store_says_who_was_first() {
    let (state, store) = store();
    let asked: Vec<Approval> =
        (0..60).map(|n| pending(&store, |r| r.requester.agent = format!("bot-{}", n / 20))).collect();
    let granted: Vec<_> = (0..60).map(|_| standing_tests::in_force(&store, |grant| grant.uses = 1)).collect();
    let mut first = start_as("child_that_decides", state.path(), Some(FIRST));
    let mut second = start_as("child_that_decides", state.path(), None);
    let mut outs = [&mut first, &mut second].map(|child| BufReader::new(child.stdout.take().unwrap()));
    outs.iter_mut().for_each(|out| assert_eq!(hear(out).as_deref(), Some("ready")));
    for child in [&mut first, &mut second] {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let said = outs.each_mut().map(|out| {
        std::iter::from_fn(|| hear(out).filter(|line| line != "done")).collect::<std::collections::BTreeSet<_>>()
    });
    for mut child in [first, second] {
        assert!(child.wait().unwrap().success());
    }
    for approval in &asked {
        let now = store.get(&approval.id).unwrap().unwrap();
        assert!(said[1].contains(&approval.id), "a denial always counts");
        assert_eq!(now.state, State::Denied);
        assert_eq!(
            said[0].contains(&approval.id),
            now.execute_by.is_some(),
            "a yes counted if and only if it was first"
        );
    }
    for standing in &granted {
        let now = store.standing(&standing.id).unwrap().unwrap();
        assert!(said[1].contains(&standing.id) && now.revoked.is_some());
        let uses = store.standing_uses(&standing.id).unwrap().len();
        assert_eq!((said[0].contains(&standing.id), now.used), (uses == 1, u32::try_from(uses).unwrap()));
    }
}
