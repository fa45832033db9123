//! `pg_stat_statements_top`: the statement that took the most time in all is first, though single calls of another took
//! longer; with the extension as it is today and as it was before its columns were renamed.

use serde_json::json;

use crate::reads::stage::{Row, int, on_every_major, rows, text};

#[test]
fn the_heaviest_by_total_time_is_first() {
    on_every_major(async |stage| {
        stage.primary.execute_in("shop", "SELECT pg_stat_statements_reset()").await.unwrap();
        let app = stage.app("heavy").await;
        for _ in 0..6 {
            app.execute("SELECT 'Hunter2x' AS often, pg_sleep(0.2)").await;
        }
        app.execute("SELECT 1 AS once, pg_sleep(0.6)").await;

        let old = "CREATE EXTENSION pg_stat_statements VERSION '1.7'";
        stage.primary.execute_in("left_behind", old).await.unwrap();
        for target in ["primary", "left_behind"] {
            let outcome = stage.ask_with("pg_stat_statements_top", target, json!({ "limit": 2 })).await;
            let found = rows(&outcome);
            assert_eq!(found.len(), 2, "{found:?}");
            let [often, once] = [&found[0], &found[1]];
            assert_eq!(text(often, "query"), "SELECT $1 AS often, pg_sleep($2)", "{target}");
            assert_eq!(text(once, "query"), "SELECT $1 AS once, pg_sleep($2)", "{target}");
            assert_eq!((int(often, "calls"), int(often, "rows"), int(once, "calls")), (6, 6, 1));
            assert_eq!((text(often, "user_name"), text(often, "database")), ("app", "shop"));
            let number = |row: &Row, column: &str| row[column].as_f64().unwrap();
            assert!(
                number(often, "total_ms") >= 1200.0 && number(often, "mean_ms") < number(once, "mean_ms"),
                "{found:?}"
            );
            let share = number(often, "percent_of_total") / number(once, "percent_of_total");
            let times = number(often, "total_ms") / number(once, "total_ms");
            assert!((share - times).abs() < 0.01, "{share} {times}");
            assert!(number(often, "percent_of_total") + number(once, "percent_of_total") <= 100.0);
            // What the older extension does not count is not known, and not 0.
            let known = target == "primary";
            assert_eq!(
                (often["wal_bytes"].is_i64(), often["plan_ms"].is_number()),
                (known, known),
                "{target}: {often:?}"
            );
        }
        stage.primary.execute_in("left_behind", "DROP EXTENSION pg_stat_statements").await.unwrap();
    });
}
