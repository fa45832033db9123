//! Maintenance: outside a transaction, on its own credential, and never a silent skip.

use super::*;
use crate::postgres::{Maintenance, QueryError};

fn maintain(sql: &str) -> BoundStatement {
    bound(Mode::Maintain, sql, &[])
}

#[tokio::test]
async fn maintenance_runs_outside_a_transaction() {
    let db = Db::new().await;
    let target = db.target();
    db.execute("CREATE INDEX i ON t (id); ALTER TABLE t OWNER TO agent").await;
    for sql in ["VACUUM (ANALYZE) public.t", "REINDEX INDEX CONCURRENTLY public.i"] {
        for timeout in [None, Some(PATIENCE)] {
            let statement = BoundStatement { timeout, ..maintain(sql) };
            assert!(target.execute(&statement, &limits()).await.unwrap().rows.rows.is_empty());
        }
    }
    let verbose = target.execute(&maintain("ANALYZE VERBOSE public.t"), &limits()).await.unwrap();
    assert!(verbose.notices.iter().any(|notice| notice.contains("public.t")), "{:?}", verbose.notices);
}

#[tokio::test]
async fn a_skip_is_an_error_and_a_second_credential_helps() {
    let db = Db::new().await;
    db.execute("CREATE TABLE theirs (id int8 PRIMARY KEY)").await;
    for sql in ["VACUUM public.theirs", "ANALYZE public.theirs"] {
        let error = db.target().execute(&maintain(sql), &limits()).await.unwrap_err();
        assert!(matches!(&error, QueryError::Skipped(m) if m.contains("theirs")), "{error:?}");
    }
    let error =
        db.target().execute(&maintain("REINDEX INDEX CONCURRENTLY public.theirs_pkey"), &limits()).await.unwrap_err();
    assert!(matches!(&error, QueryError::MissingPrivilege(_)), "{error:?}");
    let mut settings = db.settings();
    settings.maintenance = Some(Maintenance {
        user: "postgres".into(),
        password_file: None,
        password_env: None,
        sslcert: None,
        sslkey: None,
        password: (),
    });
    let target = Target::new(settings).unwrap();
    target.execute(&maintain("VACUUM public.theirs"), &limits()).await.unwrap();
    let who = kinds(bound(Mode::Read, "SELECT current_user::text AS t", &["t"]), &[ColumnKind::Text]);
    assert_eq!(target.execute(&who, &limits()).await.unwrap().rows.rows, one(Value::Text("agent".into())));
    assert!(target.identity().starts_with("agent+postgres@"));
}

#[tokio::test]
async fn several_statements_are_never_one() {
    let db = Db::new().await;
    for mode in [Mode::Read, Mode::Act, Mode::Maintain] {
        let error = db
            .target()
            .execute(&bound(mode, "ANALYZE public.t; DELETE FROM public.t", &[]), &limits())
            .await
            .unwrap_err();
        assert!(matches!(&error, QueryError::Database { sqlstate, .. } if sqlstate == "42601"), "{error:?}");
    }
    assert_eq!(db.count().await, 10);
}
