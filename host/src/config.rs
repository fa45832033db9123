//! `lockgate.toml`: what an operator configures. Read once at start, refused as a whole for a typo; paths in it are
//! relative to the file. Secrets are named by file, never written in it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use lockgate_signing::glob::Pattern;
use serde::Deserialize;

use crate::{
    approval::PeopleAt,
    error::{Code, Refusal},
    mcp::{McpSettings, face::Face, oauth::OAuthConfig, tool::Separator},
    notify::NotifyConfig,
    observe::{LogConfig, ObserveConfig},
    portal::{PortalConfig, Site},
    postgres::TargetSettings,
    toml_error::toml_error,
};

/// Largest configuration that is read.
const MAX_CONFIG: u64 = 1 << 20;

/// The configuration can't be used; says where and why.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
    /// What to do, where it is something other than correcting the file.
    remedy: Option<&'static str>,
}

impl ConfigError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: None }
    }
}

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Self {
        let refusal = Self::new(Code::ConfigInvalid, error.message);
        match error.remedy {
            Some(remedy) => refusal.with_remedy(remedy),
            None => refusal,
        }
    }
}

/// `lockgate.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Format of this file: 1.
    version: u32,
    /// Where state lives: store, record, keys, cache. Only lockgate's user may enter it.
    pub state_dir: PathBuf,
    /// Where compiled packs are kept; `STATE_DIR/cache` without it. What is there can be made again.
    pub cache_dir: Option<PathBuf>,
    /// Components (`*.wasm` with their envelopes beside them), or directories of them.
    pub packs: Vec<PathBuf>,
    /// The trust policy.
    pub trust: PathBuf,
    /// The policy; defaults by risk without one.
    pub policy: Option<PathBuf>,
    /// The record.
    #[serde(default)]
    pub record: RecordConfig,
    /// Approvals.
    #[serde(default)]
    pub approvals: ApprovalConfig,
    /// The agents' door.
    #[serde(default)]
    pub mcp: McpConfig,
    /// People's door; without it there is none.
    pub portal: Option<PortalConfig>,
    /// What is redacted beside the built-in patterns.
    #[serde(default)]
    pub redaction: RedactionConfig,
    /// What one call may cost.
    #[serde(default)]
    pub limits: LimitConfig,
    /// Where it is watched; nowhere without it.
    pub observe: Option<ObserveConfig>,
    /// Its log.
    #[serde(default)]
    pub log: LogConfig,
    /// Whom to tell of requests.
    #[serde(default)]
    pub notify: Vec<NotifyConfig>,
    /// The servers. Without any, the libpq environment (`PGHOST` …) names one.
    #[serde(default, rename = "target")]
    pub targets: Vec<TargetSettings>,
}

/// `[record]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordConfig {
    /// Where the record is written; `STATE_DIR/record` without it.
    pub dir: Option<PathBuf>,
    /// MiB after which a segment is closed.
    pub segment_mib: u64,
    /// Lines after which a checkpoint is cut.
    pub checkpoint_lines: u64,
    /// Seconds after which a checkpoint is cut if there are new lines.
    pub checkpoint_seconds: u64,
    /// Names this record in its checkpoints.
    pub origin: String,
    /// A file, best on another machine, that every checkpoint is appended to.
    pub export: Option<PathBuf>,
}

impl Default for RecordConfig {
    fn default() -> Self {
        Self {
            dir: None,
            segment_mib: 64,
            checkpoint_lines: 1000,
            checkpoint_seconds: 60,
            origin: "lockgate".into(),
            export: None,
        }
    }
}

/// `[approvals]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalConfig {
    /// Seconds to decide in.
    pub decide_seconds: u64,
    /// Seconds from the decision to the execution.
    pub execute_seconds: u64,
    /// Where people decide: what a waiting agent and its client are told to open.
    pub url: Option<PeopleAt>,
}

impl Default for ApprovalConfig {
    fn default() -> Self {
        Self { decide_seconds: 3600, execute_seconds: 900, url: None }
    }
}

/// `[mcp]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct McpConfig {
    /// Seconds that a held call waits before it answers *pending*; below the 60 seconds after which clients give up.
    pub hold_seconds: u64,
    /// Hours for which the answer to a call with an `operation_id` can be asked for again.
    pub keep_operations_hours: u64,
    /// What stands between pack and action in a tool's name, for clients that refuse dots.
    pub tool_name_separator: Separator,
    /// One tool for each action (`actions`), five for all (`catalogue`), or by their number (`auto`).
    pub face: Face,
    /// Who calls over stdio.
    pub stdio: Option<StdioAgent>,
    /// Streamable HTTP.
    pub http: HttpConfig,
    /// What one agent may ask for, through both doors.
    pub limits: AgentLimits,
    /// Who may call over HTTP.
    #[serde(rename = "agent")]
    pub agents: Vec<HttpAgent>,
}

impl Default for McpConfig {
    fn default() -> Self {
        Self {
            hold_seconds: 50,
            keep_operations_hours: 24,
            tool_name_separator: Separator::default(),
            face: Face::default(),
            stdio: None,
            http: HttpConfig::default(),
            limits: AgentLimits::default(),
            agents: Vec::new(),
        }
    }
}

/// `[mcp.stdio]`: who an agent that starts `lockgate mcp` is. Without it: the operating system's user, as agent and person.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StdioAgent {
    /// The agent's name.
    pub agent: String,
    /// The person it acts for, who may therefore not approve what it asks.
    pub person: String,
    /// For policy.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Patterns of packs that exist for it; all without.
    pub packs: Option<Vec<String>>,
    /// Patterns of targets that exist for it; all without.
    pub targets: Option<Vec<String>>,
}

/// `[mcp.http]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port.
    pub listen: String,
    /// Values of `Host` that are answered, beside loopback ones.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin` that are answered; none is needed for clients that are no browsers.
    pub allowed_origins: Vec<String>,
    /// KiB of a request's body.
    pub max_body_kib: u64,
    /// An issuer whose tokens are taken.
    pub oauth: Option<OAuthConfig>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7432".into(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            max_body_kib: 256,
            oauth: None,
        }
    }
}

/// `[mcp.limits]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentLimits {
    /// Calls in a minute, evenly spread.
    pub calls_per_minute: u32,
    /// Calls in a row after a pause.
    pub burst: u32,
    /// Calls at once, waiting ones too.
    pub calls_at_once: usize,
}

impl Default for AgentLimits {
    fn default() -> Self {
        let McpSettings { calls_per_minute, burst, calls_per_agent: calls_at_once, .. } = McpSettings::default();
        Self { calls_per_minute, burst, calls_at_once }
    }
}

/// `[[mcp.agent]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpAgent {
    /// The agent's name.
    pub name: String,
    /// The person it acts for.
    pub person: Option<String>,
    /// For policy.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Patterns of packs that exist for it; all without.
    pub packs: Option<Vec<String>>,
    /// Patterns of targets that exist for it; all without.
    pub targets: Option<Vec<String>>,
    /// Hex SHA-256 of its token, from `lockgate token new`.
    pub token_sha256: String,
}

/// `[redaction]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedactionConfig {
    /// Regular expressions; what they match becomes `[redacted]`.
    pub patterns: Vec<String>,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitConfig {
    /// Seconds that one call may take, waiting for a decision not counted. Maintenance has the statement's own timeout.
    pub call_seconds: u64,
    /// KiB of results that one call may let out.
    pub output_kib: usize,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self { call_seconds: 60, output_kib: 1024 }
    }
}

impl Config {
    /// Reads a configuration file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let place = path.display().to_string();
        let bytes = lockgate_signing::file::read_once(path, MAX_CONFIG).map_err(|e| ConfigError {
            message: format!("the configuration {e}"),
            remedy: Some("give the path of a configuration with `--config` or in `LOCKGATE_CONFIG`"),
        })?;
        let text = String::from_utf8(bytes).map_err(|_| ConfigError::new(format!("{place} is not UTF-8")))?;
        let base = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Self::parse(&text, &place, &base)
    }

    /// Parses the text of a configuration; relative paths are taken from `base`.
    pub fn parse(text: &str, place: &str, base: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|e| ConfigError::new(toml_error(place, text, &e)))?;
        if config.version != 1 {
            return Err(ConfigError::new(format!("{place}: `version` must be 1")));
        }
        config.check(place)?;
        for path in [Some(&mut config.state_dir), Some(&mut config.trust), config.policy.as_mut()]
            .into_iter()
            .chain([config.cache_dir.as_mut()])
            .chain([config.record.dir.as_mut(), config.record.export.as_mut()])
            .flatten()
            .chain(config.packs.iter_mut())
        {
            *path = base.join(&*path);
        }
        if let Some(oauth) = &mut config.mcp.http.oauth {
            oauth.relative_to(base);
        }
        for channel in &mut config.notify {
            channel.relative_to(base);
        }
        if let Some(oidc) = config.portal.as_mut().and_then(|portal| portal.oidc.as_mut()) {
            oidc.client_secret_file = oidc.client_secret_file.take().map(|file| base.join(file));
        }
        config.targets = config.targets.into_iter().map(|target| target.relative_to(base)).collect();
        Ok(config)
    }

    fn check(&self, place: &str) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError::new(format!("{place}: {text}")));
        let mut names: Vec<&str> = self.targets.iter().map(|t| t.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|w| w.first() == w.last()).and_then(|w| w.first()) {
            return refuse(format!("target `{twice}` is configured twice"));
        }
        for (at, channel) in self.notify.iter().enumerate() {
            channel.check().or_else(&refuse)?;
            if self.notify.iter().take(at).any(|other| other.name == channel.name) {
                return refuse(format!("[[notify]] `{}` is configured twice", channel.name));
            }
        }
        self.observe.as_ref().map_or(Ok(()), ObserveConfig::check).or_else(&refuse)?;
        let within = |what: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) { Ok(()) } else { refuse(format!("{what} must be from {low} to {high}")) }
        };
        within("[approvals] decide_seconds", self.approvals.decide_seconds, 1, 7 * 86_400)?;
        within("[approvals] execute_seconds", self.approvals.execute_seconds, 1, 86_400)?;
        within("[mcp] hold_seconds", self.mcp.hold_seconds, 0, 3600)?;
        within("[mcp] keep_operations_hours", self.mcp.keep_operations_hours, 1, 720)?;
        within("[mcp.http] max_body_kib", self.mcp.http.max_body_kib, 1, 16_384)?;
        within("[mcp.limits] calls_per_minute", self.mcp.limits.calls_per_minute.into(), 1, 1_000_000)?;
        within("[mcp.limits] burst", self.mcp.limits.burst.into(), 1, 1_000_000)?;
        within("[mcp.limits] calls_at_once", self.mcp.limits.calls_at_once as u64, 1, 10_000)?;
        within("[record] segment_mib", self.record.segment_mib, 1, 4096)?;
        within("[record] checkpoint_lines", self.record.checkpoint_lines, 1, 1_000_000)?;
        within("[record] checkpoint_seconds", self.record.checkpoint_seconds, 1, 86_400)?;
        within("[limits] call_seconds", self.limits.call_seconds, 1, 86_400)?;
        within("[limits] output_kib", self.limits.output_kib as u64, 1, 65_536)?;
        let stdio = self.mcp.stdio.iter().map(|a| ("[mcp.stdio]", &a.packs, &a.targets));
        let agents = self.mcp.agents.iter().map(|a| ("[[mcp.agent]]", &a.packs, &a.targets));
        for (section, packs, targets) in stdio.chain(agents) {
            for (key, patterns) in [("packs", packs), ("targets", targets)] {
                scope(patterns.as_deref()).or_else(|e| refuse(format!("{section} {key}: {e}")))?;
            }
        }
        if let Some(oauth) = &self.mcp.http.oauth {
            let checked = oauth.checked().map_err(|e| ConfigError::new(format!("{place}: [mcp.http.oauth] {e}")))?;
            // An agent of the configuration must not pass for one of the issuer's.
            let named = self.mcp.agents.iter().map(|a| &a.name).chain(self.mcp.stdio.iter().map(|a| &a.agent));
            if let Some(name) = named.into_iter().find(|name| name.ends_with(&format!("@{}", checked.label))) {
                return refuse(format!("agent `{name}`: names that end so are the OAuth issuer's; choose another"));
            }
        }
        if let Some(portal) = &self.portal {
            portal.check().or_else(|e| refuse(format!("[portal] {e}")))?;
            if let Some(url) = &self.approvals.url {
                Site::new(url).map_err(|e| ConfigError::new(format!("{place}: [approvals] url: {e}")))?;
            }
        }
        for agent in &self.mcp.agents {
            if agent.token_sha256.len() != 64 || !agent.token_sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                return refuse(format!(
                    "agent `{}`: token_sha256 is not 64 hex digits; `lockgate token new` prints it",
                    agent.name
                ));
            }
        }
        Ok(())
    }

    /// Where compiled packs are kept.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| self.state_dir.join("cache"))
    }

    /// Where the record is written.
    #[must_use]
    pub fn record_dir(&self) -> PathBuf {
        self.record.dir.clone().unwrap_or_else(|| self.state_dir.join("record"))
    }

    /// How long one call may take.
    #[must_use]
    pub fn call_time(&self) -> Duration {
        Duration::from_secs(self.limits.call_seconds)
    }
}

/// Checks the patterns of a scope. None at all would open nothing, which nobody means to write down.
pub(crate) fn scope(patterns: Option<&[String]>) -> Result<(), String> {
    match patterns {
        Some([]) => Err("names nothing; leave it out for all, or remove the agent".to_owned()),
        patterns => patterns.into_iter().flatten().try_for_each(|text| match text.parse::<Pattern>() {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LEAST: &str = "version = 1\nstate_dir = \"state\"\npacks = [\"packs\"]\ntrust = \"trust.toml\"\n";

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = Config::parse(LEAST, "lockgate.toml", Path::new("/etc/lockgate")).unwrap();
        assert_eq!(config.trust, Path::new("/etc/lockgate/trust.toml"));
        assert_eq!(config.record_dir(), Path::new("/etc/lockgate/state/record"));
    }

    #[test]
    fn a_typo_names_file_line_and_nearest_key() {
        let text = format!("{LEAST}[mcp]\nhold_second = 5\n");
        let error = Config::parse(&text, "lockgate.toml", Path::new("")).unwrap_err().to_string();
        assert!(error.starts_with("lockgate.toml:6:1: unknown field `hold_second`"), "{error}");
        assert!(error.ends_with("did you mean `hold_seconds`"), "{error}");
    }

    #[test]
    fn a_scope_that_opens_nothing_or_is_no_pattern_is_refused() {
        let parse = |line: &str| {
            let text = format!("{LEAST}[mcp.stdio]\nagent = \"a\"\nperson = \"p\"\n{line}\n");
            Config::parse(&text, "lockgate.toml", Path::new("")).map_err(|e| e.to_string())
        };
        assert!(parse("packs = [\"diag*\"]\ntargets = [\"shop-1\"]").is_ok());
        assert!(parse("packs = []").unwrap_err().contains("[mcp.stdio] packs: names nothing"));
        assert!(parse("targets = [\"shop 1\"]").unwrap_err().contains("`shop 1` is not a pattern"));
    }

    #[test]
    fn a_number_out_of_range_is_refused() {
        let text = format!("{LEAST}[approvals]\ndecide_seconds = 0\n");
        assert!(Config::parse(&text, "lockgate.toml", Path::new("")).is_err());
    }
}
