//! Counts the calls that are under way: so that one agent can't take all the room, and so that a transport can end
//! without leaving a call behind half recorded.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::watch;

/// A counter of running calls by agent. Clones count together.
#[derive(Clone, Debug)]
pub struct InFlight(Arc<watch::Sender<HashMap<String, usize>>>);

/// One running call; leaves the count when dropped.
#[derive(Debug)]
pub struct Running {
    calls: InFlight,
    agent: String,
}

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(HashMap::new())))
    }
}

impl InFlight {
    /// Counts one call of an agent until the answer is dropped; none if `most` of its calls run already.
    #[must_use]
    pub fn enter(&self, agent: &str, most: usize) -> Option<Running> {
        let entered = self.0.send_if_modified(|calls| {
            let count = calls.get(agent).copied().unwrap_or_default();
            let room = count < most;
            if room {
                calls.insert(agent.to_owned(), count + 1);
            }
            room
        });
        entered.then(|| Running { calls: self.clone(), agent: agent.to_owned() })
    }

    /// How many run.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.borrow().values().sum()
    }

    /// Waits until no call runs, at most `limit`. True if none does.
    pub async fn idle(&self, limit: Duration) -> bool {
        let mut calls = self.0.subscribe();
        tokio::time::timeout(limit, calls.wait_for(HashMap::is_empty)).await.is_ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.calls.0.send_modify(|calls| {
            if let Some(count) = calls.get_mut(&self.agent) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    calls.remove(&self.agent);
                }
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_idle_when_the_last_call_has_left() {
        let calls = InFlight::default();
        let first = calls.enter("a", 9).unwrap();
        let second = calls.clone().enter("b", 9).unwrap();
        assert!(!calls.idle(Duration::ZERO).await);
        drop(first);
        assert!(!calls.idle(Duration::ZERO).await);
        let waiting = tokio::spawn({
            let calls = calls.clone();
            async move { calls.idle(Duration::from_secs(60)).await }
        });
        drop(second);
        assert!(waiting.await.unwrap());
    }

    #[test]
    fn an_agent_has_its_own_room_and_no_more() {
        let calls = InFlight::default();
        let first = calls.enter("a", 1).unwrap();
        assert!(calls.enter("a", 1).is_none());
        assert!(calls.enter("b", 1).is_some());
        drop(first);
        assert!(calls.enter("a", 1).is_some());
    }
}
