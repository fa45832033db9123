//! Sixty-four agents at once on one `lockgate serve`, a process of its own, and a real server. What each call answers is known
//! beforehand and differs from every other call's, so that an answer that is wrong, or somebody else's, is noticed; what was
//! approved is counted on the server. Then the same agents go away in the middle of their calls.

mod approver;
mod client;
mod fairness;
mod host;
mod leaving;
mod ledger;
mod work;

use std::{sync::Arc, time::Instant};

use fairness::Fairness;
use host::Host;
use ledger::Ledger;
use tokio::{sync::Barrier, task::JoinSet};

/// Agents at once, each with a token of its own.
const AGENTS: usize = 64;
/// Calls of one agent: together ten thousand and some.
const CALLS: usize = 157;
/// Calls of one agent before memory is first looked at: by then every buffer and pool has been used by everybody.
const WARM: usize = CALLS / 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_agents_make_ten_thousand_calls() {
    let host = Arc::new(Host::start(AGENTS, CALLS).await);
    let approver = approver::start(&host.site);
    let began = Instant::now();
    let fairness = Arc::new(Fairness::new(AGENTS));
    let ledger = Arc::new(Ledger::default());
    let warm = Arc::new(Barrier::new(AGENTS + 1));

    let mut agents = JoinSet::new();
    for number in 0..AGENTS {
        let (host, fairness, ledger, warm) =
            (Arc::clone(&host), Arc::clone(&fairness), Arc::clone(&ledger), Arc::clone(&warm));
        agents.spawn(async move {
            let mut agent = work::Agent::connect(&host, number).await;
            for call in 0..CALLS {
                if call == WARM {
                    warm.wait().await;
                    // Everybody begins anew at once, so how long each waits from here on can be compared.
                    warm.wait().await;
                }
                let began = Instant::now();
                let work = work::nth(number, call);
                let runs = agent.carry_out(&work).await;
                ledger.note(&work, runs);
                if call >= WARM && work.is_read() {
                    fairness.waited(number, began.elapsed());
                }
            }
            agent.leave().await
        });
    }
    meet(&warm, &mut agents).await;
    let at_first = host.memory();
    meet(&warm, &mut agents).await;
    let peak = host.watch_memory();
    let mut sessions = Vec::new();
    while let Some(ended) = agents.join_next().await {
        sessions.extend(ended.expect("no agent's call went wrong"));
    }
    let took = began.elapsed();
    host.watched_enough();
    let highest = peak.await.expect("the memory was watched");
    let at_last = host.memory();

    let total = AGENTS * CALLS;
    assert_eq!(ledger.calls(), total);
    println!("{total} calls in {took:.1?}; {}", fairness.summary());
    println!("resident: {at_first} KiB after a quarter, {at_last} KiB at the end, {highest} KiB at most");
    fairness.check();

    // What is left when all have gone: neither connections nor sessions.
    host.until_connections_are_closed().await;
    for (token, session) in sessions {
        assert_eq!(client::in_ended_session(host.port, &token, &session).await, 404);
    }
    host.acts_are(&ledger.verdicts()).await;
    approver.abort();
    let host = Arc::into_inner(host).expect("nobody uses it any more");
    let (site, _cluster) = host.stop().await;
    let report = site.verify_record();
    assert!(report.intact, "{report}");
    ledger.agrees_with(&site.record());
    assert!(at_last * 10 <= at_first * 11, "memory grew from {at_first} to {at_last} KiB");
}

/// Waits for all agents, unless one of them ends before its time: then its call went wrong.
async fn meet<T: 'static>(barrier: &Barrier, agents: &mut JoinSet<T>) {
    tokio::select! {
        _ = barrier.wait() => {}
        Some(ended) = agents.join_next() => {
            ended.expect("no agent's call went wrong");
            panic!("an agent has ended already");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_leave_in_the_middle_lose_and_double_nothing() {
    leaving::scenario().await;
}
