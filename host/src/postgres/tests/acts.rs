//! What an act commits, and what it takes back.

use super::*;
use crate::postgres::QueryError;

fn act(sql: &str) -> BoundStatement {
    bound(Mode::Act, sql, &["id"])
}

const DELETE: &str = "WITH d AS (DELETE FROM public.t WHERE id = $1 RETURNING id) SELECT id FROM d";

fn delete(id: i64) -> BoundStatement {
    with(act(DELETE), &[(InputKind::Integer, Value::Integer(id))])
}

#[tokio::test]
async fn an_act_is_committed_and_its_session_stays_clean() {
    let db = Db::new().await;
    let target = db.target();
    let executed = target.execute(&delete(3), &limits()).await.unwrap();
    assert_eq!((executed.rows.rows, db.count().await), (one(Value::Integer(3)), 9));
    let dirty = "SELECT pg_catalog.length(pg_catalog.set_config('search_path', 'public', false)) AS id, \
                 pg_catalog.pg_advisory_lock(43)::text IS NULL AS b";
    let mut dirty = kinds(bound(Mode::Act, dirty, &["id", "b"]), &[ColumnKind::Integer, ColumnKind::Boolean]);
    dirty.when_empty = WhenEmpty::Fine;
    target.execute(&dirty, &limits()).await.unwrap();
    let look = "SELECT pg_catalog.length(pg_catalog.current_setting('search_path')) AS id, \
                (SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory') AS n";
    let found = target.execute(&bound(Mode::Read, look, &["id", "n"]), &limits()).await.unwrap();
    assert_eq!(found.rows.rows, vec![vec![Value::Integer(0), Value::Integer(0)]]);
}

#[tokio::test]
async fn an_act_that_finds_nothing_is_rolled_back() {
    let db = Db::new().await;
    let target = db.target();
    // The trigger's row shows whether anything was committed.
    db.execute(
        "CREATE TABLE seen (n int8); GRANT ALL ON seen TO agent; \
         CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.seen VALUES (1); RETURN NULL; END'; \
         CREATE TRIGGER mark AFTER DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION mark()",
    )
    .await;
    let mut nothing = delete(99);
    nothing.when_empty = WhenEmpty::TargetChanged;
    assert_eq!(target.execute(&nothing, &limits()).await.unwrap_err(), QueryError::TargetChanged);
    let seen = bound(Mode::Read, "SELECT count(*) AS n FROM public.seen", &["n"]);
    assert_eq!(target.execute(&seen, &limits()).await.unwrap().rows.rows, one(Value::Integer(0)));
    nothing.when_empty = WhenEmpty::Fine;
    assert!(target.execute(&nothing, &limits()).await.unwrap().rows.rows.is_empty());
    assert_eq!(target.execute(&seen, &limits()).await.unwrap().rows.rows, one(Value::Integer(1)));
}

#[tokio::test]
async fn an_act_with_too_many_rows_is_taken_back() {
    let db = Db::new().await;
    let mut all = act("WITH d AS (DELETE FROM public.t RETURNING id) SELECT id FROM d");
    all.max_rows = 9;
    assert_eq!(db.target().execute(&all, &limits()).await.unwrap_err(), QueryError::TooManyRows(9));
    assert_eq!(db.count().await, 10);
}

#[tokio::test]
async fn an_act_that_waits_for_a_lock_gives_up() {
    let db = Db::new().await;
    let mut settings = db.settings();
    settings.lock_timeout_ms = Some(50);
    let target = Target::new(settings).unwrap();
    let mut holder = db.cluster.connect_to(&db.name).await.unwrap();
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE t").await.unwrap();
    assert_eq!(target.execute(&delete(1), &limits()).await.unwrap_err(), QueryError::Timeout);
    lock.rollback().await.unwrap();
    assert_eq!(target.execute(&delete(1), &limits()).await.unwrap().rows.rows, one(Value::Integer(1)));
}

#[tokio::test]
async fn a_connection_lost_after_sending_leaves_the_effect_unknown() {
    let db = Db::new().await;
    let target = db.target();
    let own = act("SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())::int4 AS id");
    let error = target.execute(&own, &limits()).await.unwrap_err();
    assert!(matches!(error, QueryError::Connection { effect_unknown: true, .. }), "{error:?}");
    // For a read nothing is unknown, whatever it was.
    let own = BoundStatement { mode: Mode::Read, ..own };
    let error = target.execute(&own, &limits()).await.unwrap_err();
    assert!(matches!(error, QueryError::Connection { effect_unknown: false, .. }), "{error:?}");
    assert!(target.execute(&delete(1), &limits()).await.is_ok());
}

#[tokio::test]
async fn a_session_that_died_in_the_pool_is_replaced() {
    let db = Db::new().await;
    let target = db.target();
    target.execute(&bound(Mode::Read, "SELECT 1 AS n", &["n"]), &limits()).await.unwrap();
    let others = format!("FROM pg_stat_activity WHERE datname = '{}'", db.name);
    db.cluster.execute(&format!("SELECT pg_terminate_backend(pid) {others}")).await.unwrap();
    db.cluster.wait_for(&format!("SELECT count(*) {others}"), "0", PATIENCE).await.unwrap();
    assert_eq!(target.execute(&delete(5), &limits()).await.unwrap().rows.rows, one(Value::Integer(5)));
}
