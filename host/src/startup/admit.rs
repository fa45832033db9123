//! Taking packs in, at start and at a reload: every component that the configuration names is verified, admitted and put on the record, or
//! stays out with its reason on the record.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use lockgate_signing::{
    trust::Trust,
    verify::{HighestSeen, verify_file},
    version::PackVersion as Version,
};
use serde_json::json;

use super::State;
use crate::{
    audit::Entry,
    config::Config,
    error::{Code, Refusal},
    outside::shown,
    pack::{
        admission::{Admission, AdmissionError},
        cache::CompiledCache,
        catalog::{Catalog, TrustedPack},
        sandbox::Sandbox,
    },
    store::{PackVersion, Remembered, SqliteStore, Store},
};

/// A pack that is out, and why.
#[derive(Debug)]
pub struct RefusedPack {
    /// The component's file.
    pub path: PathBuf,
    /// Why.
    pub error: AdmissionError,
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
///
/// # Errors
/// When the store can't be used.
pub fn highest_seen(store: &dyn Store) -> Result<HighestSeen, Refusal> {
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

/// What takes components in, made once: what has been admitted runs on its engine.
///
/// # Errors
/// When there is no engine to be had.
pub fn admission(config: &Config) -> Result<Arc<Admission>, Refusal> {
    let sandbox = Sandbox::new()?;
    let cache = CompiledCache::open(&config.cache_dir())
        .inspect_err(|error| tracing::warn!(%error, "no cache of compiled packs; every start compiles"))
        .ok();
    Ok(Arc::new(Admission::new(sandbox, cache)))
}

/// A component, and the pack that it is or why it stays out.
pub(super) type Examined = (PathBuf, Result<TrustedPack, AdmissionError>);

/// The packs as a host would take them in now, for who only wants to look: nothing is recorded or remembered, and no state is
/// made where there is none.
///
/// # Errors
/// When trust or packs can't be read.
pub async fn installed(config: &Config) -> Result<(Catalog, Vec<RefusedPack>), Refusal> {
    let store = config.state_dir.join("store.db");
    let seen = if store.exists() { highest_seen(&SqliteStore::open(&store)?)? } else { HighestSeen::default() };
    let admission =
        if config.state_dir.is_dir() { admission(config)? } else { Arc::new(Admission::new(Sandbox::new()?, None)) };
    let mut catalog = Catalog::default();
    let mut refused = Vec::new();
    for (path, examined) in examine_after(config, &admission, super::trust(&config.trust)?, seen).await? {
        match examined {
            Ok(pack) if is_newest(&catalog, &pack) => catalog.add(pack),
            Ok(_) => {}
            Err(error) => refused.push(RefusedPack { path, error }),
        }
    }
    Ok((catalog, refused))
}

/// Verifies and proves every component that a configuration names, in the fixed order. Nothing is recorded or remembered.
pub(super) async fn examine(
    config: &Config,
    admission: &Arc<Admission>,
    trust: Trust,
    store: &dyn Store,
) -> Result<Vec<Examined>, Refusal> {
    examine_after(config, admission, trust, highest_seen(store)?).await
}

async fn examine_after(
    config: &Config,
    admission: &Arc<Admission>,
    trust: Trust,
    highest_seen: HighestSeen,
) -> Result<Vec<Examined>, Refusal> {
    let trust = Arc::new(trust);
    let highest_seen = Arc::new(highest_seen);
    // As many at once as there are cores to describe, prove and compile on.
    let admit = |path: PathBuf| {
        let (admission, trust, highest_seen) = (Arc::clone(admission), Arc::clone(&trust), Arc::clone(&highest_seen));
        let file = path.clone();
        let task = tokio::spawn(async move {
            let verified = verify_file(&file, &trust, Timestamp::now(), &highest_seen)?;
            admission.admit(verified).await
        });
        async move {
            let admitted = task.await;
            let admitted =
                admitted.map_err(|e| Refusal::new(Code::InternalError, format!("{}: {e}", path.display())))?;
            Ok((path, admitted))
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    stream::iter(components(config)?).map(admit).buffered(cores).try_collect().await
}

/// Admits every component that a configuration names; each is on the record as in or out.
pub(super) async fn admit_all(
    config: &Config,
    state: &State,
    admission: &Arc<Admission>,
    trust: Trust,
) -> Result<(Catalog, Vec<RefusedPack>), Refusal> {
    let mut catalog = Catalog::default();
    let mut refused = Vec::new();
    let mut lines = Vec::new();
    for (path, examined) in examine(config, admission, trust, &*state.store).await? {
        match examined {
            Ok(pack) => {
                lines.push(state.record.append(admitted_entry(&*state.store, &pack)?));
                if is_newest(&catalog, &pack) {
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
pub(super) fn is_newest(catalog: &Catalog, pack: &TrustedPack) -> bool {
    let declared = pack.manifest().manifest();
    catalog
        .packs()
        .map(|p| p.manifest().manifest())
        .find(|m| m.name == declared.name)
        .is_none_or(|other| is_higher(&declared.version, &other.version))
}

/// The line of a pack that is in, after the store has remembered its version.
pub(super) fn admitted_entry(store: &dyn Store, pack: &TrustedPack) -> Result<Entry, Refusal> {
    let predicate = pack.verified().predicate();
    let version = PackVersion {
        name: predicate.pack.clone(),
        version: predicate.version.clone(),
        digest: pack.digest().to_owned(),
    };
    let before = store.remember_pack(&version, &is_higher, Timestamp::now())?;
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

pub(super) fn refused_entry(path: &Path, error: &AdmissionError) -> Entry {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let message = shown(&error.message, 2000);
    Entry::new("pack.refused").field("file", name).field("code", error.code.as_str()).field("message", message)
}

/// Why there is nothing to serve.
pub(super) fn nothing_admitted(config: &Config, refused: &[RefusedPack]) -> Refusal {
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

/// Whether one version of a pack is higher than another.
#[must_use]
pub fn is_higher(version: &str, than: &str) -> bool {
    match (version.parse::<Version>(), than.parse::<Version>()) {
        (Ok(version), Ok(than)) => version > than,
        // What can't be compared is not let through as a step forward.
        _ => false,
    }
}
