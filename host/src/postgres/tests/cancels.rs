//! A query whose caller is gone, or out of time, ends on the server.

use super::*;
use crate::postgres::QueryError;

/// Longer than any test waits, on the server, too: what ends it is the cancel request.
const LONG: Duration = Duration::from_secs(600);

fn sleep(mode: Mode) -> BoundStatement {
    let sleep = bound(mode, "SELECT pg_catalog.pg_sleep(600)::text AS t", &["t"]);
    kinds(BoundStatement { timeout: Some(LONG), ..sleep }, &[ColumnKind::Text])
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
        let task = tokio::spawn(async move { running.execute(&statement, &within(LONG)).await });
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
    let task = tokio::spawn(async move { running.execute(&vacuum, &within(LONG)).await });
    db.runs("VACUUM public.t", "1").await;
    task.abort();
    db.runs("VACUUM public.t", "0").await;
}

#[tokio::test]
async fn a_query_on_a_tls_connection_is_cancelled_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("openssl")
        .current_dir(dir.path())
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=test", "-keyout", "server.key", "-out", "server.crt"])
        .output()
        .unwrap();
    assert!(made.status.success());
    let hba = vec!["hostssl all all 127.0.0.1/32 trust".into(), "host all all all reject".into()];
    let mut cluster = Cluster::primary(Options { tcp: true, hba, ..Options::default() }).start().await.unwrap();
    for name in ["server.key", "server.crt"] {
        // Written by the server's own user, which may read it then.
        let (text, data) = (std::fs::read_to_string(dir.path().join(name)).unwrap(), cluster.data_dir());
        let lines = format!("SELECT unnest(string_to_array('{}', E'\\n'))", text.trim());
        cluster.execute(&format!("COPY ({lines}) TO '{}/{name}'", data.display())).await.unwrap();
        let private = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        std::fs::set_permissions(data.join(name), private).unwrap();
    }
    cluster.execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    cluster.stop();
    cluster.start_again().await.unwrap();
    let mut settings = TargetSettings::named("tls");
    settings.host = Some("127.0.0.1".into());
    settings.port = Some(cluster.port());
    (settings.user, settings.dbname) = (Some("postgres".into()), Some("postgres".into()));
    settings.statement_timeout_ms = Some(600_000);
    settings.sslmode = Some(crate::postgres::SslMode::Require);
    let target = Target::new(settings).unwrap();
    let task = tokio::spawn(async move { target.execute(&sleep(Mode::Read), &within(LONG)).await });
    let running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lockgate/tls' AND query LIKE '%pg_sleep%' \
                   AND state = 'active'";
    cluster.wait_for(running, "1", PATIENCE).await.unwrap();
    task.abort();
    cluster.wait_for(running, "0", PATIENCE).await.unwrap();
}
