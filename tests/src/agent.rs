//! An agent as somebody would try one: an MCP client on the standard input and output of a `lockgate mcp`.

use std::{path::Path, process::Stdio};

use rmcp::{RoleClient, ServiceExt as _, model::CallToolRequestParams, service::RunningService};
use serde_json::{Map, Value as Json, json};
use tokio::process::{Child, Command};

/// A connected client, and the process it talks to.
pub struct Agent {
    client: RunningService<RoleClient, ()>,
    process: Child,
}

impl Agent {
    /// Starts `lockgate mcp` and connects, which takes until the host has compiled what it was given.
    ///
    /// # Panics
    /// If there is no answer in MCP.
    pub async fn start(lockgate: &Path, config: &Path) -> Self {
        let mut command = Command::new(lockgate);
        command.arg("--config").arg(config).arg("mcp");
        Self::over(command).await
    }

    /// Connects to what a command starts.
    ///
    /// # Panics
    /// If there is no answer in MCP.
    pub async fn over(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().expect("lockgate mcp can be started");
        let (read, write) = (process.stdout.take().expect("its output"), process.stdin.take().expect("its input"));
        let client = ().serve((read, write)).await.expect("lockgate mcp speaks MCP");
        Self { client, process }
    }

    /// Calls a tool and returns its structured answer, whatever it says.
    ///
    /// # Panics
    /// If there is none.
    pub async fn answer(&self, tool: &str, arguments: Map<String, Json>) -> Json {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let result = self.client.call_tool(params).await.unwrap_or_else(|e| panic!("{tool}: {e}"));
        result.structured_content.unwrap_or_else(|| panic!("{tool}: no structured content"))
    }

    /// Calls an action on a target and returns its structured answer.
    ///
    /// # Panics
    /// If there is none.
    pub async fn call(&self, tool: &str, target: &str, arguments: Json) -> Json {
        let mut given: Map<String, Json> = arguments.as_object().expect("an object").clone();
        given.insert("target".into(), target.into());
        given.insert("reason".into(), "to see that packs do what they say".into());
        self.answer(tool, given).await
    }

    /// Calls what a person has to decide first; the request that waits.
    ///
    /// # Panics
    /// If it does not wait.
    pub async fn asks(&self, tool: &str, target: &str, arguments: Json) -> Json {
        let held = self.call(tool, target, arguments).await;
        assert_eq!(held["status"], "pending", "{held}");
        held
    }

    /// Takes a held call up again and waits for its end, for nearly a minute.
    pub async fn ends(&self, approval: &str) -> Json {
        let arguments = json!({ "approval_id": approval, "wait_seconds": 50 });
        self.answer("lockgate.await_approval", arguments.as_object().cloned().unwrap_or_default()).await
    }

    /// Ends the connection, and waits until the process has put that on its record and ended.
    ///
    /// # Panics
    /// If it does not end in order.
    pub async fn closes(mut self) {
        self.client.cancel().await.expect("the client ends");
        let status = self.process.wait().await.expect("it ends");
        assert!(status.success(), "lockgate mcp ended with {status}");
    }
}
