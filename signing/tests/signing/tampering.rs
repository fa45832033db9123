//! Nothing that was changed after it was signed is accepted.

use lockgate_signing::{
    encoding::{base64, parse_base64},
    envelope::{Envelope, MAX_SIGNATURES, PAYLOAD_TYPE},
    file::{MAX_COMPONENT_BYTES, MAX_ENVELOPE_BYTES},
    key::PrivateKey,
    trust::MAX_KEYS,
};

use crate::fixture::{COMPONENT, FILE_NAME, Keys, check, code, sign, statement};

fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit / 8, flipped)
    })
}

#[test]
fn every_flipped_bit_of_the_component_is_noticed() {
    let keys = Keys::new();
    let trust = keys.trust("", "");
    let envelope = sign(&statement(), &[&keys.one]).to_json();
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &envelope, &trust)), "ok");
    for (at, flipped) in flips(COMPONENT) {
        assert_eq!(code(&check(&flipped, FILE_NAME, &envelope, &trust)), "component_mismatch", "byte {at}");
    }
    for other in [&COMPONENT[1..], &[COMPONENT, b"\0"].concat(), b""] {
        assert_eq!(code(&check(other, FILE_NAME, &envelope, &trust)), "component_mismatch");
    }
}

#[test]
fn every_flipped_bit_of_the_envelope_is_noticed() {
    let keys = Keys::new();
    let trust = keys.trust("", "");
    let envelope = sign(&statement(), &[&keys.one]);
    let written = envelope.to_json();
    let text = String::from_utf8(written.clone()).unwrap();
    let id = keys.one.public_key().id().to_string();
    let hint = text.find(&id).unwrap();
    let accepted = check(COMPONENT, FILE_NAME, &written, &trust).unwrap();
    for (at, flipped) in flips(&written) {
        let result = check(COMPONENT, FILE_NAME, &flipped, &trust);
        match result {
            // The key id is nobody's word and decides nothing: with another one, or none, the result is the same.
            Ok(result) if (hint..hint + id.len()).contains(&at) => {
                assert_eq!((result.predicate(), result.signers()), (accepted.predicate(), accepted.signers()));
            }
            Ok(_) => panic!("accepted with byte {at} changed"),
            Err(error) => {
                let expected = ["envelope_invalid", "signature_invalid"].contains(&error.code());
                assert!(expected, "byte {at}: {error}");
            }
        }
    }

    // Without the hint there is no bit that may be flipped.
    let bare = format!(
        "{{\"payload\":\"{}\",\"payloadType\":\"{PAYLOAD_TYPE}\",\"signatures\":[{{\"sig\":\"{}\"}}]}}",
        base64(envelope.unverified_payload()),
        base64(envelope.signatures()[0].bytes()),
    );
    assert_eq!(code(&check(COMPONENT, FILE_NAME, bare.as_bytes(), &trust)), "ok");
    for (at, flipped) in flips(bare.as_bytes()) {
        assert_ne!(code(&check(COMPONENT, FILE_NAME, &flipped, &trust)), "ok", "byte {at}");
    }
}

#[test]
fn every_cut_of_the_envelope_is_noticed() {
    let keys = Keys::new();
    let trust = keys.trust("", "");
    let envelope = sign(&statement(), &[&keys.one]).to_json();
    // All but the line end.
    for length in 0..envelope.len() - 1 {
        assert_eq!(code(&check(COMPONENT, FILE_NAME, &envelope[..length], &trust)), "envelope_invalid", "{length}");
    }
}

#[test]
fn stripped_swapped_and_rekeyed_envelopes_are_refused() {
    let keys = Keys::new();
    let trust = keys.trust("", "");
    let good = sign(&statement(), &[&keys.one]);

    // Stripped: no signature at all.
    let stripped = sign(&statement(), &[]);
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &stripped.to_json(), &trust)), "signature_invalid");

    // Swapped: another component's envelope, good in itself.
    let mut other = crate::fixture::declaration();
    other.version = "1.3.0".into();
    let other = lockgate_signing::predicate::Statement::new(b"other", &other, crate::fixture::terms()).unwrap();
    let other = sign(&other, &[&keys.one]);
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &other.to_json(), &trust)), "component_mismatch");
    assert_eq!(code(&check(b"other", "inventory-1.3.0.wasm", &other.to_json(), &trust)), "ok");

    // Its signature over this payload.
    let swap = |payload: &Envelope, signature: &Envelope| {
        let document = serde_json::json!({
            "payload": base64(payload.unverified_payload()),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "keyid": keys.one.public_key().id(), "sig": base64(signature.signatures()[0].bytes()) }],
        });
        serde_json::to_vec(&document).unwrap()
    };
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &swap(&good, &good), &trust)), "ok");
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &swap(&good, &other), &trust)), "signature_invalid");

    // Re-keyed: a stranger's key under the id of one that is trusted, and a trusted key of another publisher.
    let stranger = sign(&statement(), &[&PrivateKey::generate().unwrap()]);
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &swap(&good, &stranger), &trust)), "signature_invalid");
    let third = sign(&statement(), &[&keys.three]).to_json();
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &third, &trust)), "signature_invalid");
}

#[test]
fn a_bare_signature_over_the_payload_is_not_one_over_its_encoding() {
    use lockgate_signing::key::Signer as _;
    let keys = Keys::new();
    let payload = statement().to_payload();
    for signed in [payload.clone(), lockgate_signing::envelope::pae("application/json", &payload), Vec::new()] {
        let document = serde_json::json!({
            "payload": base64(&payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": base64(&keys.one.sign(&signed).unwrap()) }],
        });
        let result = check(COMPONENT, FILE_NAME, &serde_json::to_vec(&document).unwrap(), &keys.trust("", ""));
        assert_eq!(code(&result), "signature_invalid");
    }
}

/// The order of the group, little endian: adding it to a signature's scalar gives a second signature that a lax verifier takes.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn a_signature_has_one_form() {
    let keys = Keys::new();
    let envelope = sign(&statement(), &[&keys.one]);
    let mut signature = *envelope.signatures()[0].bytes();
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(!keys.one.public_key().verifies(&envelope.signed_bytes(), &signature));
}

#[test]
fn nothing_of_an_unsigned_payload_is_parsed() {
    // Well-formed envelopes around nonsense: without a trusted signature the answer is about the signature, and with one
    // it is about the payload.
    let keys = Keys::new();
    let trust = keys.trust("", "");
    for payload in ["", "{", "[[[[", "{\"_type\":1}"] {
        let envelope = |signatures: &str| {
            format!(
                "{{\"payload\":\"{}\",\"payloadType\":\"{PAYLOAD_TYPE}\",\"signatures\":[{signatures}]}}",
                base64(payload.as_bytes())
            )
        };
        let unsigned = envelope("");
        assert_eq!(code(&check(COMPONENT, FILE_NAME, unsigned.as_bytes(), &trust)), "signature_invalid");
        let mut signed = Envelope::parse(unsigned.as_bytes()).unwrap();
        signed.sign(&keys.one).unwrap();
        assert_eq!(code(&check(COMPONENT, FILE_NAME, &signed.to_json(), &trust)), "envelope_invalid");
    }
}

#[test]
fn oversized_input_is_refused_by_its_size() {
    let keys = Keys::new();
    let trust = keys.trust("", "");
    let envelope = sign(&statement(), &[&keys.one]).to_json();
    let bound = |bytes: u64| usize::try_from(bytes).unwrap();
    let large = vec![0; bound(MAX_COMPONENT_BYTES) + 1];
    assert_eq!(code(&check(&large, FILE_NAME, &envelope, &trust)), "file_too_large");
    assert_eq!(code(&check(&large[1..], FILE_NAME, &envelope, &trust)), "component_mismatch");
    let mut padded = envelope.clone();
    padded.resize(bound(MAX_ENVELOPE_BYTES), b' ');
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &padded, &trust)), "ok");
    padded.push(b' ');
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &padded, &trust)), "file_too_large");
}

#[test]
fn the_costliest_envelope_and_policy_are_bounded() {
    let entry = |number: usize| {
        let key = PrivateKey::generate().unwrap().public_key().to_base64();
        format!("[[key]]\nname = \"k{number}\"\npublic_key = \"{key}\"\n")
    };
    let policy = |count: usize| format!("version = 1\n{}", (0..count).map(entry).collect::<String>());
    assert!(lockgate_signing::trust::Trust::parse(&policy(MAX_KEYS)).is_ok());
    assert!(lockgate_signing::trust::Trust::parse(&policy(MAX_KEYS + 1)).is_err());
    let signature = format!("{{\"sig\":\"{}\"}}", base64(&[0; 64]));
    let envelope = |count: usize| {
        let signatures = vec![signature.as_str(); count].join(",");
        format!("{{\"payload\":\"e30=\",\"payloadType\":\"{PAYLOAD_TYPE}\",\"signatures\":[{signatures}]}}")
    };
    assert!(Envelope::parse(envelope(MAX_SIGNATURES).as_bytes()).is_ok());
    assert!(Envelope::parse(envelope(MAX_SIGNATURES + 1).as_bytes()).is_err());
}

#[test]
fn the_encoding_is_that_of_the_dsse_specification() {
    // The example of protocol.md.
    let pae =
        lockgate_signing::envelope::pae("http://example.com/HelloWorld", &parse_base64("aGVsbG8gd29ybGQ=").unwrap());
    assert_eq!(pae, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}
