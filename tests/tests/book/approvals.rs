//! What happens between the request and the decision, at the command line: what was found idle works again, and is looked at anew.

use lockgate_tests::session::{gone, run};
use serde_json::{Value as Json, json};

use crate::{
    walk::Walk,
    world::{agent, desk_of, idle, server, site},
};

#[test]
fn a_person_looks_again_and_decides_on_what_is_there_now() {
    run(async {
        let site = site("").await;
        let mut desk = desk_of(&site);
        let agent = agent(&desk).await;
        let victim = idle("migrate-svc").await;
        let pid = victim.pid;
        let held = agent.asks("postgres.terminate_backend", "primary", json!({ "pid": pid })).await;
        let id = held["approval_id"].as_str().expect("an id").to_owned();
        let digest = held["digest"].as_str().expect("a digest").to_owned();
        let busy = victim.start("SELECT pg_sleep(600)").await;

        let mut walk = Walk::of("docs/approvals.md", &mut desk);
        walk.own("apr_7h3kq0c2m9x4w1vd", &id);
        walk.own("4242", pid.to_string());
        let fresh = walk.next("lockgate approvals show").await.out;
        let seen = fresh.trim_end().rsplit(' ').next().expect("the evidence's digest").to_owned();
        // Who did not look is told what has changed.
        let blind = format!("lockgate approvals approve {id} --digest {digest}");
        let refused = walk.desk.run(&blind).await;
        assert!(refused.code == 1 && refused.err.contains("error[evidence_changed]"), "{refused:?}");
        walk.own("273e-1e9c-3487", digest);
        walk.own("9c1f-03ab-77d0", seen);
        walk.next("lockgate approvals approve").await;
        assert_eq!(agent.ends(&id).await["status"], "done");
        gone(server().await, pid).await;
        drop(busy);
        let votes: Vec<Json> = site.record().into_iter().filter(|line| line["ev"] == "approval.vote").collect();
        assert_eq!(votes.last().expect("a vote")["evidence_seen"].as_str().map(str::len), Some(64), "{votes:?}");
    });
}
