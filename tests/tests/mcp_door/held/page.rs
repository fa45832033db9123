//! What stands behind a link: the same for every id, and nothing of any request.

use std::time::Duration;

use super::{gate::HeldGate, rig::serve_http};
use crate::wire::{Reply, http};

async fn pages(paths: &[&str]) -> Vec<Reply> {
    let (at, _) = serve_http(&HeldGate::new(None), Duration::ZERO).await;
    let mut replies = Vec::new();
    for path in paths {
        replies.push(http(at, "GET", path, &[], "").await);
    }
    replies
}

#[tokio::test]
async fn the_page_of_an_approval_says_how_to_decide_and_no_more() {
    let replies = pages(&["/approvals/apr_7h3kq0c2m9x4w1vd", "/approvals/apr_0000000000000000"]).await;
    let body = |reply: &Reply, id: &str| reply.body.replace(id, "ID");
    for reply in &replies {
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';") && policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!reply.body.contains("<script") && !reply.body.contains("<form") && !reply.body.contains("http"));
    }
    assert!(replies[0].body.contains("lockgate approvals show apr_7h3kq0c2m9x4w1vd"));
    assert_eq!(body(&replies[0], "apr_7h3kq0c2m9x4w1vd"), body(&replies[1], "apr_0000000000000000"));
}

#[tokio::test]
async fn an_id_of_another_form_has_no_page() {
    let long = format!("/approvals/{}", "a".repeat(65));
    let paths = [
        "/approvals/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/approvals/apr_1%22",
        "/approvals/%E2%80%AEapr",
        "/approvals/apr%0d%0aSet-Cookie:x",
        "/approvals/%ff",
        long.as_str(),
    ];
    for (reply, path) in pages(&paths).await.into_iter().zip(paths) {
        assert!(matches!(reply.status, 400 | 404), "{path}: {reply:?}");
        assert!(!reply.body.contains("script") && reply.header("set-cookie").is_none(), "{path}: {reply:?}");
        assert!(reply.header("content-type").unwrap().starts_with("text/plain"), "{path}: {reply:?}");
    }
    // Below and above it there is nothing that a stranger could tell apart.
    for (reply, path) in pages(&["/approvals", "/approvals/a/b"]).await.into_iter().zip(["", "/a/b"]) {
        assert_eq!(reply.status, 401, "{path}");
    }
}
