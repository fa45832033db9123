//! The portal without a mouse, and without scripts.

use std::time::Instant;

use lockgate_tests::site::ended;
use serde_json::Value as Json;

use super::{
    chromium::Chromium,
    tab::{DESK, PHONE, Tab},
};
use crate::{
    host::{Host, PATIENCE, gone},
    world::PASSWORD,
};

/// No page has more that can have the focus before what it is for.
const MOST: usize = 40;

/// Presses Tab until what has the focus has these words; all that had it on the way was to be seen.
async fn tabs_to(tab: &Tab, words: &str) {
    let mut way = Vec::new();
    for _ in 0..MOST {
        tab.press("Tab").await;
        let focused = tab.focused().await;
        assert_eq!(focused["visible"], true, "the focus can't be seen: {focused}, after {way:?}");
        if focused["words"] == words {
            return;
        }
        way.push(focused["words"].clone());
    }
    panic!("{words:?} can't be reached: {way:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_decided_with_the_keyboard_alone() {
    let host = Host::new("carts", None, "").await;
    host.person("grace", "approver", &[]).await;
    let victim = host.victim("dead-migration").await;
    let id = host.asked(victim.pid).await;
    let chromium = Chromium::start(&host);
    let tab = chromium.tab(DESK).await;
    tab.open("/login").await;
    // The first field has the focus by itself, as soon as the page is drawn.
    let until = Instant::now() + PATIENCE;
    while tab.focused().await["words"] != "Name" {
        assert!(Instant::now() < until, "nothing has the focus: {}", tab.focused().await);
    }
    tab.types("grace").await;
    tab.press("Tab").await;
    assert_eq!(tab.focused().await["words"], "Password");
    tab.types(PASSWORD).await;
    tab.press("Enter").await;
    tab.says("Waiting for a decision").await;

    tab.press("Tab").await;
    let first: Json = tab.focused().await;
    assert_eq!((&first["words"], &first["visible"]), (&"Skip to the content".into(), &true.into()), "{first}");
    tab.press("Enter").await;
    assert_eq!(tab.focused().await["id"], "main", "past the way around");
    tab.press("Tab").await;
    assert_eq!(tab.focused().await["words"], "postgres.terminate_backend on carts", "the request is next");
    tab.press("Enter").await;
    tab.arrives(&format!("/approvals/{id}")).await;
    tab.press("Tab").await;
    tab.press("Enter").await;
    tab.press("Tab").await;
    assert_eq!(tab.focused().await["words"], "Approve…", "what the page is for comes first");
    tab.press("Enter").await;
    tab.says("Looked at just now").await;
    tabs_to(&tab, "Reason (optional)").await;
    tab.types("Seen on the pager").await;
    tabs_to(&tab, "Approve this, once").await;
    tab.press("Enter").await;
    ended(&host.gate, &id).await.expect("it ran");
    gone(victim.pid).await;
    tab.says("It ran and succeeded").await;
    tab.was_quiet().await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_focus_stays_where_it_was_when_a_part_of_the_page_arrives() {
    let host = Host::new("prices", None, "").await;
    host.person("grace", "approver", &[]).await;
    let (one, other) = (host.victim("one").await, host.victim("other").await);
    let id = host.asked(one.pid).await;
    let chromium = Chromium::start(&host);
    let tab = chromium.person("grace", DESK).await;
    tab.says("Live").await;
    tabs_to(&tab, "postgres.terminate_backend on prices").await;
    let held = tab.focused().await;
    assert_eq!(held["id"], format!("in-{id}"), "{held}");
    host.asked(other.pid).await;
    let until = Instant::now() + PATIENCE;
    while !tab.title().await.starts_with("(2)") {
        assert!(Instant::now() < until, "the other one never arrives: {}", tab.text().await);
    }
    assert_eq!(tab.focused().await, held);
    tab.was_quiet().await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_decided_without_scripts() {
    let host = Host::new("tickets", None, "").await;
    host.person("grace", "approver", &[]).await;
    let chromium = Chromium::start(&host);
    let tab = chromium.person("grace", PHONE.without_scripts()).await;
    tab.says("Nothing waits").await;
    let victim = host.victim("dead-migration").await;
    let id = host.asked(victim.pid).await;
    tab.comes_to_say("postgres.terminate_backend on tickets").await;
    tab.follow("postgres.terminate_backend on tickets").await;
    tab.arrives(&format!("/approvals/{id}")).await;
    tab.follow("Approve…").await;
    tab.says("Looked at just now").await;
    tab.fill("Reason", "Seen on the pager").await;
    tab.click("Approve this, once").await;
    ended(&host.gate, &id).await.expect("it ran");
    gone(victim.pid).await;
    tab.comes_to_say("It ran and succeeded").await;
    let text = tab.text().await;
    assert!(text.contains("Seen on the pager") && !text.contains("Connecting"), "{text}");
    for path in ["/runs", "/record", "/policy", "/account"] {
        assert_eq!(tab.open(path).await, 200, "{path}");
    }
    tab.open("/record").await;
    tab.click("Verify now").await;
    tab.comes_to_say("Every line is as it was written").await;
    tab.click("Log out").await;
    tab.arrives("/login").await;
    tab.was_quiet().await;
    host.close().await;
}
