//! The floor: a server of this build on the same MCP library that answers with what it was given. It knows no database, no
//! caller and no record; what it takes is what the protocol and the processes take.

use std::io;

use anyhow::{Context as _, Result};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams,
        ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService, stdio as stdio_streams,
        streamable_http_server::session::local::LocalSessionManager,
    },
};
use serde_json::json;

use super::server::{Server, Way, free_port, this_program};

/// With this variable set the program is the echo: on its standard input and output, or on the port that it names.
pub const ECHO: &str = "LOCKGATE_BENCHES_ECHO";

/// What it is asked to repeat: about as much as lockgate's answer has.
const TEXT: &str = "server_version|started_at|uptime_seconds|connections|max_connections|in_recovery; repeated, so that the \
    answer is about as long as the one of a real read: server_version|started_at|uptime_seconds|connections|max_connections";

/// Over standard input and output.
pub fn stdio() -> Result<Server> {
    server("stdio", Way::Stdio)
}

/// Over HTTP.
pub fn http() -> Result<Server> {
    let port = free_port()?;
    server(&port.to_string(), Way::Http { url: format!("http://127.0.0.1:{port}/mcp"), port, token: None })
}

fn server(part: &str, way: Way) -> Result<Server> {
    let mut command = this_program()?;
    command.env(ECHO, part);
    let arguments = json!({ "text": TEXT });
    Ok(Server { name: "rmcp alone, an echo", command, way, tool: "echo", arguments, expected: "server_version" })
}

/// Serves until it is ended.
pub async fn serve(part: &str) -> Result<()> {
    if part == "stdio" {
        Echo.serve(stdio_streams()).await?.waiting().await?;
        return Ok(());
    }
    let port: u16 = part.parse().context("the port to serve on")?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let service = StreamableHttpService::new(
        || Ok::<_, io::Error>(Echo),
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    );
    Ok(axum::serve(listener, axum::Router::new().fallback_service(service)).await?)
}

#[derive(Clone)]
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({ "type": "object", "properties": { "text": { "type": "string" } } });
        let schema = schema.as_object().cloned().unwrap_or_default();
        Ok(ListToolsResult::with_all_items(vec![Tool::new("echo", "Answers with the text it is given.", schema)]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let text = arguments.get("text").and_then(|text| text.as_str()).unwrap_or_default().to_owned();
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}
