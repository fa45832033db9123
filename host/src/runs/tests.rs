//! The index is what the record says, however it came about: line by line, from nothing, by several at once, after the
//! record was put back to an older state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::needless_pass_by_value)]

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use proptest::prelude::{Just, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};
use rusqlite::{Connection, types::Value};
use serde_json::{Value as Json, json};

use super::{
    RunFilter, RunState, RunSummary, Runs, RunsError, Viewer,
    changes::{ChangeFilter, Kind, Kinds},
};

/// A record of our own making and the index of it. The index checks no chain: that is what verifying is for.
struct Site {
    dir: tempfile::TempDir,
    seq: u64,
    segment: u64,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(dir.path().join("record")).unwrap();
        let site = Self { dir, seq: 0, segment: 1 };
        fs::write(site.file(), "").unwrap();
        site
    }

    fn record(&self) -> PathBuf {
        self.dir.path().join("record")
    }

    fn file(&self) -> PathBuf {
        self.record().join(format!("record-{:08}.jsonl", self.segment))
    }

    fn index(&self, name: &str) -> Runs {
        Runs::new(&self.record(), &self.dir.path().join(name))
    }

    fn write(&self, text: &str) {
        fs::OpenOptions::new().append(true).open(self.file()).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The next line, as it would be written.
    fn line(&mut self, event: &str, fields: &Json) -> String {
        self.seq += 1;
        let seq = self.seq;
        let time = format!("2026-03-01T{:02}:{:02}:{:02}.000000Z", seq / 3600 % 24, seq / 60 % 60, seq % 60);
        let fields = fields.to_string();
        let rest = fields.strip_prefix('{').unwrap();
        let comma = if rest == "}" { "" } else { "," };
        format!(
            "{{\"v\":1,\"seq\":{seq},\"ts\":\"{time}\",\"prev\":\"{:064x}\",\"ev\":\"{event}\"{comma}{rest}\n",
            seq - 1
        )
    }

    fn add(&mut self, event: &str, fields: &Json) {
        let line = self.line(event, fields);
        self.write(&line);
    }

    fn rotate(&mut self) {
        self.segment += 1;
        fs::write(self.file(), "").unwrap();
    }

    fn intent(&mut self, run: &str, agent: &str, person: Option<&str>) {
        let fields = json!({
            "run": run, "agent": agent, "person": person, "door": "http", "action": "postgres.kill_idle",
            "target": "orders", "risk": "high", "verdict": "approve", "reason": "sessions pile up",
            "evidence": "40 idle", "expected": "fewer", "operation": "op-1",
        });
        self.add("call.intent", &fields);
    }

    fn hold(&mut self, run: &str) {
        self.add("approval.requested", &json!({ "run": run, "approval": format!("apr-{run}"), "evidence": "preview" }));
    }

    fn outcome(&mut self, run: &str, fields: Json) {
        let mut all = json!({ "run": run, "executed": [], "ms": 12 });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.add("call.outcome", &all);
    }
}

fn claude() -> Viewer {
    Viewer { agent: "claude".into(), person: Some("ada".into()), ..Viewer::default() }
}

fn all(runs: &Runs, viewer: &Viewer) -> Vec<RunSummary> {
    runs.recent(viewer, &RunFilter::default()).unwrap().runs
}

fn one(runs: &Runs, run: &str) -> RunSummary {
    runs.run(&claude(), run).unwrap().expect("it is this viewer's").run
}

/// Every row of every table, but for how far it has come, which says the same in other words after a rebuild.
fn rows(path: &Path) -> Vec<Vec<Value>> {
    let connection = Connection::open(path).unwrap();
    let mut rows = Vec::new();
    for table in [
        "runs ORDER BY run",
        "approvals ORDER BY approval",
        "lines ORDER BY seq",
        "position",
        "changes ORDER BY seq",
        "admitted ORDER BY pack",
    ] {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let found = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
        rows.extend(found.map(Result::unwrap));
    }
    rows
}

#[test]
fn what_became_of_a_named_call_whose_process_died_is_told() {
    let mut site = Site::new();
    let runs = site.index("index.db");
    for run in ["begun", "ended", "early"] {
        site.intent(run, "claude", Some("ada"));
    }
    let code = "outcome_unknown";
    site.add("operation.closed", &json!({ "run": "begun", "operation": "op-1", "state": "unknown", "code": code }));
    assert_eq!((one(&runs, "begun").state, one(&runs, "begun").code.as_deref()), (RunState::Unknown, Some(code)));
    // An end that the gate saw stands.
    site.outcome("ended", json!({ "status": "succeeded", "summary": "done" }));
    site.add("operation.closed", &json!({ "run": "ended", "operation": "op-1", "state": "unknown", "code": code }));
    site.add("operation.replayed", &json!({ "run": "ended", "operation": "op-1", "state": "ended" }));
    assert_eq!(one(&runs, "ended").state, RunState::Done);
    site.add(
        "call.intent",
        &json!({ "run": "heir", "agent": "claude", "person": "ada", "action": "postgres.kill_idle", "instead_of": "early" }),
    );
    assert_eq!((one(&runs, "early").state, one(&runs, "heir").state), (RunState::Failed, RunState::Running));
}

#[test]
fn a_run_is_where_its_latest_line_says() {
    let mut site = Site::new();
    let runs = site.index("index.db");
    site.intent("r1", "claude", Some("ada"));
    let begun = one(&runs, "r1");
    assert_eq!((begun.state, begun.first_seq, begun.last_seq), (RunState::Running, 1, 1));
    assert_eq!((begun.evidence.as_deref(), begun.expected.as_deref()), (Some("40 idle"), Some("fewer")));
    assert_eq!((begun.operation.as_deref(), begun.target.as_deref()), (Some("op-1"), Some("orders")));
    site.hold("r1");
    assert_eq!((one(&runs, "r1").state, one(&runs, "r1").approval.as_deref()), (RunState::Held, Some("apr-r1")));
    site.add("approval.vote", &json!({ "approval": "apr-r1", "person": "grace", "decision": "approve" }));
    site.add("approval.decided", &json!({ "run": "r1", "approval": "apr-r1", "person": "grace", "state": "pending" }));
    assert_eq!(one(&runs, "r1").state, RunState::Held, "one yes of two");
    site.add(
        "approval.decided",
        &json!({ "run": "r1", "approval": "apr-r1", "person": "hopper", "state": "approved" }),
    );
    assert_eq!(one(&runs, "r1").state, RunState::Approved);
    site.add("approval.consumed", &json!({ "run": "r1", "approval": "apr-r1" }));
    assert_eq!((one(&runs, "r1").state, one(&runs, "r1").ended), (RunState::Running, None));
    site.outcome("r1", json!({ "status": "succeeded", "summary": "two sessions ended" }));
    let done = one(&runs, "r1");
    assert_eq!((done.state, done.ms, done.summary.as_deref()), (RunState::Done, Some(12), Some("two sessions ended")));
    assert!(done.ended.is_some() && done.code.is_none());
    // The process died before the store had the end; the record has both.
    site.add(
        "approval.closed",
        &json!({ "run": "r1", "approval": "apr-r1", "state": "unknown", "code": "outcome_unknown" }),
    );
    assert_eq!(one(&runs, "r1").state, RunState::Done, "what was seen to end has ended so");
    let lines = runs.run(&claude(), "r1").unwrap().unwrap().lines;
    let events: Vec<_> = lines.iter().map(|line| line["ev"].as_str().unwrap()).collect();
    let wanted = ["call.intent", "approval.requested", "approval.vote", "approval.decided", "approval.decided"];
    assert_eq!(events[..5], wanted);
    assert_eq!(events[5..], ["approval.consumed", "call.outcome", "approval.closed"]);
}

#[test]
fn every_end_has_its_state() {
    let mut site = Site::new();
    let runs = site.index("index.db");
    let fields = json!({
        "run": "refused", "agent": "claude", "person": "ada", "door": "stdio", "action": "postgres.nothing",
        "target": null, "reason": "to see", "code": "unknown_action", "message": "no action `postgres.nothing`",
    });
    site.add("call.refused", &fields);
    for (run, end) in [
        ("failed", json!({ "status": "failed", "code": "timeout", "message": "too slow" })),
        ("unknown", json!({ "status": "unknown", "code": "outcome_unknown", "message": "nobody saw" })),
    ] {
        site.intent(run, "claude", Some("ada"));
        site.outcome(run, end);
    }
    for state in ["expired", "withdrawn", "superseded"] {
        site.intent(state, "claude", Some("ada"));
        site.hold(state);
        site.add("approval.closed", &json!({ "run": state, "state": state, "code": "code", "why": "because" }));
    }
    site.intent("denied", "claude", Some("ada"));
    site.hold("denied");
    site.add("approval.decided", &json!({ "run": "denied", "person": "grace", "state": "denied" }));
    site.intent("joined", "claude", Some("ada"));
    site.add("approval.joined", &json!({ "run": "joined", "approval": "apr-denied", "first_run": "denied" }));
    for (run, state, code) in [
        ("refused", RunState::Refused, Some("unknown_action")),
        ("failed", RunState::Failed, Some("timeout")),
        ("unknown", RunState::Unknown, Some("outcome_unknown")),
        ("expired", RunState::Expired, Some("code")),
        ("withdrawn", RunState::Withdrawn, Some("code")),
        ("superseded", RunState::Superseded, Some("code")),
        ("denied", RunState::Denied, Some("approval_denied")),
        ("joined", RunState::Joined, None),
    ] {
        let found = one(&runs, run);
        assert_eq!((found.state, found.code.as_deref()), (state, code), "{run}");
        assert_eq!(found.ended.is_some(), state != RunState::Joined, "{run}");
        let filter = RunFilter { state: Some(state), ..RunFilter::default() };
        let listed = runs.recent(&claude(), &filter).unwrap().runs;
        assert_eq!(listed.iter().map(|found| found.run.as_str()).collect::<Vec<_>>(), [run]);
    }
    assert_eq!(one(&runs, "joined").joined.as_deref(), Some("denied"));
    assert_eq!(one(&runs, "denied").summary.as_deref(), Some("denied by grace"));
}

#[test]
fn nobody_sees_another_principals_runs_nor_what_is_outside_its_scope() {
    let mut site = Site::new();
    let runs = site.index("index.db");
    for (run, agent, person) in [
        ("mine", "claude", Some("ada")),
        ("other-agent", "cursor", Some("ada")),
        ("other-person", "claude", Some("bob")),
        ("no-person", "claude", None),
    ] {
        site.intent(run, agent, person);
    }
    let viewers = [
        (claude(), "mine"),
        (Viewer { agent: "cursor".into(), ..claude() }, "other-agent"),
        (Viewer { person: Some("bob".into()), ..claude() }, "other-person"),
        (Viewer { person: None, ..claude() }, "no-person"),
    ];
    for (viewer, own) in &viewers {
        let listed: Vec<_> = all(&runs, viewer).into_iter().map(|run| run.run).collect();
        assert_eq!(listed, [*own]);
        for (_, run) in &viewers {
            assert_eq!(runs.run(viewer, run).unwrap().is_some(), run == own, "{viewer:?} {run}");
        }
    }
    let scoped = |packs: Option<&str>, targets: Option<&str>| Viewer {
        packs: packs.map(|pattern| vec![pattern.to_owned()]),
        targets: targets.map(|pattern| vec![pattern.to_owned()]),
        ..claude()
    };
    for (viewer, sees) in [
        (scoped(Some("post*"), Some("ord*")), true),
        (scoped(Some("diagnose"), None), false),
        (scoped(None, Some("billing")), false),
    ] {
        assert_eq!(all(&runs, &viewer).len(), usize::from(sees), "{viewer:?}");
        assert_eq!(runs.run(&viewer, "mine").unwrap().is_some(), sees, "{viewer:?}");
    }
}

#[test]
fn who_answers_for_the_database_sees_every_run_and_who_made_them() {
    let mut site = Site::new();
    let runs = site.index("index.db");
    for (run, agent, person) in
        [("r1", "claude", Some("ada")), ("r2", "cursor", None), ("r3", "claude", Some("bob")), ("r4", "cursor", None)]
    {
        site.intent(run, agent, person);
    }
    let seen = |filter: RunFilter| -> Vec<String> {
        runs.recent_of_all(&filter).unwrap().runs.into_iter().map(|run| run.run).collect()
    };
    assert_eq!(seen(RunFilter::default()), ["r4", "r3", "r2", "r1"]);
    assert_eq!(seen(RunFilter { agent: Some("claude".into()), ..RunFilter::default() }), ["r3", "r1"]);
    let at = |text: &str| text.parse().ok();
    let (since, until) = (at("2026-03-01T00:00:02Z"), at("2026-03-01T00:00:04Z"));
    assert_eq!(seen(RunFilter { since, until, ..RunFilter::default() }), ["r3", "r2"]);
    let page = runs.recent_of_all(&RunFilter { limit: Some(3), ..RunFilter::default() }).unwrap();
    assert_eq!(seen(RunFilter { cursor: page.next, ..RunFilter::default() }), ["r1"]);
    for run in ["r1", "r2", "r3"] {
        assert_eq!(runs.run_of_all(run).unwrap().unwrap().lines.len(), 1, "{run}");
    }
    assert!(runs.run_of_all("r9").unwrap().is_none());
    // An agent without a name is nobody in particular, and not everybody.
    assert!(all(&runs, &Viewer::default()).is_empty() && runs.run(&Viewer::default(), "r2").unwrap().is_none());
    let principals: Vec<_> = runs.principals().unwrap().into_iter().map(|p| (p.agent, p.person, p.runs)).collect();
    let named = |agent: &str, person: Option<&str>, runs| (agent.to_owned(), person.map(str::to_owned), runs);
    assert_eq!(
        principals,
        [named("cursor", None, 2), named("claude", Some("bob"), 1), named("claude", Some("ada"), 1)]
    );
}

#[test]
fn what_changed_who_may_do_what_is_listed_and_a_start_that_changed_nothing_is_not() {
    let mut site = Site::new();
    let runs = site.index("index.db");
    let seqs = |filter: &ChangeFilter| -> Vec<u64> {
        runs.changes(filter).unwrap().lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect()
    };
    let admitted =
        json!({ "pack": "postgres", "digest": "d1", "publisher": "us", "signers": ["k"], "classes": ["read"] });
    let granted = json!({ "pack": "postgres", "digest": "d1", "publisher": "us", "signers": ["k"], "classes": [] });
    site.add("pack.admitted", &admitted); // 1
    site.add("policy.changed", &json!({ "to": "p1" })); // 2
    site.intent("r1", "claude", Some("ada")); // 3
    site.add("standing.used", &json!({ "run": "r1", "standing": "std_1" })); // 4
    site.add("pack.admitted", &admitted); // 5: another start, nothing new
    site.add("account.created", &json!({ "account": "grace", "by": "ada" })); // 6
    site.add("login", &json!({ "account": "grace" })); // 7
    site.add("login.failed", &json!({ "account": "grace" })); // 8
    site.add("pack.admitted", &granted); // 9: it may do less now
    site.add("host.reload", &json!({ "packs_out": [{ "pack": "postgres" }] })); // 10
    site.add("pack.admitted", &granted); // 11: in again
    site.add("pack.refused", &json!({ "file": "postgres.wasm" })); // 12
    site.add("pack.admitted", &granted); // 13: in again
    site.add("standing.revoked", &json!({ "standing": "std_1", "by": "grace" })); // 14
    site.add("token.something_new", &json!({ "token": "tok_1", "by": "ada" })); // 15
    let filter = ChangeFilter::default();
    assert_eq!(seqs(&filter), [15, 14, 13, 12, 11, 10, 9, 6, 2, 1]);
    assert_eq!(seqs(&ChangeFilter { kinds: Kinds::All, ..filter.clone() })[5..9], [10, 9, 8, 7]);
    assert_eq!(seqs(&ChangeFilter { kinds: Kinds::One(Kind::Logins), ..filter.clone() }), [8, 7]);
    let about = |who: &str| seqs(&ChangeFilter { kinds: Kinds::All, who: Some(who.into()), ..ChangeFilter::default() });
    assert_eq!(about("grace"), [14, 8, 7, 6]);
    assert_eq!(about("std_1"), [14], "that it was used is part of the run");
    assert_eq!(runs.run_of_all("r1").unwrap().unwrap().lines.len(), 2);
    let since = "2026-03-01T00:00:14Z".parse().ok();
    assert_eq!(seqs(&ChangeFilter { since, ..filter.clone() }), [15, 14]);
    assert_eq!(seqs(&ChangeFilter { until: since, ..filter.clone() })[0], 13);
    for number in 0..60 {
        site.add("account.changed", &json!({ "account": format!("a{number}"), "by": "ada" }));
    }
    let first = runs.changes(&filter).unwrap();
    assert_eq!((first.lines.len(), first.next.as_deref()), (50, Some("26")));
    let second = runs.changes(&ChangeFilter { cursor: first.next, ..filter.clone() }).unwrap();
    assert_eq!((second.lines.len(), second.next), (20, None));
    assert!(matches!(runs.changes(&ChangeFilter { cursor: Some("1 OR 1".into()), ..filter }), Err(RunsError::Cursor)));
}

#[test]
fn a_page_follows_the_other_and_filters_narrow() {
    let mut site = Site::new();
    let runs = site.index("index.db");
    for number in 0..7 {
        site.intent(&format!("r{number}"), "claude", Some("ada"));
        site.intent(&format!("x{number}"), "cursor", Some("ada"));
    }
    let mut seen = Vec::new();
    let mut cursor = None;
    for page in 1.. {
        let filter = RunFilter { limit: Some(3), cursor, ..RunFilter::default() };
        let found = runs.recent(&claude(), &filter).unwrap();
        seen.extend(found.runs.into_iter().map(|run| run.run));
        // What comes meanwhile does not shift the pages.
        site.intent(&format!("later{page}"), "claude", Some("ada"));
        cursor = found.next;
        if cursor.is_none() {
            assert_eq!(page, 3);
            break;
        }
    }
    assert_eq!(seen, ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]);
    let count = |filter: RunFilter| runs.recent(&claude(), &filter).unwrap().runs.len();
    assert_eq!(count(RunFilter { action: Some("postgres.*".into()), ..RunFilter::default() }), 10);
    assert_eq!(count(RunFilter { action: Some("diagnose.*".into()), ..RunFilter::default() }), 0);
    assert_eq!(count(RunFilter { target: Some("orders".into()), ..RunFilter::default() }), 10);
    assert_eq!(count(RunFilter { target: Some("order".into()), ..RunFilter::default() }), 0);
    let since = "2026-03-01T00:00:13Z".parse().ok();
    assert_eq!(count(RunFilter { since, ..RunFilter::default() }), 4, "r6, and the three that came later");
    assert_eq!(count(RunFilter { limit: Some(0), ..RunFilter::default() }), 1);
    for cursor in ["", "x", "-1", "1 OR 1", "99999999999999999999"] {
        let filter = RunFilter { cursor: Some(cursor.into()), ..RunFilter::default() };
        assert!(matches!(runs.recent(&claude(), &filter), Err(RunsError::Cursor)), "{cursor}");
    }
}

#[test]
fn what_is_no_line_is_passed_over_and_counted_and_half_a_line_is_waited_for() {
    let mut site = Site::new();
    let runs = site.index("index.db");
    site.write("not a line\n");
    site.intent("r1", "claude", Some("ada"));
    site.write(&format!("{}\n", "x".repeat(300 * 1024)));
    let line = site.line("call.outcome", &json!({ "run": "r1", "status": "succeeded", "summary": "done" }));
    let (begun, rest) = line.split_at(line.len() / 2);
    site.write(begun);
    assert_eq!(one(&runs, "r1").state, RunState::Running);
    site.write(rest);
    assert_eq!(one(&runs, "r1").state, RunState::Done);
    let passed_over: i64 = Connection::open(site.dir.path().join("index.db"))
        .unwrap()
        .query_row("SELECT passed_over FROM position", [], |row| row.get(0))
        .unwrap();
    assert_eq!(passed_over, 2);
}

#[test]
fn a_record_that_was_put_back_is_read_anew() {
    let mut site = Site::new();
    let runs = site.index("index.db");
    site.intent("r1", "claude", Some("ada"));
    let older = fs::read(site.file()).unwrap();
    site.intent("gone", "claude", Some("ada"));
    site.outcome("r1", json!({ "status": "succeeded", "summary": "also gone" }));
    assert_eq!(all(&runs, &claude()).len(), 2);
    // Cut off.
    fs::write(site.file(), &older).unwrap();
    site.seq = 1;
    assert_eq!(one(&runs, "r1").state, RunState::Running);
    assert_eq!(all(&runs, &claude()).len(), 1);
    // Written on differently, to the same length: only the last line's hash tells.
    site.intent("also", "claude", Some("ada"));
    assert_eq!(all(&runs, &claude()).len(), 2);
    fs::write(site.file(), &older).unwrap();
    site.seq = 1;
    site.intent("othr", "claude", Some("ada"));
    let names: Vec<_> = all(&runs, &claude()).into_iter().map(|run| run.run).collect();
    assert_eq!(names, ["othr", "r1"]);
    // Nothing is left of it.
    fs::write(site.file(), "").unwrap();
    assert!(all(&runs, &claude()).is_empty());
}

#[test]
fn a_line_that_was_changed_behind_the_index_is_not_shown_as_the_runs() {
    let mut site = Site::new();
    let runs = site.index("index.db");
    site.intent("r1", "claude", Some("ada"));
    site.intent("r2", "claude", Some("ada"));
    assert_eq!(one(&runs, "r1").run, "r1");
    let text = fs::read_to_string(site.file()).unwrap();
    fs::write(site.file(), text.replace("\"r1\"", "\"r9\"")).unwrap();
    assert_eq!(runs.run(&claude(), "r1").unwrap(), None, "the record was read anew");
    assert_eq!(one(&runs, "r9").run, "r9");
}

#[test]
fn an_archived_segment_takes_its_lines_with_it_and_no_others() {
    let mut site = Site::new();
    let runs = site.index("index.db");
    site.intent("r1", "claude", Some("ada"));
    let first = site.file();
    site.rotate();
    site.outcome("r1", json!({ "status": "succeeded", "summary": "done" }));
    assert_eq!(runs.run(&claude(), "r1").unwrap().unwrap().lines.len(), 2);
    fs::remove_file(first).unwrap();
    let record = runs.run(&claude(), "r1").unwrap().unwrap();
    assert_eq!((record.run.state, record.lines.len()), (RunState::Done, 1));
}

#[test]
fn a_file_that_is_deleted_damaged_or_of_another_version_is_made_anew() {
    let mut site = Site::new();
    let path = site.dir.path().join("index.db");
    let runs = site.index("index.db");
    site.intent("r1", "claude", Some("ada"));
    assert_eq!(all(&runs, &claude()).len(), 1);
    let before = rows(&path);

    fs::remove_file(&path).unwrap();
    assert_eq!(all(&runs, &claude()).len(), 1, "deleted while it was open");
    assert_eq!(rows(&path), before);

    drop(runs);
    fs::write(&path, "no database, but longer than the header of one: ".repeat(100)).unwrap();
    assert_eq!(all(&site.index("index.db"), &claude()).len(), 1, "damaged");
    assert_eq!(rows(&path), before);

    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA user_version = 99; DROP TABLE runs; CREATE TABLE theirs (x)").unwrap();
    drop(connection);
    assert_eq!(all(&site.index("index.db"), &claude()).len(), 1, "of another version");
    assert_eq!(rows(&path), before);
}

#[test]
fn several_at_once_make_one_index() {
    let mut site = Site::new();
    for number in 0..40 {
        for run in 0..100 {
            site.intent(&format!("r{number}-{run}"), "claude", Some("ada"));
        }
        site.rotate();
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let runs = site.index("index.db");
            scope.spawn(move || runs.catch_up().unwrap());
        }
    });
    site.index("anew.db").catch_up().unwrap();
    assert_eq!(rows(&site.dir.path().join("index.db")), rows(&site.dir.path().join("anew.db")));
    assert_eq!(site.index("index.db").catch_up().unwrap().lines, 0);
}

#[test]
fn twenty_thousand_lines_are_indexed_while_somebody_waits() {
    let mut site = Site::new();
    let mut text = String::new();
    for number in 0..10_000 {
        let run = format!("run_{number:032}");
        let reason = "the checkout is stuck on a lock of the orders table";
        let intent = json!({ "run": run, "agent": "claude", "person": "ada", "door": "http",
            "action": "postgres.lock_tree", "target": "orders", "reason": reason, "arguments": { "limit": 20 } });
        text.push_str(&site.line("call.intent", &intent));
        let outcome = json!({ "run": run, "executed": [{ "statement": "locks", "rows": 7, "ms": 3 }], "ms": 3,
            "status": "succeeded", "summary": "seven locks, one at the root", "tables": [] });
        text.push_str(&site.line("call.outcome", &outcome));
    }
    site.write(&text);
    let runs = site.index("index.db");
    let started = Instant::now();
    assert_eq!(runs.catch_up().unwrap().lines, 20_000);
    // A few seconds without optimisation on a busy machine; a tenth of that in a release.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    let started = Instant::now();
    assert_eq!(all(&runs, &claude()).len(), 50);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let filter = RunFilter { action: Some("nothing.*".into()), ..RunFilter::default() };
    assert!(runs.recent(&claude(), &filter).unwrap().runs.is_empty());
}

/// One thing that happens to a record.
#[derive(Clone, Debug)]
enum Step {
    Line(u8, u8),
    Nonsense,
    Rotate,
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u8..12, 0_u8..6).prop_map(|(event, run)| Step::Line(event, run)),
        1 => Just(Step::Nonsense),
        1 => Just(Step::Rotate),
        4 => Just(Step::Look),
    ]
}

fn happen(site: &mut Site, event: u8, run: u8) {
    let run = format!("r{run}");
    match event {
        0 | 1 => site.intent(&run, "claude", Some("ada")),
        2 => site.hold(&run),
        3 => site.add("approval.joined", &json!({ "run": run, "approval": "apr-r0", "first_run": "r0" })),
        4 => site.add("approval.vote", &json!({ "approval": format!("apr-{run}"), "person": "grace" })),
        5 => site.add("approval.decided", &json!({ "run": run, "person": "grace", "state": "approved" })),
        6 => site.add("approval.consumed", &json!({ "run": run })),
        7 => site.outcome(&run, json!({ "status": "succeeded", "summary": "done" })),
        8 => site.add("approval.closed", &json!({ "run": run, "state": "expired", "code": "approval_expired" })),
        9 => site.add("pack.admitted", &json!({ "pack": "postgres", "digest": run })),
        10 => site.add("host.reload", &json!({ "packs_out": [{ "pack": "postgres" }] })),
        _ => site.add("host.start", &json!({ "pid": 1 })),
    }
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]

    /// Whatever the order of lines and however often it was looked at meanwhile, by one or by two in turns: the index is
    /// the one that is made from the whole record at once.
    #[test]
    fn kept_or_made_anew_it_is_the_same(steps in proptest::collection::vec(step(), 1..60)) {
        let mut site = Site::new();
        let keepers = [site.index("index.db"), site.index("index.db")];
        let mut looks = 0;
        for step in steps {
            match step {
                Step::Line(event, run) => happen(&mut site, event, run),
                Step::Nonsense => site.write("nonsense\n"),
                Step::Rotate => site.rotate(),
                Step::Look => {
                    looks += 1;
                    prop_assert!(!keepers[looks % 2].catch_up().unwrap().anew);
                }
            }
        }
        keepers[0].catch_up().unwrap();
        site.index("anew.db").catch_up().unwrap();
        prop_assert_eq!(rows(&site.dir.path().join("index.db")), rows(&site.dir.path().join("anew.db")));
    }
}
