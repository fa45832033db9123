//! Fetching an issuer's metadata and keys: over TLS (plainly only from this machine), without following redirects, bounded in
//! time and length. What is fetched is named by the configuration or by the issuer's own metadata, never by a token.

use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use serde_json::Value;

use super::{super::strict_json, settings::OAuthSettingsError};
use crate::outbound::{self, said, secure};

/// For one document.
const TIME: Duration = Duration::from_secs(5);
/// Bytes of one document; large issuers' are some tens of thousands.
const BYTES: usize = 256 * 1024;

/// Fetches documents.
#[derive(Clone)]
pub(super) struct Fetcher(Client);

impl Fetcher {
    pub(super) fn new(near: bool) -> Result<Self, OAuthSettingsError> {
        outbound::client(near, TIME).map(Self).map_err(OAuthSettingsError)
    }

    /// One document.
    pub(super) async fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        let failed = |error: reqwest::Error| format!("`{url}` can't be fetched: {}", said(error));
        let mut response = self.0.get(url.clone()).header("Accept", "application/json").send().await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(format!("`{url}` answers {}", response.status()));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            if bytes.len() + piece.len() > BYTES {
                return Err(format!("`{url}` is longer than {BYTES} bytes"));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Where an issuer says that its keys are (RFC 8414, section 3; OpenID Connect Discovery 1.0, section 4).
    pub(super) async fn discover(&self, issuer: &str) -> Result<Url, String> {
        let mut problems = Vec::new();
        for place in places(issuer)? {
            match self.get(&place).await.and_then(|bytes| keys_of(&bytes, issuer)) {
                Ok(url) => return Ok(url),
                Err(problem) => problems.push(problem),
            }
        }
        Err(problems.join("; "))
    }
}

/// Where an issuer's metadata may be, likeliest first.
fn places(issuer: &str) -> Result<Vec<Url>, String> {
    let base = secure(issuer)?;
    let path = base.path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut url = base.clone();
        url.set_path(&path);
        url
    };
    let mut places = vec![
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("{path}/.well-known/openid-configuration")),
    ];
    if !path.is_empty() {
        places.push(at(format!("/.well-known/openid-configuration{path}")));
    }
    Ok(places)
}

/// The address of the keys, in metadata that is this issuer's own (RFC 8414, section 3.3).
fn keys_of(bytes: &[u8], issuer: &str) -> Result<Url, String> {
    let metadata = strict_json::parse(bytes).map_err(|error| format!("the issuer's metadata: {error}"))?;
    if metadata.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err("the metadata is of another issuer".to_owned());
    }
    let keys = metadata.get("jwks_uri").and_then(Value::as_str);
    secure(keys.ok_or("the issuer's metadata has no `jwks_uri`")?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_standards_put_it() {
        let at = |issuer: &str| places(issuer).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            at("https://idp.example"),
            [
                "https://idp.example/.well-known/oauth-authorization-server",
                "https://idp.example/.well-known/openid-configuration"
            ]
        );
        assert_eq!(
            at("https://idp.example/realms/shop"),
            [
                "https://idp.example/.well-known/oauth-authorization-server/realms/shop",
                "https://idp.example/realms/shop/.well-known/openid-configuration",
                "https://idp.example/.well-known/openid-configuration/realms/shop"
            ]
        );
    }

    #[test]
    fn metadata_of_somebody_else_leads_nowhere() {
        let keys = |text: &str| keys_of(text.as_bytes(), "https://idp.example");
        assert!(keys(r#"{"issuer":"https://idp.example","jwks_uri":"https://keys.example/k"}"#).is_ok());
        for bad in [
            r#"{"issuer":"https://idp.example/","jwks_uri":"https://keys.example/k"}"#,
            r#"{"issuer":"https://evil.example","jwks_uri":"https://keys.example/k"}"#,
            r#"{"jwks_uri":"https://keys.example/k"}"#,
            r#"{"issuer":"https://idp.example","jwks_uri":"http://keys.example/k"}"#,
            r#"{"issuer":"https://idp.example"}"#,
            r#"{"issuer":"https://evil.example","issuer":"https://idp.example","jwks_uri":"https://keys.example/k"}"#,
        ] {
            assert!(keys(bad).is_err(), "{bad}");
        }
    }
}
