//! The tokens of the store, as the door over HTTP knows them: read again when the store has changed, so that a new token
//! works and a revoked one stops working within a second, without a restart. A store that can't be read lets nobody in.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Code, Refusal},
    gate::call::{Door, Principal, Scope},
    store::{ChangeMark, Store, StoreError, Token},
};

/// How old what is known may be. With the time to read it again, a revocation takes hold within a second.
const FRESH: Duration = Duration::from_millis(400);
/// For reading; a store that takes longer is not to be relied upon.
const READING: Duration = Duration::from_secs(2);
/// How often uses are written down, at most: one write for all tokens.
const NOTING: Duration = Duration::from_secs(60);

/// What is known of one token.
#[derive(Clone, Debug)]
pub struct Known {
    /// Whom it stands for.
    pub principal: Arc<Principal>,
    /// Its id.
    pub id: Arc<str>,
    /// From when on it is not valid any more.
    pub expires: Timestamp,
    /// Cancelled when it is revoked.
    pub revoked: CancellationToken,
}

/// The tokens as they were at some time.
struct Page {
    read: Instant,
    mark: ChangeMark,
    known: HashMap<[u8; 32], Known>,
}

/// See the module.
pub struct Tokens {
    store: Arc<dyn Store>,
    page: ArcSwapOption<Page>,
    /// One reads, the others wait for it.
    reading: tokio::sync::Mutex<()>,
    uses: Mutex<Uses>,
    ended: Mutex<Vec<Arc<str>>>,
}

/// Uses that are not written down yet.
struct Uses {
    since: HashMap<Arc<str>, Timestamp>,
    noted: Instant,
}

impl Tokens {
    /// The tokens of a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            store,
            page: ArcSwapOption::empty(),
            reading: tokio::sync::Mutex::new(()),
            uses: Mutex::new(Uses { since: HashMap::new(), noted: Instant::now() }),
            ended: Mutex::new(Vec::new()),
        })
    }

    /// Whose token has this SHA-256, if it is valid now. The digest is looked up, not compared: who would learn from the time
    /// it takes would learn of digests, and can't choose what theirs are.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn recognise(&self, sha256: &[u8; 32]) -> Result<Option<Known>, Refusal> {
        let page = self.fresh().await?;
        let now = Timestamp::now();
        let known = page.known.get(sha256).filter(|known| known.expires > now && !known.revoked.is_cancelled());
        if let Some(known) = known {
            lock(&self.uses).since.insert(Arc::clone(&known.id), now);
        }
        Ok(known.cloned())
    }

    /// Reads again what has changed, and writes down what was used. To be called every now and then; the ids of the tokens
    /// that came to an end since the last time.
    pub async fn look_again(&self) -> Vec<Arc<str>> {
        if let Err(error) = self.fresh().await {
            tracing::warn!(code = %error.code, "{}", error.message);
        }
        self.note_uses().await;
        std::mem::take(&mut *lock(&self.ended))
    }

    async fn fresh(&self) -> Result<Arc<Page>, Refusal> {
        if let Some(page) = self.recent() {
            return Ok(page);
        }
        let _one = self.reading.lock().await;
        // Somebody else may have read it while this one waited.
        if let Some(page) = self.recent() {
            return Ok(page);
        }
        let (store, mark) = (Arc::clone(&self.store), self.page.load().as_ref().map(|page| page.mark));
        // Taken before it is read: what changes meanwhile is read the next time.
        let began = Instant::now();
        let read = tokio::task::spawn_blocking(move || {
            let now = store.change_mark()?;
            let tokens = if mark == Some(now) { None } else { Some(store.valid_tokens(Timestamp::now())?) };
            Ok::<_, StoreError>((now, tokens))
        });
        let (mark, tokens) = match tokio::time::timeout(READING, read).await {
            Ok(Ok(read)) => read?,
            Ok(Err(error)) => return Err(Refusal::new(Code::StoreUnavailable, error.to_string())),
            Err(_) => return Err(Refusal::new(Code::StoreUnavailable, "the store does not answer")),
        };
        let before = self.page.load_full();
        let known = match (tokens, &before) {
            (Some(tokens), before) => self.turn(tokens, before.as_deref()),
            (None, Some(before)) => before.known.clone(),
            (None, None) => HashMap::new(),
        };
        let page = Arc::new(Page { read: began, mark, known });
        self.page.store(Some(Arc::clone(&page)));
        Ok(page)
    }

    fn recent(&self) -> Option<Arc<Page>> {
        self.page.load_full().filter(|page| page.read.elapsed() < FRESH)
    }

    /// The next page. Tokens that stay keep their cancellation; those that are gone are cancelled.
    fn turn(&self, tokens: Vec<Token>, before: Option<&Page>) -> HashMap<[u8; 32], Known> {
        let old = before.map(|page| &page.known);
        let known: HashMap<[u8; 32], Known> = tokens
            .into_iter()
            .map(|token| {
                (token.sha256, old.and_then(|old| old.get(&token.sha256)).cloned().unwrap_or_else(|| known(token)))
            })
            .collect();
        let now = Timestamp::now();
        for (digest, gone) in old.into_iter().flatten() {
            if !known.contains_key(digest) {
                // One that expired ends by its time; see `http`.
                if gone.expires > now {
                    gone.revoked.cancel();
                }
                lock(&self.ended).push(Arc::clone(&gone.id));
            }
        }
        known
    }

    async fn note_uses(&self) {
        let used: Vec<(String, Timestamp)> = {
            let mut uses = lock(&self.uses);
            if uses.since.is_empty() || uses.noted.elapsed() < NOTING {
                return;
            }
            uses.noted = Instant::now();
            uses.since.drain().map(|(id, at)| (id.to_string(), at)).collect()
        };
        let store = Arc::clone(&self.store);
        // When a token was last used is for people to tidy up by. Nothing rests on it.
        let noted = tokio::task::spawn_blocking(move || store.tokens_used(&used)).await;
        if let Ok(Err(error)) = noted {
            tracing::warn!(%error, "when tokens were last used could not be stored");
        }
    }
}

fn known(token: Token) -> Known {
    let id: Arc<str> = token.id.into();
    let grant = token.grant;
    let principal = Principal {
        agent: grant.agent,
        person: grant.person,
        os_user: None,
        roles: grant.roles,
        door: Door::Http,
        scope: Scope { packs: grant.packs, targets: grant.targets },
        credential: Some(id.to_string()),
    };
    Known { principal: Arc::new(principal), id, expires: token.expires_at, revoked: CancellationToken::new() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks panics; were one poisoned, what it guards would still be sound.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::store::{NewToken, TokenGrant, testing::store};

    fn new(id: &str, byte: u8, valid: Duration) -> NewToken {
        let grant = TokenGrant {
            agent: "claude".into(),
            person: None,
            roles: vec!["oncall".into()],
            packs: Some(vec!["postgres".into()]),
            targets: None,
        };
        NewToken { id: id.into(), sha256: [byte; 32], grant, created_by: "ben".into(), valid }
    }

    /// Until it is so, within the second that is promised and some for a busy machine.
    async fn soon(tokens: &Tokens, byte: u8, known: bool) -> Option<Known> {
        let began = Instant::now();
        loop {
            let found = tokens.recognise(&[byte; 32]).await.unwrap();
            if found.is_some() == known {
                return found;
            }
            assert!(began.elapsed() < Duration::from_secs(5), "it does not come about");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_token_comes_and_goes_without_a_restart() {
        let (_state, store) = store();
        let store: Arc<dyn Store> = Arc::new(store);
        let tokens = Tokens::new(Arc::clone(&store));
        assert!(tokens.recognise(&[1; 32]).await.unwrap().is_none());
        store.create_token(&new("tok_a", 1, Duration::from_secs(600)), Timestamp::now()).unwrap();
        store.create_token(&new("tok_b", 2, Duration::from_secs(600)), Timestamp::now()).unwrap();
        let first = soon(&tokens, 1, true).await.unwrap();
        assert_eq!(first.principal.credential.as_deref(), Some("tok_a"));
        assert_eq!(first.principal.scope.packs.as_deref(), Some(&["postgres".to_owned()][..]));
        let other = soon(&tokens, 2, true).await.unwrap();

        store.revoke_token("tok_a", "ben", "", Timestamp::now()).unwrap();
        soon(&tokens, 1, false).await;
        assert!(first.revoked.is_cancelled(), "what it has under way hears of it");
        assert!(!other.revoked.is_cancelled());
        let ended = tokens.look_again().await;
        assert_eq!(ended.iter().map(|id| &**id).collect::<Vec<_>>(), ["tok_a"]);
        assert!(tokens.look_again().await.is_empty(), "once");
    }

    #[tokio::test]
    async fn a_token_ends_by_its_time_even_if_nothing_is_read_again() {
        let (_state, store) = store();
        let store: Arc<dyn Store> = Arc::new(store);
        store.create_token(&new("tok_a", 1, Duration::from_millis(1500)), Timestamp::now()).unwrap();
        let tokens = Tokens::new(store);
        assert!(tokens.recognise(&[1; 32]).await.unwrap().is_some());
        soon(&tokens, 1, false).await;
    }

    #[tokio::test]
    async fn use_is_written_down_at_most_once_a_minute() {
        let (_state, store) = store();
        let store: Arc<dyn Store> = Arc::new(store);
        store.create_token(&new("tok_a", 1, Duration::from_secs(600)), Timestamp::now()).unwrap();
        let tokens = Tokens::new(Arc::clone(&store));
        tokens.recognise(&[1; 32]).await.unwrap().unwrap();
        tokens.look_again().await;
        let used = || store.tokens().unwrap().first().unwrap().last_used_at;
        assert_eq!(used(), None, "not before the minute is over");
        lock(&tokens.uses).noted = Instant::now().checked_sub(NOTING).unwrap();
        tokens.look_again().await;
        assert!(used().is_some());
    }
}
