//! Waiting for people: a short poll of the store, cheap while nothing is written there.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::store::{Approval, State, Store, StoreError, TransitionError};

/// Between looks: at first short, since the person may be at the screen; then longer. A person notices neither.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_millis(250);

/// How waiting ended.
#[derive(Debug)]
pub enum Waited {
    /// No longer pending: read `state_at(now)` of it, which may be `expired` before the store says so.
    Decided(Box<Approval>),
    /// The deadline came first.
    StillPending(Box<Approval>),
    /// The caller cancelled.
    Cancelled,
}

/// Waits until an approval is no longer pending, or `until`, or `cancel`. Writes nothing.
///
/// # Errors
/// [`TransitionError::UnknownApproval`], or the store's own.
pub async fn wait(
    store: Arc<dyn Store>,
    id: &str,
    until: Instant,
    cancel: &CancellationToken,
) -> Result<Waited, TransitionError> {
    let mut seen = None;
    let mut pause = SHORTEST;
    loop {
        let look = { (Arc::clone(&store), id.to_owned(), seen.take()) };
        let (mark, approval) = tokio::task::spawn_blocking(move || {
            let (store, id, seen) = look;
            // The mark is taken before looking: what is written in between is found the next time.
            let mark = store.change_mark()?;
            match seen {
                Some((old, approval)) if old == mark => Ok((mark, approval)),
                _ => {
                    let approval = store.get(&id)?.ok_or(TransitionError::UnknownApproval { id })?;
                    Ok::<_, TransitionError>((mark, Box::new(approval)))
                }
            }
        })
        .await
        .map_err(|error| StoreError::Corrupt(format!("looking at it was interrupted: {error}")))??;
        if approval.state_at(Timestamp::now()) != State::Pending {
            return Ok(Waited::Decided(approval));
        }
        let now = Instant::now();
        if now >= until {
            return Ok(Waited::StillPending(approval));
        }
        seen = Some((mark, approval));
        tokio::select! {
            () = cancel.cancelled() => return Ok(Waited::Cancelled),
            () = sleep_until(until.min(now + pause)) => pause = (pause + SHORTEST / 4).min(LONGEST),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::store::{Approval, Creation, SqliteStore, testing};

    fn pending(store: &dyn Store, change: impl FnOnce(&mut crate::store::Request)) -> Box<Approval> {
        let mut request = testing::request();
        change(&mut request);
        match crate::approval::request(store, request, Timestamp::now()).unwrap() {
            Creation::Created { approval, .. } => approval,
            Creation::Joined(_) => panic!("joined"),
        }
    }

    fn in_seconds(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    fn approve(approval: &Approval) -> crate::store::Vote {
        crate::store::Vote { now: Timestamp::now(), ..testing::approve(approval, "grace", 0) }
    }

    #[tokio::test]
    async fn sees_a_decision_made_by_another_process_and_by_this_one() {
        for by_another in [true, false] {
            let (_state, store) = testing::store();
            let other = SqliteStore::open(store.path()).unwrap();
            let approval = pending(&store, |_| ());
            let store: Arc<dyn Store> = Arc::new(store);
            let (waiter, id) = (Arc::clone(&store), approval.id.clone());
            let waiting =
                tokio::spawn(async move { wait(waiter, &id, in_seconds(30), &CancellationToken::new()).await });
            tokio::task::yield_now().await;
            if by_another { other.vote(&approve(&approval)) } else { store.vote(&approve(&approval)) }.unwrap();
            match waiting.await.unwrap().unwrap() {
                Waited::Decided(found) => assert_eq!(found.state, State::Approved),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn ends_at_the_deadline_and_on_cancellation() {
        let (_state, store) = testing::store();
        let id = pending(&store, |_| ()).id.clone();
        let store: Arc<dyn Store> = Arc::new(store);
        let never = CancellationToken::new();
        assert!(matches!(
            wait(Arc::clone(&store), &id, Instant::now(), &never).await.unwrap(),
            Waited::StillPending(_)
        ));
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        assert!(matches!(wait(store, &id, in_seconds(30), &cancelled).await.unwrap(), Waited::Cancelled));
    }

    #[tokio::test]
    async fn an_expiry_that_nobody_wrote_down_ends_the_wait() {
        let (_state, store) = testing::store();
        let id = pending(&store, |request| request.decide_within = Duration::from_millis(50)).id.clone();
        match wait(Arc::new(store), &id, in_seconds(30), &CancellationToken::new()).await.unwrap() {
            Waited::Decided(found) => assert_eq!(found.state_at(Timestamp::now()), State::Expired),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_unknown_id_is_an_error() {
        let (_state, store) = testing::store();
        let waited = wait(Arc::new(store), "apr_none", in_seconds(30), &CancellationToken::new()).await;
        assert!(matches!(waited, Err(TransitionError::UnknownApproval { .. })));
    }
}
