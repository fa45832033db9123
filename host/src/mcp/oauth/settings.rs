//! `[mcp.http.oauth]`: which issuer's tokens are taken, and what of them says who calls.

use std::path::{Path, PathBuf};

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::keys::Source;
use crate::outbound;

/// The section as an operator writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthConfig {
    /// The issuer, exactly as its tokens name it.
    pub issuer: String,
    /// Our own address, exactly as tokens for us name it in `aud`: `https://gate.example/mcp`.
    pub resource: String,
    /// What stands behind an agent's name: `client@label`. The issuer's host without it.
    pub label: Option<String>,
    /// The issuer's keys, in a file.
    pub jwks_file: Option<PathBuf>,
    /// The issuer's keys, at an address. With neither, the issuer's metadata says where.
    pub jwks_url: Option<String>,
    /// The claim that names the agent; without it `client_id`, `azp`, or `sub`.
    pub agent_claim: Option<String>,
    /// The claim that names the person behind the agent; without it no person is known.
    pub person_claim: Option<String>,
    /// A mail domain that is taken off persons' names.
    pub person_domain: Option<String>,
    /// The claim with the roles.
    #[serde(default = "roles")]
    pub roles_claim: String,
    /// A scope that every token must have.
    pub scope: Option<String>,
    /// The claim with patterns of packs.
    pub packs_claim: Option<String>,
    /// The claim with patterns of targets.
    pub targets_claim: Option<String>,
    /// The algorithms that are taken.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<String>,
    /// By how much clocks may differ.
    #[serde(default = "leeway")]
    pub leeway_seconds: u64,
}

fn roles() -> String {
    "roles".to_owned()
}

fn algorithms() -> Vec<String> {
    ["RS256", "ES256", "EdDSA"].map(str::to_owned).into()
}

fn leeway() -> u64 {
    30
}

/// The section can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OAuthSettingsError(pub(super) String);

/// The same, checked.
#[derive(Clone, Debug)]
pub struct OAuthSettings {
    pub(crate) issuer: String,
    pub(crate) resource: String,
    pub(crate) label: String,
    pub(crate) source: Source,
    pub(crate) agent_claim: Option<String>,
    pub(crate) person_claim: Option<String>,
    pub(crate) person_domain: Option<String>,
    pub(crate) roles_claim: String,
    pub(crate) scope: Option<String>,
    pub(crate) packs_claim: Option<String>,
    pub(crate) targets_claim: Option<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) leeway_seconds: u64,
}

impl OAuthConfig {
    /// Checks everything that can be without the network.
    ///
    /// # Errors
    /// What is wrong.
    pub fn checked(&self) -> Result<OAuthSettings, OAuthSettingsError> {
        let wrong = |key: &str, problem: String| OAuthSettingsError(format!("{key}: {problem}"));
        let issuer = outbound::secure(&self.issuer).map_err(|e| wrong("issuer", e))?;
        let resource = outbound::secure(&self.resource).map_err(|e| wrong("resource", e))?;
        for (key, url) in [("issuer", &issuer), ("resource", &resource)] {
            if url.query().is_some() {
                return Err(wrong(key, "must have no query".to_owned()));
            }
        }
        // It goes into a header and a document as it stands.
        if !self.resource.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) {
            return Err(wrong("resource", "must be plain ASCII".to_owned()));
        }
        let source = match (&self.jwks_file, &self.jwks_url) {
            (Some(_), Some(_)) => return Err(wrong("jwks_file", "give this or `jwks_url`, not both".to_owned())),
            (Some(path), None) => Source::File(path.clone()),
            (None, Some(url)) => Source::Address(outbound::secure(url).map_err(|e| wrong("jwks_url", e))?),
            (None, None) => Source::Discovered,
        };
        let label = self.label.clone().unwrap_or_else(|| issuer.host_str().unwrap_or_default().to_owned());
        if !(1..=64).contains(&label.len())
            || !label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        {
            return Err(wrong("label", "must be 1 to 64 ASCII letters, digits, `.`, `-` and `_`".to_owned()));
        }
        let is_scope = |scope: &String| {
            !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
        };
        if self.scope.as_ref().is_some_and(|scope| !is_scope(scope)) {
            return Err(wrong("scope", "must be one word".to_owned()));
        }
        if self.leeway_seconds > 300 {
            return Err(wrong("leeway_seconds", "must be from 0 to 300".to_owned()));
        }
        Ok(OAuthSettings {
            issuer: self.issuer.clone(),
            resource: self.resource.clone(),
            label,
            source,
            agent_claim: self.agent_claim.clone(),
            person_claim: self.person_claim.clone(),
            person_domain: self.person_domain.clone(),
            roles_claim: self.roles_claim.clone(),
            scope: self.scope.clone(),
            packs_claim: self.packs_claim.clone(),
            targets_claim: self.targets_claim.clone(),
            algorithms: self.allowed()?,
            leeway_seconds: self.leeway_seconds,
        })
    }

    /// The algorithms; never one by which whoever can check a token can also make one, and never none.
    fn allowed(&self) -> Result<Vec<Algorithm>, OAuthSettingsError> {
        let wrong = |problem: String| OAuthSettingsError(format!("algorithms: {problem}"));
        if self.algorithms.is_empty() {
            return Err(wrong("name at least one".to_owned()));
        }
        let read = |name: &String| match name.parse::<Algorithm>() {
            Ok(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) | Err(_) => Err(wrong(format!(
                "`{}` is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA",
                crate::outside::shown(name, 40)
            ))),
            Ok(algorithm) => Ok(algorithm),
        };
        self.algorithms.iter().map(read).collect()
    }

    /// With its file taken from a directory.
    pub(crate) fn relative_to(&mut self, base: &Path) {
        if let Some(path) = &mut self.jwks_file {
            *path = base.join(&*path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    fn parsed(more: &str) -> Result<OAuthSettings, String> {
        let least = "issuer = \"https://idp.example\"\nresource = \"https://gate.example/mcp\"\n";
        let config: OAuthConfig = toml::from_str(&format!("{least}{more}")).map_err(|e| e.to_string())?;
        config.checked().map_err(|e| e.to_string())
    }

    pub(in crate::mcp::oauth) fn settings(more: &str) -> OAuthSettings {
        parsed(more).unwrap()
    }

    #[test]
    fn the_least_is_enough() {
        let least = settings("");
        assert_eq!(least.label, "idp.example");
        assert_eq!(least.algorithms, [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
        assert_eq!((least.source, least.leeway_seconds), (Source::Discovered, 30));
    }

    #[test]
    fn what_would_let_strangers_in_is_refused() {
        for bad in [
            "algorithms = [\"HS256\"]",
            "algorithms = [\"none\"]",
            "algorithms = [\"RS256\", \"HS512\"]",
            "algorithms = []",
            "jwks_url = \"http://idp.example/keys\"",
            "jwks_url = \"https://idp.example/k\"\njwks_file = \"k.json\"",
            "label = \"a@b\"",
            "label = \"\"",
            "scope = \"two words\"",
            "leeway_seconds = 301",
            "audience = \"x\"",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
        for bad in ["http://idp.example", "idp.example", "https://idp.example/?a=b", "https://u@idp.example"] {
            let text = format!("issuer = \"{bad}\"\nresource = \"https://gate.example/mcp\"\n");
            assert!(toml::from_str::<OAuthConfig>(&text).unwrap().checked().is_err(), "{bad}");
        }
    }
}
