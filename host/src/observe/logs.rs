//! The log: what the program says about itself, on standard error, as text for people or as one JSON object a line. Spans of
//! calls are not part of it; they go where `[observe.traces]` says.

use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use super::{export::Traces, settings::LogFormat, span};

/// Starts the log and, where there is somebody to send them to, the spans. The second call in a process changes nothing.
pub fn start_log(format: LogFormat, has_colours: bool, traces: Option<&Traces>) {
    let filter = EnvFilter::try_from_env("LOCKGATE_LOG").unwrap_or_else(|_| EnvFilter::new("lockgate=info,warn"));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(has_colours).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    let spans = traces.map(|traces| {
        let layer =
            tracing_opentelemetry::layer().with_tracer(traces.tracer()).with_location(false).with_threads(false);
        // Nothing else becomes a span, and no line of the log an event of one: those may hold anything.
        layer.with_target(false).with_filter(filter_fn(|about| about.is_span() && about.target() == span::TARGET))
    });
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init();
}
