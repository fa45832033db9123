//! The few sessions of a target that reads and acts take turns on. Small on purpose: each is held by one call at a time, so
//! its transaction, its notices and its cancellation are that call's alone.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};

use super::{endpoint::Endpoint, error::QueryError, guard::Guard, session::Session};

/// After this long a session is replaced: names are looked up anew, and rotated credentials come into use.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);
/// A session that was idle for longer is asked whether it still lives before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// Which session will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// An idle one or a new one.
    Any,
    /// A new one.
    Fresh,
}

/// How many connections of a target there are, by use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Held by a call, or by a question of the host's own.
    pub in_use: usize,
    /// Open and waiting for the next.
    pub idle: usize,
    /// Maintaining, each on a connection of its own.
    pub maintaining: usize,
    /// How many may be in use at once; as many may maintain.
    pub most: usize,
}

/// The sessions of one target.
pub(super) struct Pool {
    pub(super) endpoint: Endpoint,
    slots: Arc<Semaphore>,
    /// Maintenance has connections of its own, and as many at most.
    maintenance: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
}

impl Pool {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let slots = |n| Arc::new(Semaphore::new(n));
        Self {
            slots: slots(endpoint.pool_size),
            maintenance: slots(endpoint.pool_size),
            idle: Mutex::new(Vec::new()),
            endpoint,
        }
    }

    /// How many there are.
    pub(super) fn connections(&self) -> Connections {
        let most = self.endpoint.pool_size;
        let taken = |slots: &Semaphore| most.saturating_sub(slots.available_permits());
        let (in_use, maintaining) = (taken(&self.slots), taken(&self.maintenance));
        Connections { in_use, idle: self.idle().len(), maintaining, most }
    }

    /// A session to oneself: one that lives, the last used first, or a new one.
    pub(super) async fn take(&self, deadline: Instant, pick: Pick) -> Result<Session, QueryError> {
        let permit = self.slot(&self.slots, deadline).await?;
        while let Some(mut session) = self.pop() {
            let rested = session.idle_since.map_or(Duration::ZERO, |since| since.elapsed());
            if pick == Pick::Fresh || session.client.is_closed() || session.opened.elapsed() > MAX_AGE {
                continue;
            }
            if rested > TRUSTED_IDLE {
                let answered = timeout_at(deadline.into(), session.client.check_connection()).await;
                if !matches!(answered, Ok(Ok(()))) {
                    continue;
                }
            }
            session.permit = Some(permit);
            return Ok(session);
        }
        let endpoint = &self.endpoint;
        let guard = Guard::pooled(&endpoint.timeouts);
        let mut session = Session::open(endpoint, &endpoint.credential, &endpoint.tls, guard, deadline).await?;
        session.permit = Some(permit);
        Ok(session)
    }

    /// A fresh session for one maintenance command, on the target's maintenance credential if it has one.
    pub(super) async fn take_for_maintenance(
        &self,
        own: Option<Duration>,
        deadline: Instant,
    ) -> Result<Session, QueryError> {
        let permit = self.slot(&self.maintenance, deadline).await?;
        let endpoint = &self.endpoint;
        let (credential, tls) = endpoint
            .maintenance
            .as_ref()
            .map_or((&endpoint.credential, &endpoint.tls), |(credential, tls)| (credential, tls));
        let guard = Guard::maintenance(&endpoint.timeouts, own);
        let mut session = Session::open(endpoint, credential, tls, guard, deadline).await?;
        session.permit = Some(permit);
        Ok(session)
    }

    /// Takes a session back that is as clean as it was; one that is not is closed.
    pub(super) fn give_back(&self, mut session: Session) {
        if !session.is_usable() {
            return;
        }
        session.idle_since = Some(Instant::now());
        let permit = session.permit.take();
        self.idle().push(session);
        // After the push, so that whoever waits for the slot finds the session.
        drop(permit);
    }

    /// Closes what is idle: the server is not what it was.
    pub(super) fn clear(&self) {
        let closed = std::mem::take(&mut *self.idle());
        drop(closed);
    }

    async fn slot(&self, slots: &Arc<Semaphore>, deadline: Instant) -> Result<OwnedSemaphorePermit, QueryError> {
        let busy = || {
            let (name, size) = (&self.endpoint.name, self.endpoint.pool_size);
            QueryError::Busy(format!(
                "all {size} connections of target `{name}` stayed in use; raise its `pool_size` or call less"
            ))
        };
        match timeout_at(deadline.into(), Arc::clone(slots).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    fn pop(&self) -> Option<Session> {
        self.idle().pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
