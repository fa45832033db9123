//! People's part of the store: each method one transaction over the queries of accounts, sessions and passkeys.

use jiff::Timestamp;

use super::{SqliteStore, accounts, passkeys, sessions};
use crate::store::{
    Account, AccountChange, AccountError, Accounts, Disabled, Link, NewAccount, NewLink, NewSession, Session,
    SessionLimits, StoreError, StoredPasskey,
};

impl Accounts for SqliteStore {
    fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        self.read(|tx| accounts::get(tx, name))
    }

    fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.read(accounts::all)
    }

    fn account_of_os_user(&self, os_user: &str) -> Result<Option<Account>, StoreError> {
        self.read(|tx| accounts::of_os_user(tx, os_user))
    }

    fn create_account(&self, new: &NewAccount, now: Timestamp) -> Result<Account, AccountError> {
        self.write(|tx| accounts::create(tx, new, now))
    }

    fn create_first_admin(
        &self,
        link: &[u8; 32],
        new: &NewAccount,
        password: &str,
        now: Timestamp,
    ) -> Result<Account, AccountError> {
        self.write(|tx| accounts::create_first_admin(tx, link, new, password, now))
    }

    fn change_account(&self, name: &str, change: &AccountChange, now: Timestamp) -> Result<Account, AccountError> {
        self.write(|tx| accounts::change(tx, name, change, now))
    }

    fn set_disabled(&self, name: &str, disabled: Option<&Disabled>) -> Result<Account, AccountError> {
        self.write(|tx| accounts::set_disabled(tx, name, disabled))
    }

    fn password(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.read(|tx| accounts::password(tx, name))
    }

    fn set_password(&self, name: &str, new: &str, but: Option<&str>, now: Timestamp) -> Result<(), AccountError> {
        self.write(|tx| accounts::set_password(tx, name, new, but, now))
    }

    fn rehash_password(&self, name: &str, old: &str, new: &str) -> Result<(), StoreError> {
        self.write(|tx| accounts::rehash_password(tx, name, old, new))
    }

    fn account_of_identity(&self, issuer: &str, subject: &str) -> Result<Option<Account>, StoreError> {
        self.read(|tx| accounts::of_identity(tx, issuer, subject))
    }

    fn bind_identity(&self, issuer: &str, subject: &str, name: &str, now: Timestamp) -> Result<(), AccountError> {
        self.write(|tx| accounts::bind_identity(tx, issuer, subject, name, now))
    }

    fn create_link(&self, new: &NewLink, now: Timestamp) -> Result<Link, AccountError> {
        self.write(|tx| accounts::create_link(tx, new, now))
    }

    fn link(&self, sha256: &[u8; 32], now: Timestamp) -> Result<Option<Link>, StoreError> {
        self.read(|tx| accounts::link(tx, sha256, now))
    }

    fn use_link(&self, sha256: &[u8; 32], password: &str, now: Timestamp) -> Result<Account, AccountError> {
        self.write(|tx| accounts::use_link(tx, sha256, password, now))
    }

    fn open_session(
        &self,
        new: &NewSession,
        instead_of: Option<&[u8; 32]>,
        now: Timestamp,
    ) -> Result<Session, AccountError> {
        self.write(|tx| sessions::open(tx, new, instead_of, now))
    }

    fn session(
        &self,
        sha256: &[u8; 32],
        limits: SessionLimits,
        now: Timestamp,
    ) -> Result<Option<(Session, Account)>, StoreError> {
        let found = self.read(|tx| sessions::get(tx, sha256, limits, now))?;
        if let Some((session, _)) = &found
            && sessions::is_news(session, now)
        {
            self.write(|tx| sessions::seen(tx, &session.id, now))?;
        }
        Ok(found)
    }

    fn is_session_open(&self, id: &str, limits: SessionLimits, now: Timestamp) -> Result<bool, StoreError> {
        self.read(|tx| sessions::is_still_open(tx, id, limits, now))
    }

    fn confirm_session(&self, id: &str, sha256: &[u8; 32], now: Timestamp) -> Result<(), AccountError> {
        self.write(|tx| sessions::confirm(tx, id, sha256, now))
    }

    fn sessions_of(&self, name: &str, limits: SessionLimits, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        self.read(|tx| sessions::of(tx, name, limits, now))
    }

    fn end_session(&self, name: &str, id: &str, why: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|tx| sessions::end(tx, name, id, why, now))
    }

    fn end_sessions(&self, name: &str, but: Option<&str>, why: &str, now: Timestamp) -> Result<usize, StoreError> {
        self.write(|tx| sessions::end_all(tx, name, but, why, now))
    }

    fn passkeys(&self, name: &str) -> Result<Vec<StoredPasskey>, StoreError> {
        self.read(|tx| passkeys::of(tx, name))
    }

    fn add_passkey(&self, new: &StoredPasskey) -> Result<(), AccountError> {
        self.write(|tx| passkeys::add(tx, new))
    }

    fn passkey_used(&self, id: &str, data: &str, now: Timestamp) -> Result<(), StoreError> {
        self.write(|tx| passkeys::used(tx, id, data, now))
    }

    fn remove_passkey(&self, name: &str, id: &str) -> Result<bool, AccountError> {
        self.write(|tx| passkeys::remove(tx, name, id))
    }
}
