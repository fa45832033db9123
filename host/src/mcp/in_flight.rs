//! Counts the calls that are under way, so that a transport can end without leaving one behind half recorded.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

/// A counter of running calls. Clones count together.
#[derive(Clone, Debug)]
pub struct InFlight(Arc<watch::Sender<usize>>);

/// One running call; leaves the count when dropped.
#[derive(Debug)]
pub struct Running(InFlight);

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl InFlight {
    /// Counts one call until the answer is dropped.
    #[must_use]
    pub fn enter(&self) -> Running {
        self.0.send_modify(|count| *count = count.saturating_add(1));
        Running(self.clone())
    }

    /// Waits until no call runs, at most `limit`. True if none does.
    pub async fn idle(&self, limit: Duration) -> bool {
        let mut count = self.0.subscribe();
        tokio::time::timeout(limit, count.wait_for(|count| *count == 0)).await.is_ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_idle_when_the_last_call_has_left() {
        let calls = InFlight::default();
        let first = calls.enter();
        let second = calls.clone().enter();
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
}
