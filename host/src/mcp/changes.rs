//! Tells clients that a list of theirs has changed. Up to revision 2025-11-25 every live session is told; from 2026-07-28 on
//! whoever listens (`subscriptions/listen`). The gatekeeper says that something may have changed; a client hears of it only
//! if what *its* principal is shown did.

use std::{
    future::pending,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use rmcp::{
    ErrorData, Peer, RoleServer,
    model::SubscriptionFilter,
    service::{RequestContext, SubscriptionContext},
};
use serde::Serialize;
use tokio::sync::watch;

use super::{McpSettings, door::Gatekeeper, face, prompts, resources, server::Server};
use crate::gate::call::Principal;

/// For one client to take its notifications. One that reads nothing must not keep the others from theirs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a principal is shown, as three numbers to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lists {
    tools: u64,
    resources: u64,
    prompts: u64,
}

impl Lists {
    fn of<G: Gatekeeper>(gate: &G, settings: &McpSettings, principal: &Principal) -> Self {
        let offered = gate.tools(principal);
        Self {
            tools: number(&face::tools(&offered, settings)),
            resources: number(&resources::listed(gate, principal)),
            prompts: number(&prompts::listed(&offered)),
        }
    }

    /// Which lists differ, as the filter of those that a client would be told of.
    fn changed_since(self, before: Self) -> SubscriptionFilter {
        let mut changed = SubscriptionFilter::new();
        changed.tools_list_changed = Some(self.tools != before.tools);
        changed.resources_list_changed = Some(self.resources != before.resources);
        changed.prompts_list_changed = Some(self.prompts != before.prompts);
        changed
    }
}

fn number(list: &impl Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(list).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

/// A session of the older revisions.
struct Session {
    principal: Arc<Principal>,
    peer: Peer<RoleServer>,
    seen: Lists,
}

/// The live sessions. Clones share them.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Shared>);

#[derive(Default)]
struct Shared {
    sessions: Mutex<Vec<Session>>,
    watching: OnceLock<()>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sessions").field(&self.0.sessions().len()).finish()
    }
}

impl Shared {
    fn sessions(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        // Nothing under this lock panics; were it poisoned, the list would still be sound.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<G: Gatekeeper> Server<G> {
    /// A session begins: it will be told. Before it is answered, so that no change falls between this and its first list.
    pub(super) fn remember(&self, context: &RequestContext<RoleServer>) -> Result<(), ErrorData> {
        let principal = self.principal(context)?;
        // Taken before the lists are, so that no change falls between.
        let changes = self.gatekeeper().changes();
        let seen = Lists::of(self.gatekeeper(), self.settings(), &principal);
        let shared = &self.sessions().0;
        {
            let mut sessions = shared.sessions();
            sessions.retain(|session| !session.peer.is_transport_closed());
            sessions.push(Session { principal, peer: context.peer.clone(), seen });
        }
        shared.watching.get_or_init(|| {
            let server = (Arc::downgrade(self.shared_gatekeeper()), Arc::clone(self.shared_settings()));
            tokio::spawn(watch(changes, server, Arc::downgrade(shared)));
        });
        Ok(())
    }

    /// Tells one listener until it has gone.
    pub(super) async fn tell(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let request = context.request_context();
        let principal = self.principal(request)?;
        let mut changes = self.gatekeeper().changes();
        changes.mark_unchanged();
        let mut seen = Lists::of(self.gatekeeper(), self.settings(), &principal);
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                () = changed(&mut changes) => {}
            }
            let now = Lists::of(self.gatekeeper(), self.settings(), &principal);
            let wanted = now.changed_since(seen).intersection(context.accepted());
            seen = now;
            let sink = context.sink();
            let mut sent = Ok(());
            if wanted.tools_list_changed == Some(true) {
                sent = sink.notify_tool_list_changed().await;
            }
            if wanted.resources_list_changed == Some(true) && sent.is_ok() {
                sent = sink.notify_resource_list_changed().await;
            }
            if wanted.prompts_list_changed == Some(true) && sent.is_ok() {
                sent = sink.notify_prompt_list_changed().await;
            }
            if sent.is_err() {
                // The listener has gone; whoever comes back lists anew.
                return Ok(());
            }
        }
    }
}

/// Waits for a change; for ever if there will be none.
async fn changed(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// Tells the sessions for as long as there is a server.
async fn watch<G: Gatekeeper>(
    mut changes: watch::Receiver<u64>,
    (gate, settings): (Weak<G>, Arc<McpSettings>),
    shared: Weak<Shared>,
) {
    while changes.changed().await.is_ok() {
        let (Some(gate), Some(shared)) = (gate.upgrade(), shared.upgrade()) else { return };
        // An agent's sessions have the same lists; they are made once.
        let mut known: Vec<(Arc<Principal>, Lists)> = Vec::new();
        for session in shared.sessions().iter_mut() {
            let made = known.iter().find(|(principal, _)| **principal == *session.principal).map(|(_, lists)| *lists);
            let now = made.unwrap_or_else(|| Lists::of(&*gate, &settings, &session.principal));
            if made.is_none() {
                known.push((Arc::clone(&session.principal), now));
            }
            let changed = now.changed_since(session.seen);
            session.seen = now;
            tokio::spawn(tokio::time::timeout(PATIENCE, tell_peer(session.peer.clone(), changed)));
        }
    }
}

async fn tell_peer(peer: Peer<RoleServer>, changed: SubscriptionFilter) {
    let mut sent = Ok(());
    if changed.tools_list_changed == Some(true) {
        sent = peer.notify_tool_list_changed().await;
    }
    if changed.resources_list_changed == Some(true) && sent.is_ok() {
        sent = peer.notify_resource_list_changed().await;
    }
    if changed.prompts_list_changed == Some(true) && sent.is_ok() {
        sent = peer.notify_prompt_list_changed().await;
    }
    if let Err(error) = sent {
        tracing::debug!(%error, "a session was not told that its lists changed");
    }
}
