//! `lock_blocking_chains`: a chain three deep with two heads, against `pg_blocking_pids` as the test itself walks it.

use std::collections::BTreeSet;

use lockgate_tests::session::{PATIENCE, Running};

use crate::reads::stage::{Stage, int, on_every_major, rows};

/// Whom a backend waits for directly.
async fn blockers(stage: &Stage, pid: i64) -> Vec<i64> {
    let pids = stage.truth(&format!("SELECT array_to_string(pg_blocking_pids({pid}), ' ')")).await.unwrap_or_default();
    pids.split_ascii_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
}

/// Who waits for nobody, and is reached by going up from a backend.
async fn heads(stage: &Stage, pid: i64) -> BTreeSet<i64> {
    let (mut heads, mut seen, mut next) = (BTreeSet::new(), BTreeSet::new(), vec![pid]);
    while let Some(pid) = next.pop() {
        let above = blockers(stage, pid).await;
        if above.is_empty() {
            heads.insert(pid);
        }
        next.extend(above.into_iter().filter(|pid| seen.insert(*pid)));
    }
    heads
}

async fn waits(stage: &Stage, running: &Running) {
    let waits = format!("SELECT wait_event_type FROM pg_stat_activity WHERE pid = {}", running.pid);
    stage.primary.wait_for(&waits, "Lock", PATIENCE).await.expect("it waits");
}

#[test]
fn a_chain_three_deep_with_two_heads_is_as_postgresql_has_it() {
    on_every_major(async |stage| {
        let schema = "DROP TABLE IF EXISTS public.top, public.links; CREATE TABLE public.top (id int);
            CREATE TABLE public.links (id int PRIMARY KEY, n int); INSERT INTO public.links VALUES (1, 0), (2, 0)";
        stage.primary.execute_in("shop", schema).await.unwrap();
        let session = async |name: &str| stage.superuser("shop", name).await;
        let (head_a, head_b) = (session("head-a").await, session("head-b").await);
        let (first, second, third) = (session("first").await, session("second").await, session("third").await);
        let bystander = session("bystander").await;

        // Two may share a lock; who wants to write waits for both.
        head_a.execute("BEGIN; LOCK TABLE public.top IN SHARE MODE").await;
        head_b.execute("BEGIN; LOCK TABLE public.top IN SHARE MODE").await;
        bystander.execute("BEGIN; LOCK TABLE public.links IN ACCESS SHARE MODE").await;
        first.execute("BEGIN; UPDATE public.links SET n = 1 WHERE id = 1").await;
        let first = first.start("INSERT INTO public.top VALUES (1); ROLLBACK").await;
        waits(stage, &first).await;
        second.execute("BEGIN; UPDATE public.links SET n = 1 WHERE id = 2").await;
        let second = second.start("UPDATE public.links SET n = 2 WHERE id = 1; ROLLBACK").await;
        waits(stage, &second).await;
        let third = third.start("UPDATE public.links SET n = 3 WHERE id = 2").await;
        waits(stage, &third).await;

        let outcome = stage.ask("lock_blocking_chains", "primary").await;
        let found = rows(&outcome);
        let shown: BTreeSet<_> = found.iter().map(|row| (int(row, "blocked_pid"), int(row, "head_pid"))).collect();
        let mut walked = BTreeSet::new();
        for waiter in [&first, &second, &third] {
            let above = heads(stage, waiter.pid).await;
            assert_eq!(above, [head_a.pid, head_b.pid].into(), "what was staged");
            walked.extend(above.into_iter().map(|head| (waiter.pid, head)));
        }
        assert_eq!((&shown, found.len()), (&walked, 6), "{found:?}");
        for row in &found {
            let direct = blockers(stage, int(row, "blocked_pid")).await;
            assert!(direct.contains(&int(row, "blocker_pid")), "{row:?} {direct:?}");
            assert_eq!(int(row, "blockers"), i64::try_from(direct.len()).unwrap());
            assert_eq!(row["head_state"], "idle in transaction");
        }
        let of = |pid: i64, column: &str| {
            let cells: BTreeSet<_> =
                found.iter().filter(|row| row["blocked_pid"] == pid).map(|row| row[column].to_string()).collect();
            cells.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(second.pid, "blocker_pid"), first.pid.to_string());
        assert_eq!(of(third.pid, "blocker_pid"), second.pid.to_string());
        assert_eq!(
            (of(first.pid, "relation"), of(first.pid, "lock_type")),
            ("\"public.top\"".into(), "\"relation\"".into())
        );
        assert_eq!(of(second.pid, "lock_type"), "\"transactionid\"");
        assert!(outcome.summary.starts_with("2 chains; the longest is behind backend "), "{}", outcome.summary);

        // With one of the heads gone the others still wait for the other; with both gone for nobody.
        head_a.execute("ROLLBACK").await;
        let after = stage.rows("lock_blocking_chains", "primary").await;
        let left: BTreeSet<_> = after.iter().map(|row| (int(row, "blocked_pid"), int(row, "head_pid"))).collect();
        assert_eq!(left, [&first, &second, &third].map(|waiter| (waiter.pid, head_b.pid)).into());
        head_b.execute("ROLLBACK").await;
        for waiter in [first, second, third] {
            assert!(waiter.end().await.1.is_ok(), "each gets its turn");
        }
        assert!(stage.rows("lock_blocking_chains", "primary").await.is_empty());
    });
}
