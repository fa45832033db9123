//! Packs in an OCI registry, in the layout that WebAssembly tools share (config `application/vnd.wasm.config.v0+json`, one layer
//! `application/wasm`), with their envelopes as referrers of the manifest. A tag is turned into a digest once; everything that
//! is read is read by digest, and its bytes are checked against it. Reading and logging in is done here, within bounds and with
//! nothing followed but a layer; writing is the library's, which is given who it is and never asks anybody itself.

mod credentials;
mod exchange;
mod layout;
mod leads;
mod login;
mod pull;
mod push;
mod read;
mod tags;

use std::time::Duration;

use oci_client::{Reference, RegistryOperation, secrets::RegistryAuth};
use reqwest::{Client, Url};

use self::exchange::failed;
use crate::{error::Refusal, outbound};

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
        let name = self.name();
        let registry = self.reference.resolve_registry();
        let scheme = if self.plain_http { "http" } else { "https" };
        let home: Url =
            format!("{scheme}://{registry}/").parse().map_err(|_| failed(&name, "its registry is no address"))?;
        let http = outbound::client(outbound::is_near(&home), TIME).map_err(|why| failed(&name, &why))?;
        let stored = credentials::of(registry)?;
        let auth = login::log_in(&http, &home, &name, (&self.reference, operation), stored).await?;
        Ok(Session { http, home, auth })
    }
}

/// A registry, and who asks it.
struct Session {
    /// Follows nothing.
    http: Client,
    /// The registry's own address.
    home: Url,
    /// What the registry takes: the user's credentials, a token, or nothing. Only ever sent to it.
    auth: RegistryAuth,
}

fn named(reference: &Reference) -> String {
    format!("oci://{reference}")
}

async fn in_time<T>(what: &str, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let late = || Err(failed(what, &format!("no end after {} s", TIME.as_secs())));
    tokio::time::timeout(TIME, work).await.unwrap_or_else(|_| late())
}
