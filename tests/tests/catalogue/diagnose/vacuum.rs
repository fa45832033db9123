//! A table that can't be cleaned up for what holds the horizon back, and a database near wraparound.

use lockgate_tests::{
    answers::{row_where, text},
    session::{APP, Session, gone, run},
};
use serde_json::json;

use super::ward::{Ward, on_each, severity, suggested, verdicts};

/// Lets a hundred thousand transactions go by.
async fn time_passes(ward: &Ward) {
    let burn = "DO $$ BEGIN FOR i IN 1..110000 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$";
    ward.primary.execute(burn).await.expect("transactions");
}

async fn dead_rows(ward: &Ward) -> i64 {
    let client = ward.primary.connect_to("vacuum").await.unwrap();
    let count = "SELECT n_dead_tup FROM pg_stat_all_tables WHERE relid = 'orders'::regclass";
    client.query_one(count, &[]).await.unwrap().get(0)
}

#[test]
fn what_holds_the_horizon_goes_first_and_then_the_table_is_vacuumed() {
    run(on_each(holders));
}

async fn holders(ward: &'static Ward) {
    let _turn = ward.turn.lock().await;
    let table = "CREATE TABLE orders (id int); INSERT INTO orders SELECT generate_series(1, 10000); ANALYZE orders";
    ward.sql("vacuum", table).await;

    // Left open with a snapshot from before the rows were deleted; a prepared transaction; a report that runs.
    let left = ward.app("vacuum").await;
    left.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM orders").await;
    ward.sql("vacuum", "BEGIN; INSERT INTO orders VALUES (0); PREPARE TRANSACTION 'unfinished'").await;
    let elsewhere = ward.app("old").await;
    elsewhere.execute("BEGIN; CREATE TABLE unrelated (id int)").await;
    ward.sql("vacuum", "DELETE FROM orders WHERE id > 2000").await;
    time_passes(ward).await;

    let held = ["xmin_held_by_backend", "tables_past_threshold"];
    let outcome = ward.becomes("vacuum_health", "vacuum", &held).await;
    assert_eq!(severity(&outcome), "warning");
    assert_eq!(suggested(&outcome), Some(("postgres.terminate_backend", json!({ "pid": left.pid }))));
    let holders = outcome.tables.iter().find(|table| table.title == "Who holds the horizon back").unwrap();
    let row = row_where(&holders.rows, "pid", &lockgate::value::Value::Integer(left.pid));
    let age = format!("SELECT age(backend_xmin) FROM pg_stat_activity WHERE pid = {}", left.pid);
    let truth: i64 = ward.primary.value(&age).await.unwrap().unwrap().parse().unwrap();
    assert!(row["age"].as_i64().unwrap() >= 110_000 && (truth - row["age"].as_i64().unwrap()).abs() < 1000, "{row:?}");
    // That a vacuum would be for nothing is so.
    ward.sql("vacuum", "VACUUM orders").await;
    assert_eq!(dead_rows(ward).await, 8000);

    ward.follow(&outcome, "vacuum").await;
    gone(&ward.primary, left.pid).await;
    let outcome = ward.says("vacuum_health", "vacuum").await;
    assert_eq!(verdicts(&outcome), ["xmin_held_by_prepared_transaction", "tables_past_threshold"]);
    assert_eq!(suggested(&outcome), None, "no action decides a prepared transaction");
    ward.sql("vacuum", "ROLLBACK PREPARED 'unfinished'").await;

    // What is open in another database does not hold this one's tables.
    let outcome = ward.says("vacuum_health", "vacuum").await;
    assert_eq!(verdicts(&outcome), ["tables_past_threshold"]);
    let expected = ("postgres.vacuum_table", json!({ "schema": "public", "table": "orders" }));
    assert_eq!(suggested(&outcome), Some(expected));
    ward.follow(&outcome, "vacuum").await;
    // Before 15 the statistics are told of it a moment later.
    ward.becomes("vacuum_health", "vacuum", &["healthy"]).await;
    assert_eq!(dead_rows(ward).await, 0);
    let there = ward.says("vacuum_health", "old").await;
    assert_eq!(suggested(&there), Some(("postgres.terminate_backend", json!({ "pid": elsewhere.pid }))));
    drop(elsewhere);

    // A query that runs is cancelled; its session stays.
    let report = ward.app("vacuum").await.start("SELECT count(*), pg_sleep(600) FROM orders").await;
    time_passes(ward).await;
    let outcome = ward.becomes("vacuum_health", "vacuum", &["xmin_held_by_backend"]).await;
    assert_eq!(suggested(&outcome), Some(("postgres.cancel_query", json!({ "pid": report.pid }))));
    ward.follow(&outcome, "vacuum").await;
    let (session, answer) = report.end().await;
    assert!(answer.is_err() && session.lives().await);
    assert_eq!(verdicts(&ward.says("vacuum_health", "vacuum").await), ["healthy"]);
}

#[test]
fn a_database_near_wraparound_is_frozen_by_what_is_suggested() {
    run(on_each(wraparound));
}

async fn wraparound(ward: &'static Ward) {
    let _turn = ward.turn.lock().await;
    let ancient = "CREATE TABLE ancient (id int); INSERT INTO ancient SELECT generate_series(1, 1000)";
    ward.sql("old", ancient).await;
    // The catalogs say that nobody has frozen anything for 1,700 million transactions.
    let long_ago = "((txid_current() + 4294967296 - 1700000000) % 4294967296)::text::xid";
    let catalogs = format!(
        "UPDATE pg_class SET relfrozenxid = {long_ago} WHERE oid = 'ancient'::regclass;
         UPDATE pg_database SET datfrozenxid = {long_ago} WHERE datname = 'old'"
    );
    ward.primary.execute_in("old", &catalogs).await.unwrap();

    let elsewhere = ward.says("vacuum_health", "vacuum").await;
    assert_eq!(verdicts(&elsewhere)[0], "wraparound_danger");
    assert_eq!(suggested(&elsewhere), None, "it is for somebody who is connected there");
    let ages = elsewhere.tables.iter().find(|table| table.title == "Ages of databases").unwrap();
    assert_eq!(row_where(&ages.rows, "database", &text("old"))["xid_age"].as_i64().unwrap() / 1_000_000, 1700);

    let outcome = ward.says("vacuum_health", "old").await;
    assert_eq!((verdicts(&outcome)[0], severity(&outcome)), ("wraparound_danger", "critical"));
    let expected = ("postgres.vacuum_table", json!({ "schema": "public", "table": "ancient" }));
    assert_eq!(suggested(&outcome), Some(expected.clone()));
    assert_eq!(suggested(&ward.says("checkup", "old").await), Some(expected), "nothing is worse");

    // So near to it VACUUM warns that it leaves indexes for later (from 14 on), and does what is needed all the same.
    let vacuumed = ward.follow(&outcome, "old").await;
    assert_eq!(vacuumed.summary, "vacuumed and analyzed `public.ancient`");
    let age = "SELECT age(datfrozenxid) < 200000000 FROM pg_database WHERE datname = 'old'";
    assert_eq!(ward.primary.value(age).await.unwrap().as_deref(), Some("t"));
    for target in ["old", "vacuum"] {
        let after = ward.says("vacuum_health", target).await;
        assert!(!verdicts(&after).iter().any(|word| word.starts_with("wraparound")), "{:?}", after.findings);
    }
}

#[test]
fn a_standby_names_its_own_holders() {
    async fn story(ward: &'static Ward) {
        let _turn = ward.turn.lock().await;
        ward.caught_up().await;
        let reader = Session::of(&ward.standby, APP, "replication", "reader").await;
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await;
        time_passes(ward).await;
        ward.caught_up().await;
        let outcome = ward.becomes("vacuum_health", "standby", &["xmin_held_by_backend"]).await;
        assert_eq!(suggested(&outcome), Some(("postgres.terminate_backend", json!({ "pid": reader.pid }))));
        ward.follow(&outcome, "standby").await;
        gone(&ward.standby, reader.pid).await;
        assert_eq!(verdicts(&ward.says("vacuum_health", "standby").await), ["healthy"]);
    }
    run(on_each(story));
}
