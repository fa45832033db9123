//! Runs: all of them, narrowed down, page by page, and one with every line.

use lockgate::gate::call::{Call, Principal};
use lockgate_tests::site::{self, call_of, hold, principal};
use serde_json::json;

use super::{host, page};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_shown_with_every_line_that_the_record_has_of_it() {
    let host = host().await;
    let mut vera = host.person("vera", "viewer", &[]).await;
    assert!(page(&mut vera, "/runs").await.contains("Nothing has been run yet"));
    let gate = &host.gate;
    let reason = "the checkout is slow";
    let call = Call { reason: reason.into(), ..call_of("postgres.terminate_backend", "primary", json!({ "pid": 1 })) };
    // Whatever came of it: it is on the record.
    let _ = gate.call(&principal(), call, hold(std::time::Duration::ZERO)).await;
    let read = site::done(gate, "postgres.uptime", "primary", json!({})).await;
    let list = page(&mut vera, "/runs").await;
    assert!(list.contains(&format!("href=\"/runs/{}\"", read.run)) && list.contains("state-good\">done"), "{list}");
    for run in host.site.record().iter().filter_map(|line| line["run"].as_str().map(str::to_owned)) {
        let body = page(&mut vera, &format!("/runs/{run}")).await;
        let lines = host.site.run(&run);
        let mut before = 0;
        for line in &lines {
            let at = body.find(&format!("id=\"line-{}\"", line["seq"])).unwrap_or_else(|| panic!("{line}"));
            assert!(at > before, "in order");
            before = at;
            for value in line.as_object().expect("a line").values().filter_map(|value| value.as_str()) {
                assert!(body.contains(&super::escaped(value)), "{value} of {line}");
            }
        }
        assert_eq!(body.matches("<article").count(), lines.len(), "{run}");
    }
    let held = host.site.record().iter().find(|line| line["ev"] == "call.intent").expect("a line")["run"].clone();
    let body = page(&mut vera, &format!("/runs/{}", held.as_str().expect("a run"))).await;
    assert!(body.contains(reason) && body.contains("from the agent"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_narrowed_down_and_read_page_by_page() {
    let host = host().await;
    let mut vera = host.person("vera", "viewer", &[]).await;
    let gate = &host.gate;
    let first = site::done(gate, "postgres.uptime", "primary", json!({})).await.run;
    let other = Principal { agent: "cursor".into(), person: None, ..principal() };
    for number in 0..60 {
        let call = call_of("postgres.no_such_thing", "primary", json!({ "n": number }));
        gate.call(&other, call, hold(std::time::Duration::ZERO)).await.expect_err("refused");
    }
    let count = |body: &str| body.matches("<a href=\"/runs/run_").count();
    let newest = page(&mut vera, "/runs").await;
    assert_eq!(count(&newest), 50);
    assert!(!newest.contains("Newest"));
    let next = newest.split_once("rel=\"next\" href=\"").expect("there are more").1.split('"').next().expect("a link");
    let older = page(&mut vera, &next.replace("&amp;", "&")).await;
    assert_eq!(count(&older), 11);
    assert!(older.contains(&first) && older.contains("Newest") && !older.contains("rel=\"next\""), "{older}");
    for (query, found) in [
        ("agent=cursor&outcome=refused", 50),
        ("agent=claude", 1),
        ("agent=claud", 0),
        ("outcome=done", 1),
        ("outcome=denied", 0),
        ("action=postgres.up*", 1),
        ("action=diagnose.*", 0),
        ("target=primary&agent=claude", 1),
        ("target=elsewhere", 0),
        ("since=2001-01-01&agent=claude", 1),
        ("until=2001-01-01", 0),
    ] {
        let body = page(&mut vera, &format!("/runs?{query}")).await;
        assert_eq!(count(&body), found, "{query}");
        assert_eq!(body.contains("No run is like that"), found == 0, "{query}");
    }
    let narrowed = page(&mut vera, "/runs?agent=cursor&outcome=refused").await;
    let next = narrowed.split_once("rel=\"next\" href=\"").expect("more").1.split('"').next().expect("a link");
    assert!(
        next.contains("agent=cursor") && next.contains("outcome=refused"),
        "the next page is narrowed alike: {next}"
    );
    for (wrong, status) in [("outcome=fine", 400), ("since=soon", 400), ("from=1%20OR%201", 422)] {
        assert_eq!(vera.get(&format!("/runs?{wrong}")).await.status, status, "{wrong}");
    }
}
