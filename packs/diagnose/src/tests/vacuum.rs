//! What keeps vacuum from its work.

use lockgate_pack::{Outcome, Value};
use lockgate_pack_shared::{autovacuum::PAST_THRESHOLD, wraparound::WRAPAROUND_READ, xmin_holders::XMIN_HOLDERS};

use super::{NULL, headline, is, next, planted, says_nothing_planted, script, verdicts};
use crate::{
    PACK,
    backends::BACKENDS,
    vacuum_health::{HERE, OLDEST, RUNNING},
};

const SHOP: &str = "shop";

pub(super) fn ages(database: &str, xid: i64) -> Vec<Value> {
    let n = |number: i64| Value::Integer(number);
    let f = || Value::Number(1.0);
    vec![database.into(), n(xid), n(200_000_000), NULL, f(), f(), n(1), n(5), n(400_000_000), NULL, f(), f(), n(1)]
}

fn holder(kind: &str, pid: Option<i64>, database: &str, state: &str, seconds: i64, age: i64) -> Vec<Value> {
    let holds = match kind {
        "replication slot" | "standby" => "all tables",
        _ => "tables of its database",
    };
    let mut row = vec![kind.into(), planted(), pid.into(), planted(), planted(), database.into(), state.into()];
    row.extend([seconds.into(), seconds.into(), age.into(), holds.into(), planted()]);
    row
}

fn backend(pid: i64, state: &str) -> Vec<Value> {
    let mut row = vec![pid.into(), planted(), planted(), planted(), SHOP.into(), "client backend".into(), state.into()];
    row.extend([90_i64.into(), 90_i64.into(), NULL, NULL, false.into(), true.into(), false.into(), planted()]);
    row
}

fn past(table: &str, due: &str, enabled: bool, pressure: f64) -> Vec<Value> {
    let n = || Value::Integer(1000);
    let mut row = vec!["sales".into(), table.into(), due.into(), enabled.into(), Value::Number(pressure)];
    row.extend([n(), n(), n(), n(), n(), n(), n(), n(), NULL, NULL, NULL, n(), n(), NULL, NULL, NULL, NULL]);
    row
}

struct World {
    standby: bool,
    autovacuum: bool,
    ages: Vec<Vec<Value>>,
    holders: Vec<Vec<Value>>,
    backends: Vec<Vec<Value>>,
    past: Vec<Vec<Value>>,
    running: Vec<Vec<Value>>,
}

fn quiet() -> World {
    World {
        standby: false,
        autovacuum: true,
        ages: vec![ages(SHOP, 1000)],
        holders: vec![],
        backends: vec![],
        past: vec![],
        running: vec![],
    }
}

fn health(world: World) -> Outcome {
    let oldest = vec!["sales".into(), "orders".into(), 1_i64.into(), 1_i64.into()];
    let odd = vec!["sales".into(), super::PLANTED.into(), 1_i64.into(), 1_i64.into()];
    let script = script()
        .answer(&HERE, vec![vec![SHOP.into(), world.standby.into(), world.autovacuum.into()]])
        .answer(&WRAPAROUND_READ, world.ages)
        .answer(&OLDEST, vec![odd, oldest])
        .answer(&XMIN_HOLDERS, world.holders)
        .answer(&BACKENDS, world.backends)
        .answer(&RUNNING, world.running);
    // A standby has no variant of it.
    let script = if world.standby { script } else { script.answer(&PAST_THRESHOLD, world.past) };
    let outcome = script.run(&PACK, "vacuum_health", &[]).unwrap();
    says_nothing_planted(&outcome);
    outcome
}

#[test]
fn a_quiet_database_is_healthy_on_both_kinds_of_server() {
    for standby in [false, true] {
        let young = holder("backend", Some(9), SHOP, "active", 5, 3);
        let outcome = health(World { standby, holders: vec![young], ..quiet() });
        assert_eq!(verdicts(&outcome), [("healthy".into(), "ok".into(), 100)]);
        assert_eq!(next(&outcome), None);
    }
}

#[test]
fn an_old_holder_comes_before_any_vacuum() {
    let tables = || vec![past("orders", "vacuum", true, 9.0)];
    let idle = |seconds, age| holder("backend", Some(4471), SHOP, "idle in transaction", seconds, age);
    let terminate = Some(r#"postgres.terminate_backend {"pid":4471}"#.to_owned());
    let vacuum = Some(r#"postgres.vacuum_table {"schema":"sales","table":"orders"}"#.to_owned());
    for (seconds, age, old) in [(10, 100_000, true), (3600, 2, true), (60, 2, true), (59, 2, false)] {
        let holders = vec![idle(seconds, age)];
        let backends = vec![backend(4471, "idle in transaction")];
        let outcome = health(World { holders, backends, past: tables(), ..quiet() });
        let (word, expected) =
            if old { ("xmin_held_by_backend", &terminate) } else { ("tables_past_threshold", &vacuum) };
        assert_eq!((headline(&outcome).0.as_str(), &next(&outcome)), (word, expected), "{seconds} s, {age}");
    }
    let critical = health(World { holders: vec![idle(60, 50_000_000)], ..quiet() });
    assert_eq!(headline(&critical), is("xmin_held_by_backend", "critical"));
}

#[test]
fn a_query_is_cancelled_and_the_oldest_of_equals_goes_first() {
    let holders = vec![
        holder("backend", Some(10), SHOP, "active", 4000, 700),
        holder("backend", Some(20), SHOP, "active", 5000, 700),
        holder("backend", Some(30), "elsewhere", "active", 9000, 900),
    ];
    let outcome = health(World { holders, backends: vec![backend(20, "active")], ..quiet() });
    assert_eq!(next(&outcome).unwrap(), r#"postgres.cancel_query {"pid":20}"#);
    assert!(outcome.findings()[0].1.contains("1 other holder"), "{:?}", outcome.findings());
}

#[test]
fn what_is_no_backend_is_for_a_person() {
    for (kind, verdict) in [
        ("replication slot", "xmin_held_by_slot"),
        ("standby", "xmin_held_by_standby"),
        ("prepared transaction", "xmin_held_by_prepared_transaction"),
        ("background process", "xmin_held_by_process"),
    ] {
        let holders = vec![holder(kind, None, SHOP, "inactive", 10, 200_000)];
        let outcome = health(World { holders, past: vec![past("orders", "vacuum", true, 9.0)], ..quiet() });
        assert_eq!(headline(&outcome), is(verdict, "warning"));
        assert_eq!(next(&outcome), None, "a vacuum would clean up nothing");
    }
}

#[test]
fn tables_that_autovacuum_comes_for_are_left_to_it() {
    let of = |rows| health(World { past: rows, ..quiet() });
    let soon = of(vec![past("orders", "vacuum, analyze", true, 1.9)]);
    assert_eq!((headline(&soon), next(&soon)), (is("vacuum_due", "notice"), None));
    assert_eq!(headline(&of(vec![past("orders", "analyze", true, 9.0)])).0, "healthy");
    let never = of(vec![past("orders", "vacuum", false, 1.1)]);
    assert_eq!(headline(&never), is("tables_past_threshold", "warning"));
    assert!(next(&never).is_some());
    let off = health(World { autovacuum: false, ..quiet() });
    assert_eq!(headline(&off), is("autovacuum_off", "warning"));
}

#[test]
fn a_table_is_named_only_if_the_action_takes_the_name_and_nobody_vacuums_it() {
    let rows = || vec![past("Odd Name\"; --", "vacuum", true, 9.0), past("orders", "vacuum", true, 5.0)];
    let outcome = health(World { past: rows(), ..quiet() });
    assert_eq!(next(&outcome).unwrap(), r#"postgres.vacuum_table {"schema":"sales","table":"orders"}"#);
    assert!(outcome.notices()[0].contains("not a plain identifier"), "{:?}", outcome.notices());
    let running = vec!["sales".into(), "orders".into(), 7_i64.into(), true.into(), planted()];
    assert_eq!(next(&health(World { past: rows(), running: vec![running], ..quiet() })), None);
}

#[test]
fn wraparound_comes_first() {
    let of = |rows| health(World { ages: rows, past: vec![past("orders", "freeze", true, 8.0)], ..quiet() });
    let danger = of(vec![ages(SHOP, 1_600_000_000)]);
    assert_eq!(headline(&danger), is("wraparound_danger", "critical"));
    assert_eq!(next(&danger).unwrap(), r#"postgres.vacuum_table {"schema":"sales","table":"orders"}"#);
    assert_eq!(headline(&of(vec![ages(SHOP, 400_000_000)])), is("wraparound_ahead", "warning"));
    assert_eq!(headline(&of(vec![ages(SHOP, 399_999_999)])).0, "tables_past_threshold");
    let elsewhere = health(World { ages: vec![ages(super::PLANTED, 1_700_000_000), ages(SHOP, 5)], ..quiet() });
    assert_eq!((headline(&elsewhere).0.as_str(), next(&elsewhere)), ("wraparound_danger", None));
    let standby = health(World { standby: true, ages: vec![ages(SHOP, 1_700_000_000)], ..quiet() });
    assert_eq!((headline(&standby).0.as_str(), next(&standby)), ("wraparound_danger", None));
    let pinned = health(World {
        ages: vec![ages(SHOP, 1_700_000_000)],
        holders: vec![holder("backend", Some(9), SHOP, "active", 10, 1_600_000_000)],
        backends: vec![backend(9, "active")],
        ..quiet()
    });
    assert_eq!(next(&pinned).unwrap(), r#"postgres.cancel_query {"pid":9}"#, "what pins the ids goes first");
}
