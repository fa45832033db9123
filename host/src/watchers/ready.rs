//! Whether a host can do its work now: the record takes lines, the store takes writes, at least one pack is in. A target that
//! is down is said and fails nothing: the others can still be worked on, and lockgate is what one looks at it with.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use super::{Observed, scrape::store_takes_writes};
use crate::audit::Health;

/// For how long an answer of the store is good: each costs it a write, whoever asks and how often.
const GOOD_FOR: Duration = Duration::from_secs(2);

/// What the store answered, and when.
#[derive(Default)]
pub(super) struct LastAnswer(Mutex<Option<(Instant, bool)>>);

/// Whether it is ready, and what of it is.
pub(super) async fn readiness(observed: &Observed) -> (bool, Json) {
    let record = match observed.gate.journal().health() {
        Health::Ok => "ok",
        Health::Degraded { .. } => "degraded",
        Health::Latched { .. } => "latched",
    };
    let takes_writes = store(observed).await;
    let packs = observed.gate.rules().catalog.packs().count();
    let targets: serde_json::Map<_, _> = observed
        .gate
        .targets()
        .values()
        .map(|target| (target.name().to_owned(), json!(target.condition().health.as_str())))
        .collect();
    let is_ready = record != "latched" && takes_writes && packs > 0;
    let store = if takes_writes { "ok" } else { "unavailable" };
    (is_ready, json!({ "ready": is_ready, "record": record, "store": store, "packs": packs, "targets": targets }))
}

async fn store(observed: &Observed) -> bool {
    let mut last = observed.last_answer.0.lock().await;
    if let Some((at, answer)) = *last
        && at.elapsed() < GOOD_FOR
    {
        return answer;
    }
    let store = Arc::clone(observed.gate.store());
    let written = tokio::task::spawn_blocking(move || store_takes_writes(&*store)).await;
    let answer = matches!(written, Ok(Ok(())));
    *last = Some((Instant::now(), answer));
    answer
}
