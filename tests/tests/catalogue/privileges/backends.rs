//! Acts on backends: with `pg_monitor` and `pg_signal_backend` they end the one backend that was approved and leave the
//! others alone; without, they name the grant.

use std::time::{Duration, Instant};

use lockgate_tests::session::{APP, Session, gone, run};
use serde_json::{Value as Json, json};

use super::Place;
use crate::world::{World, for_each_world};

/// A name that only works if it is quoted.
const ROLE: &str = "Signals \"R\" us";
const QUOTED: &str = "\"Signals \"\"R\"\" us\"";

const SIGNAL: &str = "GRANT pg_signal_backend TO \"Signals \"\"R\"\" us\";";
const MONITOR: &str = "GRANT pg_monitor TO \"Signals \"\"R\"\" us\";";

async fn place(world: &'static World, database: &str) -> Place {
    Place::new(world, database, |world| vec![world.primary.target("signals", ROLE, database)]).await
}

/// The role without any grant.
async fn nobody(place: &Place) {
    place.grant(&format!("REVOKE pg_monitor, pg_signal_backend FROM {QUOTED}")).await;
}

/// Sessions that have nothing to do with it: one in a transaction, one that runs a query.
struct Bystanders {
    idle: Session,
    active: lockgate_tests::session::Running,
}

impl Bystanders {
    async fn new(place: &Place) -> Self {
        let idle = session(place, "bystander").await;
        idle.execute("BEGIN; SELECT 1").await;
        let active = session(place, "busy bystander").await.start("SELECT pg_sleep(600)").await;
        Self { idle, active }
    }

    async fn live_on(&self) {
        assert!(self.idle.lives().await, "a bystander's session goes on");
        assert!(self.active.runs(), "a bystander's query goes on");
    }
}

async fn session(place: &Place, application: &str) -> Session {
    Session::of(&place.world.primary, APP, &place.database, application).await
}

/// What `call` needs, in three steps from nothing: both grants named, then the one that is left, then it goes through.
async fn needs_both(place: &Place, action: &str, arguments: &Json) {
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
        let place = place(world, "privileges_backends").await;
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
        let place = Place::new(world, database, |world| vec![world.primary.target("signals", "agent", database)]).await;

        // The query that was to be cancelled has ended, and the backend runs another one.
        let victim = session(&place, "goes on").await.start("SELECT pg_sleep(600)").await;
        let approval = place.held("postgres.cancel_query", "signals", json!({ "pid": victim.pid })).await;
        place.grant(&format!("SELECT pg_cancel_backend({})", victim.pid)).await;
        let (victim, _) = victim.end().await;
        let next = victim.start("SELECT pg_sleep(600), 'another'").await;
        place.site.approve(&approval).await;
        let refused = super::refusal(lockgate_tests::site::ended(&place.gate, &approval).await);
        assert_eq!(refused.code.as_str(), "target_changed", "{refused}");
        assert!(next.runs(), "another query than the approved one goes on");

        // Cancelling a transaction that runs nothing would do nothing, whatever PostgreSQL says.
        let idle = session(&place, "idle").await;
        idle.execute("BEGIN; SELECT 1").await;
        let call = lockgate_tests::site::call(&place.gate, "postgres.cancel_query", "signals", json!({ "pid": idle.pid }));
        let refused = super::refusal(call.await);
        assert_eq!(refused.code.as_str(), "not_applicable", "{refused}");
        assert!(refused.message.contains("terminate_backend"), "{refused}");

        // Gone by the time that somebody approves: nothing was done, and nothing says that it was.
        let approval = place.held("postgres.terminate_backend", "signals", json!({ "pid": idle.pid })).await;
        place.grant(&format!("SELECT pg_terminate_backend({})", idle.pid)).await;
        gone(&world.primary, idle.pid).await;
        place.site.approve(&approval).await;
        let refused = super::refusal(lockgate_tests::site::ended(&place.gate, &approval).await);
        assert_eq!(refused.code.as_str(), "target_changed", "{refused}");

        // Nobody signals a superuser's backend, or a process of the server.
        let superuser = Session::of(&world.primary, "postgres", database, "superuser").await;
        superuser.execute("BEGIN; SELECT 1").await;
        let checkpointer = place.truth("SELECT pid::text FROM pg_stat_activity WHERE backend_type = 'checkpointer'").await;
        let checkpointer: i64 = checkpointer.expect("a checkpointer").parse().expect("a pid");
        for pid in [superuser.pid, checkpointer] {
            for action in ["postgres.terminate_backend", "postgres.cancel_query"] {
                let refused =
                    super::refusal(lockgate_tests::site::call(&place.gate, action, "signals", json!({ "pid": pid })).await);
                assert_eq!(refused.code.as_str(), "not_applicable", "{action}: {refused}");
            }
        }
        assert!(superuser.lives().await);
    }));
}

/// Sessions for `kill_idle`, on every version, opened before anything waits: it looks at nothing younger than a minute.
struct Stale {
    place: Place,
    since: Instant,
    victims: [Session; 2],
    superuser: Session,
    aborted: Session,
    spared: Session,
}

impl Stale {
    async fn new(world: &'static World) -> Self {
        world.primary.execute("CREATE ROLE kills LOGIN").await.expect("a role");
        let database = "privileges_idle";
        let place = Place::new(world, database, |world| vec![world.primary.target("kills", "kills", database)]).await;
        let open = async |name: &str| {
            let session = session(&place, name).await;
            session.execute("BEGIN; SELECT 1").await;
            session
        };
        let victims = [open("stale one").await, open("stale two").await];
        let aborted = open("aborted").await;
        assert!(aborted.client.batch_execute("SELECT 1 / 0").await.is_err());
        let superuser = Session::of(&world.primary, "postgres", database, "stale superuser").await;
        superuser.execute("BEGIN; SELECT 1").await;
        let spared = open("comes back").await;
        Self { place, since: Instant::now(), victims, superuser, aborted, spared }
    }

    async fn old_enough(&self) {
        tokio::time::sleep_until((self.since + Duration::from_secs(61)).into()).await;
    }
}

#[test]
fn kill_idle_ends_what_was_listed_and_nothing_else() {
    run(async {
        let mut stale = Vec::new();
        for world in crate::world::worlds().await {
            stale.push(Stale::new(world).await);
        }
        for stale in &stale {
            stale.old_enough().await;
            let Stale { place, victims, superuser, aborted, spared, .. } = stale;
            let (world, arguments) = (place.world, json!({ "older_than_seconds": 60 }));
            let young = session(place, "young").await;
            young.execute("BEGIN; SELECT 1").await;
            let bystanders = Bystanders::new(place).await;

            let named = place.lacks("postgres.kill_idle", "kills", arguments.clone()).await;
            assert_eq!(named, ["GRANT pg_monitor TO kills;", "GRANT pg_signal_backend TO kills;"]);
            place.grant("GRANT pg_monitor TO kills;").await;
            let named = place.lacks("postgres.kill_idle", "kills", arguments.clone()).await;
            assert_eq!(named, ["GRANT pg_signal_backend TO kills;"], "on {}", world.major);
            place.grant(&named.concat()).await;

            let approval = place.held("postgres.kill_idle", "kills", arguments.clone()).await;
            let asked = place.site.pending().into_iter().find(|a| a.id == approval).expect("it waits");
            let pinned = format!("{:?}", asked.request.pins);
            for victim in victims {
                assert!(pinned.contains(&victim.pid.to_string()), "{pinned}");
            }
            for (why, other) in [("superuser", superuser), ("aborted", aborted), ("young", &young)] {
                assert!(!pinned.contains(&other.pid.to_string()), "{why}: {pinned}");
            }
            // One of those that were listed has gone on by itself in between.
            assert!(pinned.contains(&spared.pid.to_string()), "{pinned}");
            spared.execute("SELECT 2").await;
            place.site.approve(&approval).await;
            let outcome = lockgate_tests::site::ended(&place.gate, &approval).await.expect("they are ended");
            assert_eq!(outcome.summary, "ended 2 of 3 backends");
            for victim in victims {
                gone(&world.primary, victim.pid).await;
            }
            for (why, other) in [("superuser", superuser), ("young", &young), ("spared", spared)] {
                assert!(other.lives().await, "{why}");
            }
            assert!(aborted.client.batch_execute("ROLLBACK").await.is_ok(), "a failed transaction's session lives");
            bystanders.live_on().await;
            // The record has each that was signalled.
            let end = place.assert_recorded(&outcome, "kills", &arguments, true);
            let effect = end["tables"][0]["effect"].as_array().expect("what was signalled");
            let mut signalled: Vec<_> = effect.iter().filter_map(|row| row[0].as_i64()).collect();
            let mut ended = victims.each_ref().map(|victim| victim.pid);
            (signalled.sort_unstable(), ended.sort_unstable());
            assert_eq!(signalled, ended, "{end}");
        }
    });
}
