//! Who a request comes from: an agent of the configuration, a token of the store, or a token of the OAuth issuer. Which of
//! them a credential claims to be is told by its form alone, and only that one is asked: nothing falls back to another.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::http::HeaderMap;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::super::{
    oauth::{OAuth, OAuthError},
    token::{self, Agents, PREFIX},
    tokens::Tokens,
};
use crate::{gate::call::Principal, rate::Rate};

/// Failed attempts, and first looks at a token of the issuer, from one address in a minute. Agents behind one proxy share it.
const ATTEMPTS: u32 = 300;
/// The same in a row.
const ATTEMPTS_AT_ONCE: u32 = 150;

/// Who calls, and for how long that is so.
#[derive(Clone, Debug)]
pub(in crate::mcp) struct Caller {
    /// Who.
    pub(in crate::mcp) principal: Arc<Principal>,
    /// From when on the credential is not valid any more.
    pub(in crate::mcp) until: Option<Timestamp>,
    /// Cancelled when it is revoked.
    pub(in crate::mcp) revoked: CancellationToken,
}

impl Caller {
    /// One whose credential nothing but a restart ends.
    pub(in crate::mcp) fn lasting(principal: Arc<Principal>) -> Self {
        Self { principal, until: None, revoked: CancellationToken::new() }
    }
}

/// Why nobody was made out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// No credential came along.
    NoCredential,
    /// The one that came is not valid. Why is for the log, not for whoever tries.
    NotValid,
    /// It is valid, and not for this.
    NoScope {
        /// What it lacks.
        needed: String,
    },
    /// Too many attempts came from there.
    TooMany(Duration),
    /// Whether it is valid can't be told now.
    CannotTell,
}

/// All that may stand behind a request.
pub(super) struct Identity {
    agents: Agents,
    tokens: Option<Arc<Tokens>>,
    oauth: Option<Arc<OAuth>>,
    attempts: Rate<IpAddr>,
}

impl Identity {
    pub(super) fn new(agents: Agents, tokens: Option<Arc<Tokens>>, oauth: Option<Arc<OAuth>>) -> Self {
        Self { agents, tokens, oauth, attempts: Rate::new(ATTEMPTS, ATTEMPTS_AT_ONCE) }
    }

    /// Makes out who calls. A known token is never refused for what others at the same address do.
    pub(super) async fn make_out(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Caller, Stranger> {
        let found = match token::bearer(headers) {
            Some(credential) if credential.starts_with(PREFIX) => self.by_token(credential).await,
            Some(credential) => match &self.oauth {
                Some(oauth) => self.by_issuer(oauth, credential, peer).await,
                None => Err(Stranger::NotValid),
            },
            None if headers.contains_key(axum::http::header::AUTHORIZATION) => Err(Stranger::NotValid),
            None => Err(Stranger::NoCredential),
        };
        match found {
            Err(stranger @ (Stranger::NoCredential | Stranger::NotValid)) => {
                self.attempt(peer)?;
                Err(stranger)
            }
            found => found,
        }
    }

    async fn by_token(&self, credential: &str) -> Result<Caller, Stranger> {
        let sha256 = token::digest(credential);
        if let Some(principal) = self.agents.recognise(&sha256) {
            return Ok(Caller::lasting(Arc::clone(principal)));
        }
        let Some(tokens) = &self.tokens else { return Err(Stranger::NotValid) };
        match tokens.recognise(&sha256).await {
            Ok(Some(known)) => {
                Ok(Caller { principal: known.principal, until: Some(known.expires), revoked: known.revoked })
            }
            Ok(None) => Err(Stranger::NotValid),
            Err(error) => {
                tracing::warn!(code = %error.code, "nobody can be let in: {}", error.message);
                Err(Stranger::CannotTell)
            }
        }
    }

    async fn by_issuer(&self, oauth: &OAuth, credential: &str, peer: Option<IpAddr>) -> Result<Caller, Stranger> {
        if let Some(caller) = oauth.remembered(credential) {
            return Ok(caller);
        }
        // Checking a signature is work, so a stranger gets only so much of it done.
        self.attempt(peer)?;
        oauth.check(credential).await.map_err(|error| match error {
            OAuthError::NoScope { needed } => Stranger::NoScope { needed },
            OAuthError::NoKeys(why) => {
                tracing::warn!("no token of the issuer can be checked: {why}");
                Stranger::CannotTell
            }
            OAuthError::NotValid(why) => {
                tracing::debug!("a token of the issuer is refused: {why}");
                Stranger::NotValid
            }
        })
    }

    fn attempt(&self, peer: Option<IpAddr>) -> Result<(), Stranger> {
        peer.map_or(Ok(()), |peer| self.attempts.check(&network(peer)).map_err(Stranger::TooMany))
    }
}

/// Who has one IPv6 address has 2⁶⁴ of them.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::needless_pass_by_value)]
mod tests {
    use axum::http::{HeaderValue, header::AUTHORIZATION};

    use super::*;
    use crate::gate::call::{Door, Scope};

    fn identity() -> (Identity, HeaderMap) {
        let (plain, digest) = token::generate().unwrap();
        let principal = Principal {
            agent: "one".into(),
            person: None,
            os_user: None,
            roles: Vec::new(),
            door: Door::Http,
            scope: Scope::default(),
            credential: None,
        };
        (Identity::new(Agents::new([(digest, principal)]).unwrap(), None, None), with(&format!("Bearer {plain}")))
    }

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    #[tokio::test]
    async fn strangers_are_slowed_down_and_known_agents_at_their_address_are_not() {
        let (identity, known) = identity();
        let peer: IpAddr = "192.0.2.7".parse().unwrap();
        let wrong = with("Bearer lgt_wrong");
        let mut refused = 0;
        for _ in 0..=ATTEMPTS_AT_ONCE {
            match identity.make_out(&wrong, Some(peer)).await {
                Err(Stranger::NotValid) => refused += 1,
                Err(Stranger::TooMany(wait)) => assert!(wait <= Duration::from_secs(1)),
                other => panic!("{other:?}"),
            }
        }
        assert!((ATTEMPTS_AT_ONCE..=ATTEMPTS_AT_ONCE + 1).contains(&(refused + 1)), "{refused}");
        assert!(matches!(identity.make_out(&HeaderMap::new(), Some(peer)).await, Err(Stranger::TooMany(_))));
        assert_eq!(identity.make_out(&known, Some(peer)).await.unwrap().principal.agent, "one");
        let elsewhere = "192.0.2.8".parse().unwrap();
        assert_eq!(identity.make_out(&wrong, Some(elsewhere)).await.unwrap_err(), Stranger::NotValid);
    }

    #[tokio::test]
    async fn the_form_of_a_credential_says_who_is_asked() {
        let (identity, known) = identity();
        assert!(identity.make_out(&known, None).await.is_ok());
        assert_eq!(identity.make_out(&HeaderMap::new(), None).await.unwrap_err(), Stranger::NoCredential);
        for bad in ["Bearer a.b.c", "Basic lgt_x", "Bearer", "Bearer lgt_"] {
            assert_eq!(identity.make_out(&with(bad), None).await.unwrap_err(), Stranger::NotValid, "{bad}");
        }
    }

    #[test]
    fn an_address_is_counted_by_its_network() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    }
}
