//! Links that can be used once.

use lockgate::{
    people::{Origin, links::MadeLink},
    store::PortalRole,
};

use crate::world::{PASSWORD, World};

async fn setup(world: &World) -> MadeLink {
    world.people().setup_link().await.expect("the store").expect("a link")
}

#[tokio::test]
async fn the_first_administrator_is_made_with_the_link_and_only_once() {
    let world = World::new().await;
    let link = setup(&world).await;
    let path = link.path(true);
    let fields = [("name", "Grace"), ("password", PASSWORD), ("again", PASSWORD)];
    // Programs that preview links look at them, as often as they like.
    for _ in 0..3 {
        assert_eq!(world.browser().get(&path).await.status, 200);
    }
    let mut browser = world.browser();
    for wrong in [
        [("name", "Grace"), ("password", "short"), ("again", "short")],
        [("name", "Grace"), ("password", PASSWORD), ("again", "another phrase that is long")],
        [("name", "gra ce"), ("password", PASSWORD), ("again", PASSWORD)],
    ] {
        assert_eq!(browser.submit(&path, &path, &wrong).await.status, 422, "{wrong:?}");
    }
    let token = browser.get(&path).await.field("csrf").expect("a token");
    let reply = browser.post(&path, &token, &fields).await;
    assert_eq!((reply.status, reply.to()), (303, "/account"), "{}", reply.body);
    assert!(browser.get("/account").await.body.contains("Welcome, grace"));
    assert_eq!(world.people().one("grace").await.expect("an account").role, PortalRole::Admin);
    // A second time: neither to look at nor to send, by anybody.
    assert_eq!(world.browser().get(&path).await.status, 410);
    let mut other = world.browser();
    let token = other.get("/login").await.field("csrf").expect("a token");
    let again = [("name", "mallory"), ("password", PASSWORD), ("again", PASSWORD)];
    assert_eq!(other.post(&path, &token, &again).await.status, 410);
    assert!(world.people().setup_link().await.expect("the store").is_none(), "no further link is made");
    assert_eq!(world.people().all().await.expect("accounts").len(), 1);
    assert!(!world.record().contains(link.secret.reveal()), "the link is not on the record");
    assert_eq!(world.lines("account.created")[0]["by"], "setup link");
}

#[tokio::test]
async fn a_link_does_not_outlive_its_time_a_newer_one_or_the_first_account() {
    let world = World::new().await;
    let first = setup(&world).await;
    let second = setup(&world).await;
    assert_eq!(world.browser().get(&first.path(true)).await.status, 410, "replaced");
    world.pass(24 * 60 * 60);
    assert_eq!(world.browser().get(&second.path(true)).await.status, 410, "over");
    let third = setup(&world).await;
    let mut late = world.browser();
    let token = late.get(&third.path(true)).await.field("csrf").expect("a token");
    world.person("heidi", PortalRole::Viewer).await;
    let fields = [("name", "mallory"), ("password", PASSWORD), ("again", PASSWORD)];
    let reply = late.post(&third.path(true), &token, &fields).await;
    assert!(matches!(reply.status, 403 | 410), "{}: there is an account by now", reply.status);
    assert!(world.people().one("mallory").await.is_err());
}

#[tokio::test]
async fn a_link_sets_one_persons_password_and_ends_what_they_had_open() {
    let world = World::new().await;
    world.person("grace", PortalRole::Admin).await;
    let mut before = world.logged_in("grace").await;
    let made = world.people().password_link("grace", "tests").await.expect("a link");
    assert_eq!(before.get("/account").await.status, 200, "a link that is made changes nothing yet");
    let path = made.path(false);
    assert_eq!(world.browser().get(&made.path(true)).await.status, 410, "it is no setup link");
    let chosen = "another phrase of some length";
    let mut browser = world.browser();
    let reply = browser.submit(&path, &path, &[("password", chosen), ("again", chosen)]).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert_eq!(before.get("/account").await.status, 303);
    assert_eq!(world.browser().log_in("grace", PASSWORD).await.status, 401);
    assert_eq!(world.browser().get(&path).await.status, 410);
    assert_eq!(world.lines("account.password_changed").len(), 2, "of the tests' own link, and of this one");
}

#[tokio::test]
async fn two_who_use_one_link_at_once_are_one() {
    let world = World::new().await;
    world.person("grace", PortalRole::Admin).await;
    let made = world.people().password_link("grace", "tests").await.expect("a link");
    let from = Origin::default();
    let (one, other) = tokio::join!(
        world.people().use_link(&made.secret, "the first phrase of two".into(), &from),
        world.people().use_link(&made.secret, "the second phrase of two".into(), &from),
    );
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1);
    let works = if one.is_ok() { "the first phrase of two" } else { "the second phrase of two" };
    assert_eq!(world.browser().log_in("grace", works).await.status, 303);
}

#[tokio::test]
async fn who_is_disabled_has_no_link_and_is_made_none() {
    let world = World::new().await;
    world.person("root", PortalRole::Admin).await;
    world.person("grace", PortalRole::Viewer).await;
    let made = world.people().password_link("grace", "tests").await.expect("a link");
    world.people().disable("grace", "", "tests").await.expect("disabled");
    assert_eq!(world.browser().get(&made.path(false)).await.status, 410);
    assert!(world.people().password_link("grace", "tests").await.is_err());
    world.people().enable("grace", "tests").await.expect("enabled");
    assert_eq!(world.browser().get(&made.path(false)).await.status, 410, "it stays withdrawn");
}
