//! Commands on a site: what a doctor finds, what is said of packs, and who may decide.

use std::fs;

use lockgate_tests::site::{Site, stock_pack};
use serde_json::{Value as Json, json};

use crate::{
    agent::{Agent, pending},
    cli::{assert_error, is_calm},
    order::{server, site, victim},
    process::{bare, lockgate, run, succeeds},
    story::os_user,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_finds_a_sound_site_sound() {
    let site = site("sound").await;
    let said = run(lockgate(&site).arg("doctor")).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:#?}");
    for about in ["configuration", "target sound", "state", "record", "pack"] {
        assert!(said.out.lines().any(|l| l.starts_with(&format!("ok       {about} "))), "{about}: {}", said.out);
    }
    // What is no failure and still worth doing.
    assert!(said.out.contains("warning  record"), "{}", said.out);
    let json = succeeds(&site, &["doctor", "--json"]).await;
    for line in json.lines() {
        let finding: Json = serde_json::from_str(line).expect("JSON");
        assert!(finding["level"] == "ok" || finding["level"] == "warning", "{finding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_finds_all_that_is_wrong_at_once() {
    let cluster = server().await;
    let mut nowhere = cluster.target("nowhere", "agent", "postgres");
    nowhere.port = Some(1);
    let stranger = cluster.target("stranger", "nobody_knows", "postgres");
    let almighty = cluster.target("almighty", "postgres", "postgres");
    let site = Site::with_stock_pack(&[nowhere, stranger, almighty], "").await;
    // A second pack beside the good one, which nobody signed.
    fs::write(site.path("packs").join("other-1.0.0.wasm"), b"\0asm nothing").expect("a file is written");
    let said = run(lockgate(&site).arg("doctor")).await;
    assert_eq!(said.code, 1, "{said:#?}");
    is_calm(&said);
    for (level, about) in [
        ("FAILED ", "target nowhere"),
        ("FAILED ", "target stranger"),
        ("warning", "target almighty"),
        ("ok     ", "pack"),
    ] {
        let found = said.out.lines().any(|l| l.starts_with(&format!("{level}  {about} ")));
        assert!(found, "{level} {about}: {}", said.out);
    }
    for part in ["[envelope_missing]", "role postgres is a superuser", "help: "] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }

    // Nothing left to serve: each door says so and does not open.
    fs::write(site.path("trust.toml"), "version = 1\n").expect("it is written");
    let said = run(lockgate(&site).arg("mcp")).await;
    assert_error(&said, 1, "envelope_missing", &["no pack was admitted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_is_shown_to_everybody_and_trusted_only_as_it_was_signed() {
    let site = Site::new(&[], "");
    let good = site.add(stock_pack().await);
    let inspected = run(bare().args(["pack", "inspect"]).arg(&good)).await;
    assert_eq!((inspected.code, inspected.err.as_str()), (0, ""));
    for part in [
        "not verified",
        "postgres.terminate_backend  risk high",
        "argument pid: integer 1 to 4194304",
        "also found by: kill a session, ",
        "pg_stat_activity",
    ] {
        assert!(inspected.out.contains(part), "{part}");
    }
    is_calm(&inspected);
    let json = run(bare().args(["pack", "inspect", "--json"]).arg(&good)).await;
    assert_eq!(serde_json::from_str::<Json>(&json.out).expect("JSON")["name"], "postgres");

    let verified = run(lockgate(&site).args(["pack", "verify"]).arg(&good)).await;
    assert_eq!((verified.code, verified.err.as_str()), (0, ""), "{verified:?}");
    assert!(verified.out.starts_with("postgres ") && verified.out.contains("publisher  tests"), "{}", verified.out);

    let tampered = site.path("packs").join("tampered.wasm");
    let mut bytes = stock_pack().await.bytes.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&tampered, &bytes).expect("it is written");
    fs::copy(good.with_extension("wasm.dsse.json"), tampered.with_extension("wasm.dsse.json")).expect("it is copied");
    // The name is part of what was signed, and so are the bytes.
    let said = run(lockgate(&site).args(["pack", "verify"]).arg(&tampered)).await;
    assert_error(&said, 1, "component_mismatch", &["tampered.wasm"]);
    fs::write(&good, &bytes).expect("it is written");
    let said = run(lockgate(&site).args(["pack", "verify"]).arg(&good)).await;
    assert_error(&said, 1, "component_mismatch", &["the publisher"]);

    fs::remove_file(good.with_extension("wasm.dsse.json")).expect("it is removed");
    let said = run(lockgate(&site).args(["pack", "verify"]).arg(&good)).await;
    assert_error(&said, 1, "envelope_missing", &[".wasm.dsse.json"]);
    let said = run(bare().args(["pack", "inspect"]).arg(site.path("nothing.wasm"))).await;
    assert_error(&said, 1, "file_refused", &["nothing.wasm"]);
    fs::write(site.path("text.wasm"), "hello").expect("it is written");
    let said = run(bare().args(["pack", "inspect"]).arg(site.path("text.wasm"))).await;
    assert_error(&said, 1, "component_invalid", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_decides_on_what_they_saw_and_never_on_their_own_request() {
    let site = site("deciding").await;
    let said = succeeds(&site, &["approvals", "list"]).await;
    assert_eq!(said, "nothing waits for a decision\n");
    let agent = Agent::start(&site).await;
    let (client, pid) = victim().await;
    let held = agent.call("terminate_backend", "deciding", json!({ "pid": pid }), "a test of deciding").await;
    let (id, digest) = (pending(&held), held["digest"].as_str().expect("a digest").to_owned());

    let approve = |more: &[&str]| {
        let mut command = lockgate(&site);
        command.args(["approvals", "approve"]).args(more);
        command
    };
    let said = run(&mut approve(&[&id])).await;
    assert_error(&said, 2, "config_invalid", &["nobody is at a terminal", "--digest", "lockgate approvals show"]);
    let said = run(&mut approve(&[&id, "--digest", &"0".repeat(64)])).await;
    assert_error(&said, 1, "digest_mismatch", &["look at the request again"]);
    let said = run(&mut approve(&[&id, "--digest", "beef"])).await;
    assert_error(&said, 2, "config_invalid", &["--digest"]);
    let said = run(&mut approve(&["apr_nothing", "--digest", &digest])).await;
    assert_error(&said, 1, "unknown_approval", &["apr_nothing", "lockgate approvals list"]);

    // The same host, now configured to say that the agent acts for whoever is at this keyboard.
    let config = fs::read_to_string(site.path("lockgate.toml")).expect("the configuration");
    let own = config.replace("person = \"ada\"", &format!("person = \"{}\"", os_user()));
    assert_ne!(own, config);
    site.write("lockgate.toml", &own);
    let mine = Agent::start(&site).await;
    let (other, pid) = victim().await;
    let held = mine.call("terminate_backend", "deciding", json!({ "pid": pid }), "a test of deciding").await;
    let (my_id, my_digest) = (pending(&held), held["digest"].as_str().expect("a digest").to_owned());
    let said = run(&mut approve(&[&my_id, "--digest", &my_digest])).await;
    assert_error(&said, 1, "self_approval", &["ask another person"]);
    other.simple_query("SELECT 1").await.expect("its session goes on");

    let listed = succeeds(&site, &["approvals", "list"]).await;
    assert!(listed.contains(&id) && listed.contains(&my_id) && listed.contains("pending"), "{listed}");
    let said = succeeds(&site, &["approvals", "deny", &id, "--digest", &digest, "--reason", "not tonight"]).await;
    assert_eq!(said, format!("{id} denied by {}\n", os_user()));
    let answer = agent.await_approval(&id, 20).await;
    assert_eq!(
        (&answer["code"], answer["message"].as_str()),
        (&json!("approval_denied"), Some(&*format!("denied by {}: not tonight", os_user())))
    );
    client.simple_query("SELECT 1").await.expect("its session goes on");
    let listed = succeeds(&site, &["approvals", "list", "--all"]).await;
    assert!(listed.contains(&id) && listed.contains("denied"), "{listed}");
    agent.close().await;
    mine.close().await;
}
