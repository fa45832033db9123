//! A standing approval from a request that people approved to its end, at the command line.

use lockgate_tests::{
    AGENT,
    session::{gone, run},
    site::Site,
};
use serde_json::{Value as Json, json};

use crate::{
    walk::Walk,
    world::{LeftBehind, agent, desk_of},
};

#[test]
fn a_standing_approval_is_proposed_approved_and_taken_back() {
    run(async {
        let left = LeftBehind::take().await;
        let target = left.cluster.target("primary", AGENT, "postgres");
        let site = Site::with_stock_pack(&[target], "[mcp]\nhold_seconds = 0\n").await;
        let mut desk = desk_of(&site);
        let agent = agent(&desk).await;
        left.is_old().await;
        let held = agent.asks("postgres.kill_idle", "primary", json!({ "older_than_seconds": 60 })).await;
        let part = |name: &str| held[name].as_str().expect("a text").to_owned();
        let (id, digest) = (part("approval_id"), part("digest"));
        // Time goes by, and nothing else happens: what was asked is what is there.
        desk.succeeds(&format!("lockgate approvals approve {id} --digest {digest}")).await;
        assert_eq!(agent.ends(&id).await["status"], "done");
        gone(&left.cluster, left.session.pid).await;

        let mut walk = Walk::of("docs/standing-approvals.md", &mut desk);
        walk.own("apr_7h3kq0c2m9x4w1vd", &id);
        // Nobody waits for ten minutes here: the request was about one.
        walk.own("600..86400", "60..86400");
        let proposed = walk.next("lockgate standing propose").await.out;
        assert!(proposed.contains("older_than_seconds from 60 to 86400"), "{proposed}");
        let listed = walk.desk.succeeds("lockgate standing list --all --json").await;
        let one: Json = serde_json::from_str(&listed).expect("one of them");
        walk.own("sta_0v2n…", one["id"].as_str().expect("an id"));
        walk.own("51c0-…", one["digest_short"].as_str().expect("a digest"));
        let approved = walk.next("lockgate standing approve").await.out;
        assert!(approved.contains("is in force until"), "{approved}");
        let shown = walk.next("lockgate standing list").await.out;
        assert!(shown.contains(one["id"].as_str().expect("an id")) && shown.contains("kill_idle"), "{shown}");
        let revoked = walk.next("lockgate standing revoke").await.out;
        assert!(revoked.contains("is revoked after 0 of 20 uses"), "{revoked}");
        let events = site.record().into_iter().filter_map(|line| line["ev"].as_str().map(str::to_owned));
        let events: Vec<_> = events.filter(|event| event.starts_with("standing.")).collect();
        assert_eq!(events, ["standing.proposed", "standing.approved", "standing.revoked"]);
    });
}
