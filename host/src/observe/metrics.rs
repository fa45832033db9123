//! What is counted and timed as it happens. The labels are closed: names of loaded actions and configured targets (others are
//! `unknown`), verdicts, codes, steps, channels.

use std::{
    fmt,
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};
use tracing::Instrument as _;

use crate::{error::Code, policy::Verdict};

/// A step of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Finding action and target.
    Resolve,
    /// Checking arguments, the component's look at them included.
    Validate,
    /// Asking policy.
    Decide,
    /// Putting an intent or an outcome on the record, durably.
    Record,
    /// Finding out what would be hit.
    Preview,
    /// Waiting for people.
    Hold,
    /// Running it.
    Execute,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 7] =
        [Self::Resolve, Self::Validate, Self::Decide, Self::Record, Self::Preview, Self::Hold, Self::Execute];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Validate => "validate",
            Self::Decide => "decide",
            Self::Record => "record",
            Self::Preview => "preview",
            Self::Hold => "hold",
            Self::Execute => "execute",
        }
    }
}

/// From a decision by policy, which takes microseconds, to a person's, which takes up to hours. Seconds.
const STEPS: [f64; 16] =
    [1e-5, 1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0];
/// A write to the store is a sync of a disk. Seconds.
const STORE: [f64; 10] = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.05, 0.25, 1.0];
/// The label of what does not exist: whatever an agent calls it.
const UNKNOWN: &str = "unknown";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    action: String,
    target: String,
    verdict: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExecutionLabels {
    action: String,
    target: String,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    step: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NotifyLabels {
    channel: String,
    result: &'static str,
}

/// How a call went, for the count.
#[derive(Clone, Copy, Debug)]
pub struct CallEnd<'a> {
    /// `pack.action`, if there is one.
    pub action: Option<&'a str>,
    /// The target, if there is one.
    pub target: Option<&'a str>,
    /// What policy said, if it was asked.
    pub verdict: Option<Verdict>,
    /// Why it was refused; [`Code::PendingApproval`] if it waits; none if it was carried out.
    pub code: Option<Code>,
}

/// What is counted and timed.
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    executions: Family<ExecutionLabels, Counter>,
    /// In the order of [`Step::ALL`].
    steps: [Histogram; 7],
    store: Histogram,
    notify: Family<NotifyLabels, Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("lockgate");
        let calls = Family::<CallLabels, Counter>::default();
        registry.register("calls", "Calls of agents, by how the gate answered them", calls.clone());
        let executions = Family::<ExecutionLabels, Counter>::default();
        registry.register("executions", "Actions that were run, by how that ended", executions.clone());
        let steps: Family<StepLabel, Histogram> = Family::new_with_constructor(|| Histogram::new(STEPS));
        let each = Step::ALL.map(|step| steps.get_or_create_owned(&StepLabel { step: step.as_str() }));
        registry.register_with_unit("step_duration", "Time of a call's steps", Unit::Seconds, steps);
        let store = Histogram::new(STORE);
        registry.register_with_unit(
            "store_duration",
            "Time of the gate's uses of the store",
            Unit::Seconds,
            store.clone(),
        );
        let notify = Family::<NotifyLabels, Counter>::default();
        registry.register("notify_attempts", "Attempts to tell people, by how they ended", notify.clone());
        registry.register("build", "This lockgate", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Self { registry, calls, executions, steps: each, store, notify }
    }
}

impl Metrics {
    /// Counts a call.
    pub fn called(&self, end: CallEnd<'_>) {
        let name = |name: Option<&str>| name.unwrap_or(UNKNOWN).to_owned();
        let labels = CallLabels {
            action: name(end.action),
            target: name(end.target),
            verdict: end.verdict.map_or("none", Verdict::as_str),
            code: end.code.map_or("ok", Code::as_str),
        };
        self.calls.get_or_create(&labels).inc();
    }

    /// Counts an execution.
    pub fn executed(&self, action: &str, target: &str, code: Option<Code>) {
        let code = code.map_or("ok", Code::as_str);
        let labels = ExecutionLabels { action: action.to_owned(), target: target.to_owned(), code };
        self.executions.get_or_create(&labels).inc();
    }

    /// Counts an attempt to tell people.
    pub fn notified(&self, channel: &str, result: &'static str) {
        self.notify.get_or_create(&NotifyLabels { channel: channel.to_owned(), result }).inc();
    }

    /// Times a use of the store.
    pub fn store_used(&self, time: Duration) {
        self.store.observe(time.as_secs_f64());
    }

    /// Times a step, and has it be a span. A step that is dropped half-way counts, too.
    pub async fn step<T>(&self, step: Step, work: impl Future<Output = T>) -> T {
        let _timing = self.timing(step);
        work.instrument(step.span()).await
    }

    /// The same for a step that waits for nothing.
    pub fn step_now<T>(&self, step: Step, work: impl FnOnce() -> T) -> T {
        let _timing = self.timing(step);
        step.span().in_scope(work)
    }

    fn timing(&self, step: Step) -> Timing<'_> {
        let [resolve, validate, decide, record, preview, hold, execute] = &self.steps;
        let histogram = match step {
            Step::Resolve => resolve,
            Step::Validate => validate,
            Step::Decide => decide,
            Step::Record => record,
            Step::Preview => preview,
            Step::Hold => hold,
            Step::Execute => execute,
        };
        Timing { histogram, began: Instant::now() }
    }

    /// Everything that was counted, as text, without an end.
    pub(crate) fn encode(&self, out: &mut String) -> fmt::Result {
        text::encode_registry(out, &self.registry)
    }
}

struct Timing<'a> {
    histogram: &'a Histogram,
    began: Instant,
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        self.histogram.observe(self.began.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(metrics: &Metrics) -> String {
        let mut out = String::new();
        metrics.encode(&mut out).unwrap();
        out
    }

    #[tokio::test]
    async fn a_step_counts_once_however_it_ends() {
        let metrics = Metrics::default();
        metrics.step(Step::Execute, async {}).await;
        let never = metrics.step(Step::Execute, std::future::pending::<()>());
        assert!(tokio::time::timeout(Duration::from_millis(1), never).await.is_err());
        metrics.step_now(Step::Decide, || ());
        let text = text(&metrics);
        assert!(text.contains("lockgate_step_duration_seconds_count{step=\"execute\"} 2"), "{text}");
        assert!(text.contains("lockgate_step_duration_seconds_count{step=\"decide\"} 1"), "{text}");
        assert!(
            text.contains("lockgate_step_duration_seconds_count{step=\"hold\"} 0"),
            "a step without a call is there"
        );
    }

    #[test]
    fn what_does_not_exist_has_one_name() {
        let metrics = Metrics::default();
        for _ in 0..100 {
            metrics.called(CallEnd { action: None, target: None, verdict: None, code: Some(Code::UnknownAction) });
        }
        let text = text(&metrics);
        let line =
            "lockgate_calls_total{action=\"unknown\",target=\"unknown\",verdict=\"none\",code=\"unknown_action\"} 100";
        assert!(text.contains(line), "{text}");
    }
}
