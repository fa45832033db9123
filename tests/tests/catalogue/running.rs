//! Vacuums that run: by hand, held up by their own cost delay, and autovacuum's workers on servers of their own.

use lockgate::{
    postgres::throwaway::{Cluster, Options},
    value::Value,
};
use lockgate_tests::{
    AGENT,
    answers::{row_where, rows_where, text},
    servers::{fetched, majors},
    session::{PATIENCE, run},
    site::{Site, done},
};
use serde_json::json;

use crate::{
    place::{Place, integer, of_table},
    world::for_each_world,
};

#[test]
fn a_vacuum_is_seen_at_work() {
    run(for_each_world(async |world| {
        let sql = "CREATE TABLE big (id int PRIMARY KEY, body text) WITH (autovacuum_enabled = off);
            INSERT INTO big SELECT i, repeat('x', 1000) FROM generate_series(1, 4000) i; DELETE FROM big WHERE id % 2 = 0";
        let place = Place::of(world, "vacuuming", sql).await;
        let worker = place.session("vacuumer").await;
        // A tenth of a second for every few pages: it is cancelled long before its end.
        worker.execute("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1").await;
        let vacuuming = worker.start("VACUUM big").await;
        let scanning = format!("SELECT phase FROM pg_stat_progress_vacuum WHERE pid = {}", vacuuming.pid);
        place.eventually(&scanning, "scanning heap").await;
        let rows = place.all_rows("progress_vacuum").await;
        let row = row_where(&rows, "pid", &Value::Integer(vacuuming.pid));
        assert_eq!(
            (row["schema_name"].as_str(), row["table_name"].as_str(), row["database"].as_str()),
            (Some("public"), Some("big"), Some("vacuuming"))
        );
        assert_eq!((row["phase"].as_str(), row["autovacuum"].as_bool()), (Some("scanning heap"), Some(false)));
        let blocks = place.number("SELECT pg_relation_size('big') / 8192").await;
        assert_eq!(integer(&row, "heap_blocks_total"), blocks);
        let scanned = place
            .number(&format!("SELECT heap_blks_scanned FROM pg_stat_progress_vacuum WHERE pid = {}", vacuuming.pid))
            .await;
        assert!((0..=scanned).contains(&integer(&row, "heap_blocks_scanned")), "{row:?}");
        let is_new = world.major >= 17;
        for (cell, there) in [
            ("max_dead_items", !is_new),
            ("max_dead_item_bytes", is_new),
            ("dead_item_bytes", is_new),
            ("indexes_total", is_new),
            ("delay_ms", world.major >= 18),
        ] {
            assert_eq!(row[cell].is_number(), there, "{cell}: {row:?}");
        }
        if !is_new {
            let slots = place
                .number(&format!("SELECT max_dead_tuples FROM pg_stat_progress_vacuum WHERE pid = {}", vacuuming.pid))
                .await;
            assert_eq!(integer(&row, "max_dead_items"), slots);
        }
        place.truth(&format!("SELECT pg_cancel_backend({})", vacuuming.pid)).await;
        assert!(vacuuming.end().await.1.is_err());
        let rows = place.all_rows("progress_vacuum").await;
        assert!(rows_where(&rows, "table_name", &text("big")).is_empty(), "it is over");
    }));
}

/// Workers come when they like; on servers whose launcher looks every second, to a table that is slow to vacuum, they do so
/// soon and stay.
#[test]
fn autovacuum_s_workers_are_seen_at_work() {
    run(async {
        for major in majors() {
            let conf = ["autovacuum_naptime = 1", "autovacuum_max_workers = 2", "autovacuum_vacuum_cost_delay = 3"];
            let options = Options {
                major: Some(major),
                servers: vec![fetched()],
                conf: conf.map(str::to_owned).into(),
                ..Options::default()
            };
            let cluster = Cluster::primary(options).start().await.expect("a server");
            cluster.execute(&format!("CREATE ROLE {AGENT} LOGIN IN ROLE pg_monitor")).await.unwrap();
            let site = Site::with_stock_pack(&[cluster.target("primary", AGENT, "postgres")], "").await;
            let gate = site.gate().await;
            let table = |name: &str| {
                format!(
                "CREATE TABLE {name} (id int PRIMARY KEY, body text) WITH (autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0,
                    autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
                 INSERT INTO {name} SELECT i, repeat('x', 1000) FROM generate_series(1, 4000) i; DELETE FROM {name} WHERE id % 2 = 0"
            )
            };
            cluster.execute(&table("slow")).await.unwrap();
            cluster.wait_for("SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = 'slow'::regclass AND phase = 'scanning heap'", "1", PATIENCE).await.unwrap();
            let outcome = done(&gate, "postgres.autovacuum_workers", "primary", json!({})).await;
            let rows = &outcome.tables[0].rows;
            let row = of_table(rows, "slow");
            let pid =
                cluster.value("SELECT pid FROM pg_stat_progress_vacuum WHERE relid = 'slow'::regclass").await.unwrap();
            assert_eq!(Some(integer(&row, "pid").to_string()), pid);
            assert_eq!(
                (row["schema_name"].as_str(), row["doing"].as_str(), row["phase"].as_str()),
                (Some("public"), Some("vacuum"), Some("scanning heap"))
            );
            assert_eq!(row["against_wraparound"], false);
            let started = format!(
                "SELECT to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM pg_stat_activity WHERE pid = {}",
                pid.unwrap()
            );
            assert_eq!(row["started_at"].as_str(), cluster.value(&started).await.unwrap().as_deref());
            assert!(outcome.summary.contains("of 2 autovacuum workers"), "{}", outcome.summary);
            let settings = row_where(&outcome.tables[1].rows, "max_workers", &Value::Integer(2));
            assert_eq!(
                (settings["autovacuum"].as_bool(), settings["cost_delay"].as_str(), settings["naptime"].as_str()),
                (Some(true), Some("3ms"), Some("1s"))
            );

            // The vacuum is autovacuum's there too.
            let progress = done(&gate, "postgres.progress_vacuum", "primary", json!({})).await;
            assert_eq!(of_table(&progress.tables[0].rows, "slow")["autovacuum"], true);

            // Two tables are one more than one worker does, and as many as there are.
            cluster.execute(&table("also_slow")).await.unwrap();
            cluster.wait_for("SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid IN ('slow'::regclass, 'also_slow'::regclass)", "2", PATIENCE).await.unwrap();
            let outcome = done(&gate, "postgres.autovacuum_workers", "primary", json!({})).await;
            assert_eq!(outcome.summary, "2 of 2 autovacuum workers run");
            assert!(
                outcome.findings.iter().any(|finding| finding.text.contains("all workers are busy")),
                "{:?}",
                outcome.findings
            );

            // What the launcher's own arithmetic came for, the threshold said.
            let status = done(&gate, "postgres.vacuum_status", "primary", json!({})).await;
            assert!(of_table(&status.tables[0].rows, "slow")["due"].as_str().unwrap().contains("vacuum"));

            cluster.execute("ALTER SYSTEM SET autovacuum = off").await.unwrap();
            cluster.execute("SELECT pg_reload_conf()").await.unwrap();
            cluster.wait_for("SHOW autovacuum", "off", PATIENCE).await.unwrap();
            let outcome = done(&gate, "postgres.autovacuum_workers", "primary", json!({})).await;
            assert!(
                outcome.findings.iter().any(|finding| finding.text.contains("autovacuum is off")),
                "{:?}",
                outcome.findings
            );
        }
    });
}
