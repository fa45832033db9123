//! Standing approvals in the portal: two clicks from a request that people approved, an administrator's word, calls that are let
//! through, and its end.

use lockgate::gate::call::Answer;
use lockgate_tests::site::{call, ended};
use serde_json::json;

use crate::{
    browser::Browser,
    host::{ACTION, Host, gone, link},
    html,
};

/// A request that somebody approved and that ran.
async fn approved(host: &Host) -> String {
    let victim = host.victim("report").await;
    let id = host.asked(victim.pid).await;
    host.site.approve(&id).await;
    ended(&host.gate, &id).await.expect("it ran");
    gone(victim.pid).await;
    id
}

async fn page(browser: &mut Browser, path: &str) -> String {
    let reply = browser.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    html::check(path, &reply.body);
    reply.body
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_request_in_two_clicks_to_its_end() {
    let host = Host::new("nightly", None, "").await;
    let mut barbara = host.person("barbara", "approver", &[]).await;
    let mut root = host.person("root", "admin", &[]).await;
    let mut vera = host.person("vera", "viewer", &[]).await;
    assert!(page(&mut vera, "/standing").await.contains("None. From a request that people approved"));
    let id = approved(&host).await;

    // The first click is a link, the second the form's own button, with what stands in it.
    let request = page(&mut barbara, &format!("/approvals/{id}")).await;
    let address = link(&request, "Let calls like this through from now on…");
    let form = barbara.get(&address).await;
    html::check(&address, &form.body);
    let (token, uses) = (form.field("csrf").expect("a token"), form.field("uses").expect("uses"));
    let days = form.field("days").expect("days");
    let reason = format!("Like {id}, which grace approved");
    assert!(form.body.contains(&format!(">{reason}</textarea>")), "{}", form.body);
    let own = [("uses", uses.as_str()), ("days", days.as_str()), ("reason", reason.as_str())];
    for (name, what, said) in [
        ("uses", "1001", "from 1 to 1000"),
        ("days", "91", "from 1 to 90"),
        ("days", "-1", "from 1 to 90"),
        ("what-pid", "7..5", "the range of `pid` is empty"),
        ("what-pid", "1..2", "does not let through the request itself"),
        ("what-pid", "all", "is two numbers"),
    ] {
        let mut fields: Vec<_> = own.iter().copied().filter(|(field, _)| *field != name).collect();
        fields.extend([(name, what), ("how-pid", if name == "what-pid" { "range" } else { "exactly" })]);
        let reply = barbara.post(&address, &token, &fields).await;
        assert!(reply.status == 422 && reply.body.contains(said), "{name} {what}: {} {}", reply.status, reply.body);
        html::check(&address, &reply.body);
    }
    let fields: Vec<_> = own.iter().copied().chain([("how-pid", "range"), ("what-pid", "1..9999999")]).collect();
    let made = barbara.post(&address, &token, &fields).await;
    assert!(made.status == 303 && made.to().starts_with("/standing/sta_"), "{} {}", made.status, made.body);
    let address = made.to().to_owned();
    let proposed = page(&mut barbara, &address).await;
    for part in
        ["proposed", "1</code> to <code>9999999", "agent claude of ada", "<strong>1</strong> of 1 requests", &reason]
    {
        assert!(proposed.contains(part), "{part}: {proposed}");
    }
    assert!(!proposed.contains("Approve exactly this"), "an approver puts nothing in force: {proposed}");

    // Who may not, may not by the address either.
    for browser in [&mut barbara, &mut vera] {
        let token = browser.get("/account").await.field("csrf").expect("a token");
        for way in ["approve", "revoke"] {
            let fields = [("digest", "00"), ("reason", "mine")];
            assert_eq!(browser.post(&format!("{address}/{way}"), &token, &fields).await.status, 403, "{way}");
        }
    }
    assert_eq!(vera.get(&format!("/approvals/{id}/standing")).await.status, 403);

    let shown = root.get(&address).await;
    let (token, digest) = (shown.field("csrf").expect("a token"), shown.field("digest").expect("a digest"));
    let other = "0".repeat(64);
    for (digest, reason, code) in [(other.as_str(), "why not", "digest_mismatch"), (&digest, " ", "reason_required")] {
        let reply = root.post(&format!("{address}/approve"), &token, &[("digest", digest), ("reason", reason)]).await;
        assert!(reply.status == 409 && reply.body.contains(code), "{code}: {} {}", reply.status, reply.body);
    }
    let fields = [("digest", digest.as_str()), ("reason", "the report hangs each night")];
    let reply = root.post(&format!("{address}/approve"), &token, &fields).await;
    assert_eq!(reply.status, 303, "{}", reply.body);

    let victim = host.victim("report-again").await;
    let arguments = json!({ "pid": victim.pid });
    let answer = call(&host.gate, ACTION, "nightly", arguments.clone()).await.expect("it is let through");
    let Answer::Done(outcome) = answer else { panic!("{answer:?}") };
    gone(victim.pid).await;
    let list = page(&mut vera, "/standing").await;
    assert!(list.contains("active") && list.contains("4 of 5") && list.contains("1 of 1 requests"), "{list}");
    let used = page(&mut vera, &address).await;
    assert!(used.contains(&outcome.run) && used.contains("the report hangs each night"), "{used}");
    assert!(!used.contains(">Revoke<"), "a viewer takes nothing back: {used}");

    let reply = root.submit(&address, &format!("{address}/revoke"), &[("reason", "the report is fixed")]).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    let after = page(&mut root, &address).await;
    assert!(after.contains("revoked") && after.contains("the report is fixed"), "{after}");
    let victim = host.victim("report-last").await;
    let answer = call(&host.gate, ACTION, "nightly", json!({ "pid": victim.pid })).await;
    assert!(matches!(answer, Ok(Answer::Pending(_))), "{answer:?}");
    assert!(page(&mut vera, "/standing").await.contains("Let nothing through any more"));
    let record = host.site.record();
    for (event, who) in [("standing.proposed", "barbara"), ("standing.approved", "root"), ("standing.revoked", "root")]
    {
        let line = record.iter().find(|line| line["ev"] == event).unwrap_or_else(|| panic!("{event} is on the record"));
        assert!(line["by"] == who || line["person"] == who, "{line}");
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn none_is_made_from_what_nobody_approved() {
    let host = Host::new("unapproved", None, "").await;
    let mut root = host.person("root", "admin", &[]).await;
    let victim = host.victim("unapproved").await;
    let id = host.asked(victim.pid).await;
    let request = page(&mut root, &format!("/approvals/{id}")).await;
    assert!(!request.contains("Let calls like this through"), "{request}");
    let address = format!("/approvals/{id}/standing");
    assert_eq!(root.get(&address).await.status, 422);
    let token = root.get("/account").await.field("csrf").expect("a token");
    let reply = root.post(&address, &token, &[("uses", "5"), ("days", "7"), ("reason", "trust me")]).await;
    assert!(reply.status == 422 && reply.body.contains("people have not approved"), "{} {}", reply.status, reply.body);
    host.close().await;
}
