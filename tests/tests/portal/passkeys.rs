//! Passkeys end to end: added, used to log in and to confirm, removed; and everything that is not one.

use lockgate::store::PortalRole;
use serde_json::Value as Json;

use crate::{
    authenticator::Authenticator,
    browser::{Browser, Reply},
    world::{Made, PASSWORD, World},
};

fn authenticator(browser: &Browser) -> Authenticator {
    Authenticator::new(&browser.origin, "localhost")
}

/// Adds a passkey to the account of whoever is logged in.
async fn add(browser: &mut Browser, device: &mut Authenticator) -> Reply {
    let page = browser.submit("/account", "/account/passkeys/new", &[]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let answer = device.create(&page.attribute("data-options").expect("options"));
    let (token, challenge) = (page.field("csrf").expect("a token"), page.field("challenge").expect("a challenge"));
    let fields = [("challenge", challenge.as_str()), ("credential", &answer), ("label", "my phone")];
    browser.post("/account/passkeys/add", &token, &fields).await
}

/// The page that asks the authenticator of somebody.
async fn asked(browser: &mut Browser, name: &str) -> Reply {
    browser.submit("/login/passkey", "/login/passkey", &[("name", name), ("next", "/account")]).await
}

async fn answer(browser: &mut Browser, page: &Reply, to: &str, answer: &str) -> Reply {
    // The first token of the page may be the one of the form in its head; all of one session are the same.
    let (token, challenge) = (page.field("csrf").expect("a token"), page.field("challenge").expect("a challenge"));
    browser.post(to, &token, &[("challenge", &challenge), ("credential", answer), ("next", "/account")]).await
}

async fn log_in(world: &World, name: &str, device: &mut Authenticator) -> (Browser, Reply) {
    let mut browser = world.browser();
    let page = asked(&mut browser, name).await;
    let said = device.get(&page.attribute("data-options").expect("options"));
    let reply = answer(&mut browser, &page, "/login/passkey/answer", &said).await;
    (browser, reply)
}

#[tokio::test]
async fn a_passkey_is_added_lets_in_confirms_and_is_removed() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let mut browser = world.logged_in("grace").await;
    let mut device = authenticator(&browser);
    let reply = add(&mut browser, &mut device).await;
    assert_eq!((reply.status, reply.to()), (303, "/account"), "{}", reply.body);
    assert!(browser.get("/account").await.body.contains("my phone"));

    let (mut hers, reply) = log_in(&world, "Grace", &mut device).await;
    assert_eq!((reply.status, reply.to()), (303, "/account"), "{}", reply.body);
    assert!(hers.get("/account").await.body.contains("grace"));
    assert_eq!(world.lines("login").last().expect("a line")["method"], "passkey");

    world.pass(20 * 60);
    let before = hers.jar["lockgate"].clone();
    let page = hers.submit("/confirm?next=/account", "/confirm/passkey", &[("next", "/account")]).await;
    let said = device.get(&page.attribute("data-options").expect("options"));
    let reply = answer(&mut hers, &page, "/confirm/passkey/answer", &said).await;
    assert_eq!((reply.status, reply.to()), (303, "/account"), "{}", reply.body);
    assert_ne!(hers.jar["lockgate"], before);

    let id = hers.get("/account").await.field("passkey").expect("a passkey");
    assert_eq!(hers.submit("/account", "/account/passkeys/remove", &[("passkey", &id)]).await.status, 303);
    let (_, reply) = log_in(&world, "grace", &mut device).await;
    assert_eq!(reply.status, 401, "it is no passkey any more");
    for event in ["passkey.added", "passkey.removed"] {
        let lines = world.lines(event);
        assert_eq!((lines.len(), &lines[0]["passkey"]), (1, &id.as_str().into()));
    }
}

#[tokio::test]
async fn what_is_not_this_passkeys_answer_to_this_question_lets_nobody_in() {
    let world = World::new().await;
    for name in ["grace", "mallory"] {
        world.person(name, PortalRole::Viewer).await;
    }
    let mut browser = world.logged_in("grace").await;
    let mut device = authenticator(&browser);
    assert_eq!(add(&mut browser, &mut device).await.status, 303);
    let mut theirs = world.logged_in("mallory").await;
    let mut evil = authenticator(&theirs);
    assert_eq!(add(&mut theirs, &mut evil).await.status, 303);

    let mut stranger = world.browser();
    let to = "/login/passkey/answer";
    // Another's passkey, under this one's name too.
    let page = asked(&mut stranger, "grace").await;
    let options = page.attribute("data-options").expect("options");
    let said = evil.get(&options);
    assert_eq!(answer(&mut stranger, &page, to, &said).await.status, 401);
    let page = asked(&mut stranger, "grace").await;
    let mut posing = authenticator(&stranger);
    posing.id.clone_from(&device.id);
    let said = posing.get(&page.attribute("data-options").expect("options"));
    assert_eq!(answer(&mut stranger, &page, to, &said).await.status, 401);
    // Of another site, of another host, without verification.
    for wrong in ["origin", "rp", "unverified"] {
        let page = asked(&mut stranger, "grace").await;
        let options = page.attribute("data-options").expect("options");
        let said = match wrong {
            "origin" => with_origin(&device.get(&options), "http://evil.example"),
            "rp" => {
                device.rp = "evil.example".into();
                let said = device.get(&options);
                device.rp = "localhost".into();
                said
            }
            _ => {
                device.verifies = false;
                let said = device.get(&options);
                device.verifies = true;
                said
            }
        };
        assert_eq!(answer(&mut stranger, &page, to, &said).await.status, 401, "{wrong}");
    }
    // The answer to an earlier question.
    let first = asked(&mut stranger, "grace").await;
    let said = device.get(&first.attribute("data-options").expect("options"));
    let second = asked(&mut stranger, "grace").await;
    assert_eq!(answer(&mut stranger, &second, to, &said).await.status, 401);
    // A right one, twice; and too late.
    let reply = answer(&mut stranger, &first, to, &said).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    let mut again = world.browser();
    let page = asked(&mut again, "grace").await;
    let mut replayed = page.clone();
    replayed.body =
        replayed.body.replace(&page.field("challenge").expect("one"), &first.field("challenge").expect("one"));
    assert_eq!(answer(&mut again, &replayed, to, &said).await.status, 422, "used up");
    let said = device.get(&page.attribute("data-options").expect("options"));
    world.pass(301);
    assert_eq!(answer(&mut again, &page, to, &said).await.status, 422, "too late");
    // Not even JSON.
    let page = asked(&mut again, "grace").await;
    assert_eq!(answer(&mut again, &page, to, "{").await.status, 401);
}

fn with_origin(said: &str, origin: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut answer: Json = serde_json::from_str(said).expect("JSON");
    let client = URL_SAFE_NO_PAD.decode(answer["response"]["clientDataJSON"].as_str().expect("text")).expect("base64");
    let mut client: Json = serde_json::from_slice(&client).expect("JSON");
    client["origin"] = origin.into();
    answer["response"]["clientDataJSON"] = URL_SAFE_NO_PAD.encode(client.to_string()).into();
    answer.to_string()
}

#[tokio::test]
async fn a_question_of_one_kind_is_not_answered_in_another_nor_in_another_session() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let (mut one, mut two) = (world.logged_in("grace").await, world.logged_in("grace").await);
    let mut device = authenticator(&one);
    assert_eq!(add(&mut one, &mut device).await.status, 303);
    world.pass(20 * 60);
    let page = one.submit("/confirm?next=/account", "/confirm/passkey", &[("next", "/account")]).await;
    let said = device.get(&page.attribute("data-options").expect("options"));
    let challenge = page.field("challenge").expect("one");
    let fields = [("challenge", challenge.as_str()), ("credential", said.as_str()), ("next", "/account")];
    assert_eq!(two.submit("/account", "/confirm/passkey/answer", &fields).await.status, 422, "another session's");
    let page = one.submit("/confirm?next=/account", "/confirm/passkey", &[("next", "/account")]).await;
    let said = device.get(&page.attribute("data-options").expect("options"));
    let challenge = page.field("challenge").expect("one");
    let fields = [("challenge", challenge.as_str()), ("credential", said.as_str())];
    assert_eq!(
        world.browser().submit("/login", "/login/passkey/answer", &fields).await.status,
        422,
        "a confirmation's"
    );
}

#[tokio::test]
async fn nobody_learns_by_asking_who_has_a_passkey_or_an_account() {
    let world = World::new().await;
    for name in ["grace", "plain"] {
        world.person(name, PortalRole::Viewer).await;
    }
    let mut browser = world.logged_in("grace").await;
    let mut device = authenticator(&browser);
    assert_eq!(add(&mut browser, &mut device).await.status, 303);
    let mut shapes = Vec::new();
    for name in ["grace", "plain", "nobody"] {
        let mut stranger = world.browser();
        let page = asked(&mut stranger, name).await;
        let of = |page: &Reply| {
            serde_json::from_str::<Json>(&page.attribute("data-options").expect("options")).expect("JSON")
        };
        let options = of(&page);
        let key = options["publicKey"].as_object().expect("an object");
        let credential = key["allowCredentials"][0].as_object().expect("a credential");
        shapes.push((
            page.status,
            key.keys().cloned().collect::<Vec<_>>(),
            credential.keys().cloned().collect::<Vec<_>>(),
            (key["timeout"].clone(), key["rpId"].clone(), key["userVerification"].clone()),
        ));
        let again = of(&asked(&mut stranger, name).await);
        assert_eq!(
            again["publicKey"]["allowCredentials"], options["publicKey"]["allowCredentials"],
            "{name}: the same each time"
        );
        assert_ne!(again["publicKey"]["challenge"], options["publicKey"]["challenge"], "{name}");
        if name != "grace" {
            let said = device.get(&page.attribute("data-options").expect("options"));
            assert_eq!(answer(&mut stranger, &page, "/login/passkey/answer", &said).await.status, 401, "{name}");
        }
    }
    assert!(shapes.windows(2).all(|two| two[0] == two[1]), "{shapes:#?}");
}

#[tokio::test]
async fn a_passkey_that_is_added_or_removed_asks_for_a_fresh_session_and_a_copied_one_is_found() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let mut browser = world.logged_in("grace").await;
    let mut device = authenticator(&browser);
    assert_eq!(add(&mut browser, &mut device).await.status, 303);
    let reply = add(&mut browser, &mut device).await;
    assert_eq!(reply.status, 422, "the same key twice: {}", reply.body);
    // A counter that goes back: somebody has a copy of the key (WebAuthn, 6.1.1).
    device.counter = 50;
    assert_eq!(log_in(&world, "grace", &mut device).await.1.status, 303);
    device.counter = 10;
    assert_eq!(log_in(&world, "grace", &mut device).await.1.status, 401);
    world.pass(20 * 60);
    let id = browser.get("/account").await.field("passkey").expect("a passkey");
    for (action, fields) in
        [("/account/passkeys/new", &[][..]), ("/account/passkeys/remove", &[("passkey", id.as_str())])]
    {
        let reply = browser.submit("/account", action, fields).await;
        assert_eq!(reply.to(), "/confirm?next=/account", "{action}");
    }
    assert_eq!(world.people().passkeys_of("grace").await.expect("passkeys").len(), 1);
}

#[tokio::test]
async fn an_administrator_takes_away_the_passkey_of_a_device_that_was_lost() {
    let world = World::new().await;
    world.person("root", PortalRole::Admin).await;
    world.person("grace", PortalRole::Approver).await;
    let mut grace = world.logged_in("grace").await;
    let mut device = authenticator(&grace);
    assert_eq!(add(&mut grace, &mut device).await.status, 303);
    assert_eq!(log_in(&world, "grace", &mut device).await.1.status, 303);
    let mut root = world.logged_in("root").await;
    let page = root.get("/accounts/grace").await;
    crate::html::check("her account", &page.body);
    let id = page.field("id").expect("her passkey");
    let removed = root.submit("/accounts/grace", "/accounts/grace/passkeys/remove", &[("id", &id)]).await;
    assert_eq!(removed.status, 303, "{}", removed.body);
    assert!(!root.get("/accounts/grace").await.body.contains(&id));
    assert_eq!(log_in(&world, "grace", &mut device).await.1.cookie("lockgate"), None, "whoever has it stays out");
    let line = world.lines("passkey.removed").pop().expect("a line");
    assert_eq!((&line["account"], &line["by"]), (&"grace".into(), &"root".into()));
}

#[tokio::test]
async fn at_an_address_without_a_name_there_are_no_passkeys_and_everything_else() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let world = World::made(Made { url: Some(url), ..Made::default() }).await;
    world.person("grace", PortalRole::Viewer).await;
    let mut browser = world.browser();
    assert_eq!(browser.get("/login/passkey").await.status, 404);
    assert!(!browser.get("/login").await.body.contains("passkey"));
    assert_eq!(browser.log_in("grace", PASSWORD).await.status, 303);
    assert_eq!(browser.get("/account").await.status, 200);
}
