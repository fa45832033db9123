//! The public half of a record's key together with the record's name, in the one line that `signed-note` gives it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::VerifyingKey;

use super::checkpoint::{ED25519, Origin, encode_key};

/// What verifying a record takes: `name+hash+key`, as in the record's first line, where nobody should take it from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    origin: Origin,
    key: VerifyingKey,
}

impl PublicKey {
    /// The key of the record with this name.
    #[must_use]
    pub fn new(origin: Origin, key: VerifyingKey) -> Self {
        Self { origin, key }
    }

    /// The record's name.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The key itself.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_key(&self.origin, &self.key))
    }
}

/// A text is no public key of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record's public key: expected one line `name+hash+key` of an Ed25519 key, as `signed-note` writes it")]
pub struct PublicKeyError;

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let text = text.trim();
        let mut parts = text.splitn(3, '+');
        let origin = parts.next().and_then(Origin::new).ok_or(PublicKeyError)?;
        let typed = parts.nth(1).and_then(|key| STANDARD.decode(key).ok()).ok_or(PublicKeyError)?;
        let bytes = typed.strip_prefix(&[ED25519]).and_then(|key| key.try_into().ok()).ok_or(PublicKeyError)?;
        let key = VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).ok_or(PublicKeyError)?;
        // The hash ties the key to the name: a wrong one is a key that was put together from two.
        Some(Self { origin, key }).filter(|key| key.to_string() == text).ok_or(PublicKeyError)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
mod tests {
    use super::*;

    #[test]
    fn the_line_goes_both_ways_and_no_changed_one_is_read() {
        let known = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: PublicKey = format!("{known}\n").parse().unwrap();
        assert_eq!((key.to_string().as_str(), key.origin().as_str()), (known, "PeterNeumann"));
        for other in ["", "a+b", "a+00000000+AAAA", &known.replace("Peter", "Pater"), &known.replace("+c7", "+c8")] {
            assert_eq!(other.parse::<PublicKey>(), Err(PublicKeyError), "{other}");
        }
    }
}
