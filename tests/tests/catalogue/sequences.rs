//! Sequences near their end: up and down, of each type, with the column they feed; and those that the role can't read.

use lockgate::{error::Code, value::Value};
use lockgate_tests::{
    answers::{refused, row_where, text},
    session::run,
    site::call,
};
use serde_json::json;

use crate::{
    place::{Place, Row, integer, names, number},
    world::for_each_world,
};

#[test]
fn the_share_of_the_range_that_is_used() {
    run(for_each_world(async |world| {
        let sql = "CREATE SEQUENCE up MAXVALUE 1000; SELECT setval('up', 900);
            CREATE SEQUENCE down INCREMENT -1 MINVALUE -1000 MAXVALUE -1; SELECT setval('down', -900);
            CREATE SEQUENCE small AS smallint; SELECT setval('small', 29491);
            CREATE SEQUENCE steps INCREMENT 10 MINVALUE 1 MAXVALUE 1000; SELECT setval('steps', 991);
            CREATE SEQUENCE round MAXVALUE 100 CYCLE; SELECT setval('round', 95);
            CREATE SEQUENCE brimful MAXVALUE 10; SELECT setval('brimful', 10);
            CREATE SEQUENCE negative MINVALUE -9223372036854775808 MAXVALUE 9223372036854775807; SELECT setval('negative', 0);
            CREATE SEQUENCE fresh;
            CREATE TABLE fed (id int); CREATE SEQUENCE wide AS bigint OWNED BY fed.id; SELECT setval('wide', 2000000000);
            CREATE TABLE own (id bigint GENERATED ALWAYS AS IDENTITY); INSERT INTO own DEFAULT VALUES;
            GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO agent";
        let place = Place::of(world, "sequences", sql).await;
        let rows = place.rows("sequence_exhaustion").await;
        let row = |name: &str| -> Row { row_where(&rows, "sequence_name", &text(name)) };
        for (name, percent, remaining) in [
            ("up", 90.0, 100),
            ("down", 90.0, 100),
            ("small", 90.0, 3276),
            ("steps", 99.1, 0),
            ("brimful", 100.0, 0),
            ("fresh", 0.0, i64::MAX),
        ] {
            let row = row(name);
            assert!((number(&row, "used_percent") - percent).abs() < 0.01, "{row:?}");
            assert_eq!(integer(&row, "remaining"), remaining, "{row:?}");
        }
        // How many are left is how many the server then gives.
        let given = "DO $$ BEGIN FOR n IN 1..100 LOOP PERFORM nextval('up'); PERFORM nextval('down'); END LOOP; END $$";
        place.by_app(given).await;
        for name in ["up", "down", "steps", "brimful"] {
            assert!(place.admin.simple_query(&format!("SELECT nextval('{name}')")).await.is_err(), "{name} is used up");
        }
        let wide = row("wide");
        assert_eq!(
            (wide["owned_by"].as_str(), wide["data_type"].as_str(), wide["column_type"].as_str()),
            (Some("public.fed.id"), Some("bigint"), Some("integer"))
        );
        assert_eq!(
            (integer(&wide, "last_possible"), integer(&wide, "remaining")),
            (2_147_483_647, 147_483_647),
            "the column ends first"
        );
        assert!(number(&row("negative"), "used_percent") > 49.0);
        assert_eq!(
            (row("own_id_seq")["owned_by"].as_str(), integer(&row("own_id_seq"), "last_value")),
            (Some("public.own.id"), 1)
        );
        let order = names(&rows, "sequence_name");
        assert_eq!(
            (order[0].as_str(), order.last().map(String::as_str)),
            ("brimful", Some("round")),
            "what cycles never runs out"
        );
        assert_eq!(row("round")["cycles"], true);
    }));
}

#[test]
fn what_the_role_can_not_read_is_counted_and_the_grant_named() {
    run(for_each_world(async |world| {
        let place = Place::of(
            world,
            "sequences_hidden",
            "CREATE SCHEMA apart; CREATE SEQUENCE apart.one MAXVALUE 10; CREATE SEQUENCE two",
        )
        .await;
        let (code, message) = refused(call(&place.gate, "postgres.sequence_exhaustion", "primary", json!({})).await);
        assert_eq!(code, Code::MissingPrivilege, "{message}");
        assert!(
            message.contains("none of 2 sequences") && message.contains("GRANT SELECT ON ALL SEQUENCES"),
            "{message}"
        );

        // USAGE does as well as SELECT; pg_monitor alone gave neither.
        place.by_app("GRANT USAGE ON SEQUENCE two TO agent").await;
        let outcome = place.ask("sequence_exhaustion", json!({})).await;
        assert_eq!(names(&outcome.tables[0].rows, "sequence_name"), ["two"]);
        assert!(
            outcome.notices.iter().any(|notice| notice.contains("1 sequence is") && notice.contains("GRANT SELECT")),
            "{:?}",
            outcome.notices
        );
        let hidden = row_where(&outcome.tables[1].rows, "schema_name", &text("apart"));
        assert_eq!((integer(&hidden, "sequences"), integer(&hidden, "not_granted")), (1, 1));

        place.by_app("GRANT SELECT ON ALL SEQUENCES IN SCHEMA apart TO agent").await;
        let outcome = place.ask("sequence_exhaustion", json!({})).await;
        assert!(outcome.tables.len() == 1 && outcome.notices.is_empty(), "{:?}", outcome.notices);
        assert_eq!(names(&outcome.tables[0].rows, "schema_name"), ["apart", "public"], "the smaller range first");
        let none = Place::of(world, "sequences_none", "CREATE TABLE t (id int)").await;
        assert_eq!(none.ask("sequence_exhaustion", json!({})).await.summary, "the database has no sequences");
    }));
}

/// Of more sequences than one call locks, those are read that can run out.
#[test]
fn of_very_many_those_of_small_range_are_read() {
    run(for_each_world(async |world| {
        let many = "DO $$ BEGIN FOR n IN 1..1100 LOOP EXECUTE format('CREATE SEQUENCE s_%s', n); IF n % 200 = 0 THEN COMMIT; END IF; END LOOP; END $$";
        let place = Place::of(world, "sequences_many", "SELECT 1").await;
        let maker = place.session("maker").await;
        maker.execute(many).await;
        maker.execute("CREATE SEQUENCE zz_last AS int; SELECT setval('zz_last', 2147483000)").await;
        maker.execute("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO agent").await;
        let outcome = place.ask("sequence_exhaustion", json!({ "limit": 1 })).await;
        assert_eq!(names(&outcome.tables[0].rows, "sequence_name"), ["zz_last"]);
        assert!(
            outcome.notices.iter().any(|notice| notice.contains("1000") && notice.contains("1101")),
            "{:?}",
            outcome.notices
        );
        assert!(matches!(outcome.tables[0].rows.rows[0].last(), Some(Value::Integer(647))));
    }));
}
