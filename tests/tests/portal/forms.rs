//! Forms of others (CSRF), open redirects, and what is written back into pages (XSS).

use lockgate::store::PortalRole;

use crate::{
    browser::encoded,
    world::{PASSWORD, World},
};

/// A form that would make an account, sent by whoever is logged in as an administrator.
const ATTACK: [(&str, &str); 2] = [("name", "mallory"), ("role", "admin")];

async fn has_mallory(world: &World) -> bool {
    world.people().all().await.expect("accounts").iter().any(|account| account.name == "mallory")
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let world = World::new().await;
    world.person("grace", PortalRole::Admin).await;
    let mut browser = world.logged_in("grace").await;
    let token = browser.get("/accounts").await.field("csrf").expect("a token");
    let own = browser.origin.clone();
    let with = |token: &str| encoded(&[&[("csrf", token)][..], &ATTACK].concat());
    let without = encoded(&ATTACK);
    // Another site's page: it has the cookies, and not the token.
    for (headers, body, status) in [
        (vec![("Origin", "https://evil.example")], without.clone(), 403),
        (vec![("Origin", "null")], without.clone(), 403),
        (vec![], without.clone(), 403),
        (vec![("Origin", own.as_str())], without.clone(), 403),
        (vec![("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")], with(""), 403),
        (vec![("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")], with("0000"), 403),
        (vec![("Origin", own.as_str())], format!("{}&csrf={token}", with("x")), 403),
        // With the token too, as if it had leaked: where the form was still counts.
        (vec![("Origin", "https://evil.example")], with(&token), 403),
        (vec![("Origin", "null")], with(&token), 403),
        (vec![], with(&token), 403),
        (vec![("Origin", own.as_str()), ("Sec-Fetch-Site", "cross-site")], with(&token), 403),
        (vec![("Origin", own.as_str()), ("Sec-Fetch-Site", "same-site")], with(&token), 403),
        (vec![("Sec-Fetch-Site", "none")], with(&token), 403),
        (vec![("Origin", "http://localhost:1")], with(&token), 403),
        (vec![("Origin", own.as_str()), ("Origin", own.as_str())], with(&token), 400),
    ] {
        let reply = browser.send("POST", "/accounts", &headers, &body).await;
        assert_eq!(reply.status, status, "{headers:?} {body}");
        assert!(!has_mallory(&world).await, "{headers:?} {body}");
    }
    // The token of another session, and of somebody who is not logged in.
    world.person("heidi", PortalRole::Admin).await;
    let theirs = world.logged_in("heidi").await.get("/accounts").await.field("csrf").expect("a token");
    let nobodys = world.browser().get("/login").await.field("csrf").expect("a token");
    for other in [theirs, nobodys] {
        assert_eq!(browser.post("/accounts", &other, &ATTACK).await.status, 403);
        assert!(!has_mallory(&world).await);
    }
    // GET never changes anything.
    let query = format!("/accounts?{}", with(&token));
    assert_eq!(browser.get(&query).await.status, 200);
    assert!(!has_mallory(&world).await);
    // And the form itself does what it says.
    assert_eq!(browser.post("/accounts", &token, &ATTACK).await.status, 200);
    assert!(has_mallory(&world).await);
}

#[tokio::test]
async fn nobody_is_logged_in_as_somebody_else_by_a_form_of_another_site() {
    let world = World::new().await;
    world.person("mallory", PortalRole::Viewer).await;
    let mut browser = world.browser();
    browser.get("/login").await;
    let body = encoded(&[("name", "mallory"), ("password", PASSWORD)]);
    for origin in ["https://evil.example", "null"] {
        let reply = browser.send("POST", "/login", &[("Origin", origin)], &body).await;
        assert_eq!((reply.status, reply.cookie("lockgate")), (403, None));
    }
    // From our own origin, but with the token that mallory's own visit was given.
    let token = world.browser().get("/login").await.field("csrf").expect("a token");
    let reply = browser.post("/login", &token, &[("name", "mallory"), ("password", PASSWORD)]).await;
    assert_eq!((reply.status, reply.cookie("lockgate")), (403, None));
}

#[tokio::test]
async fn a_login_leads_to_a_page_of_ours_and_nowhere_else() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    for (next, to) in [
        ("/account?a=b", "/account?a=b"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("///evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/%0d%0aSet-Cookie:%20a=b", "/%0d%0aSet-Cookie:%20a=b"),
        ("\r\nSet-Cookie: a=b", "/"),
    ] {
        let mut browser = world.browser();
        let page = format!("/login?{}", encoded(&[("next", next)]));
        let shown = browser.get(&page).await.field("next").expect("a field");
        assert_eq!(shown, to, "{next:?}");
        // And whatever the form itself is made to say.
        let fields = [("name", "grace"), ("password", PASSWORD), ("next", next)];
        let reply = browser.submit("/login", "/login", &fields).await;
        assert_eq!((reply.status, reply.to()), (303, to), "{next:?}");
        assert_eq!(reply.cookie("a"), None);
        // Who is logged in already is led on at once, no further.
        assert_eq!(browser.get(&page).await.to(), to, "{next:?}");
    }
}

#[tokio::test]
async fn whoever_is_not_logged_in_is_led_to_it_and_back() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let mut browser = world.browser();
    let reply = browser.get("/account?tab=2").await;
    assert_eq!((reply.status, reply.to()), (303, "/login?next=/account%3Ftab%3D2"));
    let page = reply.to().to_owned();
    let next = browser.get(&page).await.field("next").expect("a field");
    let reply = browser.submit(&page, "/login", &[("name", "grace"), ("password", PASSWORD), ("next", &next)]).await;
    assert_eq!(reply.to(), "/account?tab=2");
}

#[tokio::test]
async fn what_somebody_types_is_text_wherever_it_is_shown() {
    let world = World::new().await;
    world.person("grace", PortalRole::Admin).await;
    let mut browser = world.logged_in("grace").await;
    let evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}'";
    let reflected = [
        browser.submit("/accounts", "/accounts", &[("name", evil), ("role", "viewer"), ("groups", evil)]).await,
        browser
            .submit("/accounts", "/accounts", &[("name", "ok"), ("role", evil), ("email", evil), ("os_user", evil)])
            .await,
        browser.get(&format!("/accounts/{}", encoded(&[("", evil)]).trim_start_matches('='))).await,
        browser.get(&format!("/login?{}", encoded(&[("next", evil)]))).await,
        world.browser().log_in(evil, evil).await,
        browser.get(&format!("/login/company/back?{}", encoded(&[("error", evil)]))).await,
    ];
    for (n, reply) in reflected.iter().enumerate() {
        assert!(!reply.body.contains("<script>alert") && !reply.body.contains("<img src=x"), "{n}: {}", reply.body);
    }
    // And stored: what is kept of a person and of a browser.
    let change = [("role", "admin"), ("groups", "dba"), ("email", "a'b&c@corp.example"), ("os_user", "<b>")];
    assert_eq!(browser.submit("/accounts/grace", "/accounts/grace", &change).await.status, 303);
    let mut other = world.browser();
    let token = other.get("/login").await.field("csrf").expect("a token");
    let origin = other.origin.clone();
    let headers = [("Origin", origin.as_str()), ("User-Agent", "<script>alert(1)</script>")];
    let body = encoded(&[("csrf", &token), ("name", "grace"), ("password", PASSWORD)]);
    assert_eq!(other.send("POST", "/login", &headers, &body).await.status, 303);
    let page = other.get("/account").await.body;
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("&lt;b&gt;") && !page.contains("<b>"), "{page}");
    assert!(page.contains("a'b&amp;c@corp.example"), "{page}");
}
