//! Nothing is wrong, and that is what is said; and who may not see is not told so.

use lockgate::error::Code;
use lockgate_tests::{answers::refused, session::run, site::call};
use serde_json::json;

use super::ward::{Ward, on_each, severity, suggested, verdicts};

const AREAS: [&str; 5] = ["lock_pileup", "connection_pressure", "vacuum_health", "replication_health", "index_health"];

#[test]
fn nothing_is_wrong_with_a_quiet_server() {
    async fn story(ward: &'static Ward) {
        let _turn = ward.turn.lock().await;
        for target in ["locks", "watcher", "standby"] {
            for area in AREAS {
                let outcome = ward.says(area, target).await;
                assert_eq!(verdicts(&outcome), ["healthy"], "{area} of {target}: {:?}", outcome.findings);
                assert_eq!((severity(&outcome), suggested(&outcome)), ("ok", None));
                assert!(outcome.findings.is_empty() && outcome.tables.len() > 1, "{area} of {target}");
            }
            let page = ward.says("checkup", target).await;
            assert_eq!(verdicts(&page), ["healthy"; 5], "{target}: {:?}", page.findings);
            assert_eq!(page.summary, "score 100 of 100; nothing needs anybody");
        }
    }
    run(on_each(story));
}

#[test]
fn a_role_that_sees_nobody_else_gets_no_verdict() {
    async fn story(ward: &'static Ward) {
        for area in AREAS.into_iter().chain(["checkup"]) {
            let (code, message) = refused(call(&ward.gate, &format!("diagnose.{area}"), "blind", json!({})).await);
            assert_eq!(code, Code::MissingPrivilege, "{message}");
            assert!(message.contains("pg_monitor"), "{message}");
        }
    }
    run(on_each(story));
}
