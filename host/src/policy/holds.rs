//! Whether a condition holds: yes, no, that it can't be told, or that it is open. The last two are kept apart from *no* all
//! the way up, so that what is missing never makes an answer less strict.

use serde::Serialize;

/// What one look at a condition, or at all conditions of a rule, comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// The call does not have what the condition asks about. A rule that allows does then not match; one that asks for
    /// approval or denies counts, though only to make the answer stricter.
    Untold,
    /// Any of the above may turn out, since the call is not known yet: when actions are listed, or when a call is replayed of
    /// which the record does not have everything.
    Open,
}

impl Holds {
    /// Of conditions that must all hold.
    pub(super) fn all(each: impl IntoIterator<Item = Self>) -> Self {
        each.into_iter().fold(Self::Yes, |all, one| match (all, one) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Open, _) | (_, Self::Open) => Self::Open,
            (Self::Untold, _) | (_, Self::Untold) => Self::Untold,
            (Self::Yes, Self::Yes) => Self::Yes,
        })
    }

    /// Of conditions of which one is enough.
    pub(super) fn any(each: impl IntoIterator<Item = Self>) -> Self {
        each.into_iter().fold(Self::No, |any, one| match (any, one) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Open, _) | (_, Self::Open) => Self::Open,
            (Self::Untold, _) | (_, Self::Untold) => Self::Untold,
            (Self::No, Self::No) => Self::No,
        })
    }
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}
