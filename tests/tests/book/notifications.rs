//! People are told: by a channel with the page's secret, and in a terminal that somebody watches.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use lockgate_tests::session::run;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    walk::Walk,
    world::{agent, desk_of, idle, site},
};

/// Where messages are taken, and those that were.
async fn receiver() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = format!("http://{}/lockgate", listener.local_addr().expect("an address"));
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    let take = async move |body: Bytes| {
        kept.lock().expect("nobody panicked").push(String::from_utf8_lossy(&body).into_owned());
        StatusCode::NO_CONTENT
    };
    let router = Router::new().route("/lockgate", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (at, taken)
}

#[test]
fn a_channel_is_tried_and_a_request_is_seen_as_it_comes() {
    run(async {
        let (hook, taken) = receiver().await;
        let channel = format!(
            "[[notify]]\nname = \"oncall\"\nkind = \"webhook\"\nurl = \"{hook}\"\nsecret_file = \"oncall.secret\"\n"
        );
        let site = site(&channel).await;
        let mut desk = desk_of(&site);
        let mut walk = Walk::of("docs/notifications.md", &mut desk);
        walk.next("printf").await;
        let sent = walk.desk.succeeds("lockgate notify test").await;
        assert!(sent.starts_with("ok      oncall (webhook)"), "{sent}");
        assert_eq!(taken.lock().expect("nobody panicked").len(), 1);

        let agent = agent(walk.desk).await;
        let mut watched = walk.starts("lockgate approvals watch");
        let victim = idle("payroll").await;
        let held = agent.asks("postgres.terminate_backend", "primary", json!({ "pid": victim.pid })).await;
        watched.says(held["approval_id"].as_str().expect("an id")).await;
        watched.interrupted().await;
    });
}
