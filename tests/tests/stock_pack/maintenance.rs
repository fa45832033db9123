//! ANALYZE, VACUUM and REINDEX: what was not done is never green, what was done is seen in the server's own books, and what is
//! in the way or left behind is said.

use lockgate::error::Code;
use lockgate_tests::site::{call, done, ended, held};
use serde_json::json;

use crate::world::{APP, Session, refused, run, stale_for, world};

/// The first cell of a query in `shop`, as text.
async fn shop(sql: &str) -> Option<String> {
    let client = world().await.primary.connect_to("shop").await.expect("a session");
    client.query_one(sql, &[]).await.expect("a row").get(0)
}

/// A table of its own with an index, some dead rows and no statistics.
async fn table(name: &str) {
    let sql = format!(
        "SET ROLE {APP}; CREATE TABLE sales.{name} (id int, note text) WITH (autovacuum_enabled = off);
         CREATE INDEX {name}_idx ON sales.{name} (id);
         INSERT INTO sales.{name} SELECT i, 'x' FROM generate_series(1, 2000) i; DELETE FROM sales.{name} WHERE id > 1000"
    );
    world().await.primary.execute_in("shop", &sql).await.expect("a table");
}

async fn count(name: &str, column: &str) -> i64 {
    let sql = format!("SELECT {column}::text FROM pg_stat_all_tables WHERE relid = 'sales.{name}'::regclass");
    shop(&sql).await.expect("statistics").parse().expect("a number")
}

/// Asks, approves, and waits for the end.
async fn approved(
    action: &str,
    target: &str,
    arguments: serde_json::Value,
) -> Result<lockgate::gate::call::Outcome, lockgate::gate::call::Refused> {
    let world = world().await;
    let approval = held(&world.gate, action, target, arguments).await;
    world.site.approve(&approval).await;
    ended(&world.gate, &approval).await
}

#[test]
fn work_that_was_skipped_is_a_failure() {
    run(async {
        let world = world().await;
        table("skipped").await;
        let arguments = json!({ "schema": "sales", "table": "skipped" });
        let analyzed = call(&world.gate, "postgres.analyze_table", "primary", arguments.clone()).await;
        let (code, message) = refused(analyzed);
        assert_eq!(code, Code::MissingPrivilege, "{message}");
        assert!(message.contains("skipped") && message.contains("skipping"), "the server's own warning: {message}");
        // What a person would have to approve is refused before anybody is asked.
        let index = json!({ "schema": "sales", "index": "skipped_idx" });
        for (action, arguments) in [("postgres.vacuum_table", arguments), ("postgres.reindex_concurrent", index)] {
            let (code, message) = refused(call(&world.gate, action, "primary", arguments).await);
            assert_eq!(code, Code::MissingPrivilege, "{message}");
            assert!(message.contains("role agent may not maintain"), "{message}");
        }
        assert_eq!((count("skipped", "analyze_count").await, count("skipped", "vacuum_count").await), (0, 0));
        let of_this = |l: &serde_json::Value| l["ev"] == "call.outcome" && l["code"] == "missing_privilege";
        let ends: Vec<_> = world.site.record().into_iter().filter(of_this).collect();
        assert!(ends.len() >= 3 && ends.iter().all(|line| line["status"] == "failed"), "{ends:?}");
    });
}

#[test]
fn the_maintenance_credential_does_the_work() {
    run(async {
        let world = world().await;
        table("kept").await;
        let arguments = json!({ "schema": "sales", "table": "kept" });
        let outcome = done(&world.gate, "postgres.analyze_table", "keeper", arguments.clone()).await;
        assert_eq!(outcome.summary, "analyzed `sales.kept`");
        assert_eq!((count("kept", "analyze_count").await, count("kept", "vacuum_count").await), (1, 0));

        let mut plainly = arguments.clone();
        plainly["analyze"] = json!(false);
        let outcome = approved("postgres.vacuum_table", "keeper", plainly).await.expect("it is vacuumed");
        assert_eq!(outcome.summary, "vacuumed `sales.kept`");
        assert_eq!((count("kept", "analyze_count").await, count("kept", "vacuum_count").await), (1, 1));
        approved("postgres.vacuum_table", "keeper", arguments).await.expect("it is vacuumed and analyzed");
        assert_eq!((count("kept", "analyze_count").await, count("kept", "vacuum_count").await), (2, 2));
        assert_eq!(count("kept", "n_dead_tup").await, 0);

        let file = "SELECT relfilenode::text FROM pg_class WHERE oid = 'sales.kept_idx'::regclass";
        let before = shop(file).await;
        let index = json!({ "schema": "sales", "index": "kept_idx" });
        let outcome = approved("postgres.reindex_concurrent", "keeper", index).await.expect("it is rebuilt");
        assert_eq!(outcome.summary, "rebuilt index `sales.kept_idx`");
        assert_ne!(shop(file).await, before, "the index has another file");
        assert!(outcome.notices.iter().any(|notice| notice.contains("no invalid index")), "{:?}", outcome.notices);
        // Reads go on under the role that owns nothing.
        let uses = world.site.run(&outcome.run).pop().expect("an end")["executed"].to_string();
        assert!(uses.contains("reindex_concurrent") && uses.contains("invalid_indexes_of_table"), "{uses}");
    });
}

#[test]
fn only_what_it_is_for_is_maintained() {
    run(async {
        let world = world().await;
        let sql = "SET ROLE app; CREATE VIEW sales.a_view AS SELECT 1 AS one; CREATE SEQUENCE sales.a_sequence;
            CREATE TABLE sales.\"Odd \"\"Name\" (id int); CREATE TABLE sales.odd (id int);
            CREATE TABLE sales.parted (id int) PARTITION BY RANGE (id); CREATE INDEX parted_idx ON sales.parted (id)";
        world.primary.execute_in("shop", sql).await.unwrap();
        for (name, word) in [("a_view", "a view"), ("a_sequence", "a sequence"), ("orders_pkey", "an index")] {
            for action in ["postgres.analyze_table", "postgres.vacuum_table"] {
                let arguments = json!({ "schema": "sales", "table": name });
                let (code, message) = refused(call(&world.gate, action, "keeper", arguments).await);
                assert_eq!(code, Code::NotApplicable, "{message}");
                assert!(message.contains(word), "{message}");
            }
        }
        for (schema, name, word) in [
            ("sales", "orders", "is no index"),
            ("sales", "parted_idx", "partitioned"),
            ("pg_catalog", "pg_class_oid_index", "system catalogs"),
        ] {
            let arguments = json!({ "schema": schema, "index": name });
            let (code, message) = refused(call(&world.gate, "postgres.reindex_concurrent", "keeper", arguments).await);
            assert_eq!(code, Code::NotApplicable, "{message}");
            assert!(message.contains(word), "{message}");
        }
    });
}

#[test]
fn a_table_made_anew_is_not_the_one_that_was_approved() {
    run(async {
        let world = world().await;
        table("anew").await;
        let approval =
            held(&world.gate, "postgres.vacuum_table", "keeper", json!({ "schema": "sales", "table": "anew" })).await;
        let reindex = held(
            &world.gate,
            "postgres.reindex_concurrent",
            "keeper",
            json!({ "schema": "sales", "index": "anew_idx" }),
        )
        .await;
        world.primary.execute_in("shop", "DROP TABLE sales.anew").await.unwrap();
        table("anew").await;
        for approval in [approval, reindex] {
            world.site.approve(&approval).await;
            let (code, message) = refused(ended(&world.gate, &approval).await);
            assert_eq!(code, Code::TargetChanged, "{message}");
        }
        assert_eq!(count("anew", "vacuum_count").await, 0);
    });
}

#[test]
fn an_invalid_index_that_was_left_is_reported() {
    run(async {
        let world = world().await;
        table("broken").await;
        // A function that an index is made of and that fails later: the rebuild fails half-way.
        let function = |body: &str| {
            format!(
                "CREATE OR REPLACE FUNCTION sales.fickle(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN {body} END $$"
            )
        };
        let sql = format!(
            "SET ROLE app; {}; CREATE INDEX fickle_idx ON sales.broken (sales.fickle(id)); {}",
            function("RETURN $1;"),
            function("RETURN $1 / 0;")
        );
        world.primary.execute_in("shop", &sql).await.unwrap();
        let broken =
            approved("postgres.reindex_concurrent", "keeper", json!({ "schema": "sales", "index": "fickle_idx" }))
                .await;
        let (code, message) = refused(broken);
        let left = "SELECT count(*)::text FROM pg_index WHERE indrelid = 'sales.broken'::regclass AND NOT indisvalid";
        assert_eq!(shop(left).await.as_deref(), Some("1"), "PostgreSQL left one, so the test can fail");
        assert_eq!(code, Code::NoEffect, "{message}");
        assert!(message.contains("1 invalid index") && message.contains("_ccnew"), "{message}");

        // A good rebuild on the same table still tells of it.
        let outcome =
            approved("postgres.reindex_concurrent", "keeper", json!({ "schema": "sales", "index": "broken_idx" }))
                .await;
        let outcome = outcome.expect("this one works");
        assert!(
            outcome.findings.iter().any(|finding| finding.text.contains("1 invalid index")),
            "{:?}",
            outcome.findings
        );
        assert!(outcome.tables.iter().any(|table| serde_json::to_string(table).unwrap().contains("fickle_idx_ccnew")));
    });
}

#[test]
fn a_rebuild_that_would_wait_without_end_is_not_begun() {
    run(async {
        let world = world().await;
        stale_for(61).await;
        let arguments = json!({ "schema": "public", "index": "held_idx" });
        let (code, message) = refused(call(&world.gate, "postgres.reindex_concurrent", "held", arguments).await);
        assert_eq!(code, Code::NotApplicable, "{message}");
        assert!(message.contains(&world.stale.holder.pid.to_string()), "the one in the way is named: {message}");
        let young = Session::of(world.primary, APP, "held", "young").await;
        young.execute("BEGIN; SELECT txid_current()").await;
        assert!(!message.contains(&young.pid.to_string()));
    });
}
