//! OAuth 2.1, as a resource server: access tokens of one configured issuer, in the form of RFC 9068 (JSON Web Tokens). The
//! signature is checked before anything inside is believed, with keys that came over TLS or from a file; `none` and shared
//! secrets are no way in. What cannot be checked does not come in.

pub(crate) mod claims;
mod fetch;
pub(crate) mod jwt;
pub(crate) mod key;
pub(crate) mod keys;
pub mod settings;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

pub use self::settings::{OAuthConfig, OAuthSettings, OAuthSettingsError};
use self::{jwt::Jwt, keys::Keys};
use super::http::Caller;

/// For how long a checked token is not checked again: so much later, at most, a key that was withdrawn opens nothing.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Tokens that are remembered.
const MOST: usize = 4096;

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OAuthError {
    /// It is not valid. The text is for the operator's log.
    #[error("{0}")]
    NotValid(String),
    /// It is valid, and was not given for this.
    #[error("it lacks the scope `{needed}`")]
    NoScope {
        /// What it lacks.
        needed: String,
    },
    /// There are no keys that are young enough.
    #[error("{0}")]
    NoKeys(String),
}

/// What is known of an issuer's tokens.
pub struct OAuth {
    settings: OAuthSettings,
    keys: Keys,
    checked: Mutex<HashMap<[u8; 32], Checked>>,
}

struct Checked {
    caller: Caller,
    at: Instant,
}

impl OAuth {
    /// Over settings that were checked.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(settings: OAuthSettings) -> Result<Arc<Self>, OAuthSettingsError> {
        let keys = Keys::new(settings.source.clone(), settings.issuer.clone())?;
        Ok(Arc::new(Self { settings, keys, checked: Mutex::default() }))
    }

    /// What was configured.
    #[must_use]
    pub fn settings(&self) -> &OAuthSettings {
        &self.settings
    }

    /// Fetches the keys, so that an operator hears at once of an issuer that can't be reached.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn prepare(&self) -> Result<(), String> {
        self.keys.prepare().await
    }

    /// Whose token it is, if it was checked a moment ago.
    pub(super) fn remembered(&self, token: &str) -> Option<Caller> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let checked = self.checked();
        let known = checked.get(&digest).filter(|known| known.at.elapsed() < REMEMBERED)?;
        known.caller.until.is_some_and(|until| until > Timestamp::now()).then(|| known.caller.clone())
    }

    /// Whose token it is.
    pub(super) async fn check(&self, token: &str) -> Result<Caller, OAuthError> {
        let jwt = Jwt::take_apart(token, &self.settings.algorithms)?;
        let keys = self.keys.matching(jwt.algorithm, jwt.key_id.as_deref()).await?;
        if !keys.iter().any(|key| key.verifies(&jwt)) {
            return Err(OAuthError::NotValid("its signature is by none of the issuer's keys".to_owned()));
        }
        let found = claims::read(jwt.claims()?, &self.settings, Timestamp::now())?;
        let caller = Caller {
            principal: Arc::new(found.principal),
            until: Some(found.until),
            revoked: CancellationToken::new(),
        };
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut checked = self.checked();
        if checked.len() >= MOST {
            checked.retain(|_, known| known.at.elapsed() < REMEMBERED);
        }
        if checked.len() < MOST {
            checked.insert(digest, Checked { caller: caller.clone(), at: Instant::now() });
        }
        Ok(caller)
    }

    fn checked(&self) -> MutexGuard<'_, HashMap<[u8; 32], Checked>> {
        // Nothing under this lock panics; were it poisoned, the map would still be sound.
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
