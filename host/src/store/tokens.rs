//! Agents' bearer tokens as the store keeps them: whom each stands for, until when, and never the token itself. What a token
//! stands for is fixed when it is made; it can only be revoked.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

/// The longest that a token may be valid: nobody remembers for longer than a year who holds it.
pub const LONGEST_TOKEN: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// How many tokens may be valid at once: all of them are held in memory.
pub const TOKEN_LIMIT: u32 = 10_000;

/// Whom a token stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenGrant {
    /// The agent's name.
    pub agent: String,
    /// The person it acts for, who may never approve what it asks.
    pub person: Option<String>,
    /// For policy.
    pub roles: Vec<String>,
    /// Patterns of packs that exist for it; all without.
    pub packs: Option<Vec<String>>,
    /// Patterns of targets that exist for it; all without.
    pub targets: Option<Vec<String>>,
}

/// A token that is to be.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Names it to people: `tok_…`.
    pub id: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// Whom it stands for.
    pub grant: TokenGrant,
    /// Who makes it.
    pub created_by: String,
    /// How long it is valid; at most [`LONGEST_TOKEN`].
    pub valid: Duration,
}

/// A token that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Names it to people: `tok_…`.
    pub id: String,
    /// SHA-256 of the token.
    #[serde(skip)]
    pub sha256: [u8; 32],
    /// Whom it stands for.
    #[serde(flatten)]
    pub grant: TokenGrant,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// From when on it is no longer valid.
    pub expires_at: Timestamp,
    /// When it was last used, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// Whether it was taken back.
    pub revoked: Option<Revocation>,
}

/// When and by whom a token was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// What revoking came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It is revoked from now on.
    Now(Token),
    /// It was revoked before, and stays so.
    Before(Token),
    /// There is no such token.
    Unknown,
}

impl Token {
    /// `valid`, `expired` or `revoked`.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> &'static str {
        match &self.revoked {
            Some(_) => "revoked",
            None if self.expires_at <= now => "expired",
            None => "valid",
        }
    }
}
