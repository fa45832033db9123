//! People as the store keeps them: accounts with all their names, what they log in with, their sessions, and links that can
//! be used once. Secrets are here only as what they can be compared with. The rules of who may change what are in
//! [`crate::people`]; what must never be (two people of one name, a host that nobody administers) is refused here.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{error::StoreError, model::person_key};
use crate::error::{Code, Refusal};

/// Passkeys that one account may have.
pub const PASSKEY_LIMIT: u32 = 20;
/// Sessions that one account may have open; a further login ends the one that was used longest ago.
pub const SESSION_LIMIT: u32 = 20;
/// Accounts there may be.
pub const ACCOUNT_LIMIT: u32 = 10_000;

/// What somebody may do in the portal. Who may approve which request is policy's to say, by groups; a portal role is never one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortalRole {
    /// Looks.
    Viewer,
    /// Looks, and decides what policy lets their groups decide.
    Approver,
    /// Does all of that, and says who may do what.
    Admin,
}

impl PortalRole {
    /// Every role, lowest first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Approver, Self::Admin];

    /// `viewer`, `approver` or `admin`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for PortalRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no portal role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a portal role is `viewer`, `approver` or `admin`")]
pub struct PortalRoleError;

impl FromStr for PortalRole {
    type Err = PortalRoleError;

    fn from_str(text: &str) -> Result<Self, PortalRoleError> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(PortalRoleError)
    }
}

/// When, by whom and why an account was disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disabled {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// A person with a login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Names the person, in lower case; never changes and is never given to another.
    pub name: String,
    /// Random; names the account to authenticators.
    #[serde(skip)]
    pub handle: [u8; 16],
    /// What they may do in the portal.
    pub role: PortalRole,
    /// Which approvers' groups they are in, for policy.
    pub groups: BTreeSet<String>,
    /// The operating system's user that is the same person.
    pub os_user: Option<String>,
    /// Their e-mail address, another name of the same person.
    pub email: Option<String>,
    /// Whether they have a password.
    pub has_password: bool,
    /// How many passkeys they have.
    pub passkeys: u32,
    /// Whether an issuer's identity is theirs.
    pub has_identity: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When they last logged in.
    pub last_login_at: Option<Timestamp>,
    /// Whether it is disabled.
    pub disabled: Option<Disabled>,
}

impl Account {
    /// The other names of this person, as a vote carries them.
    #[must_use]
    pub fn also_known_as(&self) -> Vec<String> {
        [&self.os_user, &self.email].into_iter().flatten().cloned().collect()
    }

    /// Whether there is anything to log in with.
    #[must_use]
    pub fn can_log_in(&self) -> bool {
        self.has_password || self.passkeys > 0 || self.has_identity
    }
}

/// An account that is to be.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// As it will be for good.
    pub name: String,
    /// Random.
    pub handle: [u8; 16],
    /// What they may do in the portal.
    pub role: PortalRole,
    /// For policy.
    pub groups: BTreeSet<String>,
    /// Another name of the same person.
    pub os_user: Option<String>,
    /// Another name of the same person.
    pub email: Option<String>,
    /// Who makes it.
    pub created_by: String,
}

impl NewAccount {
    /// All names, as names are compared.
    pub(super) fn keys(&self) -> BTreeSet<String> {
        keys(&self.name, self.os_user.as_deref(), self.email.as_deref())
    }
}

pub(crate) fn keys(name: &str, os_user: Option<&str>, email: Option<&str>) -> BTreeSet<String> {
    [Some(name), os_user, email].into_iter().flatten().map(person_key).collect()
}

/// What of an account is to be otherwise; all of it as it will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChange {
    /// What they may do in the portal.
    pub role: PortalRole,
    /// For policy.
    pub groups: BTreeSet<String>,
    /// Another name of the same person.
    pub os_user: Option<String>,
    /// Another name of the same person.
    pub email: Option<String>,
}

impl AccountChange {
    /// As it is now: a change that changes nothing.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            role: account.role,
            groups: account.groups.clone(),
            os_user: account.os_user.clone(),
            email: account.email.clone(),
        }
    }
}

/// How somebody logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// With a password.
    Password,
    /// With a passkey.
    Passkey,
    /// By an issuer.
    Oidc,
    /// With a link that sets a password.
    Link,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Password, Self::Passkey, Self::Oidc, Self::Link];

    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Passkey => "passkey",
            Self::Oidc => "oidc",
            Self::Link => "link",
        }
    }
}

/// A session that is to be.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Names it to people: `ses_…`.
    pub id: String,
    /// SHA-256 of the secret that the browser keeps.
    pub sha256: [u8; 32],
    /// Whose.
    pub account: String,
    /// How they logged in.
    pub method: Method,
    /// Where the login came from.
    pub address: String,
    /// What the browser says of itself.
    pub agent: String,
    /// When they showed who they are.
    pub confirmed_at: Timestamp,
}

/// A session that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Names it to people: `ses_…`.
    pub id: String,
    /// Whose.
    pub account: String,
    /// How they logged in.
    pub method: Method,
    /// Where the login came from.
    pub address: String,
    /// What the browser says of itself.
    pub agent: String,
    /// When they logged in.
    pub began_at: Timestamp,
    /// When it was last used, to about half a minute.
    pub seen_at: Timestamp,
    /// When they last showed who they are.
    pub confirmed_at: Timestamp,
}

/// How long sessions last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without being used.
    pub idle: Duration,
    /// At all.
    pub absolute: Duration,
}

/// A passkey that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredPasskey {
    /// Names it to people: `pky_…`.
    pub id: String,
    /// Whose.
    pub account: String,
    /// The authenticator's name for it.
    #[serde(skip)]
    pub credential: Vec<u8>,
    /// Its owner's name for it.
    pub label: String,
    /// Public key and counters, as the WebAuthn library writes them.
    #[serde(skip)]
    pub data: String,
    /// When it was added.
    pub added_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// A link that can be used once: to set the first administrator up (without an account), or to set an account's password.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// SHA-256 of what is in the link.
    pub sha256: [u8; 32],
    /// Whose password it sets; the first administrator's account is made with it.
    pub account: Option<String>,
    /// Who makes it.
    pub made_by: String,
    /// How long it can be used.
    pub valid: Duration,
}

/// A link that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whose password it sets.
    pub account: Option<String>,
    /// From when on it can't be used.
    pub expires_at: Timestamp,
}

/// A change of accounts was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// No such account.
    #[error("no account `{name}`")]
    Unknown {
        /// As it was given.
        name: String,
    },
    /// One of the names is somebody's already.
    #[error("`{name}` is a name of account `{account}` already")]
    NameTaken {
        /// Which name.
        name: String,
        /// Whose it is.
        account: String,
    },
    /// Nobody could administer this host any more.
    #[error("`{name}` is the last administrator who can log in")]
    LastAdmin {
        /// Who.
        name: String,
    },
    /// The account is disabled.
    #[error("account `{name}` is disabled")]
    Disabled {
        /// Which.
        name: String,
    },
    /// The link was used, replaced or withdrawn, or its time is over, or it never was.
    #[error("this link can't be used: it was used before, its time is over, or it is not whole")]
    LinkClosed,
    /// The session has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The authenticator's key is registered already.
    #[error("this passkey is registered already")]
    PasskeyKnown,
    /// The account has as many as it may.
    #[error("an account may have {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: u32,
    },
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for AccountError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        let (code, remedy) = match &error {
            AccountError::Unknown { .. } => (Code::NotFound, "`lockgate account list` shows every account"),
            AccountError::NameTaken { .. } => (Code::AccountRefused, "choose another; one name stands for one person"),
            AccountError::LastAdmin { .. } => (Code::AccountRefused, "make somebody else an administrator first"),
            AccountError::Disabled { .. } => (Code::AccountRefused, "enable it first"),
            AccountError::LinkClosed => (Code::Unauthorized, "ask an administrator for a new link"),
            AccountError::SessionEnded => (Code::Unauthorized, "log in again"),
            AccountError::PasskeyKnown => (Code::AccountRefused, "use it to log in, or add another one"),
            AccountError::TooMany { .. } => (Code::AccountRefused, "remove what is not used"),
            AccountError::Store(_) => (Code::StoreUnavailable, Code::StoreUnavailable.remedy()),
        };
        Self::new(code, error.to_string()).with_remedy(remedy)
    }
}

/// People's part of the store. Every method is one transaction, durable when it returns.
pub trait Accounts: Send + Sync {
    /// One account.
    ///
    /// # Errors
    /// The store's own.
    fn account(&self, name: &str) -> Result<Option<Account>, StoreError>;

    /// Every account, by name.
    ///
    /// # Errors
    /// The store's own.
    fn accounts(&self) -> Result<Vec<Account>, StoreError>;

    /// The account of an operating system's user, disabled or not.
    ///
    /// # Errors
    /// The store's own.
    fn account_of_os_user(&self, os_user: &str) -> Result<Option<Account>, StoreError>;

    /// Makes an account, which has nothing to log in with yet.
    ///
    /// # Errors
    /// [`AccountError::NameTaken`], [`AccountError::TooMany`], or the store's own.
    fn create_account(&self, new: &NewAccount, now: Timestamp) -> Result<Account, AccountError>;

    /// Makes the first administrator with a link that was made for that, which is used up.
    ///
    /// # Errors
    /// [`AccountError::LinkClosed`] also when there is an account already, or as [`Accounts::create_account`].
    fn create_first_admin(
        &self,
        link: &[u8; 32],
        new: &NewAccount,
        password: &str,
        now: Timestamp,
    ) -> Result<Account, AccountError>;

    /// Changes an account. Its sessions end if its role or groups are others than before.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::NameTaken`], [`AccountError::LastAdmin`], or the store's own.
    fn change_account(&self, name: &str, change: &AccountChange, now: Timestamp) -> Result<Account, AccountError>;

    /// Disables an account, ends its sessions and closes its links; or enables it again.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::LastAdmin`], or the store's own.
    fn set_disabled(&self, name: &str, disabled: Option<&Disabled>) -> Result<Account, AccountError>;

    /// What an account's password is compared with (a PHC string).
    ///
    /// # Errors
    /// The store's own.
    fn password(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Sets an account's password, closes its links and ends its sessions but the one that is named.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::Disabled`], or the store's own.
    fn set_password(&self, name: &str, new: &str, but: Option<&str>, now: Timestamp) -> Result<(), AccountError>;

    /// Writes the same password under other parameters, unless it was changed meanwhile.
    ///
    /// # Errors
    /// The store's own.
    fn rehash_password(&self, name: &str, old: &str, new: &str) -> Result<(), StoreError>;

    /// The account of an issuer's identity.
    ///
    /// # Errors
    /// The store's own.
    fn account_of_identity(&self, issuer: &str, subject: &str) -> Result<Option<Account>, StoreError>;

    /// Gives an issuer's identity to an account that has nothing else to log in with.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::NameTaken`] if it can log in otherwise, or the store's own.
    fn bind_identity(&self, issuer: &str, subject: &str, name: &str, now: Timestamp) -> Result<(), AccountError>;

    /// Keeps a new link; earlier ones for the same are replaced by it.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::Disabled`], or the store's own.
    fn create_link(&self, new: &NewLink, now: Timestamp) -> Result<Link, AccountError>;

    /// A link, if it can be used.
    ///
    /// # Errors
    /// The store's own.
    fn link(&self, sha256: &[u8; 32], now: Timestamp) -> Result<Option<Link>, StoreError>;

    /// Sets the password of a link's account, and uses the link up. All of the account's sessions end.
    ///
    /// # Errors
    /// [`AccountError::LinkClosed`], [`AccountError::Disabled`], or the store's own.
    fn use_link(&self, sha256: &[u8; 32], password: &str, now: Timestamp) -> Result<Account, AccountError>;

    /// Begins a session of an account that is not disabled, and notes the login. Another one of the same browser ends.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::Disabled`], or the store's own.
    fn open_session(
        &self,
        new: &NewSession,
        instead_of: Option<&[u8; 32]>,
        now: Timestamp,
    ) -> Result<Session, AccountError>;

    /// The session of a secret with its account, if it is open, and that it was used now. None of a disabled account.
    ///
    /// # Errors
    /// The store's own.
    fn session(
        &self,
        sha256: &[u8; 32],
        limits: SessionLimits,
        now: Timestamp,
    ) -> Result<Option<(Session, Account)>, StoreError>;

    /// Whether a session is still open, without this being a use of it: for what is left open beside a page.
    ///
    /// # Errors
    /// The store's own.
    fn is_session_open(&self, id: &str, limits: SessionLimits, now: Timestamp) -> Result<bool, StoreError>;

    /// Notes that a session's person showed again who they are, and gives the session another secret.
    ///
    /// # Errors
    /// [`AccountError::SessionEnded`], or the store's own.
    fn confirm_session(&self, id: &str, sha256: &[u8; 32], now: Timestamp) -> Result<(), AccountError>;

    /// The open sessions of an account, the last used first.
    ///
    /// # Errors
    /// The store's own.
    fn sessions_of(&self, name: &str, limits: SessionLimits, now: Timestamp) -> Result<Vec<Session>, StoreError>;

    /// Ends a session of an account, and says whether it was open.
    ///
    /// # Errors
    /// The store's own.
    fn end_session(&self, name: &str, id: &str, why: &str, now: Timestamp) -> Result<bool, StoreError>;

    /// Ends all sessions of an account but one, and says how many.
    ///
    /// # Errors
    /// The store's own.
    fn end_sessions(&self, name: &str, but: Option<&str>, why: &str, now: Timestamp) -> Result<usize, StoreError>;

    /// The passkeys of an account, oldest first.
    ///
    /// # Errors
    /// The store's own.
    fn passkeys(&self, name: &str) -> Result<Vec<StoredPasskey>, StoreError>;

    /// Adds a passkey.
    ///
    /// # Errors
    /// [`AccountError::PasskeyKnown`], [`AccountError::TooMany`], or the store's own.
    fn add_passkey(&self, new: &StoredPasskey) -> Result<(), AccountError>;

    /// Notes that a passkey was used, and what it says of itself now.
    ///
    /// # Errors
    /// The store's own.
    fn passkey_used(&self, id: &str, data: &str, now: Timestamp) -> Result<(), StoreError>;

    /// Removes a passkey of an account, and says whether there was one.
    ///
    /// # Errors
    /// [`AccountError::LastAdmin`] if nobody could administer this host without it, or the store's own.
    fn remove_passkey(&self, name: &str, id: &str) -> Result<bool, AccountError>;
}
