//! `kill_idle` ends what was listed for approval and still is as it was: not what became idle long enough since, not what
//! went back to work, not a superuser's. Waits until transactions that were left open at the start are old enough.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use lockgate_tests::site::{ended, held};
use serde_json::json;

use crate::world::{Session, eventually, gone, run, stale_for, truth, world};

#[test]
fn kill_idle_ends_nothing_that_nobody_saw_and_spares_what_went_back_to_work() {
    run(async {
        let world = world().await;
        let mut listed = world.stale.idle.lock().await.split_off(0);
        let (busy, finished) = (listed.pop().unwrap(), listed.pop().unwrap());
        stale_for(50).await;
        // Idle too, and too young to be listed; old enough by the time of the execution.
        let late = Session::of(world.primary, "app", "idle", "stale-late").await;
        late.execute("BEGIN; SELECT 1").await;
        let late_since = Instant::now();
        stale_for(61).await;

        let approval = held(&world.gate, "postgres.kill_idle", "primary", json!({ "older_than_seconds": 60 })).await;
        let pending = world.site.pending().into_iter().find(|pending| pending.id == approval).unwrap();
        let pids = pending.request.pins.iter().find(|pin| pin.name == "pids").unwrap().value.to_json();
        let pinned = |pid: i64| pids.as_array().unwrap().contains(&json!(pid));
        assert!(listed.iter().chain([&busy, &finished]).all(|session| pinned(session.pid)), "{pids}");
        for spared in [late.pid, world.stale.superuser.pid, world.stale.aborted.pid, world.stale.holder.pid] {
            assert!(!pinned(spared), "{spared} in {pids}");
        }
        assert_eq!(pids.as_array().unwrap().len(), 4, "{pids}");
        // What a person is asked about is what is pinned.
        let shown = serde_json::to_string(&pending.request.evidence).unwrap();
        assert!(pids.as_array().unwrap().iter().all(|pid| shown.contains(&pid.to_string())), "{shown}");

        let busy = busy.start("SELECT pg_sleep(600)").await;
        finished.execute("COMMIT").await;
        tokio::time::sleep_until((late_since + Duration::from_secs(61)).into()).await;
        let old_enough = "state = 'idle in transaction' AND state_change < clock_timestamp() - interval '60 s'";
        let since = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND {old_enough}", late.pid);
        eventually(&since, "1").await;

        world.site.approve(&approval).await;
        let outcome = ended(&world.gate, &approval).await.expect("two are ended");
        assert_eq!(outcome.summary, "ended 2 of 4 backends");
        assert!(outcome.notices.iter().any(|notice| notice.contains("2 were no longer idle")), "{:?}", outcome.notices);
        for session in &listed {
            gone(session.pid).await;
        }
        let lines = world.site.run(&outcome.run);
        let effect = &lines.last().unwrap()["tables"][0]["effect"];
        let done: BTreeSet<_> = effect.as_array().unwrap().iter().map(ToString::to_string).collect();
        let wanted = listed.iter().map(|session| format!("[{},true]", session.pid)).collect();
        assert_eq!(done, wanted, "the record says which: {lines:?}");
        assert!(late.lives().await, "what nobody approved is left alone");
        assert!(finished.lives().await && busy.runs(), "what went back to work is spared");
        assert!(world.stale.superuser.lives().await && world.stale.holder.lives().await);
        truth(&format!("SELECT pg_cancel_backend({})", busy.pid)).await;
        assert!(busy.end().await.1.is_err());
    });
}
