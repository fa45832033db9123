//! What the operator's policy says is what happens: publishers, thresholds, validity, revocation, pins, going back.

use lockgate_signing::{
    encoding::{base64, hex, sha256},
    envelope::PAYLOAD_TYPE,
    predicate::Statement,
    trust::Trust,
    verify::{HighestSeen, VerifyError, verify_after},
};

use crate::fixture::{COMPONENT, FILE_NAME, Keys, check, code, declaration, now, sign, statement, terms, time};

fn outcome(keys: &Keys, publisher: &str, rest: &str) -> &'static str {
    let envelope = sign(&statement(), &[&keys.one]).to_json();
    code(&check(COMPONENT, FILE_NAME, &envelope, &keys.trust(publisher, rest)))
}

#[test]
fn what_is_verified_is_what_was_given() {
    let keys = Keys::new();
    let envelope = sign(&statement(), &[&keys.two, &keys.one, &keys.three]).to_json();
    let verified = check(COMPONENT, FILE_NAME, &envelope, &keys.trust("targets = [\"prod-*\"]", "")).unwrap();
    assert_eq!(verified.bytes(), COMPONENT);
    assert_eq!((verified.digest(), verified.digest_hex()), (sha256(COMPONENT), hex(&sha256(COMPONENT))));
    assert_eq!((verified.pack().as_str(), verified.version().to_string().as_str()), ("inventory", "1.2.0"));
    assert_eq!(verified.predicate(), statement().predicate());
    let signers: Vec<_> = verified.signers().iter().map(|signer| signer.name.as_str()).collect();
    assert_eq!(signers, ["one", "two"], "another publisher's key is no signer");
    assert!(verified.grant().classes.iter().eq(["read", "signal"]));
    assert_eq!(verified.grant().targets, ["prod-*"]);
}

#[test]
fn a_threshold_counts_keys_not_signatures() {
    let keys = Keys::new();
    let trust = keys.trust("threshold = 2", "");
    let both = sign(&statement(), &[&keys.one, &keys.two]);
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &both.to_json(), &trust)), "ok");
    let one = sign(&statement(), &[&keys.one]);
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &one.to_json(), &trust)), "threshold_not_met");
    let strangers = sign(&statement(), &[&keys.one, &keys.three]);
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &strangers.to_json(), &trust)), "threshold_not_met");

    // The same key's signature twice, under two ids.
    let signature = base64(one.signatures()[0].bytes());
    let twice = serde_json::json!({
        "payload": base64(one.unverified_payload()),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            { "keyid": keys.one.public_key().id(), "sig": signature },
            { "keyid": keys.two.public_key().id(), "sig": signature },
        ],
    });
    let twice = serde_json::to_vec(&twice).unwrap();
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &twice, &trust)), "threshold_not_met");

    // The same key twice in the policy, once as PEM, is refused where it is read.
    let again = format!("[[key]]\nname = \"again\"\npublic_key = \"\"\"{}\"\"\"\n", keys.one.public_key().to_pem());
    assert!(Trust::parse(&keys.policy("", &again)).unwrap_err().to_string().contains("are the same key"));

    // A revoked key does not count, and says so.
    assert_eq!(
        code(&check(
            COMPONENT,
            FILE_NAME,
            &both.to_json(),
            &keys.trust("threshold = 2", "[revoked]\nkeys = [\"two\"]")
        )),
        "revoked"
    );
    assert_eq!(
        code(&check(COMPONENT, FILE_NAME, &both.to_json(), &keys.trust("", "[revoked]\nkeys = [\"two\"]"))),
        "ok"
    );
}

#[test]
fn publishers_publish_what_they_may() {
    let keys = Keys::new();
    assert_eq!(outcome(&keys, "", ""), "ok");
    let policy = keys.policy("", "");
    let envelope = sign(&statement(), &[&keys.one]).to_json();
    let with = |from: &str, to: &str| {
        assert!(policy.contains(from));
        code(&check(COMPONENT, FILE_NAME, &envelope, &Trust::parse(&policy.replace(from, to)).unwrap()))
    };
    assert_eq!(with("name = \"acme\"", "name = \"emca\""), "publisher_not_trusted");
    assert_eq!(with("\"inv*\"", "\"post*\""), "publisher_not_trusted");
    assert_eq!(with("keys = [\"one\", \"two\"]", "keys = [\"two\"]"), "signature_invalid");
    assert_eq!(with("classes = [\"read\", \"signal\"]", "classes = [\"read\"]"), "class_not_granted");
    assert_eq!(
        code(&check(COMPONENT, FILE_NAME, &envelope, &Trust::parse("version = 1").unwrap())),
        "signature_invalid"
    );

    // A publisher can't speak in another's name.
    let mut other = terms();
    other.publisher = "other".into();
    let other = Statement::new(COMPONENT, &declaration(), other).unwrap();
    let trust = keys.trust("", "");
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &sign(&other, &[&keys.one]).to_json(), &trust)), "signature_invalid");
    assert_eq!(code(&check(COMPONENT, FILE_NAME, &sign(&other, &[&keys.three]).to_json(), &trust)), "ok");
}

#[test]
fn names_are_the_signed_ones() {
    let keys = Keys::new();
    let envelope = sign(&statement(), &[&keys.one]).to_json();
    for name in [
        "inventory-1.2.1.wasm",
        "inventory.wasm",
        "postgres-1.2.0.wasm",
        "",
        "INVENTORY-1.2.0.wasm",
        "../inventory-1.2.0.wasm",
    ] {
        assert_eq!(code(&check(COMPONENT, name, &envelope, &keys.trust("", ""))), "component_mismatch", "{name}");
    }
    // A statement whose subject is named otherwise than its own pack and version.
    let payload = String::from_utf8(statement().to_payload()).unwrap();
    let payload = payload.replace("\"name\":\"inventory-1.2.0.wasm\"", "\"name\":\"inventory-9.9.9.wasm\"");
    let mut envelope = lockgate_signing::envelope::Envelope::parse(
        format!(
            "{{\"payload\":\"{}\",\"payloadType\":\"{PAYLOAD_TYPE}\",\"signatures\":[]}}",
            base64(payload.as_bytes())
        )
        .as_bytes(),
    )
    .unwrap();
    envelope.sign(&keys.one).unwrap();
    for name in [FILE_NAME, "inventory-9.9.9.wasm"] {
        assert_eq!(code(&check(COMPONENT, name, &envelope.to_json(), &keys.trust("", ""))), "component_mismatch");
    }
}

#[test]
fn envelopes_and_keys_count_while_they_are_valid() {
    let keys = Keys::new();
    let envelope = sign(&statement(), &[&keys.one]).to_json();
    let at = |when: &str, trust: &Trust| {
        code(&verify_after(COMPONENT.to_vec(), FILE_NAME, &envelope, trust, time(when), &HighestSeen::new()))
    };
    let trust = keys.trust("", "");
    for (when, expected) in [
        ("2026-11-20T23:54:59Z", "not_valid_now"),
        ("2026-11-20T23:55:00Z", "ok"),
        ("2027-11-20T23:59:59Z", "ok"),
        ("2027-11-21T00:00:00Z", "not_valid_now"),
    ] {
        assert_eq!(at(when, &trust), expected, "{when}");
    }
    let policy = keys.policy("", "");
    let window = "name = \"one\"\nnot_before = 2026-12-01T00:00:00Z\nnot_after = 2026-12-31T00:00:00+01:00\n";
    let trust = Trust::parse(&policy.replace("name = \"one\"\n", window)).unwrap();
    for (when, expected) in [
        ("2026-11-30T23:59:59Z", "not_valid_now"),
        ("2026-12-01T00:00:00Z", "ok"),
        ("2026-12-30T22:59:59Z", "ok"),
        ("2026-12-30T23:00:00Z", "not_valid_now"),
    ] {
        assert_eq!(at(when, &trust), expected, "{when}");
    }
}

#[test]
fn revocations_pins_and_minimum_versions_hold() {
    let keys = Keys::new();
    let id = keys.one.public_key().id();
    let digest = hex(&sha256(COMPONENT));
    let version = |table: &str, version: &str| format!("[[{table}]]\npack = \"inventory\"\nversion = \"{version}\"\n");
    for (rest, expected) in [
        (format!("[revoked]\nkeys = [\"{id}\"]"), "revoked"),
        ("[revoked]\nkeys = [\"one\"]".to_owned(), "revoked"),
        (format!("[revoked]\ndigests = [\"{digest}\"]"), "revoked"),
        (format!("[revoked]\nkeys = [\"{digest}\"]\ndigests = [\"{id}\"]"), "ok"),
        (format!("{}sha256 = \"{digest}\"", version("pin", "1.2.0")), "ok"),
        (format!("{}sha256 = \"{id}\"", version("pin", "1.2.0")), "component_mismatch"),
        (format!("{}sha256 = \"{id}\"", version("pin", "1.2.1")), "ok"),
        (version("minimum", "1.2.0"), "ok"),
        (version("minimum", "1.2.0-rc.1"), "ok"),
        (version("minimum", "1.2.1"), "rollback"),
        // Having been allowed to go back does not lower a minimum.
        (format!("{}{}", version("minimum", "1.2.1"), version("allow_rollback", "1.2.0")), "rollback"),
    ] {
        assert_eq!(outcome(&keys, "", &rest), expected, "{rest}");
    }
}

#[test]
fn going_back_is_refused_unless_it_is_listed() {
    let keys = Keys::new();
    let envelope = sign(&statement(), &[&keys.one]).to_json();
    let after = |highest: &str, rest: &str| {
        let seen = HighestSeen::from([("inventory".parse().unwrap(), highest.parse().unwrap())]);
        code(&verify_after(COMPONENT.to_vec(), FILE_NAME, &envelope, &keys.trust("", rest), now(), &seen))
    };
    assert_eq!(after("1.1.9", ""), "ok");
    assert_eq!(after("1.2.0-rc.9", ""), "ok");
    assert_eq!(after("1.2.0", ""), "ok");
    assert_eq!(after("1.2.1-alpha", ""), "rollback");
    assert_eq!(after("1.10.0", ""), "rollback");
    let allow = |version: &str| format!("[[allow_rollback]]\npack = \"inventory\"\nversion = \"{version}\"\n");
    assert_eq!(after("1.10.0", &allow("1.2.0")), "ok");
    assert_eq!(after("1.10.0", &allow("1.2.1")), "rollback");
}

#[test]
fn trust_is_asked_again_when_the_policy_has_changed() {
    let keys = Keys::new();
    let envelope = sign(&statement(), &[&keys.one]).to_json();
    let verified = check(COMPONENT, FILE_NAME, &envelope, &keys.trust("", "")).unwrap();
    let again =
        |publisher: &str, rest: &str| verified.still_trusted(&keys.trust(publisher, rest), now()).map_err(|e| e.code());
    assert_eq!(again("", ""), Ok(()));
    assert_eq!(again("", "[revoked]\nkeys = [\"one\"]"), Err("revoked"));
    assert_eq!(again("", &format!("[revoked]\ndigests = [\"{}\"]", verified.digest_hex())), Err("revoked"));
    assert_eq!(again("threshold = 2", ""), Err("threshold_not_met"));
    assert!(matches!(
        verified.still_trusted(&keys.trust("targets = [\"test\"]", ""), now()),
        Err(VerifyError::GrantChanged)
    ));
    assert_eq!(
        verified.still_trusted(&keys.trust("", ""), time("2028-01-01T00:00:00Z")).map_err(|e| e.code()),
        Err("not_valid_now")
    );
}
