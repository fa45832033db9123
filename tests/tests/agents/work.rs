//! What the agents do, and what must come of it. The same for every run of the test: the nth call of an agent is always the
//! same call.

use serde_json::{Value as Json, json};

use crate::{
    client::{Client, Era},
    host::Host,
};

/// One act in so many calls.
const ACT_EVERY: usize = 20;

/// Acts wait for a person.
pub const POLICY: &str = "version = 1\n[[rule]]\nname = \"a person looks\"\nactions = [\"postgres.analyze_table\"]\n\
                          decision = \"approve\"\n";

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// The tables of the agent's own schema: one, whose name says whose.
    Own { agent: usize },
    /// A schema that is not there; its name is this call's alone, and the refusal says it.
    Missing { schema: String },
    /// Arguments that are wrong; what is wrong is this call's alone.
    Wrong { argument: String },
    /// What no other call has in common but the server.
    Role,
    /// An act on a table of its own. The person approves or not, by its name.
    Act { table: String },
}

/// The nth call of an agent.
pub fn nth(agent: usize, call: usize) -> Work {
    if call % ACT_EVERY == ACT_EVERY / 2 {
        // So that half of them are refused.
        let verdict = if (agent + call / ACT_EVERY).is_multiple_of(2) { "yes" } else { "no" };
        return Work::Act { table: format!("act_{agent}_{call}_{verdict}") };
    }
    match call % 5 {
        0 => Work::Missing { schema: format!("missing_{agent}_{call}") },
        1 => Work::Wrong { argument: format!("wrong_{agent}_{call}") },
        2 => Work::Role,
        _ => Work::Own { agent },
    }
}

/// The schema of an agent.
pub fn schema(agent: usize) -> String {
    format!("own_{agent}")
}

/// The one table in it.
pub fn table_in(agent: usize) -> String {
    format!("only_{agent}")
}

/// Whether the person approves an act on this table.
pub fn is_approved(table: &str) -> bool {
    table.ends_with("_yes")
}

impl Work {
    /// The table that is acted on.
    pub fn act(&self) -> Option<String> {
        match self {
            Self::Act { table } => Some(table.clone()),
            _ => None,
        }
    }

    /// Whether it needs no person.
    pub fn is_read(&self) -> bool {
        !matches!(self, Self::Act { .. })
    }

    /// Tool and arguments.
    pub fn call(&self) -> (&'static str, Json) {
        let with = |mut arguments: Json| {
            arguments["reason"] = "one of many looks around".into();
            arguments
        };
        match self {
            Self::Own { agent } => ("postgres.table_sizes", with(json!({ "schema": schema(*agent) }))),
            Self::Missing { schema } => ("postgres.table_sizes", with(json!({ "schema": schema }))),
            Self::Wrong { argument } => ("postgres.table_sizes", with(json!({ argument: 1 }))),
            Self::Role => ("postgres.is_in_recovery", with(json!({}))),
            Self::Act { table } => ("postgres.analyze_table", with(json!({ "schema": "public", "table": table }))),
        }
    }

    /// Holds an answer against what must be in it.
    pub fn check(&self, answer: &Json) {
        let text = |pointer: &str| answer.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        let right = match self {
            Self::Own { agent } => {
                answer["status"] == "done"
                    && answer["action"] == "postgres.table_sizes"
                    && answer["tables"][0]["rows"].as_array().is_some_and(|rows| rows.len() == 1)
                    && answer["tables"][0]["rows"][0][0] == schema(*agent)
                    && answer["tables"][0]["rows"][0][1] == table_in(*agent)
            }
            Self::Missing { schema } => {
                answer["code"] == "not_found" && text("/message").contains(&format!("`{schema}`"))
            }
            Self::Wrong { argument } => {
                answer["code"] == "invalid_arguments" && text("/problems/0/argument") == argument.as_str()
            }
            Self::Role => answer["status"] == "done" && answer["action"] == "postgres.is_in_recovery",
            Self::Act { table } if is_approved(table) => {
                answer["status"] == "done"
                    && answer["approved_by"] == lockgate_tests::site::APPROVER
                    && text("/summary").contains(&format!("`public.{table}`"))
            }
            Self::Act { .. } => answer["code"] == "approval_denied",
        };
        assert!(right, "{self:?} is answered by {answer}");
    }
}

/// An agent with its connection.
pub struct Agent {
    client: Client,
}

impl Agent {
    /// Connects: every other agent speaks the revision without sessions.
    pub async fn connect(host: &Host, number: usize) -> Self {
        let era = if number.is_multiple_of(2) { Era::Modern } else { Era::Session };
        Self { client: Client::connect(host.port, &host.tokens[number], era).await }
    }

    /// Makes a call and sees it through; the run it was, for the record.
    pub async fn carry_out(&mut self, work: &Work) -> String {
        let (tool, arguments) = work.call();
        let mut answer = self.client.call(tool, &arguments).await;
        let run = answer["run_id"].as_str().unwrap_or_else(|| panic!("{work:?}: no run in {answer}")).to_owned();
        // The person may have been quicker than the answer.
        if answer["status"] == "pending" && !work.is_read() {
            let wait = json!({ "approval_id": answer["approval_id"], "wait_seconds": 300 });
            answer = self.client.call("lockgate.await_approval", &wait).await;
            assert_eq!(answer["run_id"], run, "{work:?}: {answer}");
        }
        work.check(&answer);
        run
    }

    /// Goes, as a polite client does: the token and the session that was ended, if there was one.
    pub async fn leave(self) -> Option<(String, String)> {
        self.client.leave().await
    }
}
