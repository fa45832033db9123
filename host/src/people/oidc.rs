//! Logging in by a company's issuer (OpenID Connect, authorization code with PKCE). What comes back is bound to the browser
//! that was sent, by `state`, and to this one login, by `nonce`; its identity token is verified as the specification asks
//! (Core 1.0, 3.1.3.7). Only then is it looked at who it is: an identity (issuer and subject) that is bound to an account, or one
//! whose name is that of an account which has nothing else to log in with.

mod claims;
mod fetch;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::{Timestamp, ToSpan as _};
use openidconnect::{
    AuthType, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
    core::{CoreAuthPrompt, CoreClient, CoreClientAuthMethod, CoreProviderMetadata, CoreResponseType},
};
use zeroize::Zeroizing;

use self::{claims::Claims, fetch::Fetcher};
use super::{Origin, People, login::LoginError, sessions::Opened};
use crate::{
    audit::Entry,
    error::{Code, Refusal},
    people::accounts::Wanted,
    store::{Account, AccountChange, Method, PortalRole, person_key},
};

/// How long somebody may take at the issuer.
const WAIT: Duration = Duration::from_secs(600);
/// Logins that wait at once; beyond these the oldest is forgotten.
const WAITING: usize = 4096;
/// For how long the issuer's metadata and keys are kept.
const KEPT: Duration = Duration::from_secs(600);
/// By how much clocks may differ.
const LEEWAY: i64 = 60;

/// What an operator sets of an issuer.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The issuer, exactly as its metadata names it.
    pub issuer: String,
    /// How we are known there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Option<Zeroizing<String>>,
    /// What the login's button says.
    pub label: String,
    /// Asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that names the account.
    pub name_claim: String,
    /// A mail domain that is taken off names.
    pub name_domain: Option<String>,
    /// The claim with groups.
    pub groups_claim: String,
    /// Portal roles by values of that claim.
    pub roles: BTreeMap<String, PortalRole>,
    /// Approvers' groups by values of that claim.
    pub groups: BTreeMap<String, String>,
    /// Whether somebody without an account is given one.
    pub create: bool,
    /// Where the issuer sends people back to.
    pub redirect: String,
}

/// An issuer, and the logins that wait for it.
pub struct Oidc {
    settings: OidcSettings,
    fetcher: Fetcher,
    waiting: Mutex<HashMap<String, Waiting>>,
    metadata: tokio::sync::Mutex<Option<(Timestamp, CoreProviderMetadata)>>,
}

struct Waiting {
    until: Timestamp,
    began: Timestamp,
    /// The browser that was sent.
    browser: [u8; 32],
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    next: String,
    /// Whether it is somebody in a session who is to show again who they are.
    again: bool,
}

impl Oidc {
    /// With these settings.
    ///
    /// # Errors
    /// When there is no HTTP client to be had, or the issuer's address can't be one.
    pub fn new(settings: OidcSettings) -> Result<Self, Refusal> {
        let fetcher = Fetcher::new(&settings.issuer)?;
        Ok(Self { settings, fetcher, waiting: Mutex::default(), metadata: tokio::sync::Mutex::default() })
    }

    /// What the login's button says.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.settings.label
    }

    async fn metadata(&self, now: Timestamp) -> Result<CoreProviderMetadata, Refusal> {
        let mut kept = self.metadata.lock().await;
        if let Some((at, metadata)) = &*kept
            && now.duration_since(*at).unsigned_abs() < KEPT
        {
            return Ok(metadata.clone());
        }
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(|error| unreachable(&error))?;
        let metadata =
            CoreProviderMetadata::discover_async(issuer, &self.fetcher).await.map_err(|error| unreachable(&error))?;
        *kept = Some((now, metadata.clone()));
        Ok(metadata)
    }

    fn keep(&self, state: String, waiting: Waiting, now: Timestamp) {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, waiting| waiting.until > now);
        if all.len() >= WAITING
            && let Some(oldest) = all.iter().min_by_key(|(_, waiting)| waiting.until).map(|(state, _)| state.clone())
        {
            all.remove(&oldest);
        }
        all.insert(state, waiting);
    }

    fn take(&self, state: &str, browser: &[u8; 32], now: Timestamp) -> Option<Waiting> {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // One that another browser presents is left for whose it is.
        if all.get(state).is_none_or(|waiting| waiting.browser != *browser) {
            return None;
        }
        all.remove(state).filter(|waiting| waiting.until > now)
    }
}

/// What the issuer's answer came to.
#[derive(Debug)]
pub struct Returned {
    /// The session.
    pub opened: Opened,
    /// Where its person was going.
    pub next: String,
}

impl People {
    fn issuer(&self) -> Result<&Oidc, Refusal> {
        self.oidc.as_ref().ok_or_else(|| Refusal::new(Code::NotFound, "no issuer is configured here"))
    }

    /// Where to send somebody's browser. `browser` is what it is known by when it comes back; `again` if they are in a session and
    /// are to show once more who they are.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn send_to_issuer(
        &self,
        browser: [u8; 32],
        next: &str,
        again: bool,
        from: &Origin,
    ) -> Result<String, LoginError> {
        self.attempts.from(from).map_err(|wait| LoginError::TooOften { wait })?;
        let (oidc, now) = (self.issuer()?, self.now());
        let metadata = oidc.metadata(now).await?;
        let client = CoreClient::from_provider_metadata(metadata, ClientId::new(oidc.settings.client_id.clone()), None)
            .set_redirect_uri(redirect(&oidc.settings)?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let request = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .add_scopes(oidc.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge)
            .set_max_age(if again { Duration::ZERO } else { self.settings.fresh });
        let request = if again { request.add_prompt(CoreAuthPrompt::Login) } else { request };
        let (url, state, nonce) = request.url();
        let until = now.saturating_add(WAIT).unwrap_or(now);
        let waiting = Waiting { until, began: now, browser, nonce, verifier, next: next.to_owned(), again };
        oidc.keep(state.secret().clone(), waiting, now);
        Ok(url.to_string())
    }

    /// Lets somebody in who comes back from the issuer. `current` is the account of the session that the browser is in.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn back_from_issuer(
        &self,
        browser: [u8; 32],
        state: &str,
        code: &str,
        current: Option<&str>,
        from: &Origin,
    ) -> Result<Returned, LoginError> {
        self.attempts.from(from).map_err(|wait| LoginError::TooOften { wait })?;
        let (oidc, now) = (self.issuer()?, self.now());
        let waiting = oidc.take(state, &browser, now).ok_or_else(late)?;
        let (next, again, began) = (waiting.next.clone(), waiting.again, waiting.began);
        let claims = match self.redeem(oidc, code, waiting).await {
            Ok(claims) => claims,
            Err(refusal) => {
                self.failed("", Method::Oidc, "the issuer's answer is not right", from).await?;
                return Err(refusal.into());
            }
        };
        let account = match self.of_claims(oidc, &claims).await {
            Ok(account) => account,
            Err(refusal) => {
                self.failed(&claims.name, Method::Oidc, "the issuer's person may not come in", from).await?;
                return Err(refusal.into());
            }
        };
        // What the issuer does not say, nobody has shown: such a session is not fresh.
        let shown_at = claims.auth_time.unwrap_or(Timestamp::UNIX_EPOCH).min(now);
        if again
            && (current != Some(&account.name) || shown_at < began.saturating_sub(LEEWAY.seconds()).unwrap_or(began))
        {
            self.failed(
                &account.name,
                Method::Oidc,
                "the issuer does not say that they showed again who they are",
                from,
            )
            .await?;
            let message = "your issuer does not say that you showed again who you are (no recent `auth_time`, or another account)";
            return Err(Refusal::new(Code::AccountRefused, message).with_remedy("use a passkey or a password").into());
        }
        let opened = self.begin(&account, Method::Oidc, shown_at, from).await?;
        Ok(Returned { opened, next })
    }

    /// Exchanges the code, and verifies what it gives.
    async fn redeem(&self, oidc: &Oidc, code: &str, waiting: Waiting) -> Result<Claims, Refusal> {
        let settings = &oidc.settings;
        let metadata = oidc.metadata(self.now()).await?;
        let by_post = metadata.token_endpoint_auth_methods_supported().is_some_and(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
        let secret = settings.client_secret.as_ref().map(|secret| ClientSecret::new(secret.to_string()));
        let client = CoreClient::from_provider_metadata(metadata, ClientId::new(settings.client_id.clone()), secret)
            .set_redirect_uri(redirect(settings)?)
            .set_auth_type(if by_post { AuthType::RequestBody } else { AuthType::BasicAuth });
        let tokens = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| unreachable(&error))?
            .set_pkce_verifier(waiting.verifier)
            .request_async(&oidc.fetcher)
            .await
            .map_err(|error| {
                tracing::warn!("the issuer gives no token for a code: {error}");
                not_right()
            })?;
        let token = tokens.id_token().ok_or_else(not_right)?;
        token.claims(&client.id_token_verifier(), &waiting.nonce).map_err(|error| {
            tracing::warn!("the issuer's identity token is not right: {error}");
            not_right()
        })?;
        Claims::of(&token.to_string(), settings)
    }

    /// The account of somebody whose identity is verified, with what the issuer says they may do.
    async fn of_claims(&self, oidc: &Oidc, claims: &Claims) -> Result<Account, Refusal> {
        let settings = &oidc.settings;
        let role = claims.role(settings);
        if role.is_none() && !settings.roles.is_empty() {
            return Err(nobody("your company account is in no group that has a role here"));
        }
        let (issuer, subject) = (settings.issuer.clone(), claims.subject.clone());
        let bound = self.with_store(move |store| store.account_of_identity(&issuer, &subject)).await?;
        let account = match bound {
            Some(account) => account,
            None => self.bind(settings, claims, role).await?,
        };
        if account.disabled.is_some() {
            return Err(nobody("your account here is disabled"));
        }
        let change = AccountChange {
            role: role.unwrap_or(account.role),
            groups: claims.groups(settings).unwrap_or_else(|| account.groups.clone()),
            ..AccountChange::of(&account)
        };
        self.change(&account.name, change, &by(settings)).await
    }

    /// Gives an identity to the account of its name; to a new one, if there is none and they are made.
    async fn bind(
        &self,
        settings: &OidcSettings,
        claims: &Claims,
        role: Option<PortalRole>,
    ) -> Result<Account, Refusal> {
        let key = person_key(&claims.name);
        let known = self.with_store(move |store| store.account(&key)).await?;
        let account = match (known, role) {
            (Some(account), _) if account.can_log_in() => {
                return Err(nobody("an account of your name here has another way to log in"));
            }
            (Some(account), _) => account,
            (None, Some(role)) if settings.create => {
                let groups = claims.groups(settings).unwrap_or_default();
                let wanted = Wanted { name: claims.name.clone(), role, groups, os_user: None, email: None };
                self.create(wanted, &by(settings)).await?
            }
            (None, _) => return Err(nobody("there is no account of your name here")),
        };
        self.note(
            Entry::new("account.identity_bound")
                .field("account", account.name.as_str())
                .field("issuer", settings.issuer.as_str())
                .field("subject", claims.subject.as_str()),
        )
        .await?;
        let (issuer, subject, name, now) =
            (settings.issuer.clone(), claims.subject.clone(), account.name.clone(), self.now());
        self.with_store(move |store| store.bind_identity(&issuer, &subject, &name, now)).await?;
        Ok(account)
    }
}

fn by(settings: &OidcSettings) -> String {
    format!("issuer {}", settings.issuer)
}

fn redirect(settings: &OidcSettings) -> Result<RedirectUrl, Refusal> {
    RedirectUrl::new(settings.redirect.clone()).map_err(|error| unreachable(&error))
}

fn nobody(why: &str) -> Refusal {
    Refusal::new(Code::Unauthorized, why)
        .with_remedy("ask an administrator for an account, or for a group that has a role")
}

fn late() -> Refusal {
    Refusal::new(
        Code::AccountRefused,
        "this way back from the issuer was used before, took too long, or began elsewhere",
    )
    .with_remedy("start again from the login page")
}

fn not_right() -> Refusal {
    Refusal::new(Code::Unauthorized, "the issuer's answer is not right").with_remedy("start again from the login page")
}

fn unreachable(error: &dyn std::fmt::Display) -> Refusal {
    tracing::warn!("the issuer can't be used: {error}");
    Refusal::new(Code::StoreUnavailable, "the issuer can't be reached or used now")
        .with_remedy("try again in a moment, or use another way to log in")
}
