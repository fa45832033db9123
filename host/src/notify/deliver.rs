//! The tasks that send: for each channel one, so that one that hangs keeps no other waiting. Each looks at the store, takes a
//! message, sends it and notes what came of it. The store decides who sends; a host that dies leaves its message to another.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{task::JoinSet, time::sleep};

use super::{
    backoff,
    channel::{Channel, Failure},
    event::EventKind,
    notice::Notice,
};
use crate::{
    approval::PeopleAt,
    audit::{Entry, Record},
    error::Refusal,
    outside::shown,
    redact::Redactor,
    store::{
        StandingState, State, Store, StoreError,
        outbox::{Delivery, Message, Settled},
    },
};

/// Between two looks at the store, which cost two small queries.
const LOOK: Duration = Duration::from_millis(500);
/// The same while the store can't be used.
const STORE_DOWN: Duration = Duration::from_secs(5);
/// For how long a message is this host's to send: an attempt takes half of it at most.
const LEASE: Duration = Duration::from_secs(30);
/// Characters of an error.
const ERROR: usize = 300;

/// What tells people, ready to start.
pub struct Notifier {
    channels: Vec<Channel>,
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    record: Record,
    redactor: Redactor,
    people_at: Option<PeopleAt>,
    holder: String,
    told: Told,
}

/// Told of every attempt: the channel's name, and how it ended.
pub type Told = Box<dyn Fn(&str, Attempted) + Send + Sync>;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attempted {
    /// It was taken.
    Sent,
    /// It is tried again.
    Failed,
    /// It is given up.
    GivenUp,
    /// It was of no use any more.
    Dropped,
}

impl Attempted {
    /// `sent`, `failed`, `given_up` or `dropped`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
            Self::Dropped => "dropped",
        }
    }
}

impl Notifier {
    /// Opens the channels: from here on, what happens is told.
    ///
    /// # Errors
    /// When the store can't be used.
    pub fn open(
        channels: Vec<Channel>,
        store: Arc<dyn Store>,
        record: Record,
        redactor: Redactor,
        people_at: Option<PeopleAt>,
        holder: String,
        told: Told,
    ) -> Result<Self, Refusal> {
        for channel in &channels {
            store.open_channel(channel.name())?;
        }
        Ok(Self { channels, shared: Arc::new(Shared { store, record, redactor, people_at, holder, told }) })
    }

    /// Starts a task for each channel. They end with the set.
    pub fn start(self, tasks: &mut JoinSet<()>) {
        for channel in self.channels {
            tasks.spawn(tell(Arc::new(channel), Arc::clone(&self.shared)));
        }
    }
}

async fn tell(channel: Arc<Channel>, shared: Arc<Shared>) {
    let mut store_is_down = false;
    loop {
        match shared.step(&channel).await {
            Ok(true) => store_is_down = false,
            Ok(false) => {
                store_is_down = false;
                sleep(LOOK).await;
            }
            Err(error) => {
                if !store_is_down {
                    tracing::error!(channel = channel.name(), %error, "nobody can be told: the store can't be used");
                }
                store_is_down = true;
                sleep(STORE_DOWN).await;
            }
        }
    }
}

impl Shared {
    /// Sends one message, if there is one to send.
    async fn step(&self, channel: &Arc<Channel>) -> Result<bool, StoreError> {
        let (its, holder) = (Arc::clone(channel), self.holder.clone());
        let taken = self
            .with_store(move |store| {
                let now = Timestamp::now();
                store.queue_messages(its.name(), &|happened| its.wish(happened, now), now)?;
                store.take_message(its.name(), &holder, LEASE, now)
            })
            .await?;
        let Some(message) = taken else { return Ok(false) };
        let end = self.attempt(channel, &message).await?;
        self.settle(channel, message, end).await?;
        Ok(true)
    }

    async fn attempt(&self, channel: &Channel, message: &Message) -> Result<Delivery, StoreError> {
        let now = Timestamp::now();
        let Some(event) = EventKind::of(&message.event.event) else { return Ok(Delivery::Dropped) };
        let id = message.event.subject.clone();
        let (redactor, people_at) = (&self.redactor, self.people_at.as_ref());
        let (notice, waits) = if event.is_standing() {
            let Some(standing) = self.with_store(move |store| store.standing(&id)).await? else {
                return Ok(Delivery::Dropped);
            };
            let waits = standing.state_at(now) == StandingState::Proposed;
            (Notice::of_standing(message, event, &standing, redactor, people_at, now), waits)
        } else {
            let Some(approval) = self.with_store(move |store| store.get(&id)).await? else {
                return Ok(Delivery::Dropped);
            };
            let waits = approval.state_at(now) == State::Pending;
            (Notice::of(message, event, &approval, redactor, people_at, now), waits)
        };
        if event.asks() && !waits {
            return Ok(Delivery::Dropped);
        }
        if now >= message.until {
            return Ok(Delivery::Failed { error: "it was not taken in time".into() });
        }
        let sent = channel.send(&notice, now).await;
        Ok(sent.map_or_else(|failure| self.failed(&failure, message, Timestamp::now()), |()| Delivery::Sent))
    }

    fn failed(&self, failure: &Failure, message: &Message, now: Timestamp) -> Delivery {
        let error = shown(&self.redactor.text(&failure.text), ERROR);
        let pause = backoff::pause(message.attempt, failure.after);
        let at = now.checked_add(SignedDuration::try_from(pause).unwrap_or_default()).unwrap_or(Timestamp::MAX);
        if failure.is_final || at >= message.until { Delivery::Failed { error } } else { Delivery::Again { at, error } }
    }

    /// Notes how it ended: in the store, in the log, for the metrics, and the first failure on the record.
    async fn settle(&self, channel: &Channel, message: Message, end: Delivery) -> Result<(), StoreError> {
        let (name, id, attempt) = (channel.name(), message.id.as_str(), message.attempt);
        let attempted = match &end {
            Delivery::Sent => Attempted::Sent,
            Delivery::Dropped => Attempted::Dropped,
            Delivery::Again { at, error } => {
                tracing::warn!(channel = name, id, attempt, again = %at, "people could not be told: {error}");
                Attempted::Failed
            }
            Delivery::Failed { error } => {
                tracing::error!(channel = name, id, attempt, "people are not told, it is given up: {error}");
                Attempted::GivenUp
            }
        };
        (self.told)(name, attempted);
        let is_standing = EventKind::of(&message.event.event).is_some_and(EventKind::is_standing);
        let line = match &end {
            Delivery::Again { error, .. } | Delivery::Failed { error } => Some(
                Entry::new("notify.failed")
                    .field("channel", name)
                    .field("kind", channel.kind().as_str())
                    .field("message", id)
                    .field("event", message.event.event.as_str())
                    .field(if is_standing { "standing" } else { "approval" }, message.event.subject.as_str())
                    .field("error", error.as_str()),
            ),
            Delivery::Sent | Delivery::Dropped => None,
        };
        let settled = self.with_store(move |store| store.settle_message(&message, &end, Timestamp::now())).await?;
        if let (Settled::FirstFailure, Some(line)) = (settled, line)
            && let Err(error) = self.record.append(line).await
        {
            tracing::error!(channel = channel.name(), %error, "that people could not be told is not on the record");
        }
        Ok(())
    }

    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        let interrupted = |error| StoreError::Corrupt(format!("looking at it was interrupted: {error}"));
        tokio::task::spawn_blocking(move || work(&*store)).await.map_err(interrupted)?
    }
}
