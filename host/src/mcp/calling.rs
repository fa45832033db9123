//! What a tool call comes to: it is made a [`Call`], the gatekeeper carries it through, a waiting client is told how it
//! stands, and the answer is worded.
//!
//! An unknown tool is a protocol error (-32602), as the specification asks (server features, tools, error handling); it
//! still went through the gatekeeper, so it is on the record. Every other refusal is a tool result with `isError`, since
//! that is what a model gets to read.

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, ProgressNotificationParam},
    service::RequestContext,
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    arguments::{self, AwaitArguments},
    door::Gatekeeper,
    result,
    server::Server,
    tool,
};
use crate::{
    error::{Code, Refusal},
    gate::call::{Answer, Call, Hold, Principal, Refused},
};

impl<G: Gatekeeper> Server<G> {
    /// Answers `tools/call`.
    pub(super) async fn answer_call(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let principal = self.principal(&context)?;
        let await_tool = self.settings().separator.outward(tool::AWAIT_APPROVAL).into_owned();
        let most = self.settings().calls_per_agent;
        let Some(_running) = self.calls().enter(&principal.agent, most) else {
            let refusal = Refusal::new(Code::Overloaded, format!("{most} calls of this agent are under way already"));
            let refused = Err(Refused { run: String::new(), refusal });
            return Ok(result::of(&refused, &await_tool, None).into());
        };
        let action =
            self.settings().separator.inward(&request.name, || self.gatekeeper().tools(&principal)).into_owned();
        let (mut hold, forwarding) = self.hold(&context);
        let mut approval = None;
        let answer = if action == tool::AWAIT_APPROVAL {
            match AwaitArguments::read(&request.arguments.unwrap_or_default(), self.settings().longest_wait) {
                Ok(wanted) => {
                    hold.wait = wanted.wait.unwrap_or(hold.wait);
                    let answer = self.gatekeeper().await_approval(&principal, &wanted.approval, hold).await;
                    approval = Some(wanted.approval);
                    answer
                }
                Err(problems) => {
                    let refusal =
                        Refusal::new(Code::InvalidArguments, format!("the call of `{await_tool}` is malformed"));
                    Err(Refused { run: String::new(), refusal: refusal.with_problems(problems) })
                }
            }
        } else {
            self.act(&principal, action, request, hold).await
        };
        // Progress must not follow the answer (progress, behaviour requirements).
        if let Some(forwarding) = forwarding {
            forwarding.abort();
        }
        match &answer {
            Err(refused) if refused.refusal.code == Code::UnknownAction => {
                let Refusal { message, remedy, .. } = &refused.refusal;
                let data = result::refused_content(refused, None);
                Err(ErrorData::invalid_params(format!("unknown tool: {message}; {remedy}"), Some(data)))
            }
            _ => Ok(result::of(&answer, &await_tool, approval.as_deref()).into()),
        }
    }

    async fn act(
        &self,
        principal: &Principal,
        action: String,
        call: CallToolRequestParams,
        hold: Hold,
    ) -> Result<Answer, Refused> {
        let parts = arguments::split(call.arguments.unwrap_or_default());
        let problems = parts.problems;
        let call = Call {
            action,
            target: parts.target,
            arguments: parts.arguments,
            reason: parts.reason,
            evidence: parts.evidence,
            expected: parts.expected,
            operation: parts.operation,
        };
        // An action that is not offered is refused by the gate as unknown before it looks at anything else.
        if !problems.is_empty() && self.gatekeeper().tools(principal).iter().any(|offered| offered.name == call.action)
        {
            return Err(self.gatekeeper().refuse(principal, call, problems).await);
        }
        self.gatekeeper().call(principal, call, hold).await
    }

    fn hold(&self, context: &RequestContext<RoleServer>) -> (Hold, Option<JoinHandle<()>>) {
        let mut hold = Hold { wait: self.settings().hold_wait, progress: None, cancel: context.ct.clone() };
        let Some(token) = context.meta.get_progress_token() else {
            return (hold, None);
        };
        let (tell, mut told) = mpsc::unbounded_channel::<String>();
        hold.progress = Some(tell);
        let peer = context.peer.clone();
        // A task of its own: a client that is slow to read must not keep the call from going on.
        let forwarding = tokio::spawn(async move {
            let mut count = 0.0;
            while let Some(message) = told.recv().await {
                count += 1.0;
                let progress = ProgressNotificationParam::new(token.clone(), count).with_message(message);
                if peer.notify_progress(progress).await.is_err() {
                    return;
                }
            }
        });
        (hold, Some(forwarding))
    }
}
