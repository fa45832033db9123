//! Packs on their way here: where they come from (a file, a directory, an HTTPS address, an OCI registry), which of them is
//! accepted, and how one is put in place or taken away. What arrives is bytes that nobody vouches for until
//! `lockgate_signing::verify` has; a tag or a name decides nothing. Knows neither the gate nor who asks.

mod bounded;
mod files;
mod https;
pub mod place;
pub mod registry;
pub mod source;

use std::collections::BTreeSet;

use jiff::Timestamp;
use lockgate_signing::{
    encoding::hex,
    trust::Trust,
    verify::{HighestSeen, VerifiedComponent, VerifyError, verify_after},
};

pub use self::source::Source;
use crate::{
    error::{Code, Refusal},
    outside::shown,
    pack::admission::AdmissionError,
    store::Store,
};

/// A component as it arrived, with every envelope that came with it. Nothing of it has been verified.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its claimed file name: `NAME-VERSION.wasm`.
    pub file_name: String,
    /// The component.
    pub component: Vec<u8>,
    /// Envelopes; the first that is accepted counts.
    pub envelopes: Vec<Vec<u8>>,
    /// Where it came from, without anything secret.
    pub source: String,
    /// Digest of the registry's manifest, if it came from one.
    pub manifest: Option<String>,
}

/// A component that was verified, and the envelope by which it was.
#[derive(Debug)]
pub struct Accepted {
    /// The component.
    pub verified: VerifiedComponent,
    /// The envelope's bytes.
    pub envelope: Vec<u8>,
}

impl Candidate {
    /// Verifies it by one of its envelopes.
    ///
    /// # Errors
    /// Why none of them is accepted: what is wrong with one that a listed key signed, rather than that others are by strangers.
    pub fn accept(self, trust: &Trust, seen: &HighestSeen) -> Result<Accepted, Refusal> {
        let mut worst: Option<VerifyError> = None;
        for envelope in &self.envelopes {
            let bytes = self.component.clone();
            match verify_after(bytes, &self.file_name, envelope, trust, Timestamp::now(), seen) {
                Ok(verified) => return Ok(Accepted { verified, envelope: envelope.clone() }),
                Err(error) => {
                    if worst.as_ref().is_none_or(|worst| worst.code() == Code::SignatureInvalid.as_str()) {
                        worst = Some(error);
                    }
                }
            }
        }
        Err(match worst {
            Some(error) => AdmissionError::from(error).into(),
            None => Refusal::new(Code::EnvelopeMissing, format!("{} has no envelope", shown(&self.source, 300)))
                .with_remedy("have its publisher sign it and publish the envelope with it"),
        })
    }
}

/// Refuses a version that was used here with other bytes, wherever it comes from: a publisher numbers anew, and whoever moves a
/// tag does not. A pin says which of the two is meant.
///
/// # Errors
/// [`Code::TagMoved`], and the store's.
pub fn is_the_same_version(verified: &VerifiedComponent, trust: &Trust, store: &dyn Store) -> Result<(), Refusal> {
    let (pack, version) = (verified.pack(), verified.version());
    if trust.pin(pack, version) == Some(&verified.digest()) {
        return Ok(());
    }
    let text = version.to_string();
    let history = store.pack_history(pack.as_str())?;
    let used: BTreeSet<_> = history.iter().filter(|c| c.pack.version == text).map(|c| c.pack.digest.as_str()).collect();
    let digest = hex(&verified.digest());
    match used.first() {
        Some(before) if !used.contains(digest.as_str()) => Err(Refusal::new(
            Code::TagMoved,
            format!("{pack} {version} was used here with the SHA-256 {before}, and this one has {digest}"),
        )
        .with_remedy(
            "do not use it; ask the publisher why, and pin these bytes with `lockgate trust add pin` if you mean to",
        )),
        _ => Ok(()),
    }
}
