//! Logging in by a company's issuer: who comes in, as whom, and every way back that is not the one somebody was sent on.

use lockgate::store::{AccountChange, PortalRole};
use serde_json::{Value, json};

use crate::{
    browser::{Browser, Reply},
    issuer::{Issuer, query},
    world::{Made, World},
};

/// A portal that trusts an issuer.
pub async fn worlds() -> (World, Issuer) {
    let issuer = Issuer::start().await;
    // The settings need the site's address, which is known when the portal listens.
    let settings =
        issuer.settings(&lockgate::portal::Site::new(&"http://localhost".parse().expect("one")).expect("one"));
    let oidc = move |site: &lockgate::portal::Site| lockgate::people::oidc::OidcSettings {
        redirect: site.at(lockgate::portal::ISSUER_BACK),
        ..settings
    };
    let world = World::made(Made { oidc: Some(Box::new(oidc)), ..Made::default() }).await;
    (world, issuer)
}

/// Goes to the issuer, is logged in there with these claims, and comes back.
async fn come(browser: &mut Browser, issuer: &Issuer, claims: Value) -> Reply {
    let sent = browser.get("/login/company?next=/account").await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    let back = issuer.log_in(sent.to(), claims);
    browser.get(&back).await
}

#[tokio::test]
async fn somebody_of_the_company_comes_in_with_the_role_and_groups_that_it_says() {
    let (world, issuer) = worlds().await;
    let mut browser = world.browser();
    assert!(browser.get("/login").await.body.contains("Log in with Corp"));
    let reply = come(&mut browser, &issuer, json!({})).await;
    assert_eq!((reply.status, reply.to()), (303, "/account"), "{}", reply.body);
    assert!(browser.get("/account").await.body.contains("grace"));
    let account = world.people().one("grace").await.expect("an account");
    assert_eq!(
        (account.role, account.groups.iter().map(String::as_str).collect()),
        (PortalRole::Approver, vec!["dba"])
    );
    assert_eq!(world.lines("account.identity_bound")[0]["subject"], "u-1");
    assert_eq!(world.lines("login")[0]["method"], "oidc");
    // The issuer says something else: so it is, at the next login, and what was open before has ended.
    let mut again = world.browser();
    let reply = come(&mut again, &issuer, json!({ "groups": ["root"], "preferred_username": "renamed" })).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    let account = world.people().one("grace").await.expect("the same account, by its subject");
    assert_eq!((account.role, account.groups.len()), (PortalRole::Admin, 0));
    assert_eq!(browser.get("/account").await.status, 303);
    assert_eq!(again.get("/accounts").await.status, 200);
}

#[tokio::test]
async fn a_way_back_is_good_once_and_in_the_browser_that_was_sent() {
    let (world, issuer) = worlds().await;
    let mut browser = world.browser();
    let sent = browser.get("/login/company").await;
    let asked = query(sent.to());
    for name in ["state", "nonce", "code_challenge"] {
        assert!(asked[name].len() >= 20, "{name}");
    }
    let back = issuer.log_in(sent.to(), json!({}));
    let mut victim = world.browser();
    victim.get("/login").await;
    let reply = victim.get(&back).await;
    assert_eq!((reply.status, reply.cookie("lockgate")), (422, None), "an attacker's way back in somebody's browser");
    let with_code = |code: &str| back.replace("code=code-0", &format!("code={code}"));
    let with_state = back.replace(&asked["state"], "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(browser.get(&with_state).await.status, 422);
    assert_eq!(browser.get(&back).await.status, 303);
    let mut logged_out = world.browser();
    logged_out.jar.clone_from(&browser.jar);
    assert_eq!(logged_out.get(&back).await.status, 422, "a second time");
    // A code that the issuer did not give; and one that somebody takes too long with.
    let mut other = world.browser();
    let sent = other.get("/login/company").await;
    let state = query(sent.to())["state"].clone();
    let made_up = with_code("made-up").replace(&asked["state"], &state);
    assert_eq!(other.get(&made_up).await.status, 403);
    let sent = other.get("/login/company").await;
    let back = issuer.log_in(sent.to(), json!({}));
    world.pass(601);
    assert_eq!(other.get(&back).await.status, 422);
    let reply = other.get("/login/company/back?error=access_denied&state=x").await;
    assert_eq!(reply.status, 401);
    assert_eq!(world.lines("login").len(), 1);
}

#[tokio::test]
async fn a_token_that_is_not_the_issuers_for_us_and_this_login_lets_nobody_in() {
    let (world, issuer) = worlds().await;
    for claims in [
        json!({ "iss": "http://evil.example" }),
        json!({ "aud": "somebody else" }),
        json!({ "nonce": "another login's" }),
        json!({ "exp": 1 }),
        json!({ "sub": null }),
        json!({ "preferred_username": null }),
        json!({ "preferred_username": "../admin" }),
        json!({ "groups": ["nobody-named-this"] }),
        json!({ "groups": ["admin", "viewer"] }),
    ] {
        let reply = come(&mut world.browser(), &issuer, claims.clone()).await;
        assert!(matches!(reply.status, 403 | 422), "{claims}: {}", reply.status);
        assert_eq!(reply.cookie("lockgate"), None, "{claims}");
    }
    issuer.lie();
    assert_eq!(come(&mut world.browser(), &issuer, json!({})).await.status, 403, "another key");
    assert!(world.people().all().await.expect("accounts").is_empty());
    assert_eq!(world.lines("login.failed").len(), 10);
}

#[tokio::test]
async fn nobody_becomes_somebody_who_is_here_already_by_their_name_there() {
    let (world, issuer) = worlds().await;
    world.person("grace", PortalRole::Admin).await;
    let reply = come(&mut world.browser(), &issuer, json!({})).await;
    assert_eq!((reply.status, reply.cookie("lockgate")), (403, None), "{}", reply.body);
    // One that was made for it, and has nothing to log in with, is theirs.
    let wanted = lockgate::people::accounts::Wanted {
        name: "heidi".into(),
        role: PortalRole::Viewer,
        groups: Default::default(),
        os_user: Some("hl".into()),
        email: None,
    };
    world.people().create(wanted, "tests").await.expect("an account");
    let heidi = json!({ "sub": "u-2", "preferred_username": "heidi" });
    assert_eq!(come(&mut world.browser(), &issuer, heidi.clone()).await.status, 303);
    let account = world.people().one("heidi").await.expect("an account");
    assert_eq!((account.os_user.as_deref(), account.has_identity), (Some("hl"), true));
    // And from then on nobody else's, though they have taken the name over there.
    let other = json!({ "sub": "u-3", "preferred_username": "heidi" });
    assert_eq!(come(&mut world.browser(), &issuer, other).await.status, 403);
    world.people().disable("heidi", "", "tests").await.expect("disabled");
    assert_eq!(come(&mut world.browser(), &issuer, heidi).await.status, 403);
}

#[tokio::test]
async fn a_session_is_as_fresh_as_the_issuer_says() {
    let (world, issuer) = worlds().await;
    let now = jiff::Timestamp::now().as_second();
    let fresh = |browser: &Browser| {
        let secret = lockgate::people::Secret::presented(&browser.jar["lockgate"]).expect("a secret");
        let people = world.people();
        async move {
            let (session, _) = people.behind(&secret).await.expect("the store").expect("a session");
            people.is_fresh(&session)
        }
    };
    for (auth_time, is_fresh) in
        [(json!(now), true), (json!(now - 3600), false), (Value::Null, false), (json!(now + 9_999_999), true)]
    {
        let mut browser = world.browser();
        let reply = come(&mut browser, &issuer, json!({ "auth_time": auth_time })).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        assert_eq!(fresh(&browser).await, is_fresh, "{auth_time}");
    }
    // Showing it again: the issuer is told to ask, and must say that it did, of the same person.
    let mut browser = world.browser();
    come(&mut browser, &issuer, json!({ "auth_time": now - 3600 })).await;
    let sent = browser.get("/login/company?next=/account").await;
    let asked = query(sent.to());
    assert_eq!((asked["max_age"].as_str(), asked["prompt"].as_str()), ("0", "login"));
    let mut elsewhere = browser.clone();
    let reply = browser.get(&issuer.log_in(sent.to(), json!({ "auth_time": now - 3600 }))).await;
    assert_eq!(reply.status, 422, "it asked nobody");
    let sent = elsewhere.get("/login/company").await;
    let other = json!({ "sub": "u-9", "preferred_username": "mallory" });
    assert_eq!(elsewhere.get(&issuer.log_in(sent.to(), other)).await.status, 422, "somebody else");
    let sent = browser.get("/login/company?next=/account").await;
    assert_eq!(browser.get(&issuer.log_in(sent.to(), json!({}))).await.status, 303);
    assert!(fresh(&browser).await);
}

#[tokio::test]
async fn the_last_administrator_stays_one_whatever_the_issuer_says() {
    let (world, issuer) = worlds().await;
    assert_eq!(come(&mut world.browser(), &issuer, json!({ "groups": ["root"] })).await.status, 303);
    let account = world.people().one("grace").await.expect("an account");
    let change = AccountChange { role: PortalRole::Viewer, ..AccountChange::of(&account) };
    assert!(world.people().change("grace", change, "tests").await.is_err());
    assert_eq!(come(&mut world.browser(), &issuer, json!({})).await.status, 422);
    assert_eq!(world.people().one("grace").await.expect("an account").role, PortalRole::Admin);
}
