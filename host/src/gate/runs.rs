//! Looking back: a principal's own runs, from the index of the record.

use std::sync::Arc;

use super::{Gate, call::Principal};
use crate::{
    error::{Code, Refusal},
    runs::{RunFilter, RunPage, RunRecord, Runs, RunsError, Viewer, unknown_run},
};

impl Gate {
    /// This principal's own runs, the newest first. What is on the record by now is among them, whichever process of this
    /// host put it there.
    ///
    /// # Errors
    /// When the filter's cursor is not one of ours, or the record or its index can't be read.
    pub async fn recent_runs(&self, principal: &Principal, filter: RunFilter) -> Result<RunPage, Refusal> {
        let viewer = viewer(principal);
        self.with_runs(move |runs| runs.recent(&viewer, &filter)).await
    }

    /// One of this principal's own runs, with its lines as they stand on the record.
    ///
    /// # Errors
    /// `unknown_run` for what does not exist and for what is not this principal's; otherwise as above.
    pub async fn run_record(&self, principal: &Principal, run: &str) -> Result<RunRecord, Refusal> {
        let (viewer, wanted) = (viewer(principal), run.to_owned());
        self.with_runs(move |runs| runs.run(&viewer, &wanted)).await?.ok_or_else(|| unknown_run(run))
    }

    /// The index of the record.
    #[must_use]
    pub fn runs(&self) -> &Arc<Runs> {
        &self.runs
    }

    async fn with_runs<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Runs) -> Result<T, RunsError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let runs = Arc::clone(&self.runs);
        let answer = tokio::task::spawn_blocking(move || ask(&runs)).await;
        Ok(answer.map_err(|error| Refusal::new(Code::InternalError, error.to_string()))??)
    }
}

fn viewer(principal: &Principal) -> Viewer {
    Viewer {
        agent: principal.agent.clone(),
        person: principal.person.clone(),
        packs: principal.scope.packs.clone(),
        targets: principal.scope.targets.clone(),
    }
}
