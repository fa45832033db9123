//! Logging in with a password, and showing again who one is. An answer says as little as it can: a wrong password, no such
//! account and one that is disabled are the same, and take as long.

use std::time::Duration;

use super::{Origin, People, Secret, password::Compared, sessions::Opened};
use crate::{
    audit::Entry,
    error::Refusal,
    outside::shown,
    store::{Account, Method, Session, person_key},
};

/// Longest name that is looked at, in characters; longer ones are nobody's.
const NAME: usize = 64;

/// Nobody was let in.
#[derive(Debug)]
pub enum LoginError {
    /// Name and secret don't belong together, or the account is not to come in. Which, is on the record and nowhere else.
    Wrong,
    /// Too many attempts.
    TooOften {
        /// Until when.
        wait: Duration,
    },
    /// It can't be done now, or not so.
    Refused(Refusal),
}

impl From<Refusal> for LoginError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<crate::store::StoreError> for LoginError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl People {
    /// Lets somebody in with a password.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn log_in(&self, name: &str, password: String, from: &Origin) -> Result<Opened, LoginError> {
        let name = looked_for(name);
        let account = self.compared(&name, password, from).await?;
        Ok(self.begin(&account, Method::Password, self.now(), from).await?)
    }

    /// Takes the password of whoever is in a session once more; the session is fresh from then on.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn confirm(&self, session: &Session, password: String, from: &Origin) -> Result<Secret, LoginError> {
        self.compared(&session.account, password, from).await?;
        Ok(self.renew(session, Method::Password).await?)
    }

    pub(super) async fn compared(&self, name: &str, password: String, from: &Origin) -> Result<Account, LoginError> {
        self.count(name, from).await?;
        let name_of = name.to_owned();
        let (account, kept) = self
            .with_store(move |store| {
                let account = store.account(&name_of)?;
                let kept = store.password(&name_of)?;
                Ok::<_, crate::store::StoreError>((account, kept))
            })
            .await?;
        let usable = kept.clone().filter(|_| self.settings.passwords);
        // Of one that is too long nothing could be kept; it is not worth a hash, and says nothing of the account.
        let compared = if password.len() > super::password::LONGEST {
            Compared::Wrong
        } else {
            self.passwords.compare(password, usable).await?
        };
        let why = match (&account, &compared) {
            (Some(account), Compared::Right { .. }) if account.disabled.is_some() => "the account is disabled",
            (Some(account), Compared::Right { again }) => {
                if let (Some(old), Some(new)) = (kept, again.clone()) {
                    let name = account.name.clone();
                    self.with_store(move |store| store.rehash_password(&name, &old, &new)).await?;
                }
                return Ok(account.clone());
            }
            (Some(_), Compared::Wrong) => "wrong password",
            (None, _) => "no such account",
        };
        self.failed(name, Method::Password, why, from).await?;
        Err(LoginError::Wrong)
    }

    /// Counts an attempt, or says when to come again.
    pub(super) async fn count(&self, name: &str, from: &Origin) -> Result<(), LoginError> {
        let counted = self.attempts.from(from).and_then(|()| self.attempts.of(name, from));
        if let Err(wait) = counted {
            self.failed(name, Method::Password, "too many attempts", from).await?;
            return Err(LoginError::TooOften { wait });
        }
        Ok(())
    }

    /// Puts a failed attempt on the record; beyond so many in a minute they are only counted.
    pub(super) async fn failed(&self, name: &str, method: Method, why: &str, from: &Origin) -> Result<(), Refusal> {
        let Some(left_out) = self.attempts.to_record() else { return Ok(()) };
        self.note(
            Entry::new("login.failed")
                // What somebody typed here may be anything, a password in the wrong field too: only a name that exists is kept.
                .field("account", self.existing(name).await?)
                .field("method", method.as_str())
                .field("why", why)
                .field("address", from.place())
                .field("left_out", left_out),
        )
        .await
    }

    async fn existing(&self, name: &str) -> Result<Option<String>, Refusal> {
        let name = name.to_owned();
        let account = self.with_store(move |store| store.account(&name)).await?;
        Ok(account.map(|account| account.name))
    }
}

/// A name as it is looked for.
pub(super) fn looked_for(name: &str) -> String {
    person_key(&shown(name, NAME))
}
