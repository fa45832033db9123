//! From a publisher's files, web server and registry to a host: both are reached over TLS, with a certificate that the operator's
//! machine trusts.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use lockgate_tests::{
    certificates,
    desk::Desk,
    guest::component,
    registry::Registry,
    session::run,
    site::{BuiltPack, Site},
};
use serde_json::Value as Json;
use tokio::process::{Child, Command};

use crate::{
    walk::Walk,
    world::{desk, desk_of},
};

/// Whoever signs: a directory with a key and, in `published`, versions of a pack.
async fn publisher() -> Desk {
    let mut desk = desk();
    fs::create_dir(desk.path("published")).expect("a directory");
    desk.succeeds("lockgate-sign key generate --out release.key --name acme-release").await;
    desk.succeeds("lockgate-sign key show release.key --pem > acme-release.pub").await;
    for version in ["1.0.0", "1.0.1", "1.1.0"] {
        let settings = [("name", "inventory"), ("version", version), ("small", "")];
        let pack = BuiltPack::describe(component(&settings).await).await;
        let file = format!("published/inventory-{version}");
        fs::write(desk.path(&format!("{file}.wasm")), &pack.bytes).expect("a component");
        fs::write(desk.path(&format!("{file}.declaration.json")), pack.declaration.to_json()).expect("a declaration");
        let sign = format!(
            "lockgate-sign sign {file}.wasm --declaration {file}.declaration.json --publisher acme --key release.key"
        );
        desk.succeeds(&sign).await;
    }
    desk
}

/// What the publisher gave the operator: a version with its envelope.
fn given(publisher: &Desk, desk: &Desk, version: &str, to: &str) {
    for end in ["wasm", "wasm.dsse.json"] {
        let name = format!("inventory-{version}.{end}");
        fs::copy(publisher.path(&format!("published/{name}")), desk.path(to).join(&name)).expect("a file");
    }
}

/// A web server with the files of a directory, and its address.
async fn served(directory: &Path, certificates: &Path) -> (Child, String) {
    // Somebody else may take the port in between; another one is tried then.
    for _ in 0..10 {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-WWW", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert"]);
        command.arg(certificates.join("server.pem")).arg("-key").arg(certificates.join("server.key"));
        command.current_dir(directory).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = command.spawn().expect("openssl can be started");
        let patience = Instant::now() + Duration::from_secs(60);
        while Instant::now() < patience && server.try_wait().expect("its state").is_none() {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return (server, format!("localhost:{port}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    panic!("the web server does not start");
}

/// What is in place: version and where it came from.
async fn in_place(desk: &mut Desk) -> Vec<(String, String)> {
    let listed = desk.succeeds("lockgate pack list --json").await;
    let one = |line: &str| {
        let pack: Json = serde_json::from_str(line).expect("JSON");
        assert_eq!(pack["state"], "admitted", "{pack}");
        let part = |name: &str| pack[name].as_str().expect("a text").to_owned();
        (part("version"), part("source"))
    };
    listed.lines().map(one).collect()
}

#[test]
fn a_publisher_is_trusted_and_its_packs_come_and_go() {
    run(async {
        let mut publisher = publisher().await;
        let site = Site::new(&[], "");
        site.write("trust.toml", "version = 1\n");
        let mut desk = desk_of(&site);
        let certificate = tempfile::tempdir().expect("a directory");
        certificates(certificate.path(), "localhost");
        let registry = Registry::with_certificate(certificate.path());
        let (_server, web) = served(&publisher.path("published"), certificate.path()).await;
        for desk in [&mut desk, &mut publisher] {
            desk.set("SSL_CERT_FILE", certificate.path().join("ca.pem"));
            // Nobody's credentials.
            desk.set("DOCKER_CONFIG", certificate.path());
        }
        fs::copy(publisher.path("acme-release.pub"), desk.path("acme-release.pub")).expect("the key");
        given(&publisher, &desk, "1.0.0", "");
        fs::create_dir(desk.path("published")).expect("a directory");
        given(&publisher, &desk, "1.0.1", "published");

        let mut walk = Walk::of("docs/packs/installing.md", &mut desk);
        let asked = walk.typed("lockgate trust add publisher", &[("Type `trust`", "trust")]).await.out;
        assert!(asked.contains("stage-*") && asked.contains("inventory.answer, risk low"), "{asked}");
        let trusted = walk.desk.succeeds("lockgate trust list").await;
        assert!(trusted.contains("acme") && trusted.contains("stage-*"), "{trusted}");
        assert!(walk.desk.succeeds("lockgate trust explain inventory-1.0.0.wasm").await.starts_with("accepted"));

        // From each place, and gone again in between, so that each is really asked.
        walk.next("lockgate pack install inventory").await;
        assert_eq!(in_place(walk.desk).await[0].0, "1.0.0");
        walk.next("lockgate pack install published/").await;
        assert_eq!(in_place(walk.desk).await[0].0, "1.0.1");
        walk.desk.succeeds("lockgate pack remove inventory").await;
        // It has seen a later one by now.
        walk.desk.succeeds("lockgate trust add rollback inventory 1.0.0 --yes").await;
        walk.own("packs.example.com", web.as_str());
        walk.next("lockgate pack install https://").await;
        assert_eq!(in_place(walk.desk).await, [("1.0.0".to_owned(), format!("https://{web}/inventory-1.0.0.wasm"))]);
        walk.desk.succeeds("lockgate pack remove inventory").await;
        let repository = registry.at("acme/inventory");
        let digest = push(&mut publisher, &repository, "1.0.0").await;
        walk.own("registry.example.com", registry.host.as_str());
        walk.own("sha256:9f86…", digest.as_str());
        walk.next("lockgate pack install oci://").await;
        assert_eq!(in_place(walk.desk).await, [("1.0.0".to_owned(), format!("{repository}:1.0.0@{digest}"))]);

        assert!(walk.next("lockgate pack list").await.out.contains("inventory 1.0.0"));
        push(&mut publisher, &repository, "1.0.1").await;
        walk.next("lockgate pack update inventory  ").await;
        assert_eq!(in_place(walk.desk).await[0].0, "1.0.1");
        given(&publisher, walk.desk, "1.1.0", "");
        walk.next("lockgate pack update inventory inventory-1.1.0.wasm").await;
        assert_eq!(in_place(walk.desk).await[0].0, "1.1.0");
        walk.next("lockgate pack remove").await;
        assert!(in_place(walk.desk).await.is_empty());
        drop(walk);
        rules(&mut desk).await;
    });
}

/// Publishes a version, and returns its digest.
async fn push(publisher: &mut Desk, repository: &str, version: &str) -> String {
    publisher.set("TO", format!("{repository}:{version}"));
    publisher.set("COMPONENT", format!("published/inventory-{version}.wasm"));
    let said = publisher.succeeds("lockgate pack push \"$COMPONENT\" \"$TO\" --json").await;
    let said: Json = serde_json::from_str(&said).expect("JSON");
    said["reference"].as_str().and_then(|text| text.split_once('@')).expect("a digest").1.to_owned()
}

/// What the page says in its table: each rule is made, decides, and is taken back.
async fn rules(desk: &mut Desk) {
    const EXPLAIN: &str = "lockgate trust explain inventory-1.1.0.wasm";
    desk.succeeds("lockgate trust remove rollback inventory 1.0.0").await;
    desk.succeeds("lockgate trust add minimum inventory 1.2.0").await;
    assert_eq!(desk.run(EXPLAIN).await.code, 1);
    desk.succeeds("lockgate trust remove minimum inventory --yes").await;
    desk.succeeds("lockgate trust add pin inventory 1.1.0 inventory-1.1.0.wasm").await;
    assert!(desk.succeeds(EXPLAIN).await.contains("pinned"));
    desk.succeeds("lockgate trust remove pin inventory 1.1.0 --yes").await;
    desk.succeeds("lockgate trust revoke pack inventory-1.1.0.wasm").await;
    let refused = desk.run(EXPLAIN).await;
    assert!(refused.code == 1 && refused.out.contains("refused [revoked]"), "{refused:?}");
    desk.succeeds("lockgate trust revoke key acme-release").await;
    let refused = desk.run("lockgate trust explain inventory-1.0.0.wasm").await;
    assert!(refused.code == 1 && refused.out.contains("refused [revoked]"), "{refused:?}");
    desk.succeeds("lockgate trust remove publisher acme").await;
    desk.succeeds("lockgate trust remove key acme-release").await;
    assert!(desk.succeeds("lockgate trust list").await.contains("nobody is trusted"));
}
