//! What a run comes to: the guest's answer, corrected by the gate's own account of what was sent. A guest can't turn a
//! failed act into a success, nor one that happened into a failure that sounds as if it had not.

use super::{Gate, querier::Account};
use crate::{
    error::{Code, Refusal},
    pack::sandbox::{Failure, QueryFailure, SandboxError},
};

impl Gate {
    /// The guest's answer if nothing speaks against it. `None`: the caller cancelled before there was one.
    pub(super) fn concluded<T>(
        &self,
        answer: Option<Result<Result<T, Failure>, SandboxError>>,
        account: &mut Account,
    ) -> Result<T, Refusal> {
        let Some(answer) = answer else {
            return Err(if account.acted {
                Refusal::new(Code::OutcomeUnknown, "the call was cancelled while the server was at work")
            } else {
                Refusal::new(Code::Cancelled, "the call was cancelled")
            });
        };
        if let Some(mut refusal) = account.binding.take() {
            // What a failed act left behind, only the pack knows. It adds to what the gate saw and replaces none of it.
            if let Ok(Err(Failure::NoEffect(text))) = &answer {
                refusal.message = format!("{}; the pack adds: {}", refusal.message, self.text(text));
                if refusal.code == Code::DatabaseError {
                    refusal = Refusal::new(Code::NoEffect, refusal.message);
                }
            }
            return Err(refusal);
        }
        match answer {
            Ok(Ok(value)) => Ok(value),
            // Without a failed act in between, the server has acted; a pack may say that it was in vain, and nothing else.
            Ok(Err(failure)) if account.acted && !matches!(failure, Failure::NoEffect(_)) => {
                let said = self.failed(failure, account);
                let message =
                    format!("the server had acted when the pack failed with `{}`: {}", said.code, said.message);
                Err(Refusal::new(Code::OutcomeUnknown, message))
            }
            Ok(Err(failure)) => Err(self.failed(failure, account)),
            Err(error) if account.acted => {
                Err(Refusal::new(Code::OutcomeUnknown, format!("{error}, after the server had been asked to act")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A failure in the guest's words, with the code that goes with it.
    fn failed(&self, failure: Failure, account: &mut Account) -> Refusal {
        let (code, text) = match failure {
            Failure::NotFound(text) => (Code::NotFound, text),
            Failure::NothingToDo(text) => (Code::NothingToDo, text),
            Failure::NotApplicable(text) => (Code::NotApplicable, text),
            Failure::NoEffect(text) => (Code::NoEffect, text),
            Failure::TargetChanged(text) => (Code::TargetChanged, text),
            Failure::Internal(text) => (Code::PackFailure, text),
            Failure::Query(error) => return self.query_failed(error, account.last.take()),
        };
        Refusal::new(code, self.text(&text))
    }

    /// A query's failure that the guest hands on, in the words of the gate, which knows better what the server said. Or one
    /// that the guest concludes by itself: it asked whether the role has a grant, and the answer was no.
    fn query_failed(&self, error: QueryFailure, last: Option<Refusal>) -> Refusal {
        let (code, text) = match error {
            QueryFailure::MissingPrivilege(text) => (Code::MissingPrivilege, text),
            QueryFailure::Unsupported(text) => (Code::UnsupportedServerVersion, text),
            QueryFailure::TargetChanged => (Code::TargetChanged, "the pack found that the target has changed".into()),
            other => {
                return last.unwrap_or_else(|| {
                    Refusal::new(Code::PackFailure, self.text(&format!("the pack reports a query error: {other:?}")))
                });
            }
        };
        // On a standby the gate has the more exact code.
        let is_the_same = |last: &Refusal| last.code == code || last.code == Code::NotOnStandby;
        last.filter(is_the_same).unwrap_or_else(|| Refusal::new(code, self.text(&text)))
    }
}
