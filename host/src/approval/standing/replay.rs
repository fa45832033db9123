//! What a standing approval would have let through: asked of the requests that people were asked about lately.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Sought, is_by_its_own, uncovered};
use crate::store::{Filter, Grant, LIST_LIMIT, StandingApproval, State, Store, StoreError};

/// How far back it is looked: thirty days.
pub const REPLAYED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Requests that are looked at, at most: more than people are asked in a month.
const LOOKED_AT: usize = 20_000;

/// A request that would not have been asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replayed {
    /// The approval.
    pub approval: String,
    /// The agent.
    pub agent: String,
    /// When it was asked.
    pub at: Timestamp,
    /// Its arguments.
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// What became of it.
    pub state: State,
}

/// What would have happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Replay {
    /// Requests of this action that people were asked about.
    pub asked: usize,
    /// Those that it would have let through, newest first; uses and the end of its time are not counted.
    pub covered: Vec<Replayed>,
    /// How many of these people denied.
    pub denied: usize,
    /// How many more it would have let through, had they not been of another version of the pack.
    pub of_another_pack: usize,
    /// Whether there were more requests than are looked at.
    pub cut: bool,
}

/// Asks the requests of the last thirty days.
///
/// # Errors
/// The store's own.
pub fn replay(store: &dyn Store, standing: &StandingApproval, now: Timestamp) -> Result<Replay, StoreError> {
    let since = now.checked_sub(REPLAYED).ok();
    let mut replay = Replay::default();
    let (mut before, mut looked_at) = (None, 0);
    loop {
        let page = store.list(&Filter { since, before, limit: Some(LIST_LIMIT), ..Filter::default() })?;
        let full = page.len() >= usize::try_from(LIST_LIMIT).unwrap_or(usize::MAX);
        looked_at += page.len();
        before = page.last().map(|approval| approval.created_at);
        for approval in page {
            if approval.request.action != standing.grant.action {
                continue;
            }
            replay.asked += 1;
            if is_by_its_own(standing, &approval.request.requester) {
                continue;
            }
            let call = Sought::of(&approval.request);
            if uncovered(&standing.grant, &call).is_none() {
                let state = approval.state_at(now);
                replay.denied += usize::from(state == State::Denied);
                replay.covered.push(Replayed {
                    approval: approval.id,
                    agent: approval.request.requester.agent,
                    at: approval.created_at,
                    arguments: approval.request.arguments,
                    state,
                });
            } else {
                let as_it_was = Grant { pack_digest: approval.request.pack_digest.clone(), ..standing.grant.clone() };
                replay.of_another_pack += usize::from(uncovered(&as_it_was, &call).is_none());
            }
        }
        if !full {
            return Ok(replay);
        }
        if looked_at >= LOOKED_AT {
            replay.cut = true;
            return Ok(replay);
        }
    }
}
