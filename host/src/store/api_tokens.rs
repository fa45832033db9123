//! People's tokens for the command line, as the store keeps them, and their part of the store as a trait. A token stands for its
//! account as that is at each use, and never for more.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{account::Account, account_error::AccountError, error::StoreError};

/// The longest that one may be valid: it lies in a file.
pub const LONGEST_API_TOKEN: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How many an account may have at once.
pub const API_TOKEN_LIMIT: u32 = 20;

/// One that is to be.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// Names it to people: `cli_…`.
    pub id: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// Whose.
    pub account: String,
    /// Its owner's name for it.
    pub label: String,
    /// How long it is valid; at most [`LONGEST_API_TOKEN`].
    pub valid: Duration,
}

/// One that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiToken {
    /// Names it to people: `cli_…`.
    pub id: String,
    /// Whose.
    pub account: String,
    /// Its owner's name for it.
    pub label: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is no longer valid.
    pub expires_at: Timestamp,
    /// When it was last used, to about half a minute.
    pub last_used_at: Option<Timestamp>,
}

/// Their part of the store. Every method is one transaction, durable when it returns. What ends all sessions of an account
/// ends its tokens.
pub trait ApiTokens: Send + Sync {
    /// Makes one.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::Disabled`], [`AccountError::TooMany`], or the store's own.
    fn create_api_token(&self, new: &NewApiToken, now: Timestamp) -> Result<ApiToken, AccountError>;

    /// Those of an account that are valid, the newest first.
    ///
    /// # Errors
    /// The store's own.
    fn api_tokens_of(&self, name: &str, now: Timestamp) -> Result<Vec<ApiToken>, StoreError>;

    /// The token of this digest with its account, if it is valid, and that it was used now. None of a disabled account.
    ///
    /// # Errors
    /// The store's own.
    fn api_token(&self, sha256: &[u8; 32], now: Timestamp) -> Result<Option<(ApiToken, Account)>, StoreError>;

    /// Ends one of an account, and says whether it was valid.
    ///
    /// # Errors
    /// The store's own.
    fn end_api_token(&self, name: &str, id: &str, why: &str, now: Timestamp) -> Result<bool, StoreError>;
}
