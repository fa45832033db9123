//! What each role may do, and that nobody gets further: by address, by form, by role, or by being the last administrator.

use lockgate::store::{AccountChange, PortalRole};

use crate::world::World;

/// What only an administrator may send, and with what.
const FORMS: [(&str, &[(&str, &str)]); 8] = [
    ("/accounts", &[("name", "mallory2"), ("role", "admin")]),
    ("/accounts/mallory", &[("role", "admin"), ("groups", "dba")]),
    ("/accounts/root/link", &[]),
    ("/accounts/root/disable", &[("reason", "mine now")]),
    ("/accounts/root/enable", &[]),
    ("/accounts/root/sessions/end", &[]),
    ("/accounts/root/passkeys/remove", &[("id", "pky_1")]),
    ("/accounts/root/tokens/end", &[("id", "cli_1")]),
];

#[tokio::test]
async fn nobody_takes_a_step_up() {
    let world = World::new().await;
    world.person("root", PortalRole::Admin).await;
    world.person("mallory", PortalRole::Viewer).await;
    let mut root = world.logged_in("root").await;
    for role in [None, Some(PortalRole::Viewer), Some(PortalRole::Approver)] {
        if let Some(role) = role {
            let account = world.people().one("mallory").await.expect("an account");
            let change = AccountChange { role, ..AccountChange::of(&account) };
            world.people().change("mallory", change, "tests").await.expect("changed");
        }
        let mut browser = if role.is_some() { world.logged_in("mallory").await } else { world.browser() };
        let home = if role.is_some() { "/account" } else { "/login" };
        let expected = if role.is_some() { 403 } else { 303 };
        for page in ["/accounts", "/accounts/mallory", "/accounts/root"] {
            let reply = browser.get(page).await;
            assert_eq!(reply.status, expected, "{role:?} {page}");
            assert!(!reply.body.contains("root"), "{role:?} {page}: who else there is, is not theirs to know");
        }
        for (action, fields) in FORMS {
            let token = browser.get(home).await.field("csrf").expect("a token");
            let reply = browser.post(action, &token, fields).await;
            assert_eq!(reply.status, expected, "{role:?} {action}");
        }
        let accounts = world.people().all().await.expect("accounts");
        assert_eq!(accounts.len(), 2, "{role:?}");
        assert!(accounts.iter().all(|a| a.disabled.is_none()), "{role:?}");
        let mallory = accounts.iter().find(|a| a.name == "mallory").expect("mallory");
        assert_eq!((mallory.role, mallory.groups.len()), (role.unwrap_or(PortalRole::Viewer), 0));
        assert_eq!(root.get("/account").await.status, 200, "{role:?}");
    }
    // What the way around shows is not what keeps anybody out, but it is not there either.
    let page = world.logged_in("mallory").await.get("/account").await.body;
    assert!(!page.contains("href=\"/accounts\""));
    assert!(root.get("/account").await.body.contains("href=\"/accounts\""));
}

#[tokio::test]
async fn one_account_may_not_be_reached_through_ones_own() {
    let world = World::new().await;
    world.person("root", PortalRole::Admin).await;
    world.person("mallory", PortalRole::Approver).await;
    let mut browser = world.logged_in("mallory").await;
    // More fields than the form has, and one's own role among them.
    let chosen = "another phrase of some length";
    let fields = [("password", chosen), ("again", chosen), ("name", "root"), ("role", "admin"), ("account", "root")];
    assert_eq!(browser.submit("/account", "/account/password", &fields).await.status, 303);
    assert_eq!(world.browser().log_in("root", chosen).await.status, 401);
    assert_eq!(world.people().one("mallory").await.expect("an account").role, PortalRole::Approver);
}

#[tokio::test]
async fn whoever_may_do_other_things_than_before_logs_in_again() {
    let world = World::new().await;
    world.person("root", PortalRole::Admin).await;
    world.person("grace", PortalRole::Admin).await;
    let (mut root, mut grace) = (world.logged_in("root").await, world.logged_in("grace").await);
    let fields = [("role", "viewer"), ("groups", "dba, oncall")];
    let reply = root.submit("/accounts/grace", "/accounts/grace", &fields).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert_eq!(grace.get("/accounts").await.status, 303, "logged out");
    let mut grace = world.logged_in("grace").await;
    assert_eq!(grace.get("/accounts").await.status, 403);
    let line = &world.lines("account.changed")[0];
    assert_eq!((&line["account"], &line["by"]), (&"grace".into(), &"root".into()));
    assert_eq!((&line["from"]["role"], &line["to"]["role"]), (&"admin".into(), &"viewer".into()));
    assert_eq!(line["to"]["groups"], serde_json::json!(["dba", "oncall"]));
    // A change of nothing that matters here ends nothing.
    let same = [("role", "viewer"), ("groups", "oncall,dba"), ("email", "g@corp.example")];
    assert_eq!(root.submit("/accounts/grace", "/accounts/grace", &same).await.status, 303);
    assert_eq!(grace.get("/account").await.status, 200);
}

#[tokio::test]
async fn a_host_keeps_an_administrator_who_can_log_in() {
    let world = World::new().await;
    world.person("root", PortalRole::Admin).await;
    let mut root = world.logged_in("root").await;
    // One who has nothing to log in with does not count.
    assert_eq!(root.submit("/accounts", "/accounts", &[("name", "paper"), ("role", "admin")]).await.status, 200);
    for (action, fields) in
        [("/accounts/root", &[("role", "viewer")][..]), ("/accounts/root/disable", &[("reason", "oops")])]
    {
        let reply = root.submit("/accounts/root", action, fields).await;
        assert_eq!(reply.status, 422, "{action}: {}", reply.body);
        assert!(reply.body.contains("last administrator"), "{}", reply.body);
    }
    assert_eq!(root.get("/accounts").await.status, 200);
    world.person("grace", PortalRole::Admin).await;
    assert_eq!(root.submit("/accounts/root", "/accounts/root", &[("role", "viewer")]).await.status, 303);
}

#[tokio::test]
async fn one_name_is_one_person() {
    let world = World::new().await;
    world.person("root", PortalRole::Admin).await;
    let mut root = world.logged_in("root").await;
    let grace = [("name", "grace"), ("role", "viewer"), ("os_user", "gh"), ("email", "Grace@Corp.example")];
    assert_eq!(root.submit("/accounts", "/accounts", &grace).await.status, 200);
    for other in [
        [("name", "GRACE"), ("role", "viewer"), ("os_user", ""), ("email", "")],
        [("name", "gh"), ("role", "viewer"), ("os_user", ""), ("email", "")],
        [("name", "heidi"), ("role", "viewer"), ("os_user", "Grace"), ("email", "")],
        [("name", "heidi"), ("role", "viewer"), ("os_user", "GH"), ("email", "")],
        [("name", "heidi"), ("role", "viewer"), ("os_user", ""), ("email", "grace@corp.EXAMPLE")],
        [("name", "grace@corp.example"), ("role", "viewer"), ("os_user", ""), ("email", "")],
        [("name", "heidi"), ("role", "god"), ("os_user", ""), ("email", "")],
    ] {
        let reply = root.submit("/accounts", "/accounts", &other).await;
        assert_eq!(reply.status, 422, "{other:?}: {}", reply.body);
    }
    let names: Vec<String> = world.people().all().await.expect("accounts").into_iter().map(|a| a.name).collect();
    assert_eq!(names, ["grace", "root"]);
    let groups = [("name", "heidi"), ("role", "viewer"), ("groups", "dba, admin")];
    let reply = root.submit("/accounts", "/accounts", &groups).await;
    assert!(reply.status == 422 && reply.body.contains("is a portal role"), "{}", reply.body);
}

#[tokio::test]
async fn who_is_disabled_is_out_at_once() {
    let world = World::new().await;
    world.person("root", PortalRole::Admin).await;
    world.person("grace", PortalRole::Approver).await;
    let (mut root, mut grace) = (world.logged_in("root").await, world.logged_in("grace").await);
    let reply = root.submit("/accounts/grace", "/accounts/grace/disable", &[("reason", "has left")]).await;
    assert_eq!(reply.status, 303);
    assert_eq!(grace.get("/account").await.status, 303);
    assert_eq!(world.browser().log_in("grace", crate::world::PASSWORD).await.status, 401);
    assert_eq!(world.lines("account.disabled")[0]["reason"], "has left");
    assert_eq!(root.submit("/accounts/grace", "/accounts/grace/enable", &[]).await.status, 303);
    assert_eq!(grace.get("/account").await.status, 303, "what had ended has ended");
    world.logged_in("grace").await;
}
