//! What is counted of calls, and what a host shows of its gate to whoever watches it. Counting decides nothing and keeps no
//! call waiting.

use std::sync::Arc;

use super::{
    Gate, Prepared, Step, Stop,
    call::{Call, Principal},
    ruling::{Denied, Unprepared},
};
use crate::{
    error::{Code, Refusal},
    observe::{CallEnd, Metrics, note_call},
    policy::Verdict,
    store::Store,
};

impl Gate {
    /// What is counted and timed.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The store.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Held calls that this process will run.
    pub(crate) fn held_here(&self) -> usize {
        self.held().len()
    }

    /// Counts a call that was refused before it was carried out; one that goes on is counted at its end.
    pub(super) fn count_prepared(&self, principal: &Principal, call: &Call, prepared: &Result<Prepared, Unprepared>) {
        match prepared {
            Ok(prepared) => note_call(&end(prepared, None), false),
            Err(Unprepared::Refused(refusal) | Unprepared::Denied(Denied { refusal, .. })) => {
                self.count_refused(principal, call, refusal);
            }
        }
    }

    /// Counts a call that goes no further.
    pub(super) fn count_refused(&self, principal: &Principal, call: &Call, refusal: &Refusal) {
        // What this principal can't see is not named after it: it may be anything that an agent made up.
        let entry = self.seen(principal, &call.action).ok();
        let action = entry.as_ref().map(|entry| &*entry.name);
        let target = call.target.as_deref().filter(|name| self.targets.contains_key(*name));
        let verdict = (refusal.code == Code::DeniedByPolicy).then_some(Verdict::Deny);
        let end = CallEnd { action, target, verdict, code: Some(refusal.code) };
        note_call(&end, true);
        self.metrics.called(end);
    }

    /// Counts a call that was carried out, as far as it got by itself.
    pub(super) fn count_carried_out(&self, prepared: &Prepared, came_to: &Result<Step, Stop>) {
        let code = match came_to {
            Ok(Step::Done(_)) => None,
            Ok(Step::Held(_)) => Some(Code::PendingApproval),
            Err(
                Stop::Recorded(refusal)
                | Stop::Unrecorded(Unprepared::Refused(refusal) | Unprepared::Denied(Denied { refusal, .. })),
            ) => Some(refusal.code),
        };
        let end = end(prepared, code);
        note_call(&end, true);
        self.metrics.called(end);
    }
}

fn end(prepared: &Prepared, code: Option<Code>) -> CallEnd<'_> {
    CallEnd {
        action: Some(&prepared.asked.entry.name),
        target: Some(prepared.asked.target.name()),
        verdict: Some(prepared.decision.verdict()),
        code,
    }
}
