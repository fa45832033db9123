//! Deciding in a real browser: no, too late, by two people, not by oneself, and on what is there now.

use lockgate::error::Code;
use lockgate_tests::site::ended;

use super::{
    chromium::Chromium,
    tab::{DESK, PHONE, Tab},
};
use crate::host::{Host, gone};

const BY_TWO: &str = "version = 1\n[[rule]]\nname = \"two for terminating\"\nactions = [\"postgres.terminate_backend\"]\n\
                      decision = \"approve\"\napprovals = 2\n";

/// Goes from the inbox to the only request there.
async fn opened(tab: &Tab, host: &Host) {
    tab.open("/").await;
    let what = format!("postgres.terminate_backend on {}", host.target);
    tab.says(&what).await;
    tab.follow(&what).await;
    tab.arrives("/approvals/").await;
}

async fn approved(tab: &Tab) {
    tab.follow("Approve…").await;
    tab.says("Looked at just now").await;
    tab.click("Approve this, once").await;
    tab.arrives("/approvals/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_with_its_reason_reaches_the_agent() {
    let host = Host::new("billing", None, "").await;
    host.person("grace", "approver", &[]).await;
    let victim = host.victim("payroll").await;
    let id = host.asked(victim.pid).await;
    let chromium = Chromium::start(&host);
    let tab = chromium.person("grace", PHONE).await;
    opened(&tab, &host).await;
    tab.follow("Deny…").await;
    tab.fill("Reason", "It is the payroll run, leave it").await;
    tab.is_sound("deny").await;
    tab.click("Deny this").await;
    tab.says("Denied by grace").await;
    tab.is_sound("request-denied").await;
    let refused = ended(&host.gate, &id).await.expect_err("it was denied").refusal;
    assert_eq!(refused.code, Code::ApprovalDenied);
    assert!(refused.message.contains("It is the payroll run, leave it"), "{}", refused.message);
    assert!(victim.lives().await);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_runs_out_before_the_eyes_of_whoever_hesitates() {
    let host = Host::new("ledger", None, "decide_seconds = 40\n").await;
    host.person("grace", "approver", &[]).await;
    let chromium = Chromium::start(&host);
    let (looks, hesitates) = (chromium.person("grace", DESK).await, chromium.person("grace", PHONE).await);
    let victim = host.victim("report").await;
    let id = host.asked(victim.pid).await;
    opened(&looks, &host).await;
    opened(&hesitates, &host).await;
    hesitates.follow("Approve…").await;
    hesitates.says("Approve this, once").await;
    looks.mark().await;
    hesitates.mark().await;
    // Nobody touches anything.
    looks.says("Its time ran out. Nothing was changed.").await;
    hesitates.says("There is nothing to decide any more").await;
    assert!(looks.is_marked().await && hesitates.is_marked().await, "no page was loaded again");
    assert!(!looks.offers("Approve…").await);
    looks.is_sound("request-expired").await;
    hesitates.is_sound("approve-too-late").await;
    hesitates.click("Approve this, once").await;
    hesitates.says("expired").await;
    let refused = ended(&host.gate, &id).await.expect_err("it ran out").refusal;
    assert_eq!(refused.code, Code::ApprovalExpired);
    assert!(victim.lives().await);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_approve_what_policy_asks_two_for() {
    let host = Host::new("accounts", Some(BY_TWO), "").await;
    for name in ["grace", "barbara"] {
        host.person(name, "approver", &[]).await;
    }
    let victim = host.victim("dead-migration").await;
    let id = host.asked(victim.pid).await;
    let chromium = Chromium::start(&host);
    let (grace, barbara) = (chromium.person("grace", DESK).await, chromium.person("barbara", PHONE).await);
    opened(&barbara, &host).await;
    barbara.says("0 of 2 approvals").await;
    barbara.mark().await;
    opened(&grace, &host).await;
    approved(&grace).await;
    grace.says("You have approved it; it needs somebody else as well").await;
    assert!(!grace.offers("Approve…").await, "nobody approves twice");
    grace.is_sound("request-half-approved").await;
    grace.mark().await;
    // The other one sees it without doing anything, and so does the first what becomes of it.
    barbara.says("1 of 2 approvals").await;
    assert!(barbara.is_marked().await && victim.lives().await);
    approved(&barbara).await;
    ended(&host.gate, &id).await.expect("it ran");
    gone(victim.pid).await;
    grace.says("It ran and succeeded").await;
    assert!(grace.is_marked().await);
    barbara.says("It ran and succeeded").await;
    for tab in [grace, barbara] {
        tab.was_quiet().await;
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_approves_what_they_asked_for_themselves() {
    let host = Host::new("stock", None, "").await;
    host.person("ada", "admin", &[]).await;
    let victim = host.victim("import").await;
    let id = host.asked(victim.pid).await;
    let chromium = Chromium::start(&host);
    let tab = chromium.person("ada", DESK).await;
    opened(&tab, &host).await;
    tab.says("You are behind this request, so somebody else has to approve it").await;
    assert!(!tab.offers("Approve…").await && tab.offers("Deny…").await);
    tab.is_sound("request-own").await;
    assert_eq!(tab.open(&format!("/approvals/{id}/approve")).await, 403);
    tab.says("You are behind this request").await;
    tab.is_sound("approve-own").await;
    assert!(victim.lives().await);
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_somebody_thought_is_shown_before_anything_is_decided() {
    let host = Host::new("catalog", None, "").await;
    host.person("grace", "approver", &[]).await;
    let victim = host.victim("dead-migration").await;
    let id = host.asked(victim.pid).await;
    let chromium = Chromium::start(&host);
    let tab = chromium.person("grace", PHONE).await;
    opened(&tab, &host).await;
    tab.follow("Approve…").await;
    tab.says("Looked at just now: nothing has changed").await;
    tab.fill("Reason", "It is the dead migration").await;
    victim.execute("SELECT count(*) AS orders_still_open FROM pg_class").await;
    tab.click("Approve this, once").await;
    tab.says("Nothing was decided").await;
    tab.says("it has changed since it was asked").await;
    tab.is_sound("approve-changed").await;
    assert!(victim.lives().await);
    // What was written is still there, and this page is the one to decide on.
    tab.click("Approve this, once").await;
    ended(&host.gate, &id).await.expect("it ran");
    gone(victim.pid).await;
    tab.says("It is the dead migration").await;
    tab.says("It ran and succeeded").await;
    tab.was_quiet().await;
    host.close().await;
}
