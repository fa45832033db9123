//! People as the store keeps them: accounts with all their names, what they log in with, their sessions, and links that can
//! be used once. Secrets are here only as what they can be compared with.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::model::person_key;

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
