//! Shapes, not values: the secrets that people leave in running, idle, prepared and finished statements, in the names of
//! applications and transactions, in settings, definitions and errors come out of no action of the stock packs, on a primary
//! or a standby: not in an answer, an error or what an approver is shown, not on the record, not in the host's own log.

mod planted;
mod stage;

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use lockgate::{
    gate::call::{OfferedAction, Refused},
    mcp,
    pack::manifest::ParamKind,
};
use lockgate_tests::{
    servers::majors,
    session::{PATIENCE, Running, Session, run},
    site::{call, ended, held, principal},
};
use serde_json::{Map, Value as Json, json};
use tracing_subscriber::filter::LevelFilter;

use self::{
    planted::{ACCESS_KEY, BASE64, CANARY, HEX, ORDINARY, application_names, assert_clean, queries, transaction_ids},
    stage::{Stage, app},
};

/// All that the host says about itself at `debug`, in this process.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

/// Everything that a caller gets of an answer: the gate's, and what the door makes of it.
fn whole(answer: &Result<lockgate::gate::call::Answer, Refused>) -> String {
    let result = mcp::result::of(answer, "lockgate.await_approval", None);
    format!("{answer:?}\n{}", serde_json::to_string(&result).expect("a result is JSON"))
}

/// As much as an action shows: the most rows, the lowest bounds, the tables of the test.
fn widest(offer: &OfferedAction) -> Map<String, Json> {
    let value = |name: &str, kind: &ParamKind| match kind {
        ParamKind::Integer { max, .. } if name == "limit" => Some(json!(max)),
        ParamKind::Integer { min, .. } => Some(json!(min)),
        ParamKind::Identifier if name == "schema" => Some(json!("sales")),
        _ => None,
    };
    offer.params.iter().filter_map(|param| Some((param.name.clone(), value(&param.name, &param.kind)?))).collect()
}

#[test]
fn no_secret_comes_out_whatever_is_looked_at() {
    run(on_every_version());
}

async fn on_every_version() {
    // Another test of this process may have been first with the same.
    let _ =
        tracing_subscriber::fmt().with_max_level(LevelFilter::DEBUG).with_ansi(false).with_writer(|| Log).try_init();
    for major in majors() {
        eprintln!("PostgreSQL {major}");
        let stage = Stage::build(major).await;
        let sessions = stage.sessions().await;
        stage.prepared_transactions().await;
        stage.statistics().await;
        let at_work = at_work(&stage).await;
        the_secrets_are_there(&stage).await;
        reads_are_clean(&stage).await;
        what_is_ordinary_stays(&stage).await;
        approvers_see_shapes(&stage, &sessions, &at_work).await;
        failing_acts_are_clean(&stage).await;
        let record: String = stage.site.record().iter().map(|line| format!("{line}\n")).collect();
        assert!(record.contains("sees_other_sessions") || record.contains("executed"), "the record has the calls");
        assert_clean("the record", &record);
    }
    assert!(log().contains("a statement failed"), "the log has what failed");
    assert_clean("the log", &log());
}

/// Sessions whose query runs, or waits.
struct AtWork {
    sleeper: Running,
    owner: Session,
    _others: [Running; 2],
}

async fn at_work(stage: &Stage) -> AtWork {
    let owner = app(&stage.primary, "canary").await;
    owner.execute("CREATE TABLE sales.canary (note text)").await;
    owner.execute(&format!("BEGIN; LOCK TABLE sales.canary; SELECT '{CANARY}'")).await;
    let insert = format!("INSERT INTO sales.canary VALUES ('{CANARY}')");
    let waiter = app(&stage.primary, "canary").await.start(&insert).await;
    let waits = format!("SELECT wait_event_type FROM pg_stat_activity WHERE pid = {}", waiter.pid);
    stage.primary.wait_for(&waits, "Lock", PATIENCE).await.expect("it waits");
    let sleep = format!("SELECT pg_sleep(600), '{CANARY}'");
    let sleeper = app(&stage.primary, "canary").await.start(&sleep).await;
    let on_standby = app(&stage.standby, "canary").await.start(&sleep).await;
    AtWork { sleeper, owner, _others: [waiter, on_standby] }
}

/// A superuser sees each of them, so that the test can fail.
async fn the_secrets_are_there(stage: &Stage) {
    let count = async |cluster, sql: &str| stage.truth(cluster, sql).await.parse::<usize>().expect("a number");
    let in_queries =
        format!("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{CANARY}%' AND application_name = 'canary'");
    let in_names = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '{CANARY}|{}|{HEX}|{BASE64}'",
        &ACCESS_KEY[..12]
    );
    for cluster in [&stage.primary, &stage.standby] {
        let seen = count(cluster, &in_queries).await;
        // One has numbers only.
        assert!(seen >= queries().len() - 1, "{seen} queries show the value");
        assert_eq!(count(cluster, &in_names).await, application_names().len(), "names of applications");
    }
    let of = async |sql: &str| stage.truth(&stage.primary, sql).await;
    assert_eq!(of("SELECT string_agg(gid, '|' ORDER BY gid COLLATE \"C\") FROM pg_prepared_xacts").await, {
        let mut gids = transaction_ids();
        gids.sort();
        gids.join("|")
    });
    for sql in [
        "SELECT string_agg(query, ' ') FROM pg_stat_statements WHERE query LIKE '%PASSWORD%'",
        "SHOW app.api_secret",
        "SHOW archive_command",
        "SHOW ssl_passphrase_command",
        "SELECT pg_get_indexdef('sales.orders_partial'::regclass)",
        "SELECT string_agg(options::text, ' ') FROM pg_hba_file_rules",
        "SELECT obj_description('sales.orders'::regclass)",
    ] {
        assert!(of(sql).await.contains(CANARY), "{sql}");
    }
    let conninfo = stage.truth(&stage.standby, "SHOW primary_conninfo").await;
    assert!(conninfo.contains(CANARY), "{conninfo}");
}

async fn reads_are_clean(stage: &Stage) {
    let offers = stage.gate.offers(&principal());
    let reads: Vec<_> = offers.iter().filter(|offer| offer.reads_only).collect();
    assert!(reads.iter().any(|offer| offer.name.starts_with("diagnose.")), "both packs are there");
    for target in ["primary", "standby"] {
        let mut answered = 0;
        for offer in &reads {
            let answer = call(&stage.gate, &offer.name, target, Json::Object(widest(offer))).await;
            assert_clean(&format!("{} on {target}", offer.name), &whole(&answer));
            answered += usize::from(answer.is_ok());
        }
        assert!(answered * 5 >= reads.len() * 4, "{answered} of {} reads answered on {target}", reads.len());
    }
}

/// Redaction that hid everything would pass the rest of this test.
async fn what_is_ordinary_stays(stage: &Stage) {
    let mut sessions = Vec::new();
    for name in ORDINARY {
        sessions.push(app(&stage.primary, name).await);
    }
    let answer = call(&stage.gate, "postgres.activity_detail", "primary", json!({ "limit": 200 })).await;
    let shown = format!("{answer:?}");
    for name in ORDINARY {
        assert!(shown.contains(name), "`{name}` is shown as it is");
    }
    for shape in
        ["INSERT INTO sales.canary VALUES (?)", "worker password=[redacted]", "job for ? no 4", "sync [redacted] 2"]
    {
        assert!(shown.contains(shape), "`{shape}` is what is left: {shown}");
    }
    let answer = call(&stage.gate, "postgres.prepared_transactions", "primary", json!({})).await;
    assert!(format!("{answer:?}").contains("pay ? now"), "{answer:?}");
}

async fn approvers_see_shapes(stage: &Stage, sessions: &[Session], at_work: &AtWork) {
    let first_name = sessions.get(queries().len()).expect("a session with a secret in its name");
    for (action, pid) in [
        ("postgres.cancel_query", at_work.sleeper.pid),
        ("postgres.terminate_backend", at_work.owner.pid),
        ("postgres.terminate_backend", sessions[20].pid),
        ("postgres.terminate_backend", sessions[30].pid),
        ("postgres.terminate_backend", first_name.pid),
    ] {
        let approval = held(&stage.gate, action, "primary", json!({ "pid": pid })).await;
        let pending = stage.site.pending().into_iter().find(|pending| pending.id == approval).expect("it waits");
        assert!(pending.request.evidence.to_string().contains("application"), "the application is shown");
        assert_clean(action, &format!("{pending:?}"));
        stage.site.approve(&approval).await;
        let end = ended(&stage.gate, &approval).await;
        assert_clean(action, &format!("{end:?}"));
        assert!(end.is_ok(), "{action}: {end:?}");
    }
}

/// Maintenance runs the functions of expression indexes, and what those say is in nobody's hands.
async fn failing_acts_are_clean(stage: &Stage) {
    let app = app(&stage.primary, "canary").await;
    let raise = "RAISE EXCEPTION 'no such customer: %', $1";
    for (what, body) in [
        ("its own words", raise.to_owned()),
        ("its own words under the server's code", format!("{raise} USING ERRCODE = 'unique_violation'")),
        ("its own words under a code for data", format!("{raise} USING ERRCODE = '22000'")),
        ("an assertion", "ASSERT false, 'no such customer: ' || $1".to_owned()),
        ("a value that does not fit", "PERFORM $1::pg_catalog.int4".to_owned()),
        ("a value that is no identifier", "PERFORM $1::pg_catalog.uuid".to_owned()),
        ("a notice and a warning", "RAISE NOTICE 'see %', $1; RAISE WARNING 'see %', $1".to_owned()),
    ] {
        let function = format!(
            "CREATE OR REPLACE FUNCTION sales.judge(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN {body}; RETURN $1; END $f$"
        );
        app.client.batch_execute(&function).await.expect("the function is replaced");
        let direct = app.client.simple_query(&format!("SELECT sales.judge('{CANARY}')")).await;
        match &direct {
            Err(error) => {
                let words = error.as_db_error().map(|e| e.message().to_owned()).unwrap_or_default();
                assert!(words.contains(CANARY), "the server's own words show the value: {words}");
            }
            Ok(_) => assert!(what.contains("notice"), "{what} is no error"),
        }
        for (action, arguments) in [
            ("postgres.analyze_table", json!({ "schema": "sales", "table": "judged" })),
            ("postgres.vacuum_table", json!({ "schema": "sales", "table": "judged" })),
            ("postgres.reindex_concurrent", json!({ "schema": "sales", "index": "judged_idx" })),
        ] {
            let answer = call(&stage.gate, action, "keeper", arguments).await;
            let shown = match &answer {
                Ok(lockgate::gate::call::Answer::Pending(pending)) => {
                    stage.site.approve(&pending.approval).await;
                    let end = ended(&stage.gate, &pending.approval).await;
                    let failed = end.is_err();
                    assert_eq!(failed, direct.is_err(), "{action}, {what}: {end:?}");
                    format!("{end:?}")
                }
                _ => {
                    assert_eq!(answer.is_err(), direct.is_err(), "{action}, {what}: {answer:?}");
                    whole(&answer)
                }
            };
            assert_clean(&format!("{action}, {what}"), &shown);
            let left = if what.contains("value") { "\\\"?\\\"" } else { "are withheld" };
            assert!(shown.contains(left), "{action}, {what}: {shown}");
            // What a failed REINDEX CONCURRENTLY leaves behind.
            let left =
                "SELECT string_agg(format('DROP INDEX sales.%I', relname), ';') FROM pg_class WHERE relname ~ '_ccnew'";
            let left = stage.truth(&stage.primary, left).await;
            if !left.is_empty() {
                app.client.batch_execute(&left).await.expect("it is dropped");
            }
        }
    }
}
