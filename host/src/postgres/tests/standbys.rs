//! A primary, its standby, and what happens when they change places.

use super::*;
use crate::{
    postgres::{Expect, QueryError},
    statement::Role,
};

#[tokio::test]
async fn a_standby_is_known_as_one_until_it_is_promoted() {
    let mut primary = Cluster::primary(Options::default()).start().await.unwrap();
    primary.execute("CREATE ROLE agent LOGIN IN ROLE pg_monitor, pg_signal_backend").await.unwrap();
    let standby = Cluster::standby(&primary, Options::default()).start().await.unwrap();
    let target = Target::new(standby.target("standby", "agent", "postgres")).unwrap();
    let twin = Target::new(primary.target("primary", "agent", "postgres")).unwrap();
    let (facts, other) = (target.facts().await.unwrap(), twin.facts().await.unwrap());
    assert!(facts.server.in_recovery && !other.server.in_recovery);
    assert_eq!(facts.system_identifier, other.system_identifier);
    assert_eq!(target.role_hint(), Some(Role::Standby));

    // Reads and signals work there.
    let read = bound(Mode::Read, "SELECT pg_catalog.pg_is_in_recovery()::int4 AS n", &["n"]);
    assert_eq!(target.execute(&read, &limits()).await.unwrap().rows.rows, one(Value::Integer(1)));
    let act = BoundStatement { mode: Mode::Act, ..read.clone() };
    assert_eq!(target.execute(&act, &limits()).await.unwrap().rows.rows, one(Value::Integer(1)));

    let mut settings = standby.target("wrong", "agent", "postgres");
    settings.expect = Some(Expect::Primary);
    let wrong = Target::new(settings).unwrap();
    assert_eq!(wrong.role_hint(), Some(Role::Primary));
    let error = wrong.facts().await.unwrap_err();
    assert!(matches!(&error, QueryError::Connection { message, .. } if message.contains("standby")), "{error:?}");

    // A session opened after the promotion knows better than the facts.
    primary.crash();
    assert!(twin.execute(&read, &limits()).await.is_err());
    assert_eq!(twin.role_hint(), None);
    standby.promote().await.unwrap();
    let ours = "FROM pg_stat_activity WHERE usename = 'agent'";
    standby.execute(&format!("SELECT pg_terminate_backend(pid) {ours}")).await.unwrap();
    standby.wait_for(&format!("SELECT count(*) {ours}"), "0", PATIENCE).await.unwrap();
    let error = target.execute(&read, &limits()).await.unwrap_err();
    assert!(matches!(&error, QueryError::Connection { message, .. } if message.contains("call again")), "{error:?}");
    assert!(!target.facts().await.unwrap().server.in_recovery);
    assert_eq!(target.execute(&read, &limits()).await.unwrap().rows.rows, one(Value::Integer(0)));
}
