//! What is looked up when somebody asks for it: how many requests wait, how the targets, the record, the store and the outbox
//! are. It is asked for by a scraper every few seconds, so each is a look into memory or one small query.

use std::{fmt, sync::Arc, time::Instant};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{Observed, process::Process};
use crate::{
    audit::{Health, Progress},
    error::Refusal,
    postgres::{self, Connections, Target},
    store::{Filter, State, Store, StoreError, outbox::ChannelState},
};

type Number = Gauge<f64, std::sync::atomic::AtomicU64>;

/// One label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabel {
    target: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    target: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabel {
    event: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabels {
    channel: String,
    state: &'static str,
}

/// What the store said.
struct Stored {
    open: Vec<(State, u64)>,
    events: Vec<(String, u64)>,
    channels: Vec<ChannelState>,
    seconds: f64,
}

impl Stored {
    fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let (began, now) = (Instant::now(), Timestamp::now());
        let count = |state| {
            let found = store.list(&Filter { states: vec![state], ..Filter::default() })?;
            let open = found.iter().filter(|approval| approval.state_at(now) == state).count();
            Ok::<_, StoreError>((state, open as u64))
        };
        let open = [State::Pending, State::Approved, State::Consumed].map(count);
        Ok(Self {
            open: open.into_iter().collect::<Result<_, _>>()?,
            events: store.event_counts()?,
            channels: store.channel_states(now)?,
            seconds: began.elapsed().as_secs_f64(),
        })
    }
}

/// All metrics as OpenMetrics text.
pub(super) async fn scrape(observed: &Observed) -> Result<String, fmt::Error> {
    let store = Arc::clone(observed.gate.store());
    let stored = tokio::task::spawn_blocking(move || Stored::read(&*store)).await;
    let mut registry = Registry::default();
    approvals(&mut registry, observed, stored.ok().and_then(Result::ok));
    targets(&mut registry, observed.gate.targets().values());
    record(&mut registry, &observed.gate.journal().health(), observed.gate.journal().progress());
    doors(&mut registry, observed).await;
    process(&mut registry, Process::now());
    let mut out = String::new();
    observed.gate.metrics().encode(&mut out)?;
    text::encode_registry(&mut out, &registry)?;
    text::encode_eof(&mut out)?;
    Ok(out)
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Number::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

fn approvals(registry: &mut Registry, observed: &Observed, stored: Option<Stored>) {
    let held = observed.gate.held_here();
    gauge(registry, "lockgate_held_calls", "Held calls that this process waits for and will run", held as f64);
    gauge(registry, "lockgate_store_up", "Whether the store could be read just now", flag(stored.is_some()));
    let Some(stored) = stored else { return };
    gauge(registry, "lockgate_store_scrape_seconds", "How long the store took to answer this scrape", stored.seconds);
    let open = Family::<StateLabel, Number>::default();
    for (state, count) in stored.open {
        open.get_or_create(&StateLabel { state: state.as_str() }).set(count as f64);
    }
    registry.register(
        "lockgate_approvals",
        "Requests that are open, by state, of all hosts that share the store",
        open,
    );
    let events = Family::<EventLabel, Counter>::default();
    for (event, count) in stored.events {
        events.get_or_create(&EventLabel { event }).inc_by(count);
    }
    let help = "What became of requests since the store was made, of all hosts that share it";
    registry.register("lockgate_approval_events", help, events);
    let messages = Family::<ChannelLabels, Number>::default();
    let oldest = Family::<ChannelLabels, Number>::default();
    let now = Timestamp::now();
    // Of channels that are not configured any more, nobody wants to hear.
    for state in stored.channels.into_iter().filter(|state| observed.channels.contains(&state.channel)) {
        let waiting = state.oldest.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
        for (word, count) in [("queued", state.queued), ("failing", state.failing), ("given_up", state.given_up)] {
            let labels = ChannelLabels { channel: state.channel.clone(), state: word };
            messages.get_or_create(&labels).set(count as f64);
        }
        oldest.get_or_create(&ChannelLabels { channel: state.channel, state: "queued" }).set(waiting);
    }
    let help = "Messages to people: queued, of these tried in vain, and given up in the last day";
    registry.register("lockgate_notify_messages", help, messages);
    registry.register_with_unit(
        "lockgate_notify_oldest",
        "Age of the oldest message that waits",
        Unit::Seconds,
        oldest,
    );
}

fn targets<'a>(registry: &mut Registry, targets: impl Iterator<Item = &'a Target>) {
    let up = Family::<TargetLabel, Number>::default();
    let connections = Family::<ConnectionLabels, Number>::default();
    for target in targets {
        let name = target.name().to_owned();
        let health = target.condition().health;
        if health != postgres::Health::Unknown {
            let label = TargetLabel { target: name.clone() };
            up.get_or_create(&label).set(flag(health == postgres::Health::Reachable));
        }
        let Connections { in_use, idle, maintaining, most } = target.connections();
        for (state, count) in [("in_use", in_use), ("idle", idle), ("maintaining", maintaining), ("limit", most)] {
            connections.get_or_create(&ConnectionLabels { target: name.clone(), state }).set(count as f64);
        }
    }
    registry.register("lockgate_target_up", "Whether the target answered when it was last asked", up);
    let help = "Connections of this process by use, and how many calls may have at once";
    registry.register("lockgate_target_connections", help, connections);
}

fn record(registry: &mut Registry, health: &Health, progress: Progress) {
    let latched = matches!(health, Health::Latched { .. });
    let degraded = matches!(health, Health::Degraded { .. });
    let lines = Counter::<u64>::default();
    lines.inc_by(progress.lines);
    registry.register("lockgate_record_lines", "Lines of the record, as of this process's last one", lines);
    let help = "Lines that no checkpoint covers yet";
    gauge(registry, "lockgate_record_uncovered_lines", help, progress.lines.saturating_sub(progress.covered) as f64);
    if let Some(at) = progress.checkpoint_at {
        let help = "When this process last cut a checkpoint or found all lines covered, seconds since 1970";
        let seconds = at.as_millisecond() as f64 / 1000.0;
        gauge(registry, "lockgate_record_checkpoint_timestamp_seconds", help, seconds);
    }
    gauge(
        registry,
        "lockgate_record_latched",
        "Whether the record can't be written, so that nothing runs",
        flag(latched),
    );
    let help = "Whether a checkpoint could not be written or exported";
    gauge(registry, "lockgate_record_degraded", help, flag(degraded));
}

async fn doors(registry: &mut Registry, observed: &Observed) {
    if let Some(sessions) = &observed.sessions {
        gauge(registry, "lockgate_mcp_sessions", "Open MCP sessions over HTTP", sessions.count().await as f64);
    }
    let calls = observed.calls.count();
    gauge(registry, "lockgate_mcp_calls_under_way", "Calls of agents that are being answered", calls as f64);
    let packs = observed.gate.rules().catalog.packs().count();
    gauge(registry, "lockgate_packs", "Packs that are in", packs as f64);
}

fn process(registry: &mut Registry, process: Process) {
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    let values = [
        ("process_resident_memory_bytes", "Bytes of this process in memory", bytes(process.resident)),
        ("process_virtual_memory_bytes", "Bytes of its address space", bytes(process.virtual_size)),
        ("process_start_time_seconds", "When it began, seconds since 1970", process.started),
        ("process_open_fds", "Its open file descriptors", bytes(process.open_fds)),
        ("process_threads", "Its threads", bytes(process.threads)),
    ];
    for (name, help, value) in values {
        if let Some(value) = value {
            gauge(registry, name, help, value);
        }
    }
    if let Some(seconds) = process.cpu {
        let cpu = Counter::<f64, std::sync::atomic::AtomicU64>::default();
        cpu.inc_by(seconds);
        registry.register("process_cpu_seconds", "Its processor time", cpu);
    }
}

/// Whether the store takes writes: asked by writing.
pub(super) fn store_takes_writes(store: &dyn Store) -> Result<(), Refusal> {
    Ok(store.set_meta("observe.ready", &Timestamp::now().to_string())?)
}
