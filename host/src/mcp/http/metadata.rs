//! What a client without a token is told: where the protected resource's metadata is (RFC 9728), and in the words of RFC 6750
//! what was wrong with the credential it came with.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::identity::Stranger;
use crate::rate::whole_seconds;

/// Where the metadata of a resource without a path is (RFC 9728, section 3).
pub(super) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What is said of the OAuth issuer, if there is one.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    document: String,
    /// Where clients find it.
    address: String,
    /// The paths that answer with it.
    paths: Vec<String>,
    scope: Option<String>,
}

impl Metadata {
    /// `resource` is this server's own address, as the issuer knows it: `https://host/path`, checked before.
    pub(super) fn new(resource: &str, issuer: &str, scope: Option<&str>) -> Self {
        let after_scheme = resource.find("://").map_or(0, |at| at + 3);
        let path_at = resource.get(after_scheme..).and_then(|rest| rest.find('/')).map(|at| at + after_scheme);
        let (origin, path) = resource.split_at(path_at.unwrap_or(resource.len()));
        let path = path.trim_end_matches('/');
        let document = json!({
            "resource": resource,
            "authorization_servers": [issuer],
            "bearer_methods_supported": ["header"],
            "scopes_supported": scope.into_iter().collect::<Vec<_>>(),
            "resource_name": "lockgate",
        });
        Self {
            document: document.to_string(),
            address: format!("{origin}{WELL_KNOWN}{path}"),
            // A proxy may have taken a part of the path away, so the plain ones answer too.
            paths: vec![WELL_KNOWN.into(), format!("{WELL_KNOWN}{}", super::PATH), format!("{WELL_KNOWN}{path}")],
            scope: scope.map(str::to_owned),
        }
    }

    /// The document, for a path that has it. It is public, so any page may read it.
    pub(super) fn at(&self, path: &str) -> Option<Response> {
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
        self.paths.iter().any(|own| own == path).then(|| (headers, self.document.clone()).into_response())
    }

    fn challenge(&self) -> String {
        let scope = self.scope.as_ref().map(|scope| format!(", scope=\"{scope}\"")).unwrap_or_default();
        format!(", resource_metadata=\"{}\"{scope}", self.address)
    }
}

/// What a stranger is answered. Its connection is closed: whoever has no credential must not hold places that others need.
pub(super) fn turned_away(stranger: &Stranger, metadata: Option<&Metadata>) -> Response {
    let about = metadata.map(Metadata::challenge).unwrap_or_default();
    let challenge = |error: &str| format!("Bearer realm=\"lockgate\"{error}{about}");
    let (status, text, name, value) = match stranger {
        // Without a credential there is nothing wrong with it (RFC 6750, section 3.1).
        Stranger::NoCredential => {
            let text = "present a valid agent token\n".to_owned();
            (StatusCode::UNAUTHORIZED, text, header::WWW_AUTHENTICATE, challenge(""))
        }
        Stranger::NotValid => {
            let text = "present a valid agent token\n".to_owned();
            (StatusCode::UNAUTHORIZED, text, header::WWW_AUTHENTICATE, challenge(", error=\"invalid_token\""))
        }
        Stranger::NoScope { needed } => {
            let text = format!("the token lacks the scope `{needed}`\n");
            (StatusCode::FORBIDDEN, text, header::WWW_AUTHENTICATE, challenge(", error=\"insufficient_scope\""))
        }
        Stranger::TooMany(wait) => {
            let seconds = whole_seconds(*wait);
            let text = format!("too many attempts from this address; wait {seconds} s\n");
            (StatusCode::TOO_MANY_REQUESTS, text, header::RETRY_AFTER, seconds.to_string())
        }
        Stranger::CannotTell => {
            let text = "tokens can't be checked now; try again\n".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, text, header::RETRY_AFTER, "5".to_owned())
        }
    };
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_is_where_its_resource_says() {
        let about = Metadata::new("https://gate.example/lockgate/mcp", "https://idp.example", Some("lockgate"));
        assert_eq!(about.address, "https://gate.example/.well-known/oauth-protected-resource/lockgate/mcp");
        for path in [WELL_KNOWN.to_owned(), format!("{WELL_KNOWN}/mcp"), format!("{WELL_KNOWN}/lockgate/mcp")] {
            assert!(about.at(&path).is_some(), "{path}");
        }
        assert!(about.at(&format!("{WELL_KNOWN}/other")).is_none() && about.at("/mcp").is_none());
        let root = Metadata::new("https://gate.example", "https://idp.example", None);
        assert_eq!(root.address, "https://gate.example/.well-known/oauth-protected-resource");
        let document: serde_json::Value = serde_json::from_str(&about.document).unwrap();
        assert_eq!(document["resource"], "https://gate.example/lockgate/mcp");
        assert_eq!(document["authorization_servers"][0], "https://idp.example");
        assert_eq!(document["scopes_supported"][0], "lockgate");
    }

    #[test]
    fn a_stranger_is_told_what_to_present_and_no_more() {
        let about = Metadata::new("https://gate.example/mcp", "https://idp.example", Some("lockgate"));
        let said = |stranger: &Stranger, about: Option<&Metadata>| {
            let response = turned_away(stranger, about);
            let header = response.headers().get(header::WWW_AUTHENTICATE).map(|v| v.to_str().unwrap().to_owned());
            (response.status().as_u16(), header.unwrap_or_default())
        };
        let place =
            "resource_metadata=\"https://gate.example/.well-known/oauth-protected-resource/mcp\", scope=\"lockgate\"";
        assert_eq!(said(&Stranger::NoCredential, None), (401, "Bearer realm=\"lockgate\"".into()));
        assert_eq!(said(&Stranger::NoCredential, Some(&about)), (401, format!("Bearer realm=\"lockgate\", {place}")));
        let invalid = said(&Stranger::NotValid, Some(&about));
        assert_eq!(invalid, (401, format!("Bearer realm=\"lockgate\", error=\"invalid_token\", {place}")));
        let needed = Stranger::NoScope { needed: "lockgate".into() };
        assert_eq!(said(&needed, Some(&about)).0, 403);
        assert!(said(&needed, Some(&about)).1.contains("error=\"insufficient_scope\""));
        assert_eq!(said(&Stranger::CannotTell, Some(&about)).0, 503);
    }
}
