//! What a read gives, and that it leaves nothing behind.

use super::*;
use crate::postgres::QueryError;

fn read(sql: &str, columns: &[&str]) -> BoundStatement {
    bound(Mode::Read, sql, columns)
}

#[tokio::test]
async fn rows_come_as_declared() {
    let db = Db::new().await;
    let sql = "SELECT $1 OR false AS b, $2::int4 AS i, $3 AS n, 'a' || $4 AS t, NULL::name AS z, \
               pg_catalog.array_length($5::int8[], 1) AS l, $6::text[] @> ARRAY['x'] AS m, 'NaN'::float8 AS nan";
    let statement = kinds(
        read(sql, &["b", "i", "n", "t", "z", "l", "m", "nan"]),
        &[
            ColumnKind::Boolean,
            ColumnKind::Integer,
            ColumnKind::Number,
            ColumnKind::Text,
            ColumnKind::Query,
            ColumnKind::Integer,
            ColumnKind::Boolean,
            ColumnKind::Number,
        ],
    );
    let statement = with(
        statement,
        &[
            (InputKind::Boolean, Value::Boolean(true)),
            (InputKind::Integer, Value::Integer(7)),
            (InputKind::Number, Value::Number(1.5)),
            (InputKind::Text, Value::Text("é".into())),
            (InputKind::Integers, Value::Integers(vec![1, 2])),
            (InputKind::Texts, Value::Texts(vec!["x".into()])),
        ],
    );
    let executed = db.target().execute(&statement, &limits()).await.unwrap();
    let row = vec![
        Value::Boolean(true),
        Value::Integer(7),
        Value::Number(1.5),
        Value::Text("aé".into()),
        Value::Null,
        Value::Integer(2),
        Value::Boolean(true),
        Value::Null,
    ];
    assert_eq!(executed.rows.rows, vec![row]);
    assert_eq!(executed.rows.columns, statement.columns.to_vec());
}

#[tokio::test]
async fn a_read_can_not_write() {
    let db = Db::new().await;
    let target = db.target();
    let insert = read("WITH w AS (INSERT INTO public.t VALUES (11) RETURNING id) SELECT id FROM w", &["id"]);
    let error = target.execute(&insert, &limits()).await.unwrap_err();
    assert!(matches!(&error, QueryError::Database { sqlstate, .. } if sqlstate == "25006"), "{error:?}");
    // A statement that would end its transaction is refused inside it.
    let commit = bound(Mode::Read, "COMMIT", &[]);
    let _ = target.execute(&commit, &limits()).await;
    assert_eq!(db.count().await, 10);
    assert_eq!(
        target.execute(&read("SELECT count(*) AS n FROM public.t", &["n"]), &limits()).await.unwrap().rows.rows,
        one(Value::Integer(10))
    );
}

#[tokio::test]
async fn a_session_comes_back_as_it_was() {
    let db = Db::new().await;
    let target = db.target();
    let dirty = "SELECT pg_catalog.set_config('search_path', 'public', false) AS a, pg_catalog.set_config('statement_timeout', '0', false) AS b, \
                 pg_catalog.pg_advisory_lock(42)::text AS c, pg_catalog.pg_backend_pid()::text AS d";
    let text = [ColumnKind::Text; 4];
    let first = target.execute(&kinds(read(dirty, &["a", "b", "c", "d"]), &text), &limits()).await.unwrap();
    let look = "SELECT pg_catalog.current_setting('search_path') AS a, pg_catalog.current_setting('statement_timeout') = '0' AS b, \
                (SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory') AS c, pg_catalog.pg_backend_pid()::text AS d";
    let look = kinds(
        read(look, &["a", "b", "c", "d"]),
        &[ColumnKind::Text, ColumnKind::Boolean, ColumnKind::Integer, ColumnKind::Text],
    );
    let second = target.execute(&look, &limits()).await.unwrap();
    assert_eq!(second.rows.rows[0][..3], [Value::Text(String::new()), Value::Boolean(false), Value::Integer(0)]);
    assert_eq!(first.rows.rows[0][3], second.rows.rows[0][3], "the pool has one session");
}

#[tokio::test]
async fn results_are_bounded_in_rows_and_bytes() {
    let db = Db::new().await;
    let target = db.target();
    // In the select list: the server sends each row as it comes, where FROM would gather them first.
    let endless = "SELECT pg_catalog.generate_series(1::int8, 1000000000) AS n";
    let error = target.execute(&read(endless, &["n"]), &limits()).await.unwrap_err();
    assert_eq!(error, QueryError::TooManyRows(100));
    db.runs("generate_series", "0").await;
    let exactly = read("SELECT n FROM pg_catalog.generate_series(1::int8, 100) AS g (n)", &["n"]);
    assert_eq!(target.execute(&exactly, &limits()).await.unwrap().rows.rows.len(), 100);
    let wide = kinds(read("SELECT pg_catalog.repeat('x', 2000000) AS t", &["t"]), &[ColumnKind::Text]);
    assert_eq!(target.execute(&wide, &limits()).await.unwrap_err(), QueryError::TooManyBytes);
}

#[tokio::test]
async fn what_does_not_fit_is_said_before_it_is_run() {
    let db = Db::new().await;
    let target = db.target();
    let error = target.execute(&read("SELECT 1::numeric AS n", &["n"]), &limits()).await.unwrap_err();
    assert!(matches!(&error, QueryError::WrongColumns(m) if m.contains("`n` is numeric")), "{error:?}");
    let statement = with(read("SELECT $1 AS n", &["n"]), &[(InputKind::Integer, Value::Text("x".into()))]);
    assert!(matches!(target.execute(&statement, &limits()).await.unwrap_err(), QueryError::WrongInputs(_)));
    // And the session is still good.
    assert!(target.execute(&read("SELECT 1 AS n", &["n"]), &limits()).await.is_ok());
}

#[tokio::test]
async fn errors_keep_the_message_and_lose_the_data() {
    let db = Db::new().await;
    let target = db.target();
    let cast = with(read("SELECT $1::int4 AS n", &["n"]), &[(InputKind::Text, Value::Text("hunter2".into()))]);
    let error = target.execute(&cast, &limits()).await.unwrap_err();
    assert!(matches!(&error, QueryError::Database { sqlstate, .. } if sqlstate == "22P02"), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    db.execute("CREATE TABLE secret (id int8)").await;
    let error = target.execute(&read("SELECT id FROM public.secret", &["id"]), &limits()).await.unwrap_err();
    assert!(matches!(&error, QueryError::MissingPrivilege(m) if m.contains("secret")), "{error:?}");
    let unqualified = target.execute(&read("SELECT id FROM t", &["id"]), &limits()).await.unwrap_err();
    assert!(matches!(&unqualified, QueryError::Database { sqlstate, .. } if sqlstate == "42P01"), "{unqualified:?}");
}

#[tokio::test]
async fn notices_belong_to_their_statement() {
    let db = Db::new().await;
    let target = db.target();
    // No machine of a test gives such pids; the server says so with each.
    for pid in [4_194_301, 4_194_302] {
        let sql = "SELECT pg_catalog.pg_cancel_backend($1::int8::int4)::int4::int8 AS done";
        let cancel = with(read(sql, &["done"]), &[(InputKind::Integer, Value::Integer(pid))]);
        let notices = target.execute(&cancel, &limits()).await.unwrap().notices;
        assert!(matches!(notices.as_slice(), [one] if one.contains(&pid.to_string())), "{pid}: {notices:?}");
    }
}

#[tokio::test]
async fn what_a_function_says_is_withheld() {
    let db = Db::new().await;
    db.execute(
        "CREATE FUNCTION say(text) RETURNS int8 LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%'', $1; RETURN 1; END'",
    )
    .await;
    let say = with(read("SELECT public.say($1) AS n", &["n"]), &[(InputKind::Text, Value::Text("hunter2".into()))]);
    let notices = db.target().execute(&say, &limits()).await.unwrap().notices;
    assert!(matches!(notices.as_slice(), [one] if one.contains("withheld") && !one.contains("hunter2")), "{notices:?}");
}

#[tokio::test]
async fn facts_and_identity_are_the_servers() {
    let db = Db::new().await;
    let target = db.target();
    assert_eq!(target.role_hint(), None);
    let before = target.identity();
    let facts = target.facts().await.unwrap();
    assert_eq!(facts.server.version_num / 10_000, db.cluster.major());
    assert_eq!((facts.role_name.as_str(), facts.is_superuser, facts.server.in_recovery), ("agent", false, false));
    assert!(facts.server.extensions.iter().any(|(name, _, schema)| name == "plpgsql" && schema == "pg_catalog"));
    let system = facts.system_identifier.clone().unwrap();
    assert!(target.identity().starts_with(&before) && target.identity().ends_with(&format!("#{system}")));
    assert_eq!(target.role_hint(), Some(crate::statement::Role::Primary));
    assert!(Arc::ptr_eq(&facts, &target.facts().await.unwrap()));
}

#[test]
fn execution_can_move_between_threads() {
    fn is_send<T: Send>(_: T) {}
    let mut settings = TargetSettings::named("a");
    settings.user = Some("a".into());
    let target = Target::new(settings).unwrap();
    is_send(target.execute(&read("SELECT 1 AS n", &["n"]), &limits()));
    is_send(target.facts());
}
