//! A JSON Web Token taken apart (RFC 7515, 7519). Only the header is read before the signature has been checked, and of it
//! only what is needed to check: algorithm, kind and key. Keys or addresses of keys that it brings along are not looked at.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::{super::strict_json, OAuthError};

/// Longest token, in bytes. What has many roles in it is some thousands long.
const LONGEST: usize = 8192;
/// Longest name of a key.
const KEY_ID: usize = 256;

/// A token whose signature is yet to be checked.
#[derive(Debug)]
pub(crate) struct Jwt<'a> {
    /// One of those that are allowed.
    pub(crate) algorithm: Algorithm,
    /// Which key it says it was signed by.
    pub(crate) key_id: Option<String>,
    /// What was signed.
    pub(super) signed: &'a str,
    /// By which signature, in base64url.
    pub(super) signature: &'a str,
    payload: &'a str,
}

impl<'a> Jwt<'a> {
    /// Reads the header.
    pub(crate) fn take_apart(token: &'a str, allowed: &[Algorithm]) -> Result<Self, OAuthError> {
        if token.len() > LONGEST {
            return Err(refused("it is too long"));
        }
        let split = token.rsplit_once('.').and_then(|(signed, signature)| {
            signed.split_once('.').map(|(header, payload)| (signed, header, payload, signature))
        });
        let Some((signed, header, payload, signature)) = split.filter(|(_, _, payload, _)| !payload.contains('.')) else {
            return Err(refused("it is no signed JSON Web Token"));
        };
        let header = object(header, "header")?;
        // What a token says must be understood can't be passed over (RFC 7515, section 4.1.11); nothing of it is known here.
        if header.contains_key("crit") {
            return Err(refused("its header has extensions that must be understood"));
        }
        let kind = header.get("typ").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        if !matches!(kind.strip_prefix("application/").unwrap_or(&kind), "at+jwt" | "jwt") {
            return Err(refused("its `typ` is neither `at+jwt` nor `JWT`"));
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(|name| name.parse::<Algorithm>().ok());
        let Some(algorithm) = algorithm.filter(|algorithm| allowed.contains(algorithm)) else {
            return Err(refused("its algorithm is not one of those that are allowed"));
        };
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= KEY_ID => Some(id.clone()),
            Some(_) => return Err(refused("its `kid` is not the name of a key")),
        };
        Ok(Self { algorithm, key_id, signed, signature, payload })
    }

    /// What it claims. To be believed only after its signature was found to be right.
    pub(crate) fn claims(&self) -> Result<Map<String, Value>, OAuthError> {
        object(self.payload, "payload")
    }
}

/// One part, as a JSON object in which no key is twice: two readers must not see two different tokens.
fn object(part: &str, what: &str) -> Result<Map<String, Value>, OAuthError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| refused(format!("its {what} is not base64url")))?;
    match strict_json::parse(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(refused(format!("its {what} is no JSON object"))),
        Err(error) => Err(refused(format!("its {what}: {error}"))),
    }
}

pub(super) fn refused(why: impl Into<String>) -> OAuthError {
    OAuthError::NotValid(why.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALLOWED: [Algorithm; 2] = [Algorithm::RS256, Algorithm::EdDSA];

    fn token(header: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(r#"{"iss":"x"}"#))
    }

    #[test]
    fn a_header_says_which_key_to_ask() {
        let text = token(r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k1","jwk":{"kty":"oct","k":"AAAA"},"jku":"https://evil.example"}"#);
        let jwt = Jwt::take_apart(&text, &ALLOWED).unwrap();
        assert_eq!((jwt.algorithm, jwt.key_id.as_deref()), (Algorithm::EdDSA, Some("k1")));
        assert_eq!(format!("{}.{}", jwt.signed, jwt.signature), text);
        assert_eq!(jwt.claims().unwrap().get("iss").unwrap(), "x");
        for kind in ["JWT", "jwt", "AT+JWT", "application/at+jwt"] {
            assert!(Jwt::take_apart(&token(&format!(r#"{{"alg":"RS256","typ":"{kind}"}}"#)), &ALLOWED).is_ok(), "{kind}");
        }
    }

    #[test]
    fn what_is_no_signed_access_token_is_refused() {
        for header in [
            r#"{"alg":"none","typ":"JWT"}"#,
            r#"{"alg":"None","typ":"JWT"}"#,
            r#"{"alg":"HS256","typ":"JWT"}"#,
            r#"{"alg":"RS512","typ":"JWT"}"#,
            r#"{"alg":["RS256"],"typ":"JWT"}"#,
            r#"{"typ":"JWT"}"#,
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"RS256","typ":"dpop+jwt"}"#,
            r#"{"alg":"RS256","typ":"JWT","crit":["b64"],"b64":false}"#,
            r#"{"alg":"RS256","typ":"JWT","kid":7}"#,
            r#"{"alg":"none","alg":"RS256","typ":"JWT"}"#,
            r#"["RS256"]"#,
            "",
        ] {
            assert!(Jwt::take_apart(&token(header), &ALLOWED).is_err(), "{header}");
        }
        let good = token(r#"{"alg":"RS256","typ":"JWT"}"#);
        assert!(Jwt::take_apart(&good, &ALLOWED).is_ok());
        for bad in [format!("{good}.x"), format!("x.{good}"), good.replace('.', ""), format!("{good}{}", "a".repeat(LONGEST))] {
            assert!(Jwt::take_apart(&bad, &ALLOWED).is_err());
        }
    }
}
