//! What the agents' door needs of the gate, as a trait, so that the server can be tested without one and the gate need
//! not know that MCP exists.

use tokio::sync::watch;

use crate::{
    error::{Code, Problem, Refusal},
    gate::{
        call::{Answer, Call, HeldCall, Hold, OfferedAction, Principal, Refused, TargetState, unknown_approval},
        described::{ActionDetails, PackOffer},
    },
    runs::{RunFilter, RunPage, RunRecord, unknown_run},
};

/// Keeps the gate: offers actions, takes calls, and takes up held ones.
///
/// A cancelled [`Hold`] ends the *wait* and the caller's own run; it must not withdraw a request that a person may be
/// looking at. Clients cancel by themselves when their own time limit passes (most after 60 seconds), and so does a server
/// that is stopped; the agent takes the request up again with `lockgate.await_approval`.
///
/// Implementations must carry a call to its recorded end once it has begun, whatever becomes of the client: the server
/// never drops the futures it gets from here, it only cancels [`Hold::cancel`].
pub trait Gatekeeper: Send + Sync + 'static {
    /// The actions that this principal may call, in any order. What policy denies it is left out.
    fn tools(&self, principal: &Principal) -> Vec<OfferedAction>;

    /// Takes one call through the gate.
    fn call(
        &self,
        principal: &Principal,
        call: Call,
        hold: Hold,
    ) -> impl Future<Output = Result<Answer, Refused>> + Send;

    /// Goes on waiting for a held call of this principal, and answers as [`Gatekeeper::call`] would.
    fn await_approval(
        &self,
        principal: &Principal,
        approval: &str,
        hold: Hold,
    ) -> impl Future<Output = Result<Answer, Refused>> + Send;

    /// Where a held call of this principal stands, without waiting. Another's does not exist.
    fn held_call(
        &self,
        principal: &Principal,
        approval: &str,
    ) -> impl Future<Output = Result<HeldCall, Refusal>> + Send {
        let _ = principal;
        std::future::ready(Err(unknown_approval(approval)))
    }

    /// Takes a held call of this principal back, unless people have decided: then it stays as they left it, and that is no
    /// error. Another's does not exist.
    fn withdraw(&self, principal: &Principal, approval: &str) -> impl Future<Output = Result<(), Refusal>> + Send {
        let _ = principal;
        std::future::ready(Err(unknown_approval(approval)))
    }

    /// Refuses a call that the door itself could not make out: its reason or its target is missing or malformed. `call`
    /// holds what could be read, so that an implementation can add the problems it sees in the arguments and put the
    /// refusal on the record. It must not run anything.
    fn refuse(
        &self,
        principal: &Principal,
        call: Call,
        problems: Vec<Problem>,
    ) -> impl Future<Output = Refused> + Send {
        let _ = principal;
        let message = format!("the call of `{}` is malformed", call.action);
        let refusal = Refusal::new(Code::InvalidArguments, message).with_problems(problems);
        std::future::ready(Refused { run: String::new(), refusal })
    }

    /// This principal's own runs, the newest first.
    fn recent_runs(
        &self,
        principal: &Principal,
        filter: RunFilter,
    ) -> impl Future<Output = Result<RunPage, Refusal>> + Send {
        let _ = (principal, filter);
        std::future::ready(Ok(RunPage::default()))
    }

    /// One of this principal's own runs with its lines of the record. Another's does not exist.
    fn run_record(&self, principal: &Principal, run: &str) -> impl Future<Output = Result<RunRecord, Refusal>> + Send {
        let _ = principal;
        std::future::ready(Err(unknown_run(run)))
    }

    /// The targets that this principal may name, in the order of their names, and how they are.
    fn target_states(&self, principal: &Principal) -> Vec<TargetState> {
        let _ = principal;
        Vec::new()
    }

    /// The packs of which this principal may call something, by name.
    fn packs(&self, principal: &Principal) -> Vec<PackOffer> {
        let _ = principal;
        Vec::new()
    }

    /// The reference page of a pack, in Markdown, with the actions that this principal may call. None if there are none.
    fn pack_page(&self, principal: &Principal, pack: &str) -> Option<String> {
        let _ = (principal, pack);
        None
    }

    /// More of an action that this principal may call. None of any other.
    fn details(&self, principal: &Principal, action: &str) -> Option<ActionDetails> {
        let _ = (principal, action);
        None
    }

    /// A number that changes whenever what principals may call, or where, may have changed. What has changed is for
    /// [`Gatekeeper::tools`] to say. Without an implementation nothing ever changes: the channel is closed.
    fn changes(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}
