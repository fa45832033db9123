//! Registries that want to know who asks, or keep layers elsewhere, as real ones do: Debian's `docker-registry`, with a login of its
//! own over TLS, with tokens of a service, and with its layers on another server.

use std::{
    fs,
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    extract::{RawQuery, Request},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use lockgate_tests::{
    certificates,
    registry::{PASSWORD, Registry, USER},
};
use serde_json::json;

use crate::{
    asked::Asked,
    world::{Said, World, inventory, sha256, text},
};

/// What lockgate says never holds a password, nor the form in which it is sent.
#[track_caller]
fn keeps_the_password(said: &Said) {
    let sent = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    for secret in [PASSWORD, "Hunter3y", &sent] {
        assert!(!said.out.contains(secret) && !said.err.contains(secret), "{said:?}");
    }
}

#[tokio::test]
async fn a_registry_with_a_login_is_used_over_tls_by_who_is_known_to_it() {
    let (mut world, registry) = (World::trusting().await, Registry::with_login_over_tls());
    let pack = inventory("1.0.0", &[]).await;
    let component = text(&world.sign(&pack));
    let place = registry.at("acme/inventory:1.0.0");
    let (push, install) = (["pack", "push", &component, &place], ["pack", "install", &place]);

    // Nobody vouches for its certificate yet, and credentials are no reason to go there without.
    world.log_in(&registry.host, USER, PASSWORD);
    for command in [&push[..], &install] {
        let said = world.run(command).await;
        said.refused("fetch_failed");
        assert!(said.err.contains("certificate"), "{said:?}");
    }
    world.environment.push(("SSL_CERT_FILE", registry.authority()));

    for (user, password) in [(USER, "Hunter3y"), ("somebody", PASSWORD)] {
        world.log_in(&registry.host, user, password);
        let said = world.run(&push).await;
        said.refused("fetch_failed");
        keeps_the_password(&said);
        let said = world.run(&install).await;
        said.refused("fetch_failed");
        assert!(said.err.contains("are not accepted (401"), "{said:?}");
        keeps_the_password(&said);
    }
    // What is stored for another registry is not used for this one.
    world.log_in("registry.example", USER, PASSWORD);
    for command in [&push[..], &install] {
        let said = world.run(command).await;
        said.refused("fetch_failed");
        assert!(said.err.contains("no credentials are stored for this registry"), "{said:?}");
    }

    world.log_in(&registry.host, USER, PASSWORD);
    for command in [&push[..], &install] {
        let said = world.run(command).await;
        assert_eq!(said.code, 0, "{said:?}");
        keeps_the_password(&said);
    }
    assert_eq!(world.list().await[0]["sha256"], sha256(&pack).as_str());
    assert!(!format!("{:?}", world.site.record()).contains(PASSWORD));
    assert!(world.succeeds(&["pack", "update", "inventory"]).await.contains("is the latest version"));
}

/// Serves on this machine, and says where.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    at
}

fn der(pem: &std::path::Path) -> Vec<u8> {
    let text = fs::read_to_string(pem).expect("a PEM file");
    let lines: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(lines).expect("base64")
}

/// A token for what a query asks for (distribution's token authentication specification).
fn token_for(scope: &str, key: &EncodingKey, certificate: &[u8]) -> String {
    let parts: Vec<_> = scope.split(':').collect();
    let [kind, name, actions] = parts[..] else { panic!("a scope: {scope}") };
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": "tests", "sub": USER, "aud": "registry", "iat": now, "nbf": now - 60, "exp": now + 300, "jti": "1",
        "access": [{"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}],
    });
    let mut header = Header::new(Algorithm::ES256);
    header.x5c = Some(vec![STANDARD.encode(certificate)]);
    jsonwebtoken::encode(&header, &claims, key).expect("a token")
}

#[tokio::test]
async fn a_token_is_had_from_the_registrys_own_service_for_no_more_than_is_done() {
    let files = tempfile::tempdir().expect("a directory");
    certificates(files.path(), "tokens.example.test");
    let key = EncodingKey::from_ec_der(&der(&files.path().join("server.key")));
    let certificate = der(&files.path().join("server.pem"));
    let asked = Asked::default();
    let service = {
        let asked = asked.clone();
        async move |RawQuery(query): RawQuery, headers: HeaderMap| {
            let query = query.unwrap_or_default().replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
            asked.note(query.clone(), &headers);
            let known = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
            if headers.get(AUTHORIZATION).is_none_or(|value| value != known.as_str()) {
                // A service that repeats what it was told.
                let told = format!("{:?}", headers.get(AUTHORIZATION));
                let errors = json!({"errors": [{"code": "DENIED", "message": told}]});
                return (StatusCode::UNAUTHORIZED, errors.to_string());
            }
            let scope = query.split("scope=").nth(1).expect("a scope");
            (StatusCode::OK, json!({"token": token_for(scope, &key, &certificate)}).to_string())
        }
    };
    let at = serve(Router::new().route("/token", get(service))).await;
    let authority = files.path().join("ca.pem");
    let registry = Registry::with(&format!(
        "auth: {{token: {{realm: \"{at}/token\", service: registry, issuer: tests, rootcertbundle: {authority:?}}}}}\n"
    ));
    let world = World::trusting().await;
    let pack = inventory("1.0.0", &[]).await;
    let component = text(&world.sign(&pack));
    let place = registry.at("acme/inventory:1.0.0");
    let push = ["pack", "push", &component, &place, "--plain-http"];
    let install = ["pack", "install", &place, "--plain-http"];

    let said = world.run(&install).await;
    said.refused("fetch_failed");
    assert!(said.err.contains("no credentials are stored") && said.err.contains("DENIED"), "{said:?}");
    world.log_in(&registry.host, USER, "Hunter3y");
    for command in [&push[..], &install] {
        let said = world.run(command).await;
        said.refused("fetch_failed");
        assert!(said.err.contains("are not accepted (401"), "{said:?}");
        keeps_the_password(&said);
        assert!(!said.err.contains("Basic"), "{said:?}");
    }
    assert!(asked.take()[0].1.is_none(), "nobody in particular was asked for first");

    world.log_in(&registry.host, USER, PASSWORD);
    for (command, actions) in [(&push[..], "pull,push"), (&install, "pull")] {
        let said = world.run(command).await;
        assert_eq!(said.code, 0, "{said:?}");
        keeps_the_password(&said);
        let [(query, _)] = &asked.take()[..] else { panic!("one token for each command") };
        assert_eq!(*query, format!("service=registry&scope=repository:acme/inventory:{actions}"));
    }
    assert_eq!(world.list().await[0]["sha256"], sha256(&pack).as_str());
}

#[tokio::test]
async fn a_layer_that_is_kept_elsewhere_is_fetched_by_nobody_in_particular() {
    let (asked, data) = (Asked::default(), Arc::new(OnceLock::<std::path::PathBuf>::new()));
    let files = {
        let (asked, data) = (asked.clone(), Arc::clone(&data));
        async move |request: Request| {
            let path = request.uri().path().trim_start_matches('/').to_owned();
            asked.note(path.clone(), request.headers());
            fs::read(data.get().expect("the registry's files").join(path)).map_err(|_| StatusCode::NOT_FOUND)
        }
    };
    let at = serve(Router::new().fallback(files)).await;
    let registry = Registry::with_login(&format!(
        "middleware: {{storage: [{{name: redirect, options: {{baseurl: \"{at}/\"}}}}]}}\n"
    ));
    data.set(registry.data()).expect("once");
    let world = World::trusting().await;
    world.log_in(&registry.host, USER, PASSWORD);
    let pack = inventory("1.0.0", &[]).await;
    let component = text(&world.sign(&pack));
    let place = registry.at("acme/inventory:1.0.0");
    world.succeeds(&["pack", "push", &component, &place, "--plain-http"]).await;
    asked.take();

    let install = ["pack", "install", &place, "--plain-http"];
    let layer = registry.blob(&sha256(&pack));
    let good = fs::read(&layer).expect("the layer");
    fs::write(&layer, vec![0; good.len()]).expect("the layer is changed");
    world.run(&install).await.refused("component_mismatch");
    fs::write(&layer, [&good[..], b"more"].concat()).expect("the layer is changed");
    world.run(&install).await.refused("file_too_large");
    fs::write(&layer, good).expect("the layer is put right");
    world.succeeds(&install).await;
    let fetched = asked.take();
    assert!(fetched.len() >= 4, "the layer three times and the envelope came from there: {fetched:?}");
    assert!(fetched.iter().all(|(_, who)| who.is_none()), "{fetched:?}");
}

#[tokio::test]
async fn the_highest_of_thousands_of_tags_is_found() {
    let (world, registry) = (World::trusting().await, Registry::start());
    let publish = async |version: &str| {
        let component = text(&world.sign(&inventory(version, &[]).await));
        let place = registry.at(&format!("acme/inventory:{version}"));
        world.succeeds(&["pack", "push", &component, &place, "--plain-http"]).await;
        place
    };
    let first = publish("1.0.0").await;
    world.succeeds(&["pack", "install", &first, "--plain-http"]).await;
    for number in 0..5000 {
        for tag in [format!("0.0.{number}"), format!("build-{number}")] {
            fs::create_dir(registry.tag("acme/inventory", &tag)).expect("a tag");
        }
    }
    publish("1.0.10").await;
    publish("1.0.9").await;
    let said = world.succeeds(&["pack", "update", "inventory", "--plain-http"]).await;
    assert!(said.contains("1.0.10 is installed"), "{said}");
    assert_eq!(world.in_place(), ["inventory-1.0.10.wasm"]);
}
