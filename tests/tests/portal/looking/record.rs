//! The record's page: it verifies when it is asked to, and says what it found.

use std::time::{Duration, Instant};

use super::{host, page};
use crate::browser::Browser;

/// Waits until a verification has ended, and returns the page.
async fn verified(browser: &mut Browser) -> String {
    let began = Instant::now();
    loop {
        let body = page(browser, "/record").await;
        if !body.contains("Under way since") && body.contains("Confirmed from outside") {
            return body;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_is_verified_when_somebody_asks_and_what_was_changed_is_found() {
    let host = host().await;
    let mut vera = host.person("vera", "viewer", &[]).await;
    let body = page(&mut vera, "/record").await;
    let key = lockgate::startup::record_public_key(&host.site.config()).expect("the key").to_string();
    for part in [
        "Not verified since this process began",
        "Lines are durable before anything is done",
        "lockgate started",
        &super::escaped(&key),
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    // Looking begins nothing; nor does a form without its token.
    assert_eq!(vera.get("/record/verify").await.status, 405);
    assert_eq!(vera.post("/record/verify", "0000", &[]).await.status, 403);
    assert!(page(&mut vera, "/record").await.contains("Not verified since"));
    assert_eq!(vera.submit("/record", "/record/verify", &[]).await.status, 303);
    let body = verified(&mut vera).await;
    assert!(body.contains("state-good\">intact") && body.contains("for vera"), "{body}");

    // One character of an early line, in place: nobody who only appends notices.
    let segment = host.site.config().record_dir().join("record-00000001.jsonl");
    let text = std::fs::read_to_string(&segment).expect("a segment");
    assert!(text.contains("\"account\":\"vera\""));
    std::fs::write(&segment, text.replacen("\"account\":\"vera\"", "\"account\":\"vira\"", 1)).expect("changed");
    let began = Instant::now();
    let body = loop {
        assert_eq!(vera.submit("/record", "/record/verify", &[]).await.status, 303);
        let body = verified(&mut vera).await;
        if body.contains("not intact") {
            break body;
        }
        // Right after one that ended, its result stands for a while.
        assert!(began.elapsed() < Duration::from_secs(60), "{body}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert!(body.contains("first bad line") && body.contains("Somebody or something changed it"), "{body}");
}
