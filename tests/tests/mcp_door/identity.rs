//! Who is let in over HTTP: tokens of the store that come and go while the server runs, tokens of an issuer and all that only
//! look like one, what a stranger is told, and how often each may come.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lockgate::{
    gate::call::{Door, Principal},
    mcp::{
        McpSettings,
        http::{self as door, HttpSettings},
        oauth::{OAuth, OAuthConfig},
        server::Server,
        token::{self, Agents},
        tokens::Tokens,
    },
    store::{NewToken, SqliteStore, Store, TokenGrant},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    fake_gate::{FakeGate, principal},
    issuer::{Issuer, Pair, RESOURCE, parts},
    wire::{INITIALIZE, Reply, call, http, modern},
};

/// A server, and whatever it rests on for as long as it runs.
struct Served {
    at: SocketAddr,
    gate: Arc<FakeGate>,
    _stop: tokio_util::sync::DropGuard,
}

async fn served(settings: McpSettings, http: HttpSettings) -> Served {
    let gate = FakeGate::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(door::serve(listener, Server::new(Arc::clone(&gate), settings), http, stop.clone()));
    Served { at, gate, _stop: stop.drop_guard() }
}

async fn with_issuer(issuer: &Issuer, more: &str) -> HttpSettings {
    let text = format!("issuer = \"{}\"\nresource = \"{RESOURCE}\"\nlabel = \"idp\"\n{more}", issuer.name());
    let config: OAuthConfig = toml::from_str(&text).unwrap();
    HttpSettings { oauth: Some(OAuth::new(config.checked().unwrap()).unwrap()), ..HttpSettings::default() }
}

impl Served {
    async fn send(&self, token: Option<&str>, more: &[(&str, &str)], body: &str) -> Reply {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers =
            vec![("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
        headers.extend(bearer.iter().map(|value| ("Authorization", value.as_str())));
        headers.extend_from_slice(more);
        http(self.at, "POST", "/mcp", &headers, body).await
    }

    /// Calls a tool, without a session.
    async fn call(&self, token: &str, tool: &str, arguments: &str) -> Reply {
        let more = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", tool)];
        let params = format!(r#""name":"{tool}","arguments":{arguments}"#);
        self.send(Some(token), &more, &modern(1, "tools/call", &params)).await
    }

    async fn look(&self, token: &str) -> Reply {
        self.call(token, "postgres.activity", r#"{"reason":"looking around"}"#).await
    }

    async fn session(&self, token: &str) -> String {
        let opened = self.send(Some(token), &[], INITIALIZE).await;
        assert_eq!(opened.status, 200, "{opened:?}");
        let id = opened.header("mcp-session-id").unwrap().to_owned();
        let began = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(self.send(Some(token), &[("Mcp-Session-Id", &id)], began).await.status, 202);
        id
    }

    /// Asks until the status is this; at the latest a little more than the promised second later.
    async fn until(&self, token: &str, status: u16) {
        let began = Instant::now();
        while self.look(token).await.status != status {
            assert!(began.elapsed() < Duration::from_secs(10), "it is never {status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_sound_token_of_the_issuer_opens_the_door_as_its_agent() {
    let pair = Pair::new("k1", 1);
    let issuer = Issuer::start(&[&pair]).await;
    let served = served(McpSettings::default(), with_issuer(&issuer, "scope = \"lockgate\"").await).await;
    let good = pair.token(&issuer.claims(json!({})));
    let reply = served.look(&good).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(served.gate.log()[0].starts_with("claude@idp called postgres.activity"), "{:?}", served.gate.log());
    let several = pair.token(&issuer.claims(json!({ "aud": ["https://other.example", RESOURCE] })));
    assert_eq!(served.look(&several).await.status, 200);
    assert_eq!(issuer.fetched(), 1, "keys are fetched once, not for each token");
}

#[tokio::test]
async fn what_only_looks_like_a_token_of_the_issuer_opens_nothing() {
    let (pair, foreign) = (Pair::new("k1", 1), Pair::new("k1", 2));
    let issuer = Issuer::start(&[&pair]).await;
    let served = served(McpSettings::default(), with_issuer(&issuer, "").await).await;
    let now = Timestamp::now().as_second();
    let sound = issuer.claims(json!({}));
    let changed = |claims: Value| pair.token(&issuer.claims(claims));
    let good = pair.token(&sound);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let wider = parts(&json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k1" }), &issuer.claims(json!({ "client_id": "root" })));
    for (what, token) in [
        ("expired", changed(json!({ "exp": now - 31 }))),
        ("without an end", changed(json!({ "exp": null }))),
        ("not yet valid", changed(json!({ "nbf": now + 60 }))),
        ("for another resource", changed(json!({ "aud": "https://other.example/mcp" }))),
        ("for nobody", changed(json!({ "aud": null }))),
        ("of another issuer", changed(json!({ "iss": "https://evil.example" }))),
        ("by a foreign key of the same name", foreign.token(&sound)),
        ("by a key that the issuer has not", Pair::new("k9", 1).token(&sound)),
        ("without a signature", format!("{}.", parts(&json!({ "alg": "none", "typ": "at+jwt" }), &sound))),
        ("with an empty signature", format!("{signed}.")),
        ("with the public key for a secret", pair.confused(&sound)),
        ("with another payload", format!("{wider}.{signature}")),
        ("of another kind", pair.sign(&json!({ "alg": "EdDSA", "typ": "logout+jwt", "kid": "k1" }), &sound)),
        ("without a kind", pair.sign(&json!({ "alg": "EdDSA", "kid": "k1" }), &sound)),
        ("under another algorithm", pair.sign(&json!({ "alg": "RS256", "typ": "at+jwt", "kid": "k1" }), &sound)),
        ("in the clothes of a token of the store", format!("lgt_{good}")),
    ] {
        let reply = served.look(&token).await;
        assert_eq!(reply.status, 401, "{what}: {reply:?}");
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\"") && !challenge.contains("expired"), "{what}: {challenge}");
    }
    assert!(served.gate.log().is_empty());
    assert!(issuer.fetched() <= 2, "strangers don't make us fetch at will: {}", issuer.fetched());
    assert_eq!(served.look(&good).await.status, 200, "and the sound one still does");
}

#[tokio::test]
async fn a_token_without_the_scope_is_told_so() {
    let pair = Pair::new("k1", 1);
    let issuer = Issuer::start(&[&pair]).await;
    let served = served(McpSettings::default(), with_issuer(&issuer, "scope = \"lockgate\"").await).await;
    let reply = served.look(&pair.token(&issuer.claims(json!({ "scope": "openid" })))).await;
    assert_eq!(reply.status, 403, "{reply:?}");
    let challenge = reply.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"lockgate\""), "{challenge}");
}

#[tokio::test]
async fn an_issuer_that_is_away_lets_nobody_in_and_keeps_nobody_else_out() {
    let pair = Pair::new("k1", 1);
    let issuer = Issuer::start(&[&pair]).await;
    let good = pair.token(&issuer.claims(json!({})));
    let (plain, digest) = token::generate().unwrap();
    let nowhere = format!("jwks_url = \"http://{}/nothing\"", issuer.name().trim_start_matches("http://"));
    let agents = Agents::new([(digest, principal("one", Door::Http))]).unwrap();
    let settings = HttpSettings { agents, ..with_issuer(&issuer, &nowhere).await };
    let served = served(McpSettings::default(), settings).await;
    let reply = served.look(&good).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    assert_eq!(served.look(&plain).await.status, 200);
}

#[tokio::test]
async fn a_client_without_a_token_learns_where_to_get_one() {
    let pair = Pair::new("k1", 1);
    let issuer = Issuer::start(&[&pair]).await;
    let with = served(McpSettings::default(), with_issuer(&issuer, "").await).await;
    let reply = with.send(None, &[], INITIALIZE).await;
    assert_eq!(reply.status, 401);
    let place = "resource_metadata=\"https://gate.example/.well-known/oauth-protected-resource/mcp\"";
    let challenge = reply.header("www-authenticate").unwrap();
    assert!(challenge.contains(place) && !challenge.contains("error"), "{challenge}");
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let reply = http(with.at, "GET", path, &[], "").await;
        let document: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((reply.status, &document["resource"]), (200, &json!(RESOURCE)), "{reply:?}");
        assert_eq!(document["authorization_servers"], json!([issuer.name()]));
        assert_eq!(http(with.at, "POST", path, &[], "").await.status, 401, "it is only read");
        assert_eq!(http(with.at, "GET", path, &[("Host", "evil.example")], "").await.status, 403);
    }
    let without = served(McpSettings::default(), HttpSettings::default()).await;
    let reply = http(without.at, "GET", "/.well-known/oauth-protected-resource", &[], "").await;
    assert_eq!(reply.status, 401, "without an issuer there is nothing to tell");
}

#[tokio::test]
async fn a_wrong_host_or_origin_gets_no_answer_about_tokens() {
    let (plain, digest) = token::generate().unwrap();
    let agents = Agents::new([(digest, principal("one", Door::Http))]).unwrap();
    let served = served(McpSettings::default(), HttpSettings { agents, ..HttpSettings::default() }).await;
    for header in [("Host", "evil.example"), ("Origin", "https://evil.example"), ("Origin", "null")] {
        for token in [None, Some("lgt_wrong"), Some(plain.as_str())] {
            assert_eq!(served.send(token, &[header], INITIALIZE).await.status, 403, "{header:?} {token:?}");
        }
    }
    let auth = format!("Bearer {plain}");
    for method in ["HEAD", "OPTIONS", "PUT", "PATCH"] {
        let reply = http(served.at, method, "/mcp", &[("Authorization", &auth)], "").await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, POST, DELETE")), "{method}");
        assert_eq!(http(served.at, method, "/mcp", &[], "").await.status, 401, "{method}");
    }
}

#[tokio::test]
async fn the_form_of_a_credential_decides_who_is_asked() {
    // Somebody configured the digest of something that is no token of ours.
    let pair = Pair::new("k1", 1);
    let issuer = Issuer::start(&[&pair]).await;
    let forged = Pair::new("k1", 7).token(&issuer.claims(json!({})));
    let digest: String = Sha256::digest(&forged).iter().map(|byte| format!("{byte:02x}")).collect();
    let agents = Agents::new([(digest, principal("one", Door::Http))]).unwrap();
    let settings = HttpSettings { agents: agents.clone(), ..with_issuer(&issuer, "").await };
    assert_eq!(served(McpSettings::default(), settings).await.look(&forged).await.status, 401);
    let plainly = served(McpSettings::default(), HttpSettings { agents, ..HttpSettings::default() }).await;
    assert_eq!(plainly.look(&forged).await.status, 401);
}

/// A store and the tokens in it.
struct Kept {
    _dir: tempfile::TempDir,
    store: Arc<SqliteStore>,
}

impl Kept {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&dir.path().join("store.db")).unwrap());
        Self { _dir: dir, store }
    }

    fn http(&self) -> HttpSettings {
        let store: Arc<dyn Store> = self.store.clone();
        HttpSettings { tokens: Some(Tokens::new(store)), ..HttpSettings::default() }
    }

    fn create(&self, id: &str, like: &Principal, valid: Duration) -> String {
        let (plain, _) = token::generate().unwrap();
        let grant = TokenGrant {
            agent: like.agent.clone(),
            person: like.person.clone(),
            roles: like.roles.clone(),
            packs: like.scope.packs.clone(),
            targets: like.scope.targets.clone(),
        };
        let new = NewToken { id: id.into(), sha256: token::digest(&plain), grant, created_by: "ben".into(), valid };
        self.store.create_token(&new, Timestamp::now()).unwrap();
        plain
    }

    fn revoke(&self, id: &str) {
        self.store.revoke_token(id, "ben", "a test", Timestamp::now()).unwrap();
    }
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_revoked_token_opens_nothing_and_what_it_had_open_ends() {
    let kept = Kept::new();
    let served = served(McpSettings { hold_wait: LONG, ..McpSettings::default() }, kept.http()).await;
    let agent = principal("one", Door::Http);
    let first = kept.create("tok_first", &agent, LONG);
    served.until(&first, 200).await;
    let second = kept.create("tok_second", &agent, LONG);
    served.until(&second, 200).await;

    // Two held calls: one on its own, one in a session; and a session of the other token.
    let session = served.session(&first).await;
    let others = served.session(&second).await;
    let held = r#"{"pid":1,"target":"primary","reason":"a good reason"}"#;
    let in_session = call(7, "postgres.terminate_backend", held);
    let named = [("Mcp-Session-Id", session.as_str())];
    let waiting = async {
        tokio::join!(
            served.call(&first, "postgres.terminate_backend", held),
            served.send(Some(&first), &named, &in_session)
        )
    };
    let revoking = async {
        let both = || served.gate.log().iter().filter(|line| line.contains("called postgres.terminate")).count() == 2;
        let began = Instant::now();
        while !both() {
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", served.gate.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        kept.revoke("tok_first");
        Instant::now()
    };
    let ((alone, within), revoked) =
        tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(waiting, revoking) }).await.unwrap();
    println!("ended {:?} after: {alone:?} {within:?}", revoked.elapsed());
    assert_eq!(served.look(&first).await.status, 401);
    let began = Instant::now();
    while served.gate.log().iter().filter(|line| line.contains("wait cancelled")).count() < 2 {
        assert!(began.elapsed() < Duration::from_secs(20), "both waits end: {:?}", served.gate.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The same agent's other token is another credential: it and its session go on, and the first's session is gone.
    assert_eq!(served.look(&second).await.status, 200);
    let list = r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#;
    assert_eq!(served.send(Some(&second), &[("Mcp-Session-Id", &others)], list).await.status, 200);
    assert_eq!(served.send(Some(&second), &named, list).await.status, 404);
}

#[tokio::test]
async fn a_token_ends_by_itself() {
    let kept = Kept::new();
    let served = served(McpSettings::default(), kept.http()).await;
    let short = kept.create("tok_short", &principal("one", Door::Http), Duration::from_secs(3));
    served.until(&short, 200).await;
    served.until(&short, 401).await;
}

#[tokio::test]
async fn one_name_for_two_people_is_two_callers() {
    let kept = Kept::new();
    let served = served(McpSettings::default(), kept.http()).await;
    let ana = principal("one", Door::Http);
    let eve = Principal { person: Some("eve".into()), ..ana.clone() };
    let (of_ana, of_eve) = (kept.create("tok_ana", &ana, LONG), kept.create("tok_eve", &eve, LONG));
    served.until(&of_eve, 200).await;
    let session = served.session(&of_ana).await;
    let list = r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#;
    let asked = async |token: &str| served.send(Some(token), &[("Mcp-Session-Id", &session)], list).await.status;
    assert_eq!(asked(&of_eve).await, 404, "her own agent's name does not make it her session");
    assert_eq!(asked(&of_ana).await, 200);
}

#[tokio::test]
async fn an_agent_that_calls_too_often_is_told_how_long_to_wait_and_others_notice_nothing() {
    let (one, first) = token::generate().unwrap();
    let (two, second) = token::generate().unwrap();
    let agents = || {
        let (one, two) = (principal("one", Door::Http), principal("two", Door::Http));
        Agents::new([(first.clone(), one), (second.clone(), two)]).unwrap()
    };
    let slow = McpSettings { calls_per_minute: 1, burst: 2, ..McpSettings::default() };
    let calls = served(slow, HttpSettings { agents: agents(), ..HttpSettings::default() }).await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        let reply = calls.look(&one).await;
        assert_eq!(reply.status, 200, "a model gets to read it");
        codes.push(reply.json()["result"]["structuredContent"].clone());
    }
    assert_eq!((&codes[0]["status"], &codes[1]["status"]), (&json!("done"), &json!("done")));
    for refused in &codes[2..] {
        assert_eq!(refused["code"], "overloaded", "{refused}");
        let remedy = refused["remedy"].as_str().unwrap();
        let seconds: u64 = remedy.split(' ').nth(1).unwrap().parse().unwrap();
        assert!((50..=61).contains(&seconds), "{remedy}");
    }
    assert_eq!(calls.gate.log().len(), 2, "what is refused has not reached the gate");
    assert_eq!(calls.look(&two).await.json()["result"]["structuredContent"]["status"], "done");

    // Beyond four requests a call it is told by the transport, whatever it sends.
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let reply = calls.send(Some(&one), &[], "{").await;
        statuses.push(reply.status);
        if reply.status == 429 {
            let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&wait), "{wait}");
        }
    }
    assert_eq!(statuses, [400, 400, 400, 400, 429, 429]);
    assert_eq!(calls.send(Some(&two), &[], "{").await.status, 400, "the other has all of its own");
}
