//! How a target is, as calls and the host's own questions find it: whether it answers, what it is, and that doors are told.

use std::time::Instant;

use lockgate::{
    gate::call::{Health, TargetState},
    postgres::throwaway::{Cluster, Options},
    startup::{self, Opened},
    statement::Role,
};
use lockgate_tests::{
    AGENT,
    site::{Site, call, done, principal},
};
use serde_json::json;

use crate::world::{PATIENCE, run, world};

fn state(gate: &lockgate::gate::Gate, name: &str) -> TargetState {
    gate.target_states(&principal()).into_iter().find(|state| state.name == name).expect("a target")
}

#[test]
fn a_target_is_as_the_last_call_found_it() {
    run(async {
        let mut server = Cluster::primary(Options::default()).start().await.expect("a server");
        server.execute("CREATE ROLE agent LOGIN").await.expect("a role");
        let mut nowhere = server.target("nowhere", AGENT, "postgres");
        nowhere.port = Some(1);
        let site = Site::with_stock_pack(&[server.target("shop", AGENT, "postgres"), nowhere], "").await;
        let gate = site.gate().await;
        let unasked = state(&gate, "shop");
        assert_eq!((unasked.health, unasked.role, unasked.version_num), (Health::Unknown, Role::Any, None));
        assert_eq!((unasked.since, unasked.asked, unasked.error), (None, None, None));

        done(&gate, "postgres.uptime", "shop", json!({})).await;
        let up = state(&gate, "shop");
        assert_eq!((up.health, up.role, &up.error), (Health::Reachable, Role::Primary, &None));
        assert_eq!(up.version_num.expect("it has said") / 10_000, server.major());
        let offer =
            gate.offers(&principal()).into_iter().find(|offer| offer.name == "postgres.uptime").expect("offered");
        let shown: Vec<_> = offer.targets.iter().map(|t| (t.name.as_str(), t.role, t.health)).collect();
        assert_eq!(shown, [("nowhere", Role::Any, Health::Unknown), ("shop", Role::Primary, Health::Reachable)]);

        call(&gate, "postgres.uptime", "nowhere", json!({})).await.expect_err("nobody is there");
        let down = state(&gate, "nowhere");
        assert_eq!(down.health, Health::Unreachable);
        assert!(down.error.is_some() && down.since.is_some(), "{down:?}");

        server.stop();
        call(&gate, "postgres.uptime", "shop", json!({})).await.expect_err("it is down");
        let stopped = state(&gate, "shop");
        assert_eq!(stopped.health, Health::Unreachable);
        assert!(stopped.since > up.since, "{stopped:?} after {up:?}");
        server.start_again().await.expect("it starts again");
        done(&gate, "postgres.uptime", "shop", json!({})).await;
        assert_eq!((state(&gate, "shop").health, state(&gate, "shop").error), (Health::Reachable, None));
    });
}

#[test]
fn a_standby_that_is_promoted_is_told_to_the_doors() {
    run(async {
        let primary = Cluster::primary(Options::default()).start().await.expect("a server");
        primary.execute("CREATE ROLE agent LOGIN").await.expect("a role");
        let standby = Cluster::standby(&primary, Options::default()).start().await.expect("a standby");
        let site = Site::with_stock_pack(&[standby.target("second", AGENT, "postgres")], "").await;
        let Opened { gate, reloader, .. } = site.open().await.expect("the host opens");
        let mut changes = gate.changes();
        // Nobody calls: what is known is known from the host's own questions.
        let kept = startup::keep(reloader);
        let mut until = async |role: Role| {
            let wait = async {
                while state(&gate, "second").role != role {
                    changes.changed().await.expect("the gate lives");
                }
            };
            tokio::time::timeout(2 * PATIENCE, wait).await.expect("the door is told");
        };
        let started = Instant::now();
        until(Role::Standby).await;
        assert_eq!(state(&gate, "second").health, Health::Reachable);
        assert!(started.elapsed().as_secs() < 20, "the first look is at once");
        standby.promote().await.expect("it is promoted");
        until(Role::Primary).await;
        drop(kept);
    });
}

#[test]
fn a_principal_sees_the_targets_that_it_may_name() {
    run(async {
        let world = world().await;
        let targets = [world.primary.target("primary", AGENT, "shop"), world.standby.target("standby", AGENT, "shop")];
        let site = Site::with_stock_pack(&targets, "policy = \"policy.toml\"\n").await;
        site.write(
            "policy.toml",
            "version = 1\n[[rule]]\nname = \"not there\"\nactions = [\"*\"]\ntargets = [\"standby\"]\ndecision = \"deny\"\n",
        );
        let gate = site.gate().await;
        let names: Vec<_> = gate.target_states(&principal()).into_iter().map(|state| state.name).collect();
        assert_eq!(names, ["primary"]);
    });
}
