//! Sessions: who is behind a request, whether they showed lately who they are, and how a session ends. Its secret is changed
//! whenever what it stands for becomes more: at each login and each confirmation.

use jiff::Timestamp;

use super::{Origin, People, Secret};
use crate::{
    audit::Entry,
    error::Refusal,
    outside::shown,
    store::{Account, Method, NewSession, Session, random_id},
};

/// What a browser says of itself, in characters.
const AGENT: usize = 200;

/// A session that has just begun.
#[derive(Debug)]
pub struct Opened {
    /// For the browser, and nobody else.
    pub secret: Secret,
    /// As it is kept.
    pub session: Session,
    /// Whose.
    pub account: Account,
    /// For the browser, to be known again when its person logs in the next time.
    pub device: String,
}

impl People {
    /// Who has this secret; nobody if the session has ended.
    ///
    /// # Errors
    /// The store's.
    pub async fn behind(&self, secret: &Secret) -> Result<Option<(Session, Account)>, Refusal> {
        let (sha256, limits, now) = (secret.sha256(), self.settings.sessions, self.now());
        self.with_store(move |store| store.session(&sha256, limits, now)).await
    }

    /// Whether a session goes on, asked beside a page that is left open; this does not count as using it.
    ///
    /// # Errors
    /// The store's.
    pub async fn goes_on(&self, session: &str) -> Result<bool, Refusal> {
        let (id, limits, now) = (session.to_owned(), self.settings.sessions, self.now());
        self.with_store(move |store| store.is_session_open(&id, limits, now)).await
    }

    /// Whether its person has shown who they are lately enough to decide.
    #[must_use]
    pub fn is_fresh(&self, session: &Session) -> bool {
        let since = self.now().duration_since(session.confirmed_at);
        since.is_negative() || since.unsigned_abs() < self.settings.fresh
    }

    /// The open sessions of an account.
    ///
    /// # Errors
    /// The store's.
    pub async fn sessions_of(&self, account: &str) -> Result<Vec<Session>, Refusal> {
        let (name, limits, now) = (account.to_owned(), self.settings.sessions, self.now());
        self.with_store(move |store| store.sessions_of(&name, limits, now)).await
    }

    /// Ends the session that somebody is in.
    ///
    /// # Errors
    /// The record's or the store's.
    pub async fn log_out(&self, session: &Session) -> Result<(), Refusal> {
        self.note(line("logout", session)).await?;
        self.end(session.account.clone(), session.id.clone(), "logout").await.map(drop)
    }

    /// Ends one of an account's sessions; `by` is the account's own person or an administrator. Says whether it was open.
    ///
    /// # Errors
    /// The record's or the store's.
    pub async fn end_session(&self, account: &str, id: &str, by: &str) -> Result<bool, Refusal> {
        let Some(session) = self.sessions_of(account).await?.into_iter().find(|session| session.id == id) else {
            return Ok(false);
        };
        self.note(line("session.ended", &session).field("by", by)).await?;
        self.end(session.account, session.id, "ended by a person").await
    }

    /// Ends every session of an account but one, and says how many.
    ///
    /// # Errors
    /// The record's or the store's.
    pub async fn end_sessions(&self, account: &str, but: Option<&str>, by: &str) -> Result<usize, Refusal> {
        let entry = Entry::new("sessions.ended").field("account", account).field("but", but).field("by", by);
        self.note(entry).await?;
        let (name, but, now) = (account.to_owned(), but.map(str::to_owned), self.now());
        self.with_store(move |store| store.end_sessions(&name, but.as_deref(), "ended by a person", now)).await
    }

    async fn end(&self, account: String, id: String, why: &'static str) -> Result<bool, Refusal> {
        let now = self.now();
        self.with_store(move |store| store.end_session(&account, &id, why, now)).await
    }

    /// Begins a session for somebody who has shown who they are, at that time.
    pub(super) async fn begin(
        &self,
        account: &Account,
        method: Method,
        shown_at: Timestamp,
        from: &Origin,
    ) -> Result<Opened, Refusal> {
        let secret = Secret::new()?;
        let new = NewSession {
            id: random_id("ses_")?,
            sha256: secret.sha256(),
            account: account.name.clone(),
            method,
            address: from.place(),
            agent: shown(&from.agent, AGENT),
            confirmed_at: shown_at,
        };
        self.note(
            Entry::new("login")
                .field("account", account.name.as_str())
                .field("session", new.id.as_str())
                .field("method", method.as_str())
                .field("address", new.address.as_str()),
        )
        .await?;
        let (before, now) = (from.session.as_ref().map(Secret::sha256), self.now());
        let session = self.with_store(move |store| store.open_session(&new, before.as_ref(), now)).await?;
        let device = self.attempts.device(&account.name, from.device.as_deref())?;
        Ok(Opened { secret, session, account: account.clone(), device })
    }

    /// Notes that a session's person has shown again who they are; the session has another secret from then on.
    pub(super) async fn renew(&self, session: &Session, method: Method) -> Result<Secret, Refusal> {
        let secret = Secret::new()?;
        self.note(line("session.confirmed", session).field("method", method.as_str())).await?;
        let (id, sha256, now) = (session.id.clone(), secret.sha256(), self.now());
        self.with_store(move |store| store.confirm_session(&id, &sha256, now)).await?;
        Ok(secret)
    }
}

fn line(event: &str, session: &Session) -> Entry {
    Entry::new(event).field("account", session.account.as_str()).field("session", session.id.as_str())
}

/// Until when a session is fresh, for a page to say so.
#[must_use]
pub fn fresh_until(people: &People, session: &Session) -> Timestamp {
    session.confirmed_at.saturating_add(people.settings.fresh).unwrap_or(Timestamp::MAX)
}
