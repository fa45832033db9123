//! Whatever comes in: no reader panics, each accepts one spelling, and what it accepts it writes back.

use lockgate_signing::{
    encoding::base64,
    envelope::{Envelope, PAYLOAD_TYPE, pae},
    key::{PrivateKeyFile, PublicKey, read_signature},
    predicate::Statement,
    terminal::read_secret_line,
    trust::Trust,
};
use proptest::{collection::vec, prelude::*};

use crate::fixture::{Keys, sign, statement};

/// Reads an encoding back: the type and the payload that it was made of.
fn unpack(encoded: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let at = bytes.iter().position(|byte| *byte == b' ')?;
        let length = std::str::from_utf8(&bytes[..at]).ok()?.parse().ok()?;
        bytes[at + 1..].split_at_checked(length)
    }
    let (payload_type, rest) = field(encoded.strip_prefix(b"DSSEv1 ")?)?;
    let (payload, rest) = field(rest.strip_prefix(b" ")?)?;
    rest.is_empty().then(|| (payload_type.to_vec(), payload.to_vec()))
}

/// An envelope as somebody might write it.
fn written(payload: &[u8], signatures: &[(Option<String>, Vec<u8>)]) -> Vec<u8> {
    let signatures: Vec<_> = signatures
        .iter()
        .map(|(hint, signature)| match hint {
            Some(hint) => serde_json::json!({ "keyid": hint, "sig": base64(signature) }),
            None => serde_json::json!({ "sig": base64(signature) }),
        })
        .collect();
    let document =
        serde_json::json!({ "payload": base64(payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures });
    serde_json::to_vec(&document).unwrap()
}

/// A text with a piece taken out, put in, or repeated.
fn edited(text: &str, at: usize, length: usize, insert: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = at % (bytes.len() + 1);
    let end = (at + length).min(bytes.len());
    bytes.splice(at..end, insert.bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #[test]
    fn an_encoding_says_one_thing(payload_type in ".{0,40}", payload in vec(any::<u8>(), 0..200)) {
        let encoded = pae(&payload_type, &payload);
        prop_assert_eq!(unpack(&encoded), Some((payload_type.into_bytes(), payload)));
    }

    #[test]
    fn an_envelope_survives_its_file(
        payload in vec(any::<u8>(), 0..300),
        signatures in vec((proptest::option::of("[!-~]{0,128}"), vec(any::<u8>(), 64)), 0..=16),
    ) {
        let envelope = Envelope::parse(&written(&payload, &signatures)).unwrap();
        prop_assert_eq!(envelope.unverified_payload(), payload.as_slice());
        prop_assert_eq!(envelope.signed_bytes(), pae(PAYLOAD_TYPE, &payload));
        prop_assert_eq!(Envelope::parse(&envelope.to_json()).unwrap(), envelope);
    }

    #[test]
    fn a_signature_of_another_length_is_refused(length in 0_usize..200) {
        let parsed = Envelope::parse(&written(b"{}", &[(None, vec![0; length])]));
        prop_assert_eq!(parsed.is_ok(), length == 64);
    }

    #[test]
    fn no_bytes_are_too_odd_for_a_reader(bytes in vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(Envelope::parse(&bytes).is_err() && Statement::parse(&bytes).is_err());
        prop_assert!(PublicKey::from_text(&text).is_err() && PublicKey::from_spki(&bytes).is_err());
        prop_assert!(PrivateKeyFile::from_pem(&text).is_err());
        let _ = Trust::parse(&text);
        prop_assert_eq!(read_signature(&bytes).is_some(), bytes.len() == 64);
    }

    #[test]
    fn a_key_file_around_any_bytes_is_refused(bytes in vec(any::<u8>(), 0..120), label in "(ENCRYPTED )?PRIVATE KEY") {
        let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(&bytes));
        prop_assert!(PrivateKeyFile::from_pem(&pem).and_then(|file| file.open(None)).is_err());
    }

    #[test]
    fn a_signature_is_read_raw_and_as_base64(signature in vec(any::<u8>(), 64), space in "[ \r\n]{0,4}") {
        let text = format!("{space}{}{space}", base64(&signature));
        for form in [signature.as_slice(), text.as_bytes()] {
            prop_assert_eq!(read_signature(form).map(|read| read.to_vec()), Some(signature.clone()));
        }
    }

    #[test]
    fn a_secret_is_the_first_line(line in "[^\n\r]{0,200}", rest in "(\r?\n.{0,40})?") {
        let read = read_secret_line(format!("{line}{rest}").as_bytes()).unwrap();
        prop_assert_eq!(read.as_slice(), line.as_bytes());
    }

    #[test]
    fn an_edited_policy_is_read_or_refused_in_one_line(at in any::<usize>(), length in 0_usize..30, insert in ".{0,20}") {
        let good = Keys::new().policy("threshold = 2", "[revoked]\nkeys = [\"three\"]");
        let text = edited(&good, at, length, &insert);
        match Trust::parse(&text) {
            // Whatever was changed, nobody got a key that is not in the text.
            Ok(trust) => for key in trust.keys() {
                prop_assert!(text.contains(&key.key().to_base64()));
            },
            Err(error) => {
                let message = error.to_string();
                prop_assert!(message.starts_with("trust.toml: ") && message.chars().all(|c| !c.is_control()), "{:?}", message);
            }
        }
    }

    #[test]
    fn an_edited_statement_is_never_taken_for_the_signed_one(at in any::<usize>(), length in 0_usize..8, insert in "[ -~]{0,8}") {
        let keys = Keys::new();
        let envelope = sign(&statement(), &[&keys.one]);
        let payload = String::from_utf8(envelope.unverified_payload().to_vec()).unwrap();
        let changed = edited(&payload, at, length, &insert);
        let signature = envelope.signatures()[0].bytes().to_vec();
        let swapped = Envelope::parse(&written(changed.as_bytes(), &[(None, signature)])).unwrap();
        let verifies = keys.one.public_key().verifies(&swapped.signed_bytes(), envelope.signatures()[0].bytes());
        prop_assert_eq!(verifies, changed == payload);
        // And a statement that reads the same is written the same.
        if let Ok(read) = Statement::parse(changed.as_bytes()) {
            prop_assert_eq!(read == statement(), read.to_payload() == statement().to_payload());
        }
    }
}
