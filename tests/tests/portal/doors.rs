//! What every request must get past, and what every answer has.

use lockgate::store::PortalRole;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    browser::{encoded, parsed},
    world::{Made, PASSWORD, World},
};

const PATHS: [&str; 6] = ["/login", "/account", "/nothing", "/assets/nothing.css", "/setup/x", "/accounts"];

#[tokio::test]
async fn every_answer_has_the_headers_that_protect_it() {
    let world = World::new().await;
    world.person("grace", PortalRole::Admin).await;
    let mut browser = world.logged_in("grace").await;
    let mut replies = Vec::new();
    for path in PATHS {
        replies.push((path, browser.get(path).await));
        replies.push((path, browser.send("DELETE", path, &[], "").await));
        replies.push((path, browser.send("GET", path, &[("Host", "evil.example")], "").await));
        replies.push((path, browser.send("POST", path, &[], "a=b").await));
    }
    for (path, reply) in replies {
        let csp = reply.header("content-security-policy").unwrap_or_else(|| panic!("{path}: {reply:?}"));
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(csp.contains(part), "{path}: {csp}");
        }
        assert!(!csp.contains("unsafe") && !csp.contains("http"), "{csp}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{path} {name}");
        }
        assert!(reply.header("permissions-policy").is_some_and(|p| p.contains("camera=()")), "{path}");
        assert_eq!(reply.header("strict-transport-security"), None, "not over plain HTTP");
    }
}

#[tokio::test]
async fn over_tls_browsers_are_told_to_stay_there_and_cookies_are_the_hosts_own() {
    let made = Made { url: Some("https://gate.example.com".into()), ..Made::default() };
    let world = World::made(made).await;
    world.person("grace", PortalRole::Viewer).await;
    let mut browser = world.browser();
    let page = browser.get("/login").await;
    assert_eq!(page.header("strict-transport-security"), Some("max-age=31536000"));
    let visit = page.cookie("__Host-lockgate-visit").expect("a cookie").to_owned();
    let reply = browser.log_in("grace", PASSWORD).await;
    let session = reply.cookie("__Host-lockgate").expect("a session").to_owned();
    for cookie in [visit, session] {
        for attribute in ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
}

#[tokio::test]
async fn only_the_portals_own_host_is_answered() {
    let world = World::new().await;
    let mut browser = world.browser();
    let (host, port) = (browser.host.clone(), world.at.port());
    assert_eq!(browser.get("/login").await.status, 200);
    assert_eq!(browser.send("GET", "/login", &[("Host", &host.to_uppercase())], "").await.status, 200);
    for other in [
        "evil.example",
        "localhost",
        &format!("127.0.0.1:{port}"),
        &format!("localhost:{port}.evil.example"),
        "localhost:1",
    ] {
        let reply = browser.send("GET", "/login", &[("Host", other)], "").await;
        assert_eq!(reply.status, 421, "{other}");
        assert!(!reply.body.contains("<form"), "{other}");
    }
    assert_eq!(browser.send("GET", "/login", &[("Host", &host), ("Host", &host)], "").await.status, 400);
    assert_eq!(browser.send("GET", "http://evil.example/login", &[], "").await.status, 400);
}

#[tokio::test]
async fn files_are_asked_for_by_name_and_by_nothing_else() {
    let world = World::new().await;
    let mut browser = world.browser();
    let page = browser.get("/login").await;
    let style = page.body.split('"').find(|part| part.starts_with("/assets/portal-")).expect("a style").to_owned();
    let reply = browser.get(&style).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(reply.cookie("lockgate-visit"), None, "a file that is kept carries nobody's cookie");
    for path in [
        "/assets/",
        "/assets/..",
        "/assets/../login",
        "/assets/..%2f..%2fetc%2fpasswd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets/....//etc/passwd",
        "/assets//etc/passwd",
        "/assets/portal.css",
        "/assets/portal-0000000000000000.css",
        "/assets/%00",
        "/assets/..%5c..%5cetc",
        "//etc/passwd",
        "/../../etc/passwd",
    ] {
        let reply = browser.get(path).await;
        assert!(matches!(reply.status, 400 | 404), "{path}: {}", reply.status);
        assert!(!reply.body.contains("root:"), "{path}");
    }
}

#[tokio::test]
async fn what_went_wrong_is_a_page_in_the_frame_with_its_status() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let mut browser = world.logged_in("grace").await;
    for (path, status) in [("/nothing", 404), ("/accounts", 403), ("/link/nothing", 410)] {
        let reply = browser.get(path).await;
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        for part in ["<!DOCTYPE html>", "Skip to the content", "<h1>", "grace"] {
            assert!(reply.body.contains(part), "{path}: {}", reply.body);
        }
    }
    let head = browser.send("HEAD", "/account", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    let world = World::new().await;
    world.person("grace", PortalRole::Admin).await;
    let mut browser = world.logged_in("grace").await;
    for path in ["/account", "/accounts", "/accounts/grace", "/confirm", "/nothing"] {
        let body = browser.get(path).await.body;
        for inline in [
            "<style",
            " style=",
            " onclick=",
            " onload=",
            "javascript:",
            "<script>",
            "src=\"http",
            "href=\"http",
            "href=\"//",
        ] {
            assert!(!body.contains(inline), "{path} has {inline}");
        }
    }
}

#[tokio::test]
async fn a_form_that_is_too_long_is_refused_and_one_that_does_not_come_is_not_waited_for() {
    let world = World::new().await;
    let mut browser = world.browser();
    let token = browser.get("/login").await.field("csrf").expect("a token");
    let long = "x".repeat(70_000);
    let reply = browser.post("/login", &token, &[("name", "grace"), ("password", &long)]).await;
    assert_eq!(reply.status, 413);

    // Said to be long and never sent: refused at once.
    let head = |length: &str| {
        format!(
            "POST /login HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n{length}\r\n\r\n",
            browser.host, browser.origin
        )
    };
    let mut stream = TcpStream::connect(world.at).await.expect("a connection");
    stream.write_all(head("Content-Length: 9999999").as_bytes()).await.expect("sent");
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 413");

    // In pieces without an end: refused when there are too many.
    let mut stream = TcpStream::connect(world.at).await.expect("a connection");
    stream.write_all(head("Transfer-Encoding: chunked").as_bytes()).await.expect("sent");
    for _ in 0..9 {
        let _ = stream.write_all(format!("2000\r\n{}\r\n", "x".repeat(0x2000)).as_bytes()).await;
    }
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 413");

    // Begun, and then nothing more: an answer after ten seconds.
    let mut stream = TcpStream::connect(world.at).await.expect("a connection");
    stream.write_all(head("Content-Length: 100").as_bytes()).await.expect("sent");
    stream.write_all(b"csrf=").await.expect("sent");
    let began = std::time::Instant::now();
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 408");
    assert!(began.elapsed().as_secs() < 30);

    // A head that never ends: cut.
    let mut stream = TcpStream::connect(world.at).await.expect("a connection");
    stream.write_all(b"GET /login HTTP/1.1\r\nHost: ").await.expect("sent");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty() || parsed(&rest).status == 408);
}

#[tokio::test]
async fn only_forms_are_taken() {
    let world = World::new().await;
    let mut browser = world.browser();
    let token = browser.get("/login").await.field("csrf").expect("a token");
    let origin = browser.origin.clone();
    let body = encoded(&[("csrf", &token), ("name", "grace"), ("password", PASSWORD)]);
    for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
        let headers = [("Origin", origin.as_str()), ("Content-Type", kind)];
        assert_eq!(browser.send("POST", "/login", &headers, &body).await.status, 415, "{kind}");
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        assert_eq!(browser.send(method, "/login", &[("Origin", &origin)], "").await.status, 405, "{method}");
    }
}
