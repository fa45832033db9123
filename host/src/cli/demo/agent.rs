//! The scripted agent: a real MCP client that starts `lockgate mcp` and talks to it over standard input and output. It
//! knows nothing of the stage but what tools tell it; which backend to sever it finds out.

use std::{path::Path, process::ExitCode, time::Duration};

use rmcp::{
    RoleClient, ServiceExt as _,
    model::CallToolRequestParams,
    service::RunningService,
    transport::{ConfigureCommandExt as _, TokioChildProcess},
};
use serde_json::{Map, Value as Json, json};

use super::{IDLE_SECONDS, STRAGGLERS, WRITERS, differs, event::Event};
use crate::error::Refusal;

/// Rows of a table that are told.
const SHOWN: usize = 3;
/// How often the agent looks whether those are gone that were told to end.
const LOOKS: u32 = 25;
/// The columns that the story is about, for tables that have more than a terminal is wide.
const COLUMNS: [&str; 13] = [
    "state",
    "backends",
    "pid",
    "blocked_pid",
    "head_pid",
    "user_name",
    "application",
    "wait_event",
    "idle_seconds",
    "waiting_for_lock",
    "blocked_query",
    "last_query",
    "terminated",
];

/// Walks the story.
pub(super) async fn run(config: &Path) -> Result<ExitCode, Refusal> {
    let agent = Agent::connect(config).await?;
    agent.investigate_and_act().await?;
    agent.client.cancel().await.map_err(|e| differs(e.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

struct Agent {
    client: RunningService<RoleClient, ()>,
}

impl Agent {
    async fn connect(config: &Path) -> Result<Self, Refusal> {
        let broken = |e: &dyn std::fmt::Display| differs(format!("the agent can't reach `lockgate mcp`: {e}"));
        let lockgate = std::env::current_exe().map_err(|e| broken(&e))?;
        let command = tokio::process::Command::new(lockgate).configure(|c| {
            c.arg("--config").arg(config).arg("mcp");
        });
        let transport = TokioChildProcess::new(command).map_err(|e| broken(&e))?;
        let client = ().serve(transport).await.map_err(|e| broken(&e))?;
        let protocol = client.peer_info().map(|i| i.protocol_version.to_string()).unwrap_or_default();
        let tools = client.list_all_tools().await.map_err(|e| broken(&e))?;
        Event::Connected { protocol, tools: tools.len() }.tell();
        Ok(Self { client })
    }

    async fn investigate_and_act(&self) -> Result<(), Refusal> {
        let why = "API writes time out since 02:14; looking for what they wait for";
        self.call("activity_states", json!({}), why).await?;
        thinks("Many sessions are active and CPU is flat: active here means blocked. Who waits for whom?");

        let chains = self.call("lock_blocking_chains", json!({}), why).await?;
        let head = head_of(&chains)?;
        thinks(&format!("One backend, pid {head}, is the head of the whole chain. What is it doing?"));

        let idle = self.call_about("idle_in_transaction", json!({}), why, Some(head)).await?;
        let row = idle.row_with("pid", head)?;
        thinks(&format!(
            "{head} sits idle inside a transaction for {} s, on: {}",
            idle.cell(row, "idle_seconds")?,
            idle.cell(row, "last_query")?
        ));

        let detail = self.call_about("activity_detail", json!({ "limit": 200 }), why, Some(head)).await?;
        let row = detail.row_with("pid", head)?;
        let waits = detail.cell(row, "wait_event")?;
        if waits != "ClientRead" {
            return Err(differs(format!("backend {head} waits for `{waits}`, not for its client")));
        }
        thinks(
            "It waits for its client (ClientRead), and the client is gone. A cancel does nothing to an idle backend;",
        );
        thinks("only ending the connection rolls the transaction back. That is high risk: a person decides.");

        let reason = format!("crashed migrate-svc left an idle FOR UPDATE transaction blocking {WRITERS} writers");
        self.call("terminate_backend", json!({ "pid": head }), &reason).await?;

        self.wait_for_stragglers(head).await?;
        let reason = "clear the remaining idle-in-transaction backends of the failed migrate-svc deploy";
        self.call("kill_idle", json!({ "older_than_seconds": IDLE_SECONDS }), reason).await?;

        let why = "checking that nothing is left behind";
        let mut left = self.call("idle_in_transaction", json!({}), why).await?;
        for _ in 0..LOOKS {
            if left.rows.is_empty() {
                break;
            }
            // A backend that was told to end rolls back first.
            tokio::time::sleep(Duration::from_millis(200)).await;
            left = self.call("idle_in_transaction", json!({}), why).await?;
        }
        if !left.rows.is_empty() {
            return Err(differs(format!("{} sessions are still idle in transaction", left.rows.len())));
        }
        thinks("Nothing is left behind.");
        Ok(())
    }

    /// `kill_idle` takes nothing that has been idle for less than a minute, so the agent looks until the last has been.
    async fn wait_for_stragglers(&self, gone: i64) -> Result<(), Refusal> {
        let why = "the same deploy left others idle in transaction; each holds back vacuum";
        let idle = self.call("idle_in_transaction", json!({}), why).await?;
        if idle.rows.len() != STRAGGLERS || idle.row_with("pid", gone).is_ok() {
            return Err(differs(format!("{} sessions are idle in transaction, not {STRAGGLERS}", idle.rows.len())));
        }
        let mut youngest = u64::MAX;
        for row in &idle.rows {
            youngest = youngest.min(idle.cell(row, "idle_seconds")?.parse().unwrap_or(0));
        }
        let left = (IDLE_SECONDS + 1).saturating_sub(youngest);
        if left > 0 {
            thinks(&format!("None may be swept before it has idled for {IDLE_SECONDS} s; {left} s to go."));
            tokio::time::sleep(Duration::from_secs(left)).await;
        }
        Ok(())
    }

    /// Calls a tool on the primary and waits for its end, taking a held call up again for as long as it is pending.
    async fn call(&self, action: &str, arguments: Json, reason: &str) -> Result<Answer, Refusal> {
        self.call_about(action, arguments, reason, None).await
    }

    /// The same, telling first the row about one backend.
    async fn call_about(
        &self,
        action: &str,
        arguments: Json,
        reason: &str,
        about: Option<i64>,
    ) -> Result<Answer, Refusal> {
        let tool = format!("postgres.{action}");
        let Json::Object(mut arguments) = arguments else { return Err(differs("arguments are an object")) };
        Event::Calls { tool: tool.clone(), arguments: arguments.clone() }.tell();
        arguments.insert("target".into(), "primary".into());
        arguments.insert("reason".into(), reason.into());
        let mut answer = self.request(&tool, arguments).await?;
        // A pending answer says itself how to go on waiting.
        while let Some((approval, next, arguments)) = answer.pending() {
            Event::Pending { approval }.tell();
            answer = self.request(&next, arguments).await?;
        }
        answer.tell(about);
        Ok(answer)
    }

    async fn request(&self, tool: &str, arguments: Map<String, Json>) -> Result<Answer, Refusal> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let result = self.client.call_tool(params).await.map_err(|e| differs(format!("{tool}: {e}")))?;
        let content = result.structured_content.unwrap_or_default();
        if result.is_error == Some(true) {
            let said = |key| content.get(key).map(text).unwrap_or_default();
            return Err(differs(format!("{tool} was refused ({}): {}", said("code"), said("message"))));
        }
        Ok(Answer::read(content))
    }
}

/// A tool's structured answer, its first table opened up.
struct Answer {
    content: Json,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Answer {
    fn read(content: Json) -> Self {
        let list = |json: Option<&Json>| json.and_then(Json::as_array).cloned().unwrap_or_default();
        let table = list(content.get("tables")).into_iter().next().unwrap_or_default();
        let columns = list(table.get("columns")).iter().map(|c| text(c.get("name").unwrap_or(&Json::Null))).collect();
        let rows = list(table.get("rows")).iter().map(|row| list(Some(row)).iter().map(text).collect()).collect();
        Self { content, columns, rows }
    }

    /// The approval that is waited for, and the call that takes it up again.
    fn pending(&self) -> Option<(String, String, Map<String, Json>)> {
        if self.content.get("status").and_then(Json::as_str) != Some("pending") {
            return None;
        }
        let next = self.content.get("next")?;
        let arguments = next.get("arguments")?.as_object()?.clone();
        Some((self.content.get("approval_id").map(text)?, next.get("tool").map(text)?, arguments))
    }

    fn column(&self, name: &str) -> Result<usize, Refusal> {
        let found = self.columns.iter().position(|c| c == name);
        found.ok_or_else(|| differs(format!("there is no column `{name}` in {}", self.columns.join(", "))))
    }

    fn cell<'a>(&self, row: &'a [String], column: &str) -> Result<&'a str, Refusal> {
        Ok(row.get(self.column(column)?).map(String::as_str).unwrap_or_default())
    }

    fn row_with(&self, column: &str, number: i64) -> Result<&Vec<String>, Refusal> {
        let (at, wanted) = (self.column(column)?, number.to_string());
        let found = self.rows.iter().find(|row| row.get(at) == Some(&wanted));
        found.ok_or_else(|| differs(format!("no row has {column} {number}")))
    }

    fn tell(&self, about: Option<i64>) {
        let told: Vec<usize> = (0..self.columns.len())
            .filter(|at| self.columns.get(*at).is_some_and(|name| COLUMNS.contains(&name.as_str())))
            .collect();
        let pick = |row: &Vec<String>| told.iter().filter_map(|at| row.get(*at).cloned()).collect();
        let mut table: Vec<Vec<String>> = Vec::new();
        if !self.rows.is_empty() {
            table.push(pick(&self.columns));
            let wanted = about.map(|pid| pid.to_string());
            let is_wanted = |row: &&Vec<String>| wanted.as_ref().is_some_and(|pid| row.contains(pid));
            let (first, rest): (Vec<_>, Vec<_>) = self.rows.iter().partition(is_wanted);
            table.extend(first.into_iter().chain(rest).take(SHOWN).map(pick));
        }
        Event::Answered {
            summary: self.content.get("summary").map(text).unwrap_or_default(),
            more: self.rows.len().saturating_sub(SHOWN),
            table,
            approved_by: self.content.get("approved_by").map(text),
        }
        .tell();
    }
}

/// The one backend that heads every chain.
fn head_of(chains: &Answer) -> Result<i64, Refusal> {
    let mut heads = Vec::new();
    for row in &chains.rows {
        heads.push(chains.cell(row, "head_pid")?.to_owned());
    }
    if heads.len() != WRITERS {
        return Err(differs(format!("{} sessions are blocked, not {WRITERS}", heads.len())));
    }
    heads.dedup();
    match heads.as_slice() {
        [head] => head.parse().map_err(|_| differs(format!("`{head}` is no pid"))),
        _ => Err(differs(format!("the chains have {} heads", heads.len()))),
    }
}

fn text(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

fn thinks(text: &str) {
    Event::Thinks { text: text.to_owned() }.tell();
}
