//! A tiny OAuth issuer on this machine: metadata, keys that can be changed, a count of how often they were fetched, and
//! tokens, sound ones and others.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, extract::State, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

/// The address that tokens for the door in these tests name.
pub const RESOURCE: &str = "https://gate.example/mcp";

/// The issuer.
pub struct Issuer {
    at: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    keys: Mutex<Vec<Value>>,
    fetched: AtomicUsize,
    at: Mutex<String>,
}

/// A key pair of an issuer, or of somebody who would like to be one.
pub struct Pair {
    pub id: &'static str,
    key: SigningKey,
}

impl Pair {
    pub fn new(id: &'static str, seed: u8) -> Self {
        Self { id, key: SigningKey::from_bytes(&[seed; 32]) }
    }

    pub fn public(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes());
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.id, "x": x })
    }

    /// A token with this header, signed.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = parts(header, claims);
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// A token as an issuer makes it.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.id }), claims)
    }

    /// A token "signed" with what everybody knows, for a program that takes a public key for a shared secret.
    pub fn confused(&self, claims: &Value) -> String {
        let signed = parts(&json!({ "alg": "HS256", "typ": "at+jwt", "kid": self.id }), claims);
        let secret = jsonwebtoken::EncodingKey::from_secret(self.key.verifying_key().as_bytes());
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256);
        format!("{signed}.{}", signature.expect("a signature"))
    }
}

/// Header and payload.
pub fn parts(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

impl Issuer {
    pub async fn start(keys: &[&Pair]) -> Self {
        let shared = Arc::new(Shared {
            keys: Mutex::new(keys.iter().map(|pair| pair.public()).collect()),
            fetched: AtomicUsize::new(0),
            at: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        *shared.at.lock().expect("not poisoned") = format!("http://{at}");
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys_of))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum_serve(listener, router).await });
        Self { at, shared }
    }

    /// As tokens and metadata name it.
    pub fn name(&self) -> String {
        format!("http://{}", self.at)
    }

    pub fn fetched(&self) -> usize {
        self.shared.fetched.load(Ordering::SeqCst)
    }

    /// Claims of a sound token, with some changed; `null` takes one away.
    pub fn claims(&self, changed: Value) -> Value {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({
            "iss": self.name(), "aud": RESOURCE, "exp": now + 300, "iat": now, "jti": "j-1",
            "client_id": "claude", "sub": "u-1", "email": "ana@corp.example", "roles": ["oncall"], "scope": "lockgate",
        });
        for (name, value) in changed.as_object().expect("an object") {
            if value.is_null() {
                claims.as_object_mut().expect("an object").remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }
}

async fn metadata(State(shared): State<Arc<Shared>>) -> String {
    let at = shared.at.lock().expect("not poisoned").clone();
    json!({ "issuer": at, "jwks_uri": format!("{at}/keys") }).to_string()
}

async fn keys_of(State(shared): State<Arc<Shared>>) -> String {
    shared.fetched.fetch_add(1, Ordering::SeqCst);
    json!({ "keys": *shared.keys.lock().expect("not poisoned") }).to_string()
}

/// The door's own listener serves an issuer as well as anything.
async fn axum_serve(listener: tokio::net::TcpListener, router: Router) {
    let patience = std::time::Duration::from_secs(15);
    let never = tokio_util::sync::CancellationToken::new();
    let _ = lockgate::listen::accept(listener, router, patience, never).await;
}
