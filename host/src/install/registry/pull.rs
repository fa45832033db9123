//! Reading from a registry.

use lockgate_signing::{
    encoding::parse_sha256,
    file::{MAX_COMPONENT_BYTES, MAX_ENVELOPE_BYTES},
    version::PackVersion,
};
use oci_client::{
    Reference, RegistryOperation,
    manifest::{OciDescriptor, OciImageManifest, OciManifest},
};

use super::{
    Registry, Session, failed, in_time,
    layout::{ENVELOPE, MAX_ENVELOPES, TITLE, WASM_CONFIG, WASM_LAYER},
    named,
};
use crate::{
    error::{Code, Refusal},
    install::{Candidate, bounded::Bounded},
    outside::shown,
};

/// Tags that are asked for at once; a repository of one pack has fewer versions.
const TAGS: usize = 1000;

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
        let digest = match self.reference.digest() {
            Some(digest) => digest.to_owned(),
            None => session
                .client
                .fetch_manifest_digest(&self.reference, &session.auth)
                .await
                .map_err(|error| failed(&self.name(), error))?,
        };
        let pinned = by_digest(&self.reference, &digest)?;
        let manifest = session.manifest(&pinned).await?;
        let layer = one_layer(&manifest, &pinned, WASM_LAYER)?;
        if manifest.config.media_type != WASM_CONFIG {
            return Err(no_pack(&pinned, "its config is not that of a WebAssembly component"));
        }
        let title = |annotations: Option<&std::collections::BTreeMap<String, String>>| {
            annotations.and_then(|all| all.get(TITLE)).cloned()
        };
        // A claim, like every name: it has to be the one that was signed.
        let file_name = title(layer.annotations.as_ref())
            .or_else(|| title(manifest.annotations.as_ref()))
            .ok_or_else(|| no_pack(&pinned, "its layer does not say what the file is called"))?;
        let component = session.blob(&pinned, layer, MAX_COMPONENT_BYTES).await?;
        let envelopes = session.envelopes(&pinned, &digest).await?;
        Ok(Candidate { file_name, component, envelopes, source: self.name(), manifest: Some(digest) })
    }

    /// The same repository at the highest version that its tags name, if that is higher than this one.
    ///
    /// # Errors
    /// When the registry does not list its tags.
    pub async fn newest(&self, than: &PackVersion) -> Result<Option<Self>, Refusal> {
        in_time(&self.name(), async {
            let session = self.open(RegistryOperation::Pull).await?;
            let listed = session.client.list_tags(&self.reference, &session.auth, Some(TAGS), None).await;
            let tags = listed.map_err(|error| failed(&self.name(), error))?.tags;
            let newest = tags.iter().filter_map(|tag| Some((tag.parse::<PackVersion>().ok()?, tag))).max();
            Ok(newest.filter(|(version, _)| version > than).map(|(_, tag)| {
                let (registry, repository) = (self.reference.registry(), self.reference.repository());
                let reference = Reference::with_tag(registry.to_owned(), repository.to_owned(), tag.clone());
                Self { reference, plain_http: self.plain_http }
            }))
        })
        .await
    }
}

impl Session {
    async fn manifest(&self, pinned: &Reference) -> Result<OciImageManifest, Refusal> {
        let (manifest, _) =
            self.client.pull_manifest(pinned, &self.auth).await.map_err(|error| failed(&named(pinned), error))?;
        match manifest {
            OciManifest::Image(manifest) => Ok(manifest),
            OciManifest::ImageIndex(_) => Err(no_pack(pinned, "it is an index of other manifests")),
        }
    }

    /// A blob's bytes: those of its digest, of the size that was said, within the bound.
    async fn blob(&self, pinned: &Reference, layer: &OciDescriptor, limit: u64) -> Result<Vec<u8>, Refusal> {
        by_digest(pinned, &layer.digest)?;
        if !u64::try_from(layer.size).is_ok_and(|size| size <= limit) {
            let message = format!("{}: a layer has {} bytes, and {limit} are the most", named(pinned), layer.size);
            return Err(Refusal::new(Code::FileTooLarge, message));
        }
        let mut bytes = Bounded::new(limit);
        // By its digest alone: other addresses that a manifest may name for a layer are nobody's business.
        let pulled = self.client.pull_blob(pinned, layer.digest.as_str(), &mut bytes).await;
        pulled.map_err(|error| failed(&named(pinned), error))?;
        Ok(bytes.into_bytes())
    }

    /// Every envelope that refers to a manifest.
    async fn envelopes(&self, pinned: &Reference, digest: &str) -> Result<Vec<Vec<u8>>, Refusal> {
        let referrers = self.client.pull_referrers(pinned, Some(ENVELOPE)).await;
        let referrers = referrers.map_err(|error| failed(&named(pinned), error))?;
        let ours =
            referrers.manifests.iter().filter(|entry| entry.artifact_type.as_deref().is_none_or(|t| t == ENVELOPE));
        let mut envelopes = Vec::new();
        for entry in ours.take(MAX_ENVELOPES) {
            let place = by_digest(pinned, &entry.digest)?;
            let manifest = self.manifest(&place).await?;
            if manifest.subject.as_ref().is_none_or(|subject| subject.digest != digest) {
                continue;
            }
            let Ok(layer) = one_layer(&manifest, &place, ENVELOPE) else { continue };
            envelopes.push(self.blob(&place, layer, MAX_ENVELOPE_BYTES).await?);
        }
        Ok(envelopes)
    }
}

/// The same repository at a digest, which must be a SHA-256.
pub(super) fn by_digest(reference: &Reference, digest: &str) -> Result<Reference, Refusal> {
    if digest.strip_prefix("sha256:").and_then(parse_sha256).is_none() {
        let message = format!("{}: `{}` is not a SHA-256 digest", named(reference), shown(digest, 100));
        return Err(Refusal::new(Code::FetchFailed, message));
    }
    let (registry, repository) = (reference.registry().to_owned(), reference.repository().to_owned());
    Ok(Reference::with_digest(registry, repository, digest.to_owned()))
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
    Refusal::new(Code::FetchFailed, format!("{} is no pack: {why}", named(place)))
        .with_remedy("publish packs with `lockgate pack push`")
}
