//! `[observe]` and `[log]`: what is shown of a host, and where.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::outbound;

/// `[observe]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObserveConfig {
    /// Where `/metrics`, `/healthz` and `/readyz` are served. Whoever reaches it may read it.
    pub listen: SocketAddr,
    /// Where spans go; nowhere without it.
    pub traces: Option<TracesConfig>,
}

impl Default for ObserveConfig {
    fn default() -> Self {
        // What Prometheus's registry of exporters has for OpenTelemetry's.
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)), traces: None }
    }
}

/// `[observe.traces]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// A receiver of OTLP over HTTP: `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: String,
    /// Which part of the calls is traced that come without a trace of their own.
    #[serde(default = "all")]
    pub sample: f64,
}

fn all() -> f64 {
    1.0
}

impl ObserveConfig {
    /// Checks what can be wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(traces) = &self.traces else { return Ok(()) };
        outbound::secure(&traces.endpoint).map_err(|why| format!("[observe.traces] endpoint: {why}"))?;
        if !(0.0..=1.0).contains(&traces.sample) {
            return Err("[observe.traces] sample must be from 0 to 1".into());
        }
        Ok(())
    }
}

/// `[log]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// How a serving host writes its log to standard error.
    pub format: LogFormat,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
