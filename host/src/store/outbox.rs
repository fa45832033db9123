//! What people are told: events, written with the change they are about, and the messages that each channel owes them. A
//! message is one row for its channel and event, whatever number of hosts look; who sends it holds a lease for a moment, so
//! that it is sent by one, and by another if that one dies. Knows no channel's kind and no wording.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::StoreError;

/// A change that somebody may want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number: later ones are higher.
    pub seq: i64,
    /// Its stable word: `requested`, the state that an approval came to, or `standing_…`.
    pub event: String,
    /// The id of what it is about: an approval (`apr_…`) or a standing approval (`sta_…`).
    pub subject: String,
    /// When.
    pub at: Timestamp,
}

/// An event with what a channel may choose by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// The event.
    pub event: Event,
    /// The risk of what it is about.
    pub risk: Option<String>,
    /// The approval's target; a standing approval may have several, and none stands here.
    pub target: Option<String>,
    /// When what it is about can no longer be decided.
    pub decide_by: Option<Timestamp>,
    /// Whether it is stored as waiting for people still.
    pub waits: bool,
}

/// What a channel says to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nobody there wants to hear of it.
    Pass,
    /// Send it, and give up at this time.
    Send {
        /// When.
        until: Timestamp,
    },
}

/// A message that this process may send: it holds the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `msg_` and 16 characters; the same each time it is tried.
    pub id: String,
    /// The channel's name.
    pub channel: String,
    /// What it is about.
    pub event: Event,
    /// When it is given up.
    pub until: Timestamp,
    /// From 1: which attempt this is.
    pub attempt: u32,
    lease: String,
}

impl Message {
    // INVARIANT: called only with what a lease was committed for.
    pub(super) fn leased(
        id: String,
        channel: String,
        event: Event,
        until: Timestamp,
        attempt: u32,
        lease: String,
    ) -> Self {
        Self { id, channel, event, until, attempt, lease }
    }

    pub(super) fn lease(&self) -> &str {
        &self.lease
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Sent,
    /// It is of no use any more: what it asks for was done.
    Dropped,
    /// It was not, and is tried again.
    Again {
        /// When.
        at: Timestamp,
        /// Why, in a few words without secrets.
        error: String,
    },
    /// It was not, and is given up.
    Failed {
        /// Why, in a few words without secrets.
        error: String,
    },
}

/// What noting the end of an attempt did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is noted.
    Noted,
    /// It is noted, and is the first failure of this channel about this subject: it belongs on the record.
    FirstFailure,
    /// Somebody else has the message by now.
    Lost,
}

/// How a channel does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChannelState {
    /// Its name.
    pub channel: String,
    /// Messages that wait to be sent or tried again.
    pub queued: u64,
    /// Of these, messages that have been tried in vain.
    pub failing: u64,
    /// Since when the oldest of them waits.
    pub oldest: Option<Timestamp>,
    /// Messages given up in the last day.
    pub given_up: u64,
    /// The latest error among the waiting ones and those given up in the last day.
    pub error: Option<String>,
}

/// Events and messages. As with [`super::Store`], times are given, and methods block.
pub trait Outbox {
    /// The number of the latest event, 0 before the first.
    ///
    /// # Errors
    /// The store's own.
    fn last_event(&self) -> Result<i64, StoreError>;

    /// The events after a number, oldest first, so many at most.
    ///
    /// # Errors
    /// The store's own.
    fn events_after(&self, seq: i64, most: u32) -> Result<Vec<Event>, StoreError>;

    /// How often each event has happened since the store was made.
    ///
    /// # Errors
    /// The store's own.
    fn event_counts(&self) -> Result<Vec<(String, u64)>, StoreError>;

    /// Makes a channel known that is not yet: it is told of what happens from now on.
    ///
    /// # Errors
    /// The store's own.
    fn open_channel(&self, channel: &str) -> Result<(), StoreError>;

    /// Gives a channel the messages of what has happened since the last time, once, whoever asks; returns how many. What is
    /// over for a month is removed.
    ///
    /// # Errors
    /// The store's own.
    fn queue_messages(
        &self,
        channel: &str,
        wish: &dyn Fn(&Happened) -> Wish,
        now: Timestamp,
    ) -> Result<usize, StoreError>;

    /// Takes the next message of a channel that is due and that nobody else is sending, for so long.
    ///
    /// # Errors
    /// The store's own.
    fn take_message(
        &self,
        channel: &str,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Message>, StoreError>;

    /// Notes how an attempt ended.
    ///
    /// # Errors
    /// The store's own.
    fn settle_message(&self, message: &Message, end: &Delivery, now: Timestamp) -> Result<Settled, StoreError>;

    /// How every channel does that was ever opened, by name.
    ///
    /// # Errors
    /// The store's own.
    fn channel_states(&self, now: Timestamp) -> Result<Vec<ChannelState>, StoreError>;
}
