//! Passkeys (WebAuthn): adding one, logging in with one, and showing again with one who one is. Each is two steps: a
//! challenge, kept here for minutes and taken out by the one answer that it gets; and that answer. User verification is
//! required throughout, so a passkey stands alone as a password does.
//!
//! For a name without passkeys there is a challenge too, with made-up credentials that are the same each time: nobody learns by
//! asking who has an account.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::json;
use webauthn_rs::{
    Webauthn, WebauthnBuilder,
    fake::{FakePasskeyDistribution, WebauthnFakeCredentialGenerator},
    prelude::{
        Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential,
        RequestChallengeResponse, Url, Uuid, WebauthnError,
    },
};

use super::{
    Origin, People, Secret,
    login::{LoginError, looked_for},
    sessions::Opened,
};
use crate::{
    audit::Entry,
    error::{Code, Refusal},
    outside::shown,
    store::{Account, Method, Session, StoredPasskey, random_bytes, random_id},
};

/// How long an authenticator's answer is waited for.
const WAIT: Duration = Duration::from_secs(300);
/// Challenges that wait at once; beyond these the oldest is forgotten.
const WAITING: usize = 4096;
/// Longest name of a passkey, in characters.
const LABEL: usize = 60;

/// The relying party, and the challenges that wait.
pub struct Passkeys {
    webauthn: Webauthn,
    rp_id: String,
    fakes: WebauthnFakeCredentialGenerator<FakePasskeyDistribution>,
    waiting: Mutex<HashMap<String, (Timestamp, Waiting)>>,
}

enum Waiting {
    /// For a passkey that this account is to have.
    Add { session: String, state: Box<PasskeyRegistration> },
    /// For who says to be this account; for nobody there is nothing that could be right.
    Login { name: String, session: Option<String>, state: Option<Box<PasskeyAuthentication>> },
}

/// A challenge for an authenticator.
#[derive(Debug)]
pub struct Challenge {
    /// Names it when the answer comes.
    pub id: String,
    /// For the browser, as JSON.
    pub options: String,
}

impl Passkeys {
    /// For the portal at this address; none if it is no host's name, since browsers give passkeys to names only. `key` makes up
    /// credentials.
    ///
    /// # Errors
    /// When the library takes the address for no origin.
    pub fn new(url: &Url, key: &[u8; 32]) -> Result<Option<Self>, Refusal> {
        let Some(rp_id) = url.domain().map(str::to_owned) else { return Ok(None) };
        let builder = WebauthnBuilder::new(&rp_id, url).map_err(|error| unusable(&error))?;
        let webauthn = builder.rp_name("lockgate").timeout(WAIT).build().map_err(|error| unusable(&error))?;
        let fakes = WebauthnFakeCredentialGenerator::new(key).map_err(|error| unusable(&error))?;
        Ok(Some(Self { webauthn, rp_id, fakes, waiting: Mutex::default() }))
    }

    fn keep(&self, waiting: Waiting, now: Timestamp) -> Result<String, Refusal> {
        let id = random_id("chl_")?;
        let until = now.saturating_add(WAIT).unwrap_or(now);
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (until, _)| *until > now);
        if all.len() >= WAITING
            && let Some(oldest) = all.iter().min_by_key(|(_, (until, _))| *until).map(|(id, _)| id.clone())
        {
            all.remove(&oldest);
        }
        all.insert(id.clone(), (until, waiting));
        Ok(id)
    }

    /// Takes a challenge out: whatever comes of the answer, there is no second one.
    fn take(&self, id: &str, now: Timestamp) -> Option<Waiting> {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(id).filter(|(until, _)| *until > now).map(|(_, waiting)| waiting)
    }

    /// A challenge that nobody can answer, for a name without passkeys.
    fn made_up(&self, name: &str) -> Result<RequestChallengeResponse, Refusal> {
        let known = self.fakes.generate(name.as_bytes()).map_err(|error| unusable(&error))?;
        let known: Vec<_> =
            known.iter().map(|id| json!({ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(id.clone()) })).collect();
        let options = json!({ "publicKey": {
            "challenge": URL_SAFE_NO_PAD.encode(random_bytes::<32>()?),
            "timeout": u64::try_from(WAIT.as_millis()).unwrap_or(u64::MAX),
            "rpId": self.rp_id,
            "allowCredentials": known,
            "userVerification": "required",
        } });
        serde_json::from_value(options).map_err(|error| defect(&error))
    }
}

impl People {
    fn webauthn(&self) -> Result<&Passkeys, Refusal> {
        self.passkeys.as_ref().ok_or_else(|| {
            Refusal::new(Code::AccountRefused, "passkeys can't be used here: browsers give them to a host's name only")
                .with_remedy("give [approvals] url with a host's name, `http://localhost:7433` on this machine")
        })
    }

    /// The passkeys of an account.
    ///
    /// # Errors
    /// The store's.
    pub async fn passkeys_of(&self, account: &str) -> Result<Vec<StoredPasskey>, Refusal> {
        let name = account.to_owned();
        self.with_store(move |store| store.passkeys(&name)).await
    }

    /// A challenge for a passkey that this account is to have.
    ///
    /// # Errors
    /// Where passkeys can't be used, or the store's.
    pub async fn begin_passkey(&self, account: &Account, session: &Session) -> Result<Challenge, Refusal> {
        let webauthn = self.webauthn()?;
        let known = self.passkeys_of(&account.name).await?;
        let known = known.iter().map(|passkey| passkey.credential.clone()).collect();
        let handle = Uuid::from_bytes(account.handle);
        let (options, state) = webauthn
            .webauthn
            .start_passkey_registration(handle, &account.name, &account.name, Some(known))
            .map_err(|error| unusable(&error))?;
        let waiting = Waiting::Add { session: session.id.clone(), state: Box::new(state) };
        Ok(Challenge { id: webauthn.keep(waiting, self.now())?, options: to_json(&options)? })
    }

    /// Adds the passkey that an authenticator made for a challenge.
    ///
    /// # Errors
    /// When the answer is not for this session's challenge or not right, or the record's or the store's.
    pub async fn add_passkey(
        &self,
        session: &Session,
        challenge: &str,
        answer: &str,
        label: &str,
    ) -> Result<StoredPasskey, Refusal> {
        let webauthn = self.webauthn()?;
        let state = match webauthn.take(challenge, self.now()) {
            Some(Waiting::Add { session: of, state }) if of == session.id => state,
            _ => return Err(late()),
        };
        let answer: RegisterPublicKeyCredential = serde_json::from_str(answer).map_err(|_| not_right())?;
        let made = webauthn.webauthn.finish_passkey_registration(&answer, &state).map_err(|error| {
            tracing::info!(%error, account = %session.account, "an authenticator's answer is not right");
            not_right()
        })?;
        let label = Some(shown(label.trim(), LABEL)).filter(|label| !label.is_empty());
        let new = StoredPasskey {
            id: random_id("pky_")?,
            account: session.account.clone(),
            credential: made.cred_id().clone(),
            label: label.unwrap_or_else(|| "passkey".to_owned()),
            data: to_json(&made)?,
            added_at: self.now(),
            last_used_at: None,
        };
        self.note(
            Entry::new("passkey.added")
                .field("account", new.account.as_str())
                .field("passkey", new.id.as_str())
                .field("label", new.label.as_str())
                .field("session", session.id.as_str()),
        )
        .await?;
        let kept = new.clone();
        self.carry_out(&session.account, move |store| store.add_passkey(&kept)).await?;
        Ok(new)
    }

    /// Removes a passkey of an account, and says whether there was one.
    ///
    /// # Errors
    /// When nobody could administer this host without it, or the record's or the store's.
    pub async fn remove_passkey(&self, account: &str, id: &str, by: &str) -> Result<bool, Refusal> {
        let Some(passkey) = self.passkeys_of(account).await?.into_iter().find(|passkey| passkey.id == id) else {
            return Ok(false);
        };
        self.note(
            Entry::new("passkey.removed")
                .field("account", passkey.account.as_str())
                .field("passkey", passkey.id.as_str())
                .field("label", passkey.label.as_str())
                .field("by", by),
        )
        .await?;
        self.carry_out(account, move |store| store.remove_passkey(&passkey.account, &passkey.id)).await
    }

    /// A challenge for whoever says to be somebody.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn ask_passkey(&self, name: &str, from: &Origin) -> Result<Challenge, LoginError> {
        self.attempts.from(from).map_err(|wait| LoginError::TooOften { wait })?;
        self.challenge(looked_for(name), None).await.map_err(LoginError::Refused)
    }

    /// The same for whoever is in a session, to show again who they are.
    ///
    /// # Errors
    /// Where passkeys can't be used, or the store's.
    pub async fn ask_passkey_again(&self, session: &Session) -> Result<Challenge, Refusal> {
        self.challenge(session.account.clone(), Some(session.id.clone())).await
    }

    async fn challenge(&self, name: String, session: Option<String>) -> Result<Challenge, Refusal> {
        let webauthn = self.webauthn()?;
        let key = name.clone();
        let (account, stored) = self
            .with_store(move |store| {
                let account = store.account(&key)?.filter(|account| account.disabled.is_none());
                let stored = store.passkeys(&key)?;
                Ok::<_, crate::store::StoreError>((account, stored))
            })
            .await?;
        let known: Vec<Passkey> = match account {
            Some(_) => stored.iter().map(|passkey| from_json(&passkey.data)).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let (options, state) = if known.is_empty() {
            (webauthn.made_up(&name)?, None)
        } else {
            let (options, state) =
                webauthn.webauthn.start_passkey_authentication(&known).map_err(|error| unusable(&error))?;
            (options, Some(Box::new(state)))
        };
        let waiting = Waiting::Login { name, session, state };
        Ok(Challenge { id: webauthn.keep(waiting, self.now())?, options: to_json(&options)? })
    }

    /// Lets somebody in with an authenticator's answer.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn log_in_with_passkey(
        &self,
        challenge: &str,
        answer: &str,
        from: &Origin,
    ) -> Result<Opened, LoginError> {
        self.attempts.from(from).map_err(|wait| LoginError::TooOften { wait })?;
        let account = self.answered(challenge, answer, None, from).await?;
        Ok(self.begin(&account, Method::Passkey, self.now(), from).await?)
    }

    /// Takes an authenticator's answer from whoever is in a session; the session is fresh from then on.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn confirm_with_passkey(
        &self,
        session: &Session,
        challenge: &str,
        answer: &str,
        from: &Origin,
    ) -> Result<Secret, LoginError> {
        self.attempts.from(from).map_err(|wait| LoginError::TooOften { wait })?;
        self.answered(challenge, answer, Some(&session.id), from).await?;
        Ok(self.renew(session, Method::Passkey).await?)
    }

    /// Whose answer it is. A challenge of a login is none of a confirmation, nor one session's another's.
    async fn answered(
        &self,
        challenge: &str,
        answer: &str,
        of: Option<&str>,
        from: &Origin,
    ) -> Result<Account, LoginError> {
        let webauthn = self.webauthn()?;
        let Some(Waiting::Login { name, session, state }) = webauthn.take(challenge, self.now()) else {
            return Err(late().into());
        };
        if session.as_deref() != of {
            return Err(late().into());
        }
        let answer = serde_json::from_str::<PublicKeyCredential>(answer).ok();
        let result = match (&state, &answer) {
            (Some(state), Some(answer)) => webauthn.webauthn.finish_passkey_authentication(answer, state).ok(),
            _ => None,
        };
        let (Some(result), Ok(account)) = (result, self.known(&name).await) else {
            self.failed(&name, Method::Passkey, "the authenticator's answer is not right", from).await?;
            return Err(LoginError::Wrong);
        };
        // One that was removed while the authenticator was asked is none any more.
        let credential: Vec<u8> = result.cred_id().clone();
        let used = self.passkeys_of(&name).await?.into_iter().find(|passkey| passkey.credential == credential);
        let Some(used) = used.filter(|_| account.disabled.is_none()) else {
            self.failed(&name, Method::Passkey, "the passkey was removed or the account disabled", from).await?;
            return Err(LoginError::Wrong);
        };
        let mut passkey: Passkey = from_json(&used.data)?;
        passkey.update_credential(&result);
        let (data, now) = (to_json(&passkey)?, self.now());
        self.with_store(move |store| store.passkey_used(&used.id, &data, now)).await?;
        Ok(account)
    }
}

fn late() -> Refusal {
    Refusal::new(Code::AccountRefused, "this answer is to no question that waits: it came too late, or a second time")
        .with_remedy("start again")
}

fn not_right() -> Refusal {
    Refusal::new(Code::AccountRefused, "the authenticator's answer is not right")
        .with_remedy("try again, or use another device")
}

fn unusable(error: &WebauthnError) -> Refusal {
    Refusal::new(Code::InternalError, format!("passkeys can't be used: {error}"))
}

fn defect(error: &serde_json::Error) -> Refusal {
    Refusal::new(Code::InternalError, format!("a passkey can't be read or written: {error}"))
}

fn to_json(value: &impl serde::Serialize) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|error| defect(&error))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| defect(&error))
}
