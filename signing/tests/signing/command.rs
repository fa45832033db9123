//! `lockgate-sign` as a pipeline meets it: a process with arguments, standard streams and an exit status.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use lockgate_signing::{key::PrivateKeyFile, trust::Trust};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::{COMPONENT, FILE_NAME, declaration, write_mode};

pub fn prepared(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate-sign"));
    command.current_dir(directory).stdin(Stdio::null()).env_remove("LOCKGATE_SIGN_PASSPHRASE");
    command
}

/// Runs it with arguments that have no spaces in them.
pub fn lockgate_sign(directory: &Path, arguments: &str) -> Output {
    prepared(directory).args(arguments.split(' ')).output().unwrap()
}

pub fn ok(output: Output) -> Output {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

pub fn json(output: Output) -> Value {
    serde_json::from_slice(&ok(output).stdout).unwrap()
}

/// Fails as it should: the status, an error with its code, a help line.
pub fn fails(output: &Output, status: i32, code: &str) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{text}");
    // Where there is swap and little may be locked.
    let text = text.lines().filter(|line| !line.starts_with("warning: ")).collect::<Vec<_>>().join("\n");
    assert!(text.starts_with(&format!("error[{code}]: ")), "{text}");
    assert!(text.lines().last().unwrap().starts_with("help: "), "{text}");
    text
}

/// A component with its declaration and the keys `one.pem` and `two.pem`, both trusted.
pub fn workplace(threshold: usize) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::write(at.join(FILE_NAME), COMPONENT).unwrap();
    fs::write(at.join("declaration.json"), declaration().to_json()).unwrap();
    let mut trust = "version = 1\n".to_owned();
    for name in ["one", "two"] {
        let made = json(lockgate_sign(at, &format!("key generate --out {name}.pem --name {name} --json")));
        trust += made["trust"].as_str().unwrap();
    }
    trust += &format!(
        "[[publisher]]\nname = \"acme\"\npacks = [\"inventory\"]\nkeys = [\"one\", \"two\"]\nthreshold = {threshold}\nclasses = [\"read\", \"signal\"]\n"
    );
    Trust::parse(&trust).unwrap();
    write_mode(&at.join("trust.toml"), trust.as_bytes(), 0o600);
    directory
}

pub const SIGN: &str = "sign inventory-1.2.0.wasm --declaration declaration.json --publisher acme";
pub const VERIFY: &str = "verify inventory-1.2.0.wasm --trust trust.toml";

#[test]
fn help_is_no_error_and_wrong_usage_is() {
    let at = Path::new(".");
    for command in [
        "",
        "key ",
        "key generate ",
        "key show ",
        "key passphrase ",
        "sign ",
        "attach-signature ",
        "verify ",
        "inspect ",
    ] {
        let output = ok(lockgate_sign(at, &format!("{command}--help")));
        assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: lockgate-sign"));
    }
    ok(lockgate_sign(at, "--version"));
    for wrong in [
        "sing x",
        "sign",
        "verify x",
        "key generate",
        "key generate --out x --passphrase secret",
        "inspect x --print-pae --json",
    ] {
        let output = lockgate_sign(at, wrong);
        fails(&output, 2, "usage");
        assert!(output.stdout.is_empty());
    }
    fails(&prepared(at).output().unwrap(), 2, "usage");
    assert!(fails(&lockgate_sign(at, "verfy x"), 2, "usage").contains("verify"), "the nearest command is named");
}

#[test]
fn a_key_is_private_and_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let made = json(lockgate_sign(at, "key generate --out release.pem --json"));
    let path = at.join("release.pem");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let before = fs::read(&path).unwrap();
    fails(&lockgate_sign(at, "key generate --out release.pem"), 2, "file_refused");
    assert_eq!(fs::read(&path).unwrap(), before);
    let shown = json(lockgate_sign(at, "key show release.pem --json"));
    assert_eq!((&shown["key_id"], &shown["public_key"]), (&made["key_id"], &made["public_key"]));
    let pem = ok(lockgate_sign(at, "key show release.pem --pem")).stdout;
    fs::write(at.join("release.pub"), pem).unwrap();
    assert_eq!(json(lockgate_sign(at, "key show release.pub --json"))["key_id"], made["key_id"]);
    let text = String::from_utf8(ok(lockgate_sign(at, "key show release.pub")).stdout).unwrap();
    assert!(text.contains(made["key_id"].as_str().unwrap()) && text.contains("[[key]]"));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(fails(&lockgate_sign(at, "key show release.pem"), 2, "file_refused").contains("others have access"));
    fails(&lockgate_sign(at, "key generate --out other.pem --name Not/a/name"), 2, "usage");
    assert!(!at.join("other.pem").exists());
}

#[test]
fn a_passphrase_comes_from_a_file_a_descriptor_or_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    write_mode(&at.join("pass"), b"correct horse\n", 0o600);
    ok(lockgate_sign(at, "key generate --out sealed.pem --passphrase-file pass"));
    assert!(
        PrivateKeyFile::read(at.join("sealed.pem")).unwrap().is_encrypted(),
        "naming a passphrase means encrypting"
    );
    ok(lockgate_sign(at, "key show sealed.pem --passphrase-file pass"));

    let by_descriptor = |source: &str| {
        let file = fs::File::open(at.join(source)).unwrap();
        prepared(at).args(["key", "show", "sealed.pem", "--passphrase-fd", "0"]).stdin(file).output().unwrap()
    };
    ok(by_descriptor("pass"));
    fs::write(at.join("wrong"), "battery staple").unwrap();
    fails(&by_descriptor("wrong"), 2, "key_invalid");
    fs::write(at.join("empty"), "").unwrap();
    fails(&by_descriptor("empty"), 2, "key_invalid");
    fs::write(at.join("long"), [b'x'; 5000]).unwrap();
    fails(&by_descriptor("long"), 2, "usage");
    fails(&lockgate_sign(at, "key show sealed.pem --passphrase-fd 99"), 2, "usage");

    let by_environment = |value: &str| {
        prepared(at).args(["key", "show", "sealed.pem"]).env("LOCKGATE_SIGN_PASSPHRASE", value).output().unwrap()
    };
    ok(by_environment("correct horse"));
    fails(&by_environment("wrong"), 2, "key_invalid");
    fails(&lockgate_sign(at, "key show sealed.pem"), 2, "passphrase_required");
    fails(&lockgate_sign(at, "key generate --out another.pem --encrypt"), 2, "passphrase_required");
    assert!(!at.join("another.pem").exists());
    // The file is as secret as the key.
    fs::set_permissions(at.join("pass"), fs::Permissions::from_mode(0o644)).unwrap();
    fails(&lockgate_sign(at, "key show sealed.pem --passphrase-file pass"), 2, "file_refused");
}

#[test]
fn a_signed_pack_verifies_and_says_what_it_is() {
    let directory = workplace(1);
    let at = directory.path();
    fails(&lockgate_sign(at, VERIFY), 1, "envelope_missing");
    let signed = json(lockgate_sign(at, &format!("{SIGN} --key one.pem --commit 0123abc --json")));
    assert_eq!(
        (&signed["signatures"], &signed["statement"]["predicate"]["provenance"]["commit"]),
        (&1.into(), &"0123abc".into())
    );
    let text = String::from_utf8(ok(lockgate_sign(at, VERIFY)).stdout).unwrap();
    for part in ["verified: inventory 1.2.0", "end_session", "list_tables", "read, signal", "0123abc", "one ("] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let verified = json(lockgate_sign(at, &format!("{VERIFY} --json")));
    assert_eq!((&verified["verified"], &verified["signers"][0]["name"]), (&true.into(), &"one".into()));
    let inspected = json(lockgate_sign(at, "inspect inventory-1.2.0.wasm.dsse.json --json"));
    assert_eq!((&inspected["verified"], &inspected["statement"]), (&false.into(), &signed["statement"]));
    let text = String::from_utf8(ok(lockgate_sign(at, "inspect inventory-1.2.0.wasm.dsse.json")).stdout).unwrap();
    assert!(text.starts_with("NOT VERIFIED"));

    fails(&lockgate_sign(at, &format!("{VERIFY} --at 2001-01-01T00:00:00Z")), 1, "not_valid_now");
    fs::write(at.join(FILE_NAME), b"other").unwrap();
    let refused = lockgate_sign(at, &format!("{VERIFY} --json"));
    fails(&refused, 1, "component_mismatch");
    let refused: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!((&refused["verified"], &refused["code"]), (&false.into(), &"component_mismatch".into()));
    fs::remove_file(at.join(FILE_NAME)).unwrap();
    fails(&lockgate_sign(at, VERIFY), 2, "file_refused");
    fs::write(at.join("trust.toml"), "version = 3").unwrap();
    fails(&lockgate_sign(at, VERIFY), 2, "trust_invalid");
}

#[test]
fn a_second_signer_adds_to_what_is_the_same_and_to_nothing_else() {
    let directory = workplace(2);
    let at = directory.path();
    ok(lockgate_sign(
        at,
        &format!("{SIGN} --key one.pem --issued 2026-01-01T00:00:00Z --expires 2030-01-01T00:00:00Z --builder ci"),
    ));
    fails(&lockgate_sign(at, VERIFY), 1, "threshold_not_met");
    // The same key again adds nothing.
    assert_eq!(json(lockgate_sign(at, &format!("{SIGN} --key one.pem --json")))["added"], Value::Array(Vec::new()));
    fails(&lockgate_sign(at, VERIFY), 1, "threshold_not_met");

    let envelope = at.join("inventory-1.2.0.wasm.dsse.json");
    let before = fs::read(&envelope).unwrap();
    for other in ["--expires 2029-01-01T00:00:00Z", "--commit 0123", "--publisher acne"] {
        let line = format!(
            "{} --key two.pem {other}",
            SIGN.replace(" --publisher acme", if other.contains("publisher") { "" } else { " --publisher acme" })
        );
        fails(&lockgate_sign(at, &line), 1, "envelope_differs");
    }
    fs::write(at.join(FILE_NAME), b"other bytes").unwrap();
    fails(&lockgate_sign(at, &format!("{SIGN} --key two.pem")), 1, "envelope_differs");
    assert_eq!(fs::read(&envelope).unwrap(), before);
    fs::write(at.join(FILE_NAME), COMPONENT).unwrap();

    assert_eq!(json(lockgate_sign(at, &format!("{SIGN} --key two.pem --json")))["signatures"], 2);
    ok(lockgate_sign(at, &format!("{VERIFY} --at 2029-12-31T00:00:00Z")));
    // Anew, and the old signatures are gone.
    ok(lockgate_sign(at, &format!("{SIGN} --key two.pem --replace")));
    fails(&lockgate_sign(at, VERIFY), 1, "threshold_not_met");
    // Both at once.
    ok(lockgate_sign(at, &format!("{SIGN} --key one.pem --key two.pem --replace")));
    ok(lockgate_sign(at, VERIFY));
}

#[test]
fn what_does_not_belong_together_is_not_signed() {
    let directory = workplace(1);
    let at = directory.path();
    fs::copy(at.join(FILE_NAME), at.join("inventory-1.2.1.wasm")).unwrap();
    fails(&lockgate_sign(at, &format!("{} --key one.pem", SIGN.replace("1.2.0", "1.2.1"))), 1, "component_mismatch");
    fails(&lockgate_sign(at, &format!("{SIGN} --key declaration.json")), 2, "file_refused");
    fails(&lockgate_sign(at, &format!("{SIGN} --key missing.pem")), 2, "file_refused");
    fails(&lockgate_sign(at, &format!("{SIGN} --key one.pem --expires 2001-01-01T00:00:00Z")), 1, "envelope_invalid");
    fails(&lockgate_sign(at, &format!("{SIGN} --key one.pem --issued yesterday")), 2, "usage");
    fs::write(at.join("declaration.json"), "{\"pack\":\"inventory\"}").unwrap();
    fails(&lockgate_sign(at, &format!("{SIGN} --key one.pem")), 1, "declaration_invalid");
    assert!(!at.join("inventory-1.2.0.wasm.dsse.json").exists());
}
