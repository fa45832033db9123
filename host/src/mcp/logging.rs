//! Log messages to clients: that a call is held, how it was decided, what the database server remarked, and that the record
//! could not be completed. Their data is structured and comes from answers, so it has been redacted as they have.
//!
//! Revisions with a handshake have `logging/setLevel` for the connection, and hear warnings until they say otherwise.
//! Revision 2026-07-28 has a level in each request's `_meta`; a request without one hears nothing.

#![allow(deprecated, reason = "logging is on its way out of MCP, and clients of today have it")]

use rmcp::{
    ErrorData, Peer, RoleServer,
    model::{LoggingLevel, LoggingMessageNotificationParam, SetLevelRequestMethod, SetLevelRequestParams},
    service::RequestContext,
};
use serde_json::{Value, json};

use super::{door::Gatekeeper, held, memory::Memory, server::Server};
use crate::{
    error::Code,
    gate::call::{Answer, Outcome, Pending, Refused},
};

/// A level of RFC 5424 as MCP has it, in the order of its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

impl Level {
    const INFO: Self = Self(1);
    const NOTICE: Self = Self(2);
    const WARNING: Self = Self(3);

    fn outward(self) -> LoggingLevel {
        match self.0 {
            0 => LoggingLevel::Debug,
            1 => LoggingLevel::Info,
            2 => LoggingLevel::Notice,
            3 => LoggingLevel::Warning,
            4 => LoggingLevel::Error,
            5 => LoggingLevel::Critical,
            6 => LoggingLevel::Alert,
            _ => LoggingLevel::Emergency,
        }
    }
}

impl Default for Level {
    /// Enough for what an operator must hear of, and quiet otherwise.
    fn default() -> Self {
        Self::WARNING
    }
}

impl From<LoggingLevel> for Level {
    fn from(level: LoggingLevel) -> Self {
        Self(match level {
            LoggingLevel::Debug => 0,
            LoggingLevel::Info => 1,
            LoggingLevel::Notice => 2,
            LoggingLevel::Warning => 3,
            LoggingLevel::Error => 4,
            LoggingLevel::Critical => 5,
            LoggingLevel::Alert => 6,
            LoggingLevel::Emergency => 7,
        })
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    level: Level,
    data: Value,
}

/// Whoever hears messages of one call.
#[derive(Clone, Debug)]
pub(super) struct Log {
    peer: Peer<RoleServer>,
    from: Option<Level>,
}

impl Log {
    /// What the client of a request wants to hear.
    pub(super) fn of(context: &RequestContext<RoleServer>, memory: &Memory) -> Self {
        let from =
            if held::is_modern(context) { context.meta.log_level().map(Level::from) } else { Some(memory.level()) };
        Self { peer: context.peer.clone(), from }
    }

    /// Whether a call that is held would be told of.
    pub(super) fn hears_of_held(&self) -> bool {
        self.from.is_some_and(|from| Level::NOTICE >= from)
    }

    /// Sends a message, if it is wanted.
    pub(super) async fn say(&self, message: Message) {
        if self.from.is_none_or(|from| message.level < from) {
            return;
        }
        let param = LoggingMessageNotificationParam::new(message.level.outward(), message.data).with_logger("lockgate");
        // A client that is gone is noticed by its call's cancellation.
        let _ = self.peer.notify_logging_message(param).await;
    }
}

impl<G: Gatekeeper> Server<G> {
    /// Answers `logging/setLevel`.
    pub(super) fn answer_set_level(
        &self,
        request: &SetLevelRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if held::is_modern(context) {
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        self.memory().set_level(request.level.into());
        Ok(())
    }
}

/// A call waits for a person.
pub(super) fn call_held(pending: &Pending) -> Message {
    let mut data = json!({
        "event": "call_held",
        "approval_id": pending.approval,
        "run_id": pending.run,
        "action": pending.action,
        "target": pending.target,
        "expires_at": pending.expires_at,
    });
    if let (Some(data), Some(link)) = (data.as_object_mut(), &pending.link) {
        data.insert("link".to_owned(), link.as_str().into());
    }
    Message { level: Level::NOTICE, data }
}

/// People have decided, or can't any more.
pub(super) fn call_decided(pending: &Pending, decision: &str) -> Message {
    let data = json!({
        "event": "call_decided",
        "approval_id": pending.approval,
        "run_id": pending.run,
        "action": pending.action,
        "target": pending.target,
        "decision": decision,
    });
    Message { level: Level::NOTICE, data }
}

/// How a held call was decided, as far as its answer tells; `None` while that is open.
pub(super) fn decision(answer: &Result<Answer, Refused>) -> Option<&'static str> {
    match answer {
        Ok(Answer::Done(_)) => Some("approved"),
        Ok(Answer::Pending(pending)) => pending.approved.then_some("approved"),
        Err(refused) => match refused.refusal.code {
            Code::ApprovalDenied => Some("denied"),
            Code::ApprovalExpired => Some("expired"),
            Code::ApprovalWithdrawn => Some("withdrawn"),
            _ => None,
        },
    }
}

/// What an answer gives to say.
pub(super) fn of_answer(answer: &Result<Answer, Refused>) -> Vec<Message> {
    let Ok(Answer::Done(outcome)) = answer else { return Vec::new() };
    let about = |event: &str, outcome: &Outcome, text: &str| {
        json!({
            "event": event,
            "run_id": outcome.run,
            "action": outcome.action,
            "target": outcome.target,
            "message": text,
        })
    };
    let mut messages: Vec<Message> = outcome
        .notices
        .iter()
        .map(|notice| Message { level: Level::INFO, data: about("server_notice", outcome, notice) })
        .collect();
    if outcome.record_degraded {
        let text = "it happened, and its end could not be put on the record";
        messages.push(Message { level: Level::WARNING, data: about("record_degraded", outcome, text) });
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_in_the_order_of_their_weight() {
        let all = [
            LoggingLevel::Debug,
            LoggingLevel::Info,
            LoggingLevel::Notice,
            LoggingLevel::Warning,
            LoggingLevel::Error,
            LoggingLevel::Critical,
            LoggingLevel::Alert,
            LoggingLevel::Emergency,
        ];
        assert!(all.map(Level::from).is_sorted());
        assert_eq!(all.map(|level| Level::from(level).outward()), all);
        assert_eq!(Level::default().outward(), LoggingLevel::Warning);
    }
}
