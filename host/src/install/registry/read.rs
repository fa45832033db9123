//! What is read of a registry: manifests, the list of what refers to one, and blobs. Everything that has a digest is compared with
//! it here.

use lockgate_signing::encoding::{hex, parse_sha256, sha256};
use oci_client::{
    Reference,
    manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OciDescriptor, OciImageIndex, OciImageManifest},
    secrets::RegistryAuth,
};
use reqwest::{
    StatusCode, Url,
    header::{HeaderName, LOCATION},
};

use super::{
    Session, TIME,
    exchange::{Answer, Question, SMALL, ask, failed},
    leads, named,
};
use crate::{
    error::{Code, Refusal},
    outside::shown,
};

/// A manifest, an index, a page of tags: what the OCI distribution specification (1.1, pushing manifests) wants a registry to take.
pub(super) const MANIFEST_BYTES: u64 = 4 << 20;
/// Addresses that one layer leads through. Registries need one.
const HOPS: usize = 3;
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
/// What a registry says that a manifest's digest is.
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

impl Session {
    /// An address of a reference's repository.
    pub(super) fn url(&self, place: &Reference, rest: &str) -> Result<Url, Refusal> {
        let path = format!("v2/{}/{rest}", place.repository());
        self.home.join(&path).map_err(|error| failed(&named(place), &error.to_string()))
    }

    /// Asks for what is small.
    pub(super) async fn ask(&self, what: &str, url: Url, accept: &'static str) -> Result<Answer, Refusal> {
        let limit = MANIFEST_BYTES;
        ask(&self.http, Question { what, url, accept, auth: &self.auth, limit, time: SMALL }).await
    }

    /// A manifest and its digest: the one that was asked for, or what its tag stands for.
    pub(super) async fn manifest(&self, place: &Reference) -> Result<(OciImageManifest, String), Refusal> {
        let what = named(place);
        let wanted = place.digest().or(place.tag()).unwrap_or("latest");
        let answer = self.ask(&what, self.url(place, &format!("manifests/{wanted}"))?, MANIFESTS).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.refusal(&what, &self.auth));
        }
        let digest = digest_of(&answer.body);
        let said = answer.header(DIGEST).filter(|said| said.starts_with("sha256:"));
        for said in place.digest().into_iter().chain(said) {
            compare(&what, said, &digest)?;
        }
        let manifest = serde_json::from_slice::<OciImageManifest>(&answer.body).map_err(|error| {
            if serde_json::from_slice::<OciImageIndex>(&answer.body).is_ok() {
                return failed(&what, "it is an index of other manifests").with_remedy("name one of them");
            }
            failed(&what, &format!("it is no manifest: {error}"))
        })?;
        if manifest.schema_version != 2 {
            return Err(failed(&what, "it is a manifest of a version that lockgate does not know"));
        }
        Ok((manifest, digest))
    }

    /// What refers to a manifest. A registry that has no list for it is asked for the tag that stands for one (OCI distribution
    /// specification 1.1, referrers tag schema); some lead to a page about themselves instead of saying that they have none.
    pub(super) async fn referrers(&self, pinned: &Reference, of_type: Option<&str>) -> Result<OciImageIndex, Refusal> {
        let what = named(pinned);
        let digest = pinned.digest().unwrap_or_default();
        let mut url = self.url(pinned, &format!("referrers/{digest}"))?;
        if let Some(of_type) = of_type {
            url.query_pairs_mut().append_pair("artifactType", of_type);
        }
        let answer = self.ask(&what, url, OCI_IMAGE_INDEX_MEDIA_TYPE).await?;
        let has_none = matches!(
            answer.status,
            StatusCode::NOT_FOUND
                | StatusCode::BAD_REQUEST
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_ACCEPTABLE
        );
        let answer = if has_none || answer.status.is_redirection() {
            let tag = digest.replace(':', "-");
            self.ask(&what, self.url(pinned, &format!("manifests/{tag}"))?, OCI_IMAGE_INDEX_MEDIA_TYPE).await?
        } else {
            answer
        };
        match answer.status {
            StatusCode::OK => serde_json::from_slice(&answer.body)
                .map_err(|error| failed(&what, &format!("what refers to it is no index: {error}"))),
            StatusCode::NOT_FOUND => Ok(OciImageIndex {
                schema_version: 2,
                media_type: None,
                manifests: Vec::new(),
                artifact_type: None,
                annotations: None,
            }),
            _ => Err(answer.refusal(&what, &self.auth)),
        }
    }

    /// A blob's bytes: those of its digest, no more than were said, within the bound. It alone is fetched where the registry
    /// leads, and by nobody in particular from where that is another server.
    pub(super) async fn blob(&self, place: &Reference, said: &OciDescriptor, limit: u64) -> Result<Vec<u8>, Refusal> {
        let what = named(place);
        by_digest(place, &said.digest)?;
        let size = u64::try_from(said.size).ok().filter(|size| *size <= limit).ok_or_else(|| {
            let message = format!("{what}: a layer has {} bytes, and {limit} are the most", said.size);
            Refusal::new(Code::FileTooLarge, message)
        })?;
        // By its digest alone: other addresses that a manifest may name for a layer are nobody's business.
        let mut url = self.url(place, &format!("blobs/{}", said.digest))?;
        let mut auth = &self.auth;
        for _ in 0..=HOPS {
            let question = Question { what: &what, url: url.clone(), accept: "*/*", auth, limit: size, time: TIME };
            let answer = ask(&self.http, question).await?;
            if answer.status == StatusCode::OK {
                compare(&what, &said.digest, &digest_of(&answer.body))?;
                return Ok(answer.body);
            }
            let Some(location) = answer.header(LOCATION).filter(|_| answer.status.is_redirection()) else {
                return Err(answer.refusal(&what, auth));
            };
            url = leads::layer(&self.home, &url, location).map_err(|why| failed(&what, &why))?;
            // Once it has left, it stays so.
            if url.origin() != self.home.origin() {
                auth = &RegistryAuth::Anonymous;
            }
        }
        Err(failed(&what, &format!("a layer leads on more than {HOPS} times")))
    }
}

/// The same repository at a digest, which must be a SHA-256.
pub(super) fn by_digest(reference: &Reference, digest: &str) -> Result<Reference, Refusal> {
    if digest.strip_prefix("sha256:").and_then(parse_sha256).is_none() {
        return Err(failed(&named(reference), &format!("`{}` is not a SHA-256 digest", shown(digest, 100))));
    }
    let (registry, repository) = (reference.registry().to_owned(), reference.repository().to_owned());
    Ok(Reference::with_digest(registry, repository, digest.to_owned()))
}

/// What bytes are called in a registry.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&sha256(bytes)))
}

/// Bytes that are not those of their digest are never the network's fault.
fn compare(what: &str, said: &str, is: &str) -> Result<(), Refusal> {
    if said == is {
        return Ok(());
    }
    let message = format!("{}: `{}` was named, and {is} came", shown(what, 300), shown(said, 100));
    Err(Refusal::new(Code::ComponentMismatch, message)
        .with_remedy("the registry serves other bytes than it names; don't use them, and tell whoever runs it"))
}
