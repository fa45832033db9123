//! Packs from an address: the component and the envelope beside it, and nothing that the server would rather have.

use std::{fs, path::PathBuf};

use axum::{Router, body::Bytes, http::StatusCode, response::Redirect, routing::get};

use crate::world::{World, inventory};

/// Serves files on this machine.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let host = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    host
}

fn file(path: PathBuf) -> axum::routing::MethodRouter {
    get(async move || {
        fs::read(&path).map_or_else(|_| (StatusCode::NOT_FOUND, Bytes::new()), |b| (StatusCode::OK, b.into()))
    })
}

#[tokio::test]
async fn a_pack_comes_from_an_address() {
    let world = World::trusting().await;
    let component = world.sign(&inventory("1.0.0", &[]).await);
    let envelope = component.with_extension("wasm.dsse.json");
    let router = Router::new()
        .route("/p/inventory-1.0.0.wasm", file(component.clone()))
        .route("/p/inventory-1.0.0.wasm.dsse.json", file(envelope.clone()))
        .route("/bare/inventory-1.0.0.wasm", file(component.clone()))
        .route("/moved/inventory-1.0.0.wasm", get(async || Redirect::temporary("/p/inventory-1.0.0.wasm")))
        .route("/large/inventory-1.0.0.wasm", get(async || vec![0_u8; 33 << 20]))
        .route("/other/inventory-1.0.1.wasm", file(component))
        .route("/other/inventory-1.0.1.wasm.dsse.json", file(envelope));
    let host = serve(router).await;
    let install = async |path: &str| {
        let from = format!("{host}{path}");
        world.run(&["pack", "install", &from, "--plain-http"]).await
    };
    let clear = format!("{host}/p/inventory-1.0.0.wasm");
    world.run(&["pack", "install", &clear]).await.refused("config_invalid");
    install("/bare/inventory-1.0.0.wasm").await.refused("envelope_missing");
    install("/moved/inventory-1.0.0.wasm").await.refused("fetch_failed");
    install("/large/inventory-1.0.0.wasm").await.refused("file_too_large");
    install("/other/inventory-1.0.1.wasm").await.refused("component_mismatch");
    install("/none/inventory-1.0.0.wasm").await.refused("fetch_failed");
    assert!(world.in_place().is_empty());
    let said = install("/p/inventory-1.0.0.wasm?token=Hunter2x").await;
    assert_eq!(said.code, 0);
    assert_eq!(world.list().await[0]["source"], clear.as_str());
    assert!(!format!("{:?}", world.site.record()).contains("Hunter2x"), "a query may be a secret");
}
