//! Held calls: a preview that acts, lies or pins nonsense never gets as far as a person; and an execution that a person let
//! through can't be made to look other than it was.

use std::sync::Arc;

use lockgate::{error::Code, gate::Gate, store::Decision};
use lockgate_tests::site;
use serde_json::json;

use crate::{log, world::World};

async fn preview(world: &World, gate: &Arc<Gate>, how: &str) -> Result<String, (Code, String)> {
    match site::call(gate, "adversary.held", world.target, json!({ "how": how })).await {
        Ok(lockgate::gate::call::Answer::Pending(pending)) => Ok(pending.approval),
        Ok(other) => panic!("{how}: {other:?}"),
        Err(refused) => Err((refused.refusal.code, refused.refusal.message)),
    }
}

#[tokio::test]
async fn a_preview_that_misbehaves_asks_nobody() {
    let world = World::with_adversary("previews").await;
    let gate = world.site.gate().await;
    let mut wrong = Vec::new();
    for (how, code, says) in [
        ("p_loop", Code::PackTimeout, "computed for more than 2s"),
        ("p_trap", Code::PackTrap, ""),
        ("p_grow", Code::PackLimit, "memory"),
        ("p_recurse", Code::PackLimit, "stack"),
        ("p_reenter", Code::PackTrap, ""),
        ("p_act", Code::UndeclaredStatement, "`cancel`"),
        ("p_act_and_swallow", Code::UndeclaredStatement, "`nudge`"),
        ("p_undeclared", Code::UndeclaredStatement, "`other`"),
        ("p_huge", Code::PackLimit, "boundary"),
        ("p_table", Code::OutputTooLarge, "bytes"),
        ("p_pin_nan", Code::PackFailure, "to no number"),
        ("p_pin_name", Code::PackFailure, "whose name is none"),
        ("p_pin_twice", Code::PackFailure, "twice"),
        ("p_pin_text", Code::PackFailure, "control or invisible"),
        ("p_pin_large", Code::PackFailure, "bytes"),
        ("p_pin_many", Code::PackFailure, "2000 facts"),
    ] {
        match preview(&world, &gate, how).await {
            Err((found, message)) if found == code && message.contains(says) => {}
            other => wrong.push(format!("{how}: {other:?}")),
        }
        world.is_served(&gate).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(world.site.pending().is_empty(), "somebody was asked");
    world.ends_well(&gate, &[]).await;
}

#[tokio::test]
async fn what_a_person_sees_of_a_preview_is_plain() {
    let world = World::with_adversary("evidence").await;
    let gate = world.site.gate().await;
    preview(&world, &gate, "p_nasty").await.expect("it is held");
    let pending = world.site.pending();
    let text = pending.iter().map(|approval| approval.request.evidence.to_string()).collect::<String>();
    assert!(text.contains("DROP TABLE"), "{text}");
    for hidden in ["Hunter2x", "\u{202e}", "\u{200b}", "\\u001b", "\\u0007"] {
        assert!(!text.contains(hidden), "{text}");
    }
    world.ends_well(&gate, &[]).await;
}

/// Holds, approves, and gives the code that the execution ended with.
async fn executed(world: &World, gate: &Arc<Gate>, how: &str) -> (Code, String) {
    let approval = preview(world, gate, how).await.expect(how);
    world.site.approve(&approval).await;
    let refusal = site::ended(gate, &approval).await.expect_err(how).refusal;
    (refusal.code, refusal.message)
}

#[tokio::test]
async fn an_approved_run_can_not_be_made_to_look_other_than_it_was() {
    let world = World::with_adversary("approved").await;
    let gate = world.site.gate().await;
    let mut wrong = Vec::new();
    for (how, code, says) in [
        // The act found nothing and was taken back; the guest said that all went well.
        ("a_swallow", Code::TargetChanged, ""),
        // What was pinned is a text where the statement takes a number: it is not sent, and not mended.
        ("p_pin_type", Code::WrongInputs, "is text"),
        // The act was committed, whatever became of the guest or what it says.
        ("a_trap", Code::OutcomeUnknown, "crashed"),
        ("a_loop", Code::OutcomeUnknown, "computed"),
        ("a_fail", Code::OutcomeUnknown, "nothing_to_do"),
        ("a_flood", Code::OutcomeUnknown, "query"),
    ] {
        match executed(&world, &gate, how).await {
            (found, message) if found == code && message.contains(says) => {}
            other => wrong.push(format!("{how}: {other:?}")),
        }
        world.is_served(&gate).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.ends_well(&gate, &[log::CANCEL, log::NUDGE]).await;
}

#[tokio::test]
async fn what_nobody_approved_is_not_run() {
    let world = World::with_adversary("denied").await;
    let gate = world.site.gate().await;
    let approval = preview(&world, &gate, "a_trap").await.expect("it is held");
    world.site.decide(&approval, Decision::Deny, site::APPROVER).await.expect("the denial counts");
    assert_eq!(site::ended(&gate, &approval).await.expect_err("denied").refusal.code, Code::ApprovalDenied);
    world.ends_well(&gate, &[]).await;
}
