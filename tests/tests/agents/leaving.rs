//! Agents that go away in the middle: with the request hardly sent, at the answer, while a person thinks. Whatever had begun
//! has its end on the record, what was approved happened once, and the host is as it was.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use tokio::task::JoinSet;

use crate::{
    AGENTS, approver,
    client::{Client, Era},
    host::{Host, PATIENCE},
    work::{self, Work},
};

/// Calls of one agent; from most of them it goes away.
const CALLS: usize = 31;

pub async fn scenario() {
    let host = Arc::new(Host::start(AGENTS, CALLS).await);
    let approver = approver::start(&host.site);
    let mut agents = JoinSet::new();
    for number in 0..AGENTS {
        let host = Arc::clone(&host);
        agents.spawn(async move {
            let mut acts = BTreeMap::new();
            for call in 0..CALLS {
                let work = work::nth(number, call);
                let era = if (number + call).is_multiple_of(2) { Era::Modern } else { Era::Session };
                let mut client = Client::connect(host.port, &host.tokens[number], era).await;
                let (tool, arguments) = work.call();
                if let Work::Act { table } = &work {
                    // It asks, hears that it has to wait, asks to wait, and goes.
                    let answer = client.call(tool, &arguments).await;
                    if answer["status"] == "pending" {
                        let wait = serde_json::json!({ "approval_id": answer["approval_id"], "wait_seconds": 300 });
                        client.send_call("lockgate.await_approval", &wait).await;
                    } else {
                        // The person was quicker than the answer.
                        work.check(&answer);
                    }
                    client.hang_up();
                    acts.insert(table.clone(), work::is_approved(table));
                    continue;
                }
                client.send_call(tool, &arguments).await;
                // Not all at the same moment of their calls.
                tokio::time::sleep(Duration::from_millis((call as u64 * 7 + number as u64) % 40)).await;
                client.hang_up();
            }
            acts
        });
    }
    let mut acts = BTreeMap::new();
    while let Some(ended) = agents.join_next().await {
        acts.extend(ended.expect("no agent failed"));
    }
    host.acts_are(&acts).await;
    host.until_connections_are_closed().await;
    // Who comes now is served as if nothing had been, by those very tokens.
    for number in 0..AGENTS {
        let mut agent = work::Agent::connect(&host, number).await;
        agent.carry_out(&Work::Own { agent: number }).await;
    }
    until_all_have_ended(&host).await;
    approver.abort();
    let host = Arc::into_inner(host).expect("nobody uses it any more");
    let (site, _cluster) = host.stop().await;
    let report = site.verify_record();
    assert!(report.intact, "{report}");
    let record = site.record();
    assert_eq!(
        record.iter().filter(|line| line["ev"] == "approval.consumed").count(),
        acts.values().filter(|yes| **yes).count()
    );
}

/// Waits until each run that was begun has exactly one end.
async fn until_all_have_ended(host: &Host) {
    let until = Instant::now() + PATIENCE;
    loop {
        let record = host.site.record();
        let open = open_runs(&record);
        if open.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "{} runs have no end: {:?}", open.len(), open.first());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn open_runs(record: &[Json]) -> Vec<String> {
    let mut ends: HashMap<&str, (usize, usize)> = HashMap::new();
    for line in record {
        let (Some(run), Some(event)) = (line["run"].as_str(), line["ev"].as_str()) else { continue };
        let counts = ends.entry(run).or_default();
        match event {
            "call.intent" => counts.0 += 1,
            "call.outcome" | "call.refused" | "approval.closed" => counts.1 += 1,
            "approval.decided" if line["state"] == "denied" => counts.1 = counts.1.max(1),
            _ => {}
        }
    }
    for (run, (begun, ended)) in &ends {
        assert!(*begun <= 1 && *ended <= 2, "{run} was begun {begun} times and ended {ended} times");
    }
    ends.into_iter().filter(|(_, (_, ended))| *ended == 0).map(|(run, _)| run.to_owned()).collect()
}
