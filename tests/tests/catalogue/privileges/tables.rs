//! Maintenance: with ownership before PostgreSQL 17, with MAINTAIN on the table or `pg_maintain` from 17 on, it maintains that
//! table and no other; without, it names the grant for the credential that would do the work.

use std::time::{Duration, Instant};

use lockgate::error::Code;
use lockgate_tests::{
    session::{PATIENCE, run},
    site::{call, ended},
};
use serde_json::{Value as Json, json};

use super::{Place, refusal, statements};
use crate::world::for_each_world;

fn of_table(table: &str) -> Json {
    json!({ "schema": "sales", "table": table })
}

fn of_index(table: &str) -> Json {
    json!({ "schema": "sales", "index": format!("{table}_idx") })
}

/// What the server's own books say of a table: how often it was vacuumed and analyzed, and the file of its index.
async fn books(place: &Place<'_>, table: &str) -> (i64, i64, String) {
    let count = async |column: &str| {
        let sql = format!("SELECT {column}::text FROM pg_stat_all_tables WHERE relid = 'sales.{table}'::regclass");
        place.truth(&sql).await.expect("statistics").parse::<i64>().expect("a number")
    };
    let file = format!("SELECT relfilenode::text FROM pg_class WHERE oid = 'sales.{table}_idx'::regclass");
    (count("vacuum_count").await, count("analyze_count").await, place.truth(&file).await.expect("a file"))
}

/// Waits until the books say this and nothing more; before 15 they are kept by a process of their own, half a second behind.
async fn in_the_books(place: &Place<'_>, table: &str, wanted: (i64, i64)) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (vacuums, analyzes, _) = books(place, table).await;
        if (vacuums, analyzes) == wanted {
            return;
        }
        assert!(Instant::now() < until, "{table}: {vacuums} vacuums and {analyzes} analyzes, not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What gives a role the right to maintain `sales.orders` and nothing more, as far as the version can say that.
fn grant_on_orders(major: u32, role: &str) -> String {
    if major >= 17 {
        format!("GRANT MAINTAIN ON TABLE sales.orders TO {role};")
    } else {
        format!("GRANT app TO {role};")
    }
}

#[test]
fn a_table_is_maintained_with_exactly_what_it_takes() {
    run(for_each_world(async |world| {
        let database = "privileges_tables";
        let roles = "CREATE ROLE alone LOGIN IN ROLE pg_monitor; CREATE ROLE keeper LOGIN";
        world.primary.execute(roles).await.expect("roles");
        // One target whose own role maintains, and one with a credential for it.
        let alone = world.primary.target("alone", "alone", database);
        let mut kept = world.primary.target("kept", "alone", database);
        kept.maintenance = Some(toml::from_str("user = \"keeper\"").expect("settings"));
        let place = Place::new(&world.primary, database, &[alone, kept]).await;
        let mut total = (0, 0);
        for (target, role) in [("alone", "alone"), ("kept", "keeper")] {
            let (own, usage) = (grant_on_orders(world.major, role), format!("GRANT USAGE ON SCHEMA sales TO {role};"));
            // Without: all that is missing is named, for the role that would do the work.
            for (action, arguments) in
                [("postgres.vacuum_table", of_table("orders")), ("postgres.reindex_concurrent", of_index("orders"))]
            {
                let named = place.lacks(action, target, arguments).await;
                assert_eq!(named, [usage.clone(), own.clone()], "{action} on {target}");
            }
            // Policy lets this one through without a person: the server's own refusal.
            let refused = refusal(call(&place.gate, "postgres.analyze_table", target, of_table("orders")).await);
            assert_eq!(refused.code, Code::MissingPrivilege, "{refused}");
            assert_eq!(statements(&refused), [usage.clone(), own.clone()]);
            place.grant(&usage).await;
            // It may enter the schema and not maintain: now the server only warns, and that is no success.
            let refused = refusal(call(&place.gate, "postgres.analyze_table", target, of_table("orders")).await);
            assert_eq!(refused.code, Code::MissingPrivilege, "{refused}");
            assert!(refused.message.contains("skipping"), "the server's warning is the message: {refused}");
            assert_eq!(statements(&refused), std::slice::from_ref(&own), "only what is missing is named");

            // With: the very statement that was named. Each does its work once, and nothing else is ever in the books.
            place.grant(&statements(&refused).concat()).await;
            let mut plainly = of_table("orders");
            plainly["analyze"] = json!(false);
            for (action, arguments, (vacuums, analyzes), rebuilds) in [
                ("postgres.analyze_table", of_table("orders"), (0, 1), false),
                ("postgres.vacuum_table", plainly, (1, 0), false),
                ("postgres.vacuum_table", of_table("orders"), (1, 1), false),
                ("postgres.reindex_concurrent", of_index("orders"), (0, 0), true),
            ] {
                let (.., file) = books(&place, "orders").await;
                let outcome = place.act(action, target, arguments.clone()).await;
                let outcome = outcome.unwrap_or_else(|e| panic!("{action} on {target}: {e:?}"));
                total = (total.0 + vacuums, total.1 + analyzes);
                in_the_books(&place, "orders", total).await;
                assert_eq!(books(&place, "orders").await.2 != file, rebuilds, "{action} on {target}");
                let end = place.assert_recorded(&outcome, target, &arguments, action != "postgres.analyze_table");
                assert!(end["executed"].to_string().contains("\"maintain\""), "{end}");
            }
            if world.major >= 17 {
                let named = place.lacks("postgres.vacuum_table", target, of_table("others")).await;
                assert_eq!(named, [format!("GRANT MAINTAIN ON TABLE sales.others TO {role};")]);
            }
            place
                .grant(&format!("{}; REVOKE USAGE ON SCHEMA sales FROM {role}", revoke_on_orders(world.major, role)))
                .await;
        }
        in_the_books(&place, "others", (0, 0)).await;
    }));
}

fn revoke_on_orders(major: u32, role: &str) -> String {
    if major >= 17 {
        format!("REVOKE MAINTAIN ON TABLE sales.orders FROM {role}")
    } else {
        format!("REVOKE app FROM {role}")
    }
}

#[test]
fn what_was_approved_and_then_taken_away_is_not_done() {
    run(for_each_world(async |world| {
        let database = "privileges_taken";
        let role = "taken_away";
        world.primary.execute(&format!("CREATE ROLE {role} LOGIN IN ROLE pg_monitor")).await.expect("a role");
        let place = Place::new(&world.primary, database, &[world.primary.target("taken", role, database)]).await;
        let own = grant_on_orders(world.major, role);
        place.grant(&format!("GRANT USAGE ON SCHEMA sales TO {role}; {own}")).await;
        let vacuum = place.held("postgres.vacuum_table", "taken", of_table("orders")).await;
        let reindex = place.held("postgres.reindex_concurrent", "taken", of_index("orders")).await;
        let (.., file) = books(&place, "orders").await;
        place.grant(&revoke_on_orders(world.major, role)).await;
        for (approval, says) in [(vacuum, "skipping"), (reindex, "")] {
            place.site.approve(&approval).await;
            let refused = refusal(ended(&place.gate, &approval).await);
            assert_eq!(refused.code, Code::MissingPrivilege, "{refused}");
            assert!(refused.message.contains(says), "{refused}");
            assert_eq!(statements(&refused), std::slice::from_ref(&own), "{refused:?}");
            let end = place.site.record().into_iter().rfind(|line| line["ev"] == "call.outcome").expect("an end");
            assert_eq!((&end["status"], &end["code"]), (&json!("failed"), &json!("missing_privilege")), "{end}");
        }
        // Something that is done after it, and is all that is in the books.
        place.grant("ANALYZE sales.orders").await;
        in_the_books(&place, "orders", (0, 1)).await;
        assert_eq!(books(&place, "orders").await.2, file, "nothing was done");
    }));
}

#[test]
fn pg_maintain_covers_every_table_and_a_superusers_role_is_not_given_away() {
    run(for_each_world(async |world| {
        let database = "privileges_all";
        world.primary.execute("CREATE ROLE maintains LOGIN IN ROLE pg_monitor").await.expect("a role");
        let place = Place::new(&world.primary, database, &[world.primary.target("all", "maintains", database)]).await;
        place.grant("CREATE TABLE sales.theirs (id int); CREATE INDEX theirs_idx ON sales.theirs (id)").await;
        place.grant("GRANT USAGE ON SCHEMA sales TO maintains").await;
        if world.major >= 17 {
            place.grant("GRANT pg_maintain TO maintains").await;
            for table in ["orders", "others", "theirs"] {
                for (action, arguments) in [
                    ("postgres.analyze_table", of_table(table)),
                    ("postgres.vacuum_table", of_table(table)),
                    ("postgres.reindex_concurrent", of_index(table)),
                ] {
                    place.act(action, "all", arguments).await.unwrap_or_else(|e| panic!("{action} of {table}: {e:?}"));
                }
            }
        } else {
            let refused = refusal(call(&place.gate, "postgres.vacuum_table", "all", of_table("theirs")).await);
            assert_eq!(refused.code, Code::MissingPrivilege, "{refused}");
            assert!(!refused.remedy.contains("GRANT"), "{}", refused.remedy);
            assert!(refused.remedy.contains("belongs to a superuser"), "{}", refused.remedy);
        }
    }));
}

#[test]
fn the_owner_of_the_database_vacuums_and_does_not_reindex() {
    run(for_each_world(async |world| {
        let database = "privileges_owned";
        world.primary.execute("CREATE ROLE landlord LOGIN IN ROLE pg_monitor").await.expect("a role");
        let targets = [world.primary.target("landlord", "landlord", database)];
        let place = Place::new(&world.primary, database, &targets).await;
        place
            .grant(&format!("ALTER DATABASE {database} OWNER TO landlord; GRANT USAGE ON SCHEMA sales TO landlord"))
            .await;
        place.act("postgres.vacuum_table", "landlord", of_table("orders")).await.expect("it is vacuumed");
        place.act("postgres.analyze_table", "landlord", of_table("orders")).await.expect("it is analyzed");
        let named = place.lacks("postgres.reindex_concurrent", "landlord", of_index("orders")).await;
        assert_eq!(named, [grant_on_orders(world.major, "landlord")]);
    }));
}
