//! The incident with a person in the loop, in a real browser: the request arrives while somebody looks, they see what would be
//! hit, approve, and thirty writers go on.

use serde_json::json;

use super::{
    chromium::Chromium,
    night,
    tab::{DESK, PHONE},
};
use crate::host::gone;

const WHAT: &str = "postgres.terminate_backend on primary";

#[tokio::test(flavor = "multi_thread")]
async fn a_person_lets_an_agent_end_what_blocks_thirty_writers() {
    let (host, token) = night::host().await;
    host.person("grace", "approver", &[]).await;
    let chromium = Chromium::start(&host);
    let tab = chromium.person("grace", DESK).await;
    tab.says("Nothing waits").await;
    tab.says("Live").await;
    tab.is_sound("inbox-empty").await;
    tab.mark().await;

    let migration = night::crashed().await;
    let head = migration.pid;
    let mut writers = night::writers().await;
    let mut agent = night::agent(&host, &token);
    for event in ["connected", "tools", "head"] {
        agent.hears(event).await;
    }
    // It arrives by itself: the page is the one that was loaded before anybody asked.
    tab.says(WHAT).await;
    assert!(tab.is_marked().await && tab.title().await.starts_with("(1) Requests"), "{}", tab.title().await);
    tab.is_sound("inbox").await;
    tab.pictured("inbox", DESK).await;
    let held = agent.hears("pending").await;
    assert!(writers.iter().all(|writer| writer.runs()), "nobody has decided");

    tab.follow(WHAT).await;
    tab.arrives(&format!("/approvals/{}", held["approval_id"].as_str().expect("an id"))).await;
    let text = tab.text().await;
    let said = [
        &format!("session {head} of migrate-svc sits idle in a transaction"),
        "Waits for a decision",
        "high risk",
        "from the agent",
        "from the database",
        "from the pack",
        "idle in transaction",
        "SELECT id FROM orders WHERE region = ? FOR UPDATE",
        "ada, who may not approve this",
        "pg_terminate_backend",
        "primary",
        &head.to_string(),
    ];
    for part in said {
        assert!(text.contains(part), "{part}: {text}");
    }
    tab.is_sound("request").await;
    tab.pictured("request", DESK).await;
    tab.pictured("request-phone", PHONE).await;

    tab.follow("Approve…").await;
    tab.says("Looked at just now").await;
    tab.fill("Reason", "Migration is dead, checkout is down").await;
    tab.is_sound("approve").await;
    tab.pictured("approve-phone", PHONE).await;
    assert!(writers.iter().all(|writer| writer.runs()), "looking decides nothing");
    tab.click("Approve this, once").await;

    let done = agent.hears("answered").await;
    assert_eq!((&done["status"], &done["approved_by"]), (&json!("done"), &json!("grace")), "{done}");
    for writer in writers.drain(..) {
        let (_, answer) = writer.end().await;
        answer.expect("its update is committed");
    }
    gone(head).await;
    assert_eq!(agent.hears("after").await["waiting"], 0);
    agent.ends().await;

    tab.says("It ran and succeeded").await;
    tab.says("Approved by grace").await;
    tab.is_sound("request-ended").await;
    let run = held["run_id"].as_str().expect("an id");
    tab.follow("The run on the record").await;
    tab.arrives(&format!("/runs/{run}")).await;
    for part in ["The call ended", "The approval was used", "Migration is dead, checkout is down"] {
        tab.says(part).await;
    }
    tab.is_sound("run").await;
    tab.pictured("run", DESK).await;

    tab.follow("Record").await;
    tab.click("Verify now").await;
    tab.comes_to_say("Every line is as it was written").await;
    tab.reload().await;
    tab.is_sound("record-verified").await;
    tab.pictured("record", DESK).await;
    host.close().await;
}
