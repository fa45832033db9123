//! One public key of an issuer (RFC 7517, 7518, 8037), and what it may be used for. A key verifies the algorithms of its own
//! kind only, so a public key is never taken for a shared secret, whatever a token's header says.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::{super::strict_json, jwt::Jwt};

/// Keys of one issuer; real ones have two to a dozen.
const MOST: usize = 64;

/// A public key.
#[derive(Clone)]
pub(crate) struct Key {
    id: Option<String>,
    /// The one algorithm it is for, if its issuer says so.
    only: Option<String>,
    kind: Kind,
    key: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Key {
    /// The keys of a set that verify signatures. What is of another kind or use, or malformed, is passed over, since sets
    /// have keys for others too.
    pub(super) fn set(bytes: &[u8]) -> Result<Vec<Self>, String> {
        let set = strict_json::parse(bytes).map_err(|error| format!("the key set is no sound JSON: {error}"))?;
        let Some(Value::Array(keys)) = set.get("keys") else { return Err("the key set has no `keys`".to_owned()) };
        if keys.len() > MOST {
            return Err(format!("the key set has more than {MOST} keys"));
        }
        Ok(keys.iter().filter_map(Self::read).collect())
    }

    fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let is_for_signatures = jwk.get("use").is_none_or(|used| used == "sig");
        let may_verify = jwk.get("key_ops").is_none_or(|ops| {
            ops.as_array().is_some_and(|ops| ops.iter().any(|operation| operation == "verify"))
        });
        if !is_for_signatures || !may_verify {
            return None;
        }
        let (kind, key) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (Kind::Rsa, rsa(text("n")?, text("e")?)?),
            ("EC", Some("P-256")) => (Kind::P256, ec(text("x")?, text("y")?, 32)?),
            ("EC", Some("P-384")) => (Kind::P384, ec(text("x")?, text("y")?, 48)?),
            ("OKP", Some("Ed25519")) => (Kind::Ed25519, ed25519(text("x")?)?),
            _ => return None,
        };
        // A name or an algorithm of the wrong type is not the same as none.
        let optional = |name: &str| match jwk.get(name) {
            None => Some(None),
            Some(Value::String(text)) => Some(Some(text.clone())),
            Some(_) => None,
        };
        Some(Self { id: optional("kid")?, only: optional("alg")?, kind, key })
    }

    /// Whether a token of this algorithm and key name may be checked with it.
    pub(super) fn suits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        let of_kind = match self.kind {
            Kind::Rsa => matches!(
                algorithm,
                Algorithm::RS256
                    | Algorithm::RS384
                    | Algorithm::RS512
                    | Algorithm::PS256
                    | Algorithm::PS384
                    | Algorithm::PS512
            ),
            Kind::P256 => algorithm == Algorithm::ES256,
            Kind::P384 => algorithm == Algorithm::ES384,
            Kind::Ed25519 => algorithm == Algorithm::EdDSA,
        };
        // RFC 9864 names EdDSA by its curve.
        let is_meant = |only: &str| {
            only == format!("{algorithm:?}") || (algorithm == Algorithm::EdDSA && only == "Ed25519")
        };
        of_kind && self.only.as_deref().is_none_or(is_meant) && (id.is_none() || self.id.as_deref() == id)
    }

    /// Whether the token's signature is by this key.
    pub(super) fn verifies(&self, jwt: &Jwt<'_>) -> bool {
        self.suits(jwt.algorithm, jwt.key_id.as_deref())
            && jsonwebtoken::crypto::verify(jwt.signature, jwt.signed.as_bytes(), &self.key, jwt.algorithm)
                .is_ok_and(|right| right)
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// 2048 to 4096 bits: less is no key any more (RFC 7518, section 3.3), more costs a stranger's request too much.
fn rsa(modulus: &str, exponent: &str) -> Option<DecodingKey> {
    let significant = |text: &str| {
        let bytes = bytes(text)?;
        Some(bytes.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<u8>>())
    };
    let (modulus, exponent) = (significant(modulus)?, significant(exponent)?);
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    let sound = (2048..=4096).contains(&bits) && (1..=4).contains(&exponent.len());
    sound.then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn ec(x: &str, y: &str, length: usize) -> Option<DecodingKey> {
    let sound = bytes(x)?.len() == length && bytes(y)?.len() == length;
    sound.then(|| DecodingKey::from_ec_components(x, y).ok()).flatten()
}

/// A key of small order would verify anything.
fn ed25519(x: &str) -> Option<DecodingKey> {
    let point: [u8; 32] = bytes(x)?.try_into().ok()?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(&point).ok()?;
    (!key.is_weak()).then(|| DecodingKey::from_ed_der(&point))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(jwk: &Value) -> Option<Key> {
        Key::set(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap().pop()
    }

    fn ed(more: &Value) -> Value {
        // A point of the curve that is of full order: the base point.
        let mut point = [0x66_u8; 32];
        point[0] = 0x58;
        let mut jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(point) });
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk
    }

    #[test]
    fn a_key_is_for_its_own_kind_use_and_name() {
        let key = one(&ed(&json!({ "kid": "k1" }))).unwrap();
        assert!(key.suits(Algorithm::EdDSA, Some("k1")) && key.suits(Algorithm::EdDSA, None));
        assert!(!key.suits(Algorithm::EdDSA, Some("k2")));
        for other in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256] {
            assert!(!key.suits(other, Some("k1")), "{other:?}");
        }
        assert!(!one(&ed(&json!({ "alg": "ES256" }))).unwrap().suits(Algorithm::EdDSA, None));
        assert!(one(&ed(&json!({ "alg": "Ed25519" }))).unwrap().suits(Algorithm::EdDSA, None));
        assert!(one(&ed(&json!({ "use": "sig", "key_ops": ["verify"] }))).is_some());
        for not in [json!({ "use": "enc" }), json!({ "key_ops": ["sign"] }), json!({ "key_ops": "verify" }), json!({ "kid": 7 })] {
            assert!(one(&ed(&not)).is_none(), "{not}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_passed_over() {
        let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
        let enough = URL_SAFE_NO_PAD.encode([0xff; 256]);
        let huge = URL_SAFE_NO_PAD.encode([0xff; 1024]);
        assert!(one(&json!({ "kty": "RSA", "n": enough, "e": "AQAB" })).is_some());
        for not in [
            json!({ "kty": "oct", "k": "c2VjcmV0" }),
            json!({ "kty": "RSA", "n": short, "e": "AQAB" }),
            json!({ "kty": "RSA", "n": huge, "e": "AQAB" }),
            json!({ "kty": "RSA", "n": enough, "e": "" }),
            json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }),
            json!({ "kty": "EC", "crv": "secp256k1", "x": enough, "y": enough }),
            // Of small order: the neutral element.
            json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode({ let mut p = [0_u8; 32]; p[0] = 1; p }) }),
            json!({ "kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([9_u8; 32]) }),
            json!("RSA"),
        ] {
            assert!(one(&not).is_none(), "{not}");
        }
    }

    #[test]
    fn a_set_is_bounded_and_unambiguous() {
        assert!(Key::set(b"{}").is_err() && Key::set(b"[]").is_err() && Key::set(b"").is_err());
        assert!(Key::set(br#"{"keys":[],"keys":[]}"#).is_err());
        assert!(Key::set(json!({ "keys": vec![ed(&json!({})); MOST + 1] }).to_string().as_bytes()).is_err());
    }
}
