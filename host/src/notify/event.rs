//! What people can be told of, in the words of the store's events.

use serde::{Deserialize, Serialize};

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident => $word:literal, $type:literal, $title:literal;)+) => {
        /// Something that people can be told of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum EventKind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl EventKind {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word of the store and of the configuration.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// What a webhook's receiver tells it by.
            #[must_use]
            pub fn webhook_type(self) -> &'static str {
                match self { $(Self::$name => $type,)+ }
            }

            /// What happened, as people read it.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

events! {
    /// A request begins to wait for people.
    Requested => "requested", "approval.requested", "waits for a decision";
    /// Enough people said yes.
    Approved => "approved", "approval.approved", "was approved";
    /// A person said no.
    Denied => "denied", "approval.denied", "was denied";
    /// Nobody decided in time, or nobody used it in time.
    Expired => "expired", "approval.expired", "has expired";
    /// Its requester took it back.
    Withdrawn => "withdrawn", "approval.withdrawn", "was taken back";
    /// What it rested on has changed.
    Superseded => "superseded", "approval.superseded", "was set aside";
    /// It ran.
    Succeeded => "succeeded", "approval.succeeded", "has run";
    /// It ran in vain.
    Failed => "failed", "approval.failed", "has failed";
    /// Whether it took effect can't be told.
    Unknown => "unknown", "approval.unknown", "ended, and nobody can say how: look at the database";
    /// Somebody proposes a standing approval: it waits for an admin.
    StandingProposed => "standing_proposed", "standing.proposed", "is proposed as a standing approval";
    /// One is in force.
    StandingApproved => "standing_approved", "standing.approved", "is approved in advance";
    /// One was taken back, or turned down.
    StandingRevoked => "standing_revoked", "standing.revoked", "is not approved in advance any more";
    /// One has no uses left.
    StandingUsedUp => "standing_used_up", "standing.used_up", "was approved in advance, and no use of that is left";
}

impl EventKind {
    /// What a channel is told of that does not say: what a person has to act on.
    #[must_use]
    pub fn by_default() -> Vec<Self> {
        vec![Self::Requested, Self::Unknown, Self::StandingProposed]
    }

    /// By the store's word. `None` for what people are not told of.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.as_str() == word)
    }

    /// Whether it is about a standing approval.
    #[must_use]
    pub fn is_standing(self) -> bool {
        use EventKind::{StandingApproved, StandingProposed, StandingRevoked, StandingUsedUp};
        matches!(self, StandingProposed | StandingApproved | StandingRevoked | StandingUsedUp)
    }

    /// Whether it asks people to do something, so that it is of no use once that is done.
    #[must_use]
    pub fn asks(self) -> bool {
        matches!(self, Self::Requested | Self::StandingProposed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::State;

    #[test]
    fn every_state_but_the_passing_ones_can_be_told() {
        for state in State::ALL {
            let told = EventKind::of(state.as_str()).is_some();
            assert_eq!(told, !matches!(state, State::Pending | State::Consumed), "{state}");
        }
        assert_eq!(EventKind::of("requested"), Some(EventKind::Requested));
        for event in EventKind::ALL {
            assert_eq!(serde_json::to_value(event).unwrap(), event.as_str());
        }
    }
}
