//! Whether a target answers, as it showed when somebody last turned to it: a call, a question of the host's own, or a probe.
//! To get a session is what counts. A statement that fails, or a backend that is terminated under one, says nothing about
//! the server.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::QueryError;

/// Whether a target answered when it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Nobody has asked yet.
    #[default]
    Unknown,
    /// It answered.
    Reachable,
    /// It could not be reached, or let nobody in.
    Unreachable,
}

impl Health {
    /// `unknown`, `reachable` or `unreachable`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Reachable => "reachable",
            Self::Unreachable => "unreachable",
        }
    }
}

/// How a target was when it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Whether it answered.
    pub health: Health,
    /// Since when it has this health.
    pub since: Option<Timestamp>,
    /// When it was last asked.
    pub asked: Option<Timestamp>,
    /// Why it could not be reached. Text of the network and the server: not redacted.
    pub error: Option<String>,
}

/// Keeps a target's condition.
#[derive(Default)]
pub(super) struct Log(Mutex<Condition>);

impl Log {
    pub(super) fn now(&self) -> Condition {
        self.lock().clone()
    }

    pub(super) fn answered(&self) {
        self.note(Health::Reachable, None);
    }

    pub(super) fn failed(&self, error: &QueryError) {
        // All connections in use: the server is well enough to be busy with us.
        if !matches!(error, QueryError::Busy(_)) {
            self.note(Health::Unreachable, Some(error.to_string()));
        }
    }

    fn note(&self, health: Health, error: Option<String>) {
        let mut condition = self.lock();
        let now = Some(Timestamp::now());
        if condition.health != health {
            condition.since = now;
        }
        (condition.health, condition.asked, condition.error) = (health, now, error);
    }

    fn lock(&self) -> MutexGuard<'_, Condition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_when_the_health_changed_and_not_when_it_was_seen_again() {
        let log = Log::default();
        assert_eq!(log.now(), Condition::default());
        log.failed(&QueryError::Busy("all in use".into()));
        assert_eq!(log.now().health, Health::Unknown, "a busy pool says nothing");
        log.failed(&QueryError::unreachable("nobody there"));
        let first = log.now();
        assert_eq!((first.health, first.error.as_deref()), (Health::Unreachable, Some("nobody there")));
        log.failed(&QueryError::unreachable("still nobody"));
        let second = log.now();
        assert_eq!((second.since, second.error.as_deref()), (first.since, Some("still nobody")));
        assert!(second.asked >= first.asked);
        log.answered();
        let third = log.now();
        assert_eq!((third.health, third.error), (Health::Reachable, None));
        assert!(third.since >= second.asked);
    }
}
