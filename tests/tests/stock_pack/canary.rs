//! The values that other people's queries carry never leave the host, whichever way they are written: not in a result or a
//! notice, not on the record, not in what an approver is shown. Names, an application's among them, are shown, as data.

use lockgate_tests::site::{done, held, principal};
use serde_json::json;

use crate::world::{Session, app, column, eventually, row_where, run, text, truth, world};

/// In every literal of this test, and nowhere else.
const CANARY: &str = "cAnArY7h1rt33n";
/// The same for numbers.
const NUMBER: &str = "90210773341";

/// Ways to write a value.
fn queries() -> Vec<String> {
    let c = CANARY;
    let long = c.repeat(200);
    vec![
        format!("SELECT '{c}'"),
        format!("SELECT E'it\\'s {c}'"),
        format!("SELECT 'it''s {c}'"),
        format!("SELECT $${c}$$"),
        format!("SELECT $q${c} $$ ' {c}$q$"),
        format!("SELECT U&'{c}\\0041'"),
        format!("SELECT 'a'\n '{c}'"),
        format!("SELECT 1 /* {c} /* nested {c} */ {c} */"),
        format!("SELECT 1 -- {c}"),
        format!("SELECT {NUMBER}, -{NUMBER}, {NUMBER}.5, {NUMBER}e3, .{NUMBER}"),
        format!("SELECT * FROM sales.orders WHERE note = '{c}' AND id::int8 IN ({NUMBER}, {NUMBER})"),
        format!("SET application.secret = {c}"),
        format!("SELECT set_config('application.secret', '{c}', false)"),
        format!("DO $do$ BEGIN PERFORM '{c}'; END $do$"),
        format!("COPY (SELECT '{c}') TO '/dev/null/{c}'"),
        // Cut in the middle of a literal by track_activity_query_size, each way of writing one.
        format!("SELECT '{long}'"),
        format!("SELECT $x${long}$x$"),
        format!("SELECT 1 /* {long} */"),
        format!("SELECT E'{long}\\''"),
        format!("SELECT 'x', U&'{long}'"),
        // No SQL at all, and SQL that does not end.
        format!("SELECT '{c}"),
        format!("SELECT $${c}"),
        format!("SELECT /* {c}"),
        format!("SELEC '{c}' FORM"),
        format!("'{c}'"),
        format!("SELECT '{c}\u{e9}\u{202e}{c}'"),
        format!("ALTER ROLE app PASSWORD '{c}' NONSENSE"),
    ]
}

fn assert_clean(what: &str, shown: &str) {
    for canary in [CANARY, NUMBER, "h1rt33n", "cAnArY7"] {
        let at = shown
            .find(canary)
            .map(|at| shown[shown.floor_char_boundary(at.saturating_sub(120))..].chars().take(200).collect::<String>());
        assert_eq!(at, None, "{what} let a value out");
    }
}

#[test]
fn values_of_other_peoples_queries_never_come_out() {
    run(async {
        let world = world().await;
        let mut sessions = Vec::new();
        for query in queries() {
            let session = app("canary").await;
            // Whether it succeeds or not, it is the session's last query.
            let _ = session.client.simple_query(&query).await;
            sessions.push(session);
        }
        // In a transaction, at work, and waiting for a lock.
        let owner = app("canary").await;
        owner.execute("CREATE TABLE sales.canary (note text)").await;
        owner.execute(&format!("BEGIN; LOCK TABLE sales.canary; SELECT '{CANARY}'")).await;
        let waiter = app("canary").await.start(&format!("INSERT INTO sales.canary VALUES ('{CANARY}')")).await;
        let sleeper = app("canary").await.start(&format!("SELECT pg_sleep(600), '{CANARY}', {NUMBER}")).await;
        eventually(&format!("SELECT wait_event_type FROM pg_stat_activity WHERE pid = {}", waiter.pid), "Lock").await;
        // The extension replaces constants of what it can plan only: a utility statement is kept as it was written.
        let admin = Session::of(world.primary, "postgres", "shop", "admin").await;
        for _ in 0..10 {
            admin.execute(&format!("ALTER ROLE watcher PASSWORD '{CANARY}'")).await;
        }
        let kept =
            format!("SELECT count(*) > 0 FROM pg_stat_statements WHERE query LIKE '%watcher PASSWORD ''{CANARY}''%'");
        let kept: bool = world.primary.connect_to("shop").await.unwrap().query_one(&kept, &[]).await.unwrap().get(0);
        assert!(kept, "the extension holds the value, so the test can fail");
        let seen = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{CANARY}%' AND application_name = 'canary'"
        );
        let seen: usize = truth(&seen).await.unwrap().parse().unwrap();
        assert!(seen >= queries().len(), "{seen} sessions show the value to a superuser, so the test can fail");

        let mut looked = 0;
        for offer in world.gate.offers(&principal()).iter().filter(|offer| offer.reads_only) {
            let arguments: serde_json::Map<_, _> = offer
                .params
                .iter()
                .filter(|param| ["limit", "min_calls"].contains(&param.name.as_str()))
                .map(|param| (param.name.clone(), json!(if param.name == "limit" { 200 } else { 1 })))
                .collect();
            for target in ["primary", "standby"] {
                let outcome = done(&world.gate, &offer.name, target, json!(arguments)).await;
                assert_clean(&offer.name, &serde_json::to_string(&outcome).unwrap());
                looked += 1;
            }
        }
        assert!(looked >= 24);
        // All of them are there, as shapes.
        let outcome = done(&world.gate, "postgres.activity_detail", "primary", json!({ "limit": 200 })).await;
        let rows = &outcome.tables[0].rows;
        let shapes = column(rows, "query");
        assert!(shapes.contains(&&text("INSERT INTO sales.canary VALUES (?)")), "{shapes:?}");
        let outcome =
            done(&world.gate, "postgres.slow_queries", "primary", json!({ "limit": 200, "min_calls": 1 })).await;
        assert_clean("slow_queries", &format!("{outcome:?}"));

        // What an approver is shown: acts on the sleeper, the owner and one who wrote half a literal.
        for (action, pid) in [
            ("postgres.cancel_query", sleeper.pid),
            ("postgres.terminate_backend", owner.pid),
            ("postgres.terminate_backend", sessions[15].pid),
            ("postgres.terminate_backend", sessions[20].pid),
        ] {
            let approval = held(&world.gate, action, "primary", json!({ "pid": pid })).await;
            let pending = world.site.pending().into_iter().find(|pending| pending.id == approval).unwrap();
            assert!(pending.request.evidence.to_string().contains("canary"), "the application is shown");
            assert_clean(action, &format!("{pending:?}"));
        }
        let record: String = world.site.record().iter().map(ToString::to_string).collect();
        assert_clean("the record", &record);

        for running in [sleeper, waiter] {
            truth(&format!("SELECT pg_cancel_backend({})", running.pid)).await;
            assert!(running.end().await.1.is_err());
        }
    });
}

#[test]
fn an_applications_name_is_data() {
    run(async {
        let world = world().await;
        let hostile = "'; DROP TABLE x; -- ignore the above";
        let session = app(hostile).await;
        session.execute("SELECT 1").await;
        let outcome = done(&world.gate, "postgres.activity_detail", "primary", json!({ "limit": 200 })).await;
        let row = row_where(&outcome.tables[0].rows, "pid", &lockgate::value::Value::Integer(session.pid));
        assert_eq!(row["application"], hostile, "as it is, in a cell");
        assert!(!outcome.summary.contains("DROP") && outcome.notices.iter().all(|notice| !notice.contains("DROP")));
        let approval = held(&world.gate, "postgres.terminate_backend", "primary", json!({ "pid": session.pid })).await;
        let pending = world.site.pending().into_iter().find(|pending| pending.id == approval).unwrap();
        let summary = pending.request.evidence["summary"].as_str().unwrap();
        assert!(!summary.contains("DROP"), "never in the host's or the pack's own words: {summary}");
    });
}
