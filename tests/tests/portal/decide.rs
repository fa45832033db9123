//! Deciding in the portal, against a running server and a real database: from the inbox to the result, no, not by oneself, not on
//! what was not on the screen, and on what is there now.

use std::time::Duration;

use lockgate::error::Code;
use lockgate_tests::{session::Session, site::ended};

use crate::{
    browser::{Browser, Reply},
    host::{ACTION, Host, gone, link, until_it_says},
    html,
};

/// Goes from the request's page to the page that asks once more.
async fn confirm(browser: &mut Browser, id: &str, words: &str) -> (String, Reply) {
    let page = browser.get(&format!("/approvals/{id}")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    html::check(id, &page.body);
    let address = link(&page.body, words);
    let reply = browser.get(&address).await;
    (address, reply)
}

/// Sends the form of such a page with what stands in it.
async fn send(browser: &mut Browser, id: &str, way: &str, page: &Reply, reason: &str) -> Reply {
    let (token, digest) = (page.field("csrf").expect("a token"), page.field("digest").expect("a digest"));
    let seen = page.field("seen").unwrap_or_default();
    let fields = [("digest", digest.as_str()), ("seen", &seen), ("reason", reason)];
    browser.post(&format!("/approvals/{id}/{way}"), &token, &fields).await
}

async fn waiting(host: &Host, name: &str) -> (Session, String) {
    let victim = host.victim(name).await;
    let id = host.asked(victim.pid).await;
    (victim, id)
}

fn votes(host: &Host, event: &str) -> usize {
    host.site.record().iter().filter(|line| line["ev"] == event).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_decided_from_the_inbox_to_its_result() {
    let host = Host::new("orders", None, "").await;
    let mut grace = host.person("grace", "approver", &[]).await;
    let empty = grace.get("/").await;
    html::check("/", &empty.body);
    assert!(empty.body.contains("Nothing waits") && empty.body.contains("<title>Requests"), "{}", empty.body);
    let (victim, id) = waiting(&host, "dead-migration").await;

    let inbox = grace.get("/").await.body;
    html::check("/", &inbox);
    let what = format!("{ACTION} on orders");
    for part in [what.as_str(), "high risk", "min", "claude", "for ada", "0 of 1", "from the pack"] {
        assert!(inbox.contains(part), "{part}: {inbox}");
    }
    let address = link(&inbox, &what);
    assert_eq!(address, format!("/approvals/{id}"));
    let page = grace.get(&address).await.body;
    let pid = victim.pid.to_string();
    for part in [
        "it holds a lock in front of thirty writers",
        "writers (seen)",
        "writers (expected)",
        "from the agent",
        "ada, who may not approve this",
        "pg_terminate_backend",
        "SQL, as this server is sent it",
        "primary",
        "PostgreSQL ",
        "dead-migration",
        "idle in transaction",
        "from the database",
        "If any of this is no longer so",
        "one person",
        "Digest",
        "cancels or ends sessions",
        pid.as_str(),
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }

    let (_, asked) = confirm(&mut grace, &id, "Approve…").await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    html::check("approve", &asked.body);
    for part in ["Looked at just now", "Approve this, once", "dead-migration", "thirty writers", pid.as_str()] {
        assert!(asked.body.contains(part), "{part}: {}", asked.body);
    }
    assert!(victim.lives().await && votes(&host, "approval.vote") == 0, "looking decides nothing");
    let decided = send(&mut grace, &id, "approve", &asked, "seen on the pager").await;
    assert_eq!((decided.status, decided.to()), (303, address.as_str()), "{}", decided.body);
    ended(&host.gate, &id).await.expect("the agent's call completes");
    gone(victim.pid).await;

    let page = until_it_says(&mut grace, &address, "It ran and succeeded").await;
    html::check("ended", &page);
    for part in ["What came out", "seen on the pager", "/runs/run_", "Approved by grace"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains(">Approve…<") && !page.contains(">Deny…<"), "{page}");
    let record = host.site.record();
    let vote = record.iter().find(|line| line["ev"] == "approval.vote").expect("the vote is on the record");
    assert_eq!((&vote["person"], &vote["reason"]), (&"grace".into(), &"seen on the pager".into()));
    assert_eq!(vote["evidence_seen"].as_str().map(str::len), Some(64), "decided on what was looked at: {vote}");
    assert!(record.iter().any(|line| line["ev"] == "approval.reviewed"));
    // Once is once.
    let again = send(&mut grace, &id, "approve", &asked, "").await;
    assert_eq!(again.status, 409, "{}", again.body);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_reaches_the_agent_with_its_reason() {
    let host = Host::new("denied", None, "").await;
    let mut grace = host.person("grace", "approver", &[]).await;
    let (victim, id) = waiting(&host, "innocent").await;
    let (_, asked) = confirm(&mut grace, &id, "Deny…").await;
    html::check("deny", &asked.body);
    let decided = send(&mut grace, &id, "deny", &asked, "it is the payroll <b>run</b>").await;
    assert_eq!(decided.status, 303, "{}", decided.body);
    let refused = ended(&host.gate, &id).await.expect_err("it was denied").refusal;
    assert_eq!(refused.code, Code::ApprovalDenied);
    assert!(refused.message.contains("denied by grace: it is the payroll <b>run</b>"), "{}", refused.message);
    let page = grace.get(&format!("/approvals/{id}")).await.body;
    html::check("denied", &page);
    assert!(page.contains("Denied by grace") && page.contains("payroll &lt;b&gt;run&lt;/b&gt;"), "{page}");
    assert!(victim.lives().await);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_behind_a_request_does_not_approve_it_under_any_name() {
    let host = Host::new("own", None, "").await;
    let (victim, id) = waiting(&host, "own").await;
    let mut browser = host.person("ada", "admin", &[]).await;
    refused_to_oneself(&mut browser, &id).await;
    assert_eq!(votes(&host, "approval.vote_refused"), 1);
    assert_eq!(votes(&host, "approval.decided"), 0);
    // But they may say no to it themselves.
    let (_, asked) = confirm(&mut browser, &id, "Deny…").await;
    assert_eq!(send(&mut browser, &id, "deny", &asked, "never mind").await.status, 303);
    assert!(victim.lives().await);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_of_the_same_person_is_the_same_person() {
    let host = Host::new("alias", None, "").await;
    let (victim, id) = waiting(&host, "alias").await;
    let mut browser = host.person("lovelace", "admin", &["--os-user", "ada"]).await;
    refused_to_oneself(&mut browser, &id).await;
    assert!(victim.lives().await && votes(&host, "approval.decided") == 0);
    host.close().await;
}

async fn refused_to_oneself(browser: &mut Browser, id: &str) {
    let page = browser.get(&format!("/approvals/{id}")).await;
    assert!(page.body.contains("You are behind this request"), "{}", page.body);
    assert!(!page.body.contains(">Approve…<") && page.body.contains(">Deny…<"), "{}", page.body);
    assert_eq!(browser.get(&format!("/approvals/{id}/approve")).await.status, 403);
    // A form of another page, filled in by hand.
    let form = browser.get(&format!("/approvals/{id}/deny")).await;
    let (token, digest) = (form.field("csrf").expect("a token"), form.field("digest").expect("a digest"));
    let fields = [("digest", digest.as_str()), ("seen", "as-requested"), ("reason", "I say so")];
    let reply = browser.post(&format!("/approvals/{id}/approve"), &token, &fields).await;
    assert!(reply.status == 403 && reply.body.contains("self_approval"), "{} {}", reply.status, reply.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_on_the_screen_is_decided() {
    let host = Host::new("digest", None, "").await;
    let mut grace = host.person("grace", "approver", &[]).await;
    let (victim, id) = waiting(&host, "first").await;
    let (other_victim, other) = waiting(&host, "second").await;
    let (_, asked) = confirm(&mut grace, &id, "Approve…").await;
    let (_, elsewhere) = confirm(&mut grace, &other, "Approve…").await;
    // What was shown of the one does not decide the other, by either digest.
    let reply = send(&mut grace, &other, "approve", &asked, "").await;
    assert!(reply.status == 409 && reply.body.contains("digest_mismatch"), "{} {}", reply.status, reply.body);
    let (token, digest) = (elsewhere.field("csrf").expect("a token"), elsewhere.field("digest").expect("a digest"));
    let foreign = asked.field("seen").expect("evidence");
    for (digest, seen, code) in [
        (digest.as_str(), foreign.as_str(), "evidence"),
        (digest.as_str(), "", "digest_mismatch"),
        ("", foreign.as_str(), "digest_mismatch"),
        (&"0".repeat(64), elsewhere.field("seen").expect("evidence").as_str(), "digest_mismatch"),
    ] {
        let fields = [("digest", digest), ("seen", seen), ("reason", "because")];
        let reply = grace.post(&format!("/approvals/{other}/approve"), &token, &fields).await;
        assert!(reply.status == 409 && reply.body.contains(code), "{digest} {seen}: {} {}", reply.status, reply.body);
    }
    // A link that was made for another request leads to nothing, and so does denying by another's digest.
    let reply =
        grace.get(&format!("/approvals/{other}/approve?digest={}", &asked.field("digest").expect("one")[..12])).await;
    assert!(reply.status == 409 && reply.body.contains("digest_mismatch"), "{}", reply.body);
    let reply = grace
        .post(&format!("/approvals/{other}/deny"), &token, &[("digest", &asked.field("digest").expect("one"))])
        .await;
    assert_eq!(reply.status, 409);
    assert_eq!(votes(&host, "approval.decided"), 0);
    assert!(victim.lives().await && other_victim.lives().await);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_decides_on_what_is_there_now() {
    let host = Host::new("changed", None, "").await;
    let mut grace = host.person("grace", "approver", &[]).await;
    let (victim, id) = waiting(&host, "changing").await;
    let (_, before) = confirm(&mut grace, &id, "Approve…").await;
    assert!(!before.body.contains("<strong>changed</strong>"), "{}", before.body);
    victim.execute("SELECT 'something', 'else', 'entirely'").await;
    let stale = send(&mut grace, &id, "approve", &before, "fine").await;
    assert_eq!(stale.status, 409, "{}", stale.body);
    html::check("changed", &stale.body);
    for part in ["Nothing was decided", "<strong>changed</strong>", "What changed", "query of", ">fine</textarea>"] {
        assert!(stale.body.contains(part), "{part}: {}", stale.body);
    }
    assert!(victim.lives().await && votes(&host, "approval.decided") == 0);
    // The page that says so is the one to decide on.
    let decided = send(&mut grace, &id, "approve", &stale, "fine all the same").await;
    assert_eq!(decided.status, 303, "{}", decided.body);
    ended(&host.gate, &id).await.expect("it ran");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_can_not_be_approved() {
    let host = Host::new("went", None, "").await;
    let mut grace = host.person("grace", "approver", &[]).await;
    let (victim, id) = waiting(&host, "leaves").await;
    let page = grace.get(&format!("/approvals/{id}")).await;
    let pid = victim.pid;
    drop(victim);
    gone(pid).await;
    let reply = grace.get(&link(&page.body, "Approve…")).await;
    html::check("gone", &reply.body);
    assert!(reply.body.contains("is gone, so it can't be approved any more"), "{}", reply.body);
    assert!(reply.field("seen").is_none(), "there is nothing to send: {}", reply.body);
    until_it_says(&mut grace, &format!("/approvals/{id}"), "What it rested on is no longer so").await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_two_different_people_where_policy_asks_for_two() {
    let policy = "version = 1\n[[rule]]\nname = \"two\"\nactions = [\"postgres.terminate_backend\"]\n\
                  decision = \"approve\"\napprovals = 2\n";
    let host = Host::new("quorum", Some(policy), "").await;
    let (victim, id) = waiting(&host, "quorum").await;
    let mut grace = host.person("grace", "approver", &[]).await;
    let mut barbara = host.person("barbara", "approver", &[]).await;
    let (_, asked) = confirm(&mut grace, &id, "Approve…").await;
    assert_eq!(send(&mut grace, &id, "approve", &asked, "").await.status, 303);
    let page = grace.get(&format!("/approvals/{id}")).await.body;
    assert!(page.contains("1 of 2 approvals") && page.contains("You have approved it"), "{page}");
    assert!(victim.lives().await);
    assert!(barbara.get("/").await.body.contains("1 of 2"));
    let (_, asked) = confirm(&mut barbara, &id, "Approve…").await;
    assert_eq!(send(&mut barbara, &id, "approve", &asked, "").await.status, 303);
    ended(&host.gate, &id).await.expect("it ran");
    gone(victim.pid).await;
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_all_and_decides_nothing() {
    let host = Host::new("viewer", None, "").await;
    let mut viewer = host.person("vera", "viewer", &[]).await;
    let (victim, id) = waiting(&host, "viewer").await;
    let page = viewer.get(&format!("/approvals/{id}")).await;
    html::check("viewer", &page.body);
    assert!(page.body.contains("you look, approvers decide"), "{}", page.body);
    assert!(!page.body.contains("Approve…") && !page.body.contains("Deny…"), "{}", page.body);
    let token = page.field("csrf").expect("a token");
    for way in ["approve", "deny", "standing"] {
        let address = format!("/approvals/{id}/{way}");
        assert_eq!(viewer.get(&address).await.status, 403, "{way}");
        let fields = [("digest", "0".repeat(64)), ("seen", "as-requested".to_owned()), ("reason", "x".to_owned())];
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(viewer.post(&address, &token, &fields).await.status, 403, "{way}");
    }
    // And whoever is nobody sees nothing.
    let mut nobody = Browser::new(host.portal, &format!("http://localhost:{}", host.portal.port()));
    for path in ["/", "/inbox/part", &format!("/approvals/{id}"), &format!("/approvals/{id}/part"), "/standing"] {
        let reply = nobody.get(path).await;
        assert!(reply.status == 303 && reply.to().starts_with("/login"), "{path}: {}", reply.status);
    }
    assert_eq!(nobody.get("/live").await.status, 401);
    assert_eq!(viewer.get("/approvals/apr_nothing").await.status, 404);
    assert_eq!(votes(&host, "approval.vote"), 0);
    assert!(victim.lives().await);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_others_write_is_text() {
    let host = Host::new("markup", None, "").await;
    let mut grace = host.person("grace", "admin", &[]).await;
    let evil = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'";
    let victim = host.victim("<script>alert(3)</script>").await;
    victim.execute("SELECT 1 AS \"<b onclick=x>\"").await;
    let id = host.asked_because(victim.pid, evil).await;
    let shown = |body: &str| body.contains("&lt;script&gt;alert(1)");
    let mut looked = Vec::new();
    for path in [
        "/".to_owned(),
        format!("/approvals/{id}"),
        format!("/approvals/{id}/approve"),
        format!("/approvals/{id}/deny"),
    ] {
        let reply = grace.get(&path).await;
        assert_eq!(reply.status, 200, "{path}");
        html::check(&path, &reply.body);
        assert!(!reply.body.contains('\u{202e}'), "{path}");
        looked.push((path, reply.body));
    }
    assert!(shown(&looked[1].1) && shown(&looked[2].1) && shown(&looked[3].1));
    assert!(looked[1].1.contains("&lt;script&gt;alert(3)") && looked[2].1.contains("&lt;script&gt;alert(3)"));
    assert!(looked[1].1.contains("&lt;b onclick"), "{}", looked[1].1);
    // What a person writes, and what comes back from an address.
    let asked = grace.get(&looked[2].0).await;
    assert_eq!(send(&mut grace, &id, "approve", &asked, &format!("{evil}\u{202e}")).await.status, 303);
    ended(&host.gate, &id).await.expect("it ran");
    for path in [format!("/approvals/{id}"), format!("/approvals/{id}/standing"), "/standing".to_owned()] {
        let reply = grace.get(&path).await;
        assert_eq!(reply.status, 200, "{path}");
        html::check(&path, &reply.body);
    }
    for path in ["/approvals/%3Cscript%3Ealert(4)%3C%2Fscript%3E", "/standing/%22%3E%3Cscript%3E"] {
        let reply = grace.get(path).await;
        assert_eq!(reply.status, 404, "{path}");
        html::check(path, &reply.body);
    }
    tokio::time::timeout(Duration::from_secs(60), host.close()).await.expect("it ends");
}
