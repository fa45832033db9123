//! Reading trust, packs and policy again while calls are served. All of it is applied or none; what has been revoked is out
//! whatever else is wrong. It is on the record before it is in force.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use jiff::Timestamp;
use lockgate_signing::{
    encoding::hex,
    file::{MAX_COMPONENT_BYTES, read_once},
    trust::Trust,
};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{
    admit::{self, RefusedPack},
    policy,
    policy_change::note_policy,
    stamps::Stamps,
    trust,
};
use crate::{
    audit::{Entry, Record},
    config::Config,
    error::{Code, Refusal},
    gate::{Gate, Rules},
    outside::shown,
    pack::{
        admission::{Admission, AdmissionError},
        catalog::{Catalog, TrustedPack},
    },
    store::Store,
    trust::note as note_trust,
};

/// Why it is time to read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// SIGHUP.
    Signal,
    /// The files have changed.
    Files,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Files => "files",
        }
    }
}

/// What a reload changed.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// Packs that are in now and were not: name, version and digest of each.
    pub packs_in: Vec<Json>,
    /// Packs that were in and are not any more.
    pub packs_out: Vec<Json>,
    /// The policy's digest before and after, if it is another.
    pub policy: Option<(String, String)>,
    /// What a publisher may do has changed, though all its packs stay.
    pub grants: bool,
    /// Out, each with its reason.
    pub refused: Vec<RefusedPack>,
}

impl Reloaded {
    /// Whether anything is other than before.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !self.packs_in.is_empty() || !self.packs_out.is_empty() || self.policy.is_some() || self.grants
    }
}

/// Reads again what an open gate was made from.
pub struct Reloader {
    config: Config,
    gate: Arc<Gate>,
    record: Record,
    store: Arc<dyn Store>,
    admission: Arc<Admission>,
    at_start: Stamps,
    /// One at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Reloader {
    pub(super) fn new(
        config: Config,
        gate: Arc<Gate>,
        record: Record,
        store: Arc<dyn Store>,
        admission: Arc<Admission>,
        at_start: Stamps,
    ) -> Self {
        Self { config, gate, record, store, admission, at_start, turn: tokio::sync::Mutex::new(()) }
    }

    /// The files as they were when the gate was opened.
    pub(super) fn at_start(&self) -> &Stamps {
        &self.at_start
    }

    /// The files as they are now.
    pub(super) fn stamps(&self) -> Stamps {
        Stamps::of(&self.config)
    }

    /// The gate.
    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Reads trust, packs and policy again and puts them in the place of what the gate has, together. If anything of it is
    /// wrong, all stays as it is, except that what is revoked by now is out; the record says so either way.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn reload(&self, cause: Cause) -> Result<Reloaded, Refusal> {
        let _turn = self.turn.lock().await;
        match self.read_and_replace(cause).await {
            Ok(reloaded) => Ok(reloaded),
            Err(refusal) => {
                self.refuse(cause, &refusal).await;
                Err(refusal)
            }
        }
    }

    async fn read_and_replace(&self, cause: Cause) -> Result<Reloaded, Refusal> {
        let trusted = trust(&self.config.trust)?;
        // Whatever becomes of the rest: approved calls ask this file again, so it is in force already.
        note_trust(&self.config.trust, &self.record, &*self.store, &trusted).await?;
        let policy = policy(&self.config)?;
        let examined = admit::examine(&self.config, &self.admission, trusted.clone(), &*self.store).await?;
        let before = self.gate.rules();
        let mut catalog = Catalog::default();
        let mut refused = Vec::new();
        let mut lines = Vec::new();
        for (path, result) in examined {
            match result {
                Ok(pack) => {
                    if !before.catalog.packs().any(|known| known.digest() == pack.digest()) {
                        lines.push(admit::admitted_entry(&*self.store, &pack)?);
                    }
                    if admit::is_newest(&catalog, &pack) {
                        catalog.add(pack);
                    }
                }
                Err(error) => {
                    lines.push(admit::refused_entry(&path, &error));
                    refused.push(RefusedPack { path, error });
                }
            }
        }
        keep_unchanged(&mut catalog, &before.catalog, &refused, &trusted);
        let after = Rules { catalog, policy };
        let reloaded = Reloaded { refused, ..difference(&before, &after) };
        if reloaded.is_change() {
            let (from, to) = reloaded.policy.clone().unzip();
            let line = self
                .line("host.reload", cause)
                .field("packs_in", reloaded.packs_in.clone())
                .field("packs_out", reloaded.packs_out.clone())
                .field("grants_changed", reloaded.grants)
                .field("policy_from", from)
                .field("policy_to", to);
            lines.push(line);
        }
        // In order, and all of it before any of it is in force.
        for line in lines {
            self.record.append(line).await?;
        }
        note_policy(&self.config, &self.record, &*self.store, &after.policy).await?;
        if reloaded.is_change() {
            tracing::info!(
                packs_in = %Json::from(reloaded.packs_in.clone()),
                packs_out = %Json::from(reloaded.packs_out.clone()),
                policy = ?reloaded.policy,
                "packs, trust and policy were read again"
            );
            self.gate.replace_rules(after);
        } else {
            tracing::info!(cause = cause.as_str(), "packs, trust and policy were read again and are as they were");
        }
        Ok(reloaded)
    }

    /// Says that nothing changes, and takes out what is revoked all the same: of that, the trust policy alone is asked.
    async fn refuse(&self, cause: Cause, refusal: &Refusal) {
        let before = self.gate.rules();
        let mut catalog = Catalog::default();
        let mut out = Vec::new();
        if let Ok(trusted) = trust(&self.config.trust) {
            for pack in before.catalog.packs() {
                match pack.verified().still_trusted(&trusted, Timestamp::now()) {
                    Ok(()) => catalog.add(Arc::clone(pack)),
                    Err(error) => out.push((named(pack), AdmissionError::from(error))),
                }
            }
        }
        let gone: Vec<Json> = out.iter().map(|(pack, _)| pack.clone()).collect();
        let why: Vec<String> = out.iter().map(|(_, error)| shown(&error.message, 500)).collect();
        if !out.is_empty() {
            // Recorded or not: what is not trusted any more is not run.
            self.gate.replace_rules(Rules { catalog, policy: before.policy.clone() });
        }
        tracing::error!(code = %refusal.code, packs_out = %Json::from(gone.clone()),
            "packs, trust and policy stay as they were: {}", refusal.message);
        let line = self
            .line("host.reload_refused", cause)
            .field("code", refusal.code.as_str())
            .field("message", shown(&refusal.message, 2000))
            .field("packs_out", gone)
            .field("why_out", why);
        if let Err(error) = self.record.append(line).await {
            tracing::error!(%error, "that a reload was refused is not on the record");
        }
    }

    fn line(&self, event: &str, cause: Cause) -> Entry {
        Entry::new(event).field("pid", std::process::id()).field("cause", cause.as_str())
    }
}

/// A pack whose component is the very one that was admitted, and whose envelope can't be used now (it is being replaced, or
/// is gone), stays, as long as what was verified of it still holds and no other version of it came in. One that went below
/// the highest version that was used here does not.
fn keep_unchanged(catalog: &mut Catalog, before: &Catalog, refused: &[RefusedPack], trusted: &Trust) {
    for RefusedPack { path, error } in refused {
        let Some(digest) = digest_of(path).filter(|_| error.code != Code::Rollback) else { continue };
        let Some(known) = before.packs().find(|pack| pack.digest() == digest) else { continue };
        let holds = known.verified().still_trusted(trusted, Timestamp::now()).is_ok();
        let name = &known.manifest().manifest().name;
        if holds && catalog.packs().all(|pack| pack.manifest().manifest().name != *name) {
            tracing::warn!(pack = %path.display(), "it stays as it was admitted: {}", error.message);
            catalog.add(Arc::clone(known));
        }
    }
}

fn digest_of(component: &Path) -> Option<String> {
    read_once(component, MAX_COMPONENT_BYTES).ok().map(|bytes| hex(&Sha256::digest(&bytes)))
}

fn difference(before: &Rules, after: &Rules) -> Reloaded {
    let (old, new) = (by_digest(&before.catalog), by_digest(&after.catalog));
    let without = |these: &BTreeMap<&str, &TrustedPack>, those: &BTreeMap<&str, &TrustedPack>| {
        these.iter().filter(|(digest, _)| !those.contains_key(*digest)).map(|(_, pack)| named(pack)).collect()
    };
    let grants = new
        .iter()
        .any(|(digest, pack)| old.get(digest).is_some_and(|known| known.verified().grant() != pack.verified().grant()));
    let (from, to) = (before.policy.digest(), after.policy.digest());
    Reloaded {
        packs_in: without(&new, &old),
        packs_out: without(&old, &new),
        policy: (from != to).then(|| (from.to_owned(), to.to_owned())),
        grants,
        refused: Vec::new(),
    }
}

fn by_digest(catalog: &Catalog) -> BTreeMap<&str, &TrustedPack> {
    catalog.packs().map(|pack| (pack.digest(), &**pack)).collect()
}

fn named(pack: &TrustedPack) -> Json {
    let manifest = pack.manifest().manifest();
    json!({ "pack": manifest.name, "version": manifest.version, "digest": pack.digest() })
}
