//! The real gate behind the door, with one table on the test binary's server and one action that acts on it at once.

use std::{net::SocketAddr, sync::Arc};

use lockgate::{
    gate::{Gate, call::Door},
    mcp::{
        McpSettings,
        gatekeeper::GateDoor,
        http::{self as door, HttpSettings},
        server::Server,
        token::{self, Agents},
    },
    postgres::throwaway::Cluster,
};
use lockgate_tests::{AGENT, cluster, site::Site};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::raw::Raw;
use crate::{
    fake_gate::principal,
    wire::{Reply, modern},
};

/// What an attempt tries to have done: an action that policy allows, so that nothing but the door stands before it.
pub const TOOL: &str = "postgres.analyze_table";

/// A host, served over HTTP in this process.
pub struct World {
    pub at: SocketAddr,
    pub gate: Arc<Gate>,
    pub site: Site,
    pub cluster: &'static Cluster,
    /// The target's name and the table's.
    pub name: &'static str,
    /// `Bearer …` of two agents.
    pub one: String,
    pub two: String,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    /// Opens a host of its own for one test.
    pub async fn open(name: &'static str, settings: McpSettings) -> Self {
        let cluster = cluster().await;
        let table = format!("CREATE TABLE public.{name} (id int); ALTER TABLE public.{name} OWNER TO {AGENT}");
        cluster.execute(&table).await.expect("a table");
        let mut target = cluster.target(name, AGENT, "postgres");
        // A call that waits for a lock waits for longer than the test looks.
        target.lock_timeout_ms = Some(300_000);
        let site = Site::with_stock_pack(&[target], "").await;
        let gate = site.gate().await;
        let (one, first) = token::generate().expect("a token");
        let (two, second) = token::generate().expect("a token");
        let agents = [(first, principal("one", Door::Http)), (second, principal("two", Door::Http))];
        let http = HttpSettings { agents: Agents::new(agents).expect("agents"), ..HttpSettings::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("its address");
        let stop = CancellationToken::new();
        let server = Server::new(Arc::new(GateDoor(Arc::clone(&gate))), settings);
        tokio::spawn(door::serve(listener, server, http, stop.clone()));
        Self { at, gate, site, cluster, name, one: format!("Bearer {one}"), two: format!("Bearer {two}"), stop }
    }

    /// The arguments of the intact call.
    pub fn arguments(&self) -> String {
        format!(r#"{{"schema":"public","table":"{0}","target":"{0}","reason":"a call that acts"}}"#, self.name)
    }

    /// The parameters of the intact call.
    pub fn params(&self) -> String {
        format!(r#""name":"{TOOL}","arguments":{}"#, self.arguments())
    }

    /// The intact call, in the revision that needs nothing before it.
    pub fn intact(&self) -> Raw {
        let fields = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", TOOL)];
        Raw::post(&self.one, &fields, &modern(1, "tools/call", &self.params()))
    }

    /// How often the server was told to do it, by its own log.
    pub fn acts(&self) -> usize {
        let log = std::fs::read_to_string(self.cluster.log_path()).expect("the server's log");
        let who = format!(" lockgate/{} ", self.name);
        log.lines().filter(|line| line.contains(&who) && line.contains("execute") && line.contains("ANALYZE")).count()
    }

    /// How many calls got as far as meaning to reach the server.
    pub fn intents(&self) -> usize {
        self.site.record().iter().filter(|line| line["ev"] == "call.intent").count()
    }

    /// Makes the intact call and shows that it is the first and only one with an effect.
    pub async fn only_the_intact_call_acts(&self, intact: &Raw) {
        assert_eq!((self.intents(), self.acts()), (0, 0), "an attempt had an effect");
        let replies = intact.replies(self.at).await;
        let [Reply { status: 200, body, .. }] = replies.as_slice() else { panic!("{replies:?}") };
        assert!(body.contains("\"status\":\"done\""), "{body}");
        assert_eq!((self.intents(), self.acts()), (1, 1));
        assert!(self.site.verify_record().intact, "the record verifies");
    }
}
