//! A signer that is a command: what it is given, what it may answer, and what becomes of a bad one.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use lockgate_signing::{
    envelope::{EnvelopeError, sign_envelope},
    key::{CommandSigner, PrivateKey, Signer as _},
};
use tempfile::TempDir;

use crate::{
    command::{SIGN, VERIFY, fails, json, lockgate_sign, ok, prepared, workplace},
    fixture::{statement, write_program},
};

fn script(at: &Path, name: &str, content: &str) {
    write_program(&at.join(name), format!("#!/bin/sh\n{content}\n").as_bytes());
}

/// A workplace in which `one.pem` lies in a module: the program `./module` is its client.
fn with_module(threshold: usize) -> TempDir {
    let directory = workplace(threshold);
    let at = directory.path();
    fs::create_dir(at.join("module.d")).unwrap();
    fs::rename(at.join("one.pem"), at.join("module.d/key.pem")).unwrap();
    let made = Command::new("openssl")
        .args(["pkey", "-in", "module.d/key.pem", "-pubout", "-out", "hsm.pub"])
        .current_dir(at)
        .status()
        .unwrap();
    assert!(made.success());
    // OpenSSL signs a file; as a client of a real module might.
    script(
        at,
        "module",
        "cat > to-be-signed\nexec openssl pkeyutl -sign -rawin -inkey module.d/key.pem -in to-be-signed",
    );
    directory
}

fn sign(at: &Path, program: &str, more: &str) -> Output {
    lockgate_sign(at, &format!("{SIGN} --signer-command {program} --signer-public-key hsm.pub --json{more}"))
}

#[test]
fn a_command_signs_alone_and_beside_a_key() {
    let directory = with_module(1);
    let at = directory.path();
    assert_eq!(json(sign(at, "./module", ""))["signatures"], 1);
    ok(lockgate_sign(at, VERIFY));
    // What it was given is what `inspect` prints, to the byte.
    let printed = ok(lockgate_sign(at, "inspect inventory-1.2.0.wasm.dsse.json --print-pae")).stdout;
    assert_eq!(fs::read(at.join("to-be-signed")).unwrap(), printed);
    assert_eq!(json(sign(at, "./module", ""))["added"], serde_json::json!([]));

    let directory = with_module(2);
    let at = directory.path();
    script(at, "base64", "./module | base64 -w 60");
    assert_eq!(json(sign(at, "./base64", " --key two.pem"))["signatures"], 2);
    ok(lockgate_sign(at, VERIFY));
}

#[test]
fn a_command_that_does_not_sign_is_a_refusal_and_leaves_no_envelope() {
    let directory = with_module(1);
    let at = directory.path();
    for (content, words) in [
        ("cat > /dev/null; echo no such token >&2; exit 3", "exit status: 3"),
        ("cat > /dev/null; kill -9 $$", "signal: 9"),
        ("cat > /dev/null", "neither 64 bytes nor base64"),
        ("exec cat", "neither 64 bytes nor base64"),
        ("exec cat /dev/zero", "signal: 13"),
        ("head -c 64 /dev/zero", "does not verify"),
        // A good signature of something else, such as a digest of what was to be signed.
        (
            "openssl dgst -sha256 -binary > to-be-signed; exec openssl pkeyutl -sign -rawin -inkey module.d/key.pem -in to-be-signed",
            "does not verify",
        ),
    ] {
        script(at, "bad", content);
        let text = String::from_utf8(sign(at, "./bad", "").stderr).unwrap();
        assert!(text.contains("error[signature_invalid]: ") && text.contains(words), "{content}: {text}");
        assert_eq!(sign(at, "./bad", "").status.code(), Some(1), "{content}");
        assert!(!at.join("inventory-1.2.0.wasm.dsse.json").exists(), "{content}");
    }
    assert!(fails(&sign(at, "./missing", ""), 1, "signature_invalid").contains("can't be run"));
    // Another key than the one that is named.
    fs::write(at.join("hsm.pub"), ok(lockgate_sign(at, "key show two.pem --pem")).stdout).unwrap();
    fails(&sign(at, "./module", ""), 1, "signature_invalid");
}

#[test]
fn what_another_signer_adds_while_a_command_takes_its_time_is_kept() {
    let directory = with_module(2);
    let at = directory.path();
    ok(lockgate_sign(at, &format!("{SIGN} --print-pae")));
    // The other one is done before the module answers.
    let other = format!("'{}' {SIGN} --key two.pem > /dev/null < /dev/null", env!("CARGO_BIN_EXE_lockgate-sign"));
    script(at, "slow", &format!("cat > asked\n{other} || exit 1\n./module < asked"));
    assert_eq!(json(sign(at, "./slow", ""))["signatures"], 2);
    ok(lockgate_sign(at, VERIFY));
}

#[test]
fn a_command_is_run_as_it_is_named() {
    let directory = with_module(1);
    let at = directory.path();
    fs::rename(at.join("module"), at.join("my module; touch harm")).unwrap();
    let output = prepared(at)
        .args(SIGN.split(' '))
        .args(["--signer-command", "./my module; touch harm", "--signer-public-key", "hsm.pub"])
        .output()
        .unwrap();
    ok(output);
    assert!(!at.join("harm").exists());
    fails(&lockgate_sign(at, &format!("{SIGN} --signer-command ./module")), 2, "usage");
    fails(&lockgate_sign(at, &format!("{SIGN} --signer-public-key hsm.pub")), 2, "usage");
}

#[test]
fn a_signer_of_the_library_may_answer_before_it_has_read_everything() {
    let directory = tempfile::tempdir().unwrap();
    let key = PrivateKey::generate().unwrap();
    let signature = key.sign(&sign_envelope(&statement(), &[]).unwrap().signed_bytes()).unwrap();
    fs::write(directory.path().join("signature"), signature).unwrap();
    let program = directory.path().join("cached");
    write_program(&program, format!("#!/bin/sh\nexec cat '{}/signature'\n", directory.path().display()).as_bytes());
    let signer = CommandSigner::new(&program, key.public_key());
    assert_eq!(sign_envelope(&statement(), &[&signer]).unwrap().signatures()[0].bytes(), &signature);
    let other = CommandSigner::new(&program, PrivateKey::generate().unwrap().public_key());
    assert!(matches!(sign_envelope(&statement(), &[&other]), Err(EnvelopeError::DoesNotVerify(_))));
}
