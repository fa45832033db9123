//! The gate as the agents' door sees it.

use std::sync::Arc;

use super::door::Gatekeeper;
use crate::{
    error::Problem,
    gate::{
        Gate,
        call::{Answer, Call, Hold, OfferedAction, Principal, Refused},
        described::{ActionDetails, PackOffer},
    },
};

/// The real gatekeeper.
pub struct GateDoor(pub Arc<Gate>);

impl Gatekeeper for GateDoor {
    fn tools(&self, principal: &Principal) -> Vec<OfferedAction> {
        self.0.offers(principal)
    }

    async fn call(&self, principal: &Principal, call: Call, hold: Hold) -> Result<Answer, Refused> {
        self.0.call(principal, call, hold).await
    }

    async fn await_approval(&self, principal: &Principal, approval: &str, hold: Hold) -> Result<Answer, Refused> {
        self.0.await_approval(principal, approval, hold).await
    }

    async fn refuse(&self, principal: &Principal, call: Call, problems: Vec<Problem>) -> Refused {
        self.0.refuse(principal, &call, problems).await
    }

    fn packs(&self, principal: &Principal) -> Vec<PackOffer> {
        self.0.packs(principal)
    }

    fn pack_page(&self, principal: &Principal, pack: &str) -> Option<String> {
        self.0.pack_page(principal, pack)
    }

    fn details(&self, principal: &Principal, action: &str) -> Option<ActionDetails> {
        self.0.details(principal, action)
    }
}
