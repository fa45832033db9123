//! Where spans go: to one receiver of OTLP over HTTP, in batches, by a thread of its own that no call waits for. When it can't
//! be reached spans are lost, and the log says so once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter},
};
use tokio::runtime::Handle;

use super::settings::TracesConfig;
use crate::outbound;

/// For one batch.
const TIME: Duration = Duration::from_secs(10);

/// Spans can't be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[observe.traces] {0}")]
pub struct TracesError(String);

/// What sends spans.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Prepares it; connects to nothing. To be called in a tokio runtime, which does the sending.
    ///
    /// # Errors
    /// When the settings can't be used.
    pub fn open(config: &TracesConfig) -> Result<Self, TracesError> {
        let url = outbound::secure(&config.endpoint).map_err(|why| TracesError(format!("endpoint: {why}")))?;
        let client = outbound::client(outbound::is_near(&url), TIME).map_err(TracesError)?;
        let otlp = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(url.as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIME)
            .build()
            .map_err(|error| TracesError(error.to_string()))?;
        let exporter =
            OnRuntime { otlp: Arc::new(otlp), runtime: Handle::current(), is_failing: AtomicBool::new(false) };
        let own = if config.sample >= 1.0 { Sampler::AlwaysOn } else { Sampler::TraceIdRatioBased(config.sample) };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(own)))
            .with_resource(Resource::builder().with_service_name("lockgate").build())
            .build();
        Ok(Self(provider))
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.0.tracer("lockgate")
    }

    /// Sends what is left. Blocks, and needs the runtime that it was opened in.
    pub fn close(self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans may not have been sent");
        }
    }
}

/// The batches' thread is none of the runtime's, and the client needs one.
#[derive(Debug)]
struct OnRuntime {
    otlp: Arc<opentelemetry_otlp::SpanExporter>,
    runtime: Handle,
    is_failing: AtomicBool,
}

impl SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let otlp = Arc::clone(&self.otlp);
        let sent = self.runtime.spawn(async move { otlp.export(batch).await }).await;
        let sent = sent.unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())));
        let was_failing = self.is_failing.swap(sent.is_err(), Ordering::Relaxed);
        match (&sent, was_failing) {
            (Err(error), false) => tracing::warn!(%error, "spans can't be sent, and are lost until they can"),
            (Ok(()), true) => tracing::info!("spans are sent again"),
            _ => {}
        }
        sent
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(otlp) = Arc::get_mut(&mut self.otlp) {
            otlp.set_resource(resource);
        }
    }
}
