//! Taking turns.

use super::*;
use crate::postgres::{QueryError, cache::CAPACITY};

#[tokio::test]
async fn a_pool_that_stays_in_use_is_busy() {
    let db = Db::new().await;
    let target = db.target();
    let sleep = kinds(bound(Mode::Read, "SELECT pg_catalog.pg_sleep(600)::text AS t", &["t"]), &[ColumnKind::Text]);
    let (running, statement) = (target.clone(), sleep.clone());
    let task = tokio::spawn(async move { running.execute(&statement, &limits()).await });
    db.runs("pg_sleep", "1").await;
    let error = target.execute(&sleep, &within(Duration::from_millis(50))).await.unwrap_err();
    assert!(matches!(&error, QueryError::Busy(m) if m.contains("pool_size")), "{error:?}");
    task.abort();
}

#[tokio::test]
async fn callers_share_the_pool() {
    let db = Db::new().await;
    let mut settings = db.settings();
    settings.pool_size = Some(3);
    let target = Target::new(settings).unwrap();
    let calls = (0..30).map(|n| {
        let target = target.clone();
        tokio::spawn(async move {
            let statement =
                with(bound(Mode::Read, "SELECT $1 AS n", &["n"]), &[(InputKind::Integer, Value::Integer(n))]);
            (target.execute(&statement, &limits()).await.unwrap().rows.rows, one(Value::Integer(n)))
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let (found, wanted) = call.await.unwrap();
        assert_eq!(found, wanted);
    }
    let sessions = format!("SELECT count(*) <= 3 FROM pg_stat_activity WHERE datname = '{}'", db.name);
    assert_eq!(db.cluster.value(&sessions).await.unwrap().as_deref(), Some("t"));
}

#[tokio::test]
async fn prepared_statements_are_bounded_on_the_server() {
    let db = Db::new().await;
    let target = db.target();
    for n in 0..CAPACITY + 20 {
        target.execute(&bound(Mode::Read, &format!("SELECT {n} AS n"), &["n"]), &limits()).await.unwrap();
    }
    let held = bound(Mode::Read, "SELECT count(*) AS n FROM pg_catalog.pg_prepared_statements", &["n"]);
    let Value::Integer(held) = target.execute(&held, &limits()).await.unwrap().rows.rows[0][0] else { panic!() };
    // The cache and the four statements around each read.
    assert!(held <= i64::try_from(CAPACITY).unwrap() + 4, "{held}");
}

#[tokio::test]
async fn a_result_type_that_changed_is_seen() {
    let db = Db::new().await;
    let target = db.target();
    let read = bound(Mode::Read, "SELECT id FROM public.t WHERE id = 1", &["id"]);
    target.execute(&read, &limits()).await.unwrap();
    db.execute("ALTER TABLE t ALTER id TYPE int4").await;
    // The first call is told by the server, the second has a new plan.
    let _ = target.execute(&read, &limits()).await;
    assert_eq!(target.execute(&read, &limits()).await.unwrap().rows.rows, one(Value::Integer(1)));
}
