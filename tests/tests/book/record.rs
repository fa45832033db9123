//! The record by hand: with a shell, and with the page's own program, which knows nothing of lockgate.

use lockgate_tests::session::run;
use serde_json::json;

use crate::{
    pages::block,
    walk::Walk,
    world::{agent, desk_of, site},
};

#[test]
fn a_record_is_verified_without_lockgate() {
    run(async {
        let site = site("").await;
        let mut desk = desk_of(&site);
        let agent = agent(&desk).await;
        for _ in 0..3 {
            let states = agent.call("postgres.activity_states", "primary", json!({})).await;
            assert_eq!(states["status"], "done", "{states}");
        }
        agent.closes().await;
        let key = desk.succeeds("lockgate audit key").await;

        desk.write("check.py", &block("docs/record.md", "python", "import base64"));
        desk.set("KEY", key.trim());
        let lines = site.record().len();
        let checked = desk.succeeds("python3 check.py state/record \"$KEY\"").await;
        assert_eq!(checked, format!("{lines} lines, {lines} of them covered by a checkpoint\n"));
        desk.succeeds("lockgate audit export taken").await;
        desk.succeeds("lockgate audit verify-export taken --key \"$KEY\"").await;

        desk.go("state/record".as_ref());
        let chain = Walk::of("docs/record.md", &mut desk).next("line=").await.out;
        let (hash, prev) = chain.split_once('\n').expect("two lines");
        let hash = hash.split(' ').next().expect("a hash");
        assert_eq!((hash.len(), prev.trim_end()), (64, &*format!("\"prev\":\"{hash}\"")));

        // One letter is enough for both to see it.
        desk.go("../..".as_ref());
        desk.succeeds("sed -i '7s/activity_states/activity_stated/; 8s/activity_states/activity_stated/' state/record/record-00000001.jsonl")
            .await;
        assert_eq!(desk.run("python3 check.py state/record \"$KEY\"").await.code, 1);
        assert_eq!(desk.run("lockgate audit verify").await.code, 1);
    });
}
