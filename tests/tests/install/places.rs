//! Packs from this machine's files, and what is left where something was interrupted, changed or taken away.

use std::{fs, os::unix::fs::PermissionsExt as _};

use lockgate_signing::key::PrivateKey;

use crate::world::{World, inventory, sha256, text};

#[tokio::test]
async fn a_pack_comes_from_a_file_and_goes_again() {
    let world = World::trusting().await;
    let component = text(&world.sign(&inventory("1.0.0", &[]).await));
    world.succeeds(&["pack", "install", &component]).await;
    assert!(world.succeeds(&["pack", "install", &component]).await.contains("installed already"));
    let placed = world.site.path("packs/inventory-1.0.0.wasm");
    assert_eq!(fs::metadata(&placed).expect("it is there").permissions().mode() & 0o777, 0o644);

    world.run(&["pack", "remove", "other"]).await.refused("not_found");
    world.run(&["pack", "remove", "inventory", "--version", "2.0.0"]).await.refused("not_found");
    world.succeeds(&["pack", "remove", "inventory"]).await;
    assert_eq!(fs::read_dir(world.site.path("packs")).expect("the packs").count(), 0);
    assert!(world.cached().is_empty());
    assert_eq!(world.events("pack.removed")[0]["version"], "1.0.0");
    assert!(world.list().await.is_empty());
}

#[tokio::test]
async fn a_directory_is_installed_whole_and_a_bad_pack_stops_it() {
    let world = World::trusting().await;
    world.sign(&inventory("1.0.0", &[]).await);
    let directory = text(&world.site.path("published"));
    fs::write(world.site.path("published/zzz-1.0.0.wasm"), b"no component").expect("a file");
    world.run(&["pack", "install", &directory]).await.refused("envelope_missing");
    assert_eq!(world.in_place(), ["inventory-1.0.0.wasm"], "what came before it is installed");
    fs::remove_file(world.site.path("published/zzz-1.0.0.wasm")).expect("it goes");
    world.succeeds(&["pack", "install", &directory]).await;
}

#[tokio::test]
async fn what_an_interruption_left_is_replaced() {
    let world = World::trusting().await;
    let pack = inventory("1.0.0", &[]).await;
    let component = text(&world.sign(&pack));
    // As a process leaves them that is killed: an envelope without its component, and half a file under a name of its own.
    fs::write(world.site.path("packs/inventory-1.0.0.wasm.dsse.json"), b"{").expect("a file");
    fs::write(world.site.path("packs/.inventory-1.0.0.wasm.0011223344556677.new"), b"half").expect("a file");
    assert!(world.list().await.is_empty(), "a host sees neither");
    world.succeeds(&["pack", "install", &component]).await;
    assert_eq!(world.list().await[0]["sha256"], sha256(&pack).as_str());

    // A component that was changed in its place is refused by a host and put right by installing it again.
    fs::write(world.site.path("packs/inventory-1.0.0.wasm"), b"changed").expect("a file");
    assert_eq!(world.list().await[0]["code"], "component_mismatch");
    world.run(&["pack", "install", &component]).await.refused("consent_required");
    world.succeeds(&["pack", "install", &component, "--yes", "--sha256", &sha256(&pack)]).await;
    assert_eq!(world.list().await[0]["state"], "admitted");
}

#[tokio::test]
async fn what_is_refused_leaves_all_as_it_was() {
    let world = World::trusting().await;
    let stranger = PrivateKey::generate().expect("a key");
    let component = text(&world.sign_with(&inventory("1.0.0", &[]).await, &stranger));
    world.run(&["pack", "install", &component]).await.refused("signature_invalid");
    let grown = text(&world.sign(&inventory("1.1.0", &[("extra", "")]).await));
    assert_eq!(
        world.run(&["pack", "install", &grown]).await.code,
        0,
        "an action more of a class that is granted is no growth yet"
    );
    world.run(&["pack", "install", "/nowhere/a-1.0.0.wasm"]).await.refused("file_refused");
    world.run(&["pack", "install", "ftp://a.example/a-1.0.0.wasm"]).await.refused("config_invalid");
    assert_eq!(world.in_place(), ["inventory-1.1.0.wasm"]);
}
