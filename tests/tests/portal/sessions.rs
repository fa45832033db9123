//! Sessions: that none can be planted, that they end when they should, and that what they are good for is shown afresh.

use lockgate::store::PortalRole;

use crate::world::{PASSWORD, World};

#[tokio::test]
async fn a_session_that_somebody_planted_is_never_taken_up() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    world.person("mallory", PortalRole::Viewer).await;
    // One that nobody made.
    let planted = "A".repeat(43);
    let mut browser = world.browser();
    browser.jar.insert("lockgate".into(), planted.clone());
    assert_eq!(browser.get("/account").await.status, 303);
    assert_eq!(browser.log_in("grace", PASSWORD).await.status, 303);
    assert_ne!(browser.jar["lockgate"], planted);
    assert_eq!(world.behind(&planted).await, None);
    // The attacker's own: the victim's login ends it, and does not become it.
    let theirs = world.logged_in("mallory").await.jar["lockgate"].clone();
    let mut browser = world.browser();
    browser.jar.insert("lockgate".into(), theirs.clone());
    let page = browser.get("/account").await;
    assert!(page.body.contains("mallory"), "that much a planted session does");
    browser.jar.remove("lockgate");
    browser.get("/login").await;
    browser.jar.insert("lockgate".into(), theirs.clone());
    let token = browser.get("/account").await.field("csrf").expect("a token");
    let reply = browser.post("/login", &token, &[("name", "grace"), ("password", PASSWORD)]).await;
    assert_eq!(reply.status, 303);
    assert_eq!(world.behind(&theirs).await, None, "the planted one has ended");
    assert_eq!(world.behind(&browser.jar["lockgate"]).await.as_deref(), Some("grace"));
    // And what stood for the visit before the login stands for nothing after it.
    assert!(!browser.jar.contains_key("lockgate-visit"));
}

#[tokio::test]
async fn a_session_changes_its_secret_at_each_login_and_confirmation() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let mut browser = world.logged_in("grace").await;
    let first = browser.jar["lockgate"].clone();
    world.pass(16 * 60);
    let reply = browser.submit("/confirm", "/confirm", &[("password", PASSWORD), ("next", "/account")]).await;
    assert_eq!((reply.status, reply.to()), (303, "/account"));
    let second = browser.jar["lockgate"].clone();
    assert_ne!(first, second);
    assert_eq!((world.behind(&first).await, world.behind(&second).await.as_deref()), (None, Some("grace")));
    let chosen = "another phrase of some length";
    let reply = browser.submit("/account", "/account/password", &[("password", chosen), ("again", chosen)]).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    let third = browser.jar["lockgate"].clone();
    assert_eq!((world.behind(&second).await, world.behind(&third).await.as_deref()), (None, Some("grace")));
    assert_ne!(world.lines("login")[0]["session"], "", "sessions are named on the record");
    let record = world.record();
    for secret in [first, second, third, PASSWORD.to_owned(), chosen.to_owned()] {
        assert!(!record.contains(&secret), "no secret is on the record");
    }
}

#[tokio::test]
async fn a_session_that_is_not_used_ends_and_one_that_is_goes_on_until_its_last_hour() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let mut idle = world.logged_in("grace").await;
    world.pass(60 * 60 - 1);
    assert_eq!(idle.get("/account").await.status, 200, "used a second before its end");
    world.pass(60 * 60);
    assert_eq!(idle.get("/account").await.status, 303, "not used for an hour");

    let mut used = world.logged_in("grace").await;
    for _ in 0..23 {
        world.pass(30 * 60);
        assert_eq!(used.get("/account").await.status, 200);
    }
    world.pass(30 * 60);
    assert_eq!(used.get("/account").await.status, 303, "twelve hours after the login");
}

#[tokio::test]
async fn looking_whether_a_session_goes_on_does_not_keep_it_going() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let browser = world.logged_in("grace").await;
    let secret = lockgate::people::Secret::presented(&browser.jar["lockgate"]).expect("a secret");
    let (session, _) = world.people().behind(&secret).await.expect("the store").expect("a session");
    for _ in 0..6 {
        world.pass(10 * 60 - 1);
        assert!(world.people().goes_on(&session.id).await.expect("the store"));
    }
    world.pass(10);
    assert!(!world.people().goes_on(&session.id).await.expect("the store"));
}

#[tokio::test]
async fn a_session_ends_at_logout_and_its_cookie_opens_nothing_any_more() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let mut browser = world.logged_in("grace").await;
    let kept = browser.clone();
    let reply = browser.submit("/account", "/logout", &[]).await;
    assert_eq!((reply.status, reply.to()), (303, "/login"));
    assert!(!browser.jar.contains_key("lockgate"));
    assert_eq!(kept.clone().get("/account").await.status, 303, "not with a copy of it either");
    assert_eq!(world.lines("logout").last().expect("a line")["account"], "grace");
}

#[tokio::test]
async fn whoever_changes_their_password_is_logged_out_everywhere_else() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let (mut one, mut other) = (world.logged_in("grace").await, world.logged_in("grace").await);
    let chosen = "another phrase of some length";
    let reply = one.submit("/account", "/account/password", &[("password", chosen), ("again", chosen)]).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert_eq!(one.get("/account").await.status, 200);
    assert_eq!(other.get("/account").await.status, 303);
    assert_eq!(world.browser().log_in("grace", PASSWORD).await.status, 401);
    assert_eq!(world.browser().log_in("grace", chosen).await.status, 303);
}

#[tokio::test]
async fn people_see_their_sessions_and_end_them_and_nobody_elses() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    world.person("mallory", PortalRole::Viewer).await;
    let (mut one, mut other) = (world.logged_in("grace").await, world.logged_in("grace").await);
    let mut third = world.logged_in("grace").await;
    let id = one.get("/account").await.field("session").expect("another session");
    let mut mallory = world.logged_in("mallory").await;
    let reply = mallory.submit("/account", "/account/sessions/end", &[("session", &id)]).await;
    assert_eq!(reply.status, 303);
    let open = async || world.people().sessions_of("grace").await.expect("sessions").len();
    assert_eq!(open().await, 3);
    assert_eq!(one.submit("/account", "/account/sessions/end", &[("session", &id)]).await.status, 303);
    assert_eq!(open().await, 2);
    assert_eq!(one.submit("/account", "/account/sessions/end-others", &[]).await.status, 303);
    assert_eq!(open().await, 1);
    assert_eq!(one.get("/account").await.status, 200);
    assert_eq!((other.get("/account").await.status, third.get("/account").await.status), (303, 303));
}

#[tokio::test]
async fn what_matters_asks_for_a_login_that_is_not_long_ago_and_does_nothing_before() {
    let world = World::new().await;
    world.person("grace", PortalRole::Admin).await;
    let mut browser = world.logged_in("grace").await;
    world.pass(15 * 60);
    let fields = [("name", "heidi"), ("role", "viewer")];
    let reply = browser.submit("/accounts", "/accounts", &fields).await;
    assert_eq!((reply.status, reply.to()), (303, "/confirm?next=/accounts"));
    assert_eq!(world.people().all().await.expect("accounts").len(), 1, "nothing was done");
    let wrong =
        browser.submit("/confirm", "/confirm", &[("password", "not it, not it, not it"), ("next", "/accounts")]).await;
    assert_eq!(wrong.status, 401);
    let reply =
        browser.submit("/confirm?next=/accounts", "/confirm", &[("password", PASSWORD), ("next", "/accounts")]).await;
    assert_eq!((reply.status, reply.to()), (303, "/accounts"));
    let page = browser.get("/accounts").await.body;
    assert!(page.contains("Nothing was done meanwhile"), "{page}");
    assert!(!browser.get("/accounts").await.body.contains("Nothing was done meanwhile"), "said once");
    assert_eq!(browser.submit("/accounts", "/accounts", &fields).await.status, 200);
}

#[tokio::test]
async fn a_notice_is_only_what_the_portal_said_to_this_very_session() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let mut browser = world.logged_in("grace").await;
    let reply = browser.submit("/account", "/account/sessions/end-others", &[]).await;
    let notice =
        reply.cookie("lockgate-flash").expect("a notice").split([';', '=']).nth(1).expect("a value").to_owned();
    let mut other = world.logged_in("grace").await;
    for forged in [notice.clone(), "ZG9uZTpZb3UgYXJlIGhhY2tlZA.AAAA".into(), "x".into(), ".".into()] {
        other.jar.insert("lockgate-flash".into(), forged);
        let page = other.get("/account").await.body;
        assert!(!page.contains("class=\"notice"), "{page}");
    }
    assert!(browser.get("/account").await.body.contains("Sessions ended: 0."));
}
