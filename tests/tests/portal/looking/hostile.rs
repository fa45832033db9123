//! Everything that an agent, a pack or a database can fill, and whatever is put into an address or a form, holds markup here: on
//! every page that shows it, it comes out as text, and the page is as well formed as with honest words.

use lockgate::gate::call::{Call, Principal};
use lockgate_tests::{
    cluster,
    guest::component,
    site::{BuiltPack, call_of, hold, principal},
};
use serde_json::json;

use super::{PAGES, escaped, page};
use crate::host::Host;
use crate::{browser::encoded, html};

/// Ends an attribute and an element, and would run.
const EVIL: &str = "\"><img src=x onerror=alert(1)><script>alert(2)</script>";

/// What must not be on a page, wherever its text came from.
fn harmless(place: &str, body: &str) {
    html::check(place, body);
    for bad in ["<img", "<script>", "onerror=alert(1)>", "\u{202e}"] {
        assert!(!body.contains(bad), "{place}: {bad}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_comes_out_as_text_on_every_page() {
    let database = "\"><img src=x onerror=alert(1)>";
    let quoted = database.replace('"', "\"\"");
    cluster().await.execute(&format!("CREATE DATABASE \"{quoted}\"")).await.expect("a database of that name");
    let policy = "version = 1\n[[rule]]\nname = \"<img src=x onerror=alert(1)>\"\nactions = [\"*.held\"]\ndecision = \"approve\"\n";
    let host =
        Host::prepare(&[("primary", "postgres"), ("evil", database), ("gone", "<img src=x>")], Some(policy), "").await;
    let hidden = format!("{EVIL}\u{202e}");
    let words = [
        ("name", "evilpack"),
        ("summary", EVIL),
        ("title", EVIL),
        ("description", EVIL),
        ("side_effects", EVIL),
        ("says", &hidden),
        ("sees", EVIL),
    ];
    host.site.add(&BuiltPack::describe(component(&words).await).await);
    let host = host.start().await;
    let mut root = host.person("root", "admin", &[]).await;
    let gate = &host.gate;
    let evil = || Some(EVIL.to_owned());
    let calls = [
        call_of("evilpack.misbehave", "evil", json!({ "how": "nothing" })),
        call_of("evilpack.held", "evil", json!({ "how": "nothing" })),
        call_of("evilpack.misbehave", "gone", json!({ "how": "echo" })),
        call_of("evilpack.misbehave", "evil", json!({ "how": "fail_nasty" })),
        call_of(EVIL, EVIL, json!({ EVIL: EVIL })),
        call_of("evilpack.answer", EVIL, json!({ EVIL: EVIL })),
    ];
    let who = [principal(), Principal { agent: EVIL.into(), person: evil(), roles: vec![EVIL.into()], ..principal() }];
    let mut seen = Vec::new();
    for principal in &who {
        for call in &calls {
            let call = Call { reason: EVIL.into(), evidence: evil(), expected: evil(), ..call.clone() };
            let before = host.site.record().len();
            // Done, held, refused: each writes its own kind of line.
            let _ = gate.call(principal, call, hold(std::time::Duration::ZERO)).await;
            seen.extend(
                host.site.record().into_iter().skip(before).filter_map(|line| line["run"].as_str().map(str::to_owned)),
            );
        }
    }
    seen.dedup();
    let events: std::collections::BTreeSet<_> = host.site.record().iter().map(|line| line["ev"].to_string()).collect();
    for event in ["call.intent", "call.refused", "call.outcome", "approval.requested"] {
        assert!(events.contains(&format!("\"{event}\"")), "{event}: {events:?}");
    }
    host.browser().log_in(EVIL, EVIL).await;
    let places =
        PAGES.iter().map(|place| (*place).to_owned()).chain(seen.iter().map(|run| format!("/runs/{run}"))).chain(
            [
                "/catalogue/evilpack",
                "/catalogue/evilpack/held",
                "/catalogue/evilpack/misbehave",
                "/targets/evil",
                "/targets/gone",
                "/changes?kind=all",
            ]
            .map(str::to_owned),
        );
    let mut shown = 0;
    for place in places {
        let body = page(&mut root, &place).await;
        harmless(&place, &body);
        shown += usize::from(body.contains(&escaped("<img src=x")));
    }
    // The words did come: on the runs' pages, the lists, the catalogue, the targets, the record.
    assert!(shown >= seen.len() + 8, "{shown} of {}", seen.len());
    for (place, whose) in [
        ("/catalogue/evilpack", "from the pack"),
        ("/catalogue/evilpack/held", "from the pack"),
        ("/targets/evil", "from the database"),
        ("/targets/gone", "from the database"),
        ("/runs", "from the pack"),
        ("/runs", "from the agent"),
    ] {
        let body = page(&mut root, place).await;
        assert!(body.contains(whose) && body.contains(&escaped("<img src=x")), "{place}: {whose}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_comes_back_as_text() {
    let host = super::host().await;
    let mut root = host.person("root", "admin", &[]).await;
    for (place, fields) in [
        ("/runs", &["action", "target", "agent", "outcome", "since", "until", "from"][..]),
        ("/changes", &["kind", "who", "since", "until", "from"]),
        ("/policy", &["action", "target", "place", "agent", "person", "roles", "arguments", "at"]),
    ] {
        for field in fields {
            let asked = format!("{place}?{}", encoded(&[(field, EVIL)]));
            let reply = root.get(&asked).await;
            assert!([200, 400, 422].contains(&reply.status), "{asked}: {}", reply.status);
            harmless(&asked, &reply.body);
        }
        let all: Vec<_> = fields.iter().map(|field| (*field, EVIL)).collect();
        harmless(place, &root.get(&format!("{place}?{}", encoded(&all))).await.body);
    }
    for place in ["/runs/", "/catalogue/", "/catalogue/postgres/", "/targets/", "/principals/tokens/"] {
        let asked = format!("{place}{}", encoded(&[("x", EVIL)]).trim_start_matches("x="));
        let reply = root.get(&asked).await;
        assert_eq!(reply.status, 404, "{asked}");
        harmless(&asked, &reply.body);
    }
    let fields = ["agent", "person", "roles", "packs", "targets", "expires"].map(|field| (field, EVIL));
    let reply = root.submit("/principals", "/principals/tokens", &fields).await;
    assert_eq!(reply.status, 422);
    harmless("a token's form", &reply.body);
    assert!(reply.body.contains(&escaped(EVIL)), "what was given is there to be mended");
}
