//! The command line as people meet it first: help, typos, missing and wrong files, exit codes, and errors of one shape.

use std::{fs, path::Path};

use sha2::{Digest as _, Sha256};

use crate::process::{Said, bare, run, with_config};

/// `error[code]: what and where`, then `  help: what to do`; nothing on standard output.
pub fn assert_error(said: &Said, exit: i32, code: &str, parts: &[&str]) {
    assert_eq!(said.code, exit, "{said:#?}");
    assert_eq!(said.out, "", "an error belongs on standard error");
    assert!(said.err.starts_with(&format!("error[{code}]: ")), "{said:#?}");
    assert!(said.err.lines().last().is_some_and(|line| line.starts_with("  help: ")), "{said:#?}");
    for part in parts {
        assert!(said.err.contains(part), "`{part}` is not said: {said:#?}");
    }
    is_calm(said);
}

/// No panic, no colour into a pipe, no types of the code, no shouting.
pub fn is_calm(said: &Said) {
    let all = format!("{}{}", said.out, said.err);
    for word in ["panicked", "RUST_BACKTRACE", "\u{1b}", "Error {", "Some(", "unwrap"] {
        assert!(!all.contains(word), "`{word}`: {said:#?}");
    }
}

/// The commands that a help lists.
fn commands_of(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let named = listed.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    named.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

async fn helps(command: &[&str]) {
    let said = run(bare().args(command).arg("--help")).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{command:?}");
    assert!(said.out.lines().next().is_some_and(|l| !l.trim().is_empty()), "{command:?} does not say what it is for");
    let mut lines = said.out.lines().filter(|line| !line.starts_with("Usage: "));
    assert!(lines.all(|l| l.chars().count() <= 100), "{command:?}: a line is too long: {}", said.out);
}

#[tokio::test]
async fn help_says_what_each_command_is_for_and_is_no_error() {
    let top = run(bare().arg("--help")).await;
    assert_eq!((top.code, top.err.as_str()), (0, ""));
    for command in
        ["serve", "mcp", "demo", "pack", "approvals", "standing", "policy", "audit", "doctor", "token", "account"]
    {
        assert!(top.out.contains(&format!("\n  {command} ")), "{}", top.out);
        helps(&[command]).await;
        for part in commands_of(&run(bare().args([command, "--help"])).await.out) {
            helps(&[command, &part]).await;
        }
    }
    assert!(!top.out.contains("demo-part"), "a part of the demonstration is no command for people: {}", top.out);
    let version = run(bare().arg("--version")).await;
    assert_eq!((version.code, version.out.starts_with("lockgate ")), (0, true));
}

#[tokio::test]
async fn a_command_line_that_cannot_be_used_ends_with_2() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["approvals"],
        &["approvals", "approve"],
        &["audit", "tail", "-n", "many"],
        &["mcp", "--sql", "SELECT 1"],
        &["token"],
    ] {
        let said = run(bare().args(arguments)).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?}");
        assert!(said.err.contains("Usage: lockgate") || said.err.contains("try '--help'"), "{said:?}");
        is_calm(&said);
    }
    let said = run(bare().arg("aprovals")).await;
    assert!(said.err.contains("a similar subcommand exists: 'approvals'"), "{said:?}");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_named_to_the_column() {
    let dir = tempfile::tempdir().expect("a directory");
    let written = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("a file is written");
        path
    };
    let least = "version = 1\nstate_dir = \"state\"\npacks = [\"packs\"]\ntrust = \"trust.toml\"\n";
    let typo = written("typo.toml", &format!("{least}[mcp]\n  hold_second = 5\n"));
    let broken = written("broken.toml", "version = = 1\n");
    let number = written("number.toml", &format!("{least}[mcp]\nhold_seconds = \"soon\"\n"));
    let far = written("far.toml", &format!("{least}[mcp]\nhold_seconds = 100000\n"));
    let old = written("old.toml", &least.replace("version = 1", "version = 7"));
    let missing = dir.path().join("missing.toml");
    let place = |path: &Path, at: &str| format!("{}:{at}: ", path.display());
    for (config, parts) in [
        (&typo, vec![place(&typo, "6:3"), "unknown field `hold_second`".into(), "did you mean `hold_seconds`".into()]),
        (&broken, vec![place(&broken, "1:11")]),
        (&number, vec![place(&number, "6:16")]),
        (&far, vec!["[mcp] hold_seconds must be from 0 to 3600".into()]),
        (&old, vec!["`version` must be 1".into()]),
        (
            &missing,
            vec![
                "the configuration `".into(),
                "missing.toml` can't be opened".into(),
                "--config".into(),
                "LOCKGATE_CONFIG".into(),
            ],
        ),
    ] {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        for command in ["mcp", "serve"] {
            assert_error(&run(with_config(config).arg(command)).await, 2, "config_invalid", &parts);
        }
        assert_error(&run(with_config(config).args(["approvals", "list"])).await, 2, "config_invalid", &parts);
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_kept_as_a_digest() {
    let (one, two) = (run(bare().args(["token", "new"])).await, run(bare().args(["token", "new"])).await);
    let part = |said: &Said, name: &str| {
        let line = said.out.lines().find(|line| line.starts_with(name)).expect("a line of that name");
        line[name.len()..].trim().to_owned()
    };
    assert_eq!(one.code, 0);
    let (token, digest) = (part(&one, "token "), part(&one, "token_sha256"));
    let again: String = Sha256::digest(&token).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(again, digest);
    assert_ne!(token, part(&two, "token "));
    assert!(one.out.contains("shown only now"), "{one:?}");
}

#[tokio::test]
async fn nobody_at_a_terminal_is_told_what_to_do_instead() {
    let dir = tempfile::tempdir().expect("a directory");
    let said = run(bare().arg("demo").current_dir(dir.path())).await;
    assert_error(&said, 2, "config_invalid", &["nobody is at a terminal", "--yes"]);
    let said = run(bare().args(["demo", "--yes", "--pack", "nothing"]).current_dir(dir.path())).await;
    assert_error(&said, 2, "config_invalid", &["there is no pack in nothing", "--pack"]);
}
