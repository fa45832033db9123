//! What the tests of several rooms need of the store: a private directory, a request, and times.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Approval, Creation, DECIDE_WITHIN, Decision, EXECUTE_WITHIN, NewApproval, Pin, Request, RequestDigest, Requester,
    Seen, SqliteStore, Store, Vote, random_bytes, random_id,
};
use crate::value::Value;

pub(crate) fn state_directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A new store; the directory goes when its guard does.
pub(crate) fn store() -> (tempfile::TempDir, SqliteStore) {
    let state = state_directory();
    let store = SqliteStore::open(&state.path().join("lockgate.db")).unwrap();
    (state, store)
}

/// So many seconds after the tests' beginning of time.
pub(crate) fn at(seconds: i64) -> Timestamp {
    "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

pub(crate) fn request() -> Request {
    let serde_json::Value::Object(arguments) = json!({ "pid": 4242, "mode": "terminate" }) else { unreachable!() };
    Request {
        run: "run_1".into(),
        requester: Requester {
            agent: "pager-bot".into(),
            person: Some("ada".into()),
            os_user: None,
            roles: ["oncall".to_owned(), "dba".to_owned()].into(),
            door: "stdio".into(),
        },
        action: "postgres.terminate_backend".into(),
        pack_digest: "aa".into(),
        risk: "high".into(),
        target: "orders".into(),
        target_identity: "db1/7000".into(),
        arguments,
        reason: "it blocks thirty writers".into(),
        agent_evidence: Some("pid 4242 heads the lock chain".into()),
        agent_expected: Some("the thirty writers go on".into()),
        operation: None,
        rule: "high risk needs approval".into(),
        policy_digest: "bb".into(),
        pins: vec![Pin { name: "pid".into(), value: Value::Integer(4242) }],
        evidence: json!({
            "summary": "one session blocks thirty",
            "tables": [{ "title": "The session", "rows": {
                "columns": [{ "name": "pid", "kind": "integer" }, { "name": "query", "kind": "query" }],
                "rows": [[4242, "ALTER TABLE orders ADD COLUMN note text"], [null, "SELECT ?"]],
            }}],
        }),
        needed: 1,
        approvers: [].into(),
        reason_required: false,
        decide_within: DECIDE_WITHIN,
        execute_within: EXECUTE_WITHIN,
    }
}

pub(crate) fn new(request: Request) -> NewApproval {
    let digest = RequestDigest(random_bytes().unwrap());
    NewApproval { id: random_id("apr_").unwrap(), nonce: random_bytes().unwrap(), digest, request }
}

/// A new pending approval for a run of its own.
pub(crate) fn pending(store: &dyn Store, change: impl FnOnce(&mut Request)) -> Approval {
    let mut request = request();
    request.arguments.insert("nonce".into(), random_id("").unwrap().into());
    change(&mut request);
    match store.create(new(request), at(0)).unwrap() {
        Creation::Created { approval, .. } => *approval,
        Creation::Joined(joined) => panic!("joined {}", joined.id),
    }
}

/// An approved request for a run of its own.
pub(crate) fn approved(store: &dyn Store) -> Approval {
    store.vote(&approve(&pending(store, |_| ()), "grace", 1)).unwrap()
}

/// A new pending approval, made as the gate makes it.
pub(crate) fn asked(store: &dyn Store, change: impl FnOnce(&mut Request)) -> Approval {
    let mut request = request();
    change(&mut request);
    match crate::approval::request(store, request, at(0)).unwrap() {
        Creation::Created { approval, .. } => *approval,
        Creation::Joined(joined) => panic!("joined {}", joined.id),
    }
}

fn vote(approval: &Approval, person: &str, decision: Decision, seconds: i64) -> Vote {
    Vote {
        id: approval.id.clone(),
        person: person.into(),
        also_known_as: [].into(),
        roles: [].into(),
        decision,
        reason: "looked at it".into(),
        digest_shown: approval.digest,
        seen: Seen::AsRequested,
        now: at(seconds),
    }
}

pub(crate) fn approve(approval: &Approval, person: &str, seconds: i64) -> Vote {
    vote(approval, person, Decision::Approve, seconds)
}

pub(crate) fn deny(approval: &Approval, person: &str, seconds: i64) -> Vote {
    vote(approval, person, Decision::Deny, seconds)
}
