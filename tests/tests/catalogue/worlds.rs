//! The servers that the tests here rest on are what they are taken for.

use lockgate::value::Value;
use lockgate_tests::{
    answers::{column, text},
    servers::{SUPPORTED, majors},
    session::run,
    site::done,
};
use serde_json::json;

use crate::world::{for_each_world, worlds};

#[test]
fn the_oldest_and_the_newest_version_are_always_among_them() {
    run(async {
        let there: Vec<u32> = worlds().await.iter().map(|world| world.major).collect();
        assert_eq!(there, majors());
        assert!(there.contains(SUPPORTED.start()) && there.contains(SUPPORTED.end()), "{there:?}");
    });
}

#[test]
fn each_version_says_which_it_is_on_both_servers() {
    run(for_each_world(async |world| {
        for (target, in_recovery) in [("primary", false), ("standby", true)] {
            let rows = &done(&world.gate, "postgres.uptime", target, json!({})).await.tables[0].rows;
            let [Value::Text(version)] = column(rows, "server_version")[..] else { panic!("{rows:?}") };
            assert!(version.starts_with(&format!("{}.", world.major)), "{target}: {version}");
            assert_eq!(column(rows, "in_recovery"), [&Value::Boolean(in_recovery)], "{target}");
        }
    }));
}

#[test]
fn a_test_may_have_a_database_and_sessions_of_its_own() {
    run(for_each_world(async |world| {
        world.database("of_its_own").await;
        let (site, gate) = world.host_in("of_its_own").await;
        done(&gate, "postgres.is_in_recovery", "standby", json!({})).await;
        assert!(!site.record().is_empty() && !world.site.record().is_empty());

        let session = world.app("of-its-own").await;
        let on = async |target| {
            let rows = &done(&gate, "postgres.activity_detail", target, json!({ "limit": 200 })).await.tables[0].rows;
            column(rows, "application").contains(&&text("of-its-own"))
        };
        assert!(on("primary").await && !on("standby").await, "the primary and the standby are two servers");
        drop(session);
    }));
}
