//! What an operator checks: a policy before it is in force, the host after a change, the record, packs and what was saved.

use lockgate_tests::{session::run, site::Site};
use serde_json::json;

use crate::{
    pages::block,
    walk::Walk,
    world::{agent, desk_of, site},
};

const POLICY: &str = "docs/policy.md";

/// A host with the page's policy, and an agent's look at the target on its record.
async fn ruled() -> Site {
    let site = site("policy = \"policy.toml\"").await;
    site.write("policy.toml", &block(POLICY, "toml", "[[rule]]"));
    let agent = agent(&desk_of(&site)).await;
    let states = agent.call("postgres.activity_states", "primary", json!({})).await;
    assert_eq!(states["status"], "done", "{states}");
    site
}

#[test]
fn a_policy_is_looked_at_before_it_is_in_force() {
    run(async {
        let site = ruled().await;
        site.write("cases.toml", &block(POLICY, "toml", "[[case]]"));
        site.write(
            "new.toml",
            "version = 1\n[[rule]]\nname = \"no looking\"\nactions = [\"postgres.activity_*\"]\ndecision = \"deny\"\n",
        );
        let mut desk = desk_of(&site);
        let mut walk = Walk::of("docs/policy.md", &mut desk);
        let checked = walk.next("lockgate policy check policy.toml").await.out;
        assert!(checked.contains("`billing-*` in `targets` fits no configured target"), "{checked}");
        let printed = walk.next("lockgate policy check --print").await.out;
        walk.desk.write("printed.toml", &printed);
        assert!(!printed.contains('#') && printed.contains("name = \"end of year\""), "{printed}");
        let told = walk.next("lockgate policy explain").await.out;
        assert!(told.starts_with("approve, by rule `terminating takes two DBAs`"), "{told}");
        let tested = walk.next("lockgate policy test cases.toml").await.out;
        assert!(tested.contains("2 passed, 0 failed"), "{tested}");
        // As the page says, these cases need nothing but the policy.
        let alone = "lockgate policy test cases.toml --policy policy.toml --config nothing.toml";
        assert!(walk.desk.succeeds(alone).await.contains("2 passed, 0 failed"));
        let diff = walk.next("lockgate policy diff").await.out;
        assert!(diff.contains("stricter:\n  postgres.activity_states on primary by claude"), "{diff}");
        let same = walk.desk.succeeds("lockgate policy diff printed.toml").await;
        assert!(same.contains("1 alike, 0 different"), "{same}");
    });
}

#[test]
fn a_host_is_looked_after() {
    run(async {
        let site = ruled().await;
        let mut desk = desk_of(&site);
        let mut walk = Walk::of("docs/operating.md", &mut desk);
        walk.next("lockgate policy check").await;
        let diff = walk.next("lockgate policy diff").await.out;
        assert!(diff.contains("1 alike, 0 different"), "{diff}");
        let found = walk.next("lockgate doctor").await.out;
        assert!(found.contains("ok       target primary"), "{found}");
        walk.desk.succeeds("lockgate audit key > lockgate.pub").await;
        assert!(walk.next("lockgate audit verify").await.out.contains("intact"));

        // What is saved, and what is asked before an upgrade.
        walk.desk.succeeds("sqlite3 state/store.db \".backup saved.db\"").await;
        assert_eq!(walk.desk.succeeds("sqlite3 saved.db 'PRAGMA integrity_check'").await, "ok\n");
        for component in
            std::fs::read_dir(site.path("packs")).expect("the packs").map(|entry| entry.expect("a file").path())
        {
            if component.extension().is_some_and(|extension| extension == "wasm") {
                walk.desk.set("FILE", component);
                assert!(walk.desk.succeeds("lockgate pack verify \"$FILE\"").await.starts_with("postgres "));
            }
        }
    });
}
