//! Indexes that are broken, there twice, or there for nobody.

use lockgate_tests::{
    answers::{row_where, text},
    session::run,
};
use serde_json::json;

use super::ward::{Ward, on_each, suggested, verdicts};

const HEALTH: &str = "index_health";

#[test]
fn an_invalid_index_is_made_good_and_what_can_go_is_told_in_bytes() {
    run(on_each(story));
}

async fn story(ward: &'static Ward) {
    let _turn = ward.turn.lock().await;
    ward.sql(
        "indexes",
        "CREATE TABLE orders (id int, region int); INSERT INTO orders SELECT i, i % 7 FROM generate_series(1, 1000) i",
    )
    .await;
    ward.sql("indexes", "INSERT INTO orders VALUES (1, 1)").await;
    for name in ["orders_id_key", "\"Odd name\""] {
        let app = ward.app("indexes").await;
        // 1 is there twice.
        app.fails(&format!("CREATE UNIQUE INDEX CONCURRENTLY {name} ON orders (id)")).await;
    }
    let outcome = ward.says(HEALTH, "indexes").await;
    assert_eq!(verdicts(&outcome), ["invalid_index"]);
    let rebuild = ("postgres.reindex_concurrent", json!({ "schema": "public", "index": "orders_id_key" }));
    assert_eq!(suggested(&outcome), Some(rebuild));

    ward.sql("indexes", "DELETE FROM orders WHERE ctid = (SELECT max(ctid) FROM orders WHERE id = 1)").await;
    ward.follow(&outcome, "indexes").await;
    let client = ward.primary.connect_to("indexes").await.unwrap();
    let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'orders_id_key'::regclass";
    assert!(client.query_one(valid, &[]).await.unwrap().get::<_, bool>(0));

    // The other has a name that the action does not take.
    let outcome = ward.says(HEALTH, "indexes").await;
    assert_eq!((verdicts(&outcome), suggested(&outcome)), (vec!["invalid_index"], None));
    assert!(outcome.notices.iter().any(|notice| notice.contains("identifier")), "{:?}", outcome.notices);
    ward.sql("indexes", "DROP INDEX \"Odd name\"").await;
    assert_eq!(verdicts(&ward.says(HEALTH, "indexes").await), ["healthy"]);

    // One that does what another does, and one that only looks so; and one of some size that nobody has asked.
    ward.sql(
        "indexes",
        "CREATE TABLE lines (id bigint, note text); CREATE INDEX lines_note ON lines (note); CREATE INDEX lines_twin ON lines (note);
         CREATE INDEX lines_pattern ON lines (note text_pattern_ops)",
    )
    .await;
    let outcome = ward.says(HEALTH, "indexes").await;
    assert_eq!(verdicts(&outcome), ["duplicate_indexes"]);
    let twins = outcome.tables.iter().find(|table| table.title == "Duplicate indexes").unwrap();
    assert_eq!(twins.rows.rows.len(), 1, "{:?}", twins.rows);
    ward.sql(
        "indexes",
        "DROP INDEX lines_twin, lines_note, lines_pattern; INSERT INTO lines SELECT i, '' FROM generate_series(1, 400000) i;
         CREATE INDEX lines_id ON lines (id); SELECT count(*) FROM lines",
    )
    .await;
    let outcome = ward.becomes(HEALTH, "indexes", &["unused_indexes"]).await;
    let unused = outcome.tables.iter().find(|table| table.title == "Unused indexes").unwrap();
    let row = row_where(&unused.rows, "index_name", &text("lines_id"));
    let size = client.query_one("SELECT pg_relation_size('lines_id')", &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(row["bytes"].as_i64().unwrap(), size);
    assert_eq!(suggested(&outcome), None, "no action drops an index");
    ward.sql("indexes", "DROP TABLE lines").await;
    assert_eq!(verdicts(&ward.says(HEALTH, "indexes").await), ["healthy"]);
}
