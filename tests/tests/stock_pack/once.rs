//! An approval is good for one execution, of one thing, for a while: whatever else becomes of it has a code of its own, and
//! nothing is signalled.

use std::time::Duration;

use lockgate::{error::Code, postgres::TargetSettings, store::Decision};
use lockgate_tests::{
    AGENT,
    site::{Site, call, ended, held},
};
use serde_json::json;

use crate::world::{app, refused, run, world};

async fn target(name: &str, dbname: &str) -> TargetSettings {
    world().await.primary.target(name, AGENT, dbname)
}

fn signals(site: &Site) -> usize {
    let ended = site.record().into_iter().filter(|line| line["ev"] == "call.outcome");
    ended.filter(|line| line["executed"].to_string().contains("\"terminate_backend\"")).count()
}

#[test]
fn an_approval_is_executed_once_however_many_wait_for_it() {
    run(async {
        let site = Site::with_stock_pack(&[target("once", "shop").await], "").await;
        // Two hosts that share their state, each with callers that wait.
        let (one, other) = (site.gate().await, site.gate().await);
        let victim = app("once").await;
        victim.execute("BEGIN; SELECT 1").await;
        let approval = held(&one, "postgres.terminate_backend", "once", json!({ "pid": victim.pid })).await;
        let waiting: Vec<_> = [&one, &other, &one, &other]
            .into_iter()
            .map(|gate| {
                let (gate, approval) = (gate.clone(), approval.clone());
                tokio::spawn(async move { ended(&gate, &approval).await })
            })
            .collect();
        site.approve(&approval).await;
        let mut runs = Vec::new();
        for waiter in waiting {
            runs.push(waiter.await.unwrap().expect("each learns how it ended").run);
        }
        runs.dedup();
        assert_eq!(runs.len(), 1, "{runs:?}");
        let consumed = site.record().into_iter().filter(|line| line["ev"] == "approval.consumed").count();
        assert_eq!((consumed, signals(&site)), (1, 1));
        // Asked again, it is the end that it had; decided again, it is closed.
        assert_eq!(ended(&one, &approval).await.expect("the same end").run, runs[0]);
        let late = site.decide(&approval, Decision::Deny, "heidi").await.expect_err("it is over");
        assert_eq!(late.code, Code::ApprovalClosed);
        assert_eq!(signals(&site), 1);
        assert!(site.verify_record().intact);
    });
}

#[test]
fn denied_is_final() {
    run(async {
        let site = Site::with_stock_pack(&[target("denied", "shop").await], "").await;
        let gate = site.gate().await;
        let victim = app("denied").await;
        victim.execute("BEGIN; SELECT 1").await;
        let arguments = json!({ "pid": victim.pid });
        let approval = held(&gate, "postgres.terminate_backend", "denied", arguments.clone()).await;
        site.decide(&approval, Decision::Deny, "grace").await.expect("the vote counts");
        let (code, message) = refused(ended(&gate, &approval).await);
        assert_eq!(code, Code::ApprovalDenied, "{message}");
        assert!(message.contains("grace"), "{message}");
        let late = site.decide(&approval, Decision::Approve, "heidi").await.expect_err("it is over");
        assert_eq!(late.code, Code::ApprovalDenied);
        // The same call again is another request, which the old answer does not cover.
        let again = held(&gate, "postgres.terminate_backend", "denied", arguments).await;
        assert_ne!(again, approval);
        assert_eq!(signals(&site), 0);
        assert!(victim.lives().await);
    });
}

#[test]
fn nobody_decides_or_nobody_uses_it_in_time() {
    run(async {
        let short = "[approvals]\ndecide_seconds = 1\n";
        let site = Site::with_stock_pack(&[target("expired", "shop").await], short).await;
        let gate = site.gate().await;
        let victim = app("expired").await;
        victim.execute("BEGIN; SELECT 1").await;
        let approval = held(&gate, "postgres.terminate_backend", "expired", json!({ "pid": victim.pid })).await;
        let (code, message) = refused(ended(&gate, &approval).await);
        assert_eq!(code, Code::ApprovalExpired, "{message}");
        let late = site.decide(&approval, Decision::Approve, "grace").await.expect_err("it is over");
        assert!(matches!(late.code, Code::ApprovalExpired | Code::ApprovalClosed), "{late}");
        assert_eq!(signals(&site), 0);
        assert!(victim.lives().await);
    });
}

#[test]
fn the_same_call_on_other_facts_takes_the_place_of_the_first() {
    run(async {
        let site = Site::with_stock_pack(&[target("newer", "shop").await], "").await;
        let gate = site.gate().await;
        let running = app("newer").await.start("SELECT pg_sleep(600), 1").await;
        let arguments = json!({ "pid": running.pid });
        let first = held(&gate, "postgres.cancel_query", "newer", arguments.clone()).await;
        let joined = held(&gate, "postgres.cancel_query", "newer", arguments.clone()).await;
        assert_eq!(first, joined, "the same facts: one question to people, not two");
        crate::world::truth(&format!("SELECT pg_cancel_backend({})", running.pid)).await;
        let running = running.end().await.0.start("SELECT pg_sleep(600), 2").await;
        let second = held(&gate, "postgres.cancel_query", "newer", arguments).await;
        assert_ne!(first, second);
        let late = site.decide(&first, Decision::Approve, "grace").await.expect_err("it is over");
        assert_eq!(late.code, Code::ApprovalClosed);
        let (code, message) = refused(ended(&gate, &first).await);
        assert_eq!(code, Code::TargetChanged, "{message}");
        assert!(running.runs());
        site.approve(&second).await;
        ended(&gate, &second).await.expect("the newer one counts");
        assert!(running.end().await.1.is_err());
    });
}

/// Asks for an approval in a host that ends before anybody decides; another one starts with other files.
fn asked_before_a_restart(site: &Site, target: &str, pid: i64) -> String {
    std::thread::scope(|scope| {
        let host = scope.spawn(|| {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let approval = runtime.block_on(async {
                held(&site.gate().await, "postgres.terminate_backend", target, json!({ "pid": pid })).await
            });
            runtime.shutdown_timeout(Duration::from_secs(10));
            approval
        });
        host.join().expect("the first host")
    })
}

#[test]
fn a_target_that_is_another_server_now_is_not_acted_on() {
    run(async {
        let site = Site::with_stock_pack(&[target("moved", "shop").await], "").await;
        let victim = app("moved").await;
        victim.execute("BEGIN; SELECT 1").await;
        let approval = tokio::task::block_in_place(|| asked_before_a_restart(&site, "moved", victim.pid));
        site.approve(&approval).await;
        // The operator lets the name lead elsewhere. Even the pid and its start would match there.
        let text = std::fs::read_to_string(site.path("lockgate.toml")).unwrap();
        site.write("lockgate.toml", &text.replace("dbname = \"shop\"", "dbname = \"bare\""));
        let gate = site.gate().await;
        let (code, message) = refused(ended(&gate, &approval).await);
        assert_eq!(code, Code::TargetChanged, "{message}");
        assert_eq!(signals(&site), 0);
        assert!(victim.lives().await);
        let (code, _) = refused(ended(&gate, &approval).await);
        assert_eq!(code, Code::TargetChanged, "and it stays so");
    });
}

#[test]
fn an_approval_does_not_outlive_the_policy_it_was_given_under() {
    run(async {
        let site = Site::with_stock_pack(&[target("ruled", "shop").await], "policy = \"policy.toml\"\n").await;
        site.write("policy.toml", "version = 1\n");
        let victim = app("ruled").await;
        victim.execute("BEGIN; SELECT 1").await;
        let approval = tokio::task::block_in_place(|| asked_before_a_restart(&site, "ruled", victim.pid));
        site.approve(&approval).await;
        let two = "version = 1\n[[rule]]\nname = \"two people\"\nactions = [\"*terminate*\"]\ndecision = \"approve\"\napprovals = 2\n";
        site.write("policy.toml", two);
        let gate = site.gate().await;
        let (code, message) = refused(ended(&gate, &approval).await);
        assert_eq!(code, Code::TargetChanged, "{message}");
        assert!(message.contains("policy"), "{message}");
        assert_eq!(signals(&site), 0);
        assert!(victim.lives().await);
        let changed = site.record().into_iter().any(|line| line["ev"] == "policy.changed");
        assert!(changed, "the record says that the policy changed");
        // An approval asked for now is decided under the new policy.
        let again = call(&gate, "postgres.terminate_backend", "ruled", json!({ "pid": victim.pid })).await;
        assert!(again.is_ok(), "{again:?}");
        assert_eq!(site.pending()[0].request.needed, 2);
    });
}
