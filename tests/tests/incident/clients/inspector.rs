//! The MCP Inspector's command line: it lists and calls over both transports. It finds lockgate by the very file that
//! `lockgate mcp config` prints, and in strict mode it has nothing to say about the tools' schemas.

use lockgate_tests::{
    clients::{installed, node},
    site::Site,
};
use serde_json::{Value as Json, json};
use tokio::process::Command;

use crate::{
    door::{Served, free_port},
    order::server,
    process::succeeds,
};

const WHY: &str = "a look around with the Inspector";

/// Runs the Inspector, which must succeed, and returns the result that it prints.
async fn inspect(home: &Site, arguments: &[&str]) -> Json {
    let output = Command::new(node())
        .arg(installed("js/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"))
        .args(["--cli", "--format", "json", "--quiet"])
        .args(arguments)
        .env("HOME", home.path(""))
        .env("MCP_INSPECTOR_SECRET_STORE", "memory")
        .env("LOCKGATE_LOG", "warn")
        .kill_on_drop(true)
        .output()
        .await
        .expect("the Inspector can be started");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {} {out} {err}", output.status);
    let said: Json = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {out}"));
    said["result"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inspector_lists_and_calls_over_both_transports() {
    let port = free_port();
    let (token, sha256) = lockgate::mcp::token::generate().expect("a token");
    let more = format!(
        "[mcp.http]\nlisten = \"127.0.0.1:{port}\"\n[[mcp.agent]]\nname = \"inspector\"\ntoken_sha256 = \"{sha256}\"\n"
    );
    let settings = server().await.target("inspected", "agent", "postgres");
    let site = Site::with_stock_packs(&[settings], &more).await;
    site.write("mcp.json", &succeeds(&site, &["mcp", "config", "--client", "json"]).await);
    let served = Served::start(&site, port).await;

    let file = site.path("mcp.json");
    let stdio = ["--config", file.to_str().expect("a path"), "--server", "lockgate"];
    let (url, header) = (format!("http://127.0.0.1:{port}/mcp"), format!("Authorization: Bearer {token}"));
    let http = ["--transport", "http", "--server-url", &url, "--header", &header];
    let call = json!({ "reason": WHY }).to_string();
    for (place, eras) in [(&stdio[..], &["legacy", "modern"][..]), (&http[..], &["legacy", "modern"][..])] {
        for &era in eras {
            let place = [place, &["--protocol-era", era]].concat();
            let listed = inspect(&site, &[&place[..], &["--method", "tools/list", "--strict"]].concat()).await;
            let tools = listed["tools"].as_array().expect("a list");
            for tool in ["postgres.uptime", "diagnose.lock_pileup", "lockgate.await_approval"] {
                assert!(tools.iter().any(|listed| listed["name"] == tool), "{tool} over {place:?}");
            }
            assert!(tools.iter().all(|tool| tool["outputSchema"].is_object() && tool["title"].is_string()));
        }
        let called = ["--method", "tools/call", "--tool-name", "postgres.uptime", "--tool-args-json", &call];
        let result = inspect(&site, &[place, &called].concat()).await;
        let answer = &result["structuredContent"];
        assert_eq!((&answer["status"], &answer["target"]), (&json!("done"), &json!("inspected")), "{result}");
        assert!(result["content"][0]["text"].as_str().is_some_and(|text| text.contains("server_version|")), "{result}");
    }
    drop(served);
    let agents: Vec<Json> =
        site.record().iter().filter(|line| line["ev"] == "call.intent").map(|l| l["agent"].clone()).collect();
    assert_eq!(agents, [json!("claude"), json!("inspector")]);
}
