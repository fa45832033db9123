//! Packs in an OCI registry, in the layout that WebAssembly tools share (config `application/vnd.wasm.config.v0+json`, one layer
//! `application/wasm`), with their envelopes as referrers of the manifest. A tag is turned into a digest once; everything that
//! is read is read by digest, and its bytes are checked against it.

mod credentials;
mod layout;
mod pull;
mod push;

use std::time::Duration;

use oci_client::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    secrets::RegistryAuth,
};

use crate::{
    error::{Code, Refusal},
    outbound,
    outside::shown,
};

/// To connect, and between two parts of an answer.
const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(30);
/// For everything that one command asks of a registry: the largest component over a slow line.
const TIME: Duration = Duration::from_secs(300);

/// An artifact in a registry.
#[derive(Clone, Debug)]
pub struct Registry {
    reference: Reference,
    plain_http: bool,
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The artifact, by the digest of its manifest.
    pub reference: String,
    /// Digest of the envelope's manifest.
    pub envelope: String,
}

impl Registry {
    pub(super) fn new(reference: Reference, plain_http: bool) -> Self {
        Self { reference, plain_http }
    }

    /// As it is written, with `oci://`.
    #[must_use]
    pub fn name(&self) -> String {
        named(&self.reference)
    }

    async fn open(&self, operation: RegistryOperation) -> Result<Session, Refusal> {
        outbound::install_tls();
        let registry = self.reference.resolve_registry().to_owned();
        let plain = if self.plain_http { vec![registry.clone()] } else { Vec::new() };
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain),
            // An index of platforms has no meaning here.
            platform_resolver: None,
            read_timeout: Some(READ),
            connect_timeout: Some(CONNECT),
            user_agent: concat!("lockgate/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| failed(&self.name(), error))?;
        let auth = credentials::of(&registry)?;
        let session = Session { client, auth };
        session
            .client
            .auth(&self.reference, &session.auth, operation)
            .await
            .map_err(|error| failed(&self.name(), error))?;
        Ok(session)
    }
}

/// A client that knows who it is to a registry.
struct Session {
    client: Client,
    auth: RegistryAuth,
}

fn named(reference: &Reference) -> String {
    format!("oci://{reference}")
}

/// What a registry's failure is called here: bytes that are not those of their digest are never the network's fault.
fn failed(what: &str, error: OciDistributionError) -> Refusal {
    let what = shown(what, 300);
    match error {
        OciDistributionError::DigestError(error) => Refusal::new(Code::ComponentMismatch, format!("{what}: {error}"))
            .with_remedy("the registry serves other bytes than it names; don't use them, and tell whoever runs it"),
        OciDistributionError::IoError(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            Refusal::new(Code::FileTooLarge, format!("{what} is larger than it may be"))
        }
        OciDistributionError::RequestError(error) => {
            Refusal::new(Code::FetchFailed, format!("{what}: {}", shown(&outbound::said(error), 500)))
        }
        error => Refusal::new(Code::FetchFailed, format!("{what}: {}", shown(&error.to_string(), 500))),
    }
}

async fn in_time<T>(what: &str, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(TIME, work).await.unwrap_or_else(|_| {
        Err(Refusal::new(Code::FetchFailed, format!("{}: no end after {} s", shown(what, 300), TIME.as_secs())))
    })
}
