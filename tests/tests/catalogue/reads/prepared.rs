//! `prepared_transactions`: two of them, in two databases, with different ages and locks.

use crate::reads::stage::{int, on_every_major, rows, text};

#[test]
fn prepared_transactions_are_shown_with_their_age_and_locks() {
    on_every_major(async |stage| {
        let older = "CREATE TABLE IF NOT EXISTS public.a (id int); CREATE TABLE IF NOT EXISTS public.b (id int);
            CREATE TABLE IF NOT EXISTS public.c (id int)";
        stage.primary.execute_in("counters", older).await.unwrap();
        let next = "SELECT txid_snapshot_xmax(txid_current_snapshot())";
        let older_xid = stage.number(next).await;
        let older =
            "BEGIN; INSERT INTO public.a VALUES (1); INSERT INTO public.b VALUES (1); INSERT INTO public.c VALUES (1);
            PREPARE TRANSACTION 'the older'";
        stage.primary.execute_in("counters", older).await.unwrap();
        stage.burn(7).await;
        let app = stage.app("prepares").await;
        let younger_xid = stage.number(next).await;
        app.execute("BEGIN; CREATE TABLE public.made_by_app (id int); PREPARE TRANSACTION 'the younger'").await;

        let outcome = stage.ask("prepared_transactions", "primary").await;
        assert!(outcome.summary.starts_with("2 transactions are prepared"), "{}", outcome.summary);
        let found = rows(&outcome);
        let gids: Vec<_> = found.iter().map(|row| text(row, "gid")).collect();
        assert_eq!(gids, ["the older", "the younger"]);
        assert_eq!((text(&found[0], "database"), text(&found[0], "owner")), ("counters", "postgres"));
        assert_eq!((text(&found[1], "database"), text(&found[1], "owner")), ("shop", "app"));
        assert_eq!(int(&found[0], "age"), stage.number(next).await - older_xid);
        assert_eq!(int(&found[1], "age"), stage.number(next).await - younger_xid);
        assert!(younger_xid - older_xid >= 8, "its own and seven others");
        assert_eq!((int(&found[0], "relation_locks"), int(&found[1], "relation_locks")), (3, 1));
        for row in &found {
            let prepared = format!(
                "SELECT to_char(prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM pg_prepared_xacts
                 WHERE gid = '{}'",
                text(row, "gid")
            );
            assert_eq!(stage.truth(&prepared).await.as_deref(), Some(text(row, "prepared_at")));
            assert!((0..60).contains(&int(row, "prepared_seconds")), "{row:?}");
        }

        // A standby does not show them, and does not say that there are none.
        stage.caught_up().await;
        let outcome = stage.ask("prepared_transactions", "standby").await;
        assert!(rows(&outcome).is_empty() && outcome.summary.contains("standby"), "{}", outcome.summary);
        assert!(outcome.notices.iter().any(|notice| notice.contains("seen there only")), "{:?}", outcome.notices);

        stage.primary.execute_in("counters", "ROLLBACK PREPARED 'the older'").await.unwrap();
        stage.primary.execute_in("shop", "ROLLBACK PREPARED 'the younger'").await.unwrap();
        assert!(stage.rows("prepared_transactions", "primary").await.is_empty());
    });
}
