//! Vacuum: thresholds as autovacuum counts them, dead rows as `pgstattuple` finds them, last times as they were, and ages as
//! the control file has them.

use std::process::Command;

use lockgate::value::Value;
use lockgate_tests::{answers, session::run};
use serde_json::{Value as Json, json};

use crate::{
    place::{Place, integer, names, number, of_table},
    world::for_each_world,
};

const UTC: &str = "AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'";

/// A thousand rows each, told to the planner; what is then done to them is what counts.
fn tables(rows: &[(&str, &str)]) -> String {
    rows.iter()
        .map(|(name, options)| {
            format!(
                "CREATE TABLE {name} (id int PRIMARY KEY, body text) WITH (autovacuum_enabled = off {options});
                 INSERT INTO {name} SELECT i, 'x' FROM generate_series(1, 1000) i;"
            )
        })
        .collect()
}

#[test]
fn distance_from_the_thresholds_that_hold_for_the_table() {
    run(for_each_world(async |world| {
        let sql = tables(&[
            ("plain", ""),
            ("at_it", ""),
            ("past_it", ""),
            (
                "own",
                ", autovacuum_vacuum_threshold = 5, autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_threshold = 7, autovacuum_analyze_scale_factor = 0",
            ),
            ("inserted", ", autovacuum_vacuum_insert_threshold = 10, autovacuum_vacuum_insert_scale_factor = 0"),
            ("never_for_inserts", ", autovacuum_vacuum_insert_threshold = -1"),
            (
                "with_toast",
                ", toast.autovacuum_vacuum_threshold = 3, toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_enabled = off",
            ),
            ("heir", ", autovacuum_vacuum_threshold = 9, autovacuum_vacuum_scale_factor = 0"),
        ]);
        let place = Place::of(world, "thresholds", &sql).await;
        place
            .by_app(
                "ALTER TABLE with_toast ALTER body SET STORAGE EXTERNAL;
                 INSERT INTO with_toast SELECT i, repeat('x', 5000) FROM generate_series(2001, 2010) i",
            )
            .await;
        let names_of = ["plain", "at_it", "past_it", "own", "inserted", "never_for_inserts", "with_toast", "heir"];
        for name in names_of {
            // The vacuum's numbers are to be the last word before what is done below.
            place.truth(&format!("VACUUM ANALYZE {name}")).await;
            place
                .eventually(&format!("SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = '{name}'"), "1")
                .await;
        }
        place
            .by_app(
                "DELETE FROM at_it WHERE id <= 250; DELETE FROM past_it WHERE id <= 251; DELETE FROM own WHERE id <= 16;
                 INSERT INTO inserted SELECT i, 'x' FROM generate_series(5001, 5011) i; INSERT INTO never_for_inserts SELECT i, 'x' FROM generate_series(5001, 5900) i;
                 DELETE FROM with_toast WHERE id > 2000",
            )
            .await;
        place.eventually("SELECT sum(n_dead_tup) FROM pg_stat_user_tables", "527").await;
        place.eventually("SELECT sum(n_ins_since_vacuum) FROM pg_stat_user_tables", "911").await;
        let outcome = place.ask("vacuum_status", json!({ "limit": 200 })).await;
        let rows = &outcome.tables[0].rows;
        let mut found = names(rows, "table_name");
        let pressures: Vec<f64> = found.iter().map(|name| number(&of_table(rows, name), "pressure")).collect();
        assert!(pressures.is_sorted_by(|a, b| a >= b), "the nearest first: {pressures:?}");
        found.sort();
        let mut wanted = names_of;
        wanted.sort_unstable();
        assert_eq!(found, wanted, "no table twice, none missing");

        // 50 + 20 % of 1,000; more than that, not as many.
        for (name, dead, due) in
            [("plain", 0, None), ("at_it", 250, Some("analyze")), ("past_it", 251, Some("vacuum, analyze"))]
        {
            let row = of_table(rows, name);
            assert_eq!(
                (integer(&row, "dead_tuples"), integer(&row, "vacuum_threshold"), integer(&row, "vacuum_distance")),
                (dead, 250, 250 - dead)
            );
            assert_eq!((row["due"].as_str(), row["autovacuum_enabled"].as_bool()), (due, Some(false)), "{row:?}");
        }
        let own = of_table(rows, "own");
        let cells = ["vacuum_threshold", "analyze_threshold", "dead_tuples", "modified_since_analyze"]
            .map(|cell| integer(&own, cell));
        assert_eq!((cells, own["due"].as_str()), ([15, 7, 16, 16], Some("vacuum, analyze")));
        let inserted = of_table(rows, "inserted");
        assert_eq!((integer(&inserted, "inserted_since_vacuum"), integer(&inserted, "insert_threshold")), (11, 10));
        assert_eq!(inserted["due"], "vacuum for inserts");
        let never = of_table(rows, "never_for_inserts");
        assert!(never["insert_threshold"].is_null() && integer(&never, "inserted_since_vacuum") == 900, "{never:?}");
        assert_eq!(never["due"], "analyze", "900 inserts are modifications too");
        let with_toast = of_table(rows, "with_toast");
        let chunks = place.number("SELECT n_dead_tup FROM pg_stat_all_tables WHERE relid = (SELECT reltoastrelid FROM pg_class WHERE relname = 'with_toast')").await;
        assert!(chunks > 3 && integer(&with_toast, "toast_dead_tuples") == chunks, "{with_toast:?}");
        assert_eq!(
            (integer(&with_toast, "toast_vacuum_threshold"), with_toast["toast_autovacuum_enabled"].as_bool()),
            (3, Some(false))
        );
        assert_eq!(with_toast["due"], "vacuum of toast");
        assert!(outcome.notices.iter().any(|notice| notice.contains("switched off")), "{:?}", outcome.notices);
        if world.major >= 18 {
            place.by_app("ALTER TABLE plain SET (autovacuum_vacuum_max_threshold = 100)").await;
            let rows = place.rows("vacuum_status").await;
            assert_eq!(integer(&of_table(&rows, "plain"), "vacuum_threshold"), 100, "capped from 18 on");
        }

        // The same rows for everybody who asks for what is past: what autovacuum itself then comes for is tested elsewhere.
        place.truth("VACUUM ANALYZE past_it").await;
        place.eventually("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'past_it'", "0").await;
        let rows = place.rows("vacuum_status").await;
        let row = of_table(&rows, "past_it");
        assert!(row["due"].is_null() && row["last_vacuum"].is_string(), "{row:?}");
    }));
}

#[test]
fn dead_rows_are_those_that_pgstattuple_finds() {
    run(for_each_world(async |world| {
        let sql = tables(&[("worst", ""), ("bad", ""), ("few", "")]);
        let place = Place::of(world, "dead_rows", &sql).await;
        place.truth("CREATE EXTENSION pgstattuple").await;
        place.truth("VACUUM ANALYZE").await;
        place
            .by_app(
                "DELETE FROM worst WHERE id <= 800; DELETE FROM bad WHERE id <= 300; DELETE FROM few WHERE id <= 49",
            )
            .await;
        place.eventually("SELECT sum(n_dead_tup) FROM pg_stat_user_tables", "1149").await;
        let rows = place.rows("dead_tuples_top").await;
        assert_eq!(names(&rows, "table_name"), ["worst", "bad"], "49 are none to speak of");
        for name in ["worst", "bad"] {
            let row = of_table(&rows, name);
            let of = async |column: &str| place.number(&format!("SELECT {column} FROM pgstattuple('{name}')")).await;
            let (live, dead) = (of("tuple_count").await, of("dead_tuple_count").await);
            assert_eq!((integer(&row, "live_tuples"), integer(&row, "dead_tuples")), (live, dead), "{name}");
            let share =
                100.0 * number(&row, "dead_tuples") / (number(&row, "dead_tuples") + number(&row, "live_tuples"));
            assert!((number(&row, "dead_percent") - share).abs() < 1e-9 && row["toast"] == false);
        }
        place.truth("VACUUM").await;
        place.eventually("SELECT sum(n_dead_tup) FROM pg_stat_user_tables", "0").await;
        assert_eq!(place.ask("dead_tuples_top", json!({})).await.summary, "no table has 50 dead rows");
    }));
}

#[test]
fn the_last_vacuum_is_when_it_was() {
    run(for_each_world(async |world| {
        let place = Place::of(world, "last_vacuum", &tables(&[("never", ""), ("first", ""), ("later", "")])).await;
        for name in ["first", "later"] {
            place.truth(&format!("VACUUM {name}")).await;
            place
                .eventually(&format!("SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = '{name}'"), "1")
                .await;
        }
        place.truth("ANALYZE later").await;
        place.eventually("SELECT analyze_count FROM pg_stat_user_tables WHERE relname = 'later'", "1").await;
        let rows = place.rows("last_vacuum_per_table").await;
        assert_eq!(names(&rows, "table_name"), ["never", "first", "later"], "the longest ago first");
        for (name, vacuums, analyzes) in [("never", 0, 0), ("first", 1, 0), ("later", 1, 1)] {
            let row = of_table(&rows, name);
            assert_eq!(
                (integer(&row, "vacuums"), integer(&row, "analyzes"), integer(&row, "autovacuums")),
                (vacuums, analyzes, 0)
            );
            for cell in ["last_vacuum", "last_autovacuum", "last_analyze", "last_autoanalyze"] {
                let wanted = place
                    .truth(&format!("SELECT to_char({cell} {UTC}) FROM pg_stat_user_tables WHERE relname = '{name}'"))
                    .await;
                assert_eq!(row[cell].as_str(), wanted.as_deref(), "{cell} of {name}");
            }
            assert_eq!(row["vacuum_ms"].is_number(), world.major >= 18, "{row:?}");
        }
        let since = integer(&of_table(&rows, "first"), "seconds_since_vacuum");
        assert!((0..120).contains(&since) && of_table(&rows, "never")["seconds_since_vacuum"].is_null());
    }));
}

/// What the distribution's own program did is seen. Only its package has the program.
#[test]
fn what_vacuumdb_analyzed_is_seen() {
    run(for_each_world(async |world| {
        let program = world.primary.binaries().program("vacuumdb");
        if !program.exists() {
            return;
        }
        let place = Place::of(world, "vacuumdb", &tables(&[("t", "")])).await;
        assert!(integer(&of_table(&*place.rows("vacuum_status").await, "t"), "modified_since_analyze") == 1000);
        let mut command = Command::new(program);
        command
            .arg("--analyze-only")
            .arg("-h")
            .arg(world.primary.socket_dir())
            .args(["-p", &world.primary.port().to_string()]);
        let done = command
            .args(["-U", world.primary.superuser().get_user().expect("a name"), "vacuumdb"])
            .output()
            .expect("it starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        place.eventually("SELECT analyze_count FROM pg_stat_user_tables WHERE relname = 't'", "1").await;
        let row = of_table(&*place.rows("last_vacuum_per_table").await, "t");
        assert!(row["last_analyze"].is_string() && row["last_vacuum"].is_null(), "analyzed, not vacuumed: {row:?}");
        let row = of_table(&*place.rows("vacuum_status").await, "t");
        assert_eq!((integer(&row, "modified_since_analyze"), integer(&row, "analyze_threshold")), (0, 150));
    }));
}

/// A number out of `pg_controldata`, where the program is there: the distribution's.
fn control(world: &crate::world::World, name: &str) -> Option<i64> {
    let program = world.primary.binaries().program("pg_controldata");
    let output = program
        .exists()
        .then(|| Command::new(program).arg("-D").arg(world.primary.data_dir()).env("LC_ALL", "C").output())?;
    let text = String::from_utf8(output.expect("it starts").stdout).expect("text");
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line.rsplit([' ', ':']).next()?.parse().ok()
}

#[test]
fn ages_are_those_of_the_catalog_and_of_the_control_file() {
    run(for_each_world(async |world| {
        let place = Place::of(world, "ages", "CREATE TABLE shared (id int); INSERT INTO shared VALUES (1)").await;
        let ages = "FROM pg_database WHERE datname = current_database()";
        let start = place.number(&format!("SELECT age(datfrozenxid) {ages}")).await;
        place.truth("DO $$ BEGIN FOR n IN 1..2000 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$").await;
        // Two that share a row make a multixact each time.
        let (one, other) = (place.session("one").await, place.session("other").await);
        for _ in 0..5 {
            one.execute("BEGIN; SELECT FROM shared FOR SHARE").await;
            other.execute("BEGIN; SELECT FROM shared FOR SHARE").await;
            one.execute("COMMIT").await;
            other.execute("COMMIT").await;
        }
        let before = (
            place.number(&format!("SELECT age(datfrozenxid) {ages}")).await,
            place.number(&format!("SELECT mxid_age(datminmxid) {ages}")).await,
        );
        assert!(before.0 >= start + 2000 && before.1 >= 5, "the test made them: {before:?}");
        let outcome = place.ask("xid_wraparound_proximity", json!({})).await;
        let after = (
            place.number(&format!("SELECT age(datfrozenxid) {ages}")).await,
            place.number(&format!("SELECT mxid_age(datminmxid) {ages}")).await,
        );
        let rows = &outcome.tables[0].rows;
        let row = answers::row_where(rows, "database", &answers::text("ages"));
        let (xid, mxid) = (integer(&row, "xid_age"), integer(&row, "mxid_age"));
        assert!(
            (before.0..=after.0).contains(&xid) && (before.1..=after.1).contains(&mxid),
            "{before:?} {row:?} {after:?}"
        );
        assert_eq!(integer(&row, "xids_left"), 2_147_483_648 - xid);
        assert!((number(&row, "xid_percent_of_wall") - 100.0 * number(&row, "xid_age") / 2_147_483_648.0).abs() < 1e-9);
        let limit = place.number("SELECT setting FROM pg_settings WHERE name = 'autovacuum_freeze_max_age'").await;
        assert_eq!(integer(&row, "xid_freeze_max_age"), limit);
        assert_eq!(row["xid_failsafe_age"].as_i64(), (world.major >= 14).then_some(1_600_000_000), "from 14 on");
        assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
        assert_eq!(
            names(rows, "database").len(),
            usize::try_from(place.number("SELECT count(*) FROM pg_database").await).unwrap()
        );

        // The control file, written after the answer, has the next id and the oldest of the whole cluster.
        place.truth("CHECKPOINT").await;
        if let (Some(next), Some(oldest)) =
            (control(world, "Latest checkpoint's NextXID"), control(world, "Latest checkpoint's oldestXID:"))
        {
            let eldest =
                answers::column(rows, "xid_age").iter().map(|age| age.to_json().as_i64().unwrap()).max().unwrap();
            assert!(before.0 <= eldest && eldest <= next - oldest, "{eldest} in {oldest}..{next}");
            assert!(next - oldest - eldest < 100_000, "and not far from it: {eldest} in {oldest}..{next}");
        } else {
            assert!(!world.primary.binaries().program("pg_controldata").exists(), "it was read");
        }

        // The oldest tables: each age is the table's own, and a vacuum that freezes takes a table off the list.
        place.truth("VACUUM FREEZE shared").await;
        let tables = place.ask("xid_wraparound_proximity", json!({})).await.tables.remove(1).rows;
        assert!(!names(&tables, "table_name").contains(&"shared".to_owned()) && tables.rows.len() == 10);
        let oldest = tables.rows[0].iter().map(Value::to_json).collect::<Vec<Json>>();
        let wanted = place.number("SELECT max(age(relfrozenxid)) FROM pg_class WHERE relkind IN ('r', 'm', 't')").await;
        assert!(
            (wanted - oldest[3].as_i64().unwrap()).abs() < 100_000 && oldest[3].as_i64().unwrap() <= wanted,
            "{oldest:?}"
        );
    }));
}
