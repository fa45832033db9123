//! Indexes: those that nobody uses, those that are there twice, and those that are broken or being made.

use lockgate::value::Value;
use lockgate_tests::{
    answers::{column, row_where, rows_where},
    session::{PATIENCE, run},
    site::done,
};
use serde_json::json;

use crate::{
    place::{Place, integer, names, of_index},
    world::for_each_world,
};

#[test]
fn unused_is_what_no_query_used_and_nothing_rests_on() {
    run(for_each_world(async |world| {
        let sql = "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int, d int NOT NULL, e int UNIQUE, parent int) WITH (autovacuum_enabled = off);
            ALTER TABLE t ADD FOREIGN KEY (parent) REFERENCES t (id);
            CREATE INDEX used ON t (a); CREATE INDEX idle ON t (b); CREATE INDEX idle_part ON t (c) WHERE c > 5;
            CREATE UNIQUE INDEX identity ON t (d); ALTER TABLE t REPLICA IDENTITY USING INDEX identity;
            CREATE INDEX for_key ON t (parent);
            CREATE TABLE x (id int, EXCLUDE USING btree (id WITH =));
            CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
            CREATE INDEX p_a ON p (a); CREATE INDEX p1_own ON p1 (a);
            CREATE TABLE wide (id int, note text) WITH (autovacuum_enabled = off);
            INSERT INTO wide SELECT i, md5(i::text) FROM generate_series(1, 3000) i; CREATE INDEX wide_note ON wide (note);
            INSERT INTO t SELECT i, i, i, i, i, i FROM generate_series(1, 1000) i";
        let place = Place::of(world, "unused", sql).await;
        place.by_app("SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT FROM t WHERE a = 5").await;
        place.eventually("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'used'", "1").await;
        let rows = place.rows("unused_indexes").await;
        let mut found = names(&rows, "index_name");
        assert_eq!(found[0], "wide_note", "the largest first");
        found.sort();
        assert_eq!(found, ["for_key", "idle", "idle_part", "p1_own", "wide_note"]);
        let idle = of_index(&rows, "idle");
        assert_eq!(integer(&idle, "bytes"), place.number("SELECT pg_total_relation_size('idle')").await);
        assert_eq!((&idle["partial"], &idle["serves_foreign_key"]), (&json!(false), &json!(false)));
        assert_eq!(
            integer(&idle, "table_index_scans"),
            place.number("SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 't'").await
        );
        assert_eq!(idle["table_last_scan"].is_string(), world.major >= 16, "told from 16 on: {idle:?}");
        assert_eq!(of_index(&rows, "for_key")["serves_foreign_key"], true);
        assert_eq!(of_index(&rows, "idle_part")["partial"], true);

        // Since when: as the server has it.
        place.truth("SELECT pg_stat_reset()").await;
        place.eventually("SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes", "0").await;
        let rows = place.rows("unused_indexes").await;
        assert!(names(&rows, "index_name").contains(&"used".to_owned()), "nothing counts any more");
        let since = place.truth("SELECT to_char(stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM pg_stat_database WHERE datname = current_database()").await;
        assert_eq!(of_index(&rows, "used")["statistics_since"].as_str(), since.as_deref());

        // Usage is a server's own: the standby has not used it either, and says so of itself.
        world.caught_up().await;
        let there = done(&place.gate, "postgres.unused_indexes", "standby", json!({})).await;
        assert!(names(&there.tables[0].rows, "index_name").contains(&"used".to_owned()));
        assert!(there.notices.iter().any(|notice| notice.contains("each server")), "{:?}", there.notices);
    }));
}

#[test]
fn duplicates_are_those_that_do_the_same() {
    run(for_each_world(async |world| {
        let sql = "CREATE TABLE t (id int PRIMARY KEY, a text, b text, n int, u int, v int) WITH (autovacuum_enabled = off);
            CREATE INDEX same_1 ON t (a); CREATE INDEX same_2 ON t (a); CREATE INDEX same_3 ON t (a) WITH (fillfactor = 70);
            CREATE INDEX not_opclass ON t (a text_pattern_ops); CREATE INDEX not_collation ON t (a COLLATE \"C\");
            CREATE INDEX not_desc ON t (a DESC); CREATE INDEX not_nulls ON t (a NULLS FIRST); CREATE INDEX not_hash ON t USING hash (a);
            CREATE INDEX not_longer ON t (a, b); CREATE INDEX not_turned ON t (b, a); CREATE INDEX not_include ON t (a) INCLUDE (b);
            CREATE INDEX not_where ON t (a) WHERE n > 10; CREATE INDEX where_1 ON t (a) WHERE n > 11;
            CREATE INDEX    where_2   ON   t ( a )   WHERE   n > 11;
            CREATE INDEX not_upper ON t (upper(a)); CREATE INDEX lower_1 ON t (lower(a)); CREATE INDEX    lower_2   ON  t  (  lower( a ) );
            CREATE INDEX brin_1 ON t USING brin (n) WITH (pages_per_range = 16); CREATE INDEX not_brin ON t USING brin (n) WITH (pages_per_range = 64);
            CREATE INDEX beside_key ON t (id);
            ALTER TABLE t ADD CONSTRAINT unique_u UNIQUE (u); CREATE UNIQUE INDEX unique_too ON t (u); CREATE INDEX plain_u ON t (u);
            ALTER TABLE t ADD CONSTRAINT v_1 UNIQUE (v), ADD CONSTRAINT v_2 UNIQUE (v);
            CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9000);
            CREATE INDEX p_a1 ON p (a); CREATE INDEX p_a2 ON p (a); INSERT INTO p SELECT i FROM generate_series(1, 5000) i;
            INSERT INTO t SELECT i, 'a' || i, 'b', i, i, i FROM generate_series(1, 3000) i";
        let place = Place::of(world, "duplicates", sql).await;
        let rows = place.all_rows("duplicate_indexes").await;
        let mut found: Vec<_> = names(&rows, "index_name").into_iter().zip(names(&rows, "kept_index")).collect();
        found.sort();
        let wanted = [
            ("beside_key", "t_pkey"),
            ("lower_2", "lower_1"),
            ("p_a2", "p_a1"),
            ("plain_u", "unique_u"),
            ("same_2", "same_1"),
            ("same_3", "same_1"),
            ("unique_too", "unique_u"),
            ("v_2", "v_1"),
            ("where_2", "where_1"),
        ];
        assert_eq!(found, wanted.map(|(spare, kept)| (spare.to_owned(), kept.to_owned())));
        for (name, _) in wanted {
            let row = of_index(&rows, name);
            assert_eq!(row["constraint_name"].as_str(), (name == "v_2").then_some("v_2"), "{row:?}");
            if name != "p_a2" {
                assert_eq!(
                    integer(&row, "bytes"),
                    place.number(&format!("SELECT pg_total_relation_size('{name}')")).await
                );
            }
        }
        let partitions =
            "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'p_a2'::regclass";
        assert_eq!(integer(&of_index(&rows, "p_a2"), "bytes"), place.number(partitions).await);
        assert_eq!(of_index(&rows, "beside_key")["kept_constraint"], "t_pkey");

        // What it says can go: gone without them, nothing is left to say.
        let drops = "DROP INDEX beside_key, lower_2, p_a2, plain_u, same_2, same_3, unique_too, where_2; ALTER TABLE t DROP CONSTRAINT v_2";
        place.by_app(drops).await;
        assert_eq!(place.all_rows("duplicate_indexes").await.rows.len(), 0);
        assert_eq!(place.ask("duplicate_indexes", json!({})).await.summary, "no index does what another one does");
    }));
}

/// The stricter of two unique indexes stays, and a foreign key's stays.
#[test]
fn uniqueness_decides_which_stays() {
    run(for_each_world(async |world| {
        let sql = "CREATE TABLE t (a int NOT NULL, b int, c int); ALTER TABLE t ADD CONSTRAINT rested_on UNIQUE (a);
            CREATE TABLE child (a int REFERENCES t (a)); CREATE UNIQUE INDEX a_second ON t (a);
            ALTER TABLE t ADD CONSTRAINT late UNIQUE (b) DEFERRABLE; CREATE UNIQUE INDEX at_once ON t (b)";
        let place = Place::of(world, "uniqueness", sql).await;
        let mut wanted = vec![("a_second".to_owned(), "rested_on".to_owned())];
        if world.major >= 15 {
            place
                .by_app("CREATE UNIQUE INDEX loose ON t (c); CREATE UNIQUE INDEX strict ON t (c) NULLS NOT DISTINCT")
                .await;
            wanted.push(("loose".to_owned(), "strict".to_owned()));
        }
        let rows = place.all_rows("duplicate_indexes").await;
        let mut found: Vec<_> = names(&rows, "index_name").into_iter().zip(names(&rows, "kept_index")).collect();
        found.sort();
        assert_eq!(found, wanted, "an index that checks at once is not spared by one that checks late");
    }));
}

#[test]
fn an_invalid_index_is_told_from_one_that_is_being_made() {
    run(for_each_world(async |world| {
        let sql = "CREATE TABLE t (id int, twice int) WITH (autovacuum_enabled = off);
            INSERT INTO t SELECT i, i / 2 FROM generate_series(1, 1000) i; CREATE INDEX fine ON t (id)";
        let place = Place::of(world, "invalid", sql).await;
        assert_eq!(place.ask("invalid_indexes", json!({})).await.summary, "every index is valid");
        let session = place.session("maker").await;
        session.fails("CREATE UNIQUE INDEX CONCURRENTLY broken ON t (twice)").await;
        let rows = place.all_rows("invalid_indexes").await;
        assert_eq!(names(&rows, "index_name"), ["broken"]);
        let row = of_index(&rows, "broken");
        let cells = ["valid", "unique_index", "in_work", "partitioned"].map(|cell| row[cell].as_bool());
        assert_eq!(cells, [Some(false), Some(true), Some(false), Some(false)], "{row:?}");
        assert!(row["pid"].is_null() && row["rebuild_leftover"].is_null() && row["index_columns"] == "twice");

        // A build that waits for a writer; and after it a rebuild that does, and is broken off.
        let writer = place.session("writer").await;
        for (sql, name, told, command) in [
            ("CREATE INDEX CONCURRENTLY coming ON t (id, twice)", "coming", "coming", "CREATE INDEX CONCURRENTLY"),
            // At first the view names the index that is rebuilt, not the new one.
            ("REINDEX INDEX CONCURRENTLY fine", "fine_ccnew", "fine", "REINDEX CONCURRENTLY"),
        ] {
            writer.execute("BEGIN; INSERT INTO t VALUES (0, 0)").await;
            let making = place.session("maker").await.start(sql).await;
            let waits = format!("SELECT wait_event_type FROM pg_stat_activity WHERE pid = {}", making.pid);
            place.eventually(&waits, "Lock").await;
            let row = of_index(&*place.all_rows("invalid_indexes").await, name);
            assert_eq!((integer(&row, "pid"), &row["in_work"]), (making.pid, &json!(true)), "{row:?}");
            assert_eq!(row["command"], command);

            let building = place.all_rows("progress_create_index").await;
            let [building_row] = &rows_where(&building, "pid", &Value::Integer(making.pid))[..] else {
                panic!("{building:?}")
            };
            assert_eq!(
                (
                    building_row["table_name"].as_str(),
                    building_row["index_name"].as_str(),
                    building_row["command"].as_str()
                ),
                (Some("t"), Some(told), Some(command))
            );
            assert!(building_row["phase"].as_str().unwrap().starts_with("waiting for writers"), "{building_row:?}");
            assert_eq!(integer(building_row, "waits_for_pid"), writer.pid, "and who holds it up");

            world.caught_up().await;
            let there = done(&place.gate, "postgres.invalid_indexes", "standby", json!({})).await;
            assert!(of_index(&there.tables[0].rows, name)["in_work"].is_null(), "a standby does not know");

            place.truth(&format!("SELECT pg_cancel_backend({})", making.pid)).await;
            assert!(tokio::time::timeout(PATIENCE, making.end()).await.expect("it ends").1.is_err());
            writer.execute("ROLLBACK").await;
            let row = of_index(&*place.all_rows("invalid_indexes").await, name);
            assert_eq!((row["in_work"].as_bool(), row["pid"].as_i64()), (Some(false), None), "left behind: {row:?}");
            let leftover = (name == "fine_ccnew").then_some("new");
            assert_eq!(row["rebuild_leftover"].as_str(), leftover);
        }
        assert_eq!(
            place.ask("invalid_indexes", json!({})).await.summary,
            "3 invalid indexes; nobody works at any of them"
        );
    }));
}

#[test]
fn an_index_build_is_seen_at_work() {
    run(for_each_world(async |world| {
        // Each row waits for a lock that the test holds.
        let sql = "CREATE FUNCTION held(int) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE AS
                $$ BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN $1; END $$;
            CREATE TABLE t (id int) WITH (autovacuum_enabled = off); INSERT INTO t SELECT generate_series(1, 5000)";
        let place = Place::of(world, "building", sql).await;
        let gate = place.session("gatekeeper").await;
        gate.execute("SELECT pg_advisory_lock(4711)").await;
        let making = place.session("maker").await.start("CREATE INDEX slow ON t (held(id))").await;
        place
            .eventually(&format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {}", making.pid), "advisory")
            .await;
        let rows = place.all_rows("progress_create_index").await;
        let row = row_where(&rows, "pid", &Value::Integer(making.pid));
        assert_eq!((row["table_name"].as_str(), row["command"].as_str()), (Some("t"), Some("CREATE INDEX")));
        assert!(row["phase"].as_str().unwrap().starts_with("building index"), "{row:?}");
        let blocks = place.number("SELECT pg_relation_size('t') / 8192").await;
        assert_eq!((integer(&row, "blocks_total"), row["wait_event"].as_str()), (blocks, Some("advisory")));
        gate.execute("SELECT pg_advisory_unlock(4711)").await;
        let pid = making.pid;
        making.end().await.1.expect("the build goes on");
        let rows = place.all_rows("progress_create_index").await;
        assert!(!column(&rows, "pid").contains(&&Value::Integer(pid)), "and is done");
    }));
}
