//! The pages on which people look, served by the whole program over a real server: that each is there, whole, well formed, for
//! whom it should be; that what others wrote comes out as text; that what they say is so.

mod hostile;
mod record;
mod runs;
mod tokens;

use lockgate::statement::Variant;
use lockgate_tests::site::{self, stock_pack};
use serde_json::json;

use crate::{browser::Browser, host::Host, html};

/// A policy with a rule of each kind.
const POLICY: &str = "version = 1\n\
    [[rule]]\nname = \"nobody reindexes\"\nactions = [\"postgres.reindex*\"]\ndecision = \"deny\"\n\
    [[rule]]\nname = \"two for terminating\"\nactions = [\"postgres.terminate_backend\"]\ntargets = [\"prim*\"]\n\
    decision = \"approve\"\napprovals = 2\n";

/// Pages that are there on every host with the stock pack and a target `primary`.
const PAGES: [&str; 12] = [
    "/runs",
    "/record",
    "/catalogue",
    "/catalogue/postgres",
    "/catalogue/postgres/terminate_backend",
    "/catalogue/postgres/locks",
    "/policy",
    "/targets",
    "/targets/primary",
    "/principals",
    "/changes",
    "/changes?kind=logins",
];

async fn host() -> Host {
    Host::prepare(&[("primary", "postgres")], Some(POLICY), "").await.start().await
}

/// A page that must be there and be in order.
async fn page(browser: &mut Browser, place: &str) -> String {
    let reply = browser.get(place).await;
    assert_eq!(reply.status, 200, "{place}: {}", reply.body);
    html::check(place, &reply.body);
    reply.body
}

/// Text as a page has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_there_for_whoever_is_logged_in_and_for_nobody_else() {
    let host = host().await;
    let mut nobody = host.browser();
    let gate = &host.gate;
    let run = site::done(gate, "postgres.uptime", "primary", json!({})).await.run;
    let of_run = format!("/runs/{run}");
    for place in PAGES.iter().copied().chain([of_run.as_str()]) {
        let reply = nobody.get(place).await;
        assert_eq!((reply.status, reply.to().starts_with("/login?next=")), (303, true), "{place}");
    }
    for (name, role) in [("vera", "viewer"), ("aron", "approver"), ("root", "admin")] {
        let mut browser = host.person(name, role, &[]).await;
        for place in PAGES.iter().copied().chain([of_run.as_str()]) {
            let body = page(&mut browser, place).await;
            let shows = body.contains("action=\"/principals/tokens\"");
            assert_eq!(shows, role == "admin" && place == "/principals", "{role} {place}");
            let first = place.split(['/', '?']).nth(1).unwrap_or_default();
            let here = format!("href=\"/{first}\" aria-current=\"page\"");
            assert!(body.contains(&here), "{place}: the way around says where one is");
        }
        for nowhere in [
            "/runs/run_0",
            "/catalogue/nothing",
            "/catalogue/postgres/nothing",
            "/catalogue/postgres/..%2f..%2fetc",
            "/targets/nowhere",
            "/principals/tokens/tok_0",
        ] {
            let reply = browser.get(nowhere).await;
            assert_eq!(reply.status, 404, "{nowhere}");
            html::check(nowhere, &reply.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_has_every_statement_word_for_word() {
    let host = host().await;
    let mut vera = host.person("vera", "viewer", &[]).await;
    let gate = &host.gate;
    let rules = gate.rules();
    let (mut actions, mut texts) = (0, 0);
    for entry in rules.catalog.entries() {
        let declared = entry.action.declared();
        let body = page(&mut vera, &format!("/catalogue/postgres/{}", declared.name)).await;
        actions += 1;
        assert!(body.contains(&format!("{} risk", declared.risk.as_str())), "{}", entry.name);
        for param in &declared.params {
            assert!(body.contains(&format!("<code>{}</code>", param.name)), "{} {}", entry.name, param.name);
        }
        for statement in entry.action.statements().into_values() {
            for Variant { sql, .. } in &statement.declaration().variants {
                texts += 1;
                assert!(body.contains(&escaped(sql)), "{} {}: {sql}", entry.name, statement.declaration().id);
            }
        }
    }
    assert!(actions > 30 && texts > actions, "{actions} actions, {texts} statements");
    let body = page(&mut vera, "/catalogue/postgres").await;
    let digest = rules.catalog.pack("postgres").expect("the stock pack").digest().to_owned();
    for part in [digest.as_str(), "state-good\">trusted", "tests, key", &stock_pack().await.declaration.manifest_sha256]
    {
        assert!(body.contains(part), "{part}");
    }
    // Trust is asked for anew: a digest that was revoked a moment ago is not trusted, whether or not the reload is through.
    host.site.write("trust.toml", &format!("{}[revoked]\ndigests = [\"{digest}\"]\n", host.site.trust()));
    let body = vera.get("/catalogue/postgres").await;
    let refused = body.status == 404 || body.body.contains("not trusted");
    assert!(refused, "{}", body.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_is_shown_rule_by_rule_and_says_what_becomes_of_a_call() {
    let host = host().await;
    let mut vera = host.person("vera", "viewer", &[]).await;
    let body = page(&mut vera, "/policy").await;
    let digest = host.gate.rules().policy.digest().to_owned();
    for part in [
        "nobody reindexes",
        "two for terminating",
        "postgres.reindex*",
        "This file is in force",
        &digest,
        &escaped("name = \"two for terminating\""),
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    let asked = "/policy?action=postgres.terminate_backend&target=primary&agent=claude&person=ada&arguments=pid%3D42";
    let body = page(&mut vera, asked).await;
    for part in ["state-open\">approve", "2 people", "matches and decides", "nobody reindexes", "does not hold"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    let body = page(&mut vera, "/policy?action=postgres.uptime&target=primary&agent=claude").await;
    assert!(body.contains("state-good\">allow") && body.contains("no rule matches for certain"), "{body}");
    for (wrong, part) in [
        ("action=postgres.terminate_backend&target=primary&agent=a", "pid"),
        ("action=postgres.nothing&target=primary&agent=a", "no action"),
        ("action=postgres.uptime&target=primary&agent=a&arguments=x", "name=value"),
        ("action=postgres.uptime&target=primary&agent=a&at=soon", "is no time"),
    ] {
        let body = page(&mut vera, &format!("/policy?{wrong}")).await;
        assert!(body.contains("It can&#39;t be told") || body.contains("It can't be told"), "{wrong}: {body}");
        assert!(body.contains(part), "{wrong}: {body}");
    }
    // Asking is no call: nothing of it is on the record.
    assert!(!host.site.record().iter().any(|line| line["ev"].as_str().is_some_and(|ev| ev.starts_with("call."))));
    // What can't be used is said, and what was read before is shown as in force.
    host.site.write("policy.toml", "version = 1\nnonsense = true\n");
    let body = page(&mut vera, "/policy").await;
    assert!(body.contains("The file can't be used") || body.contains("The file can&#39;t be used"), "{body}");
    assert!(body.contains("nonsense") && body.contains("two for terminating") && body.contains(&digest), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_say_how_they_are() {
    let host =
        Host::prepare(&[("primary", "postgres"), ("gone", "no_such_database")], Some(POLICY), "").await.start().await;
    let mut vera = host.person("vera", "viewer", &[]).await;
    let began = std::time::Instant::now();
    let list = loop {
        let body = page(&mut vera, "/targets").await;
        if !body.contains("not asked yet") {
            break body;
        }
        assert!(began.elapsed().as_secs() < 30, "{body}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    let major = lockgate_tests::cluster().await.major();
    for part in ["state-good\">reachable", "state-bad\">unreachable", "primary", &format!("PostgreSQL {major}.")] {
        assert!(list.contains(part), "{part}: {list}");
    }
    let one = page(&mut vera, "/targets/primary").await;
    for part in ["idle", "/catalogue/postgres", "from the database", "agent"] {
        assert!(one.contains(part), "{part}: {one}");
    }
    let gone = page(&mut vera, "/targets/gone").await;
    assert!(gone.contains("no_such_database") && gone.contains("from the database"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_change_history_tells_who_changed_what() {
    let host = host().await;
    let mut vera = host.person("vera", "viewer", &[]).await;
    let body = page(&mut vera, "/changes").await;
    for part in ["An account was made", "Another policy is in force", "A pack came in", "A password was set", "vera"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    assert!(!body.contains("Somebody logged in"), "logins are left out unless they are asked for");
    host.browser().log_in("vera", "a wrong one that is long").await;
    let logins = page(&mut vera, "/changes?kind=logins").await;
    assert!(logins.contains("A login failed") && !logins.contains("A pack came in"), "{logins}");
    let policy = page(&mut vera, "/changes?kind=policy").await;
    assert!(policy.contains("two for terminating") && !policy.contains("An account was made"), "{policy}");
    let about = page(&mut vera, "/changes?who=vera").await;
    assert!(about.contains("An account was made") && !about.contains("Another policy"), "{about}");
    let none = page(&mut vera, "/changes?until=2001-01-01").await;
    assert!(none.contains("No change is like that"), "{none}");
    for (wrong, status) in [("kind=others", 400), ("since=soon", 400), ("from=x", 422)] {
        assert_eq!(vera.get(&format!("/changes?{wrong}")).await.status, status, "{wrong}");
    }
}
