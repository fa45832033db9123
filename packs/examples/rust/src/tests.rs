use lockgate_pack::{Severity, Value, testing::Script};

use super::*;

fn group(application: &str, connections: i64, without_tls: i64, superuser: bool) -> Vec<Value> {
    vec![
        application.into(),
        "shop".into(),
        "shop".into(),
        connections.into(),
        1_i64.into(),
        (connections - 1).into(),
        0_i64.into(),
        0_i64.into(),
        1_i64.into(),
        without_tls.into(),
        superuser.into(),
        (-1_i64).into(),
    ]
}

fn script(groups: Vec<Vec<Value>>) -> Script {
    Script::new()
        .answer(&SEES_OTHERS, vec![vec![true.into()]])
        .answer(&APPLICATIONS, groups)
        .answer(&PLACES, vec![vec![97_i64.into()]])
}

fn audited(groups: Vec<Vec<Value>>) -> Outcome {
    script(groups).run(&PACK, "audit", &[("old_minutes", 1440_i64.into())]).unwrap()
}

#[test]
fn what_is_in_order_has_no_findings() {
    let outcome = audited(vec![group("shop-web", 20, 0, false)]);
    assert_eq!(outcome.summary(), "20 connections of 97 places, in 1 groups");
    assert!(outcome.findings().is_empty(), "{:?}", outcome.findings());
}

#[test]
fn what_is_to_be_changed_is_counted() {
    let outcome = audited(vec![group("shop-web", 60, 0, false), group("", 3, 2, true)]);
    let texts: Vec<&str> = outcome.findings().iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "2 connections come from other machines without TLS",
            "3 connections are of a superuser",
            "3 connections have no application name",
            "one application holds 60 of 97 places",
        ]
    );
    assert_eq!(outcome.findings()[0].0, Severity::Warning);
}

#[test]
fn a_role_that_sees_nothing_is_told_so() {
    let script = Script::new().answer(&SEES_OTHERS, vec![vec![false.into()]]);
    let refused = script.run(&PACK, "audit", &[("old_minutes", 1440_i64.into())]).unwrap_err();
    assert!(format!("{refused:?}").contains("pg_monitor"), "{refused:?}");
}
