//! docs/signing-in-ci.md, step by step as it stands there.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use lockgate_signing::key::PrivateKeyFile;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    command::{lockgate_sign, ok, workplace},
    fixture::{COMPONENT, FILE_NAME, declaration, write_mode},
};

const PAGE: &str = include_str!("../../../docs/signing-in-ci.md");

/// The first block of a language on a page.
fn block<'a>(page: &'a str, language: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// What a step of the workflow runs.
fn step(name: &str) -> String {
    let workflow = block(PAGE, "yaml");
    let (_, rest) = workflow.split_once(&format!("- name: {name}\n")).unwrap();
    let (head, rest) = rest.split_once("run: |\n").unwrap();
    assert!(!head.contains("- "), "the step's own");
    let indent = rest.len() - rest.trim_start().len();
    let lines = rest.lines().take_while(|line| line.is_empty() || line.len() - line.trim_start().len() >= indent);
    lines.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect()
}

/// A checkout with a built pack in `dist`, an encrypted key, its passphrase and the policy that trusts it.
fn checkout() -> TempDir {
    let directory = workplace(1);
    let at = directory.path();
    fs::create_dir(at.join("dist")).unwrap();
    fs::rename(at.join(FILE_NAME), at.join("dist").join(FILE_NAME)).unwrap();
    let name = declaration().file_name().unwrap();
    fs::rename(at.join("declaration.json"), at.join("dist").join(name)).unwrap();
    write_mode(&at.join("pass"), b"correct horse\n", 0o600);
    ok(lockgate_sign(at, "key passphrase one.pem --new-passphrase-file pass"));
    for arguments in [
        "init --quiet .",
        "remote add origin https://example.com/acme/inventory",
        "-c user.name=ci -c user.email=ci@example.com commit --quiet --allow-empty --message built",
    ] {
        assert!(Command::new("git").current_dir(at).args(arguments.split(' ')).status().unwrap().success());
    }
    directory
}

/// Runs a script with the program in its path.
fn run(at: &Path, script: &str, variables: &[(&str, &str)]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_lockgate-sign")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    fs::write(at.join("script"), script).unwrap();
    Command::new("sh")
        .current_dir(at)
        .args(["script", "dist"])
        .env("PATH", path)
        .env_remove("LOCKGATE_SIGN_PASSPHRASE")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn verified(at: &Path) -> Value {
    serde_json::from_slice(&fs::read(at.join(format!("dist/{FILE_NAME}.verified.json"))).unwrap()).unwrap()
}

#[test]
fn the_workflow_signs_and_verifies() {
    let directory = checkout();
    let at = directory.path();
    let key = fs::read_to_string(at.join("one.pem")).unwrap();
    assert!(PrivateKeyFile::from_pem(&key).unwrap().is_encrypted());
    let temporary = at.join("temporary");
    fs::create_dir(&temporary).unwrap();
    let variables = [
        ("SIGNING_KEY", key.trim_end()),
        ("LOCKGATE_SIGN_PASSPHRASE", "correct horse"),
        ("GITHUB_SERVER_URL", "https://github.example"),
        ("GITHUB_REPOSITORY", "acme/inventory"),
        ("GITHUB_SHA", "0123abc"),
        ("GITHUB_RUN_ID", "42"),
        ("TMPDIR", temporary.to_str().unwrap()),
    ];
    assert!(!run(at, &step("Verify"), &[]).status.success(), "not signed yet");
    let signed = ok(run(at, &step("Sign"), &variables));
    ok(run(at, &step("Sign"), &variables));
    ok(run(at, &step("Verify"), &[]));
    let answer = verified(at);
    assert_eq!(answer["verified"], true);
    let provenance = &answer["predicate"]["provenance"];
    assert_eq!(provenance["source"], "https://github.example/acme/inventory");
    assert_eq!(provenance["builder"], "https://github.example/acme/inventory/actions/runs/42");
    assert!(provenance["built_at"].is_string() && provenance["commit"] == "0123abc");
    let sums =
        Command::new("sha256sum").current_dir(at.join("dist")).args(["--check", "--quiet", "SHA256SUMS"]).status();
    assert!(sums.unwrap().success());

    // No secret is printed, and no key is left behind.
    let log = String::from_utf8([signed.stdout, signed.stderr].concat()).unwrap();
    assert!(!log.contains("correct horse") && !log.contains("PRIVATE KEY"), "{log}");
    let left: Vec<_> =
        fs::read_dir(&temporary).unwrap().flat_map(|dir| fs::read_dir(dir.unwrap().path()).unwrap()).collect();
    assert!(left.is_empty(), "{left:?}");

    let wrong = [&variables[..1], &[("LOCKGATE_SIGN_PASSPHRASE", "wrong")][..], &variables[2..]].concat();
    fs::remove_file(at.join(format!("dist/{FILE_NAME}.dsse.json"))).unwrap();
    let refused = run(at, &step("Sign"), &wrong);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("the passphrase is wrong"));
    assert!(!run(at, &step("Verify"), &[]).status.success());
}

#[test]
fn the_script_signs_and_verifies_or_stops() {
    let directory = checkout();
    let at = directory.path();
    let script = block(PAGE, "sh");
    let variables =
        [("PUBLISHER", "acme"), ("SIGNING_KEY", "one.pem"), ("TRUST", "trust.toml"), ("PASSPHRASE_FILE", "pass")];
    // As secrets are mounted: readable by others, which is the descriptor's business.
    write_mode(&at.join("pass"), b"correct horse\n", 0o644);
    for _ in 0..2 {
        assert_eq!(
            ok(run(at, script, &variables)).stdout.split(|byte| *byte == b'\n').rev().nth(1).unwrap(),
            b"1 signed and verified"
        );
        assert_eq!(verified(at)["predicate"]["provenance"]["source"], "https://example.com/acme/inventory");
    }
    let mut stranger = variables;
    stranger[0].1 = "stranger";
    fs::remove_file(at.join(format!("dist/{FILE_NAME}.dsse.json"))).unwrap();
    fs::remove_file(at.join(format!("dist/{FILE_NAME}.verified.json"))).unwrap();
    assert_eq!(run(at, script, &stranger).status.code(), Some(1));
    assert!(!at.join(format!("dist/{FILE_NAME}.verified.json")).exists());
    // Another build under the same name is not signed over.
    fs::write(at.join("dist").join(FILE_NAME), [COMPONENT, b"\0"].concat()).unwrap();
    assert_eq!(run(at, script, &variables).status.code(), Some(1));
    fs::remove_dir_all(at.join("dist")).unwrap();
    assert_eq!(run(at, script, &variables).status.code(), Some(1), "nothing to sign is no success");
}
