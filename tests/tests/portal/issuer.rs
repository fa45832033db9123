//! A small OpenID provider on this machine: it logs in whomever a test says, checks what a provider must check (redirect
//! address, secret, PKCE, a code once), and tells what it was asked.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Form, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use lockgate::{people::oidc::OidcSettings, portal::Site, store::PortalRole};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::keys::Pair;

pub const CLIENT: &str = "lockgate-portal";
pub const SECRET: &str = "a secret of the client";

/// The provider.
pub struct Issuer {
    at: SocketAddr,
    shared: Arc<Shared>,
}

/// What a code stands for: what was asked for with it, and the claims of its token.
type Code = (HashMap<String, String>, Value);

struct Shared {
    at: Mutex<String>,
    key: Pair,
    /// What codes stand for: the query with which somebody was sent, and claims over those that a sound token has.
    codes: Mutex<HashMap<String, Code>>,
    /// Signs with another key than the published one.
    lies: Mutex<bool>,
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            at: Mutex::new(format!("http://{at}")),
            key: Pair::new("k1", 3),
            codes: Mutex::default(),
            lies: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move {
            lockgate::listen::accept(listener, router, Duration::from_secs(15), CancellationToken::new()).await
        });
        Self { at, shared }
    }

    pub fn name(&self) -> String {
        format!("http://{}", self.at)
    }

    /// From now on tokens are signed by somebody else.
    pub fn lie(&self) {
        *self.shared.lies.lock().expect("not poisoned") = true;
    }

    /// Settings of a portal that trusts this provider.
    pub fn settings(&self, site: &Site) -> OidcSettings {
        OidcSettings {
            issuer: self.name(),
            client_id: CLIENT.to_owned(),
            client_secret: Some(SECRET.to_owned().into()),
            label: "Log in with Corp".to_owned(),
            scopes: vec!["profile".to_owned()],
            name_claim: "preferred_username".to_owned(),
            name_domain: None,
            groups_claim: "groups".to_owned(),
            roles: [("ops".to_owned(), PortalRole::Approver), ("root".to_owned(), PortalRole::Admin)].into(),
            groups: [("ops".to_owned(), "dba".to_owned())].into(),
            create: true,
            redirect: site.at(lockgate::portal::ISSUER_BACK),
        }
    }

    /// Logs somebody in who was sent to this address; returns the path to which they are sent back.
    pub fn log_in(&self, sent_to: &str, claims: Value) -> String {
        let query = query(sent_to);
        assert!(sent_to.starts_with(&format!("{}/authorize?", self.name())), "{sent_to}");
        assert_eq!((query["response_type"].as_str(), query["client_id"].as_str()), ("code", CLIENT));
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"));
        let code = format!("code-{}", self.shared.codes.lock().expect("not poisoned").len());
        let state = query["state"].clone();
        self.shared.codes.lock().expect("not poisoned").insert(code.clone(), (query, claims));
        format!("{}?state={state}&code={code}", lockgate::portal::ISSUER_BACK)
    }
}

/// The query of an address.
pub fn query(address: &str) -> HashMap<String, String> {
    let decoded = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let pair = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                    u8::from_str_radix(std::str::from_utf8(&pair).expect("ASCII"), 16).expect("hexadecimal")
                }
                other => other,
            });
        }
        String::from_utf8(bytes).expect("UTF-8")
    };
    let query = address.split_once('?').expect("a query").1;
    query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (decoded(k), decoded(v))).collect()
}

type Json = ([(&'static str, &'static str); 1], String);

fn as_json(value: &Value) -> Json {
    ([("content-type", "application/json")], value.to_string())
}

async fn metadata(State(shared): State<Arc<Shared>>) -> Json {
    let at = shared.at.lock().expect("not poisoned").clone();
    as_json(&json!({
        "issuer": at, "authorization_endpoint": format!("{at}/authorize"), "token_endpoint": format!("{at}/token"),
        "jwks_uri": format!("{at}/keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    }))
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json {
    as_json(&json!({ "keys": [shared.key.public()] }))
}

async fn token(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Json, StatusCode> {
    let basic = STANDARD.encode(format!("{CLIENT}:{}", SECRET.replace(' ', "+")));
    let credentials = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if credentials != format!("Basic {basic}") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let found = shared.codes.lock().expect("not poisoned").remove(&form["code"]);
    let (asked, changed) = found.ok_or(StatusCode::BAD_REQUEST)?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    if challenge != asked["code_challenge"] || form["redirect_uri"] != asked["redirect_uri"] {
        return Err(StatusCode::BAD_REQUEST);
    }
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "iss": *shared.at.lock().expect("not poisoned"), "aud": CLIENT, "sub": "u-1", "iat": now, "exp": now + 300,
        "auth_time": now, "nonce": asked["nonce"], "preferred_username": "grace", "groups": ["ops"],
    });
    for (name, value) in changed.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    let other = Pair::new("k1", 4);
    let key = if *shared.lies.lock().expect("not poisoned") { &other } else { &shared.key };
    let token = key.sign(&json!({ "alg": "EdDSA", "typ": "JWT", "kid": "k1" }), &claims);
    let body = json!({ "access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": token });
    Ok(as_json(&body))
}
