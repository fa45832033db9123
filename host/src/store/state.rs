//! The states of a request for approval, and which may follow which. The store's schema has the same list as a trigger.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! states {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal,)+) => {
        /// What has become of a request for approval.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum State {
            $($(#[doc = $doc])+ $name,)+
        }

        impl State {
            /// Every state.
            pub const ALL: &'static [State] = &[$(State::$name,)+];

            /// The stable text of the state.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(State::$name => $text,)+ }
            }
        }
    };
}

states! {
    /// Waits for people.
    Pending => "pending",
    /// Enough people said yes; nothing has run.
    Approved => "approved",
    /// An instance has claimed it, durably, and may be executing.
    Consumed => "consumed",
    /// Executed.
    Succeeded => "succeeded",
    /// Executed, and failed.
    Failed => "failed",
    /// Whether it took effect is not known; never retried by itself.
    Unknown => "unknown",
    /// A person said no.
    Denied => "denied",
    /// Nobody decided in time, or it was not used in time.
    Expired => "expired",
    /// Its requester took it back.
    Withdrawn => "withdrawn",
    /// What it rested on is no longer so, or a newer request for the same call took its place.
    Superseded => "superseded",
}

impl State {
    /// Whether nothing can follow.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Approved | Self::Consumed)
    }

    /// Whether `next` may follow this state. The store's schema has the same list as a trigger.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use State::{Approved, Consumed, Denied, Expired, Failed, Pending, Succeeded, Superseded, Unknown, Withdrawn};
        match self {
            Pending => matches!(next, Approved | Denied | Expired | Withdrawn | Superseded),
            Approved => matches!(next, Consumed | Denied | Expired | Withdrawn | Superseded),
            Consumed => matches!(next, Succeeded | Failed | Unknown),
            _ => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|state| state.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_state_becomes_nothing() {
        for state in State::ALL {
            let successors = State::ALL.iter().filter(|next| state.may_become(**next)).count();
            assert_eq!(state.is_terminal(), successors == 0, "{state}");
            assert!(!state.may_become(*state), "{state}");
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
    }
}
