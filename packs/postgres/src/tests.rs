//! The pack's own logic, without a database: what it refuses, what it pins, and in which words it answers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod server;
mod tables;

use lockgate_pack::{DatabaseError, Failure, QueryError, Value, testing::Script};
use lockgate_pack_shared::{chains::CHAINS_READ, monitor::SEES_OTHERS};

use crate::{
    PACK,
    maintenance::{
        TABLE_READ,
        reindex::{BLOCKERS, INDEX_READ, INVALID, REINDEX},
        vacuum::{VACUUM, VACUUM_ANALYZE},
    },
    signals::{BACKEND, cancel::CANCEL, kill_idle, terminate::TERMINATE},
};

const NULL: Value = Value::Null;
const START: &str = "2026-11-21T01:52:03.123456Z";

fn script() -> Script {
    Script::new().answer(&SEES_OTHERS, vec![vec![true.into()]])
}

fn backend(state: &str, flags: [bool; 4]) -> Vec<Value> {
    let [client, superuser, ourselves, may_signal] = flags;
    vec![
        4471_i64.into(),
        "deploy".into(),
        "migrate-svc".into(),
        NULL,
        "shop".into(),
        state.into(),
        1084_i64.into(),
        1085_i64.into(),
        "Client".into(),
        "ClientRead".into(),
        30_i64.into(),
        "8801, 8802".into(),
        START.into(),
        "2026-11-21T02:14:07.000000Z".into(),
        client.into(),
        superuser.into(),
        ourselves.into(),
        may_signal.into(),
        "SELECT id FROM orders".into(),
    ]
}

const ORDINARY: [bool; 4] = [true, false, false, true];

fn preview(action: &str, row: Option<Vec<Value>>) -> Result<String, Failure> {
    let rows = row.into_iter().collect();
    let evidence = script().answer(&BACKEND, rows).preview(&PACK, action, &[("pid", 4471_i64.into())])?;
    Ok(evidence.summary().to_owned())
}

#[test]
fn terminate_shows_and_pins_the_very_backend() {
    let script = script().answer(&BACKEND, vec![backend("idle in transaction", ORDINARY)]);
    let evidence = script.preview(&PACK, "terminate_backend", &[("pid", 4471_i64.into())]).unwrap();
    let summary = "ends backend 4471, which has been idle in a transaction for 18 min and blocks 30 other sessions";
    assert_eq!(evidence.summary(), summary);
    let pins: Vec<_> = evidence.pins().collect();
    assert_eq!(pins, [("pid", &4471_i64.into()), ("backend_start", &START.into())]);
}

#[test]
fn a_signal_that_may_not_be_sent_is_refused_before_anybody_is_asked() {
    for action in ["terminate_backend", "cancel_query"] {
        assert!(matches!(preview(action, None), Err(Failure::NotFound(_))), "{action}: no such backend");
        for flags in [[false, false, false, true], [true, true, false, true], [true, false, true, true]] {
            assert!(matches!(preview(action, Some(backend("active", flags))), Err(Failure::NotApplicable(_))));
        }
        let unprivileged = preview(action, Some(backend("active", [true, false, false, false])));
        assert!(matches!(unprivileged, Err(Failure::Query(QueryError::MissingPrivilege(_)))), "{action}");
        let blind = Script::new().answer(&SEES_OTHERS, vec![vec![false.into()]]);
        let refused = blind.preview(&PACK, action, &[("pid", 1_i64.into())]).err().unwrap();
        assert!(matches!(refused, Failure::Query(QueryError::MissingPrivilege(_))), "{action}");
    }
}

#[test]
fn terminate_says_what_became_of_the_backend() {
    let after = |ended: bool, waited: bool, left: Option<Vec<Value>>| {
        script()
            .answer(&TERMINATE, vec![vec![ended.into(), waited.into()]])
            .answer(&BACKEND, left.into_iter().collect())
            .run_pinned(&PACK, "terminate_backend", &[("pid", 4471_i64.into())], &[("backend_start", START.into())])
            .map(|outcome| outcome.summary().to_owned())
    };
    let run = |ended: bool, left: Option<Vec<Value>>| after(ended, false, left);
    let still = || Some(backend("idle in transaction", ORDINARY));
    let mut reused = backend("active", ORDINARY);
    reused[12] = "2026-11-21T02:30:00.000000Z".into();
    assert!(run(true, None).unwrap().starts_with("backend 4471 is gone"));
    assert!(run(true, Some(reused)).unwrap().starts_with("backend 4471 is gone"), "the pid was used again");
    assert_eq!(run(true, still()).unwrap(), "told backend 4471 to end");
    assert_eq!(run(false, still()).unwrap(), "told backend 4471 to end; it has not ended within 3 s");
    assert!(matches!(run(false, None), Err(Failure::NoEffect(_))), "false is never success");
    // Unless it was waited for and went a moment later: it was ended, and nobody is to be told that nothing was done.
    assert_eq!(after(false, true, still()).unwrap(), "told backend 4471 to end; it has not ended within 3 s");
    assert!(after(false, true, None).unwrap().starts_with("backend 4471 is gone, after more than 3 s"));
    let blind = script().answer(&TERMINATE, vec![vec![true.into(), false.into()]]).fail(&BACKEND, QueryError::Timeout);
    let pins = [("pid", 4471_i64.into()), ("backend_start", START.into())];
    let outcome = blind.run_pinned(&PACK, "terminate_backend", &[("pid", 4471_i64.into())], &pins).unwrap();
    assert_eq!((outcome.summary(), outcome.notices().len()), ("told backend 4471 to end", 1));
}

#[test]
fn what_was_approved_is_what_the_statement_is_given() {
    let script = script().answer(&TERMINATE, vec![]).answer(&BACKEND, vec![backend("active", ORDINARY)]);
    let pins = [("pid", 4471_i64.into()), ("backend_start", START.into())];
    let changed = script.run_pinned(&PACK, "terminate_backend", &[("pid", 4471_i64.into())], &pins).err();
    assert_eq!(changed, Some(Failure::Query(QueryError::TargetChanged)));
    assert_eq!(script.asked(), [("terminate_backend", vec![4471_i64.into(), START.into()])]);
}

#[test]
fn cancel_does_not_pretend_to_help_an_idle_transaction() {
    let Err(Failure::NotApplicable(why)) = preview("cancel_query", Some(backend("idle in transaction", ORDINARY)))
    else {
        panic!("it must be refused")
    };
    assert!(why.contains("do nothing") && why.contains("terminate_backend"), "{why}");
    assert!(matches!(preview("cancel_query", Some(backend("idle", ORDINARY))), Err(Failure::NothingToDo(_))));
    assert!(preview("cancel_query", Some(backend("active", ORDINARY))).is_ok());
}

#[test]
fn cancel_matches_the_query_and_tells_if_it_runs_on() {
    let script = script().answer(&CANCEL, vec![vec![true.into()]]).answer(&BACKEND, vec![backend("active", ORDINARY)]);
    let outcome = script.run(&PACK, "cancel_query", &[("pid", 4471_i64.into())]).unwrap();
    assert_eq!(outcome.summary(), "sent a cancel to backend 4471");
    assert_eq!(outcome.notices().len(), 1, "it had not ended yet");
    let asked = script.asked();
    let (_, inputs) = asked.iter().find(|(id, _)| *id == "cancel_query").unwrap();
    assert_eq!(inputs[2], "2026-11-21T02:14:07.000000Z".into());
}

#[test]
fn kill_idle_ends_only_what_was_listed_and_counts() {
    let idle = |pid: i64| {
        let text: Value = "x".into();
        let (n, start) = (700_i64.into(), format!("start of {pid}").into());
        vec![pid.into(), text.clone(), text.clone(), NULL, text.clone(), Value::clone(&n), n, start, text]
    };
    let world = |left: Vec<i64>| {
        script()
            .answer(&kill_idle::IDLE, (1..=5).map(idle).collect())
            .answer(&kill_idle::OUT_OF_REACH, vec![vec![1_i64.into()]])
            .answer(
                &kill_idle::KILL,
                vec![
                    vec![1_i64.into(), true.into()],
                    vec![2_i64.into(), true.into()],
                    vec![3_i64.into(), false.into()],
                ],
            )
            .answer(&kill_idle::LEFT, left.into_iter().map(|pid| vec![pid.into()]).collect())
    };
    // Those that were spared are still there, and were told nothing.
    let script = world(vec![4, 5]);
    let evidence = script.preview(&PACK, "kill_idle", &[]).unwrap();
    assert_eq!(
        evidence.summary(),
        "ends 5 backends that have been idle in a transaction for longer than 10 min; 1 more is left alone, which \
         the role may not signal"
    );
    let outcome = script.run(&PACK, "kill_idle", &[]).unwrap();
    assert_eq!(outcome.summary(), "ended 2 of 5 backends");
    assert_eq!(outcome.notices().len(), 2, "two spared, one gone: {:?}", outcome.notices());
    let asked = script.asked();
    let (_, inputs) = asked.iter().find(|(id, _)| *id == "kill_idle").unwrap();
    assert_eq!(inputs[0], Value::Integers(vec![1, 2, 3, 4, 5]));
    assert_eq!(inputs[2], 600_i64.into());
    // One that was told and has not gone yet has not ended.
    let outcome = world(vec![2, 4, 5]).run(&PACK, "kill_idle", &[]).unwrap();
    assert_eq!(outcome.summary(), "told 2 of 5 backends to end");
    assert!(outcome.notices()[0].contains("still there right afterwards: 2;"), "{:?}", outcome.notices());
}

#[test]
fn kill_idle_with_nothing_to_do_asks_nobody() {
    let idle = |beyond: i64| {
        let script =
            script().answer(&kill_idle::IDLE, vec![]).answer(&kill_idle::OUT_OF_REACH, vec![vec![beyond.into()]]);
        script.preview(&PACK, "kill_idle", &[])
    };
    assert!(matches!(idle(0), Err(Failure::NothingToDo(_))));
    // Nothing that it may end is not the same as nothing to end.
    let refused = idle(2).unwrap_err();
    assert!(
        matches!(&refused, Failure::Query(QueryError::MissingPrivilege(text)) if text.contains("2 backends")),
        "{refused:?}"
    );
}

#[test]
fn chains_name_their_head() {
    let row = |blocked: i64, head: Option<i64>, state: &str| {
        let n: Value = 1084_i64.into();
        let text: Value = "x".into();
        vec![
            blocked.into(),
            text.clone(),
            text.clone(),
            n.clone(),
            text.clone(),
            text.clone(),
            NULL,
            head.into(),
            n.clone(),
            head.into(),
            text.clone(),
            text.clone(),
            state.into(),
            n.clone(),
            n,
            text.clone(),
            text.clone(),
            text,
        ]
    };
    let summary = |rows| {
        let outcome = script().answer(&CHAINS_READ, rows).run(&PACK, "lock_blocking_chains", &[]).unwrap();
        (outcome.summary().to_owned(), outcome.notices().join("; "))
    };
    let thirty = (8801..8831).map(|pid| row(pid, Some(4471), "idle in transaction")).collect();
    let (words, notice) = summary(thirty);
    assert_eq!(words, "30 backends wait, all behind backend 4471");
    assert!(
        notice.contains("4471 has been idle in transaction for 18 min") && notice.contains("terminate_backend"),
        "{notice}"
    );
    assert_eq!(summary(vec![]).0, "no backend waits for a lock");
    assert_eq!(summary(vec![row(1, Some(0), "prepared transaction")]).0, "1 backend waits for a prepared transaction");
    let two = vec![row(1, Some(9), "active"), row(2, Some(8), "active"), row(3, Some(8), "active")];
    assert_eq!(summary(two).0, "2 chains; the longest is behind backend 8: 2 backends wait");
    assert!(summary(vec![row(1, None, "active"), row(2, None, "active")]).0.contains("circle"));
}

fn table(oid: i64, kind: &str) -> Vec<Value> {
    let n: Value = 8192_i64.into();
    let counts = [n.clone(), n.clone(), n.clone(), n.clone(), n];
    let mut row = vec![oid.into(), kind.into()];
    row.extend(counts);
    row.extend([NULL, NULL, NULL, NULL, 1_i64.into(), false.into()]);
    row
}

const ORDERS: &[(&str, &str)] = &[("schema", "public"), ("table", "orders")];

fn names<'a>(names: &[(&'a str, &str)]) -> Vec<(&'a str, Value)> {
    names.iter().map(|(name, value)| (*name, (*value).into())).collect()
}

#[test]
fn only_a_table_is_maintained_and_only_the_one_that_was_seen() {
    let look = |row: Option<Vec<Value>>| {
        script().answer(&TABLE_READ, row.into_iter().collect()).preview(&PACK, "vacuum_table", &names(ORDERS))
    };
    let evidence = look(Some(table(7, "r"))).unwrap();
    let summary = "vacuums `public.orders`: about 8.0 kB without its indexes, 8192 dead rows; it would wait for 1 lock on the table";
    assert_eq!(evidence.summary(), summary);
    assert!(matches!(look(None), Err(Failure::NotFound(_))));
    for kind in ["v", "i", "S", "f", "t", "c"] {
        assert!(matches!(look(Some(table(7, kind))), Err(Failure::NotApplicable(_))), "{kind}");
    }
    let made_anew = script().answer(&TABLE_READ, vec![table(8, "r")]);
    let refused = made_anew.run_pinned(&PACK, "vacuum_table", &names(ORDERS), &[("oid", 7_i64.into())]).err();
    assert!(matches!(refused, Some(Failure::TargetChanged(_))));
}

#[test]
fn vacuum_analyzes_unless_told_not_to() {
    for (analyze, id) in [(true, "vacuum_analyze_table"), (false, "vacuum_table")] {
        let script =
            script().answer(&TABLE_READ, vec![table(7, "r")]).answer(&VACUUM, vec![]).answer(&VACUUM_ANALYZE, vec![]);
        let mut arguments = names(ORDERS);
        arguments.push(("analyze", analyze.into()));
        script.run(&PACK, "vacuum_table", &arguments).unwrap();
        assert!(script.asked().iter().any(|(asked, _)| *asked == id), "{id}");
    }
    let skipped = script()
        .answer(&TABLE_READ, vec![table(7, "r")])
        .fail(&VACUUM_ANALYZE, QueryError::Skipped("only table or database owner can vacuum it".into()));
    let refused = skipped.run(&PACK, "vacuum_table", &names(ORDERS)).err();
    assert!(matches!(refused, Some(Failure::Query(QueryError::Skipped(_)))), "a warned skip is a failure");
}

fn index(kind: &str, exclusion: bool, ordinary: bool) -> Vec<Value> {
    vec![
        9_i64.into(),
        kind.into(),
        7_i64.into(),
        "orders".into(),
        "btree".into(),
        8192_i64.into(),
        true.into(),
        true.into(),
        false.into(),
        exclusion.into(),
        ordinary.into(),
    ]
}

const REGION: &[(&str, &str)] = &[("schema", "public"), ("index", "orders_region_idx")];

fn left(oid: i64) -> Vec<Value> {
    vec![oid.into(), "public".into(), "orders_region_idx_ccnew".into(), false.into(), true.into()]
}

#[test]
fn reindex_refuses_what_it_can_not_do_or_would_wait_for() {
    let look = |row, blockers: Vec<Vec<Value>>| {
        script().answer(&INDEX_READ, vec![row]).answer(&BLOCKERS, blockers).preview(
            &PACK,
            "reindex_concurrent",
            &names(REGION),
        )
    };
    assert!(look(index("i", false, true), vec![]).is_ok());
    for row in [index("r", false, true), index("I", false, true), index("i", true, true), index("i", false, false)] {
        assert!(matches!(look(row, vec![]), Err(Failure::NotApplicable(_))));
    }
    let blocker = vec![4471_i64.into(), NULL, NULL, "idle in transaction".into(), 1084_i64.into(), NULL, NULL];
    let Err(Failure::NotApplicable(why)) = look(index("i", false, true), vec![blocker]) else {
        panic!("it must be refused")
    };
    assert!(why.contains("pid 4471"), "{why}");
}

#[test]
fn reindex_reports_what_it_leaves() {
    let ready = || script().answer(&INDEX_READ, vec![index("i", false, true)]).answer(&BLOCKERS, vec![]);
    let clean = ready().answer(&INVALID, vec![]).answer(&REINDEX, vec![]);
    let outcome = clean.run(&PACK, "reindex_concurrent", &names(REGION)).unwrap();
    assert_eq!(outcome.notices(), ["the table has no invalid index"]);

    let found = ready().answer(&INVALID, vec![left(11)]).answer(&REINDEX, vec![]);
    let outcome = found.run(&PACK, "reindex_concurrent", &names(REGION)).unwrap();
    assert_eq!(outcome.findings().len(), 1);

    let error =
        || QueryError::Database(DatabaseError { sqlstate: "40P01".into(), message: "deadlock detected".into() });
    let broken =
        ready().answer(&INVALID, vec![left(11)]).answer(&INVALID, vec![left(11), left(12)]).fail(&REINDEX, error());
    let Err(Failure::NoEffect(why)) = broken.run(&PACK, "reindex_concurrent", &names(REGION)) else {
        panic!("it must fail and say what it left")
    };
    assert!(why.contains("40P01") && why.contains("1 invalid index"), "{why}");

    let same = ready().answer(&INVALID, vec![left(11)]).fail(&REINDEX, error());
    assert_eq!(same.run(&PACK, "reindex_concurrent", &names(REGION)).err(), Some(Failure::Query(error())));
}

#[test]
fn every_read_refuses_to_answer_blindly() {
    let blind = || Script::new().answer(&SEES_OTHERS, vec![vec![false.into()]]);
    let reads = [
        "connections",
        "activity_states",
        "activity_detail",
        "longest_running_queries",
        "idle_in_transaction",
        "wait_events",
        "ssl_connections",
        "backend_holding_xmin",
        "replication_slots",
        "wal_status",
        "pg_stat_statements_top",
        "lock_blocking_chains",
        "locks",
        "replication_lag",
        "slow_queries",
        "kill_idle",
        "invalid_indexes",
        "progress_vacuum",
        "progress_create_index",
        "autovacuum_workers",
    ];
    for action in reads {
        let refused = blind().run(&PACK, action, &[]).err();
        assert!(matches!(refused, Some(Failure::Query(QueryError::MissingPrivilege(_)))), "{action}: {refused:?}");
    }
}
