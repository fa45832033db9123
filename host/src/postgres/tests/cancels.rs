//! A query whose caller is gone, or out of time, ends on the server.

use super::*;
use crate::postgres::QueryError;

fn sleep(mode: Mode) -> BoundStatement {
    kinds(bound(mode, "SELECT pg_catalog.pg_sleep(600)::text AS t", &["t"]), &[ColumnKind::Text])
}

#[tokio::test]
async fn a_deadline_ends_the_query_on_the_server() {
    let db = Db::new().await;
    let target = db.target();
    for mode in [Mode::Read, Mode::Act] {
        let error = target.execute(&sleep(mode), &within(Duration::from_millis(300))).await.unwrap_err();
        assert_eq!(error, QueryError::Timeout);
        db.runs("pg_sleep", "0").await;
    }
    assert!(target.execute(&bound(Mode::Read, "SELECT 1 AS n", &["n"]), &limits()).await.is_ok());
}

#[tokio::test]
async fn the_statements_own_timeout_holds_on_the_server() {
    let db = Db::new().await;
    let target = db.target();
    for mode in [Mode::Read, Mode::Act] {
        let mut short = sleep(mode);
        short.timeout = Some(Duration::from_millis(50));
        assert_eq!(target.execute(&short, &limits()).await.unwrap_err(), QueryError::Timeout);
    }
    let mut settings = db.settings();
    settings.statement_timeout_ms = Some(50);
    let strict = Target::new(settings).unwrap();
    assert_eq!(strict.execute(&sleep(Mode::Read), &limits()).await.unwrap_err(), QueryError::Timeout);
}

#[tokio::test]
async fn a_dropped_future_ends_the_query_on_the_server() {
    let db = Db::new().await;
    let target = db.target();
    for mode in [Mode::Read, Mode::Act] {
        let (running, statement) = (target.clone(), sleep(mode));
        let task = tokio::spawn(async move { running.execute(&statement, &limits()).await });
        db.runs("pg_sleep", "1").await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        db.runs("pg_sleep", "0").await;
    }
    // The one slot of the pool is free again.
    assert!(target.execute(&bound(Mode::Read, "SELECT 1 AS n", &["n"]), &limits()).await.is_ok());
}

#[tokio::test]
async fn a_dropped_maintenance_ends_on_the_server() {
    let db = Db::new().await;
    let target = db.target();
    let mut holder = db.cluster.connect_to(&db.name).await.unwrap();
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE t IN ACCESS SHARE MODE; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE").await.unwrap();
    let mut vacuum = bound(Mode::Maintain, "VACUUM public.t", &[]);
    vacuum.timeout = None;
    let running = target.clone();
    let task = tokio::spawn(async move { running.execute(&vacuum, &limits()).await });
    db.runs("VACUUM public.t", "1").await;
    task.abort();
    db.runs("VACUUM public.t", "0").await;
}
