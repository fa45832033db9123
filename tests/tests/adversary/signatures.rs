//! Files whose signature is not in order, at the host's own door. Nearly all components here are garbage: a host that parsed
//! them before it looked at their signature would say `component_invalid`, and says so in the one case where all is in order.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use jiff::{SignedDuration, Timestamp};
use lockgate::{
    error::Code,
    pack::{admission::Admission, sandbox::Sandbox},
};
use lockgate_signing::{
    declaration::Declaration,
    envelope::{Envelope, sign_envelope},
    key::PrivateKey,
    predicate::{Statement, Terms},
    trust::Trust,
    verify::{HighestSeen, verify_file},
};
use lockgate_tests::site::{self, BuiltPack};
use serde_json::{Value as Json, json};

use crate::{
    log,
    world::{World, adversary, claim, component, honest},
};

/// No parser takes it.
const GARBAGE: &[u8] = b"\0asm\x0d\0\x01\0 and then no component";

/// An envelope for bytes, on these terms.
fn seal(bytes: &[u8], declaration: &Declaration, key: &PrivateKey, hours: (i64, i64)) -> Envelope {
    let at = |hours| Timestamp::now().checked_add(SignedDuration::from_hours(hours)).expect("a time");
    let terms = Terms { publisher: "tests".into(), issued: at(hours.0), expires: at(hours.1), provenance: None };
    let statement = Statement::new(bytes, declaration, terms).expect("a statement");
    sign_envelope(&statement, &[key]).expect("an envelope")
}

/// The envelope's path beside a component's.
fn beside(component: &std::path::Path) -> PathBuf {
    component.with_extension("wasm.dsse.json")
}

/// Puts garbage of this name beside the honest pack, properly signed.
fn garbage(world: &World, pack: &str) -> PathBuf {
    world.site.add(&BuiltPack { bytes: GARBAGE.to_vec(), declaration: claim(pack) })
}

/// Changes the JSON of an envelope.
fn edit(path: &std::path::Path, change: impl FnOnce(&mut Json)) {
    let mut json = serde_json::from_slice(&fs::read(path).expect("the envelope")).expect("JSON");
    change(&mut json);
    fs::write(path, json.to_string()).expect("the envelope is written");
}

#[tokio::test]
async fn a_signature_out_of_order_is_refused_before_anything_is_parsed() {
    let world = World::new("signatures").await;
    let (own, other) = (world.site.key(), PrivateKey::generate().expect("a key"));
    let mut expected: Vec<(&str, Code)> = Vec::new();
    let mut case = |pack: &'static str, code| {
        expected.push((pack, code));
        garbage(&world, pack)
    };

    // In order: only here is the component looked at.
    case("in-order", Code::ComponentInvalid);

    fs::remove_file(beside(&case("stripped", Code::EnvelopeMissing))).expect("removed");
    edit(&beside(&case("without-signatures", Code::SignatureInvalid)), |e| e["signatures"] = json!([]));
    fs::write(beside(&case("an-empty-envelope", Code::EnvelopeInvalid)), b"").expect("written");
    fs::write(beside(&case("no-envelope", Code::EnvelopeInvalid)), b"trust me").expect("written");
    edit(&beside(&case("another-type", Code::EnvelopeInvalid)), |e| e["payloadType"] = json!("text/plain"));
    edit(&beside(&case("more-fields", Code::EnvelopeInvalid)), |e| e["trusted"] = json!(true));

    let rekeyed = case("re-keyed", Code::SignatureInvalid);
    fs::write(beside(&rekeyed), seal(GARBAGE, &claim("re-keyed"), &other, (0, 24)).to_json()).expect("written");
    // The other key's signature under the trusted key's name.
    let named = case("re-keyed-in-our-name", Code::SignatureInvalid);
    fs::write(beside(&named), seal(GARBAGE, &claim("re-keyed-in-our-name"), &other, (0, 24)).to_json())
        .expect("written");
    edit(&beside(&named), |e| e["signatures"][0]["keyid"] = json!(own.public_key().id().to_string()));
    // The signature of one payload on another.
    let (one, two) = (case("payload-a", Code::SignatureInvalid), case("payload-b", Code::SignatureInvalid));
    let mut first: Json = serde_json::from_slice(&fs::read(beside(&one)).expect("read")).expect("JSON");
    edit(&beside(&two), |e| std::mem::swap(&mut e["payload"], &mut first["payload"]));
    fs::write(beside(&one), first.to_string()).expect("written");

    let (one, two) = (case("swapped-a", Code::ComponentMismatch), case("swapped-b", Code::ComponentMismatch));
    let (first, second) = (fs::read(beside(&one)).expect("read"), fs::read(beside(&two)).expect("read"));
    fs::write(beside(&one), second).expect("written");
    fs::write(beside(&two), first).expect("written");
    fs::write(case("other-bytes", Code::ComponentMismatch), b"\0asm\x0d\0\x01\0 other garbage").expect("written");
    fs::write(case("cut-bytes", Code::ComponentMismatch), &GARBAGE[..20]).expect("written");
    fs::write(case("no-bytes", Code::ComponentMismatch), b"").expect("written");

    for (pack, hours) in [("expired", (-48, -1)), ("from-tomorrow", (24, 48))] {
        let path = case(pack, Code::NotValidNow);
        fs::write(beside(&path), seal(GARBAGE, &claim(pack), own, hours).to_json()).expect("written");
    }

    let written = Declaration { classes: vec!["read".into(), "write".into()], ..claim("writing") };
    let path = case("writing", Code::ClassNotGranted);
    fs::write(beside(&path), seal(GARBAGE, &written, own, (0, 24)).to_json()).expect("written");
    let strangers = Terms {
        publisher: "strangers".into(),
        issued: Timestamp::now(),
        expires: Timestamp::now() + SignedDuration::from_hours(24),
        provenance: None,
    };
    let statement = Statement::new(GARBAGE, &claim("a-strangers"), strangers).expect("a statement");
    let envelope = sign_envelope(&statement, &[own]).expect("an envelope");
    fs::write(beside(&case("a-strangers", Code::PublisherNotTrusted)), envelope.to_json()).expect("written");

    let large = fs::File::options().write(true).open(case("over-sized", Code::FileTooLarge)).expect("opened");
    large.set_len((32 << 20) + 1).expect("a file with a hole");
    let large = fs::File::options().write(true).open(beside(&case("over-sized-envelope", Code::FileTooLarge)));
    large.expect("opened").set_len((256 << 10) + 1).expect("a file with a hole");
    for (pack, envelope) in [("linked", false), ("linked-envelope", true)] {
        let path = case(pack, Code::FileRefused);
        let path = if envelope { beside(&path) } else { path };
        let away = world.site.path(pack);
        fs::rename(&path, &away).expect("moved");
        symlink(&away, &path).expect("a link");
    }
    let path = case("a-directory", Code::FileRefused);
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("a directory");

    let (gate, refused) = world.refusals().await;
    let mut wrong = Vec::new();
    for (pack, code) in &expected {
        match refused.iter().find(|(file, ..)| *file == format!("{pack}-1.0.0.wasm")) {
            Some((_, found, _)) if found == code => {}
            other => wrong.push(format!("{pack}: {other:?}, and it should be {code}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(refused.len(), expected.len());
    world.ends_well(&gate, &[]).await;
}

#[tokio::test]
async fn another_name_is_another_pack() {
    let world = World::new("names").await;
    let path = garbage(&world, "named");
    let renamed = path.with_file_name("renamed-1.0.0.wasm");
    fs::rename(beside(&path), beside(&renamed)).expect("moved");
    fs::rename(&path, &renamed).expect("moved");
    let path = garbage(&world, "versioned");
    let later = path.with_file_name("versioned-9.0.0.wasm");
    fs::rename(beside(&path), beside(&later)).expect("moved");
    fs::rename(&path, &later).expect("moved");
    let (gate, refused) = world.refusals().await;
    let codes: Vec<_> = refused.iter().map(|(_, code, _)| *code).collect();
    assert_eq!(codes, [Code::ComponentMismatch; 2], "{refused:?}");
    world.ends_well(&gate, &[]).await;
}

#[tokio::test]
async fn the_trust_policy_is_asked_before_anything_is_parsed() {
    let world = World::new("trust").await;
    garbage(&world, "suspect");
    let digest: String = sha2_hex(GARBAGE);
    let key = world.site.key().public_key();
    let trust = world.site.trust();
    let other = PrivateKey::generate().expect("a key").public_key();
    let threshold = trust.replace("keys = [\"tests\"]", "keys = [\"tests\", \"second\"]\nthreshold = 2")
        + &format!("[[key]]\nname = \"second\"\npublic_key = \"{}\"\n", other.to_base64());
    let policies = [
        (format!("{trust}[revoked]\ndigests = [\"{digest}\"]\n"), Code::Revoked),
        (format!("{trust}[revoked]\nkeys = [\"{}\"]\n", key.id()), Code::Revoked),
        (trust.replace("packs = [\"*\"]", "packs = [\"honest\"]"), Code::PublisherNotTrusted),
        (
            trust.replace(
                "name = \"tests\"\npublic_key",
                "name = \"tests\"\nnot_after = 2020-01-01T00:00:00Z\npublic_key",
            ),
            Code::NotValidNow,
        ),
        (threshold, Code::ThresholdNotMet),
        (
            format!("{trust}[[pin]]\npack = \"suspect\"\nversion = \"1.0.0\"\nsha256 = \"{}\"\n", "ab".repeat(32)),
            Code::ComponentMismatch,
        ),
        (format!("{trust}[[minimum]]\npack = \"suspect\"\nversion = \"1.0.1\"\n"), Code::Rollback),
        (trust, Code::ComponentInvalid),
    ];
    for (policy, code) in policies {
        world.site.write("trust.toml", &policy);
        let found = match world.site.open().await {
            Ok(opened) => {
                world.is_served(&opened.gate).await;
                opened.refused.iter().find(|r| r.path.ends_with("suspect-1.0.0.wasm")).map(|r| r.error.code)
            }
            // What is wrong with the key or the threshold is wrong for the honest pack, too.
            Err(refusal) => Some(refusal.code),
        };
        assert_eq!(found, Some(code), "{policy}");
    }
    log::reached(world.target, &[log::ANSWER]).await;
}

#[tokio::test]
async fn a_trust_policy_that_others_may_write_opens_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new("open_trust").await;
    for mode in [0o620, 0o602] {
        fs::set_permissions(world.site.path("trust.toml"), fs::Permissions::from_mode(mode)).expect("its mode");
        let refusal = world.site.open().await.err().expect("refused");
        assert_eq!(refusal.code, Code::TrustInvalid, "{refusal}");
    }
    log::reached(world.target, &[]).await;
}

#[tokio::test]
async fn there_is_no_way_back_to_an_earlier_version() {
    let world = World::new("rollback").await;
    let later = component(&[("name", "rolls"), ("small", ""), ("version", "2.0.0")]).await;
    let path = world.site.add(&BuiltPack::describe(later).await);
    let (_, refused) = world.refusals().await;
    assert!(refused.is_empty(), "{refused:?}");
    fs::remove_file(beside(&path)).expect("removed");
    fs::remove_file(path).expect("removed");
    garbage(&world, "rolls");
    let (gate, refused) = world.refusals().await;
    assert!(matches!(refused.as_slice(), [(_, Code::Rollback, _)]), "{refused:?}");
    world.ends_well(&gate, &[]).await;
}

#[tokio::test]
async fn what_was_verified_is_what_is_run_whatever_the_file_holds_by_then() {
    let world = World::new("changed").await;
    let path = world.site.add(adversary().await);
    let trust = Trust::open(world.site.path("trust.toml")).expect("a policy");
    let verified = verify_file(&path, &trust, Timestamp::now(), &HighestSeen::new()).expect("verified");
    fs::write(&path, GARBAGE).expect("changed between check and load");
    let pack = Admission::new(Sandbox::new().expect("an engine"), None).admit(verified).await.expect("admitted");
    assert_eq!(pack.digest(), sha2_hex(&adversary().await.bytes));
    // And the next check sees the change.
    let (gate, refused) = world.refusals().await;
    assert!(matches!(refused.as_slice(), [(_, Code::ComponentMismatch, _)]), "{refused:?}");
    world.ends_well(&gate, &[]).await;
}

#[tokio::test]
async fn a_compiled_entry_that_is_not_ours_is_never_run() {
    let world = World::with_own_cache("cache").await;
    world.site.add(adversary().await);
    drop(world.open().await);
    let cache = world.site.path("state/cache");
    let entries = || -> Vec<PathBuf> {
        let files = fs::read_dir(&cache).expect("the cache").map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "cwasm")).collect();
        files.sort();
        files
    };
    let paths = entries();
    let [first, second] = paths.as_slice() else { panic!("{paths:?}") };
    let (one, two) = (fs::read(first).expect("read"), fs::read(second).expect("read"));
    let flipped = |at: usize| {
        let mut bytes = one.clone();
        bytes[at] ^= 1;
        bytes
    };
    for tampered in [
        flipped(0),
        flipped(40),
        flipped(one.len() / 2),
        flipped(one.len() - 1),
        one[..one.len() - 1].to_vec(),
        one[..16].to_vec(),
        Vec::new(),
        // Ours, and of another component.
        two.clone(),
        [&one[..32], &two[32..]].concat(),
    ] {
        fs::write(first, &tampered).expect("tampered with");
        let (gate, refused) = world.refusals().await;
        assert!(refused.is_empty(), "{refused:?}");
        world.is_served(&gate).await;
        assert!(fs::read(first).expect("read") != tampered, "the entry was taken as it was");
    }
    // A link to another entry is no entry either.
    fs::remove_file(first).expect("removed");
    symlink(second, first).expect("a link");
    let (gate, refused) = world.refusals().await;
    assert!(refused.is_empty(), "{refused:?}");
    world.ends_well(&gate, &[]).await;
}

#[tokio::test]
async fn what_is_revoked_after_the_approval_is_not_executed() {
    let world = World::with_adversary("revoked").await;
    let gate = world.site.gate().await;
    let trust = world.site.trust();
    let digest = sha2_hex(&adversary().await.bytes);
    let key = world.site.key().public_key().id();
    for (policy, code) in [
        (format!("{trust}[revoked]\ndigests = [\"{digest}\"]\n"), Code::Revoked),
        (format!("{trust}[revoked]\nkeys = [\"{key}\"]\n"), Code::Revoked),
        (trust.replace("packs = [\"*\"]", "packs = [\"honest\"]"), Code::PublisherNotTrusted),
        (trust.replace(", \"signal\"", ""), Code::ClassNotGranted),
    ] {
        world.site.write("trust.toml", &trust);
        let approval = site::held(&gate, "adversary.held", world.target, json!({ "how": "a_trap" })).await;
        world.site.write("trust.toml", &policy);
        world.site.approve(&approval).await;
        let refused = site::ended(&gate, &approval).await.expect_err("revoked");
        assert_eq!(refused.refusal.code, code, "{policy}");
    }
    world.ends_well(&gate, &[]).await;
}

/// One host, one directory of packs for every byte of a component and of its envelope, each with that byte changed.
#[tokio::test]
async fn no_byte_of_a_component_or_its_envelope_can_be_changed() {
    let world = World::new("bytes").await;
    let bytes = wat::parse_str("(component (core module (func (export \"f\"))))").expect("a component");
    let declaration = claim("changed");
    let envelope = seal(&bytes, &declaration, world.site.key(), (0, 24)).to_json();
    // The name of the key is a hint that nobody relies on.
    let text = String::from_utf8(envelope.clone()).expect("JSON");
    let hint = world.site.key().public_key().id().to_string();
    let hint = text.find(&hint).map(|at| at..at + hint.len()).expect("the hint");
    let mut places = Vec::new();
    let mut add = |name: String, component: &[u8], envelope: &[u8]| {
        let place = world.site.path("packs").join(&name);
        fs::create_dir(&place).expect("a directory");
        fs::write(place.join("changed-1.0.0.wasm"), component).expect("written");
        fs::write(place.join("changed-1.0.0.wasm.dsse.json"), envelope).expect("written");
        places.push(name);
    };
    add("whole".to_owned(), &bytes, &envelope);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x01;
        add(format!("component-{at}"), &changed, &envelope);
    }
    for at in 0..envelope.len() {
        let mut changed = envelope.clone();
        changed[at] ^= 0x01;
        add(format!("envelope-{at}"), &bytes, &changed);
    }
    let config = fs::read_to_string(world.site.path("lockgate.toml")).expect("the configuration");
    let list: String = places.iter().map(|place| format!(", \"packs/{place}\"")).collect();
    let config = config.replace("packs = [\"packs\"", &format!("packs = [\"packs\"{list}"));
    world.site.write("lockgate.toml", &config);

    let opened = world.open().await;
    assert_eq!(opened.refused.len(), places.len());
    let mut wrong = Vec::new();
    for refused in &opened.refused {
        let place =
            refused.path.parent().and_then(|p| p.file_name()).expect("a directory").to_string_lossy().into_owned();
        let at = |prefix: &str| place.strip_prefix(prefix).and_then(|at| at.parse::<usize>().ok());
        // Past the signature is where the component's own fault is found.
        let good = match (at("component-"), at("envelope-")) {
            (Some(_), _) => refused.error.code == Code::ComponentMismatch,
            (_, Some(at)) if !hint.contains(&at) => {
                matches!(refused.error.code, Code::EnvelopeInvalid | Code::SignatureInvalid)
            }
            _ => refused.error.code == Code::ExportMissing,
        };
        if !good {
            wrong.push(format!("{place}: {}", refused.error));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), places.len(), wrong.join("\n"));
    assert!(bytes.len() + envelope.len() > 1000, "{} bytes were changed", bytes.len() + envelope.len());
    assert_eq!(honest().await.declaration.pack, "honest");
    world.ends_well(&opened.gate, &[]).await;
}

/// Lower-case hexadecimal SHA-256.
fn sha2_hex(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
