//! An agent as a pack's author would try one.

use std::{path::Path, process::Stdio};

use rmcp::{RoleClient, ServiceExt as _, model::CallToolRequestParams, service::RunningService};
use serde_json::{Map, Value as Json};
use tokio::process::{Child, Command};

/// An MCP client on the standard input and output of a `lockgate mcp`.
pub struct Agent {
    client: RunningService<RoleClient, ()>,
    _process: Child,
}

impl Agent {
    /// Connects, which takes until the host has compiled what it was given.
    pub async fn start(config: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate_cli"));
        command.arg("--config").arg(config).arg("mcp");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().expect("lockgate mcp can be started");
        let (read, write) = (process.stdout.take().expect("its output"), process.stdin.take().expect("its input"));
        let client = ().serve((read, write)).await.expect("lockgate mcp speaks MCP");
        Self { client, _process: process }
    }

    /// Calls a tool on a target and returns its structured answer.
    pub async fn call(&self, tool: &str, target: &str, arguments: Json) -> Json {
        let mut given: Map<String, Json> = arguments.as_object().expect("an object").clone();
        given.insert("target".into(), target.into());
        given.insert("reason".into(), "to see that packs do what they say".into());
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(given);
        let result = self.client.call_tool(params).await.unwrap_or_else(|e| panic!("{tool}: {e}"));
        result.structured_content.unwrap_or_else(|| panic!("{tool}: no structured content"))
    }
}
