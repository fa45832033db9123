//! Acts on one backend: with `pg_monitor` and `pg_signal_backend` they end the one backend that was approved and leave the
//! others alone; without, they name the grant.

use lockgate_tests::{
    AGENT,
    session::{APP, Running, Session, gone, run},
    site::{call, ended},
};
use serde_json::{Value as Json, json};

use super::{Place, refusal};
use crate::world::for_each_world;

/// A name that only works if it is quoted.
const ROLE: &str = "Signals \"R\" us";
const QUOTED: &str = "\"Signals \"\"R\"\" us\"";

const SIGNAL: &str = "GRANT pg_signal_backend TO \"Signals \"\"R\"\" us\";";
const MONITOR: &str = "GRANT pg_monitor TO \"Signals \"\"R\"\" us\";";

/// The role without any grant.
async fn nobody(place: &Place<'_>) {
    place.grant(&format!("REVOKE pg_monitor, pg_signal_backend FROM {QUOTED}")).await;
}

/// Sessions that have nothing to do with it: one in a transaction, one that runs a query.
pub(super) struct Bystanders {
    idle: Session,
    active: Running,
}

impl Bystanders {
    pub(super) async fn new(place: &Place<'_>) -> Self {
        let idle = session(place, "bystander").await;
        idle.execute("BEGIN; SELECT 1").await;
        let active = session(place, "busy bystander").await.start("SELECT pg_sleep(600)").await;
        Self { idle, active }
    }

    pub(super) async fn live_on(&self) {
        assert!(self.idle.lives().await, "a bystander's session goes on");
        assert!(self.active.runs(), "a bystander's query goes on");
    }
}

pub(super) async fn session(place: &Place<'_>, application: &str) -> Session {
    Session::of(place.cluster, APP, &place.database, application).await
}

/// What `call` needs, in three steps from nothing: both grants named, then the one that is left, then it goes through.
async fn needs_both(place: &Place<'_>, action: &str, arguments: &Json) {
    nobody(place).await;
    let named = place.lacks(action, "signals", arguments.clone()).await;
    assert_eq!(named, [MONITOR, SIGNAL], "{action}");
    place.grant(MONITOR).await;
    let named = place.lacks(action, "signals", arguments.clone()).await;
    assert_eq!(named, [SIGNAL], "{action}: only what is missing is named");
    place.grant(&named.concat()).await;
}

#[test]
fn one_backend_is_signalled_with_two_grants_and_no_other() {
    run(for_each_world(async |world| {
        world.primary.execute(&format!("CREATE ROLE {QUOTED} LOGIN")).await.expect("a role");
        let database = "privileges_backends";
        let targets = [world.primary.target("signals", ROLE, database)];
        let place = Place::new(&world.primary, database, &targets).await;
        let bystanders = Bystanders::new(&place).await;

        let victim = session(&place, "cancelled").await.start("SELECT pg_sleep(600)").await;
        let arguments = json!({ "pid": victim.pid });
        needs_both(&place, "postgres.cancel_query", &arguments).await;
        let outcome = place.act("postgres.cancel_query", "signals", arguments.clone()).await.expect("it is cancelled");
        let (victim, answer) = victim.end().await;
        assert_eq!(answer.expect_err("cancelled").code().expect("a code").code(), "57014");
        assert!(victim.lives().await, "a cancelled query's session stays");
        let end = place.assert_recorded(&outcome, "signals", &arguments, true);
        assert!(end["executed"].to_string().contains("cancel_query"), "{end}");
        bystanders.live_on().await;

        victim.execute("BEGIN; SELECT 1").await;
        let arguments = json!({ "pid": victim.pid });
        needs_both(&place, "postgres.terminate_backend", &arguments).await;
        let outcome = place.act("postgres.terminate_backend", "signals", arguments.clone()).await.expect("it is ended");
        gone(&world.primary, victim.pid).await;
        assert!(!victim.lives().await);
        place.assert_recorded(&outcome, "signals", &arguments, true);
        bystanders.live_on().await;
    }));
}

#[test]
fn a_backend_that_is_not_what_was_approved_is_left_alone() {
    run(for_each_world(async |world| {
        let database = "privileges_changed";
        let targets = [world.primary.target("signals", AGENT, database)];
        let place = Place::new(&world.primary, database, &targets).await;

        // The query that was to be cancelled has ended, and the backend runs another one.
        let victim = session(&place, "goes on").await.start("SELECT pg_sleep(600)").await;
        let approval = place.held("postgres.cancel_query", "signals", json!({ "pid": victim.pid })).await;
        place.grant(&format!("SELECT pg_cancel_backend({})", victim.pid)).await;
        let (victim, _) = victim.end().await;
        let next = victim.start("SELECT pg_sleep(600), 'another'").await;
        place.site.approve(&approval).await;
        let refused = refusal(ended(&place.gate, &approval).await);
        assert_eq!(refused.code.as_str(), "target_changed", "{refused}");
        assert!(next.runs(), "another query than the approved one goes on");

        // Cancelling a transaction that runs nothing would do nothing, whatever PostgreSQL says.
        let idle = session(&place, "idle").await;
        idle.execute("BEGIN; SELECT 1").await;
        let arguments = json!({ "pid": idle.pid });
        let refused = refusal(call(&place.gate, "postgres.cancel_query", "signals", arguments).await);
        assert_eq!(refused.code.as_str(), "not_applicable", "{refused}");
        assert!(refused.message.contains("terminate_backend"), "{refused}");

        // Gone by the time that somebody approves: nothing was done, and nothing says that it was.
        let approval = place.held("postgres.terminate_backend", "signals", json!({ "pid": idle.pid })).await;
        place.grant(&format!("SELECT pg_terminate_backend({})", idle.pid)).await;
        gone(&world.primary, idle.pid).await;
        place.site.approve(&approval).await;
        let refused = refusal(ended(&place.gate, &approval).await);
        assert_eq!(refused.code.as_str(), "target_changed", "{refused}");

        // Nobody signals a superuser's backend, or a process of the server.
        let superuser = Session::of(&world.primary, "postgres", database, "superuser").await;
        superuser.execute("BEGIN; SELECT 1").await;
        let checkpointer =
            place.truth("SELECT pid::text FROM pg_stat_activity WHERE backend_type = 'checkpointer'").await;
        let checkpointer: i64 = checkpointer.expect("a checkpointer").parse().expect("a pid");
        for pid in [superuser.pid, checkpointer] {
            for action in ["postgres.terminate_backend", "postgres.cancel_query"] {
                let refused = refusal(call(&place.gate, action, "signals", json!({ "pid": pid })).await);
                assert_eq!(refused.code.as_str(), "not_applicable", "{action}: {refused}");
            }
        }
        assert!(superuser.lives().await);
    }));
}
