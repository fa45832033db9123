//! An operation in the hands of the one who carries it out: noted as begun before anything but a read is sent.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    error::{Code, Refusal},
    store::{ClaimedOperation, Store},
};

/// An operation that this process has claimed, for whoever carries it out.
pub(in crate::gate) struct Once {
    pub(super) claimed: ClaimedOperation,
    pub(super) instead_of: Option<String>,
    pub(super) store: Arc<dyn Store>,
    /// Set before the store is asked to note it: from then on only its own process may end it.
    pub(super) begun: AtomicBool,
    pub(super) noted: AtomicBool,
}

impl Once {
    /// The run of a process that died, whose place this run takes.
    pub(in crate::gate) fn instead_of(&self) -> Option<&str> {
        self.instead_of.as_deref()
    }

    /// Whether something other than a read may have been sent, or is about to be.
    pub(in crate::gate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// To be called before anything other than a read is sent, which must not be if this fails: that it was about to be is
    /// on disk, and no other process has taken the operation over.
    pub(in crate::gate) async fn begin(self: &Arc<Self>) -> Result<(), Refusal> {
        if self.noted.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.begun.store(true, Ordering::SeqCst);
        let once = Arc::clone(self);
        let noted = tokio::task::spawn_blocking(move || once.store.begin_operation(&once.claimed)).await;
        noted.map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))??;
        self.noted.store(true, Ordering::SeqCst);
        Ok(())
    }
}
