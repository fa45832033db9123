//! A publisher who makes a key, builds a pack, signs it, has others sign it too, and looks at it as a host will.

use std::{fs, os::unix::fs::symlink};

use lockgate_tests::{desk::Desk, session::run, site::root};
use serde_json::Value as Json;

use crate::{pages::block, walk::Walk, world::desk};

const PASSPHRASE: &str = "correct horse";
const SHOW: &str = "lockgate-sign verify dist/inventory-1.2.0.wasm --trust trust.toml --json";

/// A checkout with a pack, as its author has it.
async fn checkout() -> Desk {
    let mut desk = desk();
    desk.succeeds(
        "git init --quiet . && git -c user.name=a -c user.email=a@example.com commit --quiet --allow-empty -m begun",
    )
    .await;
    desk.succeeds("lockgate pack new inventory").await;
    let manifest = desk.read("inventory/Cargo.toml");
    assert!(manifest.contains("version = \"0.1.0\""), "{manifest}");
    desk.write("inventory/Cargo.toml", &manifest.replacen("version = \"0.1.0\"", "version = \"1.2.0\"", 1));
    // What every build on this machine has already: versions that were looked up, and a standard library.
    fs::copy(root().join("Cargo.lock"), desk.path("inventory/Cargo.lock")).expect("a file");
    symlink(env!("CARGO_TARGET_TMPDIR"), desk.path("inventory/target")).expect("a link");
    desk
}

/// A policy that trusts these keys, and wants all of them.
async fn trust(desk: &mut Desk, keys: &[&str]) {
    let mut text = "version = 1\n".to_owned();
    for key in keys {
        let shown: Json =
            serde_json::from_str(&desk.succeeds(&format!("lockgate-sign key show {key} --json")).await).expect("JSON");
        let public = shown["public_key"].as_str().expect("a key");
        text.push_str(&format!("[[key]]\nname = \"{key}\"\npublic_key = \"{public}\"\n"));
    }
    let count = keys.len();
    text.push_str(&format!(
        "[[publisher]]\nname = \"acme\"\npacks = [\"*\"]\nkeys = {keys:?}\nthreshold = {count}\nclasses = [\"read\"]\n"
    ));
    desk.write_secret("trust.toml", &text);
}

#[test]
fn a_pack_is_built_signed_by_several_and_verified() {
    run(async {
        let mut desk = checkout().await;
        let mut walk = Walk::of("docs/signing.md", &mut desk);
        let twice = [("New passphrase: ", PASSPHRASE), ("Once more: ", PASSPHRASE)];
        let made = walk.typed("lockgate-sign key generate", &twice).await.out;
        assert!(!made.contains(PASSPHRASE) && made.contains("public_key"), "{made}");
        // The public key alone, for whoever has no passphrase.
        let show = "lockgate-sign key show release-2026.key --pem > release-2026.pub";
        walk.desk.set("LOCKGATE_SIGN_PASSPHRASE", PASSPHRASE);
        walk.desk.succeeds(show).await;
        walk.desk.unset("LOCKGATE_SIGN_PASSPHRASE");

        walk.own("path/to/crate", "inventory");
        walk.next("lockgate pack build").await;
        walk.typed("lockgate-sign sign", &[("Passphrase for release-2026.key: ", PASSPHRASE)]).await;
        trust(walk.desk, &["release-2026.pub"]).await;
        assert!(walk.next("lockgate-sign verify").await.out.contains("acme"));
        let verified: Json = serde_json::from_str(&walk.desk.succeeds(SHOW).await).expect("JSON");
        let head = walk.desk.succeeds("git rev-parse HEAD").await;
        assert_eq!(verified["predicate"]["provenance"]["commit"], head.trim());

        walk.desk.succeeds("lockgate-sign key generate --out second.key --name second").await;
        walk.next("lockgate-sign sign").await;
        trust(walk.desk, &["release-2026.pub", "second.key"]).await;
        walk.desk.succeeds(SHOW).await;

        // OpenSSL stands for a module here, as it does on the page.
        walk.desk.succeeds("openssl genpkey -algorithm ed25519 -out hsm.key").await;
        walk.desk.succeeds("openssl pkey -in hsm.key -pubout -out hsm.pub").await;
        let all = ["release-2026.pub", "second.key", "hsm.pub"];
        trust(walk.desk, &all).await;
        assert_eq!(walk.desk.run(SHOW).await.code, 1);
        walk.next("lockgate-sign sign").await;
        let again =
            walk.desk.succeeds("lockgate-sign inspect dist/inventory-1.2.0.wasm.dsse.json --print-pae > again").await;
        walk.desk.succeeds("cmp again to-be-signed").await;
        assert_eq!(again, "");
        walk.own("KEY", "hsm.key");
        walk.next("openssl pkeyutl").await;
        walk.next("lockgate-sign attach-signature").await;
        walk.desk.succeeds(SHOW).await;

        walk.desk.succeeds("openssl genpkey -algorithm ed25519 -out hsm.key").await;
        walk.desk.succeeds("openssl pkey -in hsm.key -pubout -out hsm.pub").await;
        trust(walk.desk, &all).await;
        assert_eq!(walk.desk.run(SHOW).await.code, 1, "that is another key");
        walk.desk.write(
            "hsm-sign",
            "#!/bin/sh\nset -e\ncat > asked\nopenssl pkeyutl -sign -rawin -inkey hsm.key -in asked\n",
        );
        walk.desk.succeeds("chmod +x hsm-sign").await;
        walk.next("lockgate-sign sign").await;
        walk.desk.succeeds(SHOW).await;
        drop(walk);
        in_ci(&mut desk).await;
    });
}

/// What the page about pipelines builds, and how a key gets another passphrase.
async fn in_ci(desk: &mut Desk) {
    let workflow = block("docs/signing-in-ci.md", "yaml", "jobs:");
    let build = workflow.split_once("- name: Build\n").and_then(|(_, rest)| rest.trim_start().strip_prefix("run: "));
    let build = build.and_then(|rest| rest.lines().next()).expect("a step that builds").to_owned();
    assert!(build.starts_with("lockgate pack build . "), "{build}");
    let built = fs::read(desk.path("dist/inventory-1.2.0.wasm")).expect("the component");
    desk.go("inventory".as_ref());
    desk.succeeds(&build).await;
    assert!(
        fs::read(desk.path("dist/inventory-1.2.0.wasm")).expect("the component") == built,
        "built twice is the same"
    );
    desk.go("..".as_ref());
    desk.typed(
        "lockgate-sign key passphrase release-2026.key",
        &[
            ("Passphrase for release-2026.key: ", PASSPHRASE),
            ("New passphrase: ", "battery"),
            ("Once more: ", "battery"),
        ],
    )
    .await;
    desk.set("LOCKGATE_SIGN_PASSPHRASE", "battery");
    desk.succeeds("lockgate-sign key show release-2026.key").await;
}
