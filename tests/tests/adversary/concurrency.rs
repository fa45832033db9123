//! Twenty hostile calls at once beside honest ones: the honest ones are all answered, and the hostile ones each fail with the
//! code that they fail with alone.

use std::{sync::Arc, time::Duration};

use lockgate::error::Code;
use lockgate_tests::site;
use serde_json::json;

use crate::{log, world::World};

const HOSTILE: &[(&str, Code)] = &[
    ("loop", Code::PackTimeout),
    ("grow", Code::PackLimit),
    ("recurse", Code::PackLimit),
    ("trap", Code::PackTrap),
    ("reenter", Code::PackTrap),
    ("flood", Code::PackLimit),
    ("huge_summary", Code::PackLimit),
    ("undeclared", Code::UndeclaredStatement),
    ("twice", Code::PackTrap),
    ("often", Code::OutputTooLarge),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_hostile_calls_do_not_keep_an_honest_one_from_its_answer() {
    let world = Arc::new(World::with_adversary("concurrent").await);
    let gate = world.site.gate().await;
    let hostile: Vec<_> = HOSTILE
        .iter()
        .chain(HOSTILE)
        .map(|(how, code)| {
            let (gate, target) = (Arc::clone(&gate), world.target);
            tokio::spawn(async move {
                let call = site::call(&gate, "adversary.misbehave", target, json!({ "how": how })).await;
                (*how, *code, call.map_err(|refused| refused.refusal.code))
            })
        })
        .collect();
    let honest: Vec<_> = (0..40)
        .map(|_| {
            let (gate, world) = (Arc::clone(&gate), Arc::clone(&world));
            tokio::spawn(async move { world.is_served(&gate).await })
        })
        .collect();
    // A worker thread is held by a spinning guest for a tick of ten milliseconds, not for its two seconds.
    let all = tokio::time::timeout(Duration::from_secs(30), async {
        for call in honest {
            call.await.expect("an honest call is answered");
        }
    });
    all.await.expect("the honest calls are answered in time");
    for call in hostile {
        let (how, code, answer) = call.await.expect("a hostile call ends");
        assert_eq!(answer.expect_err(how), code, "{how}");
    }
    world.ends_well(&gate, &[log::MANY]).await;
}
