//! A standing approval in a real browser: proposed from a request that was approved, put in force by an administrator, used, and
//! taken back.

use lockgate::gate::call::Answer;
use lockgate_tests::site::{call, ended};
use serde_json::json;

use super::{
    chromium::Chromium,
    tab::{DESK, PHONE},
};
use crate::host::{ACTION, Host, gone};

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_approval_is_made_from_a_request_used_and_taken_back() {
    let host = Host::new("primary", None, "").await;
    host.person("barbara", "approver", &[]).await;
    host.person("grace", "admin", &[]).await;
    let report = host.victim("report").await;
    let id = host.asked_because(report.pid, "the nightly report hangs again and holds its locks").await;
    host.site.approve(&id).await;
    ended(&host.gate, &id).await.expect("it ran");
    gone(report.pid).await;

    let chromium = Chromium::start(&host);
    let barbara = chromium.person("barbara", PHONE).await;
    barbara.open("/standing").await;
    barbara.is_sound("standing-none").await;
    barbara.open(&format!("/approvals/{id}")).await;
    barbara.follow("Let calls like this through from now on…").await;
    barbara.says("Propose a standing approval").await;
    barbara.choose("May be", "from..to").await;
    barbara.fill("Of these, if not exactly this", "9..1").await;
    barbara.click("Propose it").await;
    barbara.says("the range of `pid` is empty").await;
    barbara.is_sound("standing-propose").await;
    barbara.fill("Of these, if not exactly this", "1..9999999").await;
    barbara.fill("Why", "The nightly report hangs and has to be ended").await;
    barbara.click("Propose it").await;
    barbara.says("It lets nothing through before an administrator approves it").await;
    let address = barbara.address().await;
    assert!(address.starts_with("/standing/sta_"), "{address}");
    barbara.is_sound("standing-proposed").await;

    let grace = chromium.person("grace", DESK).await;
    grace.open("/standing").await;
    grace.follow("postgres.terminate_backend on primary").await;
    grace.says("Put it in force").await;
    grace.is_sound("standing-decide").await;
    grace.fill("Why it may", "The report hangs each night; nothing else is in these bounds").await;
    grace.click("Approve exactly this").await;
    grace.says("It is in force").await;

    let again = host.victim("report").await;
    let answer = call(&host.gate, ACTION, "primary", json!({ "pid": again.pid })).await;
    assert!(matches!(answer, Ok(Answer::Done(_))), "{answer:?}");
    gone(again.pid).await;
    grace.reload().await;
    grace.says("4 of 5 uses left").await;
    grace.is_sound("standing-one").await;
    grace.open("/standing").await;
    grace.is_sound("standing-list").await;
    grace.pictured("standing", DESK).await;

    grace.open(&address).await;
    grace.fill("Why it is taken back", "The report is fixed").await;
    grace.click("Revoke").await;
    grace.says("Revoked after 1 of 5 uses").await;
    grace.is_sound("standing-revoked").await;
    let last = host.victim("report").await;
    let answer = call(&host.gate, ACTION, "primary", json!({ "pid": last.pid })).await;
    assert!(matches!(answer, Ok(Answer::Pending(_))), "people are asked again: {answer:?}");
    assert!(last.lives().await);
    grace.open("/standing").await;
    grace.is_sound("standing-list-past").await;
    host.close().await;
}
