//! One client on each of the four ways in: stdio and HTTP, with and without `initialize`. What is tested for one is tested
//! for all.

use std::{sync::Arc, time::Duration};

use lockgate::{
    gate::call::Door,
    mcp::{
        McpSettings,
        door::Gatekeeper,
        http::{self, HttpSettings},
        server::Server,
        stdio,
        token::{self, Agents},
    },
};
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt as _, RoleClient, ServiceError,
    model::{ProtocolVersion, SubscriptionFilter},
    service::{NotificationContext, RunningService, Subscription},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::fake_gate::principal;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Stdio(Era),
    Http(Era),
}

/// Before or since revision 2026-07-28.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    Older,
    Newer,
}

/// All of them.
pub const WAYS: [Way; 4] =
    [Way::Stdio(Era::Older), Way::Stdio(Era::Newer), Way::Http(Era::Older), Way::Http(Era::Newer)];

impl Way {
    pub fn era(self) -> Era {
        match self {
            Self::Stdio(era) | Self::Http(era) => era,
        }
    }
}

/// A client that keeps what it is told of its lists.
#[derive(Clone)]
pub struct Heard(mpsc::UnboundedSender<&'static str>);

impl ClientHandler for Heard {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        let _ = self.0.send("tools");
    }
    async fn on_resource_list_changed(&self, _: NotificationContext<RoleClient>) {
        let _ = self.0.send("resources");
    }
    async fn on_prompt_list_changed(&self, _: NotificationContext<RoleClient>) {
        let _ = self.0.send("prompts");
    }
}

/// A client, connected.
pub struct Client {
    pub client: RunningService<RoleClient, Heard>,
    told: mpsc::UnboundedReceiver<&'static str>,
    listening: Option<Subscription>,
    _server: DropGuard,
}

/// A server with two agents, `one` and `two`, on one way in.
pub struct Served<G> {
    server: Server<G>,
    way: Way,
    /// For HTTP: the address, and the tokens of `one` and `two`.
    http: Option<(String, [String; 2])>,
    stop: CancellationToken,
    _stop: DropGuard,
}

impl<G: Gatekeeper> Served<G> {
    /// Begins to serve.
    pub async fn new(gate: &Arc<G>, settings: McpSettings, way: Way) -> Self {
        let server = Server::new(Arc::clone(gate), settings);
        let stop = CancellationToken::new();
        let http = match way {
            Way::Stdio(_) => None,
            Way::Http(_) => {
                let (one, first) = token::generate().unwrap();
                let (two, second) = token::generate().unwrap();
                let known = [(first, principal("one", Door::Http)), (second, principal("two", Door::Http))];
                let settings = HttpSettings { agents: Agents::new(known).unwrap(), ..HttpSettings::default() };
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = format!("http://{}/mcp", listener.local_addr().unwrap());
                tokio::spawn(http::serve(listener, server.clone(), settings, stop.clone()));
                Some((address, [one, two]))
            }
        };
        Self { server, way, http, stop: stop.clone(), _stop: stop.drop_guard() }
    }

    /// Connects an agent.
    pub async fn connect(&self, agent: &str) -> Client {
        let (tell, told) = mpsc::unbounded_channel();
        let lifecycle = match self.way.era() {
            Era::Older => ClientLifecycleMode::Initialize,
            Era::Newer => ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
        };
        let stop = self.stop.child_token();
        let client = match &self.http {
            None => {
                let server = self.server.for_connection().with_caller(principal(agent, Door::Stdio));
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                let (read, write) = tokio::io::split(theirs);
                tokio::spawn(stdio::serve_on(server, read, write, stop.clone()));
                Heard(tell).serve_with_lifecycle(ours, lifecycle).await.unwrap()
            }
            Some((address, tokens)) => {
                // The client's library wants one although nothing here is encrypted.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let token = &tokens[usize::from(agent == "two")];
                let config =
                    StreamableHttpClientTransportConfig::with_uri(address.as_str()).auth_header(token.as_str());
                let transport = StreamableHttpClientTransport::from_config(config);
                Heard(tell).serve_with_lifecycle(transport, lifecycle).await.unwrap()
            }
        };
        let listening = match self.way.era() {
            Era::Older => None,
            Era::Newer => {
                let all = SubscriptionFilter::builder()
                    .tools_list_changed()
                    .resources_list_changed()
                    .prompts_list_changed()
                    .build();
                let listening = client.peer().listen(all.clone()).await.unwrap();
                assert_eq!(*listening.acknowledged(), all);
                Some(listening)
            }
        };
        Client { client, told, listening, _server: stop.drop_guard() }
    }
}

impl Client {
    /// The next lists that it is told have changed, in the order of their names.
    pub async fn hears(&mut self, count: usize) -> Vec<&'static str> {
        let mut heard = Vec::new();
        for _ in 0..count {
            heard.push(self.told().await);
        }
        heard.sort_unstable();
        heard
    }

    /// The next list that it is told has changed.
    async fn told(&mut self) -> &'static str {
        let next = async {
            match &mut self.listening {
                None => self.told.recv().await.unwrap(),
                Some(listening) => match listening.next().await.unwrap().expect("it goes on") {
                    rmcp::model::ServerNotification::ToolListChangedNotification(_) => "tools",
                    rmcp::model::ServerNotification::ResourceListChangedNotification(_) => "resources",
                    rmcp::model::ServerNotification::PromptListChangedNotification(_) => "prompts",
                    other => panic!("{other:?}"),
                },
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("it is told")
    }
}

/// Code and message of a protocol error.
pub fn error<T: std::fmt::Debug>(answer: Result<T, ServiceError>) -> (i32, String) {
    match answer.unwrap_err() {
        ServiceError::McpError(error) => (error.code.0, error.message.into_owned()),
        other => panic!("{other}"),
    }
}
