//! The record on the command line: following it into a pipe that closes, and what is said of one that was changed.

use std::{fs, process::Stdio};

use lockgate_tests::site::Site;
use serde_json::Value as Json;

use crate::{
    agent::Agent,
    cli::{assert_error, is_calm},
    order::site,
    process::{bare, lockgate, run, succeeds},
};

/// A site whose record has some lines.
async fn recorded(target: &str) -> Site {
    let site = site(target).await;
    Agent::start(&site).await.close().await;
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn verifying_says_where_a_record_was_changed() {
    let site = recorded("changed").await;
    let said = run(lockgate(&site).args(["audit", "verify"])).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let key = succeeds(&site, &["audit", "key"]).await;

    let segment = site.config().record_dir().join("record-00000001.jsonl");
    let sound = fs::read_to_string(&segment).expect("the record");
    fs::write(&segment, sound.replacen("\"ev\":\"host.start\"", "\"ev\":\"host.stort\"", 1)).expect("it is written");
    let said = run(lockgate(&site).args(["audit", "verify"])).await;
    assert_eq!((said.code, said.err.as_str()), (1, ""), "{said:?}");
    assert!(said.out.contains(": NOT INTACT") && said.out.contains("first bad line 2, "), "{}", said.out);
    assert!(said.out.contains("expected ") && said.out.contains("found "), "{}", said.out);
    is_calm(&said);
    // The files and the public key are all it takes; a program reads the same.
    let dir = site.config().record_dir();
    let said = run(bare().args(["audit", "verify", "--json", "--key", key.trim(), "--dir"]).arg(&dir)).await;
    let report: Json = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((said.code, &report["intact"], &report["problems"][0]["seq"]), (1, &false.into(), &2.into()));

    // A host does not go on from such a record, and the doctor says what to do first.
    let said = run(lockgate(&site).arg("doctor")).await;
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.out.contains("FAILED   state") && said.out.contains("keep a copy"), "{}", said.out);
    let said = run(lockgate(&site).arg("mcp")).await;
    assert_error(&said, 1, "record_unavailable", &["`record-00000001.jsonl` at byte", "keep a copy"]);
    fs::write(&segment, sound).expect("it is put back");
    succeeds(&site, &["audit", "verify"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_to_verify_is_said() {
    let dir = tempfile::tempdir().expect("a directory");
    let nothing = dir.path().join("nothing");
    let said = run(bare().args(["audit", "verify", "--key", "a+b+c", "--dir"]).arg(&nothing)).await;
    assert_error(&said, 2, "config_invalid", &["--key", "lockgate audit key"]);
    let site = recorded("missing").await;
    let key = succeeds(&site, &["audit", "key"]).await;
    let said = run(bare().args(["audit", "verify", "--key", key.trim(), "--dir"]).arg(&nothing)).await;
    assert_error(&said, 1, "record_unavailable", &["nothing"]);
    let said = run(bare().args(["audit", "verify-export", "--key", key.trim()]).arg(&nothing)).await;
    assert_error(&said, 1, "record_unavailable", &["nothing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_a_tail_quietly() {
    let site = recorded("piped").await;
    let lines = succeeds(&site, &["audit", "tail", "--json"]).await;
    assert!(lines.lines().count() > 3, "{lines}");
    for line in lines.lines() {
        serde_json::from_str::<Json>(line).expect("a line is JSON");
    }
    let shown = succeeds(&site, &["audit", "tail"]).await;
    assert!(shown.contains("host.start") && !shown.contains('\u{1b}'), "{shown}");

    for arguments in
        [&["audit", "tail", "--json"][..], &["audit", "tail", "--json", "--follow"], &["doctor"], &["--help"]]
    {
        let mut process = lockgate(&site).args(arguments).stdout(Stdio::piped()).spawn().expect("lockgate starts");
        drop(process.stdout.take());
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), process.wait_with_output()).await;
        let output = ended.unwrap_or_else(|_| panic!("{arguments:?} goes on though nobody reads")).expect("its end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        assert!(output.status.code().is_some(), "{arguments:?} was ended by a signal");
    }
}
