//! What every request needs to be let in: people, the portal's own address, the key under which forms and notices are
//! sealed, and which proxies are believed.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{Proxies, Site};
use crate::people::{People, Secret};

/// What logging in needs, and nothing of the gate.
pub struct Access {
    /// Accounts and sessions.
    pub people: People,
    /// Where the portal is, as browsers see it.
    pub site: Site,
    /// Whose word on where a request comes from is taken.
    pub proxies: Proxies,
    key: [u8; 32],
}

impl Access {
    /// `key` seals forms and notices; it is used for nothing else.
    #[must_use]
    pub fn new(people: People, site: Site, proxies: Proxies, key: [u8; 32]) -> Arc<Self> {
        Arc::new(Self { people, site, proxies, key })
    }

    /// What a form must carry that was made for whoever has this secret in a cookie.
    pub(super) fn token(&self, secret: &Secret) -> String {
        self.seal(&[b"form", secret.reveal().as_bytes()])
    }

    /// Whether a form carries what was made for this cookie.
    pub(super) fn is_token(&self, secret: &Secret, presented: &str) -> bool {
        self.token(secret).as_bytes().ct_eq(presented.as_bytes()).into()
    }

    /// A seal over these parts, in this order.
    pub(super) fn seal(&self, parts: &[&[u8]]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            // HMAC takes keys of every length; were it not so, no seal would ever match.
            return String::new();
        };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}
