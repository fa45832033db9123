//! What is going on with requests and standing approvals, for pages that are open: one watcher for the process looks whether
//! the store has changed, works out what became different, and tells everybody who listens. It tells only what kind of thing
//! changed and which; whoever is told asks for the page anew and is shown what they may see.

mod shared;
mod snapshot;
mod stream;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::{
    sync::{Notify, broadcast, watch},
    time::sleep,
};

use maud::{Markup, html};

pub(super) use self::snapshot::ended_at;
pub use self::{
    shared::Shared,
    snapshot::Snapshot,
    stream::{ROUTE, stream},
};
use crate::{
    error::{Code, Refusal},
    store::Store,
};

/// Between looks at the store while somebody listens: a person waits no longer than this to learn of a decision.
const EVERY: Duration = Duration::from_millis(100);
/// And while nobody does: only a first listener is waited for, who wakes the watcher.
const IDLE: Duration = Duration::from_secs(3600);
/// Changes that a slow listener may be behind; whoever is further behind is told to look at everything.
const BEHIND: usize = 256;
/// Streams at once: of all people, and of one. Each keeps one of the 512 connections of the door, which pages need as well.
const STREAMS: usize = 400;
const STREAMS_OF_ONE: usize = 40;

/// The script that keeps pages up to date, by its name among the assets.
pub const SCRIPT: &str = "live.js";

/// Where a page says whether it is kept up to date, and what is said to those who listen when something changes.
#[must_use]
pub fn status() -> Markup {
    html! {
        p.live.quiet #live-status data-now=(Timestamp::now().as_millisecond()) {}
        p.unseen #live-voice aria-live="polite" {}
        noscript { p.quiet { "Without JavaScript: load the page again to see what changed." } }
    }
}

/// What kind of thing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A request for approval: made, voted on, looked at again, decided, run, expired.
    Request,
    /// A standing approval: proposed, in force, used, revoked, run out.
    Standing,
    /// What may be called, or where: packs, policy, targets.
    Host,
}

/// One change. Nothing in it is worth having for whoever may not see the thing itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Of what kind of thing.
    pub kind: Kind,
    /// Which; empty where there is only one.
    pub id: String,
}

/// The watcher, and those who listen to it.
pub struct Live {
    store: Arc<dyn Store>,
    /// Held while the store is read, so that however many ask at once, it is read once.
    latest: tokio::sync::Mutex<Option<Arc<Snapshot>>>,
    tell: broadcast::Sender<Change>,
    wake: Arc<Notify>,
    listening: Mutex<HashMap<String, usize>>,
    /// The inbox as it was last written out.
    pub inbox: Shared,
}

/// A place among those who listen; given back when dropped.
pub struct Seat {
    live: Arc<Live>,
    person: String,
}

impl Live {
    /// Starts watching. `host` goes up whenever packs, policy or targets may have changed. Needs a tokio runtime; the watcher
    /// ends when nobody has this any more.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, host: watch::Receiver<u64>) -> Arc<Self> {
        let (tell, _) = broadcast::channel(BEHIND);
        let (latest, wake) = (tokio::sync::Mutex::new(None), Arc::new(Notify::new()));
        let live = Arc::new(Self {
            store,
            latest,
            tell,
            wake: Arc::clone(&wake),
            listening: Mutex::default(),
            inbox: Shared::default(),
        });
        tokio::spawn(watch_store(Arc::downgrade(&live), wake));
        tokio::spawn(watch_host(Arc::downgrade(&live), host));
        live
    }

    /// How things stand now. Cheap while nothing was written: the store is only asked whether anything was.
    ///
    /// # Errors
    /// The store's.
    pub async fn now(&self) -> Result<Arc<Snapshot>, Refusal> {
        let mut latest = self.latest.lock().await;
        let (store, known) = (Arc::clone(&self.store), latest.clone());
        let found = tokio::task::spawn_blocking(move || Snapshot::take(&*store, known, Timestamp::now()))
            .await
            .map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))??;
        if let Some(before) = latest.as_ref().filter(|before| !Arc::ptr_eq(before, &found)) {
            for change in found.since(before) {
                // Nobody listening is no error.
                let _ = self.tell.send(change);
            }
        }
        *latest = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Listens from now on, unless too many do.
    pub(super) fn listen(self: &Arc<Self>, person: &str) -> Option<(Seat, broadcast::Receiver<Change>)> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (listening.values().sum::<usize>(), listening.get(person).copied().unwrap_or_default());
        if all >= STREAMS || own >= STREAMS_OF_ONE {
            return None;
        }
        listening.insert(person.to_owned(), own + 1);
        drop(listening);
        let changes = self.tell.subscribe();
        self.wake.notify_one();
        Some((Seat { live: Arc::clone(self), person: person.to_owned() }, changes))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut listening = self.live.listening.lock().unwrap_or_else(PoisonError::into_inner);
        match listening.get_mut(&self.person) {
            Some(seats) if *seats > 1 => *seats -= 1,
            _ => {
                listening.remove(&self.person);
            }
        }
    }
}

async fn watch_store(live: Weak<Live>, wake: Arc<Notify>) {
    let mut failing = false;
    loop {
        let Some(there) = live.upgrade() else { return };
        let is_heard = there.tell.receiver_count() > 0;
        if is_heard {
            match there.now().await {
                Ok(_) => failing = false,
                Err(refusal) if !failing => {
                    failing = true;
                    tracing::error!(code = %refusal.code, "open pages are not brought up to date: {}", refusal.message);
                }
                Err(_) => {}
            }
        }
        drop(there);
        tokio::select! {
            () = sleep(if is_heard { EVERY } else { IDLE }) => {}
            () = wake.notified() => {}
        }
    }
}

async fn watch_host(live: Weak<Live>, mut host: watch::Receiver<u64>) {
    while host.changed().await.is_ok() {
        let Some(there) = live.upgrade() else { return };
        let _ = there.tell.send(Change { kind: Kind::Host, id: String::new() });
    }
}
