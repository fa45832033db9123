//! Clients that give up: only their wait ends, and what they send at a bad moment harms nobody.

use rmcp::model::{CancelledNotificationParam, ProgressNotificationParam, ProgressToken, RequestId};
use serde_json::json;

use super::{
    gate::People,
    rig::{ALL, Era, Plan, Rig, Way, request, status, take_up, terminate},
};

#[tokio::test]
async fn a_cancelled_wait_is_over_and_the_request_stays() {
    for (way, era) in ALL {
        let rig = Rig::new(way, era, Plan::default()).await;
        let call = rig.begin(terminate()).await;
        rig.gate.saw(1, "called").await;
        if way == Way::Http && era == Era::Modern {
            // There is nothing to cancel by but hanging up, which dropping the client does.
            drop(rig.client);
            rig.gate.saw(1, "wait cancelled").await;
            continue;
        }
        call.cancel(Some("tired".into())).await.unwrap();
        rig.gate.saw(1, "wait cancelled").await;
        rig.gate.now(People::Done);
        let result = rig.client.call_tool(take_up(json!({"approval_id": "ap_1"}))).await.unwrap();
        assert_eq!(status(&result), "done", "{way:?} {era:?}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_output_ends_its_wait() {
    let rig = Rig::new(Way::Stdio, Era::Handshake, Plan::default()).await;
    let _call = rig.begin(terminate()).await;
    rig.gate.saw(1, "called").await;
    rig.client.cancel().await.unwrap();
    rig.gate.saw(1, "wait cancelled").await;
}

#[tokio::test]
async fn unknown_ids_and_tokens_are_passed_over() {
    for (way, era) in ALL {
        let rig = Rig::new(way, era, Plan::default()).await;
        let waiting = rig.begin(terminate()).await;
        rig.gate.saw(1, "called").await;
        for id in [RequestId::Number(999_999), RequestId::String("1".into())] {
            let cancelled = CancelledNotificationParam::new(Some(id.clone()), None);
            let _ = rig.client.peer().notify_cancelled(cancelled).await;
            let progress = ProgressNotificationParam::new(ProgressToken(id), 1.0);
            let _ = rig.client.peer().notify_progress(progress).await;
        }
        let look = request("postgres.activity", json!({"reason": "looking around"}));
        assert_eq!(status(&rig.client.call_tool(look).await.unwrap()), "done", "{way:?} {era:?}");
        assert!(!rig.gate.log().contains(&"wait cancelled".to_owned()), "{way:?} {era:?}");
        rig.gate.now(People::Done);
        assert_eq!(status(&super::rig::answer(waiting).await), "done");
    }
}

#[tokio::test]
async fn a_cancel_that_races_with_the_answer_harms_nothing() {
    let rig = Rig::new(Way::Stdio, Era::Handshake, Plan::default()).await;
    for round in 1..=100 {
        rig.gate.now(People::Wait(0));
        let call = rig.begin(terminate()).await;
        rig.gate.saw(round, "called").await;
        let cancel = async {
            if round % 2 == 0 {
                tokio::task::yield_now().await;
            }
            call.cancel(None).await.unwrap();
        };
        let done = async {
            if round % 3 == 0 {
                tokio::task::yield_now().await;
            }
            rig.gate.now(People::Done);
        };
        tokio::join!(cancel, done);
    }
    let look = request("postgres.activity", json!({"reason": "looking around"}));
    assert_eq!(status(&rig.client.call_tool(look).await.unwrap()), "done");
}
