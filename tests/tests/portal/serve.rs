//! The whole program: its portal beside the agents' door, the link that it prints at its first start, and accounts on the
//! command line.

use std::{
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use lockgate::postgres::TargetSettings;
use lockgate_tests::site::Site;
use serde_json::Value as Json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command},
};

use crate::{browser::Browser, world::PASSWORD};

pub async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address")
}

/// A host with the stock pack, and a target where nobody is: what is looked at here asks no database.
async fn site(portal: SocketAddr, agents: SocketAddr) -> Site {
    let target: TargetSettings =
        toml::from_str("name = \"nowhere\"\nhost = \"127.0.0.1\"\nport = 1\ndbname = \"x\"\nuser = \"x\"")
            .expect("settings");
    let more = format!(
        "[mcp.http]\nlisten = \"{agents}\"\n[portal]\nlisten = \"{portal}\"\n[approvals]\nurl = \"http://localhost:{}\"",
        portal.port()
    );
    Site::with_stock_pack(&[target], &more).await
}

pub fn lockgate(site: &Site) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate_cli"));
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("PG") && !name.starts_with("PG_BIN") || name.starts_with("LOCKGATE"))
        {
            command.env_remove(name);
        }
    }
    command.arg("--config").arg(site.path("lockgate.toml")).env("LOCKGATE_LOG", "warn");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    command
}

pub async fn run(site: &Site, arguments: &[&str]) -> (i32, String) {
    let output = lockgate(site).args(arguments).stderr(Stdio::piped()).output().await.expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("$ lockgate {}\n{text}", arguments.join(" "));
    (output.status.code().unwrap_or(-1), text)
}

/// A server that listens, and what it prints.
pub async fn serve(site: &Site, at: SocketAddr) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut server = lockgate(site).arg("serve").spawn().expect("it is started");
    let lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    let began = Instant::now();
    while TcpStream::connect(at).await.is_err() {
        assert!(server.try_wait().expect("it is there").is_none(), "the server has ended");
        assert!(began.elapsed() < Duration::from_secs(60), "nobody listens");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (server, lines)
}

pub async fn stop(mut server: Child) {
    let id =
        server.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it hears");
    let status =
        tokio::time::timeout(Duration::from_secs(60), server.wait()).await.expect("it ends").expect("it ended");
    assert!(status.success(), "{status}");
}

/// The path of the link that it prints.
async fn printed(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let wait = Duration::from_secs(30);
    loop {
        let line = tokio::time::timeout(wait, lines.next_line())
            .await
            .expect("a line in time")
            .expect("a pipe")
            .expect("a line");
        if let Some((_, path)) = line.split_once("http://localhost:").and_then(|(_, rest)| rest.split_once('/')) {
            return format!("/{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_prints_a_link_that_makes_the_first_administrator() {
    let (portal, agents) = (free_port().await, free_port().await);
    let site = site(portal, agents).await;
    let origin = format!("http://localhost:{}", portal.port());
    let (server, mut lines) = serve(&site, portal).await;
    let first = printed(&mut lines).await;
    assert!(first.starts_with("/setup/") && first.len() > 40, "{first}");
    assert_eq!(Browser::new(portal, &origin).get(&first).await.status, 200);
    stop(server).await;

    // Another start before anybody used it: another link, and the first one is none any more.
    let (server, mut lines) = serve(&site, portal).await;
    let second = printed(&mut lines).await;
    let mut browser = Browser::new(portal, &origin);
    assert_eq!(browser.get(&first).await.status, 410);
    let fields = [("name", "grace"), ("password", PASSWORD), ("again", PASSWORD)];
    let reply = browser.submit(&second, &second, &fields).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert_eq!(browser.get("/accounts").await.status, 200);
    assert_eq!(browser.get("/").await.status, 200);
    // The agents' door knows nothing of it: neither the pages nor who is logged in.
    for path in ["/accounts", "/login", "/"] {
        let mut other = Browser::new(agents, &format!("http://{agents}"));
        other.jar.clone_from(&browser.jar);
        let reply = other.get(path).await;
        assert_eq!(reply.status, 401, "{path}");
    }
    assert_eq!(browser.get("/mcp").await.status, 404);
    stop(server).await;

    // From then on nothing is printed, and the session goes on.
    let (server, mut lines) = serve(&site, portal).await;
    assert_eq!(browser.get("/accounts").await.status, 200, "a session outlives the server");
    stop(server).await;
    let mut rest = String::new();
    while let Some(line) = lines.next_line().await.expect("a pipe") {
        rest.push_str(&line);
    }
    assert!(!rest.contains("/setup/"), "{rest}");
    let record = serde_json::to_string(&site.record()).expect("JSON");
    assert!(
        !record.contains(first.trim_start_matches("/setup/")) && !record.contains(second.trim_start_matches("/setup/"))
    );
    assert!(site.verify_record().intact, "{:?}", site.verify_record());
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_made_and_changed_on_the_command_line_while_the_server_runs() {
    let (portal, agents) = (free_port().await, free_port().await);
    let site = site(portal, agents).await;
    let origin = format!("http://localhost:{}", portal.port());
    let create = ["account", "create", "Grace", "--role", "admin", "--group", "dba", "--os-user", "gh", "--json"];
    let (code, made) = run(&site, &create).await;
    assert_eq!(code, 0, "{made}");
    let made: Json = serde_json::from_str(&made).expect("JSON");
    let path = made["link"].as_str().expect("a link").strip_prefix(&origin).expect("the portal's").to_owned();
    let (server, _lines) = serve(&site, portal).await;
    let mut browser = Browser::new(portal, &origin);
    let reply = browser.submit(&path, &path, &[("password", PASSWORD), ("again", PASSWORD)]).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert_eq!(browser.get("/accounts").await.status, 200);

    for (arguments, code, part) in [
        (&["account", "list"][..], 0, "grace  active  admin, groups: dba"),
        (&["account", "show", "grace"], 0, "os user     gh"),
        (&["account", "show", "heidi"], 1, "no account `heidi`"),
        (&["account", "create", "gh"], 1, "is a name of account `grace` already"),
        (&["account", "create", "heidi", "--group", "approver"], 1, "is a portal role"),
        (&["account", "create", "he idi"], 1, "can't be an account's name"),
        (&["account", "create", "heidi", "--role", "god"], 2, "a portal role is"),
        (&["account", "set-role", "grace", "viewer"], 1, "last administrator"),
        (&["account", "disable", "grace"], 1, "last administrator"),
        (&["account", "set-groups", "grace", "dba", "oncall"], 0, "grace is in the groups: dba, oncall"),
    ] {
        let (ended, said) = run(&site, arguments).await;
        assert!(ended == code && said.contains(part), "{arguments:?}: {ended} {said}");
    }
    assert_eq!(browser.get("/accounts").await.status, 303, "other groups: logged out");
    assert_eq!(browser.log_in("grace", PASSWORD).await.status, 303);
    let (code, said) = run(&site, &["account", "reset", "grace"]).await;
    assert!(code == 0 && said.contains("/link/"), "{said}");
    let record = site.record();
    let created = record.iter().find(|line| line["ev"] == "account.created").expect("a line");
    assert_eq!((&created["account"], &created["os_user"]), (&"grace".into(), &"gh".into()));
    let text = serde_json::to_string(&record).expect("JSON");
    assert!(!text.contains(path.trim_start_matches("/link/")) && !text.contains(PASSWORD));
    stop(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_that_browsers_could_only_reach_in_the_clear_is_not_opened() {
    let agents = free_port().await;
    let target: TargetSettings =
        toml::from_str("name = \"nowhere\"\nhost = \"127.0.0.1\"\nport = 1\ndbname = \"x\"\nuser = \"x\"")
            .expect("settings");
    for (portal, part) in [
        ("listen = \"0.0.0.0:0\"", "must reach over TLS"),
        ("listen = \"nowhere\"", "[portal] listen `nowhere`"),
        ("idle_minutes = 1", "[portal] idle_minutes must be from 5 to 1440"),
        ("idle_minute = 10", "did you mean `idle_minutes`"),
        ("[portal.oidc]\nissuer = \"http://idp.example\"\nclient_id = \"x\"", "must be https"),
    ] {
        let listen = if portal.contains("listen") { String::new() } else { "listen = \"127.0.0.1:0\"\n".to_owned() };
        let more = format!("[mcp.http]\nlisten = \"{agents}\"\n[portal]\n{listen}{portal}");
        let site = Site::with_stock_pack(std::slice::from_ref(&target), &more).await;
        let (code, said) = run(&site, &["serve"]).await;
        assert!(code == 2 && said.contains(part), "{portal}: {code} {said}");
    }
}
