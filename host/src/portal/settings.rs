//! `[portal]`: whether there is a portal, where it listens, how long sessions last, and which issuer people may come from.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{ISSUER_BACK, Site};
use crate::{
    error::{Code, Refusal},
    people::{
        PeopleSettings, names,
        oidc::{Oidc, OidcSettings},
    },
    store::{PortalRole, SessionLimits},
};

/// Largest file with a secret.
const SECRET: u64 = 4096;

/// The section as an operator writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PortalConfig {
    /// Address and port.
    pub listen: String,
    /// Minutes without use after which a session ends.
    pub idle_minutes: u64,
    /// Hours after which a session ends.
    pub session_hours: u64,
    /// Minutes after a login or a confirmation in which its person may decide and change who may do what.
    pub fresh_minutes: u64,
    /// Whether passwords are taken; without, people come with passkeys or by the issuer.
    pub passwords: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// A company's issuer.
    pub oidc: Option<OidcConfig>,
}

impl Default for PortalConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7433".into(),
            idle_minutes: 60,
            session_hours: 12,
            fresh_minutes: 15,
            passwords: true,
            trusted_proxies: Vec::new(),
            oidc: None,
        }
    }
}

/// `[portal.oidc]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// The issuer, exactly as its metadata names it.
    pub issuer: String,
    /// How we are known there.
    pub client_id: String,
    /// A file with the client's secret; without it we are a public client.
    pub client_secret_file: Option<PathBuf>,
    /// What the login's button says.
    #[serde(default = "label")]
    pub label: String,
    /// Scopes that are asked for beside `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim that names the account.
    #[serde(default = "name_claim")]
    pub name_claim: String,
    /// A mail domain that is taken off names.
    pub name_domain: Option<String>,
    /// The claim with the groups that [`OidcConfig::roles`] and [`OidcConfig::groups`] speak of.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// Portal roles by values of that claim; the highest counts. Without any, roles are given here and not there.
    #[serde(default)]
    pub roles: BTreeMap<String, PortalRole>,
    /// Approvers' groups by values of that claim.
    #[serde(default)]
    pub groups: BTreeMap<String, String>,
    /// Whether somebody without an account is given one.
    #[serde(default)]
    pub create: bool,
}

fn label() -> String {
    "Log in with your company account".to_owned()
}

fn scopes() -> Vec<String> {
    ["profile", "email"].map(str::to_owned).into()
}

fn name_claim() -> String {
    "preferred_username".to_owned()
}

fn groups_claim() -> String {
    "groups".to_owned()
}

impl OidcConfig {
    /// The issuer, ready to be asked.
    ///
    /// # Errors
    /// When its address or the file with our secret can't be used.
    pub fn opened(&self, site: &Site) -> Result<Oidc, Refusal> {
        let client_secret = self.client_secret_file.as_deref().map(secret).transpose()?;
        Oidc::new(OidcSettings {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret,
            label: self.label.clone(),
            scopes: self.scopes.clone(),
            name_claim: self.name_claim.clone(),
            name_domain: self.name_domain.clone(),
            groups_claim: self.groups_claim.clone(),
            roles: self.roles.clone(),
            groups: self.groups.clone(),
            create: self.create,
            redirect: site.at(ISSUER_BACK),
        })
    }
}

/// Reads a secret from a file that only its owner may read.
fn secret(path: &Path) -> Result<Zeroizing<String>, Refusal> {
    let unusable = |why: String| {
        Refusal::new(Code::ConfigInvalid, format!("[portal.oidc] client_secret_file {}: {why}", path.display()))
            .with_remedy("give a file with the secret and nothing else, mode 0600")
    };
    let mode = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(unusable("others may read it".to_owned()));
    }
    let bytes = lockgate_signing::file::read_once(path, SECRET).map_err(|error| unusable(error.to_string()))?;
    let text = Zeroizing::new(String::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8".to_owned()))?);
    let secret = Zeroizing::new(text.trim().to_owned());
    if secret.is_empty() { Err(unusable("it is empty".to_owned())) } else { Ok(secret) }
}

impl PortalConfig {
    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// In words that name the key.
    pub fn check(&self) -> Result<(), String> {
        let within = |key: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(format!("{key} must be from {low} to {high}")) }
        };
        within("idle_minutes", self.idle_minutes, 5, 24 * 60)?;
        within("session_hours", self.session_hours, 1, 7 * 24)?;
        within("fresh_minutes", self.fresh_minutes, 1, 24 * 60)?;
        let Some(oidc) = &self.oidc else { return Ok(()) };
        names::groups(oidc.groups.values().map(String::as_str)).map_err(|e| format!("oidc groups: {}", e.message))?;
        if oidc.create && oidc.roles.is_empty() {
            return Err(
                "oidc create: nobody is given an account without a role; name `roles` by values of the claim".into()
            );
        }
        Ok(())
    }

    /// What of it is about people.
    #[must_use]
    pub fn people(&self) -> PeopleSettings {
        PeopleSettings {
            sessions: SessionLimits {
                idle: Duration::from_secs(self.idle_minutes * 60),
                absolute: Duration::from_secs(self.session_hours * 60 * 60),
            },
            fresh: Duration::from_secs(self.fresh_minutes * 60),
            passwords: self.passwords,
        }
    }
}
