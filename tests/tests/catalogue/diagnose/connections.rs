//! A role at its limit with transactions that nobody comes back for, and a server that fills up.

use std::time::Duration;

use lockgate_tests::{
    answers::row_where,
    session::{APP, Session, gone, run},
};
use serde_json::json;

use super::ward::{LEFT, POOL, Ward, on_each, severity, suggested, verdicts};

#[test]
fn idle_transactions_are_ended_where_they_take_the_room() {
    async fn story(ward: &'static Ward) {
        // `kill_idle` takes no bound below a minute, and no clock can be turned.
        tokio::time::sleep_until((ward.since + Duration::from_secs(63)).into()).await;
        let _turn = ward.turn.lock().await;
        ward.primary.execute(&format!("ALTER ROLE {POOL} CONNECTION LIMIT {LEFT}")).await.unwrap();
        let refused = ward.primary.superuser().user(POOL).connect(tokio_postgres::NoTls).await;
        assert!(refused.is_err(), "the limit is reached, as PostgreSQL has it");

        let outcome = ward.says("connection_pressure", "connections").await;
        assert_eq!(verdicts(&outcome), ["limit_exhausted", "idle_in_transaction"]);
        assert_eq!(severity(&outcome), "critical");
        let limits = outcome.tables.iter().find(|table| table.title == "Limits").unwrap();
        let role = row_where(&limits.rows, "name", &lockgate_tests::answers::text(POOL));
        assert_eq!((&role["used"], &role["long_idle"]), (&json!(LEFT), &json!(LEFT)));
        assert_eq!(suggested(&outcome).unwrap().0, "postgres.kill_idle");

        // One that is not in a transaction, and one that just began, stay.
        let idle = Session::of(&ward.primary, APP, "connections", "idle").await;
        let young = Session::of(&ward.primary, APP, "connections", "young").await;
        young.execute("BEGIN").await;
        let ended = ward.follow(&outcome, "connections").await;
        assert_eq!(ended.summary, format!("ended {LEFT} of {LEFT} backends"));
        for session in ward.left.lock().await.drain(..) {
            gone(&ward.primary, session.pid).await;
        }
        assert!(idle.lives().await && young.lives().await);
        assert_eq!(verdicts(&ward.says("connection_pressure", "connections").await), ["healthy"]);
        let again = Session::of(&ward.primary, POOL, "connections", "again").await;
        assert!(again.lives().await, "the role can connect again");
        ward.primary.execute(&format!("ALTER ROLE {POOL} CONNECTION LIMIT -1")).await.unwrap();
    }
    run(on_each(story));
}

#[test]
fn a_server_that_fills_up_says_so_before_it_is_full() {
    async fn story(ward: &'static Ward) {
        let _turn = ward.turn.lock().await;
        // The host's own connection is there before the rest is taken.
        assert_eq!(verdicts(&ward.says("connection_pressure", "connections").await), ["healthy"]);
        let mut sessions = Vec::new();
        let mut seen = Vec::new();
        // 60 less the 3 that are kept for superusers.
        while let Ok((client, connection)) =
            ward.primary.superuser().user(APP).dbname("connections").connect(tokio_postgres::NoTls).await
        {
            tokio::spawn(connection);
            sessions.push(client);
            let outcome = ward.says("connection_pressure", "connections").await;
            let word = verdicts(&outcome)[0].to_owned();
            assert_eq!(suggested(&outcome), None, "nobody is idle in transaction for long: {:?}", outcome.findings);
            if seen.last() != Some(&word) {
                if word != "healthy" {
                    assert!(verdicts(&outcome).contains(&"idle"), "{:?}", outcome.findings);
                }
                seen.push(word);
            }
        }
        assert_eq!(seen, ["healthy", "headroom_low", "nearly_exhausted", "exhausted"]);
        drop(sessions);
        ward.becomes("connection_pressure", "connections", &["healthy"]).await;
    }
    run(on_each(story));
}
