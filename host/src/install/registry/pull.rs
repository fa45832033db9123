//! Fetching a pack: its manifest, its component, and every envelope that refers to it.

use std::collections::BTreeMap;

use lockgate_signing::file::{MAX_COMPONENT_BYTES, MAX_ENVELOPE_BYTES};
use oci_client::{
    Reference, RegistryOperation,
    manifest::{OciDescriptor, OciImageManifest},
};

use super::{
    Registry, Session,
    exchange::failed,
    in_time,
    layout::{ENVELOPE, MAX_ENVELOPES, TITLE, WASM_CONFIG, WASM_LAYER},
    named,
    read::by_digest,
};
use crate::{error::Refusal, install::Candidate};

impl Registry {
    /// Fetches the artifact and its envelopes.
    ///
    /// # Errors
    /// When the registry does not give them, what it gives is not what it named, or it is no pack.
    pub async fn pull(&self) -> Result<Candidate, Refusal> {
        in_time(&self.name(), self.pull_all()).await
    }

    async fn pull_all(&self) -> Result<Candidate, Refusal> {
        let session = self.open(RegistryOperation::Pull).await?;
        let (manifest, digest) = session.manifest(&self.reference).await?;
        let pinned = by_digest(&self.reference, &digest)?;
        let layer = one_layer(&manifest, &pinned, WASM_LAYER)?;
        if manifest.config.media_type != WASM_CONFIG {
            return Err(no_pack(&pinned, "its config is not that of a WebAssembly component"));
        }
        let title =
            |annotations: Option<&BTreeMap<String, String>>| annotations.and_then(|all| all.get(TITLE)).cloned();
        // A claim, like every name: it has to be the one that was signed.
        let file_name = title(layer.annotations.as_ref())
            .or_else(|| title(manifest.annotations.as_ref()))
            .ok_or_else(|| no_pack(&pinned, "its layer does not say what the file is called"))?;
        let component = session.blob(&pinned, layer, MAX_COMPONENT_BYTES).await?;
        let envelopes = session.envelopes(&pinned, &digest).await?;
        Ok(Candidate { file_name, component, envelopes, source: self.name(), manifest: Some(digest) })
    }
}

impl Session {
    /// Every envelope that refers to a manifest.
    async fn envelopes(&self, pinned: &Reference, digest: &str) -> Result<Vec<Vec<u8>>, Refusal> {
        let referrers = self.referrers(pinned, Some(ENVELOPE)).await?;
        let ours =
            referrers.manifests.iter().filter(|entry| entry.artifact_type.as_deref().is_none_or(|t| t == ENVELOPE));
        let mut envelopes = Vec::new();
        for entry in ours.take(MAX_ENVELOPES) {
            let place = by_digest(pinned, &entry.digest)?;
            let (manifest, _) = self.manifest(&place).await?;
            if manifest.subject.as_ref().is_none_or(|subject| subject.digest != digest) {
                continue;
            }
            let Ok(layer) = one_layer(&manifest, &place, ENVELOPE) else { continue };
            envelopes.push(self.blob(&place, layer, MAX_ENVELOPE_BYTES).await?);
        }
        Ok(envelopes)
    }
}

fn one_layer<'a>(
    manifest: &'a OciImageManifest,
    place: &Reference,
    media_type: &str,
) -> Result<&'a OciDescriptor, Refusal> {
    match manifest.layers.as_slice() {
        [layer] if layer.media_type == media_type => Ok(layer),
        _ => Err(no_pack(place, &format!("it has not exactly one layer of type {media_type}"))),
    }
}

fn no_pack(place: &Reference, why: &str) -> Refusal {
    failed(&named(place), &format!("it is no pack: {why}")).with_remedy("publish packs with `lockgate pack push`")
}
