//! Startup: from a configuration to an open state (record, store, keys) and to a gate with its packs and targets. What is
//! opened here is on the record before the first call: the host, each pack that is in or out, and the policy.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ed25519_dalek::SigningKey;
use futures_util::{StreamExt as _, stream};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use lockgate_signing::{
    key::PrivateKey,
    trust::Trust,
    verify::{HighestSeen, verify_file},
    version::PackVersion as Version,
};
use serde_json::json;
use sha2::Sha256;

use crate::{
    audit::{CheckpointSink, Entry, Origin, PublicKey, Record, RecordSettings},
    config::Config,
    error::{Code, Refusal},
    gate::{Gate, Parts, StillTrusted, Times, journal::Journal},
    pack::{
        admission::{Admission, AdmissionError},
        cache::CompiledCache,
        catalog::{Catalog, TrustedPack},
        sandbox::Sandbox,
    },
    policy::Policy,
    postgres::{self, Target, TargetError, TargetSettings},
    redact::Redactor,
    store::{self, PackVersion, Remembered, SqliteStore, Store, instance::Instance},
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
        let key = record_key(&config.state_dir)?;
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
        Ok(Self { record, store: Arc::new(store), instance, argument_key: argument_key(&key) })
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

/// A pack that is out, and why.
#[derive(Debug)]
pub struct RefusedPack {
    /// The component's file.
    pub path: PathBuf,
    /// Why.
    pub error: AdmissionError,
}

/// A gate and the packs that did not get in.
pub struct Opened {
    /// The gate.
    pub gate: Arc<Gate>,
    /// Out, each with its reason.
    pub refused: Vec<RefusedPack>,
}

/// Builds the gate. A pack that is refused stays out and the others go in; without any there is nothing to serve.
///
/// # Errors
/// When policy, trust, targets or the record can't be used, or no pack gets in.
pub async fn open_gate(config: &Config, state: State) -> Result<Opened, Refusal> {
    let redactor = redactor(config)?;
    let policy = policy(config)?;
    let targets = targets(config)?;
    start(config, &state, &policy, &targets).await?;
    let (catalog, refused) = admit_all(config, &state).await?;
    if catalog.packs().next().is_none() {
        return Err(nothing_admitted(config, &refused));
    }
    let gate = Gate::new(Parts {
        catalog,
        targets,
        policy,
        journal: Journal::new(state.record, redactor.clone(), state.argument_key),
        store: state.store,
        redactor,
        instance: state.instance,
        state_dir: config.state_dir.clone(),
        still_trusted: still_trusted(config.trust.clone()),
        times: Times {
            call: config.call_time(),
            decide: Duration::from_secs(config.approvals.decide_seconds),
            execute: Duration::from_secs(config.approvals.execute_seconds),
        },
        output_bytes: config.limits.output_kib << 10,
    });
    // What a killed process was doing is called unknown now, not when somebody asks.
    gate.close_due().await?;
    Ok(Opened { gate, refused })
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
        Some(path) => Policy::load(path).map_err(|e| Refusal::new(Code::ConfigInvalid, e.to_string())),
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
    Trust::open(path).map_err(|e| Refusal::new(Code::TrustInvalid, e.to_string()))
}

/// The components that a configuration names, directories looked into, in a fixed order.
///
/// # Errors
/// When a path can't be read.
pub fn components(config: &Config) -> Result<Vec<PathBuf>, Refusal> {
    let mut found = Vec::new();
    for path in &config.packs {
        let refuse = |e: std::io::Error| Refusal::new(Code::FileRefused, format!("{}: {e}", path.display()));
        if fs::metadata(path).map_err(refuse)?.is_dir() {
            for entry in fs::read_dir(path).map_err(refuse)? {
                found.push(entry.map_err(refuse)?.path());
            }
        } else {
            found.push(path.clone());
        }
    }
    found.retain(|path| path.extension().is_some_and(|e| e == "wasm"));
    found.sort();
    found.dedup();
    Ok(found)
}

/// The highest version of each pack that has been used here.
fn highest_seen(store: &dyn Store) -> Result<HighestSeen, Refusal> {
    let unreadable =
        |what: &str| Refusal::new(Code::StoreUnavailable, format!("the store remembers an unreadable {what}"));
    store
        .pack_floors()?
        .into_iter()
        .map(|floor| {
            let name = floor.pack.name.parse().map_err(|_| unreadable("pack name"))?;
            let version = floor.pack.version.parse().map_err(|_| unreadable("pack version"))?;
            Ok((name, version))
        })
        .collect()
}

async fn admit_all(config: &Config, state: &State) -> Result<(Catalog, Vec<RefusedPack>), Refusal> {
    let trust = Arc::new(trust(&config.trust)?);
    let sandbox = Sandbox::new()?;
    let cache = CompiledCache::open(&config.state_dir.join("cache"))
        .inspect_err(|error| tracing::warn!(%error, "no cache of compiled packs; every start compiles"))
        .ok();
    let admission = Arc::new(Admission::new(sandbox, cache));
    let highest_seen = Arc::new(highest_seen(&*state.store)?);
    // As many at once as there are cores to describe, prove and compile on; taken in, and recorded, in the fixed order.
    let admit = |path: PathBuf| {
        let (admission, trust, highest_seen) = (Arc::clone(&admission), Arc::clone(&trust), Arc::clone(&highest_seen));
        let file = path.clone();
        let task = tokio::spawn(async move {
            let verified = verify_file(&file, &trust, Timestamp::now(), &highest_seen)?;
            admission.admit(verified).await
        });
        async move { (path, task.await) }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut admitted = stream::iter(components(config)?).map(admit).buffered(cores);
    let mut catalog = Catalog::default();
    let mut refused = Vec::new();
    let mut lines = Vec::new();
    while let Some((path, admitted)) = admitted.next().await {
        match admitted.map_err(|e| Refusal::new(Code::InternalError, format!("{}: {e}", path.display())))? {
            Ok(pack) => {
                let replaces = is_newest(&catalog, &pack);
                lines.push(state.record.append(admitted_entry(state, &pack)?));
                if replaces {
                    catalog.add(pack);
                }
            }
            Err(error) => {
                lines.push(state.record.append(refused_entry(&path, &error)));
                refused.push(RefusedPack { path, error });
            }
        }
    }
    // Queued in order; awaited together, so that one sync makes many durable.
    for line in lines {
        line.await?;
    }
    Ok((catalog, refused))
}

/// Of two versions of a pack the higher one serves, whatever their file names are.
fn is_newest(catalog: &Catalog, pack: &TrustedPack) -> bool {
    let declared = pack.manifest().manifest();
    catalog
        .packs()
        .map(|p| p.manifest().manifest())
        .find(|m| m.name == declared.name)
        .is_none_or(|other| is_higher(&declared.version, &other.version))
}

/// The line of a pack that is in, after the store has remembered its version.
fn admitted_entry(state: &State, pack: &TrustedPack) -> Result<Entry, Refusal> {
    let predicate = pack.verified().predicate();
    let version = PackVersion {
        name: predicate.pack.clone(),
        version: predicate.version.clone(),
        digest: pack.digest().to_owned(),
    };
    let before = state.store.remember_pack(&version, &is_higher, Timestamp::now())?;
    let floor = match &before {
        Remembered::First => json!("first"),
        Remembered::Raised { from } => json!({ "raised_from": from.version }),
        Remembered::Kept { floor } => json!({ "kept": floor.version }),
    };
    let signers: Vec<_> = pack.verified().signers().iter().map(|s| s.name.clone()).collect();
    Ok(Entry::new("pack.admitted")
        .field("pack", predicate.pack.as_str())
        .field("version", predicate.version.as_str())
        .field("digest", pack.digest())
        .field("publisher", predicate.publisher.as_str())
        .field("signers", signers)
        .field("classes", predicate.classes.clone())
        .field("actions", pack.manifest().manifest().actions.len())
        .field("floor", floor))
}

fn refused_entry(path: &Path, error: &AdmissionError) -> Entry {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let message: String = error.message.chars().take(2000).collect();
    Entry::new("pack.refused").field("file", name).field("code", error.code.as_str()).field("message", message)
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
    // Who changed a policy is not known to a file; that it changed, and when it was first in force, is.
    let before = state.store.meta("policy_digest")?;
    if before.as_deref() != Some(policy.digest()) {
        state
            .note(
                Entry::new("policy.changed")
                    .field("from", before)
                    .field("to", policy.digest())
                    .field("file", config.policy.as_ref().map(|p| p.display().to_string())),
            )
            .await?;
        state.store.set_meta("policy_digest", policy.digest())?;
    }
    Ok(())
}

fn nothing_admitted(config: &Config, refused: &[RefusedPack]) -> Refusal {
    match refused {
        [] => {
            let places: Vec<_> = config.packs.iter().map(|p| p.display().to_string()).collect();
            Refusal::new(Code::ConfigInvalid, format!("there is no pack in {}", places.join(", ")))
                .with_remedy("put a signed pack there, or correct `packs`")
        }
        [first, ..] => {
            let text = format!("no pack was admitted; {}: {}", first.path.display(), first.error.message);
            Refusal::new(first.error.code, text).with_remedy(first.error.remedy.clone())
        }
    }
}

/// Reads the trust policy afresh: what has been revoked since admission is not run.
fn still_trusted(path: PathBuf) -> StillTrusted {
    Box::new(move |pack: &TrustedPack| {
        let verified = pack.verified();
        verified.still_trusted(&trust(&path)?, Timestamp::now()).map_err(|e| AdmissionError::from(e).into())
    })
}

fn is_higher(version: &str, than: &str) -> bool {
    match (version.parse::<Version>(), than.parse::<Version>()) {
        (Ok(version), Ok(than)) => version > than,
        // What can't be compared is not let through as a step forward.
        _ => false,
    }
}

fn private_directory(dir: &Path) -> Result<(), Refusal> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| {
        Refusal::new(Code::ConfigInvalid, format!("state_dir {}: {e}", dir.display()))
            .with_remedy("give a directory that lockgate's user may write")
    })
}

/// The key that signs checkpoints, made on first use.
fn record_key(state_dir: &Path) -> Result<SigningKey, Refusal> {
    let path = record_key_path(state_dir);
    let refuse = |e: &dyn std::fmt::Display| Refusal::new(Code::RecordUnavailable, format!("{}: {e}", path.display()));
    if fs::symlink_metadata(&path).is_err() {
        let key = PrivateKey::generate().map_err(|e| refuse(&e))?;
        match key.create_file(&path, None) {
            // Another process may have been first; its key is the one.
            Err(error) if fs::symlink_metadata(&path).is_err() => return Err(refuse(&error)),
            _ => {}
        }
    }
    PrivateKey::read(&path, None).map(PrivateKey::into_signing_key).map_err(|e| refuse(&e))
}

/// The public key that the record of a configuration is verified with, from the host's own key.
///
/// # Errors
/// When there is no key yet or the record's name can't be one.
pub fn record_public_key(config: &Config) -> Result<PublicKey, Refusal> {
    let path = record_key_path(&config.state_dir);
    let key = PrivateKey::read(&path, None).map(PrivateKey::into_signing_key).map_err(|e| {
        Refusal::new(Code::RecordUnavailable, e.to_string()).with_remedy(
            "give the record's public key with `--key`; `lockgate audit key` prints it where lockgate runs",
        )
    })?;
    let origin = Origin::new(&config.record.origin).ok_or_else(|| {
        Refusal::new(Code::ConfigInvalid, "[record] origin must be one visible ASCII word without `+`")
    })?;
    Ok(PublicKey::new(origin, key.verifying_key()))
}

/// Where the key that signs checkpoints is kept.
#[must_use]
pub fn record_key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("record.key")
}

/// The key of the digests of arguments, from the record's key: one secret to keep, two uses that can't be confused.
fn argument_key(key: &SigningKey) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(&key.to_bytes()) {
        Ok(mut mac) => {
            mac.update(b"lockgate digests of arguments v1");
            mac.finalize().into_bytes().into()
        }
        // HMAC takes keys of every length.
        Err(_) => store::random_bytes().unwrap_or([0; 32]),
    }
}
