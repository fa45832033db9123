//! What administrators do with accounts, and what people do with their own. Each change is on the record before it is made,
//! with who made it and what was before.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::{Origin, People, Secret, names, password};
use crate::{
    audit::Entry,
    error::{Code, Refusal},
    outside::shown,
    store::{Account, AccountChange, Disabled, Method, NewAccount, PortalRole, Session, Store, random_bytes},
};

/// Longest reason that is kept, in characters.
const REASON: usize = 500;

/// An account as somebody asks for it.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What they may do in the portal.
    pub role: PortalRole,
    /// For policy.
    pub groups: BTreeSet<String>,
    /// Another name of the same person.
    pub os_user: Option<String>,
    /// Another name of the same person.
    pub email: Option<String>,
}

impl People {
    /// Every account, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn all(&self) -> Result<Vec<Account>, Refusal> {
        self.with_store(|store| store.accounts()).await
    }

    /// One account.
    ///
    /// # Errors
    /// When there is none, or the store's.
    pub async fn one(&self, name: &str) -> Result<Account, Refusal> {
        self.known(name).await
    }

    /// Makes an account without anything to log in with; a link lets its person choose a password.
    ///
    /// # Errors
    /// When one of its names can't be or is somebody's, or the record's or the store's.
    pub async fn create(&self, wanted: Wanted, by: &str) -> Result<Account, Refusal> {
        let new = NewAccount {
            name: names::account(&wanted.name)?,
            handle: random_bytes()?,
            role: wanted.role,
            groups: names::groups(wanted.groups.iter().map(String::as_str))?,
            os_user: names::os_user(wanted.os_user.as_deref())?,
            email: names::email(wanted.email.as_deref())?,
            created_by: by.to_owned(),
        };
        self.note(
            Entry::new("account.created")
                .field("account", new.name.as_str())
                .field("role", new.role.as_str())
                .field("groups", list(&new.groups))
                .field("os_user", new.os_user.clone())
                .field("email", new.email.clone())
                .field("by", by),
        )
        .await?;
        let (name, now) = (new.name.clone(), self.now());
        self.carry_out(&name, move |store| store.create_account(&new, now)).await
    }

    /// Changes an account. Its sessions end if what it may do is other than before.
    ///
    /// # Errors
    /// When it can't be so, or the record's or the store's.
    pub async fn change(&self, name: &str, change: AccountChange, by: &str) -> Result<Account, Refusal> {
        let before = self.known(name).await?;
        let change = AccountChange {
            role: change.role,
            groups: names::groups(change.groups.iter().map(String::as_str))?,
            os_user: names::os_user(change.os_user.as_deref())?,
            email: names::email(change.email.as_deref())?,
        };
        let was = AccountChange::of(&before);
        if change == was {
            return Ok(before);
        }
        self.note(
            Entry::new("account.changed")
                .field("account", before.name.as_str())
                .field("from", difference(&was, &change))
                .field("to", difference(&change, &was))
                .field("by", by),
        )
        .await?;
        let (name, now) = (before.name.clone(), self.now());
        self.carry_out(&name, move |store| store.change_account(&before.name, &change, now)).await
    }

    /// Disables an account: its sessions end, its links can't be used, nobody comes in as it.
    ///
    /// # Errors
    /// When it is the last administrator's, or the record's or the store's.
    pub async fn disable(&self, name: &str, reason: &str, by: &str) -> Result<Account, Refusal> {
        let account = self.known(name).await?;
        if account.disabled.is_some() {
            return Ok(account);
        }
        let disabled = Disabled { at: self.now(), by: by.to_owned(), reason: shown(reason.trim(), REASON) };
        self.note(
            Entry::new("account.disabled")
                .field("account", account.name.as_str())
                .field("reason", disabled.reason.as_str())
                .field("by", by),
        )
        .await?;
        let name = account.name.clone();
        self.carry_out(&name, move |store| store.set_disabled(&account.name, Some(&disabled))).await
    }

    /// Lets the person of a disabled account in again.
    ///
    /// # Errors
    /// The record's or the store's.
    pub async fn enable(&self, name: &str, by: &str) -> Result<Account, Refusal> {
        let account = self.known(name).await?;
        if account.disabled.is_none() {
            return Ok(account);
        }
        self.note(Entry::new("account.enabled").field("account", account.name.as_str()).field("by", by)).await?;
        let name = account.name.clone();
        self.carry_out(&name, move |store| store.set_disabled(&account.name, None)).await
    }

    /// Sets one's own password. Every other session of the account ends, and this one has another secret from then on.
    ///
    /// # Errors
    /// When the password can't be, or passwords are not taken here, or the record's or the store's.
    pub async fn change_password(&self, session: &Session, chosen: String, from: &Origin) -> Result<Secret, Refusal> {
        if !self.settings.passwords {
            return Err(Refusal::new(Code::AccountRefused, "passwords are not taken here")
                .with_remedy("use a passkey, or the company account"));
        }
        password::acceptable(&chosen, &session.account)?;
        let kept = self.passwords.make(chosen).await?;
        self.note(
            Entry::new("account.password_changed")
                .field("account", session.account.as_str())
                .field("by", session.account.as_str())
                .field("session", session.id.as_str())
                .field("address", from.place()),
        )
        .await?;
        let (name, id, now) = (session.account.clone(), session.id.clone(), self.now());
        let change = move |store: &dyn Store| store.set_password(&name, &kept, Some(&id), now);
        self.carry_out(&session.account, change).await?;
        self.renew(session, Method::Password).await
    }
}

/// What of the one is not as in the other.
fn difference(one: &AccountChange, other: &AccountChange) -> Json {
    let mut parts = serde_json::Map::new();
    let mut part = |name: &str, value: Json, differs: bool| {
        if differs {
            parts.insert(name.to_owned(), value);
        }
    };
    part("role", json!(one.role.as_str()), one.role != other.role);
    part("groups", json!(list(&one.groups)), one.groups != other.groups);
    part("os_user", json!(one.os_user), one.os_user != other.os_user);
    part("email", json!(one.email), one.email != other.email);
    Json::Object(parts)
}

fn list(groups: &BTreeSet<String>) -> Vec<String> {
    groups.iter().cloned().collect()
}
