//! Held calls towards clients: each is answered in the way that its client understands best, and whatever the client does
//! then, only people decide.
//!
//! A client of revision 2026-07-28 that has the tasks extension gets a task at once ([`tasks`]); one that can show a link is
//! asked to, and calls again ([`elicitation`], [`continuation`]). Everybody else waits for a while and then gets *pending*.

pub(super) mod continuation;
pub(super) mod elicitation;
pub(super) mod tasks;

use rmcp::{RoleServer, model::ProtocolVersion, service::RequestContext};

/// How a call is answered if it turns out to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// After waiting, with its result or *pending*.
    Wait,
    /// At once, with a task.
    Task,
    /// At once, with a link to show; when the client has called again, as [`Way::Wait`].
    Link,
}

impl Way {
    /// By what the client of a request declares. `continued`: it calls again after it was given a link.
    pub(super) fn of(context: &RequestContext<RoleServer>, continued: bool) -> Self {
        let client = context.client_capabilities().unwrap_or_default();
        if !is_modern(context) {
            // Tasks of this kind and results that ask for input are none of the older revisions'.
            Self::Wait
        } else if client.supports_tasks() {
            Self::Task
        } else if !continued && client.elicitation.is_some_and(|elicitation| elicitation.url.is_some()) {
            Self::Link
        } else {
            Self::Wait
        }
    }
}

/// Whether a request is of revision 2026-07-28 or later: without a handshake, without requests from here.
pub(super) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    is_at_least(context, &ProtocolVersion::V_2026_07_28)
}

fn is_at_least(context: &RequestContext<RoleServer>, version: &ProtocolVersion) -> bool {
    // Revisions are dates, so their texts compare as they do.
    context.protocol_version().is_some_and(|of_request| of_request.as_str() >= version.as_str())
}
