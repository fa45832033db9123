//! Telling people: that a request waits for them, and what became of it. A host's [`Notifier`] has one task for each
//! `[[notify]]` channel, which turns events of the store into messages of its outbox and sends them; a message is tried
//! again, over restarts and by whichever host, until it is taken, of no use any more, or too late. None of it is on a call's
//! way. A message says what waits and where to look; it decides nothing, and nobody decides by it.

mod backoff;
mod channel;
mod deliver;
mod email;
mod event;
mod notice;
mod settings;
mod slack;
mod webhook;

pub use self::{
    channel::{Channel, Failure},
    deliver::{Attempted, Notifier, Told},
    event::EventKind,
    notice::{About, AboutStanding, Fact, Notice, Subject},
    settings::{Kind, NotifyConfig, SmtpTls},
};
