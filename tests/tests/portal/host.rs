//! A whole host: `lockgate serve` with its portal, a real PostgreSQL behind it, people with accounts, and an agent in a process
//! of its own that shares nothing with the server but the state directory.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lockgate::gate::Gate;
use lockgate_tests::{
    AGENT, cluster,
    session::Session,
    site::{Site, call_of, hold, principal},
};
use serde_json::{Value as Json, json};
use tokio::{
    process::Child,
    sync::OnceCell,
    time::{Instant, sleep},
};

use crate::{
    browser::Browser,
    serve::{free_port, lockgate, serve, stop},
    world::PASSWORD,
};

/// What is held in these tests.
pub const ACTION: &str = "postgres.terminate_backend";
/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The database that the application uses.
const SHOP: &str = "shop";

/// A host that serves.
pub struct Host {
    pub site: Site,
    pub gate: Arc<Gate>,
    pub portal: SocketAddr,
    pub agents: SocketAddr,
    pub target: String,
    server: Child,
}

/// A host that is not running yet: packs may be added.
pub struct Prepared {
    pub site: Site,
    portal: SocketAddr,
    agents: SocketAddr,
    target: String,
}

/// The application's database and role, made once for the test binary.
async fn shop() {
    static MADE: OnceCell<()> = OnceCell::const_new();
    let make = async || {
        cluster().await.execute("CREATE ROLE app LOGIN").await.expect("a role");
        cluster().await.execute("CREATE DATABASE shop OWNER app").await.expect("a database");
    };
    MADE.get_or_init(make).await;
}

impl Host {
    /// With one target of this name where the application's database is, and a policy if it is not to be the default.
    pub async fn new(target: &str, policy: Option<&str>, more: &str) -> Self {
        shop().await;
        Self::prepare(&[(target, SHOP)], policy, more).await.start().await
    }

    /// With these targets, each a name and a database.
    pub async fn prepare(targets: &[(&str, &str)], policy: Option<&str>, more: &str) -> Prepared {
        let (portal, agents) = (free_port().await, free_port().await);
        let with_policy = if policy.is_some() { "policy = \"policy.toml\"\n" } else { "" };
        let more = format!(
            "{with_policy}[mcp.http]\nlisten = \"{agents}\"\n[portal]\nlisten = \"{portal}\"\n[approvals]\n\
             url = \"http://localhost:{}\"\n{more}",
            portal.port()
        );
        let target = targets[0].0.to_owned();
        let cluster = cluster().await;
        let targets: Vec<_> = targets.iter().map(|(name, database)| cluster.target(name, AGENT, database)).collect();
        let site = Site::with_stock_pack(&targets, &more).await;
        if let Some(policy) = policy {
            site.write("policy.toml", policy);
        }
        Prepared { site, portal, agents, target }
    }

    /// A browser that has been nowhere.
    pub fn browser(&self) -> Browser {
        Browser::new(self.portal, &format!("http://localhost:{}", self.portal.port()))
    }

    /// A browser in which somebody has logged in, whose account is made for it.
    pub async fn person(&self, name: &str, role: &str, more: &[&str]) -> Browser {
        let mut arguments = vec!["account", "create", name, "--role", role, "--json"];
        arguments.extend(more);
        let made = lockgate(&self.site).args(&arguments).output().await.expect("it runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let made: Json = serde_json::from_slice(&made.stdout).expect("JSON");
        let link = made["link"].as_str().expect("a link");
        let path = format!("/{}", link.splitn(4, '/').nth(3).expect("a path"));
        let mut browser = self.browser();
        let reply = browser.submit(&path, &path, &[("password", PASSWORD), ("again", PASSWORD)]).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        browser
    }

    /// A session of the application that has begun a transaction and sits there.
    pub async fn victim(&self, application: &str) -> Session {
        let victim = Session::of(cluster().await, "app", SHOP, application).await;
        victim.execute("BEGIN; SELECT 1").await;
        victim
    }

    /// The agent asks to end a session, in so many words; the request's id.
    pub async fn asked_because(&self, pid: i64, reason: &str) -> String {
        let mut call = call_of(ACTION, &self.target, json!({ "pid": pid }));
        call.reason = reason.to_owned();
        call.evidence = Some(format!("{reason} (seen)"));
        call.expected = Some(format!("{reason} (expected)"));
        match self.gate.call(&principal(), call, hold(Duration::ZERO)).await {
            Ok(lockgate::gate::call::Answer::Pending(pending)) => pending.approval,
            other => panic!("{other:?}"),
        }
    }

    /// The same, for no particular reason.
    pub async fn asked(&self, pid: i64) -> String {
        self.asked_because(pid, "it holds a lock in front of thirty writers").await
    }

    /// The server's process.
    pub fn server_id(&self) -> u32 {
        self.server.id().expect("it runs")
    }

    /// Ends the server, and looks whether the record is whole.
    pub async fn close(self) {
        stop(self.server).await;
        let report = self.site.verify_record();
        assert!(report.intact, "{report:?}");
    }
}

impl Prepared {
    /// Starts it.
    pub async fn start(self) -> Host {
        let Self { site, portal, agents, target } = self;
        let (server, mut lines) = serve(&site, portal).await;
        // What it prints is nobody's concern here, and must not stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let gate = site.gate().await;
        Host { site, gate, portal, agents, target, server }
    }
}

/// Loads a page until it has a piece of text.
pub async fn until_it_says(browser: &mut Browser, path: &str, text: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let body = browser.get(path).await.body;
        if body.contains(text) {
            return body;
        }
        assert!(Instant::now() < until, "{path} never says {text:?}: {body}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a backend is gone.
pub async fn gone(pid: i64) {
    let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    cluster().await.wait_for(&gone, "0", PATIENCE).await.expect("it goes");
}

/// The address of a link of the page, by its words.
pub fn link(body: &str, words: &str) -> String {
    let at = body.find(&format!(">{words}<")).unwrap_or_else(|| panic!("no link {words:?}: {body}"));
    let before = &body[..at];
    let href = before.rsplit_once("href=\"").expect("a link").1.split('"').next().expect("an address");
    href.replace("&amp;", "&")
}
