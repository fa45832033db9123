//! The person: looks at what waits and decides by the name of the table, at once and without being asked twice.

use std::time::Duration;

use jiff::Timestamp;
use lockgate::{
    gate::decide,
    startup,
    store::{Approval, Decision, Filter, Seen, State, Vote},
};
use lockgate_tests::site::{APPROVER, Site};
use tokio::task::JoinHandle;

use crate::work;

/// Decides until it is told to stop.
pub fn start(site: &Site) -> JoinHandle<()> {
    let state = startup::State::open(&site.config()).expect("the state opens");
    tokio::spawn(async move {
        let pending = Filter { states: vec![State::Pending], ..Filter::default() };
        loop {
            let (store, filter) = (state.store.clone(), pending.clone());
            let waiting = tokio::task::spawn_blocking(move || store.list(&filter)).await.expect("the store's thread");
            let waiting = waiting.expect("the store answers");
            if waiting.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            for approval in waiting {
                decide::decide(&state.record, state.store.clone(), vote(&approval)).await.expect("the vote counts");
            }
        }
    })
}

fn vote(approval: &Approval) -> Vote {
    let table = approval.request.arguments["table"].as_str().expect("a table");
    Vote {
        id: approval.id.clone(),
        person: APPROVER.to_owned(),
        also_known_as: std::collections::BTreeSet::new(),
        roles: std::collections::BTreeSet::new(),
        decision: if work::is_approved(table) { Decision::Approve } else { Decision::Deny },
        reason: "a test decides on what was asked".into(),
        digest_shown: approval.digest,
        seen: Seen::AsRequested,
        now: Timestamp::now(),
    }
}
