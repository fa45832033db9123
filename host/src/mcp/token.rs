//! Agents' tokens: made here, kept by the operator only as SHA-256, and recognised in constant time. A token has 256
//! random bits, so one round of SHA-256 is as good as a slow hash.

use std::sync::Arc;

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use lockgate_signing::encoding::{hex, parse_sha256};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::gate::call::Principal;

/// Stands before every token, so that people and secret scanners know one when they see it.
pub const PREFIX: &str = "lgt_";
/// Longest credential that is looked at, in bytes: ours have 47, an issuer's with many roles some thousands.
const LONGEST: usize = 8192;

/// A token can't be made, or a configured digest can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(String),
    /// Not hex SHA-256.
    #[error("agent `{agent}`: the token digest is not 64 hex digits; `lockgate token new` prints it")]
    Malformed {
        /// Whose.
        agent: String,
    },
    /// Two agents share a token, so calls could not be told apart.
    #[error("agents `{first}` and `{second}` have the same token; give each its own with `lockgate token new`")]
    Shared {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
}

/// Makes a token: the text for the agent and the hex SHA-256 for the configuration.
///
/// # Errors
///
/// [`TokenError::Random`].
pub fn generate() -> Result<(String, String), TokenError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| TokenError::Random(e.to_string()))?;
    let plain = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let digest = hex(&digest(&plain));
    Ok((plain, digest))
}

/// The agents that may call over HTTP.
#[derive(Clone, Debug, Default)]
pub struct Agents(Vec<([u8; 32], Arc<Principal>)>);

impl Agents {
    /// From hex SHA-256 digests of tokens and whom they stand for.
    ///
    /// # Errors
    ///
    /// [`TokenError::Malformed`] or [`TokenError::Shared`].
    pub fn new(agents: impl IntoIterator<Item = (String, Principal)>) -> Result<Self, TokenError> {
        let mut known: Vec<([u8; 32], Arc<Principal>)> = Vec::new();
        for (text, principal) in agents {
            let Some(digest) = parse_sha256(&text.to_ascii_lowercase()) else {
                return Err(TokenError::Malformed { agent: principal.agent });
            };
            if let Some((_, first)) = known.iter().find(|(other, _)| *other == digest) {
                return Err(TokenError::Shared { first: first.agent.clone(), second: principal.agent });
            }
            known.push((digest, Arc::new(principal)));
        }
        Ok(Self(known))
    }

    /// Whose token has this digest. Every agent's is compared, and each in full, whichever matches.
    #[must_use]
    pub fn recognise(&self, presented: &[u8; 32]) -> Option<&Arc<Principal>> {
        let mut found = Choice::from(0);
        let mut place = 0_u64;
        for (index, (known, _)) in (0_u64..).zip(&self.0) {
            let same = known.ct_eq(presented);
            place.conditional_assign(&index, same);
            found |= same;
        }
        if !bool::from(found) {
            return None;
        }
        self.0.get(usize::try_from(place).ok()?).map(|(_, principal)| principal)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The one bearer credential of a request (RFC 6750, section 2.1). Two are none: a proxy could have read the other.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && (1..=LONGEST).contains(&token.len())).then_some(token)
}

/// What is kept of a token.
#[must_use]
pub fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::gate::call::{Door, Scope};

    fn principal(agent: &str) -> Principal {
        Principal {
            agent: agent.into(),
            person: None,
            os_user: None,
            roles: Vec::new(),
            door: Door::Http,
            scope: Scope::default(),
            credential: None,
        }
    }

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn knows_each_agent_by_its_own_token_only() {
        let (first, first_digest) = generate().unwrap();
        let (second, second_digest) = generate().unwrap();
        assert!(first.starts_with(PREFIX) && first.len() == 47 && first != second);
        let agents =
            Agents::new([(first_digest.to_uppercase(), principal("one")), (second_digest.clone(), principal("two"))])
                .unwrap();
        let find = |headers: &HeaderMap| agents.recognise(&digest(bearer(headers)?)).map(|p| p.agent.clone());
        let who = |value: &str| find(&headers(&[value]));
        assert_eq!(who(&format!("Bearer {first}")).unwrap(), "one");
        assert_eq!(who(&format!("bearer  {second}")).unwrap(), "two");
        let wrong = format!("Bearer {first}x");
        for bad in
            [first.as_str(), "Bearer", "Bearer ", &wrong, &format!("Basic {first}"), &format!("Bearer {second_digest}")]
        {
            assert_eq!(who(bad), None, "{bad}");
        }
        assert!(find(&headers(&[])).is_none());
        let twice = [format!("Bearer {first}"), format!("Bearer {second}")];
        assert!(find(&headers(&[&twice[0], &twice[1]])).is_none());
        assert!(Agents::default().recognise(&digest(&first)).is_none() && agents.recognise(&digest(&first)).is_some());
    }

    #[test]
    fn an_unusable_list_of_agents_is_refused() {
        let (_, digest) = generate().unwrap();
        let shared = Agents::new([(digest.clone(), principal("one")), (digest, principal("two"))]);
        assert_eq!(shared.unwrap_err(), TokenError::Shared { first: "one".into(), second: "two".into() });
        for bad in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
            assert!(Agents::new([(bad.to_owned(), principal("one"))]).is_err(), "{bad}");
        }
    }
}
