//! At the command line, with a real agent: a request is looked at again and approved, a standing approval is made from it,
//! lets the next call through, and is taken back.

use lockgate_tests::site::Site;
use serde_json::{Value as Json, json};
use tokio_postgres::Client;

use crate::{
    agent::{Agent, pending},
    cli::assert_error,
    order::{gone, site, victim},
    process::{lockgate, run, succeeds},
    story::os_user,
};

async fn held(agent: &Agent, target: &str) -> (Client, String, String) {
    let (client, pid) = victim().await;
    let held = agent.call("terminate_backend", target, json!({ "pid": pid }), "a test of standing approvals").await;
    (client, pending(&held), held["digest"].as_str().expect("a digest").to_owned())
}

async fn listed(site: &Site) -> Vec<Json> {
    let said = succeeds(site, &["standing", "list", "--all", "--json"]).await;
    said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_what_changed_and_decides_on_it() {
    let site = site("fresh").await;
    let agent = Agent::start(&site).await;
    let (client, id, digest) = held(&agent, "fresh").await;
    let fresh = succeeds(&site, &["approvals", "show", &id, "--fresh"]).await;
    assert!(fresh.contains("Looked at again") && fresh.contains("nothing has changed but what is measured"), "{fresh}");
    client.batch_execute("BEGIN").await.expect("its session goes on");
    let approve = |more: &[&str]| {
        let mut command = lockgate(&site);
        command.args(["approvals", "approve", &id, "--digest", &digest]).args(more);
        command
    };
    let said = run(&mut approve(&[])).await;
    assert_error(&said, 1, "evidence_changed", &["`state`", "is idle in transaction"]);
    let json: Json =
        serde_json::from_str(&succeeds(&site, &["approvals", "show", &id, "--fresh", "--json"]).await).expect("JSON");
    let seen = json["review"]["answer"][1]["digest"].as_str().expect("a digest").to_owned();
    assert!(json["changes"]["tables"][0]["cells"].as_array().is_some_and(|cells| !cells.is_empty()), "{json}");
    let said = run(&mut approve(&["--seen", "0000-0000-0000"])).await;
    assert_error(&said, 1, "evidence_changed", &["--fresh"]);
    let said = run(&mut approve(&["--seen", &seen[..12]])).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(agent.await_approval(&id, 50).await["status"], "done");
    gone(&client).await;
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_host_answers_a_person_may_decide_in_so_many_words() {
    let site = site("alone").await;
    let agent = Agent::start(&site).await;
    let (client, id, digest) = held(&agent, "alone").await;
    agent.kill().await;
    let approve = |more: &[&str]| {
        let mut command = lockgate(&site);
        command.args(["approvals", "approve", &id, "--digest", &digest]).args(more);
        command
    };
    let said = run(&mut approve(&[])).await;
    assert_error(&said, 1, "evidence_unavailable", &["no lockgate process", "--as-requested --reason"]);
    assert_error(&run(&mut approve(&["--as-requested"])).await, 1, "reason_required", &[]);
    let said = run(&mut approve(&["--as-requested", "--reason", "the host is restarted"])).await;
    assert_eq!(said.code, 0, "{said:?}");
    let agent = Agent::start(&site).await;
    assert_eq!(agent.await_approval(&id, 50).await["status"], "done");
    gone(&client).await;
    agent.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_approval_from_a_request_to_its_revocation() {
    let site = site("standing").await;
    let agent = Agent::start(&site).await;
    let (client, from, digest) = held(&agent, "standing").await;
    let propose = |more: &[&str]| {
        let mut command = lockgate(&site);
        command
            .args(["standing", "propose", &from, "--uses", "1", "--until", "1h", "--reason", "every night"])
            .args(more);
        command
    };
    assert_error(&run(&mut propose(&[])).await, 1, "invalid_arguments", &["have not approved"]);
    succeeds(&site, &["approvals", "approve", &from, "--digest", &digest]).await;
    assert_eq!(agent.await_approval(&from, 50).await["status"], "done");
    gone(&client).await;

    assert_error(&run(&mut propose(&["--range", "pid"])).await, 2, "config_invalid", &["--range"]);
    assert_error(&run(&mut propose(&["--like", "pid=*"])).await, 1, "invalid_arguments", &["bounds nothing"]);
    let said = run(&mut propose(&["--range", "pid=1..4194304"])).await;
    assert_eq!(said.code, 0, "{said:?}");
    for part in ["postgres.terminate_backend", "pid from 1 to 4194304", "1 of 1 requests", "standing approve sta_"] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let one = listed(&site).await.remove(0);
    let (id, digest) =
        (one["id"].as_str().expect("an id").to_owned(), one["digest_short"].as_str().expect("it").to_owned());
    assert_eq!((&one["state_now"], &one["last_30_days"]["denied"]), (&json!("proposed"), &json!(0)));
    let (second, waits, _) = held(&agent, "standing").await;
    let approve = ["standing", "approve", &id, "--reason", "seen it for a month"];
    assert_error(&run(lockgate(&site).args(approve)).await, 2, "config_invalid", &["nobody is at a terminal"]);
    let zeros = "0".repeat(64);
    let wrong = [&approve[..], &["--digest", &zeros]].concat();
    assert_error(&run(lockgate(&site).args(wrong)).await, 1, "digest_mismatch", &[]);
    let said = succeeds(&site, &[&approve[..], &["--digest", &digest]].concat()).await;
    assert!(said.contains("is in force until") && said.contains("by the same person"), "{said}");

    // What was waiting is still a person's; the next call is let through.
    assert_eq!(pending(&agent.await_approval(&waits, 0).await), waits);
    let (third, pid) = victim().await;
    let done = agent.call("terminate_backend", "standing", json!({ "pid": pid }), "a test of standing approvals").await;
    assert_eq!((&done["status"], &done["approved_by"]), (&json!("done"), &json!(os_user())), "{done}");
    gone(&third).await;
    let shown = succeeds(&site, &["standing", "show", &id]).await;
    assert!(shown.contains("used_up") && shown.contains("1 of 1 used") && shown.contains("run_"), "{shown}");

    let revoke = ["standing", "revoke", &id, "--reason", "the report is fixed"];
    assert_eq!(succeeds(&site, &revoke).await, format!("{id} is revoked after 1 of 1 uses\n"));
    assert_error(&run(lockgate(&site).args(revoke)).await, 1, "standing_closed", &["is revoked"]);
    assert_error(&run(lockgate(&site).args(["standing", "show", "sta_none"])).await, 1, "not_found", &["sta_none"]);
    assert_eq!(succeeds(&site, &["standing", "list"]).await, "no standing approval lets anything through\n");
    second.simple_query("SELECT 1").await.expect("its session goes on");
    let events: Vec<_> = site.record().into_iter().filter_map(|line| line["ev"].as_str().map(str::to_owned)).collect();
    let of_it: Vec<_> = events.iter().filter(|event| event.starts_with("standing.")).collect();
    assert_eq!(of_it, ["standing.proposed", "standing.approved", "standing.used", "standing.revoked"]);
    agent.close().await;
    assert!(site.verify_record().intact);
}
