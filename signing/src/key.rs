//! Ed25519 keys, and nothing else: there is no algorithm to negotiate. Public keys are SubjectPublicKeyInfo (RFC 8410) as
//! PEM or base64; private keys are PKCS#8 as PEM.

mod command;
mod pkcs8;
mod private;
mod signer;

use std::{fmt, str::FromStr};

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

pub use self::{
    command::{CommandSigner, read_signature},
    private::{Passphrase, PrivateKey, PrivateKeyFile},
    signer::{Signer, SignerError},
};
use crate::{
    encoding::{base64, hex, parse_base64, parse_sha256, sha256},
    file::FileError,
};

/// Bytes of a signature.
pub const SIGNATURE_LENGTH: usize = 64;

/// An Ed25519 SubjectPublicKeyInfo up to the key's 32 bytes. DER has one encoding for it.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";

/// Why a key is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A public key, where a private one is needed.
    #[error("this is a public key, and its private key is needed here")]
    PublicGiven,
    /// A private key, where a public one is needed.
    #[error("this is a private key, and only its public key is needed here")]
    PrivateGiven,
    /// The file ends before the key does.
    #[error("the private key file is cut off: its last line is missing")]
    Truncated,
    /// Something in the middle is wrong.
    #[error("the private key file is damaged: between its first and last line is no whole key")]
    Damaged,
    /// A private key in another format.
    #[error("the file holds `{0}`, and only PKCS#8 is read (`PRIVATE KEY` or `ENCRYPTED PRIVATE KEY`)")]
    Format(String),
    /// A key of another algorithm.
    #[error("this is a key for {0}, and only Ed25519 keys are used")]
    Algorithm(String),
    /// Not a public key in a form that we read.
    #[error("this is not an Ed25519 public key (SubjectPublicKeyInfo as PEM or base64)")]
    NotPublic,
    /// Not a private key in a form that we read.
    #[error("this is not an Ed25519 private key (PKCS#8 as PEM)")]
    NotPrivate,
    /// A key for which signatures prove nothing: of small order, not on the curve, or not in its one encoding.
    #[error("this Ed25519 public key is weak or not well formed; signatures under it prove nothing")]
    Weak,
    /// An encrypted key without a passphrase.
    #[error("the private key is encrypted and no passphrase was given")]
    PassphraseNeeded,
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    /// The passphrase is wrong or the file is damaged; the two can't be told apart.
    #[error("the private key can't be decrypted: the passphrase is wrong or the file is damaged")]
    Decrypt,
    /// An encryption that we don't know, or whose cost would exhaust the machine.
    #[error(
        "the private key's encryption is not known or too costly (PBES2 with scrypt up to 256 MiB or PBKDF2 up to ten million rounds)"
    )]
    Encryption,
    /// The system has no randomness for us.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The key can't be written out.
    #[error("the private key can't be encoded")]
    Encode,
}

impl KeyError {
    /// The stable code: `key_invalid`, `passphrase_required`, or the file's.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::PassphraseNeeded => "passphrase_required",
            _ => "key_invalid",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::File(error) => error.remedy(),
            Self::PassphraseNeeded | Self::PassphraseEmpty | Self::Decrypt => {
                "give the passphrase by file, descriptor, environment or at the terminal"
            }
            Self::PublicGiven => "give the private key's file, as `lockgate-sign key generate` wrote it",
            Self::PrivateGiven => "write the public key to a file of its own with `lockgate-sign key show FILE --pem`",
            Self::Truncated | Self::Damaged => "take the key from a backup; one that is lost is replaced by a new one",
            Self::Encryption => "encrypt the key again with `openssl pkcs8 -topk8 -v2 aes-256-cbc -scrypt`",
            Self::Random(_) | Self::Encode => "try again on another machine",
            Self::NotPublic | Self::NotPrivate | Self::Weak | Self::Format(_) | Self::Algorithm(_) => {
                "make a key with `lockgate-sign key generate`"
            }
        }
    }
}

/// The id of a key: the SHA-256 of its SubjectPublicKeyInfo, as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// The digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A text that is no key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 64 lower-case hexadecimal digits")]
pub struct KeyIdError;

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        parse_sha256(text).map(Self).ok_or(KeyIdError)
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: String) -> Result<Self, KeyIdError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

/// A public key under which a signature means something: on the curve, not of small order, in its one encoding. So two
/// keys are the same key exactly when their bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From the 32 bytes of RFC 8032.
    ///
    /// # Errors
    ///
    /// [`KeyError::Weak`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Weak)?;
        // A point that could be written in two ways would be two keys for a threshold that counts bytes.
        if key.is_weak() || key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::Weak);
        }
        Ok(Self(key))
    }

    /// From SubjectPublicKeyInfo as DER.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let key = der.strip_prefix(&SPKI_PREFIX).and_then(|key| <&[u8; 32]>::try_from(key).ok());
        Self::from_bytes(key.ok_or_else(|| not_ours(der))?)
    }

    /// From SubjectPublicKeyInfo as PEM or as base64 on one line. White space around it is ignored.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
            return Err(KeyError::PrivateGiven);
        }
        let body = match text.strip_prefix(PEM_BEGIN).and_then(|rest| rest.strip_suffix(PEM_END)) {
            // An Ed25519 key has one line of base64 in PEM.
            Some(body) => body.trim(),
            None => text,
        };
        let Some(der) = parse_base64(body) else {
            // Other kinds of key are longer than a line of PEM; such a one is read only to be named.
            let der = parse_base64(&body.replace(['\n', '\r'], "")).unwrap_or_default();
            return Err(not_ours(&der));
        };
        Self::from_spki(&der)
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// SubjectPublicKeyInfo as DER.
    #[must_use]
    pub fn to_spki(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), self.as_bytes()].concat()
    }

    /// SubjectPublicKeyInfo as base64: the form for `trust.toml`.
    #[must_use]
    pub fn to_base64(&self) -> String {
        base64(&self.to_spki())
    }

    /// SubjectPublicKeyInfo as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", self.to_base64())
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(sha256(&self.to_spki()))
    }

    /// Whether this is the key's signature over these bytes, strictly: canonical, and with no small-order parts.
    #[must_use]
    pub fn verifies(&self, signed_bytes: &[u8], signature: &[u8; SIGNATURE_LENGTH]) -> bool {
        self.0.verify_strict(signed_bytes, &Signature::from_bytes(signature)).is_ok()
    }
}

/// What to say of a public key that is not an Ed25519 key in its one form.
fn not_ours(der: &[u8]) -> KeyError {
    pkcs8::other_public_algorithm(der).map_or(KeyError::NotPublic, KeyError::Algorithm)
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.to_base64())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_that_of_openssl() {
        // RFC 8032, section 7.1, test 1; the id is `openssl pkey -pubin -outform DER | sha256sum`.
        let bytes = parse_sha256("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        let key = PublicKey::from_bytes(&bytes).unwrap();
        assert_eq!(key.to_base64(), "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        assert_eq!(key.id().to_string().parse::<KeyId>().unwrap(), key.id());
        assert_eq!(PublicKey::from_text(&key.to_pem()).unwrap(), key);
        assert_eq!(PublicKey::from_text(&key.to_base64()).unwrap(), key);
        let signature =
            parse_base64("5VZDAMNgrHKQhuLMgG6CioSHfx64Xl2WF35jBuOFr7fcZYo7Y4PMTtvL5Y6ToiHkK0PLCFYpbJK6Nyhtg2J5AA==");
        // A signature of something else.
        assert!(!key.verifies(b"", &signature.unwrap().try_into().unwrap()));
    }

    #[test]
    fn weak_keys_are_refused() {
        // The points of small order and their other encodings (the list of libsodium's has_small_order).
        for text in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0100000000000000000000000000000000000000000000000000000000000080",
        ] {
            assert!(matches!(PublicKey::from_bytes(&parse_sha256(text).unwrap()), Err(KeyError::Weak)), "{text}");
        }
        // y = p + 3, a second spelling of y = 3: whichever of the two decodes, only the canonical one may.
        let mut again = [0xff; 32];
        again[0] = 0xf0;
        again[31] = 0x7f;
        assert!(PublicKey::from_bytes(&again).is_err());
    }

    #[test]
    fn other_keys_and_other_spellings_are_refused() {
        let key = PrivateKey::generate().unwrap().public_key();
        let mut der = key.to_spki();
        der.push(0);
        assert!(PublicKey::from_spki(&der).is_err());
        let mut x25519 = key.to_spki();
        x25519[8] = 0x6e;
        assert!(PublicKey::from_spki(&x25519).is_err());
        assert!(PublicKey::from_text(&base64(key.as_bytes())).is_err());
        assert!(PublicKey::from_text(&key.to_pem().replace("PUBLIC", "PRIVATE")).is_err());
        assert!(PublicKey::from_text(&format!("{}{}", key.to_pem(), key.to_pem())).is_err());
        assert!("AB".repeat(32).parse::<KeyId>().is_err());
    }
}
