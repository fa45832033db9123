//! A person's decision on a held call: on the record before it counts, and again with what it came to. The rules of who
//! may decide are the store's.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::{
    approval,
    audit::{Entry, Record},
    error::{Code, Refusal},
    outside::shown,
    store::{Approval, Store, Vote},
};

/// Longest reason that is kept with a vote, in characters.
const REASON: usize = 500;

/// Counts one vote.
///
/// # Errors
/// When it can't be recorded, may not be given, or comes too late.
pub async fn decide(record: &Record, store: Arc<dyn Store>, vote: Vote) -> Result<Approval, Refusal> {
    let vote = Vote { reason: shown(&vote.reason, REASON), ..vote };
    let line = |event: &str| {
        Entry::new(event)
            .field("approval", vote.id.chars().take(64).collect::<String>())
            .field("person", vote.person.as_str())
            .field("decision", vote.decision.as_str())
    };
    record
        .append(
            line("approval.vote").field("digest", vote.digest_shown.to_string()).field("reason", vote.reason.as_str()),
        )
        .await?;
    let (cast, on) = (vote.clone(), store);
    let counted = tokio::task::spawn_blocking(move || approval::vote(&*on, &cast))
        .await
        .map_err(|e| Refusal::new(Code::StoreUnavailable, e.to_string()))?;
    match counted {
        Ok(approval) => {
            // The vote is counted and its intent recorded; the decision stands even if this line can't be written.
            let decided = line("approval.decided")
                .field("run", approval.request.run.as_str())
                .field("state", approval.state.as_str())
                .field("execute_by", approval.execute_by.map(|t| Json::String(t.to_string())));
            if let Err(error) = record.append(decided).await {
                tracing::error!(%error, approval = %approval.id, "the decision counts, and its end is not on the record");
            }
            Ok(approval)
        }
        Err(error) => {
            let refusal = Refusal::from(error);
            record.append(line("approval.vote_refused").field("code", refusal.code.as_str())).await?;
            Err(refusal)
        }
    }
}
