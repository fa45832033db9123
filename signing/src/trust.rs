//! The operator's `trust.toml`: which keys may publish which packs, and what those packs may do. It is the only source of
//! authority in this crate; whoever can write it decides, so a file that others may write is refused.

mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use jiff::Timestamp;

pub use self::file::{TrustError, TrustFault};
use crate::{
    encoding::printable,
    file::{MAX_TRUST_BYTES, read_guarded},
    glob::Pattern,
    key::{KeyId, PublicKey},
    name::PackName,
    version::PackVersion,
};

/// Most keys of a trust policy. An envelope may carry sixteen signatures, each is tried with every key, and this many keep
/// the worst envelope at about a second.
pub const MAX_KEYS: usize = 128;

/// A key that the operator has listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    name: String,
    key: PublicKey,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

impl TrustedKey {
    /// The operator's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// From when on it counts; always without.
    #[must_use]
    pub fn not_before(&self) -> Option<Timestamp> {
        self.not_before
    }

    /// From when on it counts no longer; never without.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }

    /// Whether it counts at this time: from `not_before` on, until just before `not_after`.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|start| start <= now) && self.not_after.is_none_or(|end| now < end)
    }
}

/// Whoever may publish packs, and with what authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    name: String,
    packs: Vec<Pattern>,
    keys: BTreeSet<KeyId>,
    threshold: usize,
    classes: BTreeSet<String>,
    targets: Vec<String>,
}

impl Publisher {
    /// The name that its predicates carry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Patterns of the packs that it may publish, as written.
    pub fn packs(&self) -> impl Iterator<Item = &str> {
        self.packs.iter().map(Pattern::as_str)
    }

    /// Whether it may publish a pack of this name.
    #[must_use]
    pub fn publishes(&self, pack: &PackName) -> bool {
        self.packs.iter().any(|pattern| pattern.matches(pack.as_str()))
    }

    /// Its keys, by what they are made of.
    #[must_use]
    pub fn keys(&self) -> &BTreeSet<KeyId> {
        &self.keys
    }

    /// How many different keys must have signed.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// The statement classes that its packs may use.
    #[must_use]
    pub fn classes(&self) -> &BTreeSet<String> {
        &self.classes
    }

    /// Patterns of the targets that its packs may be used on.
    #[must_use]
    pub fn targets(&self) -> &[String] {
        &self.targets
    }
}

/// A trust policy that has been read and is consistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    keys: Vec<TrustedKey>,
    publishers: BTreeMap<String, Publisher>,
    pins: BTreeMap<(PackName, PackVersion), [u8; 32]>,
    minimum: BTreeMap<PackName, PackVersion>,
    allow_rollback: BTreeSet<(PackName, PackVersion)>,
    revoked_keys: BTreeSet<KeyId>,
    revoked_digests: BTreeSet<[u8; 32]>,
    digest: [u8; 32],
}

impl Trust {
    /// Reads a trust policy that belongs to this user or root and that nobody else may write.
    ///
    /// # Errors
    ///
    /// [`TrustError`], naming the file and, for its content, the line.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TrustError> {
        let path = path.as_ref();
        let bytes = read_guarded(path, MAX_TRUST_BYTES)?;
        let place = printable(&path.to_string_lossy());
        let text = String::from_utf8(bytes)
            .map_err(|error| TrustFault::at(None, format!("it is not UTF-8: {}", error.utf8_error())).within(&place))?;
        file::parse(&text).map_err(|fault| fault.within(&place))
    }

    /// Reads the text of a trust policy.
    ///
    /// # Errors
    ///
    /// [`TrustError`], naming the line.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        file::parse(text).map_err(|fault| fault.within("trust.toml"))
    }

    /// All keys.
    #[must_use]
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// All publishers, by name.
    pub fn publishers(&self) -> impl Iterator<Item = &Publisher> {
        self.publishers.values()
    }

    /// A publisher by name.
    #[must_use]
    pub fn publisher(&self, name: &str) -> Option<&Publisher> {
        self.publishers.get(name)
    }

    /// Every pinned version, and the only SHA-256 that it may have.
    pub fn pins(&self) -> impl Iterator<Item = (&PackName, &PackVersion, &[u8; 32])> {
        self.pins.iter().map(|((pack, version), digest)| (pack, version, digest))
    }

    /// The lowest accepted version of every pack that has one.
    pub fn minimums(&self) -> impl Iterator<Item = (&PackName, &PackVersion)> {
        self.minimum.iter()
    }

    /// The versions that it is allowed to go back to.
    pub fn rollbacks(&self) -> impl Iterator<Item = (&PackName, &PackVersion)> {
        self.allow_rollback.iter().map(|(pack, version)| (pack, version))
    }

    /// The keys that have been revoked, listed or not.
    #[must_use]
    pub fn revoked_keys(&self) -> &BTreeSet<KeyId> {
        &self.revoked_keys
    }

    /// The SHA-256 of the components that have been revoked.
    #[must_use]
    pub fn revoked_digests(&self) -> &BTreeSet<[u8; 32]> {
        &self.revoked_digests
    }

    /// The only SHA-256 that a version of a pack may have, if it is pinned.
    #[must_use]
    pub fn pin(&self, pack: &PackName, version: &PackVersion) -> Option<&[u8; 32]> {
        self.pins.get(&(pack.clone(), version.clone()))
    }

    /// The lowest version of a pack that is accepted.
    #[must_use]
    pub fn minimum(&self, pack: &PackName) -> Option<&PackVersion> {
        self.minimum.get(pack)
    }

    /// Whether it is allowed to go back to exactly this version.
    #[must_use]
    pub fn allows_rollback(&self, pack: &PackName, version: &PackVersion) -> bool {
        self.allow_rollback.contains(&(pack.clone(), version.clone()))
    }

    /// Whether a key has been revoked.
    #[must_use]
    pub fn is_key_revoked(&self, key: &KeyId) -> bool {
        self.revoked_keys.contains(key)
    }

    /// Whether a component has been revoked by its SHA-256.
    #[must_use]
    pub fn is_digest_revoked(&self, digest: &[u8; 32]) -> bool {
        self.revoked_digests.contains(digest)
    }

    /// SHA-256 of the text: what a record says about which policy was in force.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}
