//! Observing a host: numbers of what it does ([`Metrics`]), the steps of a call as OpenTelemetry spans, and its log. Nothing
//! here decides anything, and nothing that an agent, a pack or a database wrote is a label or an attribute: those are ids of
//! our own and names of the configuration, of loaded packs, and of closed lists. Knows no gate and no door: those count and
//! time by what is here.

mod export;
mod logs;
mod metrics;
mod parent;
mod settings;
mod span;

pub(crate) use self::span::{apart, call_span, note_call};
pub use self::{
    export::{Traces, TracesError},
    logs::start_log,
    metrics::{CallEnd, Metrics, Step},
    parent::TraceParent,
    settings::{LogConfig, LogFormat, ObserveConfig, TracesConfig},
};
