//! Registries that want something else than to serve packs: the time and memory of who asks, the credentials they were given, or a
//! look at what can be reached from there. No real one does any of it, so these are written here.

mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{
        StatusCode,
        header::{AUTHORIZATION, LINK},
    },
    response::IntoResponse as _,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::stream;

use self::server::{Bystander, Hostile, PASSWORD, ROOM, endless, leads_to, manifest, open, wants};
use crate::world::{inventory, text};

#[tokio::test]
async fn an_answer_without_end_is_refused() {
    let given = Arc::<AtomicUsize>::default();
    let cases: [(&str, StatusCode, &str); 5] = [
        ("/v2/", StatusCode::OK, "file_too_large"),
        ("/token", StatusCode::OK, "file_too_large"),
        ("/v2/acme/inventory/manifests/", StatusCode::OK, "file_too_large"),
        ("/v2/acme/inventory/manifests/", StatusCode::NOT_FOUND, "fetch_failed"),
        ("/v2/acme/inventory/blobs/", StatusCode::OK, "file_too_large"),
    ];
    for (endless_at, status, code) in cases {
        given.store(0, Ordering::Relaxed);
        let counted = Arc::clone(&given);
        let hostile = Hostile::start(move |path, headers| {
            let host = headers["host"].to_str().expect("text");
            if path.starts_with(endless_at) && (endless_at != "/v2/" || path == "/v2/") {
                return (status, endless(&counted)).into_response();
            }
            match path {
                "/v2/" if endless_at == "/token" => wants(&format!("Bearer realm=\"http://{host}/token\"")),
                "/v2/" => StatusCode::OK.into_response(),
                _ => manifest(b"layer").into_response(),
            }
        })
        .await;
        let started = Instant::now();
        hostile.install(&hostile.world().await).await.refused(code);
        let (given, took) = (given.load(Ordering::Relaxed), started.elapsed());
        assert!((1..ROOM).contains(&given), "{endless_at}: {given} bytes");
        assert!(took < Duration::from_secs(60), "{endless_at}: {took:?}");
    }
}

#[tokio::test]
async fn a_list_of_tags_without_end_is_refused() {
    let given = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&given);
    let than = "1.0.0".parse().expect("a version");
    let hostile = open(move |_| endless(&counted).into_response()).await;
    assert_eq!(hostile.registry().newest(&than).await.expect_err("no end").code.as_str(), "file_too_large");
    assert!(given.load(Ordering::Relaxed) < ROOM);

    // Pages that always name another one, on a server of somebody else's.
    let bystander = Bystander::start().await;
    let next = format!("<{}>; rel=\"next\"", bystander.at("v2/acme/inventory/tags/list?last=x"));
    let hostile = open(move |_| ([(LINK, next.as_str())], r#"{"tags": ["9.0.0"]}"#).into_response()).await;
    let refused = hostile.registry().newest(&than).await.expect_err("no end");
    assert!(refused.code.as_str() == "fetch_failed" && refused.message.contains("more tags"), "{refused:?}");
    let asked = hostile.asked();
    assert_eq!((asked.len(), asked[2].0.as_str()), (21, "/v2/acme/inventory/tags/list?last=x"));
    assert_eq!(bystander.heard().await, Vec::<String>::new());

    // Pages with an end are read to it.
    let hostile = open(|path| match path.split_once('?').map(|(_, query)| query) {
        Some("n=1000") => ([(LINK, "<?last=a>; rel=\"next\"")], r#"{"tags": ["1.2.0", "x"]}"#).into_response(),
        Some("last=a") => ([(LINK, "<?last=b>; rel=\"next\"")], r#"{"tags": null}"#).into_response(),
        _ => r#"{"tags": ["1.10.0", "1.9.0"]}"#.into_response(),
    })
    .await;
    let newest = hostile.registry().newest(&than).await.expect("tags").expect("one");
    assert!(newest.name().ends_with("/acme/inventory:1.10.0"), "{newest:?}");
}

#[tokio::test]
async fn an_answer_that_trickles_is_refused_in_time() {
    let hostile = open(|_| {
        let parts = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b" ")), ()))
        });
        Body::from_stream(parts).into_response()
    })
    .await;
    let started = Instant::now();
    let said = hostile.install(&hostile.world().await).await;
    said.refused("fetch_failed");
    assert!(said.err.contains("no whole answer in 30 s"), "{said:?}");
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}

#[tokio::test]
async fn nothing_but_a_layer_is_followed() {
    let bystander = Bystander::start().await;
    let layer = b"not a component";
    for leads_on in
        ["/v2/", "/token", "/v2/acme/inventory/manifests/", "/v2/acme/inventory/tags/", "/v2/acme/inventory/referrers/"]
    {
        for status in [StatusCode::MOVED_PERMANENTLY, StatusCode::SEE_OTHER, StatusCode::TEMPORARY_REDIRECT] {
            let to = bystander.at("secret");
            let hostile = Hostile::start(move |path, headers| {
                let host = headers["host"].to_str().expect("text");
                if path.starts_with(leads_on) && (leads_on != "/v2/" || path == "/v2/") && !path.contains("/sha256-") {
                    return leads_to(status, &to);
                }
                match path {
                    "/v2/" if leads_on == "/token" => wants(&format!("Bearer realm=\"http://{host}/token\"")),
                    "/v2/" if !headers.contains_key(AUTHORIZATION) => wants("Basic realm=\"r\""),
                    _ if path.contains("/sha256-") => StatusCode::NOT_FOUND.into_response(),
                    _ if path.contains("/blobs/") => layer.into_response(),
                    _ => manifest(layer).into_response(),
                }
            })
            .await;
            if leads_on.contains("tags") {
                let refused =
                    hostile.registry().newest(&"1.0.0".parse().expect("a version")).await.expect_err("it leads away");
                assert!(refused.message.contains("leads elsewhere"), "{refused:?}");
                continue;
            }
            let said = hostile.install(&hostile.world().await).await;
            // One that has no list of what refers to a manifest may say so like this; there are no envelopes then.
            if leads_on.contains("referrers") {
                said.refused("envelope_missing");
                continue;
            }
            said.refused("fetch_failed");
            assert!(said.err.contains("leads elsewhere"), "{said:?}");
        }
    }
    assert_eq!(bystander.heard().await, Vec::<String>::new());
}

#[tokio::test]
async fn credentials_go_to_no_service_that_nobody_named() {
    let bystander = Bystander::start().await;
    let here = bystander.at("token");
    for realm in
        [here.as_str(), "http://169.254.169.254/latest", "https://127.0.0.2/token", "file:///etc/passwd", "", "/token"]
    {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"registry\"");
        let hostile = Hostile::start(move |_, _| wants(&challenge)).await;
        let mut world = hostile.world().await;
        let said = hostile.install(&world).await;
        said.refused("fetch_failed");
        assert!(said.err.contains("tokens come from"), "{said:?}");
        // To nobody, and in nobody's name, and to publish no more than to install.
        let component = text(&world.sign(&inventory("1.0.0", &[]).await));
        let place = format!("oci://{}/acme/inventory:1.0.0", hostile.host);
        world.run(&["pack", "push", &component, &place, "--plain-http"]).await.refused("fetch_failed");
        world.site.write("docker/config.json", "{}");
        hostile.install(&world).await.refused("fetch_failed");
        assert_eq!(bystander.heard().await, Vec::<String>::new());
        assert!(hostile.asked().iter().all(|(path, who)| path == "/v2/" && who.is_none()));

        // Where its host is named, it is asked: had anything come before, it would have been heard.
        if realm == here {
            world.log_in(&hostile.host, "publisher", PASSWORD);
            world.environment.push(("LOCKGATE_REGISTRY_TOKEN_HOST", "localhost".into()));
            hostile.install(&world).await.refused("fetch_failed");
            let heard = bystander.heard().await;
            let sent = STANDARD.encode(format!("publisher:{PASSWORD}"));
            assert!(heard[0].starts_with("GET /token?service=registry&scope=repository"), "{heard:?}");
            assert!(heard[0].contains(&sent), "{heard:?}");
        }
    }
}

#[tokio::test]
async fn a_registry_that_changes_its_mind_gets_no_password_sent_elsewhere() {
    // It asks for a password first, and says later, to who writes, that there are tokens elsewhere.
    let bystander = Bystander::start().await;
    let elsewhere = format!("Bearer realm=\"{}\",service=\"registry\"", bystander.at("token"));
    let times = AtomicUsize::new(0);
    let times = Arc::new(times);
    let hostile = Hostile::start(move |_, _| match times.fetch_add(1, Ordering::Relaxed) {
        0 => wants("Basic realm=\"r\""),
        _ => wants(&elsewhere),
    })
    .await;
    let world = hostile.world().await;
    let component = text(&world.sign(&inventory("1.0.0", &[]).await));
    let place = format!("oci://{}/acme/inventory:1.0.0", hostile.host);
    world.run(&["pack", "push", &component, &place, "--plain-http"]).await.refused("fetch_failed");
    assert!(hostile.asked().len() > 1, "it was asked to take the component");
    assert_eq!(bystander.heard().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_layer_is_followed_a_few_times_and_not_inside() {
    // In circles.
    let hostile = open(|path| {
        if path.contains("/blobs/") { leads_to(StatusCode::FOUND, path) } else { manifest(b"layer").into_response() }
    })
    .await;
    let said = hostile.install(&hostile.world().await).await;
    said.refused("fetch_failed");
    assert!(said.err.contains("more than 3 times"), "{said:?}");
    assert_eq!(hostile.asked().iter().filter(|(path, _)| path.contains("/blobs/")).count(), 4);

    // To addresses that are nobody's server.
    for to in [
        "https://169.254.169.254/s3cr3t",
        "https://127.0.0.1/s3cr3t",
        "http://10.0.0.1/s3cr3t",
        "file:///s3cr3t",
        "https://",
    ] {
        let hostile = open(move |path| {
            if path.contains("/blobs/") { leads_to(StatusCode::FOUND, to) } else { manifest(b"layer").into_response() }
        })
        .await;
        // A registry on this machine may have its layers on this machine, and nowhere else without TLS.
        let said = hostile.install(&hostile.world().await).await;
        said.refused("fetch_failed");
        assert!(!said.err.contains("s3cr3t"), "{said:?}");
        if !to.contains("127.0.0.1") {
            assert!(said.err.contains("a layer leads to"), "{said:?}");
        }
    }
}
