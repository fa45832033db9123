//! Showing a person where to decide. A client that can open links is asked to, once for each approval; what it answers, and
//! whether it answers at all, changes nothing, since whoever clicks there is the agent's side and not an approver.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use rmcp::{
    Peer, RoleServer,
    model::{
        CustomNotification, ElicitRequest, ElicitRequestParams, InputRequest, InputRequests, InputRequiredResult,
        ProtocolVersion, RequestId, ServerNotification, ServerRequest,
    },
    service::{OriginatingRequestId, PeerRequestOptions, RequestContext},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{is_at_least, is_modern};
use crate::{gate::call::Pending, mcp::memory::Memory};

/// The one request in a result that asks for input.
const KEY: &str = "approval";

/// A client of a revision with requests from here (2025-11-25) that can open links.
#[derive(Clone, Debug)]
pub(in crate::mcp) struct Screen {
    peer: Peer<RoleServer>,
    call: RequestId,
    memory: Arc<Memory>,
}

impl Screen {
    /// The client's, if it has one.
    pub(in crate::mcp) fn of(context: &RequestContext<RoleServer>, memory: &Arc<Memory>) -> Option<Self> {
        // Links came with 2025-11-25; from 2026-07-28 on they travel in results.
        if is_modern(context) || !is_at_least(context, &ProtocolVersion::V_2025_11_25) {
            return None;
        }
        context.client_capabilities()?.elicitation?.url?;
        Some(Self { peer: context.peer.clone(), call: context.id.clone(), memory: Arc::clone(memory) })
    }

    /// Asks the client to show where a person decides, unless it was asked before. Nobody waits for what it says.
    pub(in crate::mcp) fn show(&self, pending: &Pending) {
        let Some(elicitation) = elicitation(pending) else { return };
        let Some(decided) = self.memory.show(&pending.approval) else { return };
        let mut request = ElicitRequest::new(elicitation);
        // Over HTTP it must go out on the call's own stream: many clients have no other.
        request.extensions.insert(OriginatingRequestId(self.call.clone()));
        let until = time_until(&pending.expires_at);
        tokio::spawn(ask(self.peer.clone(), request, decided, until));
    }

    /// Tells a client that was asked that there is nothing more to do.
    pub(in crate::mcp) async fn decided(&self, approval: &str) {
        if self.memory.decided(approval) {
            let params = json!({ "elicitationId": approval });
            let complete = CustomNotification::new("notifications/elicitation/complete", Some(params));
            let _ = self.peer.send_notification(ServerNotification::CustomNotification(complete)).await;
        }
    }
}

/// Whether a client that can open links is to be shown this one: it has a link, and people have not been told of it yet.
pub(in crate::mcp) fn is_shown(pending: &Pending) -> bool {
    pending.link.is_some() && !pending.joined && !pending.replayed && !pending.approved
}

/// The answer of revision 2026-07-28 that asks a client to show a link and to call again with the state, if there is one
/// to be shown.
pub(in crate::mcp) fn input_required(pending: &Pending, state: impl FnOnce() -> String) -> Option<InputRequiredResult> {
    let elicitation = elicitation(pending).filter(|_| is_shown(pending))?;
    let requests = InputRequests::from([(KEY.to_owned(), InputRequest::Elicitation(ElicitRequest::new(elicitation)))]);
    Some(InputRequiredResult::new(Some(requests), Some(state())))
}

fn elicitation(pending: &Pending) -> Option<ElicitRequestParams> {
    let url = pending.link.clone()?;
    let message = format!(
        "A person must approve `{}` on `{}` before it runs. The page says what is asked and how to decide. Answering here \
         decides nothing.",
        pending.action, pending.target
    );
    Some(ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message,
        url,
        elicitation_id: pending.approval.clone(),
    })
}

/// Asks, and takes the question back once it has been answered elsewhere or can't be any more.
async fn ask(peer: Peer<RoleServer>, request: ElicitRequest, decided: CancellationToken, until: Duration) {
    let request = ServerRequest::ElicitRequest(request);
    let Ok(mut asked) = peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await else { return };
    let reason = tokio::select! {
        // Accepted, declined, an error, or the client is gone: it is all the same.
        _ = &mut asked.rx => return,
        () = decided.cancelled() => "the approval has been decided",
        () = tokio::time::sleep(until) => "the approval has expired",
    };
    let _ = asked.cancel(Some(reason.to_owned())).await;
}

/// What is left until a time; nothing if it can't be read.
fn time_until(expires_at: &str) -> Duration {
    let left = expires_at.parse::<Timestamp>().map(|until| until.duration_since(Timestamp::now()));
    left.ok().and_then(|left| Duration::try_from(left).ok()).unwrap_or_default()
}
