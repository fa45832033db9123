//! The hash chain: how one line names the line before it, and what the first line names.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Keeps a hash of a line apart from every other use of SHA-256; see `docs/record.md`.
const LINE_DOMAIN: &[u8] = b"lockgate-record/v1/line\0";

/// What the first line names as its predecessor is the hash of this alone.
const GENESIS_DOMAIN: &[u8] = b"lockgate-record/v1/genesis\0";

/// A SHA-256 value, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The SHA-256 of the parts, one after the other.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads exactly 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let &[high, low] = pair else { return None };
            *byte = (nibble(high)? << 4) | nibble(low)?;
        }
        Some(Self(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::from_hex(text.as_bytes()).ok_or("not 64 lower-case hexadecimal digits")
    }
}

/// The `prev` of the first line.
#[must_use]
pub fn genesis() -> Digest {
    Digest::of(&[GENESIS_DOMAIN])
}

/// The `prev` of the line after `line`, whose bytes are given without the line feed.
#[must_use]
pub fn link(line: &[u8]) -> Digest {
    Digest::of(&[LINE_DOMAIN, line])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_goes_both_ways_and_nothing_else_is_read() {
        let digest = link(b"a line");
        assert_eq!(Digest::from_hex(digest.to_string().as_bytes()), Some(digest));
        assert_eq!(Digest::from_hex(digest.to_string().to_uppercase().as_bytes()), None);
        assert_eq!(Digest::from_hex(b"00"), None);
    }

    #[test]
    fn the_domains_are_apart() {
        assert_ne!(genesis(), link(b""));
        assert_ne!(link(b"x"), Digest::of(&[b"x"]));
        assert_eq!(genesis().to_string(), "ecbdc72bf6406847c4a11a108f0a506c56ac4951d436ecf08c0f2943d78079de");
    }
}
