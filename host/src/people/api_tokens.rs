//! People's tokens for the command line: with one, a terminal on another machine sees what its person sees. It decides
//! nothing by itself: a decision needs the password too, at the moment of the decision, as a page needs a fresh session.

use std::time::Duration;

use jiff::Timestamp;

use super::{Origin, People, Secret, login::LoginError};
use crate::{
    audit::Entry,
    error::{Code, Refusal},
    outside::shown,
    store::{Account, ApiToken, LONGEST_API_TOKEN, Method, NewApiToken, random_id},
};

/// Stands before every one, so that people and secret scanners know one when they see it.
pub const PREFIX: &str = "lgp_";

/// Characters of an owner's name for it.
const LABEL: usize = 60;

/// One that was just made.
#[derive(Debug)]
pub struct MadeApiToken {
    /// As it is kept.
    pub token: ApiToken,
    secret: Secret,
}

impl MadeApiToken {
    /// Its text, for the only time.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", self.secret.reveal())
    }
}

impl People {
    /// Makes one for somebody.
    ///
    /// # Errors
    /// When its name or its time can't be used, there are too many, or the record's or the store's.
    pub async fn make_api_token(
        &self,
        account: &Account,
        label: &str,
        days: u64,
        from: &Origin,
    ) -> Result<MadeApiToken, Refusal> {
        let label = shown(label.trim(), LABEL);
        let valid = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
        let refuse = |why: &str| Refusal::new(Code::AccountRefused, why).with_remedy("correct it and send it again");
        if label.is_empty() {
            return Err(refuse("a token needs a name, such as the machine's that it is for"));
        }
        if valid.is_zero() || valid > LONGEST_API_TOKEN {
            return Err(refuse("a token is valid for 1 to 90 days"));
        }
        let secret = Secret::new()?;
        let new = NewApiToken {
            id: random_id("cli_")?,
            sha256: secret.sha256(),
            account: account.name.clone(),
            label,
            valid,
        };
        self.note(
            Entry::new("account.token_made")
                .field("account", account.name.as_str())
                .field("token", new.id.as_str())
                .field("label", new.label.as_str())
                .field("valid_seconds", valid.as_secs())
                .field("address", from.place()),
        )
        .await?;
        let now = self.now();
        let token = self.carry_out(&account.name, move |store| store.create_api_token(&new, now)).await?;
        Ok(MadeApiToken { token, secret })
    }

    /// Those of an account that are valid.
    ///
    /// # Errors
    /// The store's.
    pub async fn api_tokens_of(&self, account: &str) -> Result<Vec<ApiToken>, Refusal> {
        let (name, now) = (account.to_owned(), self.now());
        self.with_store(move |store| store.api_tokens_of(&name, now)).await
    }

    /// Ends one of an account's, and says whether it was valid.
    ///
    /// # Errors
    /// The record's or the store's.
    pub async fn end_api_token(&self, account: &str, id: &str, by: &str) -> Result<bool, Refusal> {
        let Some(token) = self.api_tokens_of(account).await?.into_iter().find(|token| token.id == id) else {
            return Ok(false);
        };
        self.note(
            Entry::new("account.token_ended")
                .field("account", token.account.as_str())
                .field("token", token.id.as_str())
                .field("by", by),
        )
        .await?;
        let now: Timestamp = self.now();
        let end = move |store: &dyn crate::store::Store| {
            store.end_api_token(&token.account, &token.id, "ended by a person", now)
        };
        self.with_store(end).await
    }

    /// Whose token this is, if it is one and valid.
    ///
    /// # Errors
    /// The store's.
    pub async fn holder(&self, presented: &str) -> Result<Option<(ApiToken, Account)>, Refusal> {
        let Some(secret) = presented.strip_prefix(PREFIX).and_then(Secret::presented) else { return Ok(None) };
        let (sha256, now) = (secret.sha256(), self.now());
        self.with_store(move |store| store.api_token(&sha256, now)).await
    }

    /// Takes the password of a token's person for one decision. Counted and slowed down like a login.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn prove(&self, token: &ApiToken, password: String, from: &Origin) -> Result<(), LoginError> {
        self.compared(&token.account, password, from).await?;
        let entry = Entry::new("session.confirmed")
            .field("account", token.account.as_str())
            .field("session", token.id.as_str())
            .field("method", Method::Password.as_str())
            .field("address", from.place());
        Ok(self.note(entry).await?)
    }
}
