//! What a tool call comes to: it is made a [`Call`], the gatekeeper carries it through, a waiting client is told how it
//! stands, and the answer is worded.
//!
//! An unknown tool is a protocol error (-32602), as the specification asks (server features, tools, error handling); it
//! still went through the gatekeeper, so it is on the record. Every other refusal is a tool result with `isError`, since
//! that is what a model gets to read.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse},
    service::RequestContext,
};

use super::{
    arguments::{self, AwaitArguments},
    by_name::{self, Named},
    catalogue,
    door::Gatekeeper,
    held::{self, Way, elicitation},
    own::Own,
    result,
    server::Server,
    telling::Telling,
};
use crate::{
    error::{Code, Refusal},
    gate::call::{Answer, Call, Hold, Pending, Principal, Refused},
    observe::TraceParent,
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
        let continued = self.continued(&request, &principal, &context)?;
        let name = self.inward(&principal, &request.name);
        let arguments = request.arguments.clone().unwrap_or_default();
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
        let action = asked.action.clone();
        let mut approval = None;
        let mut way = Way::Wait;
        let mut taken_back = false;
        let answer = if own == Some(Own::AwaitApproval) {
            match AwaitArguments::read(&asked.arguments, self.settings().longest_wait) {
                Ok(wanted) => {
                    let answer = self.take_up(&principal, &wanted, &context).await;
                    taken_back = wanted.withdraw;
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
            way = Way::of(&context, continued.is_some());
            self.carry(&principal, asked, continued, way, &context).await
        };
        if let Ok(Answer::Pending(pending)) = &answer {
            if way == Way::Task {
                return self.task(pending, &context).await.map(Into::into);
            }
            let state = || self.seal().seal(&pending.approval, &principal, &request);
            if let Some(asks) = (way == Way::Link).then(|| elicitation::input_required(pending, state)).flatten() {
                return Ok(asks.into());
            }
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
            _ => {
                let mut result = result::of(&answer, &await_tool, approval.as_deref());
                if taken_back && matches!(&answer, Err(it) if it.refusal.code == Code::ApprovalWithdrawn) {
                    // It is what was asked for, so it is no error.
                    result.is_error = Some(false);
                }
                Ok(result.into())
            }
        }
    }

    /// The dotted name that a client means.
    fn inward(&self, principal: &Principal, name: &str) -> String {
        self.settings().separator.inward(name, || self.gatekeeper().tools(principal)).into_owned()
    }

    /// The approval that a call goes on waiting for, if the client carries a state of ours.
    fn continued(
        &self,
        request: &CallToolRequestParams,
        principal: &Principal,
        context: &RequestContext<RoleServer>,
    ) -> Result<Option<String>, ErrorData> {
        let state = request.request_state.as_deref().filter(|_| held::is_modern(context));
        state.map(|state| self.seal().open(state, principal, request)).transpose()
    }

    /// Carries a call of an action through, as the way of its client has it.
    async fn carry(
        &self,
        principal: &Principal,
        asked: Named,
        continued: Option<String>,
        way: Way,
        context: &RequestContext<RoleServer>,
    ) -> Result<Answer, Refused> {
        let wait = self.settings().hold_wait;
        let (telling, progress) = Telling::new(context, self.memory(), (way != Way::Task).then_some(wait));
        let hold = |wait| Hold { wait, progress: progress.clone(), cancel: context.ct.clone() };
        let at_once = Hold { wait: Duration::ZERO, ..hold(wait) };
        let waiting = hold(wait);
        let trace = trace_parent(context);
        drop(progress);
        let work = async move {
            // What the client answered to the link is not looked at: it has no say.
            if let Some(approval) = continued {
                let hold = if way == Way::Task { at_once } else { waiting };
                return self.gatekeeper().await_approval(principal, &approval, hold).await;
            }
            match way {
                Way::Wait => self.act(principal, asked, trace, waiting).await,
                Way::Task => self.act(principal, asked, trace, at_once).await,
                Way::Link => match self.act(principal, asked, trace, at_once).await {
                    Ok(Answer::Pending(pending)) if !elicitation::is_shown(&pending) => {
                        let answer = self.gatekeeper().await_approval(principal, &pending.approval, waiting).await;
                        // After it has waited, the client is not asked to show it all the same.
                        answer.map(|answer| match answer {
                            Answer::Pending(pending) => Answer::Pending(Box::new(Pending { joined: true, ..*pending })),
                            done @ Answer::Done(_) => done,
                        })
                    }
                    answer => answer,
                },
            }
        };
        telling.beside(work).await
    }

    /// Takes up a held call again, or takes it back.
    async fn take_up(
        &self,
        principal: &Principal,
        wanted: &AwaitArguments,
        context: &RequestContext<RoleServer>,
    ) -> Result<Answer, Refused> {
        let mut wait = wanted.wait.unwrap_or(self.settings().hold_wait);
        if wanted.withdraw {
            let refused = |refusal| Refused { run: String::new(), refusal };
            self.gatekeeper().withdraw(principal, &wanted.approval).await.map_err(refused)?;
            // Usually it has ended by that; where people were faster, the answer says how far it has come.
            wait = Duration::ZERO;
        }
        let (telling, progress) = Telling::new(context, self.memory(), Some(wait));
        let hold = Hold { wait, progress, cancel: context.ct.clone() };
        telling.beside(self.gatekeeper().await_approval(principal, &wanted.approval, hold)).await
    }

    async fn act(
        &self,
        principal: &Principal,
        asked: Named,
        trace: Option<TraceParent>,
        hold: Hold,
    ) -> Result<Answer, Refused> {
        let parts = arguments::split(asked.arguments);
        let mut problems = asked.problems;
        problems.extend(parts.problems);
        let call = Call {
            action: asked.action,
            target: parts.target,
            arguments: parts.arguments,
            reason: parts.reason,
            evidence: parts.evidence,
            expected: parts.expected,
            operation: parts.operation,
            trace,
        };
        // An action that is not offered is refused by the gate as unknown before it looks at anything else.
        if !problems.is_empty() && self.gatekeeper().tools(principal).iter().any(|offered| offered.name == call.action)
        {
            return Err(self.gatekeeper().refuse(principal, call, problems).await);
        }
        self.gatekeeper().call(principal, call, hold).await
    }
}

/// The trace that a request belongs to: as the message says (`_meta`, SEP-414) or, over HTTP, its head.
fn trace_parent(context: &RequestContext<RoleServer>) -> Option<TraceParent> {
    let in_message = context.meta.get_traceparent();
    let in_head = || {
        let parts = context.extensions.get::<axum::http::request::Parts>()?;
        parts.headers.get("traceparent")?.to_str().ok()
    };
    in_message.or_else(in_head)?.parse().ok()
}
