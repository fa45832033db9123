//! Keys that come and go, by the commands and the policies of docs/signing.md: a rotation with an overlap, one under a
//! threshold, and the end of a key or a component that can't be trusted any more.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use lockgate_signing::encoding::{hex, sha256};
use tempfile::TempDir;

use crate::{
    command::{fails, json, lockgate_sign, ok},
    fixture::{COMPONENT, declaration, write_mode},
};

const PAGE: &str = include_str!("../../../docs/signing.md");

fn section(title: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("\n## {title}\n")).unwrap();
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

/// The blocks of a language in a section, in order.
fn blocks(section: &'static str, language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    let rest = section.split(begin.as_str()).skip(1);
    rest.map(|rest| rest.split_once("```").unwrap().0).collect()
}

/// Runs a block of the page with the program in its path.
fn run(at: &Path, block: &str) -> std::process::Output {
    let program = Path::new(env!("CARGO_BIN_EXE_lockgate-sign")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    Command::new("sh").current_dir(at).args(["-c", block]).env("PATH", path).stdin(Stdio::null()).output().unwrap()
}

fn build(at: &Path, version: &str) {
    let mut declared = declaration();
    declared.version = version.to_owned();
    fs::write(at.join(format!("dist/inventory-{version}.wasm")), [COMPONENT, version.as_bytes()].concat()).unwrap();
    fs::write(at.join("dist").join(declared.file_name().unwrap()), declared.to_json()).unwrap();
}

/// With versions 1.1.0 and 1.2.0 of a pack, built.
fn publisher() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::create_dir(at.join("dist")).unwrap();
    build(at, "1.1.0");
    build(at, "1.2.0");
    directory
}

fn key(at: &Path, name: &str) {
    ok(lockgate_sign(at, &format!("key generate --out {name}.key --name {name}")));
}

fn public_key(at: &Path, name: &str) -> String {
    json(lockgate_sign(at, &format!("key show {name}.key --json")))["public_key"].as_str().unwrap().to_owned()
}

/// Signed in 2026, for five years.
fn sign(at: &Path, version: &str, key: &str) {
    let pack = format!("dist/inventory-{version}");
    let times = if at.join(format!("{pack}.wasm.dsse.json")).exists() {
        ""
    } else {
        " --issued 2026-06-01T00:00:00Z --expires 2031-06-01T00:00:00Z"
    };
    let line =
        format!("sign {pack}.wasm --declaration {pack}.declaration.json --publisher acme --key {key}.key{times}");
    ok(lockgate_sign(at, &line));
}

/// What `verify` says of a version at a time: who signed, or the code.
fn verdict(at: &Path, version: &str, when: &str) -> String {
    let line = format!("verify dist/inventory-{version}.wasm --trust trust.toml --at {when} --json");
    let output = lockgate_sign(at, &line);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    if output.status.success() {
        assert_eq!(answer["verified"], true);
        let signers = answer["signers"].as_array().unwrap().iter();
        return signers.map(|signer| signer["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("+");
    }
    let code = answer["code"].as_str().unwrap().to_owned();
    fails(&output, 1, &code);
    code
}

fn trust(at: &Path, text: &str) {
    write_mode(&at.join("trust.toml"), format!("version = 1\n{text}").as_bytes(), 0o600);
}

/// A policy of the page, with the public keys of this test in the place of the dots.
fn policy(at: &Path, block: &str) -> String {
    let mut name = String::new();
    let line = |line: &str| {
        if let Some(found) = line.strip_prefix("name = \"").and_then(|rest| rest.split('"').next()) {
            name = found.to_owned();
        }
        format!("{}\n", if line.contains('…') { line.replace('…', &public_key(at, &name)) } else { line.to_owned() })
    };
    block.lines().map(line).collect()
}

#[test]
fn a_key_is_rotated_as_the_page_says() {
    let page = section("Rotating a key");
    let (commands, policies) = (blocks(page, "sh"), blocks(page, "toml"));
    let ([make, sign_again, check], [overlap, threshold]) = (commands.as_slice(), policies.as_slice()) else {
        panic!("the page has other steps");
    };
    assert!(threshold.contains("threshold = 2"));
    let directory = publisher();
    let at = directory.path();
    key(at, "release-2026");
    sign(at, "1.1.0", "release-2026");
    sign(at, "1.2.0", "release-2026");
    write_mode(&at.join("pass-2027"), b"correct horse\n", 0o600);

    ok(run(at, make));
    write_mode(&at.join("release-2027.pass"), b"correct horse\n", 0o600);
    // To be read here without a passphrase: the page's key is encrypted.
    let public = json(lockgate_sign(at, "key show release-2027.key --passphrase-file pass-2027 --json"));
    let old = public_key(at, "release-2026");
    let text = overlap.replacen('…', &old, 1).replacen('…', public["public_key"].as_str().unwrap(), 1);
    trust(at, &text);
    let (before, during, after) = ("2026-12-31T23:59:59Z", "2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z");
    for version in ["1.1.0", "1.2.0"] {
        assert_eq!(verdict(at, version, before), "release-2026");
        assert_eq!(verdict(at, version, during), "release-2026");
        assert_eq!(verdict(at, version, after), "not_valid_now");
    }

    // What stays in use is signed again, and a new version with the new key alone.
    ok(run(at, sign_again));
    build(at, "1.3.0");
    let new = sign_again.replace("1.2.0", "1.3.0").trim_end().to_owned();
    ok(run(at, &format!("{new} --issued 2027-01-15T00:00:00Z --expires 2028-01-15T00:00:00Z")));
    assert_eq!(verdict(at, "1.2.0", before), "release-2026", "the new key does not count yet");
    assert_eq!(verdict(at, "1.2.0", during), "release-2026+release-2027");
    assert_eq!(verdict(at, "1.2.0", after), "release-2027");
    assert_eq!(verdict(at, "1.3.0", before), "not_valid_now");
    assert_eq!(verdict(at, "1.3.0", during), "release-2027");
    assert_eq!(verdict(at, "1.3.0", after), "release-2027");

    // The check of the page finds the version that was forgotten, until it is gone.
    let refused = run(at, check);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("key `release-2026`"));
    for name in ["wasm", "wasm.dsse.json", "declaration.json"] {
        fs::remove_file(at.join(format!("dist/inventory-1.1.0.{name}"))).unwrap();
    }
    ok(run(at, check));

    // And the old key goes.
    let entry = text.find("[[key]]").unwrap();
    let next = entry + 1 + text[entry + 1..].find("[[key]]").unwrap();
    trust(at, &format!("{}{}", &text[..entry], &text[next..]).replace("\"release-2026\", ", ""));
    assert_eq!(verdict(at, "1.2.0", after), "release-2027");
}

#[test]
fn under_a_threshold_one_key_takes_the_place_of_the_other_without_both_counting() {
    let policies = blocks(section("Rotating a key"), "toml");
    let directory = publisher();
    let at = directory.path();
    for name in ["release-2026", "release-2027", "security"] {
        key(at, name);
    }
    trust(at, &policy(at, policies[1]));
    let (last, first) = ("2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z");
    for name in ["release-2026", "release-2027"] {
        sign(at, "1.1.0", name);
    }
    // Old and new are in the same hands, and never make two.
    assert_eq!(verdict(at, "1.1.0", last), "not_valid_now");
    assert_eq!(verdict(at, "1.1.0", first), "not_valid_now");
    for name in ["release-2026", "security"] {
        sign(at, "1.2.0", name);
    }
    assert_eq!(verdict(at, "1.2.0", last), "release-2026+security");
    assert_eq!(verdict(at, "1.2.0", first), "not_valid_now");
    // Signed ahead with the new key, it goes on without a gap.
    sign(at, "1.2.0", "release-2027");
    assert_eq!(verdict(at, "1.2.0", last), "release-2026+security");
    assert_eq!(verdict(at, "1.2.0", first), "release-2027+security");

    // With windows that overlap they would: why the page has none here.
    trust(at, &policy(at, policies[1]).replace("not_after = 2027-01-01", "not_after = 2027-02-01"));
    assert_eq!(verdict(at, "1.1.0", first), "release-2026+release-2027");
}

#[test]
fn a_lost_key_and_a_bad_component_are_revoked() {
    let directory = publisher();
    let at = directory.path();
    key(at, "release-2026");
    key(at, "release-2027");
    sign(at, "1.1.0", "release-2026");
    sign(at, "1.2.0", "release-2026");
    sign(at, "1.2.0", "release-2027");
    let entries =
        "[[key]]\nname = \"release-2026\"\npublic_key = \"…\"\n[[key]]\nname = \"release-2027\"\npublic_key = \"…\"\n";
    let listed = policy(at, entries)
        + "[[publisher]]\nname = \"acme\"\npacks = [\"inventory\"]\nkeys = [\"release-2026\", \"release-2027\"]\nclasses = [\"read\", \"signal\"]\n";
    let when = "2027-02-01T00:00:00Z";
    trust(at, &listed);
    assert_eq!(
        (verdict(at, "1.1.0", when), verdict(at, "1.2.0", when)),
        ("release-2026".into(), "release-2026+release-2027".into())
    );

    // By its name, or by its id, whether or not it is still listed.
    let id = json(lockgate_sign(at, "key show release-2026.key --json"))["key_id"].as_str().unwrap().to_owned();
    for key in ["release-2026", &id] {
        trust(at, &format!("{listed}[revoked]\nkeys = [\"{key}\"]\n"));
        assert_eq!(verdict(at, "1.1.0", when), "revoked");
        // Whoever stole it can date as they like.
        assert_eq!(verdict(at, "1.1.0", "2026-07-01T00:00:00Z"), "revoked");
        assert_eq!(verdict(at, "1.2.0", when), "release-2027", "what another key has signed goes on");
    }
    let digest = hex(&sha256(&fs::read(at.join("dist/inventory-1.2.0.wasm")).unwrap()));
    trust(at, &format!("{listed}[revoked]\ndigests = [\"{digest}\"]\n"));
    assert_eq!((verdict(at, "1.1.0", when), verdict(at, "1.2.0", when)), ("release-2026".into(), "revoked".into()));
    // No signature brings it back.
    key(at, "other");
    sign(at, "1.2.0", "other");
    assert_eq!(verdict(at, "1.2.0", when), "revoked");
}
