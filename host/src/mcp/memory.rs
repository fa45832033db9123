//! What the server remembers of one client for as long as it is connected: how much it wants to hear, and which approvals
//! it was asked to show. Revision 2026-07-28 has no connections; there each request says what it wants, and nothing here is
//! used. Losing it loses nothing that matters: approvals are in the store.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::logging::Level;

/// One client's.
#[derive(Debug, Default)]
pub struct Memory {
    level: Mutex<Level>,
    /// Approvals that the client was asked to show, each with what is cancelled once it is decided.
    shown: Mutex<HashMap<String, CancellationToken>>,
}

impl Memory {
    /// From which level on the client wants messages.
    pub(super) fn level(&self) -> Level {
        *lock(&self.level)
    }

    /// The client says from which level on.
    pub(super) fn set_level(&self, level: Level) {
        *lock(&self.level) = level;
    }

    /// Notes that the client is asked to show an approval, and returns what tells that it is decided; none if it was asked
    /// before.
    pub(super) fn show(&self, approval: &str) -> Option<CancellationToken> {
        let mut shown = lock(&self.shown);
        if shown.contains_key(approval) {
            return None;
        }
        let decided = CancellationToken::new();
        shown.insert(approval.to_owned(), decided.clone());
        Some(decided)
    }

    /// Forgets an approval that is decided. True if the client was asked to show it.
    pub(super) fn decided(&self, approval: &str) -> bool {
        let shown = lock(&self.shown).remove(approval);
        shown.inspect(CancellationToken::cancel).is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks panics; were one poisoned, what it guards would still be sound.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_shown_once_until_it_is_decided() {
        let memory = Memory::default();
        let decided = memory.show("ap_1").unwrap();
        assert!(memory.show("ap_1").is_none() && memory.show("ap_2").is_some());
        assert!(memory.decided("ap_1") && decided.is_cancelled());
        assert!(!memory.decided("ap_1"), "told once");
    }
}
