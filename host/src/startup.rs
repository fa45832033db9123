//! Startup: from a configuration to an open state (record, store, keys) and to a gate with its packs and targets. What is
//! opened here is on the record before the first call: the host, each pack that is in or out, and the policy.

mod admit;
mod keep;
mod keys;
mod policy_change;
mod reload;
mod stamps;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use lockgate_signing::trust::Trust;

pub use self::{
    admit::{RefusedPack, admission, components, highest_seen, installed, is_higher},
    keep::{Kept, keep},
    keys::{exact_arguments, record_key_path, record_public_key},
    reload::{Cause, Reloaded, Reloader},
};
use crate::{
    audit::{CheckpointSink, Entry, Record, RecordSettings},
    config::Config,
    error::{Code, Refusal},
    gate::{Gate, Parts, Rules, StillTrusted, Times, journal::Journal},
    observe::Metrics,
    pack::{admission::AdmissionError, catalog::TrustedPack},
    policy::Policy,
    postgres::{self, Target, TargetError, TargetSettings},
    redact::Redactor,
    runs::Runs,
    store::{SqliteStore, Store, instance::Instance},
    trust::note as note_trust,
};

/// What this process keeps durably, opened.
pub struct State {
    /// The record.
    pub record: Record,
    /// Approvals and pack versions.
    pub store: Arc<dyn Store>,
    /// This process among the others that share the state.
    pub instance: Instance,
    argument_key: [u8; 32],
}

impl State {
    /// Opens the state that a configuration names, making what is missing.
    ///
    /// # Errors
    /// When the directory, the record or the store can't be used.
    pub fn open(config: &Config) -> Result<Self, Refusal> {
        private_directory(&config.state_dir)?;
        let key = keys::record_key(&config.state_dir)?;
        let record = Record::open(RecordSettings {
            dir: config.record_dir(),
            max_segment_bytes: config.record.segment_mib << 20,
            checkpoint_every_lines: config.record.checkpoint_lines,
            checkpoint_every: Duration::from_secs(config.record.checkpoint_seconds),
            origin: config.record.origin.clone(),
            key: key.clone(),
            export: config.record.export.iter().cloned().map(CheckpointSink::File).collect(),
        })?;
        let store = SqliteStore::open(&config.state_dir.join("store.db"))?;
        let instance = Instance::register(&config.state_dir)?;
        Ok(Self { record, store: Arc::new(store), instance, argument_key: keys::argument_key(&key) })
    }

    /// Puts one line on the record and waits until it is durable.
    ///
    /// # Errors
    /// When it can't be.
    pub async fn note(&self, entry: Entry) -> Result<(), Refusal> {
        self.record.append(entry).await?;
        Ok(())
    }
}

/// A gate and the packs that did not get in.
pub struct Opened {
    /// The gate.
    pub gate: Arc<Gate>,
    /// Out, each with its reason.
    pub refused: Vec<RefusedPack>,
    /// What reads packs, trust and policy again.
    pub reloader: Reloader,
}

/// Builds the gate. A pack that is refused stays out and the others go in; without any there is nothing to serve.
///
/// # Errors
/// When policy, trust, targets or the record can't be used, or no pack gets in.
pub async fn open_gate(config: &Config, state: State) -> Result<Opened, Refusal> {
    let redactor = redactor(config)?;
    // Before anything is read: what changes from here on is a change.
    let stamps = stamps::Stamps::of(config);
    let policy = policy(config)?;
    let targets = targets(config)?;
    start(config, &state, &policy, &targets).await?;
    let trusted = trust(&config.trust)?;
    note_trust(&config.trust, &state.record, &*state.store, &trusted).await?;
    let admission = admission(config)?;
    let (catalog, refused) = admit::admit_all(config, &state, &admission, trusted).await?;
    if catalog.packs().next().is_none() {
        return Err(admit::nothing_admitted(config, &refused));
    }
    let gate = Gate::new(Parts {
        rules: Rules { catalog, policy },
        targets,
        journal: Journal::new(state.record.clone(), redactor.clone(), state.argument_key),
        store: Arc::clone(&state.store),
        runs: Runs::new(&config.record_dir(), &config.state_dir.join("index.db")),
        redactor,
        instance: state.instance,
        state_dir: config.state_dir.clone(),
        still_trusted: still_trusted(config.trust.clone()),
        times: Times {
            call: config.call_time(),
            decide: Duration::from_secs(config.approvals.decide_seconds),
            execute: Duration::from_secs(config.approvals.execute_seconds),
            keep: Duration::from_secs(config.mcp.keep_operations_hours * 3600),
        },
        output_bytes: config.limits.output_kib << 10,
        people_at: config.approvals.url.clone(),
        metrics: Arc::new(Metrics::default()),
    });
    // What a killed process was doing is called unknown now, not when somebody asks.
    gate.close_due().await?;
    gate.close_lost_operations().await?;
    let reloader = Reloader::new(config.clone(), Arc::clone(&gate), state.record, state.store, admission, stamps);
    Ok(Opened { gate, refused, reloader })
}

/// The redactor with the operator's patterns.
///
/// # Errors
/// When a pattern is no regular expression.
pub fn redactor(config: &Config) -> Result<Redactor, Refusal> {
    Redactor::with_values(&config.redaction.patterns, secrets(config))
        .map_err(|e| Refusal::new(Code::ConfigInvalid, format!("[redaction] patterns: {e}")))
}

/// Passwords that this process was given in its environment: no answer may hold one, wherever it came from.
fn secrets(config: &Config) -> Vec<String> {
    let named = config.targets.iter().flat_map(|target| {
        let maintenance = target.maintenance.as_ref().and_then(|m| m.password_env.as_deref());
        target.password_env.as_deref().into_iter().chain(maintenance)
    });
    named.chain(["PGPASSWORD"]).filter_map(|name| std::env::var(name).ok()).collect()
}

/// The operator's policy, or the defaults.
///
/// # Errors
/// When the file can't be used.
pub fn policy(config: &Config) -> Result<Policy, Refusal> {
    match &config.policy {
        None => Ok(Policy::default()),
        Some(path) => Policy::load_guarded(path).map_err(|e| Refusal::new(Code::ConfigInvalid, e.to_string())),
    }
}

/// The configured targets; without any, the one that the libpq environment names.
///
/// # Errors
/// When a target's settings can't be used.
pub fn targets(config: &Config) -> Result<BTreeMap<String, Target>, Refusal> {
    let unusable = |e: TargetError| Refusal::new(Code::ConfigInvalid, e.to_string());
    let settings = match config.targets.as_slice() {
        [] => vec![TargetSettings::from_environment(&postgres::process).map_err(unusable)?.ok_or_else(no_target)?],
        targets => targets.to_vec(),
    };
    settings
        .into_iter()
        .map(|settings| {
            let name = settings.name.clone();
            Ok((name, Target::new(settings).map_err(unusable)?))
        })
        .collect()
}

fn no_target() -> Refusal {
    Refusal::new(
        Code::ConfigInvalid,
        "there is no target: neither a [[target]] nor PGHOST and its kin in the environment",
    )
    .with_remedy("add a [[target]] to the configuration; docs/targets.md has every setting")
}

/// The trust policy.
///
/// # Errors
/// When the file can't be used.
pub fn trust(path: &Path) -> Result<Trust, Refusal> {
    Trust::open(path).map_err(|e| Refusal::new(Code::TrustInvalid, e.to_string()).with_remedy(e.remedy()))
}

async fn start(
    config: &Config,
    state: &State,
    policy: &Policy,
    targets: &BTreeMap<String, Target>,
) -> Result<(), Refusal> {
    state
        .note(
            Entry::new("host.start")
                .field("version", env!("CARGO_PKG_VERSION"))
                .field("instance", state.instance.id())
                .field("pid", std::process::id())
                .field("targets", targets.keys().cloned().collect::<Vec<_>>())
                .field("policy_digest", policy.digest()),
        )
        .await?;
    policy_change::note_policy(config, &state.record, &*state.store, policy).await
}

/// Reads the trust policy afresh: what has been revoked since admission is not run.
fn still_trusted(path: PathBuf) -> StillTrusted {
    Box::new(move |pack: &TrustedPack| {
        let verified = pack.verified();
        verified.still_trusted(&trust(&path)?, Timestamp::now()).map_err(|e| AdmissionError::from(e).into())
    })
}

fn private_directory(dir: &Path) -> Result<(), Refusal> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| {
        Refusal::new(Code::ConfigInvalid, format!("state_dir {}: {e}", dir.display()))
            .with_remedy("give a directory that lockgate's user may write")
    })
}
