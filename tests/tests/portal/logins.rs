//! Logging in with a password: what is answered to whom, how often, and what is on the record of it.

use lockgate::{portal::Proxies, store::PortalRole};

use crate::{
    browser::encoded,
    world::{Made, PASSWORD, World},
};

#[tokio::test]
async fn a_wrong_password_no_account_and_a_disabled_one_are_answered_alike() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    world.person("gone", PortalRole::Viewer).await;
    world.people().disable("gone", "has left", "tests").await.expect("disabled");
    let mut answers = Vec::new();
    for (name, password) in [
        ("grace", "not the password at all"),
        ("nobody", PASSWORD),
        ("gone", PASSWORD),
        ("gone", "not the password at all"),
        ("", ""),
        ("grace", &"x".repeat(2000)),
    ] {
        let reply = world.browser().log_in(name, password).await;
        assert_eq!((reply.status, reply.cookie("lockgate")), (401, None), "{name}");
        let body = reply.body.replace(&format!("value=\"{name}\""), "value=\"\"");
        answers.push(body.split_once("<main").expect("a page").1.replace(&reply.field("csrf").expect("a token"), ""));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    let whys: Vec<_> =
        world.lines("login.failed").iter().map(|line| (line["account"].clone(), line["why"].clone())).collect();
    let expected = [
        ("grace", "wrong password"),
        ("", "no such account"),
        ("gone", "the account is disabled"),
        ("gone", "wrong password"),
        ("", "no such account"),
        ("grace", "wrong password"),
    ];
    for ((account, why), (name, reason)) in whys.iter().zip(expected) {
        assert_eq!((account.as_str().unwrap_or_default(), why.as_str()), (name, Some(reason)));
    }
    assert!(!world.record().contains("nobody\""), "what was typed is not kept, it may be a password");
}

#[tokio::test]
async fn a_name_is_known_whatever_its_case_and_a_session_says_where_it_began() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let mut browser = world.browser();
    assert_eq!(browser.log_in(" GRACE ", PASSWORD).await.status, 303);
    let lines = world.lines("login");
    let line = lines.last().expect("a line");
    assert_eq!(
        (&line["account"], &line["method"], &line["address"]),
        (&"grace".into(), &"password".into(), &"127.0.0.1".into())
    );
}

#[tokio::test]
async fn guessing_is_slowed_down_and_keeps_nobody_out() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    world.person("heidi", PortalRole::Viewer).await;
    let mut hers = world.logged_in("grace").await;
    hers.submit("/account", "/logout", &[]).await;
    let mut refused = None;
    for n in 0..40 {
        let reply = world.browser().log_in("grace", "a guess that is long enough").await;
        if reply.status == 429 {
            let wait: u64 = reply.header("retry-after").expect("a time").parse().expect("seconds");
            assert!((1..=60).contains(&wait), "{wait}");
            refused = Some(n);
            break;
        }
        assert_eq!(reply.status, 401);
    }
    assert!(refused.is_some_and(|n| (15..=25).contains(&n)), "{refused:?}");
    assert_eq!(
        world.browser().log_in("grace", PASSWORD).await.status,
        429,
        "not with the right one either, from a stranger"
    );
    assert_eq!(world.browser().log_in("nobody-there", "whatever it may be").await.status, 401, "others have their own");
    assert_eq!(world.browser().log_in("heidi", PASSWORD).await.status, 303);
    assert_eq!(hers.log_in("grace", PASSWORD).await.status, 303, "she comes in with her own browser");
}

#[tokio::test]
async fn guessing_at_many_from_one_place_is_slowed_down_and_the_record_stays_short() {
    let made = Made { proxies: Proxies::new(vec!["127.0.0.1".parse().expect("an address")]), ..Made::default() };
    let world = World::made(made).await;
    let attempt = async |n: usize, from: &str| {
        let mut browser = world.browser();
        let token = browser.get("/login").await.field("csrf").expect("a token");
        let origin = browser.origin.clone();
        let headers = [("Origin", origin.as_str()), ("X-Forwarded-For", from)];
        // Longer than any password: refused without a hash, so that this test is about counting.
        let long = "x".repeat(1100);
        let body = encoded(&[("csrf", &token), ("name", &format!("user{n}")), ("password", &long)]);
        browser.send("POST", "/login", &headers, &body).await.status
    };
    let mut told = 0;
    for n in 0..300 {
        told += usize::from(attempt(n, "198.51.100.7").await == 429);
    }
    assert!((1..=60).contains(&told), "{told}");
    assert_eq!(attempt(1000, "198.51.100.8").await, 401, "another place has its own");
    let mut refused = 0;
    for n in 0..20 {
        refused += usize::from(attempt(2000 + n, &format!("203.0.113.{n}, 198.51.100.7")).await == 429);
    }
    assert!(refused > 0, "what a client makes up does not count");
    let lines = world.lines("login.failed");
    assert!(lines.len() < 150, "{}", lines.len());
    assert!(lines.iter().all(|line| line["account"].is_null()));
}
