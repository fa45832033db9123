//! Spans of a call and of its steps. They have a `tracing` target of their own, that the log does not show: without
//! somebody to send them to they are disabled, and cost a look at a flag. Their attributes are ids and names that the host
//! knows; never an argument, a reason, a statement or a value.

use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{CallEnd, Step, TraceParent};
use crate::error::Code;

/// The target of every span; what exports them asks for it by this name.
pub(super) const TARGET: &str = "gate.step";

/// The span of a whole call, in its caller's trace if it said which.
pub(crate) fn call_span(run: &str, parent: Option<&TraceParent>) -> Span {
    let span = tracing::info_span!(
        target: TARGET, parent: None, "call", otel.kind = "server", otel.status_code = Empty,
        lockgate.run = run, lockgate.action = Empty, lockgate.target = Empty, lockgate.verdict = Empty,
        lockgate.code = Empty
    );
    if let (false, Some(parent)) = (span.is_disabled(), parent) {
        // Refused only once a span has begun.
        let _ = span.set_parent(parent.context());
    }
    span
}

/// Notes on the span of the call that this is called in what it turned out to be and, if it is over, how it ended.
pub(crate) fn note_call(end: &CallEnd<'_>, is_over: bool) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    for (field, name) in [("lockgate.action", end.action), ("lockgate.target", end.target)] {
        if let Some(name) = name {
            span.record(field, name);
        }
    }
    if let Some(verdict) = end.verdict {
        span.record("lockgate.verdict", verdict.as_str());
    }
    if is_over {
        span.record("lockgate.code", end.code.map_or("ok", Code::as_str));
        let is_error = end.code.is_some_and(|code| code != Code::PendingApproval);
        span.record("otel.status_code", if is_error { "ERROR" } else { "OK" });
    }
}

/// The span of what goes on of a call after the call itself was answered: in its trace, and with an end of its own.
pub(crate) fn apart(approval: &str) -> Span {
    let span = tracing::info_span!(target: TARGET, parent: None, "held", lockgate.approval = approval);
    if !span.is_disabled() {
        let _ = span.set_parent(Span::current().context());
    }
    span
}

impl Step {
    /// The span of a step of the call that this is called in.
    pub(super) fn span(self) -> Span {
        match self {
            Self::Resolve => tracing::info_span!(target: TARGET, "resolve"),
            Self::Validate => tracing::info_span!(target: TARGET, "validate"),
            Self::Decide => tracing::info_span!(target: TARGET, "decide"),
            Self::Record => tracing::info_span!(target: TARGET, "record"),
            Self::Preview => tracing::info_span!(target: TARGET, "preview"),
            Self::Hold => tracing::info_span!(target: TARGET, "hold"),
            Self::Execute => tracing::info_span!(target: TARGET, "execute"),
        }
    }
}
