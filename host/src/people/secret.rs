//! A secret that a browser or a person holds: 256 random bits, shown once, kept here only as SHA-256. With so many bits one
//! round is as good as a slow hash.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use crate::store::{StoreError, random_bytes};

/// Characters of one.
const LENGTH: usize = 43;

/// A secret as it is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn new() -> Result<Self, StoreError> {
        let mut bytes = random_bytes::<32>()?;
        let text = URL_SAFE_NO_PAD.encode(bytes);
        bytes.zeroize();
        Ok(Self(text))
    }

    /// One that somebody presents; none of another form.
    #[must_use]
    pub fn presented(text: &str) -> Option<Self> {
        let is_one =
            text.len() == LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        is_one.then(|| Self(text.to_owned()))
    }

    /// What is kept of it.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The secret itself, for whom it is.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_different_each_time_and_not_in_debug_output() {
        let (one, two) = (Secret::new().unwrap(), Secret::new().unwrap());
        assert_ne!(one.reveal(), two.reveal());
        assert_eq!(Secret::presented(one.reveal()).unwrap().sha256(), one.sha256());
        assert!(!format!("{one:?}").contains(one.reveal()));
        for bad in ["", "short", &"a".repeat(44), &format!("{}é", "a".repeat(41)), &format!("{}=", "a".repeat(42))] {
            assert!(Secret::presented(bad).is_none(), "{bad}");
        }
    }
}
