//! Why a component is not accepted: each reason with its stable code and what to do about it.

use jiff::Timestamp;

use crate::{
    encoding::printable, envelope::EnvelopeError, file::FileError, key::KeyId, name::PackName,
    predicate::StatementError, version::PackVersion,
};

/// Why a component is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The path ends in no file name, or in one that is not UTF-8.
    #[error("the path names no file")]
    NoFileName,
    /// A file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no envelope.
    #[error("the component has no envelope: {0}")]
    EnvelopeMissing(FileError),
    /// More bytes than the bound for their kind.
    #[error("the {what} has more than {limit} bytes")]
    TooLarge {
        /// Component or envelope.
        what: &'static str,
        /// The bound, in bytes.
        limit: u64,
    },
    /// The envelope is not well formed.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The signed statement is not well formed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// No key made any of the signatures, of all keys or of the publisher's.
    #[error("no key {}has signed this envelope", publisher.as_ref().map_or_else(|| "of the trust policy ".to_owned(), |name| format!("of publisher `{name}` ")))]
    NotSigned {
        /// Whose keys were tried; all keys if there is none.
        publisher: Option<String>,
    },
    /// The signature that is needed is by a revoked key.
    #[error("key `{name}` ({key_id}) signed this envelope and has been revoked")]
    KeyRevoked {
        /// The operator's name for it.
        name: String,
        /// Its id.
        key_id: KeyId,
    },
    /// The signature that is needed is by a key outside its validity.
    #[error("key `{name}` ({key_id}) signed this envelope and is not valid now")]
    KeyNotValid {
        /// The operator's name for it.
        name: String,
        /// Its id.
        key_id: KeyId,
    },
    /// Too few of the publisher's keys have signed.
    #[error("{signed} of the {threshold} keys that are needed of publisher `{publisher}` have signed")]
    Threshold {
        /// The publisher.
        publisher: String,
        /// How many different keys have signed.
        signed: usize,
        /// How many must have.
        threshold: usize,
    },
    /// The file has another name than what is signed.
    #[error("the file is named `{}` and what is signed is `{expected}`", printable(found))]
    Name {
        /// The name that follows from the signed pack and version.
        expected: String,
        /// The file's name.
        found: String,
    },
    /// Other bytes than those that were signed.
    #[error("the component's SHA-256 is {found} and the signed one is {signed}")]
    Digest {
        /// The signed one.
        signed: String,
        /// The one found.
        found: String,
    },
    /// The trust policy has no such publisher.
    #[error("the trust policy has no publisher `{publisher}`")]
    PublisherUnknown {
        /// The signed name.
        publisher: String,
    },
    /// The publisher may not publish a pack of this name.
    #[error("publisher `{publisher}` may not publish a pack named `{pack}`")]
    PackNotGranted {
        /// The publisher.
        publisher: String,
        /// The pack.
        pack: PackName,
    },
    /// Issued in the future, or expired.
    #[error("the envelope is valid from {issued} until {expires}, and it is {now}")]
    NotValidNow {
        /// From when on.
        issued: Timestamp,
        /// Until just before.
        expires: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// The component has been revoked.
    #[error("the component {digest} has been revoked")]
    DigestRevoked {
        /// Its SHA-256.
        digest: String,
    },
    /// The operator has pinned this version to other bytes.
    #[error("version {version} of `{pack}` is pinned to the SHA-256 {pin}, and this component has another")]
    Pinned {
        /// The pack.
        pack: PackName,
        /// Its version.
        version: PackVersion,
        /// The only SHA-256 that is accepted.
        pin: String,
    },
    /// Below the lowest version that the operator accepts.
    #[error("version {version} of `{pack}` is below {minimum}, the lowest that the trust policy accepts")]
    BelowMinimum {
        /// The pack.
        pack: PackName,
        /// Its version.
        version: PackVersion,
        /// The lowest accepted.
        minimum: Box<PackVersion>,
    },
    /// A later version has been in use here.
    #[error("version {version} of `{pack}` is older than {highest}, which has been in use here")]
    Rollback {
        /// The pack.
        pack: PackName,
        /// Its version.
        version: PackVersion,
        /// The highest in use so far.
        highest: Box<PackVersion>,
    },
    /// A class of statements was signed that the publisher is not granted.
    #[error("it has statements of class `{class}`, which publisher `{publisher}` is not granted")]
    ClassNotGranted {
        /// The publisher.
        publisher: String,
        /// The class.
        class: String,
    },
    /// The publisher is granted fewer targets than when the component was taken in.
    #[error("the trust policy no longer grants this publisher all targets that the pack was taken in with")]
    GrantChanged,
}

impl VerifyError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoFileName => "file_refused",
            Self::File(error) => error.code(),
            Self::TooLarge { .. } => "file_too_large",
            Self::EnvelopeMissing(_) => "envelope_missing",
            Self::Envelope(_) | Self::Statement(_) => "envelope_invalid",
            Self::NotSigned { .. } => "signature_invalid",
            Self::Threshold { .. } => "threshold_not_met",
            Self::KeyNotValid { .. } | Self::NotValidNow { .. } => "not_valid_now",
            Self::KeyRevoked { .. } | Self::DigestRevoked { .. } => "revoked",
            Self::Name { .. } | Self::Digest { .. } | Self::Pinned { .. } => "component_mismatch",
            Self::PublisherUnknown { .. } | Self::PackNotGranted { .. } | Self::GrantChanged => "publisher_not_trusted",
            Self::BelowMinimum { .. } | Self::Rollback { .. } => "rollback",
            Self::ClassNotGranted { .. } => "class_not_granted",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoFileName => "give the path of `NAME-VERSION.wasm`",
            Self::File(error) => error.remedy(),
            Self::TooLarge { .. } => "check that this is the right file",
            Self::EnvelopeMissing(_) => "put `NAME-VERSION.wasm.dsse.json` beside the component",
            Self::Envelope(_) | Self::Statement(_) => "sign the component again with `lockgate-sign sign`",
            Self::NotSigned { .. } => {
                "get the component and its envelope from the publisher again, or list the key that signed it"
            }
            Self::Threshold { .. } => "have another of the publisher's keys sign the envelope",
            Self::KeyNotValid { .. } => {
                "have a key sign that is valid now, or change its `not_before` and `not_after` if you mean to"
            }
            Self::NotValidNow { .. } => "get an envelope that is valid now; check the clock",
            Self::KeyRevoked { .. } => "do not use this pack; get one that is signed with another key",
            Self::DigestRevoked { .. } => "do not use this pack; get a later version",
            Self::Name { .. } => {
                "give the file the name that it was signed with; if it is another pack, get the right one"
            }
            Self::Digest { .. } => "get the component and its envelope from the publisher again",
            Self::Pinned { .. } => "get the component that was pinned, or change the pin if you mean to",
            Self::PublisherUnknown { .. } => "add the publisher to `trust.toml` if you mean to trust it",
            Self::PackNotGranted { .. } => "add the pack's name to the publisher's `packs` if you mean to",
            Self::BelowMinimum { .. } => "use a later version, or lower the `minimum` if you mean to",
            Self::Rollback { .. } => {
                "use the later version, or list this one under `allow_rollback` if you mean to go back"
            }
            Self::ClassNotGranted { .. } => "grant the class in `trust.toml` if you mean to",
            Self::GrantChanged => "load the pack again, so that it gets what is granted now",
        }
    }
}
