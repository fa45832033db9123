//! The pages on which people look, with something to see on each: as they look.

use lockgate::store::Decision;
use lockgate_tests::site::{call, done, held};
use serde_json::json;

use super::{
    chromium::Chromium,
    night,
    tab::{DESK, assert_sound},
};
use crate::host::{ACTION, Host};

const POLICY: &str = "version = 1\n\
    [[rule]]\nname = \"nobody reindexes by day\"\nactions = [\"postgres.reindex*\"]\ndecision = \"deny\"\n\
    [[rule]]\nname = \"two for terminating\"\nactions = [\"postgres.terminate_backend\"]\ntargets = [\"prim*\"]\n\
    decision = \"approve\"\napprovals = 2\napprovers = [\"dba\"]\n";

/// Where each is, and what its pictures are called.
const PAGES: [(&str, &str); 15] = [
    ("/", "inbox-many"),
    ("/runs", "runs"),
    ("/runs?outcome=denied&agent=claude", "runs-narrowed"),
    ("/record", "record"),
    ("/catalogue", "catalogue"),
    ("/catalogue/postgres", "catalogue-pack"),
    ("/catalogue/postgres/terminate_backend", "catalogue-action"),
    ("/policy", "policy"),
    (
        "/policy?action=postgres.terminate_backend&target=primary&agent=claude&person=ada&arguments=pid%3D4471",
        "policy-asked",
    ),
    ("/targets", "targets"),
    ("/targets/primary", "target"),
    ("/principals", "principals"),
    ("/changes", "changes"),
    ("/changes?kind=logins", "changes-logins"),
    ("/standing", "standing-empty"),
];

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_looking_are_sound() {
    let (runbook, _) = night::runbook();
    let host = Host::new("primary", Some(POLICY), &runbook).await;
    host.person("grace", "admin", &["--group", "dba"]).await;
    let gate = &host.gate;
    done(gate, "postgres.activity_states", "primary", json!({})).await;
    done(gate, "postgres.idle_in_transaction", "primary", json!({})).await;
    let (one, other) = (host.victim("migrate-svc").await, host.victim("reporting").await);
    let denied = held(gate, ACTION, "primary", json!({ "pid": one.pid })).await;
    host.site.decide(&denied, Decision::Deny, "grace").await.expect("it counts");
    for pid in [one.pid, other.pid] {
        host.asked(pid).await;
    }
    for (action, arguments) in [
        ("postgres.reindex_concurrent", json!({ "schema": "public", "index": "orders_pkey" })),
        ("postgres.no_such", json!({})),
    ] {
        call(gate, action, "primary", arguments).await.expect_err("it is refused");
    }

    let chromium = Chromium::start(&host);
    let tab = chromium.person("grace", DESK).await;
    let mut wrong = Vec::new();
    for (path, name) in PAGES {
        assert_eq!(tab.open(path).await, 200, "{path}");
        wrong.extend(tab.looked_at(name).await);
    }
    let refused = host.site.record().into_iter().rfind(|line| line["ev"] == "call.refused").expect("a line");
    tab.open(&format!("/runs/{}", refused["run"].as_str().expect("a run"))).await;
    wrong.extend(tab.looked_at("run-refused").await);

    tab.open("/principals").await;
    tab.fill("Agent", "runbook-bot").await;
    tab.fill("Packs", "nothing of this name!").await;
    tab.click("Make the token").await;
    tab.says("No token was made").await;
    wrong.extend(tab.looked_at("principals-wrong").await);
    tab.fill("Packs", "postgres").await;
    tab.click("Make the token").await;
    tab.says("shown only now").await;
    wrong.extend(tab.looked_at("token-made").await);
    tab.follow("Done").await;
    wrong.extend(tab.looked_at("token").await);
    assert_sound(&wrong);
    host.close().await;
}
