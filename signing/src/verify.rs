//! From bytes to a [`VerifiedComponent`]: the one way there, in one fixed order. Nothing of the payload is parsed before
//! a trusted key's signature over it has been checked, and nothing of the component is parsed at all.

mod error;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use jiff::{SignedDuration, Timestamp};

pub use self::error::VerifyError;
use crate::{
    declaration::{component_file_name, envelope_file_name},
    encoding::{hex, sha256},
    envelope::Envelope,
    file::{self, MAX_COMPONENT_BYTES, MAX_ENVELOPE_BYTES},
    key::{KeyId, PublicKey},
    name::PackName,
    predicate::{Predicate, Statement},
    trust::{Publisher, Trust, TrustedKey},
    version::PackVersion,
};

/// How far the signer's clock may be ahead of ours: a pack that was signed a moment ago in a pipeline is installed.
pub const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The highest version of each pack that has been in use. Whoever installs packs keeps it.
pub type HighestSeen = BTreeMap<PackName, PackVersion>;

/// A key that signed and counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSigner {
    /// The operator's name for it.
    pub name: String,
    /// Its id.
    pub key_id: KeyId,
}

/// What the operator lets this component do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The statement classes that were both signed and granted to the publisher.
    pub classes: BTreeSet<String>,
    /// Patterns of the targets that it may be used on.
    pub targets: Vec<String>,
}

/// A component whose bytes, envelope and authority have been verified. Only this module makes one.
#[derive(Clone, Debug)]
pub struct VerifiedComponent {
    bytes: Vec<u8>,
    digest: [u8; 32],
    statement: Statement,
    /// Every trusted key whose signature was checked, for [`Self::still_trusted`].
    signed_by: Vec<PublicKey>,
    signers: Vec<VerifiedSigner>,
    grant: Grant,
}

impl VerifiedComponent {
    /// The very bytes that were verified.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their SHA-256.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Their SHA-256 as lower-case hexadecimal.
    #[must_use]
    pub fn digest_hex(&self) -> String {
        hex(&self.digest)
    }

    /// The whole statement that was signed.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// What was signed about them.
    #[must_use]
    pub fn predicate(&self) -> &Predicate {
        self.statement.predicate()
    }

    /// The pack's name.
    #[must_use]
    pub fn pack(&self) -> &PackName {
        self.statement.pack()
    }

    /// The pack's version.
    #[must_use]
    pub fn version(&self) -> &PackVersion {
        self.statement.version()
    }

    /// The publisher's keys that signed, each once, in the order of the trust policy.
    #[must_use]
    pub fn signers(&self) -> &[VerifiedSigner] {
        &self.signers
    }

    /// What the operator lets it do.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Asks once more whether it would be accepted, by a trust policy that may have changed and at a later time. What was
    /// granted must still be granted. The signatures have been checked and their bytes can't have changed, so this is cheap
    /// enough for every call. Going back is no question here: it was one when the component was taken in.
    ///
    /// # Errors
    ///
    /// [`VerifyError`].
    pub fn still_trusted(&self, trust: &Trust, now: Timestamp) -> Result<(), VerifyError> {
        usable(&self.signed_by, trust, now)?;
        let (_, grant) = authorise(&self.statement, &self.digest, &self.signed_by, trust, now, None)?;
        let kept = self.grant.targets.iter().all(|pattern| grant.targets.contains(pattern));
        if kept { Ok(()) } else { Err(VerifyError::GrantChanged) }
    }
}

/// Reads a component and the envelope beside it, each once, and verifies them.
///
/// # Errors
///
/// [`VerifyError`].
pub fn verify_file(
    component: impl AsRef<Path>,
    trust: &Trust,
    now: Timestamp,
    highest_seen: &HighestSeen,
) -> Result<VerifiedComponent, VerifyError> {
    let component = component.as_ref();
    let name = component.file_name().and_then(|name| name.to_str()).ok_or(VerifyError::NoFileName)?;
    let envelope = component.with_file_name(envelope_file_name(name));
    verify_files(component, &envelope, trust, now, highest_seen)
}

/// The same with an envelope that lies elsewhere.
///
/// # Errors
///
/// [`VerifyError`].
pub fn verify_files(
    component: &Path,
    envelope: &Path,
    trust: &Trust,
    now: Timestamp,
    highest_seen: &HighestSeen,
) -> Result<VerifiedComponent, VerifyError> {
    let name = component.file_name().and_then(|name| name.to_str()).ok_or(VerifyError::NoFileName)?;
    let bytes = file::read_once(component, MAX_COMPONENT_BYTES)?;
    let envelope = file::read_once(envelope, MAX_ENVELOPE_BYTES).map_err(|error| {
        if error.is_missing() { VerifyError::EnvelopeMissing(error) } else { VerifyError::File(error) }
    })?;
    verify_after(bytes, name, &envelope, trust, now, highest_seen)
}

/// Verifies bytes that have been read, where no version has been in use before.
///
/// # Errors
///
/// [`VerifyError`].
pub fn verify(
    component: Vec<u8>,
    file_name: &str,
    envelope: &[u8],
    trust: &Trust,
    now: Timestamp,
) -> Result<VerifiedComponent, VerifyError> {
    verify_after(component, file_name, envelope, trust, now, &HighestSeen::new())
}

/// Verifies bytes that have been read, and refuses a version below the highest one that has been in use.
///
/// # Errors
///
/// [`VerifyError`].
pub fn verify_after(
    component: Vec<u8>,
    file_name: &str,
    envelope: &[u8],
    trust: &Trust,
    now: Timestamp,
    highest_seen: &HighestSeen,
) -> Result<VerifiedComponent, VerifyError> {
    bounded("component", component.len(), MAX_COMPONENT_BYTES)?;
    bounded("envelope", envelope.len(), MAX_ENVELOPE_BYTES)?;
    let envelope = Envelope::parse(envelope)?;
    let signed_by = signed_by(&envelope, trust);
    usable(&signed_by, trust, now)?;

    // From here on the payload is the word of a key that the operator listed.
    let statement = Statement::parse(envelope.unverified_payload())?;
    let expected = component_file_name(statement.pack(), statement.version());
    if statement.subject_name() != expected || file_name != expected {
        return Err(VerifyError::Name { expected, found: file_name.to_owned() });
    }
    let digest = sha256(&component);
    if statement.subject_digest() != &digest {
        return Err(VerifyError::Digest { signed: hex(statement.subject_digest()), found: hex(&digest) });
    }
    let (signers, grant) = authorise(&statement, &digest, &signed_by, trust, now, Some(highest_seen))?;
    Ok(VerifiedComponent { bytes: component, digest, statement, signed_by, signers, grant })
}

fn bounded(what: &'static str, length: usize, limit: u64) -> Result<(), VerifyError> {
    if length as u64 > limit { Err(VerifyError::TooLarge { what, limit }) } else { Ok(()) }
}

/// Every listed key that made one of the signatures. A key id is somebody's hint, so each key is tried on each signature.
fn signed_by(envelope: &Envelope, trust: &Trust) -> Vec<PublicKey> {
    let signed = envelope.signed_bytes();
    let made_one =
        |key: &PublicKey| envelope.signatures().iter().any(|signature| key.verifies(&signed, signature.bytes()));
    trust.keys().iter().map(|listed| *listed.key()).filter(made_one).collect()
}

/// Requires at least one signature by a key that counts now; before that nothing of the payload is looked at.
fn usable(signed_by: &[PublicKey], trust: &Trust, now: Timestamp) -> Result<(), VerifyError> {
    count(signed_by, trust, now, |_| true).require(1, None).map(|_| ())
}

/// Signatures sorted by whether they count.
#[derive(Default)]
struct Count<'a> {
    good: Vec<&'a TrustedKey>,
    revoked: Vec<&'a TrustedKey>,
    not_valid: Vec<&'a TrustedKey>,
}

fn count<'a>(signed_by: &[PublicKey], trust: &'a Trust, now: Timestamp, allowed: impl Fn(&KeyId) -> bool) -> Count<'a> {
    let mut count = Count::default();
    let mut seen = BTreeSet::new();
    for key in trust.keys() {
        let id = key.key().id();
        // By the bytes of the key: neither a second signature nor a second name makes it two.
        if !allowed(&id) || !signed_by.contains(key.key()) || !seen.insert(*key.key().as_bytes()) {
            continue;
        }
        if trust.is_key_revoked(&id) {
            count.revoked.push(key);
        } else if key.is_valid_at(now) {
            count.good.push(key);
        } else {
            count.not_valid.push(key);
        }
    }
    count
}

impl<'a> Count<'a> {
    /// The keys that count, if there are enough; otherwise the reason that says most about what to do.
    fn require(self, threshold: usize, publisher: Option<&Publisher>) -> Result<Vec<&'a TrustedKey>, VerifyError> {
        let Self { good, revoked, not_valid } = self;
        if good.len() >= threshold {
            return Ok(good);
        }
        if let Some(key) = revoked.first() {
            return Err(VerifyError::KeyRevoked { name: key.name().to_owned(), key_id: key.key().id() });
        }
        if let Some(key) = not_valid.first() {
            return Err(VerifyError::KeyNotValid { name: key.name().to_owned(), key_id: key.key().id() });
        }
        match publisher {
            Some(publisher) if !good.is_empty() => {
                Err(VerifyError::Threshold { publisher: publisher.name().to_owned(), signed: good.len(), threshold })
            }
            publisher => {
                Err(VerifyError::NotSigned { publisher: publisher.map(|publisher| publisher.name().to_owned()) })
            }
        }
    }
}

/// Whether the operator lets these keys publish this statement, now.
fn authorise(
    statement: &Statement,
    digest: &[u8; 32],
    signed_by: &[PublicKey],
    trust: &Trust,
    now: Timestamp,
    highest_seen: Option<&HighestSeen>,
) -> Result<(Vec<VerifiedSigner>, Grant), VerifyError> {
    let (pack, version, predicate) = (statement.pack(), statement.version(), statement.predicate());
    let publisher = trust
        .publisher(&predicate.publisher)
        .ok_or_else(|| VerifyError::PublisherUnknown { publisher: predicate.publisher.clone() })?;
    let counted = count(signed_by, trust, now, |id| publisher.keys().contains(id));
    let keys = counted.require(publisher.threshold(), Some(publisher))?;
    if !publisher.publishes(pack) {
        return Err(VerifyError::PackNotGranted { publisher: publisher.name().to_owned(), pack: pack.clone() });
    }
    let (issued, expires) = (predicate.issued, predicate.expires);
    if issued.duration_since(now) > MAX_CLOCK_SKEW || expires <= now {
        return Err(VerifyError::NotValidNow { issued, expires, now });
    }
    if trust.is_digest_revoked(digest) {
        return Err(VerifyError::DigestRevoked { digest: hex(digest) });
    }
    if let Some(pin) = trust.pin(pack, version)
        && pin != digest
    {
        return Err(VerifyError::Pinned { pack: pack.clone(), version: version.clone(), pin: hex(pin) });
    }
    if let Some(minimum) = trust.minimum(pack)
        && version < minimum
    {
        return Err(VerifyError::BelowMinimum {
            pack: pack.clone(),
            version: version.clone(),
            minimum: Box::new(minimum.clone()),
        });
    }
    if let Some(highest) = highest_seen.and_then(|seen| seen.get(pack))
        && version < highest
        && !trust.allows_rollback(pack, version)
    {
        return Err(VerifyError::Rollback {
            pack: pack.clone(),
            version: version.clone(),
            highest: Box::new(highest.clone()),
        });
    }
    if let Some(class) = predicate.classes.iter().find(|class| !publisher.classes().contains(*class)) {
        return Err(VerifyError::ClassNotGranted { publisher: publisher.name().to_owned(), class: class.clone() });
    }
    let signers =
        keys.iter().map(|key| VerifiedSigner { name: key.name().to_owned(), key_id: key.key().id() }).collect();
    let grant = Grant { classes: predicate.classes.iter().cloned().collect(), targets: publisher.targets().to_vec() };
    Ok((signers, grant))
}
