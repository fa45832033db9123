//! A principal's own runs, from the record of a real gate: also those of other processes and of before a restart, and
//! nobody else's.

use lockgate::{
    error::Code,
    gate::call::{Principal, Scope},
    runs::{RunFilter, RunState},
    store::Decision,
};
use lockgate_tests::{
    AGENT,
    answers::refused,
    site::{APPROVER, Site, call, done, ended, held, principal},
};
use serde_json::json;

use crate::world::{app, gone, run, world};

#[test]
fn what_was_done_is_found_again() {
    run(async {
        let world = world().await;
        let site = Site::with_stock_pack(&[world.primary.target("primary", AGENT, "shop")], "").await;
        let gate = site.gate().await;
        let read = done(&gate, "postgres.uptime", "primary", json!({})).await;
        let wrong = call(&gate, "postgres.uptime", "primary", json!({ "nonsense": 1 })).await.expect_err("refused").run;
        let victim = app("looked-back-at").await;
        let approval = held(&gate, "postgres.terminate_backend", "primary", json!({ "pid": victim.pid })).await;
        let page = gate.recent_runs(&principal(), RunFilter::default()).await.expect("the runs");
        let states: Vec<_> = page.runs.iter().map(|run| run.state).collect();
        assert_eq!(states, [RunState::Held, RunState::Refused, RunState::Done]);
        assert_eq!((&page.runs[1].run, &page.runs[2].run), (&wrong, &read.run));
        assert_eq!(page.runs[2].summary.as_deref(), Some(read.summary.as_str()));
        assert_eq!(page.runs[0].approval.as_deref(), Some(approval.as_str()));
        assert_eq!(page.next, None);

        // Another process of the same host, as the approver's command line is one.
        site.approve(&approval).await;
        ended(&gate, &approval).await.expect("it is carried out");
        gone(victim.pid).await;
        let found = gate.run_record(&principal(), &page.runs[0].run).await.expect("the run");
        assert_eq!((found.run.state, found.run.action.as_str()), (RunState::Done, "postgres.terminate_backend"));
        let by_hand = site
            .record()
            .into_iter()
            .filter(|line| line["run"] == json!(found.run.run) || line["approval"] == json!(approval));
        assert_eq!(
            found.lines,
            by_hand.collect::<Vec<_>>(),
            "every line of the run and of its approval, word for word"
        );

        let second = app("spared").await;
        let denied = held(&gate, "postgres.terminate_backend", "primary", json!({ "pid": second.pid })).await;
        site.decide(&denied, Decision::Deny, APPROVER).await.expect("it is denied");
        assert_eq!(refused(ended(&gate, &denied).await).0, Code::ApprovalDenied);
        drop(gate);
        std::fs::remove_file(site.path("state/index.db")).expect("the index may be deleted");
        let gate = site.gate().await;
        let filter = RunFilter { action: Some("*.terminate_backend".into()), ..RunFilter::default() };
        let page = gate.recent_runs(&principal(), filter).await.expect("the runs");
        assert_eq!(page.runs.iter().map(|run| run.state).collect::<Vec<_>>(), [RunState::Denied, RunState::Done]);

        for stranger in [
            Principal { agent: "cursor".into(), ..principal() },
            Principal { person: Some("bob".into()), ..principal() },
            Principal { person: None, ..principal() },
            Principal { scope: Scope { targets: Some(vec!["other".into()]), packs: None }, ..principal() },
            Principal { scope: Scope { packs: Some(vec!["other".into()]), targets: None }, ..principal() },
        ] {
            let none = gate.recent_runs(&stranger, RunFilter::default()).await.expect("the runs");
            assert!(none.runs.is_empty(), "{stranger:?}");
            let hidden = gate.run_record(&stranger, &read.run).await.expect_err("not theirs");
            let absent = gate.run_record(&stranger, "run_0").await.expect_err("not there");
            assert_eq!(hidden.code, Code::UnknownRun);
            assert_eq!(hidden.message.replace(&read.run, "run_0"), absent.message, "told apart by nothing");
        }
    });
}
