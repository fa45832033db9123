//! Request lines and header fields: who asks, which host, which revision, which tool, and in which form.

use lockgate::mcp::McpSettings;

use super::{Attempt, World, attempt};
use crate::wire::modern;

#[tokio::test]
async fn nobody_is_let_in_by_anything_but_one_token() {
    let world = World::open("hostile_tokens", McpSettings::default()).await;
    let attempts: &[Attempt] = &[
        ("no token", 401, |r| r.remove("Authorization")),
        ("a scheme alone", 401, |r| r.set("Authorization", "Bearer")),
        ("an empty token", 401, |r| r.set("Authorization", "Bearer ")),
        ("another scheme", 401, |r| r.set("Authorization", r.field("Authorization").replace("Bearer", "Basic"))),
        ("no scheme", 401, |r| r.set("Authorization", r.field("Authorization").replace("Bearer ", ""))),
        ("a token of this form that nobody has", 401, |r| {
            r.set("Authorization", format!("Bearer lgt_{}", "A".repeat(43)));
        }),
        ("one character more", 401, |r| r.set("Authorization", r.field("Authorization") + "A")),
        ("one character less", 401, |r| {
            let token = r.field("Authorization");
            r.set("Authorization", &token[..token.len() - 1]);
        }),
        ("letters of the other case", 401, |r| {
            let token = r.field("Authorization").replace("Bearer ", "");
            let swapped =
                |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            r.set("Authorization", format!("Bearer {}", token.chars().map(swapped).collect::<String>()));
        }),
        ("a token and more", 401, |r| r.set("Authorization", r.field("Authorization") + " x")),
        ("a list of tokens", 401, |r| r.set("Authorization", format!("{0}, {0}", r.field("Authorization")))),
        ("the field twice", 401, |r| r.add("Authorization", r.field("Authorization"))),
        ("a wrong token, then the right one", 401, |r| r.add_first("Authorization", "Bearer lgt_wrong")),
        ("the right token, then a wrong one", 401, |r| r.add("Authorization", "Bearer lgt_wrong")),
        ("a tab before the token", 401, |r| {
            r.set("Authorization", r.field("Authorization").replace("Bearer ", "Bearer\t"));
        }),
        ("bytes that are no text", 401, |r| r.set("Authorization", b"Bearer lgt_\xff\xfe")),
        ("a token of 20,000 bytes", 401, |r| r.set("Authorization", format!("Bearer {}", "a".repeat(20_000)))),
        ("for a proxy", 401, |r| {
            r.add("Proxy-Authorization", r.field("Authorization"));
            r.remove("Authorization");
        }),
        ("as a cookie", 401, |r| {
            r.add("Cookie", r.field("Authorization").replace("Bearer ", "token="));
            r.remove("Authorization");
        }),
        ("in the target", 401, |r| {
            r.target = format!("/mcp?access_token={}", r.field("Authorization").replace("Bearer ", ""));
            r.remove("Authorization");
        }),
        ("as a user name in the target", 400, |r| {
            r.target = format!("http://{}@127.0.0.1/mcp", r.field("Authorization").replace("Bearer ", ""));
            r.remove("Authorization");
        }),
    ];
    attempt(&world, &world.intact(), attempts).await;
}

#[tokio::test]
async fn hosts_origins_paths_and_methods_are_what_they_should_be() {
    let world = World::open("hostile_hosts", McpSettings::default()).await;
    let attempts: &[Attempt] = &[
        ("no Host", 400, |r| r.remove("Host")),
        ("an empty Host", 400, |r| r.set("Host", "")),
        ("another Host", 403, |r| r.set("Host", "evil.example")),
        ("our Host as a prefix", 403, |r| r.set("Host", "127.0.0.1.evil.example")),
        ("our Host as a user", 403, |r| r.set("Host", "127.0.0.1@evil.example")),
        ("another loopback address", 403, |r| r.set("Host", "127.0.0.2")),
        ("two Hosts, ours first", 400, |r| r.add("Host", "evil.example")),
        ("two Hosts, ours last", 400, |r| r.add_first("Host", "evil.example")),
        ("a target with another host", 400, |r| r.target = "http://evil.example/mcp".into()),
        ("a target with ours as its user", 400, |r| r.target = "http://127.0.0.1@evil.example/mcp".into()),
        ("a target with ours, a Host with another", 400, |r| {
            r.target = "http://127.0.0.1/mcp".into();
            r.set("Host", "evil.example");
        }),
        ("a foreign Origin", 403, |r| r.add("Origin", "https://evil.example")),
        ("an Origin of nobody", 403, |r| r.add("Origin", "null")),
        ("an empty Origin", 403, |r| r.add("Origin", "")),
        ("an Origin on this machine", 403, |r| r.add("Origin", "http://127.0.0.1:3000")),
        ("two Origins", 400, |r| {
            r.add("Origin", "http://127.0.0.1");
            r.add("Origin", "https://evil.example");
        }),
        ("a slash more", 404, |r| r.target = "/mcp/".into()),
        ("a slash more in front", 404, |r| r.target = "//mcp".into()),
        ("dots", 404, |r| r.target = "/mcp/../mcp".into()),
        ("through the open door", 404, |r| r.target = "/healthz/../mcp".into()),
        ("NUL", 404, |r| r.target = "/mcp%00".into()),
        ("an escaped letter", 404, |r| r.target = "/%6dcp".into()),
        ("capitals", 404, |r| r.target = "/MCP".into()),
        ("a parameter of the path", 404, |r| r.target = "/mcp;x".into()),
        ("a backslash", 404, |r| r.target = "/mcp\\".into()),
        ("a control character", 400, |r| r.target = "/mcp\u{1}".into()),
        ("an asterisk", 404, |r| r.target = "*".into()),
        ("a target of 70,000 bytes", 431, |r| r.target = format!("/{}", "a".repeat(70_000))),
        ("GET", 405, |r| r.method = "GET".into()),
        ("PUT", 405, |r| r.method = "PUT".into()),
        ("PATCH", 405, |r| r.method = "PATCH".into()),
        ("DELETE", 405, |r| r.method = "DELETE".into()),
        ("OPTIONS", 405, |r| r.method = "OPTIONS".into()),
        ("HEAD", 405, |r| r.method = "HEAD".into()),
        ("TRACE", 405, |r| r.method = "TRACE".into()),
        ("post in small letters", 405, |r| r.method = "post".into()),
        ("CONNECT", 400, |r| {
            r.method = "CONNECT".into();
            r.target = "127.0.0.1:5432".into();
        }),
        ("HTTP/2.0", 400, |r| r.version = "HTTP/2.0".into()),
        ("HTTP/0.9", 400, |r| r.version = String::new()),
        ("HTTP/1.0 without a Host", 400, |r| {
            r.version = "HTTP/1.0".into();
            r.remove("Host");
        }),
        ("10,000 fields", 431, |r| (0..10_000).for_each(|i| r.add(&format!("X-{i}"), "y"))),
        ("65 fields", 431, |r| (0..65).for_each(|i| r.add(&format!("X-{i}"), "y"))),
        ("a field of 40,000 bytes", 431, |r| r.add("X", "y".repeat(40_000))),
        ("a field of 200,000 bytes", 431, |r| r.add("X", "y".repeat(200_000))),
        ("a folded field", 400, |r| r.add("X", "a\r\n b")),
        ("a space before the colon", 400, |r| r.add("X ", "a")),
        ("NUL in a field", 400, |r| r.add("X", b"a\0b")),
    ];
    attempt(&world, &world.intact(), attempts).await;
}

#[tokio::test]
async fn revisions_and_names_agree_between_header_and_body() {
    let world = World::open("hostile_revisions", McpSettings::default()).await;
    const VERSION: &str = "MCP-Protocol-Version";
    const META: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let attempts: &[Attempt] = &[
        ("no revision in the header", 400, |r| r.remove(VERSION)),
        ("an older one in the header", 400, |r| r.set(VERSION, "2025-11-25")),
        ("an older one in the body", 400, |r| r.replace(META, META.replace("2026-07-28", "2025-11-25"))),
        ("none in the body", 400, |r| r.replace(META, r#""x":1"#)),
        ("a number in the body", 400, |r| r.replace(META, r#""io.modelcontextprotocol/protocolVersion":7"#)),
        ("one of the past in both", 400, |r| {
            r.set(VERSION, "1999-01-01");
            r.replace(META, META.replace("2026-07-28", "1999-01-01"));
        }),
        ("one of the future in both", 400, |r| {
            r.set(VERSION, "2099-01-01");
            r.replace(META, META.replace("2026-07-28", "2099-01-01"));
        }),
        ("one of the future in the header", 400, |r| r.set(VERSION, "2099-01-01")),
        ("one of the future in the body", 400, |r| r.replace(META, META.replace("2026-07-28", "2099-01-01"))),
        ("no date", 400, |r| r.set(VERSION, "latest")),
        ("bytes that are no text", 400, |r| r.set(VERSION, b"2026\xff")),
        ("the header twice", 400, |r| r.add(VERSION, "2026-07-28")),
        ("the header twice, with another", 400, |r| r.add(VERSION, "2025-11-25")),
        ("the header twice, with another first", 400, |r| r.add_first(VERSION, "2025-11-25")),
        ("no capabilities in the body", 400, |r| {
            r.replace(r#","io.modelcontextprotocol/clientCapabilities":{}"#, "");
        }),
        ("capabilities of the wrong kind", 400, |r| {
            r.replace(
                r#""io.modelcontextprotocol/clientCapabilities":{}"#,
                r#""io.modelcontextprotocol/clientCapabilities":7"#,
            );
        }),
        ("no method in the header", 400, |r| r.remove("Mcp-Method")),
        ("another method in the header", 400, |r| r.set("Mcp-Method", "tools/list")),
        ("capitals in the header", 400, |r| r.set("Mcp-Method", "TOOLS/CALL")),
        ("a harmless method beside it", 400, |r| r.add("Mcp-Method", "tools/list")),
        ("a harmless method before it", 400, |r| r.add_first("Mcp-Method", "tools/list")),
        ("no name in the header", 400, |r| r.remove("Mcp-Name")),
        ("another name in the header", 400, |r| r.set("Mcp-Name", "postgres.uptime")),
        ("another name, encoded", 400, |r| r.set("Mcp-Name", "=?base64?cG9zdGdyZXMudXB0aW1l?=")),
        ("a harmless name beside it", 400, |r| r.add("Mcp-Name", "postgres.uptime")),
        ("a harmless name before it", 400, |r| r.add_first("Mcp-Name", "postgres.uptime")),
        ("no type", 415, |r| r.remove("Content-Type")),
        ("a form", 415, |r| r.set("Content-Type", "application/x-www-form-urlencoded")),
        ("plain text", 415, |r| r.set("Content-Type", "text/plain")),
        ("nearly the type", 415, |r| r.set("Content-Type", "application/jsonx")),
        ("two types", 400, |r| r.add("Content-Type", "text/plain")),
        ("two types, ours last", 400, |r| r.add_first("Content-Type", "text/plain")),
        ("a packed body", 415, |r| r.add("Content-Encoding", "gzip")),
        ("no Accept", 406, |r| r.remove("Accept")),
        ("anything is accepted", 406, |r| r.set("Accept", "*/*")),
        ("only JSON is accepted", 406, |r| r.set("Accept", "application/json")),
        ("only a stream is accepted", 406, |r| r.set("Accept", "text/event-stream")),
        ("JSON is refused by weight", 406, |r| r.set("Accept", "application/json;q=0, text/event-stream")),
    ];
    attempt(&world, &world.intact(), attempts).await;
}

#[tokio::test]
async fn what_proxies_send_does_no_harm() {
    // The whole target names the same host as the Host header, and a header that only proxies believe is not believed.
    let world = World::open("hostile_proxies", McpSettings::default()).await;
    let mut intact = world.intact();
    intact.target = "http://127.0.0.1/mcp".into();
    intact.add("X-Forwarded-Host", "evil.example");
    intact.add("X-Original-URL", "/healthz");
    world.only_the_intact_call_acts(&intact).await;
    // The oldest revision of HTTP that is spoken has no chunks to answer in.
    let mut old = world.intact();
    old.version = "HTTP/1.0".into();
    old.body = modern(2, "server/discover", "").into_bytes();
    old.set("Mcp-Method", "server/discover");
    old.remove("Mcp-Name");
    let replies = old.replies(world.at).await;
    assert!(replies.len() == 1 && replies[0].status == 200, "{replies:?}");
    assert!(!replies[0].head.to_ascii_lowercase().contains("transfer-encoding"), "{replies:?}");
}
