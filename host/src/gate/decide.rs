//! A person's decision on a held call, on the record twice: that it was given, before it is weighed, and what it came to, after
//! it was weighed and before it counts. So *decided* always stands before *consumed*, and of two decisions at the same time
//! the record has the order in which they counted. The rules of who may decide are the store's.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::{
    approval,
    audit::{Entry, Record},
    error::{Code, Refusal},
    outside::shown,
    store::{Approval, Seen, Store, StoreError, TransitionError, Vote},
};

/// Longest reason that is kept with a vote, in characters.
pub(super) const REASON: usize = 500;

/// Counts one vote.
///
/// # Errors
/// When it can't be recorded, may not be given, or comes too late.
pub async fn decide(record: &Record, store: Arc<dyn Store>, vote: Vote) -> Result<Approval, Refusal> {
    let vote = Vote { reason: shown(vote.reason.trim(), REASON), ..vote };
    let seen = match vote.seen {
        Seen::AsRequested => "as_requested".to_owned(),
        Seen::Now(digest) => digest.to_string(),
    };
    record
        .append(
            line(&vote, "approval.vote")
                .field("also_known_as", vote.also_known_as.iter().cloned().collect::<Vec<_>>())
                .field("digest", vote.digest_shown.to_string())
                .field("evidence_seen", seen)
                .field("reason", vote.reason.as_str()),
        )
        .await?;
    let (cast, to) = (vote.clone(), record.clone());
    let counted = tokio::task::spawn_blocking(move || weigh(&to, &*store, &cast))
        .await
        .map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))?;
    match counted {
        Ok(approval) => Ok(approval),
        Err(error) => {
            let refusal = Refusal::from(error);
            record.append(line(&vote, "approval.vote_refused").field("code", refusal.code.as_str())).await?;
            Err(refusal)
        }
    }
}

/// Has the store count it, with its line on the record inside the store's transaction.
fn weigh(record: &Record, store: &dyn Store, vote: &Vote) -> Result<Approval, TransitionError> {
    approval::vote_recorded(store, vote, &|after| {
        let decided = line(vote, "approval.decided")
            .field("run", after.request.run.as_str())
            .field("state", after.state.as_str())
            .field("execute_by", after.execute_by.map(|t| Json::String(t.to_string())));
        record.append_blocking(decided).map(drop).map_err(|error| StoreError::Unrecorded(error.to_string()))
    })
}

fn line(vote: &Vote, event: &str) -> Entry {
    Entry::new(event)
        .field("approval", vote.id.chars().take(64).collect::<String>())
        .field("person", vote.person.as_str())
        .field("decision", vote.decision.as_str())
}
