//! The ends that nobody waits for: of operations whose process is gone, and of those that are under way when the host stops.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{super::Gate, Stage, ended, kept::Kept, once::Once};
use crate::{
    error::{Code, Refusal},
    store::{self, Operation, OperationState},
};

impl Gate {
    /// What a dead process was carrying out: unknown if it had begun, on the record before the store; otherwise whoever
    /// claims it next takes it over.
    pub(super) async fn close_lost(&self, lost: &Operation) -> Result<(), Refusal> {
        // Read again: it may have ended before its process did, and it may have begun since it was read.
        let key = lost.key.clone();
        let now = self.with_store(move |store| store.operation(&key)).await??;
        let Some(lost) = now.filter(|now| now.run == lost.run && now.state == OperationState::Running && now.begun)
        else {
            return Ok(());
        };
        self.journal.operation_lost(&lost).await?;
        let unknown = "the lockgate process that was carrying this out ended before it could say how it went";
        let result = Kept::of(&Err(ended(Refusal::new(Code::OutcomeUnknown, unknown))));
        match self.with_store(move |store| store.close_operation(&lost, &result, Timestamp::now())).await? {
            // Somebody else has just said the same.
            Ok(()) | Err(store::StoreError::OperationLost { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends what processes that are gone were carrying out, when this one starts.
    pub(crate) async fn close_lost_operations(&self) -> Result<(), Refusal> {
        let is_alive = self.is_alive();
        for lost in self.with_store(|store| store.running_operations()).await?? {
            if is_alive(&lost.instance) {
                continue;
            }
            if lost.begun {
                self.close_lost(&lost).await?;
            } else {
                self.with_store(move |store| store.forget_operation(&lost)).await??;
            }
        }
        Ok(())
    }

    /// Waits until what is still being carried out without a caller has ended and its end is kept. What takes longer than
    /// half of this time is called off, and has the other half to say so.
    pub async fn wind_up(&self, within: Duration) {
        if self.all_over(within / 2).await {
            return;
        }
        self.stopping.cancel();
        self.all_over(within / 2).await;
    }

    async fn all_over(&self, within: Duration) -> bool {
        let stages: Vec<_> = self.operations.lock().values().map(|underway| underway.stage.clone()).collect();
        let all = async {
            for mut stage in stages {
                // A sender that is gone has nothing more to say either.
                let _ = stage.wait_for(|stage| !matches!(stage, Stage::Claiming | Stage::Running)).await;
            }
        };
        tokio::time::timeout(within, all).await.is_ok()
    }

    /// Comes when a call is to be stopped. A named call that has begun to act goes on without its caller, who can come back
    /// for the answer; only the end of the host stops it.
    pub(in crate::gate) async fn called_off(&self, once: Option<&Arc<Once>>, cancel: &CancellationToken) {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = self.stopping.cancelled() => return,
        }
        if once.is_some_and(|once| once.has_begun()) {
            self.stopping.cancelled().await;
        }
    }
}
