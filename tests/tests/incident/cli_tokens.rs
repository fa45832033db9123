//! A token's life beside a running server: made on the command line, used over HTTP, seen in the list, revoked and refused,
//! without a restart; and on the record, without the token.

use std::{
    fs,
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use lockgate_tests::site::Site;
use serde_json::Value as Json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Child,
};

use crate::{
    cli::assert_error,
    order::site,
    process::{lockgate, run, succeeds},
    story::os_user,
};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"wire","version":"1"}}}"#;

async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address")
}

fn listen_at(site: &Site, at: SocketAddr) {
    let config = fs::read_to_string(site.path("lockgate.toml")).expect("the configuration");
    site.write("lockgate.toml", &format!("{config}\n[mcp.http]\nlisten = \"{at}\"\n"));
}

/// The status of an `initialize` with this token; none if nobody listens.
async fn status(at: SocketAddr, token: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(at).await.ok()?;
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: \
         application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{INITIALIZE}",
        INITIALIZE.len()
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.ok()?;
    std::str::from_utf8(&head).ok()?.split(' ').nth(1)?.parse().ok()
}

async fn until(at: SocketAddr, token: &str, wanted: u16) {
    let began = Instant::now();
    loop {
        let found = status(at, token).await;
        if found == Some(wanted) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{found:?} instead of {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn serve(site: &Site) -> Child {
    lockgate(site).arg("serve").stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("it is started")
}

async fn create(site: &Site, more: &[&str]) -> (String, String) {
    let mut arguments = vec!["token", "create", "--agent", "cursor", "--json"];
    arguments.extend_from_slice(more);
    let made: Json = serde_json::from_str(&succeeds(site, &arguments).await).expect("JSON");
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("id"), text("token"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_and_goes_while_the_server_runs() {
    let site = site("tokens").await;
    let at = free_port().await;
    listen_at(&site, at);
    let said = run(lockgate(&site).arg("serve")).await;
    assert_error(&said, 2, "config_invalid", &["no agent may call over HTTP", "lockgate token create"]);

    let (first, one) = create(&site, &["--person", "ada", "--role", "oncall", "--pack", "postgres"]).await;
    let server = serve(&site);
    until(at, &one, 200).await;
    let (second, two) = create(&site, &["--target", "tokens", "--expires", "12h"]).await;
    until(at, &two, 200).await;
    assert_eq!(status(at, "lgt_nobody").await, Some(401));

    let shown = succeeds(&site, &["token", "show", &first]).await;
    for part in [&first, "valid", "cursor", "ada", "oncall", "postgres", &os_user()] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let said = run(lockgate(&site).args(["token", "revoke", &first, "--reason", "left on a train"])).await;
    assert_eq!(said.code, 0, "{said:?}");
    until(at, &one, 401).await;
    assert_eq!(status(at, &two).await, Some(200), "the other goes on");
    let listed = succeeds(&site, &["token", "list"]).await;
    assert!(listed.contains(&second) && !listed.contains(&first), "{listed}");
    let all = succeeds(&site, &["token", "list", "--all", "--json"]).await;
    let states: Vec<(String, String)> = all
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).expect("JSON"))
        .map(|t| (t["id"].as_str().expect("an id").to_owned(), t["state"].as_str().expect("a state").to_owned()))
        .collect();
    assert_eq!(states, [(second.clone(), "valid".to_owned()), (first.clone(), "revoked".to_owned())]);
    drop(server);

    let record = site.record();
    let line = |event: &str, id: &str| record.iter().find(|l| l["ev"] == event && l["token"] == id).expect("a line");
    let (created, revoked) = (line("token.created", &first), line("token.revoked", &first));
    assert_eq!((&created["by"], &created["agent"]), (&os_user().into(), &"cursor".into()), "{created}");
    assert_eq!((&revoked["by"], &revoked["reason"]), (&os_user().into(), &"left on a train".into()), "{revoked}");
    let text = serde_json::to_string(&record).expect("JSON");
    for secret in [&one, &two] {
        assert!(!text.contains(secret.as_str()) && !all.contains(secret.as_str()), "a token is shown once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_can_not_be_is_not_made() {
    let site = site("no-tokens").await;
    for (arguments, part) in [
        (&["--agent", "a", "--expires", "never"][..], "every token expires"),
        (&["--agent", "a", "--expires", "400d"], "at most 366d"),
        (&["--agent", "claude@idp.example"], "--agent"),
        (&["--agent", "a", "--person", ""], "--person"),
        (&["--agent", "a", "--pack", "post gres"], "is not a pattern"),
    ] {
        let said = run(lockgate(&site).args(["token", "create"]).args(arguments)).await;
        assert_error(&said, 2, "config_invalid", &[part]);
    }
    let said = run(lockgate(&site).args(["token", "revoke", "tok_nothing"])).await;
    assert_error(&said, 1, "not_found", &["tok_nothing", "lockgate token list"]);
    assert!(succeeds(&site, &["token", "list"]).await.contains("there is no valid token"));
    assert!(site.record().iter().all(|line| line["ev"] != "token.created"));
}
