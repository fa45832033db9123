//! A command line elsewhere: it looks with a token, decides with a password besides, and opens no more than its person.

use std::{collections::BTreeSet, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Stdio};

use jiff::Timestamp;
use lockgate::{
    approval,
    error::Code,
    mcp::token,
    people::Origin,
    store::{PortalRole, SqliteStore},
};
use lockgate_tests::site::ended;
use serde_json::{Value as Json, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{
    browser::{Browser, Reply},
    host::{Host, gone},
    html,
    world::{PASSWORD, World},
};

/// Makes a token on the page, for whoever is logged in.
async fn token_of(browser: &mut Browser) -> String {
    let made = browser.submit("/account/tokens", "/account/tokens", &[("label", "laptop"), ("days", "7")]).await;
    assert_eq!(made.status, 200, "{}", made.body);
    html::check("the token", &made.body);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let text = made.body.split_once("lgp_").expect("a token").1.split('<').next().expect("it ends");
    let page = browser.get("/account/tokens").await.body;
    html::check("the tokens", &page);
    assert!(page.contains("laptop") && !page.contains(text), "it is shown once: {page}");
    format!("lgp_{text}")
}

/// A file with the token, for its owner alone.
fn file(host: &Host, token: &str) -> PathBuf {
    host.site.write("token", token);
    let file = host.site.path("token");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    file
}

/// `lockgate approvals` on a machine that has no configuration; its exit code, and what it says.
async fn terminal(host: &Host, arguments: &[&str], input: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate_cli"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("LOCKGATE")) {
            command.env_remove(name);
        }
    }
    let portal = format!("http://localhost:{}", host.portal.port());
    let token = host.site.path("token");
    command.args(["--config", "/nowhere/lockgate.toml", "approvals", "--portal", &portal, "--token-file"]).arg(token);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().expect("it is started");
    let mut stdin = process.stdin.take().expect("a pipe");
    // Whoever asks nothing has gone by then.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = process.wait_with_output().await.expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("$ lockgate approvals {}\n{said}", arguments.join(" "));
    (output.status.code().unwrap_or(-1), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_elsewhere_looks_with_a_token_and_decides_with_a_password_besides() {
    let host = Host::new("elsewhere", None, "").await;
    let mut grace = host.person("grace", "approver", &[]).await;
    let file = file(&host, &token_of(&mut grace).await);
    let (code, said) = terminal(&host, &["list"], "").await;
    assert_eq!((code, said.as_str()), (0, "nothing waits for a decision\n"));

    let victim = host.victim("elsewhere").await;
    let id = host.asked(victim.pid).await;
    let (code, said) = terminal(&host, &["list"], "").await;
    assert!(code == 0 && said.contains(&id) && said.contains("terminate_backend on elsewhere"), "{said}");
    let (code, said) = terminal(&host, &["show", &id, "--fresh"], "").await;
    assert!(code == 0 && said.contains("thirty writers") && said.contains("HIGH RISK"), "{said}");
    let (code, said) = terminal(&host, &["show", &id, "--json"], "").await;
    let shown: Json = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, shown["id"].as_str()), (0, Some(id.as_str())));
    let short = shown["digest_short"].as_str().expect("a digest").to_owned();

    let approve = ["approve", id.as_str(), "--digest", short.as_str(), "--password-stdin"];
    for (input, part) in [("wrong password for her\n", "nothing was decided"), ("", "nothing was decided")] {
        let (code, said) = terminal(&host, &approve, input).await;
        assert!(code == 1 && said.contains("error[unauthorized]") && said.contains(part), "{said}");
    }
    let (code, said) = terminal(&host, &["approve", &id], "").await;
    assert!(code == 2 && said.contains("nobody is at a terminal"), "{said}");
    let other = ["approve", id.as_str(), "--digest", &"0".repeat(64), "--password-stdin"];
    let (code, said) = terminal(&host, &other, PASSWORD).await;
    assert!(code == 1 && said.contains("error[digest_mismatch]"), "{said}");
    assert!(victim.lives().await && !host.site.record().iter().any(|line| line["ev"] == "approval.decided"));

    let (code, said) = terminal(&host, &approve, &format!("{PASSWORD}\n")).await;
    assert_eq!((code, said), (0, format!("{id} approved by grace\n")));
    ended(&host.gate, &id).await.expect("the agent's call completes");
    gone(victim.pid).await;
    let record = host.site.record();
    let confirmed = record.iter().rfind(|line| line["ev"] == "session.confirmed").expect("her password was taken");
    assert!(confirmed["session"].as_str().is_some_and(|token| token.starts_with("cli_")), "{confirmed}");
    let vote = record.iter().rfind(|line| line["ev"] == "approval.vote").expect("a vote");
    assert_eq!((&vote["person"], vote["evidence_seen"].as_str().map(str::len)), (&"grace".into(), Some(64)), "{vote}");

    let victim = host.victim("elsewhere-2").await;
    let id = host.asked(victim.pid).await;
    let (_, said) = terminal(&host, &["show", &id, "--json"], "").await;
    let shown: Json = serde_json::from_str(&said).expect("JSON");
    let digest = shown["digest"].as_str().expect("a digest");
    let deny = ["deny", id.as_str(), "--digest", digest, "--reason", "it is payroll", "--password-stdin"];
    assert_eq!(terminal(&host, &deny, PASSWORD).await, (0, format!("{id} denied by grace\n")));
    let refused = ended(&host.gate, &id).await.expect_err("it was denied").refusal;
    assert!(refused.code == Code::ApprovalDenied && refused.message.contains("it is payroll"), "{}", refused.message);
    assert!(victim.lives().await);

    // What somebody else could have read is not used, and what is no portal is said to be none.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("its mode");
    let (code, said) = terminal(&host, &["list"], "").await;
    assert!(code == 2 && said.contains("has mode 0644") && said.contains("chmod"), "{said}");
    // Nor a link, a pipe, which would wait for ever, or what is too long for one.
    let (aside, stuffed) = (host.site.path("aside"), "x".repeat(5000));
    for (make, part) in [("link", "symbolic link"), ("pipe", "not a regular file"), ("long", "more than 4096 bytes")] {
        std::fs::remove_file(&file).expect("it was there");
        match make {
            "link" => {
                std::fs::write(&aside, "lgp_x").expect("a file");
                std::os::unix::fs::symlink(&aside, &file).expect("a link");
            }
            "pipe" => rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RUSR).expect("a pipe"),
            _ => {
                std::fs::write(&file, &stuffed).expect("a file");
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
            }
        }
        let (code, said) = terminal(&host, &["list"], "").await;
        assert!(code == 2 && said.contains("error[config_invalid]") && said.contains(part), "{make}: {said}");
    }
    // A password without an end is not waited for.
    std::fs::remove_file(&file).expect("it was there");
    self::file(&host, &token_of(&mut grace).await);
    let endless = ["deny", id.as_str(), "--digest", digest, "--password-stdin"];
    let (code, said) = terminal(&host, &endless, &stuffed).await;
    assert!(code == 2 && said.contains("more than 1024 bytes"), "{said}");
    host.close().await;
}

/// Asks the portal's `/api` by hand.
async fn ask(host: &Host, way: &str, path: &str, token: &str, body: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    host.browser().send(way, &format!("/api{path}"), &[("Authorization", &bearer)], body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_no_more_than_its_person_and_decides_nothing_by_itself() {
    let host = Host::new("tokens", None, "").await;
    let mut grace = host.person("grace", "approver", &[]).await;
    let mut ada = host.person("ada", "approver", &[]).await;
    let mut vera = host.person("vera", "viewer", &[]).await;
    let (of_grace, of_ada, of_vera) = (token_of(&mut grace).await, token_of(&mut ada).await, token_of(&mut vera).await);
    let victim = host.victim("tokens").await;
    let id = host.asked(victim.pid).await;
    let at = |way: &str| format!("/approvals/{id}{way}");

    // Who has none, has an agent's, or has a browser's session.
    let agents = token::generate().expect("a token").0;
    for other in ["", "lgp_", "lgp_AAAA", agents.as_str(), &of_grace[4..], &format!("{of_grace}x")] {
        let reply = ask(&host, "GET", "/approvals", other, "").await;
        assert_eq!(reply.status, 401, "{other}");
        assert!(reply.header("www-authenticate").is_some_and(|said| said.starts_with("Bearer")));
    }
    assert_eq!(grace.get("/api/approvals").await.status, 401, "a cookie opens nothing there");
    let mut planted = host.browser();
    planted.jar.insert("lockgate".into(), of_grace[4..].to_owned());
    assert_eq!(planted.get("/").await.status, 303, "a token is no session");
    // A page of another site, or another name of this machine.
    let bearer = format!("Bearer {of_grace}");
    for (name, value, status) in
        [("Origin", "https://evil.example", 403), ("Origin", grace.origin.as_str(), 403), ("Host", "evil.example", 421)]
    {
        let headers = [("Authorization", bearer.as_str()), (name, value)];
        let reply = host.browser().send("GET", "/api/approvals", &headers, "").await;
        assert_eq!(reply.status, status, "{name}: {value}");
    }

    // Everybody looks; headers are there, and nothing but JSON.
    for token in [&of_grace, &of_ada, &of_vera] {
        let reply = ask(&host, "GET", &at(""), token, "").await;
        let found: Json = serde_json::from_str(&reply.body).expect("JSON");
        assert_eq!((reply.status, found["request"]["id"].as_str()), (200, Some(id.as_str())));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(
            (reply.header("cache-control"), reply.header("x-content-type-options")),
            (Some("no-store"), Some("nosniff"))
        );
    }
    for nowhere in ["/", "/accounts", "/approvals/apr_nothing", "/approvals/..%2f..%2faccounts", "/approvals/x/consume"]
    {
        assert_eq!(ask(&host, "GET", nowhere, &of_grace, "").await.status, 404, "{nowhere}");
    }

    // Looking again runs the pack's preview in the database: for those who decide, and once for all who ask at the same time.
    let reply = ask(&host, "POST", &at("/look"), &of_vera, "{}").await;
    assert_eq!(reply.status, 403, "{}", reply.body);
    let mut looks = BTreeSet::new();
    for _ in 0..5 {
        let reply = ask(&host, "POST", &at("/look"), &of_grace, "{}").await;
        let found: Json = serde_json::from_str(&reply.body).expect("JSON");
        looks.insert(found["review"]["id"].as_str().expect("a look").to_owned());
    }
    // Should this machine stand still for five seconds, there are two.
    assert!(looks.len() <= 2, "{looks:?}");

    let digest = host.site.pending()[0].digest.to_string();
    let vote =
        |password: &str| json!({ "digest": digest, "seen": "as-requested", "reason": "x", "password": password });
    for (token, body, status, code) in [
        (&of_grace, json!({ "digest": digest, "seen": "as-requested" }), 400, "invalid_arguments"),
        (&of_grace, vote("not her password at all"), 403, "unauthorized"),
        (&of_grace, vote(""), 403, "unauthorized"),
        (&of_vera, vote(PASSWORD), 403, "unauthorized"),
        (&of_ada, vote(PASSWORD), 403, "self_approval"),
        (&of_grace, vote(&"x".repeat(20_000)), 413, "invalid_arguments"),
        (
            &of_grace,
            json!({ "digest": digest, "password": PASSWORD, "sean": "as-requested" }),
            400,
            "invalid_arguments",
        ),
    ] {
        let reply = ask(&host, "POST", &at("/approve"), token, &body.to_string()).await;
        let said: Json = serde_json::from_str(&reply.body).expect("JSON");
        assert_eq!((reply.status, said["error"]["code"].as_str()), (status, Some(code)), "{said}");
    }
    // What is said twice could be read in two ways.
    for name in ["digest", "seen", "reason", "password"] {
        let body = vote(PASSWORD).to_string().replacen('{', &format!("{{\"{name}\":\"as-requested\","), 1);
        let reply = ask(&host, "POST", &at("/approve"), &of_grace, &body).await;
        assert!(reply.status == 400 && reply.body.contains("duplicate field"), "{name}: {}", reply.body);
    }
    // Guessing with a stolen token is slowed down as at the login.
    for number in 0..30 {
        let body = vote(&format!("guess number {number} of many")).to_string();
        let reply = ask(&host, "POST", &at("/deny"), &of_grace, &body).await;
        if reply.status == 429 {
            assert!(reply.header("retry-after").is_some());
            break;
        }
        assert!(reply.status == 403 && number < 29, "{}", reply.status);
    }
    assert!(victim.lives().await, "nothing was decided");
    assert!(!host.site.record().iter().any(|line| line["ev"] == "approval.decided"));
    let text = serde_json::to_string(&host.site.record()).expect("JSON");
    assert!(text.contains("account.token_made") && !text.contains(&of_grace[4..]), "no token is on the record");

    // Ended by its person, by a new password, and with the account.
    let id = grace.get("/account/tokens").await.field("token").expect("its id");
    assert_eq!(grace.submit("/account/tokens", "/account/tokens/end", &[("token", &id)]).await.status, 303);
    let fields = [("password", "another long password 7"), ("again", "another long password 7")];
    assert_eq!(ada.submit("/account", "/account/password", &fields).await.status, 303);
    let (code, said) = crate::serve::run(&host.site, &["account", "disable", "vera"]).await;
    assert_eq!(code, 0, "{said}");
    for token in [&of_grace, &of_ada, &of_vera] {
        assert_eq!(ask(&host, "GET", "/approvals", token, "").await.status, 401);
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_says_how_many_it_leaves_off() {
    let host = Host::new("many", None, "").await;
    let mut grace = host.person("grace", "approver", &[]).await;
    let token = token_of(&mut grace).await;
    file(&host, &token);
    let victim = host.victim("many").await;
    host.asked(victim.pid).await;
    let asked = host.site.pending()[0].request.clone();
    let state = host.site.path("state/store.db");
    tokio::task::spawn_blocking(move || {
        let store = SqliteStore::open(&state).expect("the store");
        for number in 0..202 {
            let mut request = asked.clone();
            // One agent may have no more than fifty that wait.
            request.requester.agent = format!("agent-{}", number / 50);
            request.arguments.insert("number".to_owned(), number.into());
            approval::request(&store, request, Timestamp::now()).expect("a request");
        }
    })
    .await
    .expect("they are there");
    let reply = ask(&host, "GET", "/approvals", &token, "").await;
    let found: Json = serde_json::from_str(&reply.body).expect("JSON");
    assert_eq!((found["approvals"].as_array().map(Vec::len), &found["left_off"]), (Some(200), &json!(3)));
    let (code, said) = terminal(&host, &["list"], "").await;
    assert!(code == 0 && said.contains("note: 3 older requests were left off"), "{said}");
    host.close().await;
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_there_are_so_many_and_no_more() {
    let world = World::new().await;
    world.person("grace", PortalRole::Viewer).await;
    let account = world.people().all().await.expect("accounts").remove(0);
    let (people, from) = (world.people(), Origin::default());
    for (label, days) in [("", 7), ("  ", 7), ("laptop", 0), ("laptop", 91), ("laptop", u64::MAX)] {
        let refused = people.make_api_token(&account, label, days, &from).await.expect_err("it can't be");
        assert_eq!(refused.code, Code::AccountRefused, "{label:?} {days}");
    }
    let made = people.make_api_token(&account, "laptop", 1, &from).await.expect("a token");
    let holder = people.holder(&made.reveal()).await.expect("the store answers");
    assert_eq!(holder.map(|(_, account)| account.name), Some("grace".to_owned()));
    world.pass(24 * 60 * 60 - 2);
    assert!(people.holder(&made.reveal()).await.expect("the store answers").is_some());
    world.pass(2);
    assert!(people.holder(&made.reveal()).await.expect("the store answers").is_none(), "its day is over");
    for _ in 0..20 {
        people.make_api_token(&account, "laptop", 90, &from).await.expect("a token");
    }
    let refused = people.make_api_token(&account, "laptop", 90, &from).await.expect_err("too many");
    assert_eq!(refused.code, Code::AccountRefused, "{}", refused.message);
}
