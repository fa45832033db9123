//! Reads: each that is of low risk answers under `pg_monitor` alone, or names what else it takes; and when that was granted,
//! word for word, it answers.

use std::collections::BTreeSet;

use lockgate::{error::Code, gate::Gate, pack::manifest::Risk};
use lockgate_tests::{
    session::run,
    site::{call, principal},
};
use serde_json::json;

use super::{Place, doctor::told, refusal, statements};
use crate::world::for_each_world;

/// Every action of low risk; each has a default for every argument.
fn low(gate: &Gate) -> Vec<String> {
    let offers = gate.offers(&principal());
    let low: Vec<String> =
        offers.iter().filter(|o| o.reads_only && o.risk == Risk::Low).map(|o| o.name.clone()).collect();
    assert!(low.len() >= 13, "{low:?}");
    low
}

#[test]
fn a_read_answers_under_pg_monitor_or_names_what_else_it_takes() {
    run(for_each_world(async |world| {
        let database = "privileges_reads";
        world.primary.execute("CREATE ROLE watches LOGIN IN ROLE pg_monitor").await.expect("a role");
        let targets = [world.primary.target("watches", "watches", database)];
        let place = Place::new(&world.primary, database, &targets).await;
        let mut named = BTreeSet::new();
        for action in low(&place.gate) {
            match call(&place.gate, &action, "watches", json!({})).await {
                Ok(_) => {}
                Err(refused) => {
                    let refusal = refused.refusal;
                    // An extension that is missing makes no privilege missing.
                    let known = matches!(refusal.code, Code::MissingPrivilege | Code::UnsupportedServerVersion);
                    assert!(known, "{action}: {refusal}");
                    if refusal.code == Code::MissingPrivilege || refusal.remedy.contains("CREATE EXTENSION") {
                        named.extend(statements(&refusal));
                    }
                }
            }
        }
        assert!(named.contains("CREATE EXTENSION pg_stat_statements;"), "{named:?}");

        // The doctor says it all at once: what the refusals named is among it, and it is enough.
        let said = told(&place.site, "watches").await;
        for statement in &named {
            assert!(said.sql.contains(statement), "{statement}: {:?}", said.sql);
        }
        for statement in &said.sql {
            place.grant(statement).await;
        }
        let gate = place.site.gate().await;
        for action in low(&gate) {
            if let Err(refused) = call(&gate, &action, "watches", json!({})).await {
                assert_eq!(refused.refusal.code, Code::UnsupportedServerVersion, "{action}: {}", refused.refusal);
                assert!(said.hindered.contains(&action), "{action}: the doctor knew: {}", refused.refusal);
            }
        }
        // After that nothing is left to be said.
        assert_eq!(told(&place.site, "watches").await.sql, Vec::<String>::new());
    }));
}

#[test]
fn a_read_of_a_role_with_nothing_names_pg_monitor_and_nothing_more_than_is_missing() {
    run(for_each_world(async |world| {
        let database = "privileges_nothing";
        world.primary.execute("CREATE ROLE has_nothing LOGIN NOINHERIT").await.expect("a role");
        let targets = [world.primary.target("nothing", "has_nothing", database)];
        let place = Place::new(&world.primary, database, &targets).await;
        let named = place.lacks("postgres.activity_detail", "nothing", json!({})).await;
        // A role that inherits nothing would have the membership and not its rights.
        let expected: &[&str] = if world.major >= 16 {
            &["GRANT pg_monitor TO has_nothing WITH INHERIT TRUE;"]
        } else {
            &["GRANT pg_monitor TO has_nothing;", "ALTER ROLE has_nothing INHERIT;"]
        };
        assert_eq!(named, expected);
        place.grant("GRANT pg_monitor TO has_nothing").await;
        let refused = refusal(call(&place.gate, "postgres.activity_detail", "nothing", json!({})).await);
        assert_eq!(refused.code, Code::MissingPrivilege, "a member that does not inherit: {refused}");
        for statement in statements(&refused) {
            place.grant(&statement).await;
        }
        call(&place.gate, "postgres.activity_detail", "nothing", json!({})).await.expect("it answers");
    }));
}
