//! An agent: an MCP client on the standard input and output of a `lockgate mcp` of its own.

use std::process::Stdio;

use lockgate_tests::site::Site;
use rmcp::{Peer, RoleClient, ServiceExt as _, model::CallToolRequestParams, service::RunningService};
use serde_json::{Value as Json, json};
use tokio::process::{Child, Command};

use crate::process::lockgate;

/// A connected client, and the process it talks to.
pub struct Agent {
    client: RunningService<RoleClient, ()>,
    process: Child,
}

impl Agent {
    /// Starts `lockgate mcp` on a site and connects.
    pub async fn start(site: &Site) -> Self {
        let mut command = lockgate(site);
        command.arg("mcp");
        Self::over(command).await
    }

    /// Connects to what a command starts.
    pub async fn over(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("lockgate mcp can be started");
        let (read, write) = (process.stdout.take().expect("its output"), process.stdin.take().expect("its input"));
        let client = ().serve((read, write)).await.expect("lockgate mcp speaks MCP");
        Self { client, process }
    }

    /// The tools' names.
    pub async fn tools(&self) -> Vec<String> {
        let tools = self.client.list_all_tools().await.expect("a list of tools");
        tools.into_iter().map(|tool| tool.name.to_string()).collect()
    }

    /// Calls a tool and returns the structured answer, whatever it says.
    pub async fn answer(&self, tool: &str, arguments: Json) -> Json {
        let arguments = arguments.as_object().expect("arguments are an object").clone();
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let result = self.client.call_tool(params).await.unwrap_or_else(|e| panic!("{tool}: {e}"));
        result.structured_content.unwrap_or_else(|| panic!("{tool}: no structured content"))
    }

    /// Calls a tool on a process that may die meanwhile.
    pub async fn tries(&self, tool: &str, arguments: Json) {
        let arguments = arguments.as_object().expect("arguments are an object").clone();
        drop(self.client.call_tool(CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments)).await);
    }

    /// Calls a tool and does not wait for the answer.
    pub fn sends(&self, tool: &str, arguments: Json) -> tokio::task::JoinHandle<Option<Json>> {
        let peer: Peer<RoleClient> = self.client.peer().clone();
        let arguments = arguments.as_object().expect("arguments are an object").clone();
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        tokio::spawn(async move { peer.call_tool(params).await.ok().and_then(|result| result.structured_content) })
    }

    /// The process's id.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Calls an action of the stock pack on a target.
    pub async fn call(&self, action: &str, target: &str, arguments: Json, reason: &str) -> Json {
        self.answer(&format!("postgres.{action}"), with_target(arguments, target, reason)).await
    }

    /// Takes a held call up again.
    pub async fn await_approval(&self, approval: &str, wait_seconds: u64) -> Json {
        let arguments = json!({ "approval_id": approval, "wait_seconds": wait_seconds });
        self.answer("lockgate.await_approval", arguments).await
    }

    /// Ends the process as `kill -9` does, and waits until it is gone.
    pub async fn kill(mut self) {
        self.process.kill().await.expect("it could be killed");
    }

    /// Closes the process's input and waits until it has ended by itself.
    pub async fn close(mut self) {
        self.client.cancel().await.expect("the client ends");
        let status = self.process.wait().await.expect("it ends");
        assert!(status.success(), "lockgate mcp ended with {status}");
    }
}

/// Arguments of an action with where and why.
pub fn with_target(arguments: Json, target: &str, reason: &str) -> Json {
    let mut arguments = arguments;
    arguments["target"] = target.into();
    arguments["reason"] = reason.into();
    arguments
}

/// The approval that a held call waits for.
pub fn pending(answer: &Json) -> String {
    assert_eq!(answer["status"], "pending", "{answer}");
    answer["approval_id"].as_str().expect("an id").to_owned()
}

/// The rows of the first table of an answer that must be done, each as an object.
pub fn rows(answer: &Json) -> Vec<Json> {
    assert_eq!(answer["status"], "done", "{answer}");
    let table = &answer["tables"][0];
    let names: Vec<&str> = list(&table["columns"]).iter().map(|c| c["name"].as_str().expect("a name")).collect();
    let row = |row: &Json| names.iter().map(|n| (*n).to_owned()).zip(list(row).iter().cloned()).collect();
    list(&table["rows"]).iter().map(row).collect()
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map(Vec::as_slice).unwrap_or_default()
}
