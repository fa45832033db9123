//! A client in front of the gate: rmcp's, in one of two eras and over one of two transports, which keeps all it hears.
#![allow(deprecated, reason = "logging is on its way out of MCP, and clients of today have it")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lockgate::{
    gate::call::Door,
    mcp::{
        McpSettings,
        http::{self, HttpSettings},
        server::Server,
        stdio,
        token::{self, Agents},
    },
};
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, RoleClient,
    model::{
        CallToolRequest, CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ClientRequest,
        CustomNotification, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability,
        Implementation, LoggingMessageNotificationParam, ProgressNotificationParam, ProtocolVersion, ServerResult,
        UrlElicitationCapability,
    },
    service::{NotificationContext, PeerRequestOptions, RequestContext, RequestHandle, RunningService},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::gate::{HeldGate, LINK};
use crate::fake_gate::principal;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Stdio,
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Era {
    /// 2025-11-25
    Handshake,
    /// 2026-07-28
    Modern,
}

pub const ALL: [(Way, Era); 4] =
    [(Way::Stdio, Era::Handshake), (Way::Http, Era::Handshake), (Way::Stdio, Era::Modern), (Way::Http, Era::Modern)];

/// What the client's person does with a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Click {
    Accept,
    Decline,
    Cancel,
    Fail,
    /// Nothing, ever.
    Leave,
}

pub const CLICKS: [Click; 5] = [Click::Accept, Click::Decline, Click::Cancel, Click::Fail, Click::Leave];

/// What the client hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Progress {
        value: f64,
        total: Option<f64>,
        message: String,
    },
    Link {
        url: String,
        message: String,
    },
    /// An elicitation was taken back.
    TakenBack,
    Other {
        method: String,
        params: Value,
    },
    Log {
        level: String,
        data: Value,
    },
}

pub struct Ears {
    heard: mpsc::UnboundedSender<Heard>,
    capabilities: ClientCapabilities,
    click: Click,
}

impl ClientHandler for Ears {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(self.capabilities.clone(), Implementation::new("ears", "1"))
            .with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    async fn on_progress(&self, it: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let message = it.message.unwrap_or_default();
        let _ = self.heard.send(Heard::Progress { value: it.progress, total: it.total, message });
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::UrlElicitationParams { url, message, .. } = request else { panic!("{request:?}") };
        let _ = self.heard.send(Heard::Link { url, message });
        let action = match self.click {
            Click::Accept => ElicitationAction::Accept,
            Click::Decline => ElicitationAction::Decline,
            Click::Cancel => ElicitationAction::Cancel,
            Click::Fail => return Err(ErrorData::internal_error("no browser", None)),
            Click::Leave => {
                context.ct.cancelled().await;
                let _ = self.heard.send(Heard::TakenBack);
                ElicitationAction::Cancel
            }
        };
        // A client could put anything here.
        Ok(ElicitResult::new(action).with_content(json!({ "decision": "approve", "approved": true })))
    }

    async fn on_custom_notification(&self, it: CustomNotification, _: NotificationContext<RoleClient>) {
        let _ = self.heard.send(Heard::Other { method: it.method, params: it.params.unwrap_or_default() });
    }

    async fn on_logging_message(&self, it: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        let level = serde_json::to_value(it.level).unwrap().as_str().unwrap().to_owned();
        let _ = self.heard.send(Heard::Log { level, data: it.data });
    }
}

/// How a rig is to be.
#[derive(Clone)]
pub struct Plan {
    pub hold: Duration,
    pub link: Option<&'static str>,
    pub url: bool,
    pub tasks: bool,
    pub click: Click,
}

impl Default for Plan {
    fn default() -> Self {
        Self { hold: Duration::from_secs(300), link: Some(LINK), url: false, tasks: false, click: Click::Accept }
    }
}

pub struct Rig {
    pub gate: Arc<HeldGate>,
    pub client: RunningService<RoleClient, Ears>,
    heard: mpsc::UnboundedReceiver<Heard>,
}

pub fn settings(hold: Duration) -> McpSettings {
    // Some of these call a hundred times in a row.
    McpSettings { hold_wait: hold, burst: 1_000, ..McpSettings::default() }
}

/// Serves a gate over HTTP to the agents `one` and `two`; their tokens.
pub async fn serve_http(gate: &Arc<HeldGate>, hold: Duration) -> (SocketAddr, [String; 2]) {
    let (one, first) = token::generate().unwrap();
    let (two, second) = token::generate().unwrap();
    let agents = Agents::new([(first, principal("one", Door::Http)), (second, principal("two", Door::Http))]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let server = Server::new(Arc::clone(gate), settings(hold)).with_state_key(&[7; 32]);
    let http = HttpSettings { agents, ..HttpSettings::default() };
    tokio::spawn(http::serve(listener, server, http, CancellationToken::new()));
    (at, [one, two])
}

impl Rig {
    pub async fn new(way: Way, era: Era, plan: Plan) -> Self {
        let gate = HeldGate::new(plan.link);
        match way {
            Way::Stdio => Self::on_stdio(gate, era, plan).await,
            Way::Http => {
                let (at, [token, _]) = serve_http(&gate, plan.hold).await;
                Self::on_http(gate, at, &token, era, plan).await
            }
        }
    }

    pub async fn on_stdio(gate: Arc<HeldGate>, era: Era, plan: Plan) -> Self {
        let server = Server::new(Arc::clone(&gate), settings(plan.hold)).with_caller(principal("one", Door::Stdio));
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (read, write) = tokio::io::split(theirs);
        tokio::spawn(stdio::serve_on(server.with_state_key(&[7; 32]), read, write, CancellationToken::new()));
        let (ears, heard) = ears(&plan);
        let client = ears.serve_with_lifecycle(ours, lifecycle(era)).await.unwrap();
        Self { gate, client, heard }
    }

    pub async fn on_http(gate: Arc<HeldGate>, at: SocketAddr, token: &str, era: Era, plan: Plan) -> Self {
        // The client wants one though it never speaks TLS here. Whoever was first has installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config =
            StreamableHttpClientTransportConfig::with_uri(format!("http://{at}/mcp")).auth_header(token.to_owned());
        let (ears, heard) = ears(&plan);
        let transport = StreamableHttpClientTransport::from_config(config);
        let client = ears.serve_with_lifecycle(transport, lifecycle(era)).await.unwrap();
        Self { gate, client, heard }
    }

    /// The next thing that the client hears.
    pub async fn hears(&mut self) -> Heard {
        tokio::time::timeout(Duration::from_secs(20), self.heard.recv()).await.expect("it hears").expect("it lives")
    }

    /// What it has heard and not been asked for. Answers come on the same way as what they follow, so after one all is here.
    pub fn rest(&mut self) -> Vec<Heard> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }

    /// Sends a call and does not wait.
    pub async fn begin(&self, params: CallToolRequestParams) -> RequestHandle<RoleClient> {
        self.begin_with(params, PeerRequestOptions::no_options()).await
    }

    /// The same with options.
    pub async fn begin_with(&self, call: CallToolRequestParams, more: PeerRequestOptions) -> RequestHandle<RoleClient> {
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(call));
        self.client.send_cancellable_request(request, more).await.unwrap()
    }
}

fn ears(plan: &Plan) -> (Ears, mpsc::UnboundedReceiver<Heard>) {
    let mut capabilities = ClientCapabilities::default();
    if plan.url {
        capabilities.elicitation = Some(ElicitationCapability::new().with_url(UrlElicitationCapability::new()));
    }
    if plan.tasks {
        capabilities.extensions = ClientCapabilities::builder().enable_tasks().build().extensions;
    }
    let (tell, heard) = mpsc::unbounded_channel();
    (Ears { heard: tell, capabilities, click: plan.click }, heard)
}

fn lifecycle(era: Era) -> ClientLifecycleMode {
    match era {
        Era::Handshake => ClientLifecycleMode::Initialize,
        Era::Modern => ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
    }
}

pub fn request(tool: &str, arguments: Value) -> CallToolRequestParams {
    CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.as_object().unwrap().clone())
}

/// The call that is held.
pub fn terminate() -> CallToolRequestParams {
    let arguments = json!({"pid": 4471, "target": "primary", "reason": "dead migration blocks thirty writers"});
    request("postgres.terminate_backend", arguments)
}

pub fn take_up(arguments: Value) -> CallToolRequestParams {
    request("lockgate.await_approval", arguments)
}

pub async fn answer(handle: RequestHandle<RoleClient>) -> CallToolResult {
    match tokio::time::timeout(Duration::from_secs(20), handle.await_response()).await.expect("an answer").unwrap() {
        ServerResult::CallToolResult(result) => result,
        other => panic!("{other:?}"),
    }
}

pub fn status(result: &CallToolResult) -> &str {
    result.structured_content.as_ref().unwrap()["status"].as_str().unwrap()
}
