//! What a credential does not open does not exist for its bearer: no list, no call, no suggestion and no held request of
//! its own tells it from what there never was.

use std::{collections::BTreeSet, time::Duration};

use lockgate::{
    error::Code,
    gate::call::{Answer, Principal, Scope},
};
use lockgate_tests::site::{call_of, held, hold, principal};
use serde_json::json;

use crate::world::{app, run, world};

fn bounded(packs: Option<&str>, targets: Option<&str>) -> Principal {
    let list = |pattern: Option<&str>| pattern.map(|pattern| vec![pattern.to_owned()]);
    Principal { scope: Scope { packs: list(packs), targets: list(targets) }, ..principal() }
}

#[test]
fn outside_a_scope_nothing_is_offered() {
    run(async {
        let gate = &world().await.gate;
        assert!(!gate.offers(&bounded(Some("postgr*"), None)).is_empty());
        assert!(gate.offers(&bounded(Some("postgr"), None)).is_empty());
        assert!(gate.offers(&bounded(None, Some("nowhere"))).is_empty());
        let offers = gate.offers(&bounded(None, Some("pri*")));
        let targets: BTreeSet<_> = offers.iter().flat_map(|o| &o.targets).map(|t| t.name.as_str()).collect();
        assert_eq!(targets, BTreeSet::from(["primary"]));
    });
}

#[test]
fn outside_a_scope_everything_is_refused_as_what_does_not_exist() {
    run(async {
        let world = world().await;
        let refusal = async |who: &Principal, action: &str, target: &str| {
            let call = call_of(action, target, json!({}));
            world.gate.call(who, call, hold(Duration::ZERO)).await.expect_err("it is outside").refusal
        };
        // The same words, but for the name that was asked for; and no name of anything that is there.
        let blind = bounded(Some("other"), None);
        let (real, made_up) =
            (refusal(&blind, "postgres.uptime", "primary").await, refusal(&blind, "postgres.uptoll", "primary").await);
        assert_eq!((real.code, &real.remedy), (Code::UnknownAction, &made_up.remedy));
        assert_eq!(real.message.replace("uptime", "uptoll"), made_up.message);
        let near = refusal(&principal(), "postgres.uptime_", "primary").await;
        assert!(near.remedy.contains("postgres.uptime"), "{near}");
        let near = refusal(&blind, "postgres.uptime_", "primary").await;
        assert!(!near.remedy.contains("uptime"), "{near}");

        let narrow = bounded(None, Some("primary"));
        let (real, made_up) = (
            refusal(&narrow, "postgres.uptime", "standby").await,
            refusal(&narrow, "postgres.uptime", "standbx").await,
        );
        assert_eq!((real.code, &real.remedy), (Code::UnknownTarget, &made_up.remedy));
        assert_eq!(real.message.replace("standby", "standbx"), made_up.message);
        assert!(real.remedy.ends_with("use one of: primary"), "{real}");
        // What is wrong in the arguments of a hidden action is not said either.
        let malformed = world.gate.refuse(&blind, &call_of("postgres.uptime", "primary", json!({})), Vec::new()).await;
        assert_eq!(malformed.refusal.code, Code::UnknownAction);

        // The one target that is left is the default.
        let mut call = call_of("postgres.uptime", "primary", json!({}));
        call.target = None;
        let answer = world.gate.call(&narrow, call.clone(), hold(Duration::ZERO)).await;
        assert!(matches!(answer, Ok(Answer::Done(outcome)) if outcome.target == "primary"));
        let several = world.gate.call(&principal(), call, hold(Duration::ZERO)).await;
        assert_eq!(several.expect_err("there are several").refusal.code, Code::UnknownTarget);
    });
}

#[test]
fn a_held_call_is_out_of_sight_of_a_narrower_credential() {
    run(async {
        let world = world().await;
        let victim = app("narrower").await;
        victim.execute("BEGIN; SELECT 1").await;
        let approval = held(&world.gate, "postgres.terminate_backend", "primary", json!({ "pid": victim.pid })).await;
        for narrower in [bounded(Some("diagnose"), None), bounded(None, Some("standby"))] {
            let answer = world.gate.await_approval(&narrower, &approval, hold(Duration::ZERO)).await;
            assert_eq!(answer.expect_err("it is out of sight").refusal.code, Code::UnknownApproval);
        }
        let wide = bounded(Some("postgres"), Some("primary"));
        let answer = world.gate.await_approval(&wide, &approval, hold(Duration::ZERO)).await;
        assert!(matches!(answer, Ok(Answer::Pending(_))), "{answer:?}");
        assert!(victim.lives().await);
    });
}
