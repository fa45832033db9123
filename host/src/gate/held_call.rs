//! Held calls as somebody sees them who does not wait: how one stands, in words and in times, and taking one back.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Gate,
    call::{HeldCall, Pending, Principal},
    held::settled,
    requester,
};
use crate::{
    error::Refusal,
    store::{Approval, State, TransitionError},
};

impl Gate {
    /// Where a held call of this principal stands. Looking at it takes it up, if a host that was stopped had let go of it.
    pub async fn held_call(self: &Arc<Self>, principal: &Principal, id: &str) -> Result<HeldCall, Refusal> {
        let approval = self.own(principal, id).await?;
        let end = settled(&approval);
        if end.is_none() {
            self.drive(id);
        }
        let until = match approval.state {
            State::Pending => Some(approval.decide_by),
            State::Approved => approval.execute_by,
            _ => None,
        };
        let changes = [approval.finished_at, approval.consumed_at, approval.decided_at];
        Ok(HeldCall {
            pending: self.pending(&approval),
            asked_at: approval.created_at,
            changed_at: changes.into_iter().flatten().max().unwrap_or(approval.created_at),
            until: until.filter(|_| end.is_none()),
            end: end.map(|end| end.map(|outcome| self.outcome_for_eyes_of(principal, outcome))),
        })
    }

    /// Takes back what this principal has asked for, while people have not decided. Whatever has been decided stays as it
    /// is, so that nobody finds their decision undone; doing it twice is as good as once.
    pub async fn withdraw(&self, principal: &Principal, id: &str) -> Result<(), Refusal> {
        let approval = self.own(principal, id).await?;
        let (id, by) = (approval.id, requester(principal));
        match self.with_store(move |store| store.withdraw(&id, &by, Timestamp::now())).await? {
            Ok(withdrawn) => self.journal.closed(&withdrawn).await,
            Err(TransitionError::Closed { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What the caller of a held call is told of it.
    pub(super) fn pending(&self, approval: &Approval) -> Pending {
        let request = &approval.request;
        let pending = Pending {
            run: request.run.clone(),
            approval: approval.id.clone(),
            action: request.action.clone(),
            target: request.target.clone(),
            expires_at: approval.decide_by.to_string(),
            digest: approval.digest.to_string(),
            message: format!(
                "`{}` on `{}` waits for a person to decide; nothing has been changed",
                request.action, request.target
            ),
            link: self.people_at.as_ref().map(|people| people.link(&approval.id)),
            ..Pending::default()
        };
        if matches!(approval.state, State::Approved | State::Consumed) { let_through(pending) } else { pending }
    }
}

/// What is said once people have let it through.
pub(super) fn let_through(pending: Pending) -> Pending {
    let message = format!("`{}` on `{}` was approved and is being run", pending.action, pending.target);
    Pending { approved: true, message, ..pending }
}
