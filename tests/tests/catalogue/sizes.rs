//! Sizes are those that the superuser measures; the largest are found where the catalogs are out of date; and nothing that
//! is locked holds the answer up.

use std::time::{Duration, Instant};

use lockgate::error::Code;
use lockgate_tests::{
    answers::refused,
    session::run,
    site::{call, done},
};
use serde_json::json;

use crate::{
    place::{Place, integer, names, of_index, of_table},
    world::for_each_world,
};

const TABLES: &str = "
    CREATE TABLE wide (id int PRIMARY KEY, body text) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
    ALTER TABLE wide ALTER body SET STORAGE EXTERNAL;
    INSERT INTO wide SELECT i, repeat('x', 5000) FROM generate_series(1, 200) i;
    CREATE INDEX wide_idx ON wide (id, (id % 7));
    CREATE TABLE plain (id int, note text) WITH (autovacuum_enabled = off);
    INSERT INTO plain SELECT i, 'n' FROM generate_series(1, 5000) i;
    CREATE TABLE empty (id int) WITH (autovacuum_enabled = off);
    CREATE MATERIALIZED VIEW kept WITH (autovacuum_enabled = off) AS SELECT id FROM plain;
    CREATE SCHEMA bare; CREATE SCHEMA other; CREATE TABLE other.elsewhere (id int PRIMARY KEY)";

#[test]
fn sizes_are_what_the_server_measures() {
    run(for_each_world(async |world| {
        let place = Place::of(world, "sizes", TABLES).await;
        place.truth("VACUUM plain").await;
        let rows = place.rows("table_sizes").await;
        let found: Vec<_> = names(&rows, "table_name");
        let by_size = "SELECT string_agg(relname, ',' ORDER BY pg_total_relation_size(oid) DESC, relname)
            FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm')";
        assert_eq!(Some(found.join(",")), place.truth(by_size).await, "all of the schema, the largest first");
        let everywhere = place.rows("largest_tables_full").await;
        for name in &found {
            let row = of_table(&rows, name);
            let full = of_table(&everywhere, name);
            for (cell, sql) in [
                ("total_bytes", format!("pg_total_relation_size('{name}')")),
                ("index_bytes", format!("pg_indexes_size('{name}')")),
                (
                    "toast_bytes",
                    format!(
                        "(SELECT coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0) FROM pg_class WHERE oid = '{name}'::regclass)"
                    ),
                ),
            ] {
                let wanted = place.number(&format!("SELECT {sql}")).await;
                assert_eq!((integer(&row, cell), integer(&full, cell)), (wanted, wanted), "{cell} of {name}");
            }
            let table = place.number(&format!("SELECT pg_table_size('{name}')")).await;
            assert_eq!(integer(&row, "heap_bytes") + integer(&row, "toast_bytes"), table, "{name}");
            assert_eq!(row["estimated"], false);
        }
        assert!(integer(&of_table(&rows, "wide"), "toast_bytes") > 1_000_000, "the bodies lie in TOAST");
        assert!(names(&everywhere, "table_name").contains(&"elsewhere".to_owned()), "all schemas");
        assert!(!names(&everywhere, "schema_name").iter().any(|name| name.starts_with("pg_")), "but the system's");

        let rows = place.rows("index_sizes").await;
        for name in ["wide_idx", "wide_pkey"] {
            let wanted = place.number(&format!("SELECT pg_total_relation_size('{name}')")).await;
            assert_eq!(integer(&of_index(&rows, name), "bytes"), wanted, "{name}");
        }
        assert_eq!(of_index(&rows, "wide_idx")["index_columns"], "id, (expression)");
        let sum = place.number("SELECT pg_indexes_size('wide')").await;
        let both = integer(&of_index(&rows, "wide_idx"), "bytes") + integer(&of_index(&rows, "wide_pkey"), "bytes");
        assert_eq!(both, sum);
    }));
}

#[test]
fn live_and_dead_rows_stand_beside_the_sizes_and_a_standby_does_not_make_them_up() {
    run(for_each_world(async |world| {
        let place = Place::of(world, "sizes_dead", TABLES).await;
        place.by_app("DELETE FROM plain WHERE id <= 2000").await;
        place.eventually("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'plain'", "2000").await;
        place.truth("VACUUM other.elsewhere").await;
        place.eventually("SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'elsewhere'", "1").await;
        let rows = place.rows("largest_tables_full").await;
        let row = of_table(&rows, "plain");
        assert_eq!((integer(&row, "live_tuples"), integer(&row, "dead_tuples")), (3000, 2000));
        assert!(row["last_vacuum"].is_null() && of_table(&rows, "elsewhere")["last_vacuum"].is_string());

        world.caught_up().await;
        let there = done(&place.gate, "postgres.largest_tables_full", "standby", json!({})).await;
        let row = of_table(&there.tables[0].rows, "plain");
        assert!(row["live_tuples"].is_null() && row["dead_tuples"].is_null(), "{row:?}");
        let wanted = place.number("SELECT pg_total_relation_size('plain')").await;
        assert_eq!(integer(&row, "total_bytes"), wanted, "sizes are the same there");
        assert!(there.notices.iter().any(|notice| notice.contains("ask the primary")), "{:?}", there.notices);
    }));
}

#[test]
fn a_schema_is_there_or_the_call_is_refused() {
    run(for_each_world(async |world| {
        let place = Place::of(world, "sizes_schema", TABLES).await;
        for action in ["postgres.table_sizes", "postgres.vacuum_status"] {
            for name in ["nowhere", "PUBLIC"] {
                let (code, message) = refused(call(&place.gate, action, "primary", json!({ "schema": name })).await);
                assert_eq!(code, Code::NotFound, "{message}");
                assert!(message.contains(name), "{message}");
            }
            let outcome = done(&place.gate, action, "primary", json!({ "schema": "bare" })).await;
            assert!(outcome.tables[0].rows.rows.is_empty(), "{action}: there, and empty");
        }
        let system = place.ask("table_sizes", json!({ "schema": "pg_catalog", "limit": 200 })).await;
        assert!(names(&system.tables[0].rows, "table_name").contains(&"pg_class".to_owned()), "asked for by name");
    }));
}

/// A table that has grown since the catalogs were told is among those that are measured, however many there are.
#[test]
fn the_largest_is_found_where_the_catalogs_know_nothing_of_it() {
    run(for_each_world(async |world| {
        let many = "DO $$ BEGIN FOR n IN 1..60 LOOP
                EXECUTE format('CREATE TABLE t_%s WITH (autovacuum_enabled = off) AS SELECT i FROM generate_series(1, 1000) i', n);
                EXECUTE format('ANALYZE t_%s', n);
            END LOOP; END $$;
            CREATE TABLE grown (i int) WITH (autovacuum_enabled = off);
            INSERT INTO grown SELECT i FROM generate_series(1, 30000) i;
            CREATE TABLE wide (i int, body text) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
            ALTER TABLE wide ALTER body SET STORAGE EXTERNAL;
            INSERT INTO wide SELECT i, repeat('y', 6000) FROM generate_series(1, 400) i;
            CREATE INDEX grown_idx ON grown (i)";
        let place = Place::of(world, "sizes_grown", many).await;
        place.eventually("SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = 'grown'", "30000").await;
        place.eventually("SELECT n_live_tup > 0 FROM pg_stat_all_tables WHERE relid = (SELECT reltoastrelid FROM pg_class WHERE relname = 'wide')", "t").await;
        assert_eq!(place.number("SELECT relpages FROM pg_class WHERE relname = 'wide'").await, 0, "not told");
        for action in ["table_sizes", "largest_tables_full"] {
            let outcome = place.ask(action, json!({ "limit": 2 })).await;
            assert_eq!(names(&outcome.tables[0].rows, "table_name"), ["wide", "grown"], "{action}");
            assert!(outcome.notices.iter().any(|notice| notice.contains("there may be more")), "{action}");
        }
        let outcome = place.ask("index_sizes", json!({ "limit": 1 })).await;
        assert_eq!(names(&outcome.tables[0].rows, "index_name"), ["grown_idx"]);
    }));
}

/// Every read of tables, indexes and vacuum answers while somebody holds, and others wait for, the strongest lock there is.
#[test]
fn nothing_waits_for_a_locked_table() {
    run(for_each_world(async |world| {
        let place = Place::of(world, "sizes_locked", TABLES).await;
        place
            .by_app("ANALYZE; CREATE INDEX plain_idx ON plain (id); CREATE INDEX plain_again ON plain (id);
                CREATE SEQUENCE stuck; GRANT SELECT ON SEQUENCE stuck TO agent; CREATE SEQUENCE free; GRANT SELECT ON SEQUENCE free TO agent")
            .await;
        let holder = place.session("holder").await;
        holder
            .execute("BEGIN; LOCK TABLE wide, plain IN ACCESS EXCLUSIVE MODE; ALTER SEQUENCE stuck INCREMENT 2")
            .await;
        holder.execute("DROP INDEX wide_idx").await;
        let began = Instant::now();
        for action in READS {
            call(&place.gate, &format!("postgres.{action}"), "primary", json!({}))
                .await
                .unwrap_or_else(|e| panic!("{action}: {e:?}"));
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let rows = place.rows("table_sizes").await;
        for name in ["wide", "plain"] {
            let row = of_table(&rows, name);
            assert_eq!(row["estimated"], true, "{row:?}");
            assert!(integer(&row, "heap_bytes") > 0, "as the catalogs have it: {row:?}");
        }
        assert_eq!(of_table(&rows, "kept")["estimated"], false);
        assert_eq!(of_index(&*place.rows("index_sizes").await, "wide_idx")["estimated"], true);
        let sequences = place.rows("sequence_exhaustion").await;
        assert_eq!(names(&sequences, "sequence_name"), ["free"], "the one that is being altered is left out");
        holder.execute("ROLLBACK").await;
        assert_eq!(of_table(&*place.rows("table_sizes").await, "wide")["estimated"], false);
    }));
}

/// The reads of tables, indexes and vacuum.
const READS: [&str; 17] = [
    "table_sizes",
    "largest_tables_full",
    "index_sizes",
    "unused_indexes",
    "duplicate_indexes",
    "invalid_indexes",
    "seq_scan_offenders",
    "hot_update_ratio",
    "table_io",
    "sequence_exhaustion",
    "vacuum_status",
    "dead_tuples_top",
    "last_vacuum_per_table",
    "progress_vacuum",
    "progress_create_index",
    "autovacuum_workers",
    "xid_wraparound_proximity",
];

/// On a standby each answers, or says that the primary would.
#[test]
fn a_standby_answers_or_names_the_primary() {
    run(for_each_world(async |world| {
        let place = Place::of(world, "sizes_standby", TABLES).await;
        world.caught_up().await;
        let primary_only = [
            "hot_update_ratio",
            "vacuum_status",
            "dead_tuples_top",
            "last_vacuum_per_table",
            "progress_vacuum",
            "progress_create_index",
            "autovacuum_workers",
        ];
        for action in READS {
            let answer = call(&place.gate, &format!("postgres.{action}"), "standby", json!({})).await;
            if primary_only.contains(&action) {
                let (code, message) = refused(answer);
                assert_eq!(code, Code::NotOnStandby, "{action}: {message}");
            } else {
                answer.unwrap_or_else(|e| panic!("{action}: {e:?}"));
            }
        }
    }));
}
