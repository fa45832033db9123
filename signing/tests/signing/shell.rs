//! `verify` in a script: its status and its JSON can be trusted whatever happens to its output, and what is written is whole or
//! not there.

use std::{
    fs,
    io::pipe,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    command::{SIGN, VERIFY, fails, lockgate_sign, ok, prepared, workplace},
    fixture::{COMPONENT, FILE_NAME},
};

const ENVELOPE: &str = "inventory-1.2.0.wasm.dsse.json";

fn signed() -> TempDir {
    let directory = workplace(1);
    ok(lockgate_sign(directory.path(), &format!("{SIGN} --key one.pem")));
    directory
}

/// Runs a line of a shell, in which `$SIGN` is the program.
fn shell(at: &Path, line: &str) -> Output {
    Command::new("sh")
        .current_dir(at)
        .args(["-c", line])
        .env("SIGN", env!("CARGO_BIN_EXE_lockgate-sign"))
        .env_remove("LOCKGATE_SIGN_PASSPHRASE")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn every_failure_of_verify_has_a_status_and_a_document() {
    type Break = (&'static str, i32, fn(&Path));
    let break_it: [Break; 12] = [
        ("envelope_missing", 1, |at| fs::remove_file(at.join(ENVELOPE)).unwrap()),
        ("envelope_invalid", 1, |at| fs::write(at.join(ENVELOPE), "{").unwrap()),
        ("envelope_invalid", 1, |at| fs::write(at.join(ENVELOPE), "").unwrap()),
        ("component_mismatch", 1, |at| fs::write(at.join(FILE_NAME), "").unwrap()),
        ("file_refused", 2, |at| fs::remove_file(at.join(FILE_NAME)).unwrap()),
        ("file_refused", 1, |at| {
            fs::rename(at.join(FILE_NAME), at.join("elsewhere")).unwrap();
            symlink("elsewhere", at.join(FILE_NAME)).unwrap();
        }),
        ("file_refused", 2, |at| fs::remove_file(at.join("trust.toml")).unwrap()),
        ("file_refused", 2, |at| {
            fs::set_permissions(at.join("trust.toml"), fs::Permissions::from_mode(0o666)).unwrap();
        }),
        ("trust_invalid", 2, |at| fs::write(at.join("trust.toml"), "version = 1\nkeys = []\n").unwrap()),
        ("trust_invalid", 2, |at| fs::write(at.join("trust.toml"), "").unwrap()),
        ("signature_invalid", 1, |at| fs::write(at.join("trust.toml"), "version = 1\n").unwrap()),
        ("file_too_large", 1, |at| {
            fs::File::options().write(true).open(at.join(ENVELOPE)).unwrap().set_len(1 << 30).unwrap();
        }),
    ];
    for (code, status, change) in break_it {
        let directory = signed();
        change(directory.path());
        let output = lockgate_sign(directory.path(), &format!("{VERIFY} --json"));
        fails(&output, status, code);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&document["verified"], &document["code"]), (&false.into(), &code.into()));
        assert!(document["message"].is_string() && document["help"].is_string());
        let plain = lockgate_sign(directory.path(), VERIFY);
        fails(&plain, status, code);
        assert!(plain.stdout.is_empty(), "nothing that could be taken for an answer");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_no_answer() {
    let directory = signed();
    let at = directory.path();
    for mode in ["", " --json"] {
        ok(lockgate_sign(at, &format!("{VERIFY}{mode}")));
        // Nobody reads it: the pipe's other end is gone before it begins.
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let output = prepared(at).args(format!("{VERIFY}{mode}").split(' ')).stdout(writer).output().unwrap();
        assert!(fails(&output, 2, "io").contains("Broken pipe"), "{mode}");
        // The disk is full.
        let output = shell(at, &format!("exec $SIGN {VERIFY}{mode} > /dev/full"));
        assert!(fails(&output, 2, "io").contains("No space"), "{mode}");
        // It is not open for writing.
        fails(&shell(at, &format!("exec $SIGN {VERIFY}{mode} 1< trust.toml")), 2, "io");
    }
    for other in [
        "--help",
        "--version",
        "key show one.pem",
        "key show one.pem --pem",
        &format!("inspect {ENVELOPE} --print-pae"),
    ] {
        fails(&shell(at, &format!("exec $SIGN {other} > /dev/full")), 2, "io");
    }
    // Whoever closes its output means not to read it; the status is still the answer.
    assert_eq!(shell(at, &format!("exec $SIGN {VERIFY} >&-")).status.code(), Some(0));
    fs::write(at.join(FILE_NAME), "other").unwrap();
    for output in [">&-", "2>&-", ">&- 2>&- <&-", "> /dev/full", "2> /dev/full", "--json > /dev/full 2> /dev/full"] {
        assert_eq!(shell(at, &format!("exec $SIGN {VERIFY} {output}")).status.code(), Some(1), "{output}");
    }
}

#[test]
fn a_script_that_stops_at_the_first_failure_stops() {
    let directory = signed();
    let at = directory.path();
    let script = format!("set -eu\n$SIGN {VERIFY} --json > answer.json\necho installed");
    assert_eq!(shell(at, &script).stdout, b"installed\n");
    fs::write(at.join(FILE_NAME), [COMPONENT, b"\0"].concat()).unwrap();
    assert!(shell(at, &script).stdout.is_empty());
    assert_eq!(shell(at, &format!("if $SIGN {VERIFY}; then echo installed; fi")).stdout, b"");
}

#[test]
fn an_envelope_is_written_whole_or_not_at_all() {
    let directory = signed();
    let at = directory.path();
    let before = fs::read(at.join(ENVELOPE)).unwrap();
    assert!(before.len() > 1024);
    let names = || {
        let mut names: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let there = names();
    // Room for a part of it (a block is 512 bytes in some shells, 1024 in others), and for none.
    for blocks in [1, 0] {
        let output = shell(at, &format!("trap '' XFSZ; ulimit -f {blocks}; exec $SIGN {SIGN} --key two.pem"));
        assert!(fails(&output, 2, "file_refused").contains("File too large"));
        assert_eq!(fs::read(at.join(ENVELOPE)).unwrap(), before);
        assert_eq!(names(), there, "nothing is left behind");
        let elsewhere =
            format!("trap '' XFSZ; ulimit -f {blocks}; exec $SIGN {SIGN} --key two.pem --envelope fresh.json");
        fails(&shell(at, &elsewhere), 2, "file_refused");
        assert_eq!(names(), there);
    }
    fails(&shell(at, &format!("$SIGN {SIGN} --key two.pem --envelope /dev/full")), 2, "file_refused");
    ok(lockgate_sign(at, VERIFY));
}

#[test]
fn the_same_input_gives_the_same_envelope() {
    let sign = format!(
        "{SIGN} --key one.pem --key two.pem --issued 2026-11-21T00:00:00Z --expires 2027-11-21T00:00:00Z --source https://example.com/x --commit 0123abc --builder ci --built-at 2026-11-20T10:00:00Z --sbom sbom.json"
    );
    let first = workplace(2);
    fs::write(first.path().join("sbom.json"), "{}").unwrap();
    ok(lockgate_sign(first.path(), &sign));
    let envelope = fs::read(first.path().join(ENVELOPE)).unwrap();

    // Another directory, another place on earth, other defaults for files; and signed one after the other.
    let second = tempfile::tempdir().unwrap();
    for name in [FILE_NAME, "declaration.json", "one.pem", "two.pem", "trust.toml", "sbom.json"] {
        fs::copy(first.path().join(name), second.path().join(name)).unwrap();
    }
    for key in ["two.pem", "one.pem"] {
        let line = sign.replace("--key one.pem --key two.pem", &format!("--key {key}"));
        let output =
            shell(second.path(), &format!("umask 077; TZ=Asia/Tokyo LC_ALL=C exec $SIGN {line} --envelope {key}.json"));
        ok(output);
    }
    ok(shell(second.path(), &format!("umask 077; TZ=Asia/Tokyo LC_ALL=C exec $SIGN {sign}")));
    assert_eq!(fs::read(second.path().join(ENVELOPE)).unwrap(), envelope);
    let mode = fs::metadata(second.path().join(ENVELOPE)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o644, "for everybody to read, whatever the umask");
    ok(lockgate_sign(second.path(), &sign));
    assert_eq!(fs::read(second.path().join(ENVELOPE)).unwrap(), envelope, "again, and nothing is added");

    // Everything that was said about where it came from is signed and shown.
    let verified = String::from_utf8(ok(lockgate_sign(second.path(), VERIFY)).stdout).unwrap();
    let sbom = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    for part in ["https://example.com/x", "0123abc", " ci\n", "2026-11-20T10:00:00Z", sbom] {
        assert!(verified.contains(part), "{part}: {verified}");
    }
}
