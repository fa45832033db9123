//! Standbys, over HTTP with a token: what works there and what does not.

use std::time::{Duration, Instant};

use lockgate_tests::site::Site;
use serde_json::{Value as Json, json};

use crate::{
    agent::{pending, rows},
    cli::assert_error,
    door::Served,
    process::{lockgate, run, succeeds},
    stage::{Stage, session},
};

const WHY: &str = "a look at the standbys while the primary is in trouble";

/// Part of the story: it has the servers up.
pub async fn reads_answer_acts_work_and_maintenance_is_refused(
    stage: &Stage,
    site: &Site,
    served: &Served,
    token: &str,
) {
    let (status, _) = served.answer("lgt_somebody_else", "postgres.uptime", &json!({ "reason": WHY })).await;
    assert_eq!(status, 401);

    for name in ["standby1", "standby2"] {
        let uptime = rows(&served.call(token, "uptime", name, json!({}), WHY).await);
        assert_eq!(uptime[0]["in_recovery"], true, "{name}: {uptime:?}");
        let refused =
            served.call(token, "vacuum_table", name, json!({ "schema": "public", "table": "orders" }), WHY).await;
        assert_eq!((&refused["status"], &refused["code"]), (&json!("refused"), &json!("not_on_standby")), "{refused}");
    }

    // A session of the standby itself, which its primary knows nothing of.
    let standby = &stage.standbys[0];
    let victim = session(standby, "app", "report").await;
    let pid: i32 = victim.query_one("SELECT pg_catalog.pg_backend_pid()", &[]).await.expect("a row").get(0);
    let began = Instant::now();
    let held = served.call(token, "terminate_backend", "standby1", json!({ "pid": pid }), WHY).await;
    let approval = pending(&held);
    assert!(began.elapsed() >= Duration::from_secs(1), "it answered pending before hold_seconds were over");
    victim.simple_query("SELECT 1").await.expect("nobody has decided");
    let digest = held["digest"].as_str().expect("a digest");
    // Its last query is another one by now: whoever decides has to have seen that.
    let approve = ["approvals", "approve", &approval, "--digest", digest, "--reason", "a report can wait"];
    assert_error(&run(lockgate(site).args(approve)).await, 1, "evidence_changed", &["`query`"]);
    let fresh = succeeds(site, &["approvals", "show", &approval, "--fresh", "--json"]).await;
    let fresh: Json = serde_json::from_str(&fresh).expect("JSON");
    let seen = fresh["review"]["answer"][1]["digest"].as_str().expect("a digest");
    succeeds(site, &[&approve[..], &["--seen", seen]].concat()).await;
    let again = json!({ "approval_id": approval, "wait_seconds": 50 });
    let (_, done) = served.answer(token, "lockgate.await_approval", &again).await;
    assert_eq!((&done["status"], &done["target"]), (&json!("done"), &json!("standby1")), "{done}");
    victim.simple_query("SELECT 1").await.expect_err("its session is gone");
}
