//! Held calls that are repeated, with an id and without: one request to people, one execution, and the agent's own words
//! where a person reads them.

use lockgate::{
    gate::call::Pending,
    store::{Decision, State},
};

use super::*;
use crate::{
    agent::pending,
    order::{gone, victim},
    process::succeeds,
};

fn asks(answer: Result<Answer, Refused>) -> Pending {
    match answer {
        Ok(Answer::Pending(pending)) => *pending,
        other => panic!("{other:?}"),
    }
}

fn terminate(target: &str, pid: i32, operation: &str) -> Call {
    let call = call_of("postgres.terminate_backend", target, json!({ "pid": pid }));
    Call {
        operation: Some(operation.to_owned()),
        evidence: Some("it idles since 09:14, seen with postgres://app:hunter2@db/shop".into()),
        expected: Some("thirty writers go on".into()),
        ..call
    }
}

async fn signalled(target: &str) -> usize {
    executions(server().await, target).iter().filter(|e| e.sql.contains("pg_terminate_backend(v.pid")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_operation_is_one_request_and_runs_once_for_all_who_repeat_it() {
    let site = site("heldonce", "").await;
    let (gate, other) = (site.gate().await, site.gate().await);
    let (client, pid) = victim().await;
    let first = asks(calls(&gate, terminate("heldonce", pid, "op-held-01")).await);
    assert!(!first.replayed);
    for gate in [&gate, &other] {
        let again = asks(calls(gate, terminate("heldonce", pid, "op-held-01")).await);
        assert_eq!((&again.approval, &again.run, again.replayed), (&first.approval, &first.run, true));
    }
    assert_eq!(site.pending().len(), 1);

    let shown = succeeds(&site, &["approvals", "show", &first.approval]).await;
    for part in ["in the agent's own words", "  | it idles since 09:14", "  | thirty writers go on", "  | op-held-01"] {
        assert!(shown.contains(part), "`{part}` is not shown: {shown}");
    }
    let json: Json =
        serde_json::from_str(&succeeds(&site, &["approvals", "show", &first.approval, "--json"]).await).expect("JSON");
    assert_eq!(json["request"]["agent_expected"], "thirty writers go on");
    assert_eq!(json["request"]["operation"], "op-held-01");
    let lines = site.record();
    let asked = only(&lines, "approval.requested", &[("approval", &json!(first.approval))]);
    assert_eq!((&asked["operation"], &asked["agent_expected"]), (&json!("op-held-01"), &json!("thirty writers go on")));
    let intent = only(&lines, "call.intent", &[("run", &json!(first.run))]);
    assert_eq!((&intent["operation"], &intent["expected"]), (&json!("op-held-01"), &json!("thirty writers go on")));
    let everywhere = format!("{lines:?}{shown}{json}");
    assert!(!everywhere.contains("hunter2"), "a password in the agent's words is told on");

    site.approve(&first.approval).await;
    let (who, patient) = (principal(), hold(PATIENCE));
    let (one, two) = tokio::join!(
        gate.call(&who, terminate("heldonce", pid, "op-held-01"), patient.clone()),
        other.call(&who, terminate("heldonce", pid, "op-held-01"), patient.clone()),
    );
    for ended in [outcome(one), outcome(two), outcome(calls(&gate, terminate("heldonce", pid, "op-held-01")).await)] {
        assert_eq!((&ended.run, ended.replayed), (&first.run, true));
        assert_eq!(ended.approval.map(|approved| approved.id).as_ref(), Some(&first.approval));
    }
    gone(&client).await;
    assert_eq!(signalled("heldonce").await, 1);
    let lines = site.record();
    only(&lines, "approval.consumed", &[("approval", &json!(first.approval))]);
    only(&lines, "call.outcome", &[("run", &json!(first.run))]);
    assert_eq!(all(&lines, "operation.replayed", &[("run", &json!(first.run))]).count(), 5);
    assert!(site.verify_record().intact);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_operation_stays_denied_until_the_agent_names_a_new_one() {
    let site = site("helddenied", "").await;
    let gate = site.gate().await;
    let (_client, pid) = victim().await;
    let first = asks(calls(&gate, terminate("helddenied", pid, "op-denied-1")).await);
    site.decide(&first.approval, Decision::Deny, "grace").await.expect("the vote counts");
    for _ in 0..2 {
        let Err(Refused { run, refusal }) = calls(&gate, terminate("helddenied", pid, "op-denied-1")).await else {
            panic!("it was not refused")
        };
        assert_eq!((refusal.code, refusal.replayed, &run), (Code::ApprovalDenied, true, &first.run));
        assert!(refusal.remedy.ends_with("use a new `operation_id`"), "{}", refusal.remedy);
    }
    assert!(site.pending().is_empty());
    let anew = asks(calls(&gate, terminate("helddenied", pid, "op-denied-2")).await);
    assert_ne!(anew.approval, first.approval);
    assert_eq!(signalled("helddenied").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_call_without_an_id_that_is_repeated_joins_and_runs_once() {
    let site = site("heldjoin", "[mcp]\nhold_seconds = 0\n").await;
    let agent = Agent::start(&site).await;
    let (client, pid) = victim().await;
    let ask = async || agent.call("terminate_backend", "heldjoin", json!({ "pid": pid }), WHY).await;
    let first = ask().await;
    let approval = pending(&first);
    for _ in 0..2 {
        assert_eq!(pending(&ask().await), approval);
    }
    // A named one joins as well.
    let mut named = json!({ "pid": pid, "target": "heldjoin", "reason": WHY, "operation_id": "op-joins-01" });
    assert_eq!(pending(&agent.answer("postgres.terminate_backend", named.clone()).await), approval);
    let waiting = site.pending();
    assert_eq!((waiting.len(), waiting[0].state), (1, State::Pending));
    let lines = site.record();
    only(&lines, "approval.requested", &[]);
    assert_eq!(all(&lines, "approval.joined", &[("approval", &json!(approval))]).count(), 3);

    site.approve(&approval).await;
    let done = agent.await_approval(&approval, 50).await;
    assert_eq!(done["status"], "done", "{done}");
    gone(&client).await;
    named["reason"] = "asking for the answer once more".into();
    let replayed = agent.answer("postgres.terminate_backend", named).await;
    assert_eq!((&replayed["status"], &replayed["replayed"]), (&json!("done"), &json!(true)), "{replayed}");
    assert_eq!(replayed["run_id"], done["run_id"]);
    assert_eq!(signalled("heldjoin").await, 1);
    // Repeated after its end it is a new call; its backend is gone.
    let after = ask().await;
    assert_eq!(after["status"], "refused", "{after}");
    assert_eq!(signalled("heldjoin").await, 1);
    agent.close().await;
}
