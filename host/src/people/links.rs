//! Links that can be used once: the one that a host without any account prints at its start, which makes the first
//! administrator, and those that let somebody choose a password. What is in a link is shown once and kept as a digest.

use std::time::Duration;

use jiff::Timestamp;

use super::{Origin, People, Secret, names, password, sessions::Opened};
use crate::{
    audit::Entry,
    error::{Code, Refusal},
    store::{Account, Link, Method, NewAccount, NewLink, PortalRole, Store, random_bytes},
};

/// How long a link can be used: long enough for somebody in another time zone to wake up.
pub const VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// A link that was made.
#[derive(Debug)]
pub struct MadeLink {
    /// What is in it, for whom it is.
    pub secret: Secret,
    /// From when on it can't be used.
    pub expires_at: Timestamp,
}

impl MadeLink {
    /// The page that it leads to.
    #[must_use]
    pub fn path(&self, is_setup: bool) -> String {
        format!("/{}/{}", if is_setup { "setup" } else { "link" }, self.secret.reveal())
    }
}

impl People {
    /// The link for the first administrator, if there is no account yet. An earlier one can't be used any more.
    ///
    /// # Errors
    /// The record's or the store's.
    pub async fn setup_link(&self) -> Result<Option<MadeLink>, Refusal> {
        if !self.with_store(|store| store.accounts()).await?.is_empty() {
            return Ok(None);
        }
        self.make_link(None, "lockgate").await.map(Some)
    }

    /// A link with which somebody chooses a password. Earlier ones of theirs can't be used any more; the password that they have can.
    ///
    /// # Errors
    /// When there is no such account or it is disabled, or the record's or the store's.
    pub async fn password_link(&self, account: &str, by: &str) -> Result<MadeLink, Refusal> {
        let account = self.known(account).await?;
        self.make_link(Some(account.name), by).await
    }

    async fn make_link(&self, account: Option<String>, by: &str) -> Result<MadeLink, Refusal> {
        let secret = Secret::new()?;
        let new = NewLink { sha256: secret.sha256(), account, made_by: by.to_owned(), valid: VALID };
        self.note(
            Entry::new("account.link_made")
                .field("account", new.account.clone())
                .field("purpose", if new.account.is_some() { "password" } else { "setup" })
                .field("valid_seconds", VALID.as_secs())
                .field("by", by),
        )
        .await?;
        let now = self.now();
        let link = self.with_store(move |store| store.create_link(&new, now)).await?;
        Ok(MadeLink { secret, expires_at: link.expires_at })
    }

    /// What a link is for, if it can be used. Looking does not use it up: programs that preview links look.
    ///
    /// # Errors
    /// The store's.
    pub async fn link(&self, secret: &Secret) -> Result<Option<Link>, Refusal> {
        let (sha256, now) = (secret.sha256(), self.now());
        self.with_store(move |store| store.link(&sha256, now)).await
    }

    /// Makes the first administrator, and lets them in.
    ///
    /// # Errors
    /// When the link can't be used, or name or password can't be.
    pub async fn set_up(&self, secret: &Secret, name: &str, chosen: String, from: &Origin) -> Result<Opened, Refusal> {
        let name = names::account(name)?;
        password::acceptable(&chosen, &name)?;
        // Before a hash is made: it costs, and strangers are not to have it made.
        if !matches!(self.link(secret).await?, Some(Link { account: None, .. })) {
            return Err(crate::store::AccountError::LinkClosed.into());
        }
        let kept = self.passwords.make(chosen).await?;
        let new = NewAccount {
            name: name.clone(),
            handle: random_bytes()?,
            role: PortalRole::Admin,
            groups: std::collections::BTreeSet::new(),
            os_user: None,
            email: None,
            created_by: "setup link".to_owned(),
        };
        self.note(
            Entry::new("account.created")
                .field("account", name.as_str())
                .field("role", new.role.as_str())
                .field("by", new.created_by.as_str())
                .field("address", from.place()),
        )
        .await?;
        let (sha256, now) = (secret.sha256(), self.now());
        let make = move |store: &dyn Store| store.create_first_admin(&sha256, &new, &kept, now);
        let account = self.carry_out(&name, make).await?;
        self.begin(&account, Method::Link, self.now(), from).await
    }

    /// Sets the password of a link's account, and lets its person in.
    ///
    /// # Errors
    /// When the link can't be used, or the password can't be.
    pub async fn use_link(&self, secret: &Secret, chosen: String, from: &Origin) -> Result<Opened, Refusal> {
        let Some(Link { account: Some(name), .. }) = self.link(secret).await? else {
            return Err(crate::store::AccountError::LinkClosed.into());
        };
        password::acceptable(&chosen, &name)?;
        let kept = self.passwords.make(chosen).await?;
        self.note(
            Entry::new("account.password_changed")
                .field("account", name.as_str())
                .field("by", "link")
                .field("address", from.place()),
        )
        .await?;
        let (sha256, now) = (secret.sha256(), self.now());
        let account = self.carry_out(&name, move |store| store.use_link(&sha256, &kept, now)).await?;
        self.begin(&account, Method::Link, self.now(), from).await
    }

    /// An account that must be there.
    pub(super) async fn known(&self, name: &str) -> Result<Account, Refusal> {
        let key = name.to_owned();
        self.with_store(move |store| store.account(&key)).await?.ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("no account `{}`", crate::outside::shown(name, 64)))
                .with_remedy("`lockgate account list` shows every account")
        })
    }
}
