//! Whose an MCP session is. Up to revision 2025-11-25 a client over HTTP has a session, named by a header; the name is no
//! credential, so a session answers only to the agent that opened it, and an agent has a bounded number of them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rmcp::transport::streamable_http_server::session::{SessionManager, local::LocalSessionManager};

use crate::gate::call::Principal;

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
    /// Session and who opened it, oldest first.
    owners: Arc<Mutex<VecDeque<(String, Principal)>>>,
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

    /// Whether this agent opened the session: one that may see and do exactly what its opener may, whichever of its
    /// credentials it came with. Those change while a session lasts.
    #[must_use]
    pub fn is_owner(&self, session: &str, principal: &Principal) -> bool {
        self.owners().iter().any(|(id, owner)| id == session && owner.is_same(principal))
    }

    /// How many are open.
    pub async fn count(&self) -> usize {
        self.manager.sessions.read().await.len()
    }

    /// Closes what was opened with a credential.
    pub async fn close_of(&self, credential: &str) {
        let mut closed = Vec::new();
        self.owners().retain(|(id, owner)| {
            let stays = owner.credential.as_deref() != Some(credential);
            if !stays {
                closed.push(id.clone());
            }
            stays
        });
        self.close(closed).await;
    }

    /// Notes who opened a session, and closes what the agent has too many of.
    pub async fn opened(&self, session: &str, principal: &Principal) {
        let caller = principal.caller();
        let open: Vec<String> = self.manager.sessions.read().await.keys().map(ToString::to_string).collect();
        let mut surplus = Vec::new();
        {
            let mut owners = self.owners();
            owners.retain(|(id, _)| open.iter().any(|known| known == id));
            owners.push_back((session.to_owned(), principal.clone()));
            let mut count = owners.iter().filter(|(_, owner)| owner.caller() == caller).count();
            owners.retain(|(id, owner)| {
                let goes = count > PER_AGENT && owner.caller() == caller;
                if goes {
                    count -= 1;
                    surplus.push(id.clone());
                }
                !goes
            });
        }
        self.close(surplus).await;
    }

    async fn close(&self, sessions: Vec<String>) {
        for id in sessions {
            // One that ended meanwhile is as good as closed.
            let _ = self.manager.close_session(&id.into()).await;
        }
    }

    fn owners(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, Principal)>> {
        // Nothing under this lock panics; were it poisoned, the list would still be sound.
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::gate::call::{Door, Scope};

    fn principal(agent: &str, credential: &str) -> Principal {
        Principal {
            agent: agent.into(),
            person: Some("ana".into()),
            os_user: None,
            roles: Vec::new(),
            door: Door::Http,
            scope: Scope::default(),
            credential: Some(credential.into()),
        }
    }

    async fn open(sessions: &Sessions, principal: &Principal) -> String {
        let (id, _transport) = sessions.manager().create_session().await.unwrap();
        sessions.opened(&id, principal).await;
        id.to_string()
    }

    #[tokio::test]
    async fn a_session_has_one_owner_and_an_agent_a_bounded_number() {
        let sessions = Sessions::default();
        let (one, two) = (principal("one", "tok_1"), principal("two", "tok_2"));
        let mut ids = Vec::new();
        for _ in 0..=PER_AGENT {
            ids.push(open(&sessions, &one).await);
        }
        let other = open(&sessions, &two).await;
        assert!(sessions.is_owner(&other, &two) && !sessions.is_owner(&other, &one));
        assert!(!sessions.is_owner(&ids[0], &one), "the oldest made way");
        assert!(ids[1..].iter().all(|id| sessions.is_owner(id, &one)));
        assert!(!sessions.manager().has_session(&ids[0].clone().into()).await.unwrap());
    }

    #[tokio::test]
    async fn a_new_credential_of_the_same_agent_has_its_sessions_and_a_wider_or_narrower_one_has_not() {
        let sessions = Sessions::default();
        let first = principal("one", "tok_1");
        let id = open(&sessions, &first).await;
        assert!(sessions.is_owner(&id, &principal("one", "tok_2")));
        let scope = Scope { packs: None, targets: Some(vec!["primary".into()]) };
        for other in [
            Principal { person: Some("eve".into()), ..first.clone() },
            Principal { person: None, ..first.clone() },
            Principal { roles: vec!["dba".into()], ..first.clone() },
            Principal { scope, ..first.clone() },
        ] {
            assert!(!sessions.is_owner(&id, &other), "{other:?}");
        }
    }

    #[tokio::test]
    async fn the_end_of_a_credential_closes_what_it_opened() {
        let sessions = Sessions::default();
        let (first, second) = (principal("one", "tok_1"), principal("one", "tok_2"));
        let (gone, stays) = (open(&sessions, &first).await, open(&sessions, &second).await);
        sessions.close_of("tok_1").await;
        assert!(!sessions.is_owner(&gone, &first) && sessions.is_owner(&stays, &second));
        assert!(!sessions.manager().has_session(&gone.into()).await.unwrap());
        assert!(sessions.manager().has_session(&stays.into()).await.unwrap());
    }
}
