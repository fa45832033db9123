//! How tables are read and written: what the actions say is what was done to them, and what the server's own views count.

use lockgate_tests::session::run;
use serde_json::json;

use crate::{
    place::{Place, integer, names, number, of_table},
    world::for_each_world,
};

#[test]
fn large_tables_that_are_read_from_end_to_end() {
    run(for_each_world(async |world| {
        let sql = "CREATE TABLE scanned (id int, body text) WITH (autovacuum_enabled = off);
            INSERT INTO scanned SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i;
            CREATE TABLE looked_up (id int PRIMARY KEY, body text) WITH (autovacuum_enabled = off);
            INSERT INTO looked_up SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i;
            CREATE TABLE small (id int) WITH (autovacuum_enabled = off); INSERT INTO small SELECT generate_series(1, 100)";
        let place = Place::of(world, "scans", sql).await;
        // To make an index reads the table; so does the count. From here on it counts.
        place.truth("SELECT pg_stat_reset()").await;
        place.eventually("SELECT coalesce(sum(seq_scan), 0) FROM pg_stat_user_tables", "0").await;
        place
            .by_app(
                "SET max_parallel_workers_per_gather = 0; SELECT count(*) FROM scanned; SELECT count(*) FROM scanned;
                 DO $$ BEGIN FOR n IN 1..50 LOOP PERFORM count(*) FROM small; END LOOP; END $$;
                 SELECT count(*) FROM looked_up; SET enable_seqscan = off; SET enable_bitmapscan = off;
                 DO $$ BEGIN FOR n IN 1..2 LOOP PERFORM body FROM looked_up WHERE id BETWEEN 1 AND 20000; END LOOP; END $$",
            )
            .await;
        let counted = "SELECT seq_scan || ' ' || coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = ";
        place.eventually(&format!("{counted} 'scanned'"), "2 0").await;
        place.eventually(&format!("{counted} 'looked_up'"), "1 2").await;
        place.eventually(&format!("{counted} 'small'"), "50 0").await;
        let rows = place.rows("seq_scan_offenders").await;
        assert_eq!(
            names(&rows, "table_name"),
            ["scanned"],
            "not the one that is mostly looked up in, not the small one"
        );
        let row = of_table(&rows, "scanned");
        for (cell, wanted) in
            [("seq_scans", 2), ("seq_rows_read", 40_000), ("rows_per_scan", 20_000), ("index_scans", 0), ("indexes", 0)]
        {
            assert_eq!(integer(&row, cell), wanted, "{cell}");
        }
        assert_eq!(integer(&row, "heap_bytes"), place.number("SELECT pg_relation_size('scanned')").await);
        assert_eq!(row["last_seq_scan"].is_string(), world.major >= 16, "{row:?}");
        assert!((number(&row, "seq_scan_percent") - 100.0).abs() < 1e-9);
    }));
}

#[test]
fn updates_that_left_the_indexes_alone_and_those_that_did_not() {
    run(for_each_world(async |world| {
        let sql = "CREATE TABLE hot (id int PRIMARY KEY, note int) WITH (fillfactor = 50, autovacuum_enabled = off);
            CREATE TABLE cold (id int PRIMARY KEY, note int) WITH (fillfactor = 50, autovacuum_enabled = off); CREATE INDEX ON cold (note);
            CREATE TABLE tight (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off);
            INSERT INTO hot SELECT i, i FROM generate_series(1, 500) i; INSERT INTO cold SELECT i, i FROM generate_series(1, 400) i;
            INSERT INTO tight SELECT i, repeat('x', 700) FROM generate_series(1, 300) i;
            CREATE TABLE untouched (id int) WITH (autovacuum_enabled = off)";
        let place = Place::of(world, "updates", sql).await;
        place
            .by_app(
                "UPDATE hot SET note = note + 1; UPDATE cold SET note = note + 1; UPDATE tight SET note = upper(note)",
            )
            .await;
        place.eventually("SELECT sum(n_tup_upd) FROM pg_stat_user_tables", "1200").await;
        let rows = place.rows("hot_update_ratio").await;
        assert_eq!(
            names(&rows, "table_name"),
            ["cold", "tight", "hot"],
            "the most costly first, and no table without updates"
        );
        for (name, updates, hot) in [("cold", 400, 0), ("hot", 500, 500)] {
            let row = of_table(&rows, name);
            let found = ["updates", "hot_updates", "other_updates", "fillfactor"].map(|cell| integer(&row, cell));
            assert_eq!(found, [updates, hot, updates - hot, 50], "{name}");
            let percent = 100.0 * number(&row, "hot_updates") / number(&row, "updates");
            assert!((number(&row, "hot_percent") - percent).abs() < 1e-9, "{row:?}");
        }
        let tight = of_table(&rows, "tight");
        let counted = place.number("SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'tight'").await;
        assert_eq!((integer(&tight, "hot_updates"), integer(&tight, "fillfactor")), (counted, 100));
        if world.major >= 16 {
            let new_page =
                place.number("SELECT n_tup_newpage_upd FROM pg_stat_user_tables WHERE relname = 'tight'").await;
            assert!(new_page > 0 && integer(&tight, "new_page_updates") == new_page, "there was no room: {tight:?}");
        } else {
            assert!(tight["new_page_updates"].is_null(), "not told before 16");
        }
        assert_eq!(integer(&of_table(&rows, "cold"), "indexes"), 2);
    }));
}

#[test]
fn reads_and_hits_are_those_of_the_server_s_view() {
    run(for_each_world(async |world| {
        let sql = "CREATE TABLE t (id int PRIMARY KEY, body text) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
            ALTER TABLE t ALTER body SET STORAGE EXTERNAL;
            INSERT INTO t SELECT i, repeat('x', 5000) FROM generate_series(1, 200) i; CREATE INDEX ON t (id, (id % 3));
            CREATE TABLE never (id int) WITH (autovacuum_enabled = off)";
        let place = Place::of(world, "table_io", sql).await;
        place
            .by_app("SELECT sum(length(body)) FROM t; SET enable_seqscan = off; SELECT count(*) FROM t WHERE id < 50")
            .await;
        // Counted in, and not moving any more.
        place.eventually("SELECT heap_blks_hit > 0 AND idx_blks_hit > 0 AND toast_blks_hit > 0 FROM pg_statio_user_tables WHERE relname = 't'", "t").await;
        let view = "SELECT concat_ws(' ', heap_blks_read, heap_blks_hit, idx_blks_read, idx_blks_hit,
                coalesce(toast_blks_read, 0) + coalesce(tidx_blks_read, 0), coalesce(toast_blks_hit, 0) + coalesce(tidx_blks_hit, 0),
                (heap_blks_read + idx_blks_read + coalesce(toast_blks_read, 0) + coalesce(tidx_blks_read, 0)) * current_setting('block_size')::int)
            FROM pg_statio_user_tables WHERE relname = 't'";
        let mut tries = 0;
        loop {
            let before = place.truth(view).await;
            let rows = place.rows("table_io").await;
            if before == place.truth(view).await {
                let row = of_table(&rows, "t");
                let found = [
                    "heap_blocks_read",
                    "heap_blocks_hit",
                    "index_blocks_read",
                    "index_blocks_hit",
                    "toast_blocks_read",
                    "toast_blocks_hit",
                    "bytes_read",
                ]
                .map(|cell| integer(&row, cell).to_string());
                assert_eq!(Some(found.join(" ")), before);
                let sum = |cells: &[&str]| cells.iter().map(|cell| number(&row, cell)).sum::<f64>();
                let hits = sum(&["heap_blocks_hit", "index_blocks_hit", "toast_blocks_hit"]);
                let reads = sum(&["heap_blocks_read", "index_blocks_read", "toast_blocks_read"]);
                assert!((number(&row, "hit_percent") - 100.0 * hits / (hits + reads)).abs() < 1e-6, "{row:?}");
                let never = of_table(&rows, "never");
                assert!(integer(&never, "heap_blocks_hit") == 0 && never["hit_percent"].is_null());
                break;
            }
            tries += 1;
            assert!(tries < 50, "the counters never rest");
        }
        assert_eq!(place.ask("table_io", json!({ "limit": 1 })).await.tables[0].rows.rows.len(), 1);
    }));
}
