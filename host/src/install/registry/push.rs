//! Publishing to a registry: the component, and its envelope as a referrer of it. The same component and envelope make the same
//! manifests, so publishing twice changes nothing.

use std::collections::BTreeMap;

use lockgate_signing::{
    encoding::{hex, sha256},
    envelope::Envelope,
    predicate::Statement,
};
use oci_client::{
    Reference, RegistryOperation,
    manifest::{
        ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageIndex,
        OciImageManifest, OciManifest,
    },
};
use reqwest::header::HeaderValue;
use serde_json::json;

use super::{
    Published, Registry, Session, failed, in_time,
    layout::{EMPTY, EMPTY_CONTENT, ENVELOPE, TITLE, WASM_CONFIG, WASM_LAYER},
    named,
    pull::by_digest,
};
use crate::{
    error::{Code, Refusal},
    install::Candidate,
    pack::admission::{EXPORT, IMPORT},
};

impl Registry {
    /// Publishes a component and its envelope under a tag.
    ///
    /// # Errors
    /// When they don't belong together, or the registry does not take them.
    pub async fn push(&self, pack: &Candidate) -> Result<Published, Refusal> {
        let envelope = fitting(pack)?;
        if self.reference.digest().is_some() {
            return Err(Refusal::new(
                Code::ConfigInvalid,
                format!("{} names a digest, which is not known yet", self.name()),
            )
            .with_remedy("give a tag, best the pack's version"));
        }
        in_time(&self.name(), self.push_all(pack, envelope)).await
    }

    async fn push_all(&self, pack: &Candidate, envelope: &[u8]) -> Result<Published, Refusal> {
        let session = self.open(RegistryOperation::Push).await?;
        let component = component_manifest(pack);
        session.put_blob(&self.reference, &component.layers, &pack.component).await?;
        session.put_blob(&self.reference, [&component.config], &config(pack)).await?;
        let subject = session.put_manifest(&self.reference, &component).await?;

        let manifest = envelope_manifest(pack, envelope, subject.clone());
        session.put_blob(&self.reference, &manifest.layers, envelope).await?;
        session.put_blob(&self.reference, [&manifest.config], EMPTY_CONTENT).await?;
        let (registry, repository) = (self.reference.registry().to_owned(), self.reference.repository().to_owned());
        // A tag in form only: the client takes a reference by digest apart where a registry does not say where it put it.
        let place = Reference::with_tag(registry, repository, descriptor_of(&manifest)?.0.digest);
        let referrer = session.put_manifest(&place, &manifest).await?;
        session.refer(&self.reference, &subject, &referrer).await?;
        let pinned = by_digest(&self.reference, &subject.digest)?;
        Ok(Published { reference: named(&pinned), envelope: referrer.digest })
    }
}

impl Session {
    async fn put_blob<'a>(
        &self,
        place: &Reference,
        as_said: impl IntoIterator<Item = &'a OciDescriptor>,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        for said in as_said {
            let pushed = self.client.push_blob(place, bytes.to_vec(), &said.digest).await;
            pushed.map_err(|error| failed(&named(place), error))?;
        }
        Ok(())
    }

    async fn put_manifest(&self, place: &Reference, manifest: &OciImageManifest) -> Result<OciDescriptor, Refusal> {
        let (descriptor, bytes) = descriptor_of(manifest)?;
        let media_type = HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
        let pushed = self.client.push_manifest_raw(place, bytes, media_type).await;
        pushed.map_err(|error| failed(&named(place), error))?;
        Ok(descriptor)
    }

    /// Makes sure that the envelope is found from the component: a registry that does not do it by itself is given the index
    /// that the distribution specification has for it (1.1, referrers tag schema).
    async fn refer(&self, place: &Reference, subject: &OciDescriptor, referrer: &OciDescriptor) -> Result<(), Refusal> {
        let pinned = by_digest(place, &subject.digest)?;
        let known = self.client.pull_referrers(&pinned, None).await;
        let mut index: OciImageIndex = known.map_err(|error| failed(&named(&pinned), error))?;
        if index.manifests.iter().any(|entry| entry.digest == referrer.digest) {
            return Ok(());
        }
        index.media_type = Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned());
        index.manifests.push(ImageIndexEntry {
            media_type: OCI_IMAGE_MEDIA_TYPE.to_owned(),
            digest: referrer.digest.clone(),
            size: referrer.size,
            platform: None,
            annotations: None,
            artifact_type: Some(ENVELOPE.to_owned()),
        });
        let (registry, repository) = (place.registry().to_owned(), place.repository().to_owned());
        let tag = Reference::with_tag(registry, repository, subject.digest.replace(':', "-"));
        let pushed = self.client.push_manifest(&tag, &OciManifest::ImageIndex(index)).await;
        pushed.map(|_| ()).map_err(|error| failed(&named(&tag), error))
    }
}

/// A manifest as it is sent, and what it is called.
fn descriptor_of(manifest: &OciImageManifest) -> Result<(OciDescriptor, Vec<u8>), Refusal> {
    let bytes = serde_json::to_vec(manifest).map_err(|e| Refusal::new(Code::InternalError, e.to_string()))?;
    Ok((descriptor(OCI_IMAGE_MEDIA_TYPE, &bytes, None), bytes))
}

/// The envelope, if it is one of these bytes under this name. Whether anybody trusts it is for those who install it.
fn fitting(pack: &Candidate) -> Result<&[u8], Refusal> {
    let missing = || Refusal::new(Code::EnvelopeMissing, format!("{} has no envelope beside it", pack.source));
    let bytes = pack.envelopes.first().ok_or_else(missing)?;
    let invalid = |error: &dyn std::fmt::Display| Refusal::new(Code::EnvelopeInvalid, error.to_string());
    let envelope = Envelope::parse(bytes).map_err(|e| invalid(&e))?;
    let statement = Statement::parse(envelope.unverified_payload()).map_err(|e| invalid(&e))?;
    if statement.subject_digest() != &sha256(&pack.component) || statement.subject_name() != pack.file_name {
        return Err(Refusal::new(Code::ComponentMismatch, "the envelope is of another component"));
    }
    Ok(bytes)
}

fn descriptor(media_type: &str, bytes: &[u8], title: Option<&str>) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: format!("sha256:{}", hex(&sha256(bytes))),
        size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        annotations: title.map(|title| BTreeMap::from([(TITLE.to_owned(), title.to_owned())])),
        ..OciDescriptor::default()
    }
}

/// What tools that list WebAssembly artifacts look at. Nothing of it is believed here.
fn config(pack: &Candidate) -> Vec<u8> {
    let layer = format!("sha256:{}", hex(&sha256(&pack.component)));
    let text = json!({
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer],
        "component": { "exports": [EXPORT], "imports": [IMPORT] },
    });
    text.to_string().into_bytes()
}

fn component_manifest(pack: &Candidate) -> OciImageManifest {
    OciImageManifest {
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        config: descriptor(WASM_CONFIG, &config(pack), None),
        layers: vec![descriptor(WASM_LAYER, &pack.component, Some(&pack.file_name))],
        ..OciImageManifest::default()
    }
}

fn envelope_manifest(pack: &Candidate, envelope: &[u8], subject: OciDescriptor) -> OciImageManifest {
    let title = lockgate_signing::declaration::envelope_file_name(&pack.file_name);
    OciImageManifest {
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        artifact_type: Some(ENVELOPE.to_owned()),
        config: descriptor(EMPTY, EMPTY_CONTENT, None),
        layers: vec![descriptor(ENVELOPE, envelope, Some(&title))],
        subject: Some(subject),
        ..OciImageManifest::default()
    }
}
