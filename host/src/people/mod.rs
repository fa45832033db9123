//! People: their accounts, what they log in with, and their sessions. Knows nothing of HTTP; the portal and the command line
//! call it. Whatever changes who may do what is on the record before it is so, never with a secret in it.
//!
//! [`login`] lets somebody in with a password, [`passkeys`] with an authenticator, [`oidc`] by a company's issuer; each ends in
//! a session ([`sessions`]). [`api_tokens`] let in a command line elsewhere. [`accounts`] is what administrators do, [`links`] the
//! two ways to a first password, [`acting`] who somebody is who comes by the command line.

pub mod accounts;
pub mod acting;
pub mod api_tokens;
mod attempts;
pub mod links;
pub mod login;
pub mod names;
pub mod oidc;
pub mod passkeys;
pub mod password;
mod secret;
pub mod sessions;

use std::{net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;

pub use self::secret::Secret;
use self::{attempts::Attempts, oidc::Oidc, passkeys::Passkeys, password::Passwords};
use crate::{
    audit::{Entry, Record},
    error::{Code, Refusal},
    store::{SessionLimits, Store},
};

/// What time it is; tests have a clock of their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What an operator sets of logins and sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeopleSettings {
    /// How long sessions last.
    pub sessions: SessionLimits,
    /// For how long after a login or a confirmation somebody may decide.
    pub fresh: Duration,
    /// Whether passwords are taken.
    pub passwords: bool,
}

impl Default for PeopleSettings {
    fn default() -> Self {
        Self {
            sessions: SessionLimits { idle: Duration::from_secs(60 * 60), absolute: Duration::from_secs(12 * 60 * 60) },
            fresh: Duration::from_secs(15 * 60),
            passwords: true,
        }
    }
}

/// Where a login comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The address, as far as it can be known.
    pub address: Option<IpAddr>,
    /// What the browser says of itself.
    pub agent: String,
    /// The session that the browser has already; it ends with a login.
    pub session: Option<Secret>,
    /// What the browser was given at an earlier login, to be known again.
    pub device: Option<String>,
}

impl Origin {
    /// The address as text, for the record and for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
    }
}

/// People, and what of them is remembered only while this process lives.
pub struct People {
    store: Arc<dyn Store>,
    record: Record,
    clock: Clock,
    settings: PeopleSettings,
    passwords: Passwords,
    attempts: Attempts,
    passkeys: Option<Passkeys>,
    oidc: Option<Oidc>,
}

impl People {
    /// Of this store, on this record. `key` is for what browsers are given to be known again.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, record: Record, settings: PeopleSettings, key: [u8; 32]) -> Self {
        Self {
            store,
            record,
            clock: Arc::new(Timestamp::now),
            settings,
            passwords: Passwords::default(),
            attempts: Attempts::new(key),
            passkeys: None,
            oidc: None,
        }
    }

    /// The same with passkeys.
    #[must_use]
    pub fn with_passkeys(self, passkeys: Option<Passkeys>) -> Self {
        Self { passkeys, ..self }
    }

    /// The same with an issuer.
    #[must_use]
    pub fn with_oidc(self, oidc: Option<Oidc>) -> Self {
        Self { oidc, ..self }
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// What the operator set.
    #[must_use]
    pub fn settings(&self) -> &PeopleSettings {
        &self.settings
    }

    /// The issuer, if there is one.
    #[must_use]
    pub fn oidc(&self) -> Option<&Oidc> {
        self.oidc.as_ref()
    }

    /// Whether passkeys can be used here.
    #[must_use]
    pub fn has_passkeys(&self) -> bool {
        self.passkeys.is_some()
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Puts a line on the record, durably.
    async fn note(&self, entry: Entry) -> Result<(), Refusal> {
        self.record.append(entry).await?;
        Ok(())
    }

    /// Makes a change of an account whose line is on the record already. If it is refused, that is on the record too: a line
    /// that says what was about to be must not stand alone.
    async fn carry_out<T, E>(
        &self,
        account: &str,
        work: impl FnOnce(&dyn Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        E: Into<Refusal> + Send + 'static,
    {
        match self.with_store(work).await {
            Ok(done) => Ok(done),
            Err(refusal) => {
                let entry =
                    Entry::new("account.refused").field("account", account).field("code", refusal.code.as_str());
                self.note(entry).await?;
                Err(refusal)
            }
        }
    }

    /// Does a blocking piece of work of the store off the async threads.
    async fn with_store<T, E>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        E: Into<Refusal> + Send + 'static,
    {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || work(&*store))
            .await
            .map_err(|error| Refusal::new(Code::StoreUnavailable, error.to_string()))?
            .map_err(Into::into)
    }
}
