//! A whole host: the real program with both doors over a real PostgreSQL server, people who can log in, and an agent that
//! calls from another process of the same host.

use std::{net::SocketAddr, sync::Arc};

use lockgate::gate::Gate;
use lockgate_tests::{AGENT, cluster, site::Site};
use serde_json::Value as Json;
use tokio::{
    io::{BufReader, Lines},
    process::{Child, ChildStdout},
};

use crate::{browser::Browser, serve, world::PASSWORD};

/// See the module. The program ends with it.
pub struct Host {
    pub site: Site,
    pub agents: SocketAddr,
    portal: SocketAddr,
    origin: String,
    _server: Child,
    /// What it prints: closed, it could print nothing more.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Host {
    /// Prepared, and not running yet: packs may be added. `policy` is the text of its policy.
    pub async fn prepare(targets: &[(&str, &str)], policy: &str) -> Prepared {
        let (portal, agents) = (serve::free_port().await, serve::free_port().await);
        let cluster = cluster().await;
        let targets: Vec<_> = targets.iter().map(|(name, database)| cluster.target(*name, AGENT, *database)).collect();
        let origin = format!("http://localhost:{}", portal.port());
        let more = format!(
            "policy = \"policy.toml\"\n[approvals]\nurl = \"{origin}\"\n[portal]\nlisten = \"{portal}\"\n\
             [mcp.http]\nlisten = \"{agents}\""
        );
        let site = Site::with_stock_pack(&targets, &more).await;
        site.write("policy.toml", policy);
        Prepared { site, portal, agents, origin }
    }

    /// Somebody new, logged in in a browser of their own.
    pub async fn person(&self, name: &str, role: &str) -> Browser {
        let (code, made) = serve::run(&self.site, &["account", "create", name, "--role", role, "--json"]).await;
        assert_eq!(code, 0, "{made}");
        let made: Json = serde_json::from_str(&made).expect("JSON");
        let path = made["link"].as_str().expect("a link").strip_prefix(&self.origin).expect("the portal's").to_owned();
        let mut browser = self.browser();
        let reply = browser.submit(&path, &path, &[("password", PASSWORD), ("again", PASSWORD)]).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        browser
    }

    /// A browser that has been nowhere.
    pub fn browser(&self) -> Browser {
        Browser::new(self.portal, &self.origin)
    }

    /// The gate in this process, beside the program's: what it writes, the program sees.
    pub async fn gate(&self) -> Arc<Gate> {
        self.site.gate().await
    }
}

/// A host that is not running yet.
pub struct Prepared {
    pub site: Site,
    portal: SocketAddr,
    agents: SocketAddr,
    origin: String,
}

impl Prepared {
    /// Starts it.
    pub async fn start(self) -> Host {
        let Self { site, portal, agents, origin } = self;
        let (server, lines) = serve::serve(&site, portal).await;
        Host { site, agents, portal, origin, _server: server, _lines: lines }
    }
}
