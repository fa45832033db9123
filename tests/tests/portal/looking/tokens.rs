//! Tokens on the page: made and taken back by administrators alone, shown once, and good at the agents' door for exactly as
//! long.

use std::time::{Duration, Instant};

use super::{host, page};
use crate::browser::Browser;
use crate::host::Host;

/// Whether the agents' door lets a token in: what it makes of a broken message behind the door does not matter.
async fn is_let_in(host: &Host, token: &str) -> bool {
    let mut agent = Browser::new(host.agents, &format!("http://{}", host.agents));
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ];
    agent.send("POST", "/mcp", &headers, "{").await.status != 401
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_shown_once_used_and_taken_back() {
    let host = host().await;
    let mut root = host.person("root", "admin", &[]).await;
    let fields = [
        ("agent", "claude-oncall"),
        ("person", "ada"),
        ("roles", "oncall, dba"),
        ("packs", "post*"),
        ("targets", ""),
        ("expires", "12h"),
    ];
    let made = root.submit("/principals", "/principals/tokens", &fields).await;
    assert_eq!(made.status, 200, "{}", made.body);
    crate::html::check("the token", &made.body);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let secret =
        format!("lgt_{}", made.body.split_once("lgt_").expect("a token").1.split('<').next().expect("it ends"));
    assert!(secret.len() == 47 && !is_let_in(&host, "lgt_wrong").await);
    // The agents' door looks again every now and then.
    let until = Instant::now() + Duration::from_secs(20);
    while !is_let_in(&host, &secret).await {
        assert!(Instant::now() < until, "it is let in");
    }
    let id =
        made.body.split_once("/principals/tokens/").expect("its page").1.split('"').next().expect("an id").to_owned();
    let of_token = format!("/principals/tokens/{id}");
    let body = page(&mut root, &of_token).await;
    for part in ["claude-oncall", "ada", "oncall, dba", "post*", "state-good\">valid", "by root"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    for place in [of_token.as_str(), "/principals", "/changes", "/changes?kind=tokens"] {
        let body = page(&mut root, place).await;
        assert!(body.contains(&id) && !body.contains(&secret), "{place}: it was shown once");
    }
    let revoked = root.submit(&of_token, &format!("{of_token}/revoke"), &[("reason", "left on a train")]).await;
    assert_eq!(revoked.status, 303, "{}", revoked.body);
    let began = Instant::now();
    while is_let_in(&host, &secret).await {
        assert!(began.elapsed() < Duration::from_secs(5), "it is still let in");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let body = page(&mut root, &of_token).await;
    assert!(
        body.contains("left on a train") && body.contains("revoked") && !body.contains("Revoke the token"),
        "{body}"
    );
    let lines = host.site.record();
    for event in ["token.created", "token.revoked"] {
        let line = lines.iter().find(|line| line["ev"] == event).unwrap_or_else(|| panic!("{event}"));
        assert_eq!((&line["token"], &line["by"]), (&id.as_str().into(), &"root".into()), "{line}");
    }
    let record = serde_json::to_string(&lines).expect("JSON");
    assert!(!record.contains(&secret), "the record has no secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_an_administrator_makes_or_takes_back_a_token() {
    let host = host().await;
    let mut root = host.person("root", "admin", &[]).await;
    let made = root.submit("/principals", "/principals/tokens", &[("agent", "claude"), ("expires", "1h")]).await;
    let id =
        made.body.split_once("/principals/tokens/").expect("its page").1.split('"').next().expect("an id").to_owned();
    let of_token = format!("/principals/tokens/{id}");
    for (name, role) in [("vera", "viewer"), ("aron", "approver")] {
        let mut browser = host.person(name, role, &[]).await;
        let body = page(&mut browser, &of_token).await;
        assert!(!body.contains("Revoke the token"), "{role}");
        let token = browser.get("/account").await.field("csrf").expect("a token");
        for (action, fields) in [
            ("/principals/tokens".to_owned(), &[("agent", "mallory"), ("expires", "1h")][..]),
            (format!("{of_token}/revoke"), &[("reason", "mine")]),
        ] {
            assert_eq!(browser.post(&action, &token, fields).await.status, 403, "{role} {action}");
        }
    }
    let mut nobody = host.browser();
    let token = nobody.get("/login").await.field("csrf").expect("a token");
    assert_eq!(nobody.post("/principals/tokens", &token, &[("agent", "mallory"), ("expires", "1h")]).await.status, 303);
    let body = page(&mut root, "/principals").await;
    assert!(!body.contains("mallory") && page(&mut root, &of_token).await.contains("state-good\">valid"), "{body}");
    assert_eq!(
        host.site.record().iter().filter(|line| line["ev"].as_str().is_some_and(|e| e.starts_with("token."))).count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_said_at_its_field_and_nothing_is_made() {
    let host = host().await;
    let mut root = host.person("root", "admin", &[]).await;
    for (field, value, why) in [
        ("agent", "a b", "ASCII letters"),
        ("agent", "x@issuer", "ASCII letters"),
        ("person", "an\u{202e}a", "visible characters"),
        ("roles", "\u{200b}", "visible characters"),
        ("packs", "a?*[", ""),
        ("expires", "never", "every token expires"),
        ("expires", "367d", "at most 366d"),
    ] {
        let mut fields = vec![("agent", "claude"), ("expires", "1h")];
        fields.retain(|(name, _)| *name != field);
        fields.push((field, value));
        let reply = root.submit("/principals", "/principals/tokens", &fields).await;
        assert_eq!(reply.status, 422, "{field} {value}: {}", reply.body);
        crate::html::check(field, &reply.body);
        let error = format!("id=\"{field}-error\">");
        let said = reply.body.split_once(&error).unwrap_or_else(|| panic!("{field}: {}", reply.body)).1;
        assert!(said.split('<').next().is_some_and(|said| said.contains(why)), "{field}: {said}");
    }
    assert!(page(&mut root, "/principals").await.contains("A token lets one agent in"));
}
