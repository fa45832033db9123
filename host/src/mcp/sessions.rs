//! Whose an MCP session is. Up to revision 2025-11-25 a client over HTTP has a session, named by a header; the name is no
//! credential, so a session answers only to the agent that opened it, and an agent has a bounded number of them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rmcp::transport::streamable_http_server::session::{SessionManager, local::LocalSessionManager};

/// The header that names a session.
pub const SESSION_HEADER: &str = "mcp-session-id";
/// Sessions of one agent. Clients that crash leave theirs behind, so the oldest makes way for a new one.
const PER_AGENT: usize = 32;
/// An idle session ends after this. It must outlast the longest wait for an approval, during which nothing is sent.
const IDLE: Duration = Duration::from_secs(2 * 3600);

/// How long an answer that was given is kept for a client whose stream broke over it. Clients try again after three seconds;
/// all that is kept for longer only adds up, by as much as an agent can ask for in that time.
const RESUMED: Duration = Duration::from_secs(10);

/// The sessions and their owners. Clones share them.
#[derive(Clone, Debug)]
pub struct Sessions {
    manager: Arc<LocalSessionManager>,
    /// Session and agent, oldest first.
    owners: Arc<Mutex<VecDeque<(String, String)>>>,
}

impl Default for Sessions {
    fn default() -> Self {
        let mut manager = LocalSessionManager::default();
        manager.session_config.keep_alive = Some(IDLE);
        manager.session_config.completed_cache_ttl = RESUMED;
        Self { manager: Arc::new(manager), owners: Arc::default() }
    }
}

impl Sessions {
    /// For the HTTP service.
    #[must_use]
    pub fn manager(&self) -> Arc<LocalSessionManager> {
        Arc::clone(&self.manager)
    }

    /// Whether this agent opened the session.
    #[must_use]
    pub fn is_owner(&self, session: &str, agent: &str) -> bool {
        self.owners().iter().any(|(id, owner)| id == session && owner == agent)
    }

    /// Notes who opened a session, and closes what the agent has too many of.
    pub async fn opened(&self, session: &str, agent: &str) {
        let open: Vec<String> = self.manager.sessions.read().await.keys().map(ToString::to_string).collect();
        let mut surplus = Vec::new();
        {
            let mut owners = self.owners();
            owners.retain(|(id, _)| open.iter().any(|known| known == id));
            owners.push_back((session.to_owned(), agent.to_owned()));
            let mut count = owners.iter().filter(|(_, owner)| owner == agent).count();
            owners.retain(|(id, owner)| {
                let goes = owner == agent && count > PER_AGENT;
                if goes {
                    count -= 1;
                    surplus.push(id.clone());
                }
                !goes
            });
        }
        for id in surplus {
            // One that ended meanwhile is as good as closed.
            let _ = self.manager.close_session(&id.into()).await;
        }
    }

    fn owners(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, String)>> {
        // Nothing under this lock panics; were it poisoned, the list would still be sound.
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_has_one_owner_and_an_agent_a_bounded_number() {
        let sessions = Sessions::default();
        let mut ids = Vec::new();
        for _ in 0..=PER_AGENT {
            let (id, _transport) = sessions.manager().create_session().await.unwrap();
            sessions.opened(&id, "one").await;
            ids.push(id);
        }
        let (other, _transport) = sessions.manager().create_session().await.unwrap();
        sessions.opened(&other, "two").await;
        assert!(sessions.is_owner(&other, "two") && !sessions.is_owner(&other, "one"));
        assert!(!sessions.is_owner(&ids[0], "one"), "the oldest made way");
        assert!(ids[1..].iter().all(|id| sessions.is_owner(id, "one")));
        assert!(!sessions.manager().has_session(&ids[0]).await.unwrap());
    }
}
