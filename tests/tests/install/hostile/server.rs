//! A registry that answers as a test wants it to, and somebody whom it should get nobody to talk to.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{
        HeaderMap, StatusCode,
        header::{LOCATION, WWW_AUTHENTICATE},
    },
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::stream;
use lockgate::install::{Source, registry};
use lockgate_signing::encoding;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    asked::{Asked, Question},
    world::{Said, World},
};

pub const PASSWORD: &str = "Hunter2x-hostile";
/// What is in the buffers of two ends, and no more than the largest answer beside it.
pub const ROOM: usize = 32 << 20;

/// A server that answers as it is told, and keeps what it was asked: path with query, and who asked.
pub struct Hostile {
    pub host: String,
    asked: Asked,
}

impl Hostile {
    pub async fn start(answer: impl Fn(&str, &HeaderMap) -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let asked = Asked::default();
        let kept = asked.clone();
        let router = Router::new().fallback(async move |request: Request| {
            let path = request.uri().path_and_query().expect("a path").to_string();
            kept.note(path.clone(), request.headers());
            answer(&path, request.headers())
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { host, asked }
    }

    pub fn asked(&self) -> Vec<Question> {
        self.asked.take()
    }

    /// A world that has credentials for it.
    pub async fn world(&self) -> World {
        let world = World::trusting().await;
        world.log_in(&self.host, "publisher", PASSWORD);
        world
    }

    pub async fn install(&self, world: &World) -> Said {
        let said =
            world.run(&["pack", "install", &format!("oci://{}/acme/inventory:1.0.0", self.host), "--plain-http"]).await;
        let sent = STANDARD.encode(format!("publisher:{PASSWORD}"));
        assert!(
            ![PASSWORD, &sent].iter().any(|secret| said.out.contains(secret) || said.err.contains(secret)),
            "{said:?}"
        );
        assert!(world.in_place().is_empty() && world.events("pack.installed").is_empty());
        said
    }

    pub fn registry(&self) -> registry::Registry {
        match Source::parse(&format!("oci://{}/acme/inventory:1.0.0", self.host), true).expect("an address") {
            Source::Registry(registry) => registry,
            other => panic!("{other:?}"),
        }
    }
}

/// Somebody on this machine whom nobody should talk to.
pub struct Bystander {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Bystander {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heard = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 8192];
                let length = stream.read(&mut bytes).await.unwrap_or_default();
                kept.lock().expect("the list").push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            }
        });
        Self { port, heard }
    }

    /// Its address by another name than the registries here have.
    pub fn at(&self, rest: &str) -> String {
        format!("http://localhost:{}/{rest}", self.port)
    }

    /// Everything that reached it: it takes one after the other, and this call comes last.
    pub async fn heard(&self) -> Vec<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("it is there");
        stream.write_all(b"the last").await.expect("it reads");
        stream.read_to_end(&mut Vec::new()).await.expect("it ends");
        let mut heard = std::mem::take(&mut *self.heard.lock().expect("the list"));
        assert_eq!(heard.pop().as_deref(), Some("the last"));
        heard
    }
}

/// A body that never ends, and counts what it has given.
pub fn endless(given: &Arc<AtomicUsize>) -> Body {
    static PART: [u8; 64 << 10] = [b'['; 64 << 10];
    let given = Arc::clone(given);
    Body::from_stream(stream::repeat_with(move || {
        given.fetch_add(PART.len(), Ordering::Relaxed);
        Ok::<_, std::convert::Infallible>(Bytes::from_static(&PART))
    }))
}

/// A manifest of a pack whose layer is these bytes.
pub fn manifest(layer: &[u8]) -> String {
    let digest = |bytes: &[u8]| format!("sha256:{}", encoding::hex(&encoding::sha256(bytes)));
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(b"{}"), "size": 2},
        "layers": [{
            "mediaType": "application/wasm", "digest": digest(layer), "size": layer.len(),
            "annotations": {"org.opencontainers.image.title": "inventory-1.0.0.wasm"},
        }],
    })
    .to_string()
}

pub fn leads_to(status: StatusCode, to: &str) -> Response {
    (status, [(LOCATION, to)]).into_response()
}

pub fn wants(challenge: &str) -> Response {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response()
}

/// One that lets anybody in, and answers the rest like this.
pub async fn open(answer: impl Fn(&str) -> Response + Clone + Send + Sync + 'static) -> Hostile {
    Hostile::start(move |path, _| if path == "/v2/" { StatusCode::OK.into_response() } else { answer(path) }).await
}
