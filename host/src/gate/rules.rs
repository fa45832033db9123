//! What may be called and who decides it: the admitted packs and the policy, always both of one moment. They are replaced
//! together while calls are under way; a call that has begun keeps what it found.

use std::sync::Arc;

use tokio::sync::watch;

use super::Gate;
use crate::{
    error::Refusal,
    pack::catalog::{Catalog, TrustedPack},
    policy::Policy,
};

/// Packs and policy that belong together.
pub struct Rules {
    /// The admitted packs.
    pub catalog: Catalog,
    /// The policy.
    pub policy: Policy,
}

impl Gate {
    /// Packs and policy as they are now.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Whether a pack that was admitted may still be used, by the trust policy as it is now. Reads a file.
    ///
    /// # Errors
    /// Why not.
    pub fn still_trusted(&self, pack: &TrustedPack) -> Result<(), Refusal> {
        (self.still_trusted)(pack)
    }

    /// Puts others in their place for every call that begins from now on, and for every approval that is used from now on.
    /// Whoever calls this has put it on the record.
    pub(crate) fn replace_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
        self.announce();
    }

    /// A number that goes up whenever what may be called, or where, may have changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Tells the doors that something has changed.
    pub(crate) fn announce(&self) {
        self.changes.send_modify(|number| *number = number.wrapping_add(1));
    }
}
