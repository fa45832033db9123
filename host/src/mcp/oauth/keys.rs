//! The issuer's keys, as they were when last fetched. They are fetched again when they have aged and when a token names one
//! that is not among them, once a minute at most, whoever asks for it. While the issuer can't be reached the old ones serve
//! for a day; after that nobody comes in.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::Algorithm;
use reqwest::Url;

use super::{OAuthError, fetch::Fetcher, key::Key, settings::OAuthSettingsError};
use crate::outbound;

/// Younger keys are not fetched again without need: so long, at most, one that was withdrawn is still known.
const FRESH: Duration = Duration::from_secs(600);
/// Older keys are not relied upon: whoever keeps lockgate from its issuer must not keep a withdrawn key alive.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(60);
/// The same while there are no keys at all.
const SHORT_PAUSE: Duration = Duration::from_secs(5);
/// Longest key file.
const FILE: u64 = 256 * 1024;

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// At an address.
    Address(Url),
    /// Where the issuer's metadata says.
    Discovered,
}

/// See the module.
pub(super) struct Keys {
    source: Source,
    issuer: String,
    fetcher: Fetcher,
    held: ArcSwapOption<Held>,
    /// One fetches, the others wait for it or go on with what there is; when it was last tried.
    tried: tokio::sync::Mutex<Option<Instant>>,
    ages: Ages,
}

/// See the constants.
struct Ages {
    fresh: Duration,
    stale: Duration,
    pause: Duration,
    short_pause: Duration,
}

struct Held {
    keys: Vec<Key>,
    at: Instant,
}

impl Keys {
    pub(super) fn new(source: Source, issuer: String) -> Result<Self, OAuthSettingsError> {
        let near = match &source {
            Source::Address(url) => outbound::is_near(url),
            Source::Discovered => Url::parse(&issuer).is_ok_and(|url| outbound::is_near(&url)),
            Source::File(_) => true,
        };
        let fetcher = Fetcher::new(near)?;
        let ages = Ages { fresh: FRESH, stale: STALE, pause: PAUSE, short_pause: SHORT_PAUSE };
        let tried = tokio::sync::Mutex::new(None);
        Ok(Self { source, issuer, fetcher, held: ArcSwapOption::empty(), tried, ages })
    }

    /// Fetches them for the first time.
    pub(super) async fn prepare(&self) -> Result<(), String> {
        let mut tried = self.tried.lock().await;
        *tried = Some(Instant::now());
        self.fetch().await
    }

    /// The keys that a token of this algorithm and key name may have been signed with; at least one.
    pub(super) async fn matching(&self, algorithm: Algorithm, id: Option<&str>) -> Result<Vec<Key>, OAuthError> {
        let mut found = Vec::new();
        let young = self.held.load().as_ref().is_some_and(|held| held.at.elapsed() < self.ages.fresh);
        if young {
            found = self.among(algorithm, id)?;
        }
        if found.is_empty() {
            self.refresh().await;
            found = self.among(algorithm, id)?;
        }
        if found.is_empty() {
            return Err(OAuthError::NotValid("the issuer has no such key".to_owned()));
        }
        Ok(found)
    }

    fn among(&self, algorithm: Algorithm, id: Option<&str>) -> Result<Vec<Key>, OAuthError> {
        let held = self.held.load_full().filter(|held| held.at.elapsed() < self.ages.stale);
        let Some(held) = held else {
            return Err(OAuthError::NoKeys("the issuer's keys could not be fetched".to_owned()));
        };
        Ok(held.keys.iter().filter(|key| key.suits(algorithm, id)).cloned().collect())
    }

    async fn refresh(&self) {
        let began = Instant::now();
        // Whoever is fetching now may have begun before a key was changed; still, one attempt is enough for both.
        let mut tried = self.tried.lock().await;
        let pause = if self.held.load().is_some() { self.ages.pause } else { self.ages.short_pause };
        if tried.is_some_and(|at| at > began || at.elapsed() < pause) {
            return;
        }
        *tried = Some(Instant::now());
        if let Err(problem) = self.fetch().await {
            tracing::warn!("the OAuth issuer's keys could not be fetched: {problem}");
        }
    }

    async fn fetch(&self) -> Result<(), String> {
        // Before the answer is on its way: it can't be older than that.
        let at = Instant::now();
        let bytes = match &self.source {
            Source::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || lockgate_signing::file::read_once(&path, FILE));
                read.await.map_err(|e| e.to_string())?.map_err(|e| format!("the key set {e}"))?
            }
            Source::Address(url) => self.fetcher.get(url).await?,
            Source::Discovered => self.fetcher.get(&self.fetcher.discover(&self.issuer).await?).await?,
        };
        let keys = Key::set(&bytes)?;
        if keys.is_empty() {
            return Err("the key set has no key that verifies signatures".to_owned());
        }
        self.held.store(Some(Arc::new(Held { keys, at })));
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    fn written(path: &std::path::Path, id: &str) {
        let modulus = URL_SAFE_NO_PAD.encode([0xff; 256]);
        let set = format!(r#"{{"keys":[{{"kty":"RSA","kid":"{id}","n":"{modulus}","e":"AQAB"}}]}}"#);
        std::fs::write(path, set).unwrap();
    }

    async fn knows(keys: &Keys, id: &str) -> Result<bool, OAuthError> {
        match keys.matching(Algorithm::RS256, Some(id)).await {
            Ok(found) => Ok(!found.is_empty()),
            Err(OAuthError::NotValid(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    #[tokio::test]
    async fn a_new_key_is_found_after_a_pause_and_a_withdrawn_one_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwks.json");
        written(&path, "old");
        let mut keys = Keys::new(Source::File(path.clone()), "https://idp.example".into()).unwrap();
        assert_eq!(knows(&keys, "old").await, Ok(true));
        written(&path, "new");
        assert_eq!(knows(&keys, "new").await, Ok(false), "a stranger does not make us fetch at will");
        assert_eq!(knows(&keys, "old").await, Ok(true));
        keys.ages.pause = Duration::ZERO;
        assert_eq!(knows(&keys, "new").await, Ok(true));
        assert_eq!(knows(&keys, "old").await, Ok(false));
    }

    #[tokio::test]
    async fn aged_keys_are_fetched_again_and_serve_for_a_while_if_that_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwks.json");
        written(&path, "one");
        let mut keys = Keys::new(Source::File(path.clone()), "https://idp.example".into()).unwrap();
        keys.prepare().await.unwrap();
        keys.ages = Ages { fresh: Duration::ZERO, pause: Duration::ZERO, ..keys.ages };
        std::fs::remove_file(&path).unwrap();
        assert_eq!(knows(&keys, "one").await, Ok(true), "the issuer is away for a moment");
        keys.ages.stale = Duration::ZERO;
        assert!(matches!(knows(&keys, "one").await, Err(OAuthError::NoKeys(_))), "for too long");
        keys.ages.stale = STALE;
        written(&path, "two");
        assert_eq!(knows(&keys, "one").await, Ok(false), "aged keys are fetched again before they are used");
    }

    #[tokio::test]
    async fn without_keys_nobody_comes_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwks.json");
        let keys = Keys::new(Source::File(path.clone()), "https://idp.example".into()).unwrap();
        assert!(keys.prepare().await.is_err());
        assert!(matches!(knows(&keys, "one").await, Err(OAuthError::NoKeys(_))));
        std::fs::write(&path, r#"{"keys":[]}"#).unwrap();
        assert!(keys.prepare().await.is_err(), "an empty set is no set");
    }
}
