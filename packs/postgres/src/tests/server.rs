//! In which words the reads of the server's own state answer, and when they refuse.

use lockgate_pack::{Failure, QueryError, Value, testing::Script};
use lockgate_pack_shared::{slots::SLOTS_READ, xmin_holders::XMIN_HOLDERS};

use super::{NULL, START, script};
use crate::{
    PACK,
    checkpoints::BGWRITER_READ,
    databases::{EXTENSIONS_READ, SIZES_READ, STATS_READ},
    hba::{MAY_READ, RULES_READ},
    replication::RECOVERY_READ,
    settings::{SEES_SETTINGS, SETTINGS_READ},
    tls::SSL_READ,
    transactions::{PREPARED_READ, SETUP},
    wal::{ARCHIVE_READ, WAL_READ},
};

/// The summary and the notices.
fn words(script: &Script, action: &str) -> (String, String) {
    let outcome = script.run(&PACK, action, &[]).unwrap();
    (outcome.summary().to_owned(), outcome.notices().join("; "))
}

/// A row of nulls but for these cells.
fn row<const N: usize>(width: usize, cells: [(usize, Value); N]) -> Vec<Value> {
    let mut row = vec![NULL; width];
    for (index, value) in cells {
        row[index] = value;
    }
    row
}

fn on(standby: bool) -> Script {
    script().answer(&RECOVERY_READ, vec![vec![standby.into()]])
}

#[test]
fn hba_rules_need_both_grants() {
    for (select, execute) in [(false, false), (true, false), (false, true)] {
        let script = Script::new().answer(&MAY_READ, vec![vec![select.into(), execute.into()]]);
        let refused = script.run(&PACK, "pg_hba_rules", &[]).err();
        let Some(Failure::Query(QueryError::MissingPrivilege(why))) = refused else { panic!("{refused:?}") };
        for grant in ["SELECT ON pg_catalog.pg_hba_file_rules", "EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules()"] {
            assert!(why.contains(&format!("GRANT {grant}")), "{why}");
        }
        assert_eq!(script.asked().len(), 1, "the rules are not asked for");
    }
}

#[test]
fn hba_errors_are_counted_apart() {
    let rules = |rows| Script::new().answer(&MAY_READ, vec![vec![true.into(), true.into()]]).answer(&RULES_READ, rows);
    let (rule, error) = (row(11, [(2, 4_i64.into())]), row(11, [(10, "end-of-line before database".into())]));
    assert_eq!(words(&rules(vec![rule.clone()]), "pg_hba_rules").0, "1 rule, no errors");
    let (summary, notice) = words(&rules(vec![error, rule.clone(), rule]), "pg_hba_rules");
    assert_eq!(summary, "2 rules, and 1 line with an error");
    assert!(notice.contains("keeps the old rules"), "{notice}");
}

#[test]
fn settings_are_not_half_shown() {
    let blind = Script::new().answer(&SEES_SETTINGS, vec![vec![false.into()]]);
    let refused = blind.run(&PACK, "settings_non_default", &[]).err();
    assert!(matches!(refused, Some(Failure::Query(QueryError::MissingPrivilege(_)))), "{refused:?}");
    let settings = |rows| Script::new().answer(&SEES_SETTINGS, vec![vec![true.into()]]).answer(&SETTINGS_READ, rows);
    let setting = |pending: bool| row(10, [(9, pending.into())]);
    let summary = |rows| words(&settings(rows), "settings_non_default").0;
    assert_eq!(summary(vec![setting(false)]), "1 setting differs from its default; none waits for a restart");
    let two = summary(vec![setting(true), setting(true)]);
    assert_eq!(two, "2 settings differ from their defaults; 2 wait for a restart");
}

#[test]
fn a_plain_connection_over_a_network_is_counted() {
    let summary = |kinds: &[&str]| {
        let rows = kinds.iter().map(|kind| row(12, [(6, (*kind).into())])).collect();
        words(&script().answer(&SSL_READ, rows), "ssl_connections").0
    };
    let safe = ["none: local socket", "TLS", "GSSAPI"];
    assert_eq!(summary(&safe), "3 connections, 1 over TLS; none crosses a network unprotected");
    assert_eq!(summary(&["none", "none", "TLS"]), "3 connections, 1 over TLS; 2 over a network without protection");
}

fn holder(kind: &str, pid: Option<i64>, age: i64) -> Vec<Value> {
    row(12, [(0, kind.into()), (2, pid.map_or(NULL, Value::from)), (9, age.into())])
}

#[test]
fn the_oldest_holder_is_named() {
    let look = |standby: bool, feedback: bool, rows| {
        let setup = vec![standby.into(), feedback.into(), 0_i64.into()];
        words(&script().answer(&SETUP, vec![setup]).answer(&XMIN_HOLDERS, rows), "backend_holding_xmin")
    };
    assert_eq!(look(false, false, vec![]), ("nothing holds back vacuum".into(), String::new()));
    let alone = look(false, false, vec![holder("backend", Some(4471), 1)]).0;
    assert_eq!(alone, "backend 4471 alone holds back vacuum, 1 transaction ago");
    let rows = vec![holder("replication slot", Some(12), 900), holder("backend", Some(4471), 2)];
    assert_eq!(
        look(false, false, rows).0,
        "a replication slot holds back vacuum the furthest, 900 transactions ago; 2 holders in all"
    );
    assert!(look(true, true, vec![]).1.contains("reported upstream"));
    assert!(look(true, false, vec![]).1.contains("holds back nothing on the primary"));
}

#[test]
fn a_standby_does_not_pretend_that_nothing_is_prepared() {
    let look = |standby: bool, max: i64, rows| {
        let setup = vec![standby.into(), false.into(), max.into()];
        words(&Script::new().answer(&SETUP, vec![setup]).answer(&PREPARED_READ, rows), "prepared_transactions")
    };
    let (summary, notice) = look(true, 5, vec![]);
    assert_eq!(summary, "a standby shows no prepared transactions");
    assert!(notice.contains("seen there only"), "{notice}");
    assert_eq!(look(false, 0, vec![]).0, "there is no prepared transaction, and none can be made");
    assert_eq!(look(false, 5, vec![]).0, "0 transactions are prepared");
    let one = row(7, [(0, "g".into()), (4, 7300_i64.into())]);
    assert_eq!(look(false, 5, vec![one]).0, "1 transaction is prepared, the oldest for 2 h 1 min");
}

#[test]
fn slots_that_are_lost_or_nearly_so_are_said() {
    let slot = |status: &str, active: bool, kept: Option<i64>| {
        row(23, [(5, active.into()), (8, status.into()), (9, kept.map_or(NULL, Value::from))])
    };
    let look = |rows| words(&script().answer(&SLOTS_READ, rows), "replication_slots");
    assert_eq!(look(vec![]), ("there is no replication slot".into(), String::new()));
    let kept = vec![slot("extended", false, Some(1_400_000_000)), slot("reserved", true, Some(0))];
    let summary = "2 replication slots, 1 without a consumer; the one that keeps the most WAL keeps 1.3 GB";
    assert_eq!(look(kept), (summary.into(), String::new()));
    let (summary, notice) = look(vec![slot("lost", false, None)]);
    assert_eq!(summary, "1 replication slot; none keeps WAL");
    assert!(notice.contains("1 slot is lost"), "{notice}");
    assert!(look(vec![slot("unreserved", true, Some(1))]).1.contains("1 slot is about to be lost"));
}

#[test]
fn sizes_that_may_not_be_seen_are_no_zeros() {
    let look = |bytes: [Value; 2]| {
        let rows = bytes.into_iter().map(|bytes| row(4, [(1, bytes)])).collect();
        words(&Script::new().answer(&SIZES_READ, rows), "db_sizes")
    };
    assert_eq!(look([1024_i64.into(), 1024_i64.into()]), ("2 databases, 2.0 kB in all".into(), String::new()));
    let (_, notice) = look([1024_i64.into(), NULL]);
    assert!(notice.contains("the size of 1 database is not known") && notice.contains("pg_monitor"), "{notice}");
}

#[test]
fn counters_are_summed_and_a_standby_says_whose_they_are() {
    let database = |name: &str, damaged: i64| {
        row(18, [(0, name.into()), (3, 2_i64.into()), (8, 1_i64.into()), (12, damaged.into())])
    };
    let shared = row(18, [(3, 0_i64.into())]);
    let look = |standby, damaged| {
        let rows = vec![database("shop", damaged), database("app", 0), shared.clone()];
        words(&on(standby).answer(&STATS_READ, rows), "database_stats")
    };
    assert_eq!(look(false, 0), ("2 databases: 4 rollbacks, 2 deadlocks".into(), String::new()));
    assert!(look(false, 3).1.contains("3 checksum failures"));
    assert!(look(true, 0).1.contains("the primary's are counted there"));
}

#[test]
fn an_extension_that_was_left_behind_is_counted() {
    let extension = |available: Value, update: bool| row(5, [(1, "1.7".into()), (2, available), (3, update.into())]);
    let look = |rows| words(&Script::new().answer(&EXTENSIONS_READ, rows), "extensions_installed");
    let current = look(vec![extension("1.7".into(), false)]);
    assert_eq!(current, ("1 extension, each in the version that the server has".into(), String::new()));
    let (summary, notice) = look(vec![extension("1.8".into(), true), extension(NULL, false)]);
    assert_eq!(summary, "2 extensions; 1 is not in the version that the server has");
    assert_eq!(notice, "the server no longer has the files of 1 extension");
}

#[test]
fn a_standby_makes_restartpoints_wherever_they_are_counted() {
    let counters = |apart: bool| {
        let restartpoints = if apart { 7_i64.into() } else { NULL };
        let counted = [(0, 5_i64.into()), (1, 2_i64.into()), (3, restartpoints), (15, 60_i64.into())];
        vec![row(17, counted)]
    };
    let look = |standby, apart| words(&on(standby).answer(&BGWRITER_READ, counters(apart)), "bgwriter_stats");
    let primary = "5 checkpoints by time and 2 on request; the last checkpoint began 60 s ago";
    assert_eq!(look(false, true), (primary.into(), String::new()));
    assert_eq!(look(false, false), (primary.into(), String::new()));
    let (summary, notice) = look(true, false);
    assert!(summary.starts_with("5 restartpoints by time and 2 on request"), "{summary}");
    assert!(notice.contains("are restartpoints"), "{notice}");
    assert!(look(true, true).0.starts_with("7 restartpoints by time and 0 on request"));
}

#[test]
fn a_standby_that_does_not_stream_or_is_paused_says_so() {
    let look = |status: Value, gap: Value, pause: &str| {
        let cells = [(0, true.into()), (7, gap), (10, pause.into()), (11, status)];
        words(&script().answer(&WAL_READ, vec![row(18, cells)]), "wal_status").0
    };
    let caught_up = look("streaming".into(), 0_i64.into(), "not paused");
    assert_eq!(caught_up, "a standby: it streams, and has replayed all that it received");
    let behind = look(NULL, 8192_i64.into(), "paused");
    assert_eq!(behind, "a standby: it does not stream, and has 8.0 kB left to replay; replay is paused");
    let primary = script().answer(&WAL_READ, vec![row(18, [(0, false.into())])]);
    assert_eq!(words(&primary, "wal_status").0, "a primary: it writes WAL");
}

#[test]
fn an_archive_that_fails_is_no_archive() {
    let look = |standby, mode: &str, method: &str, failing: bool, last: Value| {
        let cells = [
            (0, mode.into()),
            (1, method.into()),
            (2, 3_i64.into()),
            (5, last),
            (6, 4_i64.into()),
            (8, START.into()),
            (10, failing.into()),
        ];
        words(&on(standby).answer(&ARCHIVE_READ, vec![row(13, cells)]), "wal_archive_status")
    };
    assert_eq!(look(false, "off", "off", false, NULL).0, "archiving is off");
    let failing = look(false, "on", "command", true, 9_i64.into()).0;
    assert_eq!(failing, "archiving fails: 4 failed attempts, 3 files archived");
    assert_eq!(look(false, "on", "command", false, 9_i64.into()).0, "3 files archived, the last 9 s ago");
    assert!(look(false, "on", "none", false, NULL).1.contains("neither a command nor a library"));
    assert!(look(true, "on", "command", false, NULL).1.contains("ask the primary"));
    assert!(look(true, "always", "command", false, NULL).1.contains("how much WAL waits"));
}
