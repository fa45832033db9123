//! Waiting for people: a short poll of the store, cheap while nothing is written there.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::store::{Approval, ChangeMark, State, Store, StoreError, TransitionError};

/// Between looks: at first short, since the person may be at the screen; then longer. A person notices neither.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_millis(250);

/// When a waiting task looks around, though nothing has changed: as exact as a deadline in minutes needs.
const LOOK_AROUND: Duration = Duration::from_secs(1);

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
    let mut watch = Watch::new(store, id);
    let mut pause = SHORTEST;
    loop {
        let approval = watch.look().await?;
        if approval.state_at(Timestamp::now()) != State::Pending {
            return Ok(Waited::Decided(approval));
        }
        let now = Instant::now();
        if now >= until {
            return Ok(Waited::StillPending(approval));
        }
        tokio::select! {
            () = cancel.cancelled() => return Ok(Waited::Cancelled),
            () = sleep_until(until.min(now + pause)) => pause = longer(pause),
        }
    }
}

/// Waits until an approval is stored in another state than the given one, or a second has passed: then it is time to look
/// again at what nobody writes down by itself, such as an expiry or the death of the process that was executing it.
///
/// # Errors
/// [`TransitionError::UnknownApproval`], or the store's own.
pub async fn wait_for_change(store: &Arc<dyn Store>, approval: &Approval) -> Result<(), TransitionError> {
    let mut watch = Watch::new(Arc::clone(store), &approval.id);
    let until = Instant::now() + LOOK_AROUND;
    let mut pause = SHORTEST;
    while watch.look().await?.state == approval.state {
        let now = Instant::now();
        if now >= until {
            break;
        }
        sleep_until(until.min(now + pause)).await;
        pause = longer(pause);
    }
    Ok(())
}

fn longer(pause: Duration) -> Duration {
    (pause + SHORTEST / 4).min(LONGEST)
}

/// Looks at one approval again and again, and reads it only if something was written in between.
struct Watch {
    store: Arc<dyn Store>,
    id: String,
    seen: Option<(ChangeMark, Box<Approval>)>,
}

impl Watch {
    fn new(store: Arc<dyn Store>, id: &str) -> Self {
        Self { store, id: id.to_owned(), seen: None }
    }

    async fn look(&mut self) -> Result<Box<Approval>, TransitionError> {
        let (store, id, seen) = (Arc::clone(&self.store), self.id.clone(), self.seen.take());
        let (mark, approval) = tokio::task::spawn_blocking(move || {
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
        self.seen = Some((mark, approval.clone()));
        Ok(approval)
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

    #[tokio::test]
    async fn a_change_is_seen_and_the_lack_of_one_does_not_hold_for_ever() {
        let (_state, store) = testing::store();
        let approval = pending(&store, |_| ());
        let store: Arc<dyn Store> = Arc::new(store);
        let began = Instant::now();
        wait_for_change(&store, &approval).await.unwrap();
        assert!(began.elapsed() >= LOOK_AROUND, "it came back before there was a reason to");
        store.vote(&approve(&approval)).unwrap();
        let began = Instant::now();
        wait_for_change(&store, &approval).await.unwrap();
        assert!(began.elapsed() < LOOK_AROUND, "the change was there to be seen");
    }
}
