//! Held calls as tasks (extension `io.modelcontextprotocol/tasks`, SEP-2663). A task is its approval, seen through the gate
//! each time somebody asks: nothing is kept here, so a task outlives the server that gave it out. Only whoever asked for the
//! approval has the task; for others it does not exist.
//!
//! `tasks/cancel` is an explicit word of the requester and takes the request back while people have not decided
//! (docs/approvals.md); what they have decided it leaves alone. `tasks/update` has nothing to say here.

use std::time::Duration;

use jiff::Timestamp;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CancelTaskParams, CreateTaskResult, DetailedTask, GetTaskParams, GetTaskResult, Task, TaskPayload, TaskStatus,
        UpdateTaskParams,
    },
    service::RequestContext,
};
use serde_json::{Map, Value};

use crate::{
    error::{Code, Refusal},
    gate::call::{Answer, HeldCall, Pending, Refused},
    mcp::{arguments::is_approval_id, door::Gatekeeper, own::Own, result, server::Server},
};

/// How often a client should ask. People take longer to decide than this, and the store notices more often.
const POLL: Duration = Duration::from_secs(2);

impl<G: Gatekeeper> Server<G> {
    /// The answer to a call that is held: its task.
    pub(in crate::mcp) async fn task(
        &self,
        pending: &Pending,
        context: &RequestContext<RoleServer>,
    ) -> Result<CreateTaskResult, ErrorData> {
        let held = self.held_call(&pending.approval, context).await?;
        // Even if it has ended in between: the client asks for the result as it would later.
        Ok(CreateTaskResult::new(task(&held, TaskStatus::Working)))
    }

    /// Answers `tasks/get`.
    pub(in crate::mcp) async fn answer_get_task(
        &self,
        request: &GetTaskParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let held = self.held_call(&request.task_id, context).await?;
        let payload = match &held.end {
            None => TaskPayload::Working,
            Some(Err(refused)) if refused.refusal.code == Code::ApprovalWithdrawn => TaskPayload::Cancelled,
            Some(end) => self.ended(&end.clone().map(Answer::Done)),
        };
        Ok(GetTaskResult::new(DetailedTask::new(task(&held, payload.status()), payload)))
    }

    /// Answers `tasks/cancel`.
    pub(in crate::mcp) async fn answer_cancel_task(
        &self,
        request: &CancelTaskParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let principal = self.principal(context)?;
        let id = known_form(&request.task_id)?;
        self.gatekeeper().withdraw(&principal, id).await.map_err(|refusal| unavailable(&refusal))
    }

    /// Answers `tasks/update`: tasks here ask for no input, so whatever is sent is left unread.
    pub(in crate::mcp) async fn answer_update_task(
        &self,
        request: &UpdateTaskParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.held_call(&request.task_id, context).await.map(drop)
    }

    async fn held_call(&self, id: &str, context: &RequestContext<RoleServer>) -> Result<HeldCall, ErrorData> {
        let principal = self.principal(context)?;
        self.gatekeeper().held_call(&principal, known_form(id)?).await.map_err(|refusal| unavailable(&refusal))
    }

    /// The very result that the call itself would have had.
    fn ended(&self, answer: &Result<Answer, Refused>) -> TaskPayload {
        let await_tool = self.settings().separator.outward(Own::AwaitApproval.name());
        match serde_json::to_value(result::of(answer, &await_tool, None)) {
            Ok(Value::Object(result)) => TaskPayload::Completed { result },
            // A result that can't be written could not have been answered either.
            _ => TaskPayload::Failed {
                error: Map::from_iter([
                    ("code".to_owned(), Value::from(-32603)),
                    ("message".to_owned(), Value::from("the result can't be written")),
                ]),
            },
        }
    }
}

fn task(held: &HeldCall, status: TaskStatus) -> Task {
    let pending = &held.pending;
    let mut task = Task::new(&pending.approval, status, held.asked_at.to_string(), held.changed_at.to_string())
        .with_poll_interval_ms(u64::try_from(POLL.as_millis()).unwrap_or(u64::MAX));
    // What has begun to run, or has ended, stays to be asked for.
    task.ttl_ms = held.until.map(|until| milliseconds(held.asked_at, until));
    task.status_message = Some(match (&held.end, &pending.link) {
        (None, Some(link)) if !pending.approved => format!("{}: {link}", pending.message),
        (None, _) => pending.message.clone(),
        (Some(Ok(outcome)), _) => outcome.summary.clone(),
        (Some(Err(refused)), _) => refused.refusal.message.clone(),
    });
    task
}

fn milliseconds(from: Timestamp, until: Timestamp) -> u64 {
    u64::try_from(until.duration_since(from).as_millis()).unwrap_or(0)
}

/// An id of another form is as unknown as one that nobody has.
fn known_form(id: &str) -> Result<&str, ErrorData> {
    if is_approval_id(id) { Ok(id) } else { Err(unknown()) }
}

fn unknown() -> ErrorData {
    ErrorData::invalid_params("no task of yours has this id", None)
}

fn unavailable(refusal: &Refusal) -> ErrorData {
    match refusal.code {
        Code::UnknownApproval => unknown(),
        _ => ErrorData::internal_error(format!("{}; {}", refusal.message, refusal.remedy), None),
    }
}
