//! Calls that misbehave, of a pack that was admitted: in `validate` and in `run` of an action that only reads.

use std::{sync::Arc, time::Duration};

use lockgate::{
    error::{Code, Refusal},
    gate::{Gate, call::Outcome},
};
use lockgate_tests::site;
use serde_json::{Value as Json, json};

use crate::{log, world::World};

/// Calls `misbehave`, with a deadline: a host that hangs is a failure and not a long test.
async fn misbehave(world: &World, gate: &Arc<Gate>, how: &str) -> Result<Outcome, Refusal> {
    let call = site::call(gate, "adversary.misbehave", world.target, json!({ "how": how }));
    let answer = tokio::time::timeout(Duration::from_secs(60), call).await.expect(how);
    match answer {
        Ok(lockgate::gate::call::Answer::Done(outcome)) => Ok(*outcome),
        Ok(other) => panic!("{how}: {other:?}"),
        Err(refused) => Err(refused.refusal),
    }
}

/// Each fails with its code, in words that are bounded and plain; after each the honest pack is served.
async fn fail(target: &'static str, cases: &[(&str, Code, &str)], reached: &[&str]) {
    let world = World::with_adversary(target).await;
    let gate = world.site.gate().await;
    let mut wrong = Vec::new();
    for (how, code, says) in cases {
        match misbehave(&world, &gate, how).await {
            Err(refusal) if refusal.code == *code && refusal.message.contains(says) => {
                plain(how, serde_json::to_string(&refusal))
            }
            other => wrong.push(format!("{how}: {}", format!("{other:?}").chars().take(300).collect::<String>())),
        }
        world.is_served(&gate).await;
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    world.ends_well(&gate, reached).await;
}

/// What leaves the host is short, holds no secret and no character that disguises it.
fn plain(how: &str, answer: Result<String, serde_json::Error>) {
    let text = answer.expect("an answer is JSON");
    assert!(text.len() < 64 << 10, "{how}: {} bytes", text.len());
    // `validate` sees nothing but the caller's arguments: what looks like a secret there is no secret of the database's.
    assert!(how.starts_with("v_") || !text.contains("Hunter2x"), "{how}: {text}");
    // As JSON writes it: controls are escaped there.
    for disguise in ["\u{202e}", "\u{200b}", "\\u001b", "\\u0007"] {
        assert!(!text.contains(disguise), "{how}: {text}");
    }
}

#[tokio::test]
async fn a_validate_that_misbehaves_fails_its_call_alone() {
    let cases = [
        ("v_loop", Code::PackTimeout, "computed for more than 500ms"),
        ("v_trap", Code::PackTrap, ""),
        ("v_grow", Code::PackLimit, "memory"),
        ("v_recurse", Code::PackLimit, "stack"),
        ("v_query", Code::InvalidArguments, "refused"),
        ("v_flood", Code::InvalidArguments, "no; no"),
        ("v_nasty", Code::InvalidArguments, "ok"),
        ("v_long", Code::InvalidArguments, "xxx"),
    ];
    fail("validates", &cases, &[]).await;
}

#[tokio::test]
async fn a_run_that_exhausts_something_fails_alone() {
    let cases = [
        ("loop", Code::PackTimeout, "computed for more than 2s"),
        ("trap", Code::PackTrap, ""),
        ("grow", Code::PackLimit, "memory"),
        ("recurse", Code::PackLimit, "stack"),
        ("reenter", Code::PackTrap, ""),
        ("huge_summary", Code::PackLimit, "boundary"),
        ("huge_id", Code::PackLimit, "boundary"),
        ("huge_input", Code::PackLimit, "boundary"),
        ("huge_list", Code::PackLimit, "boundary"),
        ("huge_echo", Code::OutputTooLarge, ""),
        ("large_table", Code::OutputTooLarge, "bytes"),
        ("many_tables", Code::OutputTooLarge, "tables"),
        ("long_columns", Code::OutputTooLarge, "bytes"),
        ("often", Code::OutputTooLarge, "bytes"),
        ("flood", Code::PackLimit, "query"),
    ];
    fail("exhausts", &cases, &[log::ECHO, log::MANY]).await;
}

#[tokio::test]
async fn a_run_that_asks_for_what_it_may_not_have_fails_alone() {
    let cases = [
        ("undeclared", Code::UndeclaredStatement, "nothing_like_it"),
        ("undeclared_and_swallow", Code::UndeclaredStatement, "nothing_like_it"),
        ("foreign", Code::UndeclaredStatement, "`other`"),
        ("foreign_act", Code::UndeclaredStatement, "`cancel`"),
        ("sql", Code::UndeclaredStatement, "DROP TABLE"),
        ("empty_id", Code::UndeclaredStatement, "``"),
        ("nul_id", Code::UndeclaredStatement, "answer"),
        ("wrong_type", Code::WrongInputs, "is integer"),
        ("wrong_count", Code::WrongInputs, "1 are declared"),
        ("too_many_inputs", Code::WrongInputs, "0 are declared"),
        ("nul_input", Code::WrongInputs, "NUL"),
        ("wrong_and_swallow", Code::WrongInputs, "is boolean"),
        ("no_text_id", Code::PackTrap, "utf-8"),
    ];
    fail("asks", &cases, &[]).await;
}

#[tokio::test]
async fn identifiers_are_not_a_way_in() {
    let world = World::with_adversary("identifiers").await;
    let gate = world.site.gate().await;
    for how in ["quotes", "long", "empty", "nul"] {
        let answer = site::call(&gate, "adversary.maintain", world.target, json!({ "how": how })).await;
        assert_eq!(answer.expect_err(how).refusal.code, Code::WrongInputs, "{how}");
        world.is_served(&gate).await;
    }
    world.ends_well(&gate, &[]).await;
}

#[tokio::test]
async fn a_run_that_forges_its_answer_fails_alone() {
    let cases = [
        ("twice", Code::PackTrap, ""),
        ("forged", Code::PackTrap, ""),
        ("forged_read", Code::PackTrap, ""),
        ("gone", Code::PackTrap, ""),
        ("no_text", Code::PackTrap, "utf-8"),
        ("widths", Code::PackFailure, "0 cells where the table has 1"),
        ("wide", Code::PackFailure, "1 cells where the table has 0"),
        ("kinds", Code::PackFailure, "is text"),
        ("lists", Code::PackFailure, "is texts"),
        ("fail_nasty", Code::NoEffect, "DROP TABLE"),
        ("fail_long", Code::NotFound, "xxx"),
        ("fail_query", Code::PackFailure, "query error"),
        ("fail_query_long", Code::PackFailure, "query error"),
    ];
    fail("forges", &cases, &[]).await;
}

#[tokio::test]
async fn what_a_run_may_say_leaves_the_host_plain() {
    let world = World::with_adversary("says").await;
    let gate = world.site.gate().await;
    for how in ["nasty", "notices", "long_summary", "outside", "injection", "suggest_other"] {
        let outcome = misbehave(&world, &gate, how).await.unwrap_or_else(|refusal| panic!("{how}: {refusal}"));
        if how != "notices" {
            plain(how, serde_json::to_string(&outcome));
        }
        assert!(outcome.notices.len() <= 100 && outcome.notices.iter().all(|n| n.chars().count() <= 2000), "{how}");
        assert!(outcome.summary.chars().count() <= 2000, "{how}");
        assert_eq!(outcome.suggestion.is_some(), matches!(how, "nasty" | "suggest_other"), "{how}");
        world.is_served(&gate).await;
    }
    // The text is an input like any other, bound and never run; what comes back loses what is quoted, as all text does.
    let echoed = misbehave(&world, &gate, "injection").await.expect("an echo");
    assert_eq!(echoed.tables[0].rows.rows[0][0].to_json(), json!("?"));
    world.ends_well(&gate, &[log::ECHO]).await;
}

#[tokio::test]
async fn a_suggestion_that_could_not_be_called_is_dropped() {
    let world = World::with_adversary("suggests").await;
    let gate = world.site.gate().await;
    for how in ["nothing", "shell", "list", "unknown", "wrong", "deep", "huge"] {
        let outcome = misbehave(&world, &gate, &format!("suggest_{how}")).await.expect(how);
        assert_eq!(outcome.suggestion, None, "{how}");
        assert_eq!(outcome.notices, ["the pack suggested a call that can't be made here"], "{how}");
        plain(how, serde_json::to_string(&outcome));
    }
    world.ends_well(&gate, &[]).await;
}

#[tokio::test]
async fn every_failure_is_on_the_record_with_its_code() {
    let world = World::with_adversary("recorded").await;
    let gate = world.site.gate().await;
    for how in ["trap", "undeclared", "v_trap", "widths"] {
        let call = site::call(&gate, "adversary.misbehave", world.target, json!({ "how": how })).await;
        let refused = call.expect_err(how);
        let lines = world.site.run(&refused.run);
        let last = lines.last().unwrap_or_else(|| panic!("{how}: nothing of run {} is on the record", refused.run));
        let code = refused.refusal.code.as_str();
        assert!(last.to_string().contains(&format!("\"{code}\"")), "{how}: {last}");
    }
    assert_ne!(world.site.record(), Vec::<Json>::new());
    world.ends_well(&gate, &[]).await;
}
