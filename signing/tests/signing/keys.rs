//! Key files as they go wrong, and a passphrase that changes: what `lockgate-sign` says, and what it leaves behind.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use lockgate_signing::key::{Passphrase, PrivateKey, PrivateKeyFile};
use tempfile::TempDir;

use crate::{
    command::{fails, json, lockgate_sign, ok, prepared},
    fixture::write_mode,
};

/// With `plain.pem`, `sealed.pem` (the same key), `public.pem`, and the passphrases `old` and `new`.
fn keys() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let key = PrivateKey::generate().unwrap();
    key.create_file(at.join("plain.pem"), None).unwrap();
    key.create_file(at.join("sealed.pem"), Some(&Passphrase::new(b"old one".to_vec().into()).unwrap())).unwrap();
    fs::write(at.join("public.pem"), key.public_key().to_pem()).unwrap();
    write_mode(&at.join("old"), b"old one\n", 0o600);
    write_mode(&at.join("new"), b"new one\n", 0o600);
    directory
}

fn openssl(at: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(at).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_key_file_that_cannot_be_used_is_named_for_what_it_is() {
    let directory = keys();
    let at = directory.path();
    let show =
        |file: &str, passphrase: &str| lockgate_sign(at, &format!("key show {file} --passphrase-file {passphrase}"));
    let says = |file: &str, passphrase: &str, words: &str| {
        let text = fails(&show(file, passphrase), 2, "key_invalid");
        assert!(text.contains(words) && text.contains(file), "{text}");
    };
    says("sealed.pem", "new", "the passphrase is wrong");

    for file in ["plain.pem", "sealed.pem"] {
        let whole = fs::read(at.join(file)).unwrap();
        for length in [whole.len() - 2, whole.len() / 2, 40] {
            write_mode(&at.join("cut.pem"), &whole[..length], 0o600);
            says("cut.pem", "old", "cut off");
        }
        let text = String::from_utf8(whole).unwrap();
        let lost: String = text.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, l)| format!("{l}\n")).collect();
        write_mode(&at.join("lost.pem"), lost.as_bytes(), 0o600);
        says("lost.pem", "old", "damaged");
    }
    write_mode(&at.join("empty.pem"), b"", 0o600);
    says("empty.pem", "old", "not an Ed25519 public key");

    for (algorithm, name) in [
        ("rsa", "RSA"),
        ("ed448", "Ed448"),
        ("x25519", "X25519"),
        ("ec -pkeyopt ec_paramgen_curve:P-256", "elliptic-curve"),
    ] {
        openssl(at, &format!("genpkey -out other.pem -algorithm {algorithm}"));
        openssl(at, "pkey -in other.pem -pubout -out other.pub");
        fs::set_permissions(at.join("other.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        says("other.pem", "old", &format!("a key for {name}"));
        says("other.pub", "old", &format!("a key for {name}"));
        openssl(at, "pkcs8 -topk8 -in other.pem -out other-sealed.pem -passout file:old");
        fs::set_permissions(at.join("other-sealed.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        says("other-sealed.pem", "old", &format!("a key for {name}"));
        says("other-sealed.pem", "new", "the passphrase is wrong");
    }
    let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n";
    write_mode(&at.join("ssh.pem"), openssh.as_bytes(), 0o600);
    says("ssh.pem", "old", "OPENSSH PRIVATE KEY");

    for mode in [0o640, 0o604, 0o644, 0o660] {
        fs::set_permissions(at.join("plain.pem"), fs::Permissions::from_mode(mode)).unwrap();
        let text = fails(&lockgate_sign(at, "key show plain.pem"), 2, "file_refused");
        assert!(text.contains(&format!("{mode:04o}: others have access")) && text.contains("chmod go-rwx"), "{text}");
    }
}

#[test]
fn a_public_and_a_private_key_are_not_taken_for_each_other() {
    let directory = crate::command::workplace(1);
    let at = directory.path();
    let pem = ok(lockgate_sign(at, "key show one.pem --pem")).stdout;
    write_mode(&at.join("public.pem"), &pem, 0o600);
    let sign = crate::command::SIGN;
    let text = fails(&lockgate_sign(at, &format!("{sign} --key public.pem")), 2, "key_invalid");
    assert!(text.contains("`public.pem`: this is a public key"), "{text}");

    ok(lockgate_sign(at, &format!("{sign} --print-pae")));
    fs::write(at.join("signature"), [0; 64]).unwrap();
    let attach = "attach-signature inventory-1.2.0.wasm.dsse.json --signature signature --public-key one.pem";
    let text = fails(&lockgate_sign(at, attach), 2, "key_invalid");
    assert!(text.contains("`one.pem`: this is a private key") && text.contains("key show FILE --pem"), "{text}");
}

#[test]
fn a_passphrase_is_changed_in_one_step() {
    let directory = keys();
    let at = directory.path();
    let id = json(lockgate_sign(at, "key show public.pem --json"))["key_id"].clone();
    let change = "key passphrase sealed.pem --passphrase-file old --new-passphrase-file new --json";
    let changed = json(lockgate_sign(at, change));
    assert_eq!((&changed["key_id"], &changed["encrypted"]), (&id, &true.into()));
    assert_eq!(fs::metadata(at.join("sealed.pem")).unwrap().permissions().mode() & 0o7777, 0o600);
    fails(&lockgate_sign(at, "key show sealed.pem --passphrase-file old"), 2, "key_invalid");
    assert_eq!(json(lockgate_sign(at, "key show sealed.pem --passphrase-file new --json"))["key_id"], id);

    // With the wrong one, or none, or the same descriptor for both, nothing happens.
    let before = fs::read(at.join("sealed.pem")).unwrap();
    fails(&lockgate_sign(at, change), 2, "key_invalid");
    fails(&lockgate_sign(at, "key passphrase sealed.pem --passphrase-file new"), 2, "passphrase_required");
    fails(&lockgate_sign(at, "key passphrase sealed.pem --passphrase-fd 0 --new-passphrase-fd 0"), 2, "usage");
    write_mode(&at.join("empty"), b"\n", 0o600);
    let empty = "key passphrase sealed.pem --passphrase-file new --new-passphrase-file empty";
    assert!(fails(&lockgate_sign(at, empty), 2, "key_invalid").contains("the passphrase is empty"));
    assert_eq!(fs::read(at.join("sealed.pem")).unwrap(), before);

    // A key that had none gets one; here by the environment.
    let mut first = prepared(at);
    ok(first.args(["key", "passphrase", "plain.pem"]).env("LOCKGATE_SIGN_NEW_PASSPHRASE", "new one").output().unwrap());
    assert!(PrivateKeyFile::read(at.join("plain.pem")).unwrap().is_encrypted());
    assert_eq!(json(lockgate_sign(at, "key show plain.pem --passphrase-file new --json"))["key_id"], id);
}

#[test]
fn a_full_disk_costs_no_key() {
    let directory = keys();
    let at = directory.path();
    let before = fs::read(at.join("sealed.pem")).unwrap();
    let names = || fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>().len();
    let count = names();
    // No byte may be written to any file; the signal that comes with it is ignored, as on a disk that is full.
    let full = |arguments: &str| {
        let script = format!("trap '' XFSZ; ulimit -f 0; exec {} {arguments}", env!("CARGO_BIN_EXE_lockgate-sign"));
        Command::new("sh").current_dir(at).args(["-c", &script]).output().unwrap()
    };
    fails(&full("key passphrase sealed.pem --passphrase-file old --new-passphrase-file new"), 2, "file_refused");
    fails(&full("key generate --out fresh.pem"), 2, "file_refused");
    assert_eq!(fs::read(at.join("sealed.pem")).unwrap(), before);
    assert_eq!(names(), count, "nothing is left behind");
}

#[test]
fn one_passphrase_serves_all_keys_of_a_command() {
    let directory = crate::command::workplace(2);
    let at = directory.path();
    write_mode(&at.join("pass"), b"shared\n", 0o600);
    for name in ["one", "two"] {
        ok(lockgate_sign(at, &format!("key passphrase {name}.pem --new-passphrase-file pass")));
    }
    // Through a pipe, which can be read only once.
    let script = format!(
        "cat pass | {} {} --key one.pem --key two.pem --passphrase-fd 0 --json",
        env!("CARGO_BIN_EXE_lockgate-sign"),
        crate::command::SIGN
    );
    let output = Command::new("sh").current_dir(at).args(["-c", &script]).output().unwrap();
    assert_eq!(json(output)["signatures"], 2);
    ok(lockgate_sign(at, crate::command::VERIFY));
}
