//! Publishing to a registry: the component, and its envelope as a referrer of it. The same component and envelope make the same
//! manifests, so publishing twice changes nothing.

use std::{collections::BTreeMap, time::Duration};

use lockgate_signing::{encoding::sha256, envelope::Envelope, predicate::Statement};
use oci_client::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    manifest::{
        ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageIndex,
        OciImageManifest, OciManifest,
    },
    secrets::RegistryAuth,
    token_cache::RegistryTokenType,
};
use reqwest::header::HeaderValue;
use serde_json::json;

use super::{
    Published, Registry, Session, exchange, in_time,
    layout::{EMPTY, EMPTY_CONTENT, ENVELOPE, TITLE, WASM_CONFIG, WASM_LAYER},
    named,
    read::{by_digest, digest_of},
};
use crate::{
    error::{Code, Refusal},
    install::Candidate,
    outbound,
    pack::admission::{EXPORT, IMPORT},
};

/// To connect, and between two parts of an answer.
const CONNECT: Duration = Duration::from_secs(5);
const READ: Duration = Duration::from_secs(30);

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
        let writer = Writer::new(self).await?;
        let component = component_manifest(pack);
        writer.put_blob(&self.reference, &component.layers, &pack.component).await?;
        writer.put_blob(&self.reference, [&component.config], &config(pack)).await?;
        let subject = writer.put_manifest(&self.reference, &component).await?;

        let manifest = envelope_manifest(pack, envelope, subject.clone());
        writer.put_blob(&self.reference, &manifest.layers, envelope).await?;
        writer.put_blob(&self.reference, [&manifest.config], EMPTY_CONTENT).await?;
        let (registry, repository) = (self.reference.registry().to_owned(), self.reference.repository().to_owned());
        // A tag in form only: the client takes a reference by digest apart where a registry does not say where it put it.
        let place = Reference::with_tag(registry, repository, descriptor_of(&manifest)?.0.digest);
        let referrer = writer.put_manifest(&place, &manifest).await?;
        writer.refer(&self.reference, &subject, &referrer).await?;
        let pinned = by_digest(&self.reference, &subject.digest)?;
        Ok(Published { reference: named(&pinned), envelope: referrer.digest })
    }
}

/// Who reads, and the library's client, which knows who it is and has nothing to ask a token with.
struct Writer {
    session: Session,
    client: Client,
}

impl Writer {
    async fn new(registry: &Registry) -> Result<Self, Refusal> {
        let session = registry.open(RegistryOperation::Push).await?;
        let host = registry.reference.resolve_registry();
        let plain = if registry.plain_http { vec![host.to_owned()] } else { Vec::new() };
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain),
            read_timeout: Some(READ),
            connect_timeout: Some(CONNECT),
            user_agent: concat!("lockgate/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| failed(&registry.name(), error))?;
        match &session.auth {
            // Without any it asks nobody.
            RegistryAuth::Anonymous => {}
            // A token is used as it is.
            RegistryAuth::Bearer(_) => client.store_auth_if_needed(host, &session.auth).await,
            // A password would be sent wherever the registry says that tokens come from, were it not taken for the answer of that.
            RegistryAuth::Basic(user, password) => {
                let answer = RegistryTokenType::Basic(user.clone(), password.clone());
                client.store_auth_if_needed(host, &RegistryAuth::Anonymous).await;
                client.tokens.insert(&registry.reference, RegistryOperation::Push, answer).await;
            }
        }
        Ok(Self { session, client })
    }

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
        let mut index: OciImageIndex = self.session.referrers(&pinned, None).await?;
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

/// What a failure to write is called here. What the registry says of it is not repeated: it knows who asked, and by what.
fn failed(what: &str, error: OciDistributionError) -> Refusal {
    match error {
        OciDistributionError::RequestError(error) => exchange::failed(what, &outbound::said(error)),
        OciDistributionError::ServerError { code, .. } => {
            exchange::failed(what, &format!("the registry does not take it ({code})"))
        }
        error => exchange::failed(what, &error.to_string()),
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
        digest: digest_of(bytes),
        size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        annotations: title.map(|title| BTreeMap::from([(TITLE.to_owned(), title.to_owned())])),
        ..OciDescriptor::default()
    }
}

/// What tools that list WebAssembly artifacts look at. Nothing of it is believed here.
fn config(pack: &Candidate) -> Vec<u8> {
    let layer = digest_of(&pack.component);
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
