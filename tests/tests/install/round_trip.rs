//! From a publisher through a registry to an operator, and everything that can go wrong in between.

use std::{fs, os::unix::fs::MetadataExt as _};

use lockgate_signing::{encoding, key::PrivateKey};
use lockgate_tests::{registry::Registry, site::BuiltPack};
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    manifest::{ImageIndexEntry, OciDescriptor, OciImageIndex, OciImageManifest, OciManifest},
};

use crate::world::{World, envelope, inventory, sha256, text};

/// Publishes a pack, and returns its digest in the registry.
async fn push(world: &World, registry: &Registry, pack: &BuiltPack, tag: &str) -> String {
    let component = text(&world.sign(pack));
    let to = registry.at(&format!("acme/inventory:{tag}"));
    let out = world.succeeds(&["pack", "push", &component, &to, "--plain-http", "--json"]).await;
    let said: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    said["reference"].as_str().and_then(|text| text.split_once('@')).expect("a digest").1.to_owned()
}

async fn install(world: &World, from: &str) -> crate::world::Said {
    world.run(&["pack", "install", from, "--plain-http"]).await
}

#[tokio::test]
async fn a_pack_comes_from_a_registry_by_its_digest() {
    let (world, registry) = (World::new(), Registry::start());
    let pack = inventory("1.0.0", &[]).await;
    let digest = push(&world, &registry, &pack, "1.0.0").await;
    assert_eq!(digest, push(&world, &registry, &pack, "1.0.0").await, "publishing twice is publishing once");

    // First use: not without agreement, and not to a key that was not named.
    let from = registry.at(&format!("acme/inventory@{digest}"));
    install(&world, &from).await.refused("signature_invalid");
    let key = world.key_file();
    let first = ["pack", "install", &from, "--plain-http", "--key", &key];
    let asked = world.run(&first).await;
    asked.refused("consent_required");
    for shown in [world.key_id().as_str(), "inventory.answer, risk low", "classes  read", "publisher `acme` is trusted"]
    {
        assert!(asked.out.contains(shown), "{shown}: {asked:?}");
    }
    world.run(&[&first[..], &["--yes"]].concat()).await.refused("consent_required");
    let other = "ab".repeat(32);
    world.run(&[&first[..], &["--yes", "--key-id", &other]].concat()).await.refused("consent_required");
    assert!(world.in_place().is_empty() && world.events("trust.changed").is_empty());

    let id = world.key_id();
    world.succeeds(&[&first[..], &["--yes", "--key-id", &id]].concat()).await;
    assert_eq!(world.in_place(), ["inventory-1.0.0.wasm"]);
    let list = world.list().await;
    assert_eq!((&list[0]["state"], &list[0]["sha256"]), (&"admitted".into(), &sha256(&pack).into()));
    assert_eq!((&list[0]["source"], &list[0]["manifest"]), (&from.as_str().into(), &digest.as_str().into()));
    let trusted = world.events("trust.changed");
    assert_eq!((trusted.len(), &trusted[0]["widens"]), (1, &true.into()));
    let installed = world.events("pack.installed");
    assert_eq!((&installed[0]["digest"], &installed[0]["manifest"]), (&sha256(&pack).into(), &digest.as_str().into()));

    // By its tag it is the same, and twice is once.
    let again = install(&world, &registry.at("acme/inventory:1.0.0")).await;
    assert!(again.code == 0 && again.out.contains("installed already"), "{again:?}");
    assert_eq!(world.events("pack.installed").len(), 1);
}

#[tokio::test]
async fn a_tampered_layer_is_refused() {
    let (world, registry) = (World::trusting().await, Registry::start());
    let pack = inventory("1.0.0", &[]).await;
    let digest = push(&world, &registry, &pack, "1.0.0").await;
    let blob = registry.blob(&sha256(&pack));
    let mut bytes = fs::read(&blob).expect("the layer");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&blob, bytes).expect("the layer is changed");
    for from in ["acme/inventory:1.0.0".to_owned(), format!("acme/inventory@{digest}")] {
        install(&world, &registry.at(&from)).await.refused("component_mismatch");
    }
    assert!(world.in_place().is_empty() && world.events("pack.installed").is_empty());
}

#[tokio::test]
async fn a_tampered_manifest_is_refused() {
    let (world, registry) = (World::trusting().await, Registry::start());
    let digest = push(&world, &registry, &inventory("1.0.0", &[]).await, "1.0.0").await;
    let blob = registry.blob(&digest);
    let changed = fs::read_to_string(&blob).expect("the manifest").replace("inventory-1.0.0", "inventory-9.0.0");
    fs::write(&blob, changed).expect("the manifest is changed");
    let said = install(&world, &registry.at(&format!("acme/inventory@{digest}"))).await;
    said.refused("component_mismatch");
    assert!(world.in_place().is_empty());
}

/// Puts an envelope where the component's one is looked for, as anybody who may write the repository can.
async fn swap(registry: &Registry, subject: &str, envelope: &[u8]) {
    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
    const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
    let descriptor = |media_type: &str, bytes: &[u8]| OciDescriptor {
        media_type: media_type.into(),
        digest: format!("sha256:{}", encoding::hex(&encoding::sha256(bytes))),
        size: i64::try_from(bytes.len()).expect("a size"),
        ..OciDescriptor::default()
    };
    let protocol = ClientProtocol::HttpsExcept(vec![registry.host.clone()]);
    // The client wants one though it never speaks TLS here. Whoever was first has installed the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_from(ClientConfig { protocol, ..ClientConfig::default() }).expect("a client");
    let place = |tag: &str| Reference::with_tag(registry.host.clone(), "acme/inventory".into(), tag.into());
    let manifest = OciImageManifest {
        media_type: Some(IMAGE.into()),
        artifact_type: Some(ENVELOPE.into()),
        config: descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        layers: vec![descriptor(ENVELOPE, envelope)],
        subject: Some(OciDescriptor { media_type: IMAGE.into(), digest: subject.into(), ..OciDescriptor::default() }),
        ..OciImageManifest::default()
    };
    let bytes = serde_json::to_vec(&manifest).expect("a manifest");
    let said = descriptor(IMAGE, &bytes);
    for (bytes, digest) in [(envelope, &manifest.layers[0].digest), (b"{}", &manifest.config.digest)] {
        client.push_blob(&place("swap"), bytes.to_vec(), digest).await.expect("the blob is taken");
    }
    let media_type = IMAGE.parse().expect("a header");
    client.push_manifest_raw(&place(&said.digest), bytes, media_type).await.expect("the manifest is taken");
    let entry = ImageIndexEntry {
        media_type: IMAGE.into(),
        digest: said.digest,
        size: said.size,
        platform: None,
        annotations: None,
        artifact_type: Some(ENVELOPE.into()),
    };
    let index = OciImageIndex {
        schema_version: 2,
        media_type: Some("application/vnd.oci.image.index.v1+json".into()),
        manifests: vec![entry],
        artifact_type: None,
        annotations: None,
    };
    let tag = place(&subject.replace(':', "-"));
    client.push_manifest(&tag, &OciManifest::ImageIndex(index)).await.expect("the index is taken");
}

#[tokio::test]
async fn a_swapped_envelope_is_refused() {
    let (world, registry) = (World::trusting().await, Registry::start());
    let pack = inventory("1.0.0", &[]).await;
    let digest = push(&world, &registry, &pack, "1.0.0").await;
    let from = registry.at(&format!("acme/inventory@{digest}"));

    // The publisher's own envelope of another component, and a good one of a stranger's.
    let other = inventory("1.0.0", &[("padding", "x")]).await;
    swap(&registry, &digest, &envelope(&other, &world.key)).await;
    install(&world, &from).await.refused("component_mismatch");
    swap(&registry, &digest, &envelope(&pack, &PrivateKey::generate().expect("a key"))).await;
    install(&world, &from).await.refused("signature_invalid");
    swap(&registry, &digest, b"{}").await;
    install(&world, &from).await.refused("envelope_invalid");
    assert!(world.in_place().is_empty() && world.events("pack.installed").is_empty());
    swap(&registry, &digest, &envelope(&pack, &world.key)).await;
    assert_eq!(install(&world, &from).await.code, 0);
}

#[tokio::test]
async fn a_tag_that_was_moved_is_refused() {
    let (world, registry) = (World::trusting().await, Registry::start());
    let pack = inventory("1.0.0", &[]).await;
    let digest = push(&world, &registry, &pack, "1.0.0").await;
    let (by_tag, by_digest) =
        (registry.at("acme/inventory:1.0.0"), registry.at(&format!("acme/inventory:1.0.0@{digest}")));
    assert_eq!(install(&world, &by_tag).await.code, 0);

    let moved = push(&world, &registry, &inventory("1.0.0", &[("padding", "x")]).await, "1.0.0").await;
    assert_ne!(moved, digest);
    install(&world, &by_tag).await.refused("tag_moved");
    world.run(&["pack", "update", "inventory", &by_tag, "--plain-http"]).await.refused("tag_moved");
    assert_eq!(world.list().await[0]["sha256"], sha256(&pack).as_str());
    // Gone and back again: what was used is remembered.
    world.succeeds(&["pack", "remove", "inventory"]).await;
    install(&world, &by_tag).await.refused("tag_moved");
    // Whoever names the digest gets what it names, wherever the tag is.
    assert_eq!(install(&world, &by_digest).await.code, 0);
    assert_eq!(world.list().await[0]["sha256"], sha256(&pack).as_str());
}

#[tokio::test]
async fn a_missing_envelope_is_refused() {
    let (world, registry) = (World::trusting().await, Registry::start());
    let digest = push(&world, &registry, &inventory("1.0.0", &[]).await, "1.0.0").await;
    fs::remove_dir_all(registry.tag("acme/inventory", &digest.replace(':', "-"))).expect("the index goes");
    install(&world, &registry.at("acme/inventory:1.0.0")).await.refused("envelope_missing");
    assert!(world.in_place().is_empty());
    install(&world, &registry.at("acme/nothing:1.0.0")).await.refused("fetch_failed");
}

#[tokio::test]
async fn a_cache_hit_does_not_outlive_a_revocation() {
    let (world, registry) = (World::trusting().await, Registry::start());
    let pack = inventory("1.0.0", &[]).await;
    push(&world, &registry, &pack, "1.0.0").await;
    let from = registry.at("acme/inventory:1.0.0");
    assert_eq!(install(&world, &from).await.code, 0);

    // Compiled once, by the installation, and never again.
    let [entry] = world.cached().try_into().expect("one entry");
    // What is written anew is another file, put in the place of the first.
    let file = || fs::metadata(&entry).expect("the entry").ino();
    let written = file();
    assert_eq!(world.list().await[0]["state"], "admitted");
    assert_eq!(file(), written);
    // A changed entry is not run: it is written anew.
    let good = fs::read(&entry).expect("the entry");
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(&entry, &bad).expect("the entry is changed");
    assert_eq!(world.list().await[0]["state"], "admitted");
    assert_ne!(fs::read(&entry).expect("the entry"), bad);

    world.succeeds(&["trust", "revoke", "pack", &sha256(&pack)]).await;
    assert!(entry.exists());
    let list = world.list().await;
    assert_eq!((&list[0]["state"], &list[0]["code"]), (&"refused".into(), &"revoked".into()));
    install(&world, &from).await.refused("revoked");
}

#[tokio::test]
async fn an_update_asks_where_authority_grew() {
    let (world, registry) = (World::trusting().await, Registry::start());
    push(&world, &registry, &inventory("1.0.0", &[]).await, "1.0.0").await;
    assert_eq!(install(&world, &registry.at("acme/inventory:1.0.0")).await.code, 0);
    let update = ["pack", "update", "inventory", "--plain-http"];
    assert!(world.succeeds(&update).await.contains("is the latest version"));

    push(&world, &registry, &inventory("1.1.0", &[]).await, "1.1.0").await;
    assert!(world.succeeds(&update).await.contains("1.1.0 is installed"));
    assert_eq!(world.in_place(), ["inventory-1.1.0.wasm"]);
    assert_eq!(world.events("pack.installed")[1]["replaces"][0], "1.0.0");
    assert_eq!(world.cached().len(), 1, "what was compiled of the old version went with it");

    let grown = inventory("2.0.0", &[("extra", "")]).await;
    push(&world, &registry, &grown, "2.0.0").await;
    let asked = world.run(&update).await;
    asked.refused("consent_required");
    assert!(asked.out.contains("authority grew"), "{asked:?}");
    world.run(&[&update[..], &["--yes"]].concat()).await.refused("consent_required");
    let wrong = "ab".repeat(32);
    world.run(&[&update[..], &["--yes", "--sha256", &wrong]].concat()).await.refused("consent_required");
    assert_eq!(world.in_place(), ["inventory-1.1.0.wasm"]);
    world.succeeds(&[&update[..], &["--yes", "--sha256", &sha256(&grown)]].concat()).await;
    assert_eq!(world.in_place(), ["inventory-2.0.0.wasm"]);
    assert_eq!(world.events("pack.installed")[2]["authority_grew"], true);

    // Back only if the operator says so.
    install(&world, &registry.at("acme/inventory:1.1.0")).await.refused("rollback");
    world.run(&["trust", "add", "rollback", "inventory", "1.1.0"]).await.refused("consent_required");
    world.succeeds(&["trust", "add", "rollback", "inventory", "1.1.0", "--yes"]).await;
    assert_eq!(install(&world, &registry.at("acme/inventory:1.1.0")).await.code, 0);
    assert_eq!(world.in_place(), ["inventory-1.1.0.wasm"]);
}
