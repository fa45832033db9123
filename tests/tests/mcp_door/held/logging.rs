//! Log messages: as much as a client asked for, and nothing where it did not ask.
#![allow(deprecated, reason = "logging is on its way out of MCP, and clients of today have it")]

use rmcp::{
    ServiceError,
    model::{LoggingLevel, RequestMetaObject, SetLevelRequestParams},
    service::PeerRequestOptions,
};
use serde_json::Value;

use super::{
    gate::People,
    rig::{ALL, Era, Heard, Plan, Rig, Way, answer, status, terminate},
};

fn logs(heard: Vec<Heard>) -> Vec<(String, String, Value)> {
    let log = |heard| match heard {
        Heard::Log { level, data } => Some((level, data["event"].as_str().unwrap().to_owned(), data)),
        _ => None,
    };
    heard.into_iter().filter_map(log).collect()
}

/// A call from its beginning to its end, and what was logged in between.
async fn logged(rig: &mut Rig, level: Option<LoggingLevel>) -> Vec<(String, String, Value)> {
    rig.gate.now(People::Wait(0));
    let seen = rig.gate.log().len();
    let mut options = PeerRequestOptions::no_options();
    if let Some(level) = level {
        let mut meta = RequestMetaObject::default();
        meta.set_log_level(level);
        options = options.with_meta(meta);
    }
    let call = rig.begin_with(terminate(), options).await;
    rig.gate.saw(seen + 1, "called").await;
    rig.gate.now(People::Approved);
    let mut heard = Vec::new();
    while !matches!(heard.last(), Some(Heard::Progress { message, .. }) if message.contains("was given")) {
        heard.push(rig.hears().await);
    }
    rig.gate.now(People::Done);
    assert_eq!(status(&answer(call).await), "done");
    heard.extend(rig.rest());
    logs(heard)
}

fn names(logged: &[(String, String, Value)]) -> Vec<(&str, &str)> {
    logged.iter().map(|(level, event, _)| (level.as_str(), event.as_str())).collect()
}

const FULL: [(&str, &str); 4] =
    [("notice", "call_held"), ("notice", "call_decided"), ("info", "server_notice"), ("warning", "record_degraded")];

#[tokio::test]
async fn with_a_handshake_warnings_are_heard_until_the_client_says_otherwise() {
    let mut rig = Rig::new(Way::Stdio, Era::Handshake, Plan::default()).await;
    assert!(rig.client.peer().peer_info().unwrap().capabilities.logging.is_some());
    assert_eq!(names(&logged(&mut rig, None).await), [FULL[3]]);
    for (level, heard) in [
        (LoggingLevel::Debug, &FULL[..]),
        (LoggingLevel::Info, &FULL[..]),
        (LoggingLevel::Notice, &[FULL[0], FULL[1], FULL[3]][..]),
        (LoggingLevel::Error, &[][..]),
    ] {
        rig.client.peer().set_level(SetLevelRequestParams::new(level)).await.unwrap();
        let logged = logged(&mut rig, None).await;
        assert_eq!(names(&logged), heard, "{level:?}");
        for (_, event, data) in &logged {
            assert_eq!((&data["run_id"], &data["target"]), (&"run_1".into(), &"primary".into()), "{event}");
        }
    }
}

#[tokio::test]
async fn each_session_has_its_own_level() {
    let gate = super::gate::HeldGate::new(None);
    let (at, [one, two]) = super::rig::serve_http(&gate, Plan::default().hold).await;
    let mut loud = Rig::on_http(gate.clone(), at, &one, Era::Handshake, Plan::default()).await;
    let mut quiet = Rig::on_http(gate.clone(), at, &two, Era::Handshake, Plan::default()).await;
    loud.client.peer().set_level(SetLevelRequestParams::new(LoggingLevel::Debug)).await.unwrap();
    for (rig, calls) in [(&mut quiet, 1), (&mut loud, 2)] {
        gate.now(People::Wait(0));
        let call = rig.begin(terminate()).await;
        gate.saw(calls, "called").await;
        gate.now(People::Denied);
        answer(call).await;
    }
    // Over HTTP messages come on the session's own stream, so the answer may be here first.
    let mut heard = Vec::new();
    while logs(heard.clone()).len() < 2 {
        heard.push(loud.hears().await);
    }
    let heard = logs(heard);
    assert_eq!((heard[0].1.as_str(), heard[1].1.as_str()), ("call_held", "call_decided"));
    assert_eq!(heard[1].2["decision"], "denied");
    assert_eq!(logs(quiet.rest()), []);
}

#[tokio::test]
async fn without_a_handshake_only_what_a_request_asks_for() {
    for (way, era) in ALL.into_iter().filter(|(_, era)| *era == Era::Modern) {
        let mut rig = Rig::new(way, era, Plan::default()).await;
        assert_eq!(logged(&mut rig, None).await, [], "{way:?}");
        assert_eq!(names(&logged(&mut rig, Some(LoggingLevel::Debug)).await), FULL, "{way:?}");
        assert_eq!(names(&logged(&mut rig, Some(LoggingLevel::Warning)).await), [FULL[3]], "{way:?}");
        assert_eq!(logged(&mut rig, None).await, [], "nothing is remembered of the request before");
        let refused = rig.client.peer().set_level(SetLevelRequestParams::new(LoggingLevel::Debug)).await.unwrap_err();
        let ServiceError::McpError(error) = refused else { panic!("{refused}") };
        assert_eq!(error.code.0, -32601);
    }
}
