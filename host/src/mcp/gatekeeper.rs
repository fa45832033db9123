//! The gate as the agents' door sees it.

use std::sync::Arc;

use tokio::sync::watch;

use super::door::Gatekeeper;
use crate::{
    error::{Problem, Refusal},
    gate::{
        Gate,
        call::{Answer, Call, HeldCall, Hold, OfferedAction, Principal, Refused, TargetState},
        described::{ActionDetails, PackOffer},
    },
    runs::{RunFilter, RunPage, RunRecord},
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

    async fn held_call(&self, principal: &Principal, approval: &str) -> Result<HeldCall, Refusal> {
        self.0.held_call(principal, approval).await
    }

    async fn withdraw(&self, principal: &Principal, approval: &str) -> Result<(), Refusal> {
        self.0.withdraw(principal, approval).await
    }

    async fn refuse(&self, principal: &Principal, call: Call, problems: Vec<Problem>) -> Refused {
        self.0.refuse(principal, &call, problems).await
    }

    async fn recent_runs(&self, principal: &Principal, filter: RunFilter) -> Result<RunPage, Refusal> {
        self.0.recent_runs(principal, filter).await
    }

    async fn run_record(&self, principal: &Principal, run: &str) -> Result<RunRecord, Refusal> {
        self.0.run_record(principal, run).await
    }

    fn target_states(&self, principal: &Principal) -> Vec<TargetState> {
        self.0.target_states(principal)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes()
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
