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
    by_name::{self, Named},
    catalogue,
    door::Gatekeeper,
    own::Own,
    result,
    server::Server,
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
        let await_tool = self.settings().separator.outward(Own::AwaitApproval.name()).into_owned();
        let _running = match self.admit(&principal) {
            Ok(running) => running,
            Err(refusal) => {
                let refused = Err(Refused { run: String::new(), refusal });
                return Ok(result::of(&refused, &await_tool, None).into());
            }
        };
        let name = self.inward(&principal, &request.name);
        let arguments = request.arguments.unwrap_or_default();
        let own = Own::named(&name);
        if let Some(own) = own
            && let Some(answer) = self.look_up(own, &principal, &arguments).await
        {
            return Ok(answer.into());
        }
        let by_name = own == Some(Own::RunAction);
        let asked = if by_name {
            match by_name::read(arguments) {
                Ok(named) => Named { action: self.inward(&principal, &named.action), ..named },
                Err(problems) => return Ok(catalogue::malformed(Own::RunAction, problems, self.settings()).into()),
            }
        } else {
            Named { action: name, arguments, problems: Vec::new() }
        };
        let (mut hold, forwarding) = self.hold(&context);
        let mut approval = None;
        let action = asked.action.clone();
        let answer = if own == Some(Own::AwaitApproval) {
            match AwaitArguments::read(&asked.arguments, self.settings().longest_wait) {
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
            self.act(&principal, asked, hold).await
        };
        // Progress must not follow the answer (progress, behaviour requirements).
        if let Some(forwarding) = forwarding {
            forwarding.abort();
        }
        match &answer {
            Err(refused) if by_name && refused.refusal.code == Code::InvalidArguments => {
                let mut said = result::of(&answer, &await_tool, None);
                let offered = self.gatekeeper().tools(&principal);
                if let Some(action) = offered.iter().find(|offered| offered.name == action) {
                    by_name::add_what_is_right(&mut said, &refused.refusal.problems, action);
                }
                Ok(said.into())
            }
            // The tool itself exists here; what it was given does not.
            Err(refused) if !by_name && refused.refusal.code == Code::UnknownAction => {
                let Refusal { message, remedy, .. } = &refused.refusal;
                let data = result::refused_content(refused, None);
                Err(ErrorData::invalid_params(format!("unknown tool: {message}; {remedy}"), Some(data)))
            }
            _ => Ok(result::of(&answer, &await_tool, approval.as_deref()).into()),
        }
    }

    /// The dotted name that a client means.
    fn inward(&self, principal: &Principal, name: &str) -> String {
        self.settings().separator.inward(name, || self.gatekeeper().tools(principal)).into_owned()
    }

    async fn act(&self, principal: &Principal, asked: Named, hold: Hold) -> Result<Answer, Refused> {
        let parts = arguments::split(asked.arguments);
        let mut problems = asked.problems;
        problems.extend(parts.problems);
        let call = Call {
            action: asked.action,
            target: parts.target,
            arguments: parts.arguments,
            reason: parts.reason,
            ..Call::default()
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
