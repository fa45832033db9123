//! What agents and their clients are given: tokens, and the files that clients read.

use lockgate_tests::session::run;
use serde_json::Value as Json;

use crate::{
    walk::Walk,
    world::{LOCKGATE, desk_of, site},
};

#[test]
fn a_token_is_made_and_clients_are_told_where_to_go() {
    run(async {
        let site = site("[mcp.http]\nlisten = \"127.0.0.1:7432\"").await;
        let mut desk = desk_of(&site);
        let mut walk = Walk::of("docs/mcp.md", &mut desk);
        let made = walk.next("lockgate token create").await.out;
        assert!(made.contains("lgt_"), "{made}");
        let listed = walk.desk.succeeds("lockgate token list --json").await;
        let token: Json = serde_json::from_str(&listed).expect("one of them");
        assert_eq!((&token["agent"], &token["person"]), (&"claude-oncall".into(), &"ana".into()), "{token}");
        let id = token["id"].as_str().expect("an id").to_owned();
        assert!(walk.desk.succeeds(&format!("lockgate token show {id}")).await.contains("oncall"));
        walk.desk.succeeds(&format!("lockgate token revoke {id}")).await;
        assert!(walk.desk.succeeds("lockgate token list").await.contains("there is no valid token"));
        assert!(walk.desk.succeeds("lockgate token new").await.contains("token_sha256"));

        // What a client pastes is compared with what the page shows of it.
        walk.own("/etc/lockgate/lockgate.toml", site.path("lockgate.toml").display().to_string());
        walk.own("/usr/local/bin/lockgate", LOCKGATE);
        walk.next("lockgate --config").await;
        walk.next("lockgate mcp config --client codex").await;
        let http = walk.desk.succeeds("lockgate mcp config --client claude --transport http").await;
        assert!(http.contains("http://127.0.0.1:7432/mcp"), "{http}");
    });
}
