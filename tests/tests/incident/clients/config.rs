//! `lockgate mcp config`: what it prints is what a client reads, starts lockgate from anywhere, and holds no secret.

use std::path::Path;

use lockgate_tests::{clients::Script, site::Site};
use serde_json::{Value as Json, json};

use crate::{
    cli::assert_error,
    door::{Served, free_port},
    order::{server, site},
    process::{bare, lockgate, run, succeeds},
};

/// What a client is told of its servers, in the form of that client.
async fn printed(site: &Site, client: &str, more: &[&str]) -> Json {
    let said = run(lockgate(site).args(["mcp", "config", "--client", client]).args(more)).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.starts_with("This goes into "), "{said:?}");
    let file: Json = if client == "codex" {
        toml::from_str(&said.out).expect("TOML and nothing else")
    } else {
        serde_json::from_str(&said.out).expect("JSON and nothing else")
    };
    let key = match client {
        "codex" => "mcp_servers",
        "vscode" => "servers",
        _ => "mcpServers",
    };
    file[key].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pasted_starts_lockgate() {
    let site = site("pasted").await;
    for client in ["claude", "cursor", "vscode", "codex", "json"] {
        let servers = printed(&site, client, &["--name", "gate"]).await;
        let gate = &servers["gate"];
        assert_eq!(servers.as_object().map(serde_json::Map::len), Some(1), "{servers}");
        let command = Path::new(gate["command"].as_str().expect("a command"));
        assert_eq!(command, Path::new(env!("CARGO_BIN_EXE_lockgate_cli")).canonicalize().expect("a path"));
        let config = site.path("lockgate.toml").canonicalize().expect("a path");
        assert_eq!(gate["args"], json!(["mcp", "--config", config]), "{client}");
    }
    // The file as it is printed, read by a client that is started in another directory.
    site.write("mcp.json", &succeeds(&site, &["mcp", "config", "--client", "claude"]).await);
    lists_the_tools(&site, "lockgate", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pasted_finds_a_server_and_holds_no_token() {
    let port = free_port();
    let (token, sha256) = lockgate::mcp::token::generate().expect("a token");
    let more = format!(
        "[mcp.http]\nlisten = \"127.0.0.1:{port}\"\n[[mcp.agent]]\nname = \"far\"\ntoken_sha256 = \"{sha256}\"\n"
    );
    let settings = server().await.target("pasted", "agent", "postgres");
    let site = Site::with_stock_pack(&[settings], &more).await;
    for client in ["claude", "cursor", "vscode", "codex", "json"] {
        let servers = printed(&site, client, &["--transport", "http"]).await;
        assert_eq!(servers["lockgate"]["url"], format!("http://127.0.0.1:{port}/mcp"), "{client}");
        let text = servers.to_string();
        assert!(!text.contains("lgt_") && !text.contains(&sha256), "{text}");
        let elsewhere = printed(&site, client, &["--transport", "http", "--url", "https://gate.example.com"]).await;
        assert_eq!(elsewhere["lockgate"]["url"], "https://gate.example.com/mcp", "{client}");
    }
    let _served = Served::start(&site, port).await;
    let file = succeeds(&site, &["mcp", "config", "--client", "claude", "--transport", "http"]).await;
    site.write("mcp.json", &file);
    lists_the_tools(&site, "lockgate", &token).await;
}

/// Lets a client read the site's `mcp.json` and list what it finds there.
async fn lists_the_tools(site: &Site, name: &str, token: &str) {
    let file = site.path("mcp.json").to_str().expect("a path").to_owned();
    let mut client = Script::javascript("pasted.mjs", &[file], token);
    let tools = client.hears("tools").await;
    assert_eq!(tools["server"], name);
    assert!(tools["names"].as_array().is_some_and(|names| names.contains(&json!("postgres.uptime"))), "{tools}");
    client.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_work_is_not_printed() {
    let site = site("refused").await;
    let refused = async |more: &[&str], parts: &[&str]| {
        let said = run(lockgate(&site).args(["mcp", "config", "--client", "claude"]).args(more)).await;
        assert_error(&said, 2, "config_invalid", parts);
        assert_eq!(said.out, "", "{more:?}");
    };
    refused(&["--url", "https://gate.example.com"], &["--transport http"]).await;
    refused(&["--transport", "http", "--url", "gate.example.com"], &["https://"]).await;
    refused(&["--transport", "http", "--url", "https://me:lgt_x@gate.example.com"], &["a name"]).await;
    refused(&["--name", "my gate"], &["my gate"]).await;
    let said = run(bare().args(["--config", "nowhere.toml", "mcp", "config", "--client", "claude"])).await;
    assert_error(&said, 2, "config_invalid", &["nowhere.toml"]);
}
