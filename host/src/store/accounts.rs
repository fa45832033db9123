//! People's part of the store, as a trait. The rules of who may change what are in [`crate::people`]; what must never be (two
//! people of one name, a host that nobody administers) is refused here.

use jiff::Timestamp;

use super::{
    account::{
        Account, AccountChange, Disabled, Link, NewAccount, NewLink, NewSession, Session, SessionLimits, StoredPasskey,
    },
    account_error::AccountError,
    error::StoreError,
};

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

    /// Ends all sessions of an account but one, and its tokens for the command line, and says how many sessions.
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
