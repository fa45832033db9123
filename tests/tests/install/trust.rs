//! `lockgate trust`: what it shows, what it asks, what it writes and what the record says of it.

use std::{fs, os::unix::fs::PermissionsExt as _};

use lockgate_signing::key::PrivateKey;

use crate::world::{World, inventory, text};

#[tokio::test]
async fn a_publisher_is_trusted_by_a_key_that_was_named() {
    let world = World::new();
    let component = text(&world.sign(&inventory("1.0.0", &[]).await));
    let (key, id) = (world.key_file(), world.key_id());
    let add = ["trust", "add", "publisher", "acme", "--key", &key, "--component", &component, "--target", "stage-*"];
    let asked = world.run(&add).await;
    asked.refused("consent_required");
    for shown in [id.as_str(), "inventory 1.0.0 of acme", "action   inventory.answer, risk low", "targets  stage-*"] {
        assert!(asked.out.contains(shown), "{shown}: {asked:?}");
    }
    world.run(&[&add[..], &["--yes"]].concat()).await.refused("consent_required");
    world.succeeds(&[&add[..], &["--yes", "--key-id", &id]].concat()).await;

    let written = fs::read_to_string(world.site.path("trust.toml")).expect("the policy");
    assert!(written.starts_with("# Whom we trust.\nversion = 1\n"), "{written}");
    assert_eq!(fs::metadata(world.site.path("trust.toml")).expect("it is there").permissions().mode() & 0o777, 0o600);
    let line = &world.events("trust.changed")[0];
    assert!(
        line["by"].is_string() && line["changes"][1].as_str().is_some_and(|text| text.contains("`acme` is trusted")),
        "{line}"
    );

    let list: serde_json::Value =
        serde_json::from_str(&world.succeeds(&["trust", "list", "--json"]).await).expect("JSON");
    let publisher = &list["publishers"][0];
    assert_eq!((&publisher["name"], &publisher["classes"][0]), (&"acme".into(), &"read".into()));
    assert_eq!((&list["keys"][0]["name"], &list["keys"][0]["id"]), (&"acme-release".into(), &id.as_str().into()));
    let again = world.succeeds(&[&add[..], &["--yes", "--key-id", &id]].concat()).await;
    assert!(again.contains("says so already"), "{again}");
    assert!(world.succeeds(&["trust", "explain", &component]).await.starts_with("accepted"));
}

#[tokio::test]
async fn every_rule_can_be_made_and_taken_away() {
    let world = World::trusting().await;
    let component = text(&world.sign(&inventory("1.0.0", &[]).await));
    let second = PrivateKey::generate().expect("a key").public_key();
    let (second, second_id) = (second.to_base64(), second.id().to_string());
    let explain = async |code: &str| {
        let said = world.run(&["trust", "explain", &component]).await;
        assert!(said.code == 1 && said.out.contains(&format!("refused [{code}]")), "{code}: {said:?}");
    };
    let rotate =
        ["trust", "add", "publisher", "acme", "--key", &second, "--threshold", "2", "--yes", "--key-id", &second_id];
    world.succeeds(&rotate).await;
    explain("threshold_not_met").await;
    // As many must sign as there are keys: the policy would be wrong, and stays as it is.
    let name = format!("acme-{}", &second_id[..12]);
    world.run(&["trust", "remove", "key", &name, "--yes"]).await.refused("trust_invalid");
    world.run(&["trust", "add", "publisher", "acme", "--threshold", "1"]).await.refused("consent_required");
    world.succeeds(&["trust", "add", "publisher", "acme", "--threshold", "1", "--yes"]).await;
    world.succeeds(&["trust", "remove", "key", &name]).await;

    // What only takes away is not asked about.
    world.succeeds(&["trust", "add", "minimum", "inventory", "1.2.0"]).await;
    explain("rollback").await;
    world.run(&["trust", "remove", "minimum", "inventory"]).await.refused("consent_required");
    world.succeeds(&["trust", "remove", "minimum", "inventory", "--yes"]).await;
    world.succeeds(&["trust", "add", "pin", "inventory", "1.0.0", &component]).await;
    assert!(world.succeeds(&["trust", "explain", &component]).await.contains("pinned"));
    world.sign(&inventory("1.0.0", &[("padding", "x")]).await);
    explain("component_mismatch").await;
    world.succeeds(&["trust", "remove", "pin", "inventory", "1.0.0", "--yes"]).await;
    world.succeeds(&["trust", "remove", "publisher", "acme", "--class", "read"]).await;
    explain("class_not_granted").await;
    world.run(&["trust", "add", "publisher", "acme", "--class", "sudo", "--yes"]).await.refused("trust_invalid");
    world.succeeds(&["trust", "add", "publisher", "acme", "--class", "read", "--yes"]).await;
    world.succeeds(&["trust", "revoke", "key", "acme-release"]).await;
    explain("revoked").await;
    world.succeeds(&["trust", "remove", "publisher", "acme"]).await;
    assert!(world.succeeds(&["trust", "list"]).await.contains("nobody is trusted"));
    world.run(&["trust", "remove", "publisher", "acme"]).await.refused("config_invalid");

    let told = world.events("trust.changed");
    assert!(told.len() >= 10 && told.iter().all(|line| line["by"].is_string()), "{told:?}");
    assert!(world.site.verify_record().first_bad().is_none(), "the record holds");
}

#[tokio::test]
async fn a_person_agrees_by_the_word_that_is_asked_for() {
    let world = World::trusting().await;
    let before = fs::read_to_string(world.site.path("trust.toml")).expect("the policy");
    let widen = ["trust", "add", "publisher", "acme", "--class", "signal"];
    let no = world.typed(&widen, "yes").await;
    assert!(no.code == 1 && no.out.contains("gets class `signal`") && no.out.contains("error[cancelled]"), "{no:?}");
    assert_eq!(fs::read_to_string(world.site.path("trust.toml")).expect("the policy"), before);
    let yes = world.typed(&widen, "trust").await;
    assert!(yes.code == 0 && yes.out.contains("is changed"), "{yes:?}");
    assert!(fs::read_to_string(world.site.path("trust.toml")).expect("the policy").contains("\"signal\""));
}

#[tokio::test]
async fn a_policy_that_others_may_write_is_not_touched() {
    let world = World::new();
    let path = world.site.path("trust.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("its mode");
    world.run(&["trust", "add", "minimum", "inventory", "1.0.0"]).await.refused("trust_invalid");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its mode");
    let before = fs::read_to_string(&path).expect("the policy");
    world.run(&["trust", "remove", "pin", "inventory", "1.0.0"]).await.refused("config_invalid");
    assert_eq!(fs::read_to_string(&path).expect("the policy"), before);
    assert!(world.events("trust.changed").is_empty());
}

/// What somebody changed with an editor is on the record when the host reads it, and what the command line changed is there once.
#[tokio::test]
async fn a_change_by_hand_is_on_the_record_too() {
    let world = World::trusting().await;
    world.sign(&inventory("1.0.0", &[]).await);
    let by_hand = |more: &str| {
        let text = fs::read_to_string(world.site.path("trust.toml")).expect("the policy");
        world.site.write("trust.toml", &format!("{text}{more}"));
    };
    let start = async || {
        let config = world.site.config();
        let state = lockgate::startup::State::open(&config).expect("the state opens");
        let trust = lockgate::startup::trust(&config.trust).expect("the policy");
        lockgate::trust::note(&config.trust, &state.record, &*state.store, &trust).await.expect("it is noted");
        state.record.close().await.expect("the record closes");
    };
    start().await;
    assert_eq!(world.events("trust.changed").len(), 1, "what the command line changed is told once");
    by_hand("# a remark\n");
    start().await;
    assert_eq!(world.events("trust.changed").len(), 1, "a remark is no change");
    by_hand("[[minimum]]\npack = \"inventory\"\nversion = \"1.0.0\"\n");
    start().await;
    let line = world.events("trust.changed").pop().expect("a line");
    assert_eq!((&line["by"], &line["widens"]), (&serde_json::Value::Null, &false.into()));
    assert_eq!(line["changes"][0], "the lowest version of inventory is 1.0.0");
}
