//! The envelope: DSSE v1 (github.com/secure-systems-lab/dsse, protocol.md and envelope.md). Reading one proves nothing;
//! what a signature covers is the pre-authentication encoding of the payload's type and bytes.

use serde::{Deserialize, Serialize};

use crate::{
    encoding::{base64, parse_base64},
    json::{self, JsonError},
    key::{PublicKey, SIGNATURE_LENGTH, Signer, SignerError},
    predicate::Statement,
};

/// The media type of an in-toto statement in an envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Most signatures of one envelope. Checking one against one key takes some 60 µs, and every key is tried.
pub const MAX_SIGNATURES: usize = 16;

/// Longest hint at a key.
const MAX_KEY_ID: usize = 128;

/// A signature and the hint at its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeSignature {
    key_id: Option<String>,
    signature: [u8; SIGNATURE_LENGTH],
}

impl EnvelopeSignature {
    /// A hint, chosen by whoever wrote the envelope: never a reason to trust anything.
    #[must_use]
    pub fn key_id_hint(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The signature.
    #[must_use]
    pub fn bytes(&self) -> &[u8; SIGNATURE_LENGTH] {
        &self.signature
    }
}

/// An envelope: well formed, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

/// The envelope as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<SignatureDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    sig: String,
}

/// Why an envelope is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not strict JSON of the expected shape.
    #[error("the envelope can't be read: {0}")]
    Json(#[from] JsonError),
    /// It carries something other than an in-toto statement.
    #[error("the envelope's `payloadType` is not `{PAYLOAD_TYPE}`")]
    PayloadType,
    /// The payload is not strict base64.
    #[error("the envelope's payload is not base64 of the standard alphabet with padding")]
    Payload,
    /// A signature is not strict base64 of 64 bytes.
    #[error("signature {0} of the envelope is not 64 bytes as base64 of the standard alphabet with padding")]
    Signature(usize),
    /// A key id is too long, or not printable ASCII.
    #[error(
        "the key id of signature {0} of the envelope is longer than {MAX_KEY_ID} characters or not printable ASCII"
    )]
    KeyId(usize),
    /// There are too many signatures.
    #[error("the envelope has {0} signatures, and {MAX_SIGNATURES} are the most it may have")]
    TooMany(usize),
    /// A signature that was to be added does not verify.
    #[error("the signature does not verify with key {0} over this envelope's payload")]
    DoesNotVerify(String),
    /// The signer failed.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

/// What is signed: `DSSEv1`, then the type and the payload, each preceded by its length in bytes, separated by spaces.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Puts a statement into an envelope and has it signed. Without signers it is an envelope for [`Envelope::attach`].
///
/// # Errors
///
/// [`EnvelopeError`] if a signer fails, gives a signature that does not verify, or there are too many.
pub fn sign_envelope(statement: &Statement, signers: &[&dyn Signer]) -> Result<Envelope, EnvelopeError> {
    let mut envelope = Envelope { payload: statement.to_payload(), signatures: Vec::new() };
    for signer in signers {
        envelope.sign(*signer)?;
    }
    Ok(envelope)
}

impl Envelope {
    /// Reads an envelope strictly.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let document: Document = json::from_slice(bytes)?;
        if document.payload_type != PAYLOAD_TYPE {
            return Err(EnvelopeError::PayloadType);
        }
        if document.signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::TooMany(document.signatures.len()));
        }
        let payload = parse_base64(&document.payload).ok_or(EnvelopeError::Payload)?;
        let mut signatures = Vec::with_capacity(document.signatures.len());
        for (index, SignatureDocument { keyid, sig }) in document.signatures.into_iter().enumerate() {
            let number = index + 1;
            let fits = |id: &String| id.len() <= MAX_KEY_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
            if keyid.as_ref().is_some_and(|id| !fits(id)) {
                return Err(EnvelopeError::KeyId(number));
            }
            let signature =
                parse_base64(&sig).and_then(|bytes| bytes.try_into().ok()).ok_or(EnvelopeError::Signature(number))?;
            signatures.push(EnvelopeSignature { key_id: keyid, signature });
        }
        Ok(Self { payload, signatures })
    }

    /// The envelope file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let document = Document {
            payload: base64(&self.payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: self
                .signatures
                .iter()
                .map(|signature| SignatureDocument {
                    keyid: signature.key_id.clone(),
                    sig: base64(&signature.signature),
                })
                .collect(),
        };
        // Strings and lists always serialise.
        let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The payload, which nobody has vouched for yet.
    #[must_use]
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signatures, none of them checked.
    #[must_use]
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// The bytes that a signature covers.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        pae(PAYLOAD_TYPE, &self.payload)
    }

    /// Has a signer sign it.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] if the signer fails, or as for [`Self::attach`].
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<bool, EnvelopeError> {
        let signature = signer.sign(&self.signed_bytes())?;
        self.attach(&signer.public_key(), signature)
    }

    /// Adds a signature that somebody made over [`Self::signed_bytes`], after checking it. False if a good signature by
    /// this key is there already.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] if it does not verify or there would be too many.
    pub fn attach(&mut self, key: &PublicKey, signature: [u8; SIGNATURE_LENGTH]) -> Result<bool, EnvelopeError> {
        let signed = self.signed_bytes();
        if !key.verifies(&signed, &signature) {
            return Err(EnvelopeError::DoesNotVerify(key.id().to_string()));
        }
        if self.signatures.iter().any(|present| key.verifies(&signed, &present.signature)) {
            return Ok(false);
        }
        if self.signatures.len() == MAX_SIGNATURES {
            return Err(EnvelopeError::TooMany(MAX_SIGNATURES + 1));
        }
        self.signatures.push(EnvelopeSignature { key_id: Some(key.id().to_string()), signature });
        Ok(true)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::key::PrivateKey;

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        // The example of DSSE's protocol.md, and its edge: lengths are in bytes and nothing is escaped.
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
        assert_eq!(pae("ä", b"\0 \n"), b"DSSEv1 2 \xc3\xa4 3 \0 \n");
    }

    fn envelope() -> Envelope {
        let mut envelope = Envelope { payload: b"{}".to_vec(), signatures: Vec::new() };
        assert!(envelope.sign(&PrivateKey::generate().unwrap()).unwrap());
        envelope
    }

    #[test]
    fn an_envelope_survives_its_file() {
        let envelope = envelope();
        assert_eq!(Envelope::parse(&envelope.to_json()).unwrap(), envelope);
    }

    #[test]
    fn only_the_one_spelling_is_read() {
        let good = String::from_utf8(envelope().to_json()).unwrap();
        for (from, to) in [
            ("\"e30=\"", "\"e30\""),
            ("\"e30=\"", "\"e31=\""),
            ("\"e30=\"", "\"e30=\\n\""),
            ("in-toto+json", "in-toto"),
            ("\"sig\": \"", "\"sig\": \"AAAA"),
            ("\"keyid\": \"", "\"keyid\": \"\\u001b"),
            ("\"keyid\": \"", "\"keyid\": \" "),
            ("\"payload\":", "\"payload\": \"e30=\", \"payload\":"),
            ("\"payload\":", "\"extra\": 1, \"payload\":"),
            ("\"sig\":", "\"cert\": \"\", \"sig\":"),
        ] {
            assert!(good.contains(from), "{from}");
            assert!(Envelope::parse(good.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
        assert!(Envelope::parse(format!("{good}{{}}").as_bytes()).is_err());
    }

    #[test]
    fn only_good_signatures_are_attached_and_each_key_once() {
        let mut envelope = envelope();
        let key = PrivateKey::generate().unwrap();
        let signature = key.sign(&envelope.signed_bytes()).unwrap();
        let other = PrivateKey::generate().unwrap().public_key();
        assert!(matches!(envelope.attach(&other, signature), Err(EnvelopeError::DoesNotVerify(_))));
        assert!(envelope.attach(&key.public_key(), signature).unwrap());
        assert!(!envelope.sign(&key).unwrap());
        assert_eq!(envelope.signatures().len(), 2);
        for _ in 2..MAX_SIGNATURES {
            assert!(envelope.sign(&PrivateKey::generate().unwrap()).unwrap());
        }
        assert!(matches!(envelope.sign(&PrivateKey::generate().unwrap()), Err(EnvelopeError::TooMany(_))));
        assert!(Envelope::parse(&envelope.to_json()).is_ok());
    }
}
