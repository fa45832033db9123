//! The server's own log: every statement that any session of the host sent, told by the application name that only the host
//! sets. What is not a declared text or one of the host's fixed ones is a breach.

use std::collections::BTreeSet;

use lockgate_tests::{AGENT, cluster};

/// What the host sends by itself, whatever the pack: the guard of a session, of a read, of an act, and the facts.
const GUARD: &[&str] = &[
    "SELECT s.name, s.setting FROM pg_catalog.pg_settings s WHERE s.name = ANY ($1)",
    "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int8, pg_catalog.pg_is_in_recovery()",
    "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int8,\n       pg_catalog.pg_is_in_recovery(),\n       \
     current_user::pg_catalog.text,\n       pg_catalog.current_setting('is_superuser') = 'on',\n       \
     pg_catalog.current_database()::pg_catalog.text",
    "SELECT e.extname::pg_catalog.text, e.extversion::pg_catalog.text, n.nspname::pg_catalog.text\n  \
     FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace\n ORDER BY 1",
    "SELECT s.system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system() s",
    "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
    "SELECT pg_catalog.set_config('statement_timeout', $1, true)",
    "SELECT pg_catalog.pg_advisory_unlock_all()",
    "SELECT pg_catalog.pg_is_in_recovery()",
    "SET SESSION AUTHORIZATION DEFAULT",
    "RESET ALL",
    "UNLISTEN *",
    "COMMIT",
    "ROLLBACK",
];

/// The statements that the guest declares, as the server gets them.
pub const ANSWER: &str = "SELECT 42::int8 AS answer";
pub const ECHO: &str = "SELECT $1::text AS word";
pub const MANY: &str =
    "SELECT n::int8 AS n, pg_catalog.repeat('x', 40) AS pad FROM pg_catalog.generate_series(1, 9000) AS n";
pub const CANCEL: &str = "\
WITH found AS MATERIALIZED (SELECT a.pid FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = $1::int8)
SELECT pg_catalog.pg_cancel_backend(f.pid) AS signalled FROM found AS f";
pub const NUDGE: &str =
    "SELECT pg_catalog.pg_cancel_backend(n) AS signalled FROM pg_catalog.generate_series(1, 1) AS n WHERE n < 0";
const DECLARED: &[&str] = &[ANSWER, ECHO, MANY, CANCEL, NUDGE];

/// A statement and the application that sent it.
struct Sent {
    application: String,
    sql: String,
}

/// All that the host's role sent, whatever the session called itself. The server writes a line before it executes.
async fn sent() -> Vec<Sent> {
    let log = std::fs::read(cluster().await.log_path()).expect("the server's log");
    let log = String::from_utf8_lossy(&log);
    let mut entries: Vec<String> = Vec::new();
    for line in log.lines() {
        match (line.strip_prefix('\t'), entries.last_mut()) {
            (Some(more), Some(entry)) => {
                entry.push('\n');
                entry.push_str(more);
            }
            _ => entries.push(line.to_owned()),
        }
    }
    entries.iter().filter_map(|entry| parse(entry)).collect()
}

/// `TIME [PID] APPLICATION agent@postgres LOG:  execute NAME: SQL`, and what an error says of its statement.
fn parse(entry: &str) -> Option<Sent> {
    let (before, message) = entry.split_once(&format!(" {AGENT}@postgres "))?;
    let application = before.split_once("] ")?.1.to_owned();
    let (level, text) = message.split_once(":  ")?;
    let sql = match level {
        "LOG" => match text.strip_prefix("statement: ") {
            Some(sql) => sql,
            None => text.strip_prefix("execute ")?.split_once(": ")?.1,
        },
        "STATEMENT" => text,
        _ => return None,
    };
    Some(Sent { application, sql: sql.to_owned() })
}

/// Nothing reached the server from this target but the guard and these statements, and each of these did; and nothing from
/// any other session of the host but what is declared somewhere.
pub async fn reached(target: &str, expected: &[&str]) {
    let application = format!("lockgate/{target}");
    let mut seen = BTreeSet::new();
    for Sent { application: by, sql } in sent().await {
        assert!(by.starts_with("lockgate/"), "a session of the host calls itself `{by}`: {sql}");
        assert!(GUARD.contains(&sql.as_str()) || DECLARED.contains(&sql.as_str()), "undeclared, from `{by}`: {sql}");
        if by == application && !GUARD.contains(&sql.as_str()) {
            seen.insert(sql);
        }
    }
    let expected: BTreeSet<String> = expected.iter().map(|sql| (*sql).to_owned()).collect();
    assert_eq!(seen, expected, "what reached the server from {application}");
}
