//! Why a standing approval was not proposed, approved, used or revoked.

use super::{error::StoreError, standing::StandingState};
use crate::error::{Code, Refusal};

/// A step that a standing approval did not take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandingError {
    /// No such standing approval.
    #[error("no standing approval `{id}` is known here")]
    Unknown {
        /// As it was given.
        id: String,
    },
    /// It is not in a state from which this can be done.
    #[error("standing approval `{id}` is {state}")]
    Closed {
        /// Which.
        id: String,
        /// Its state.
        state: StandingState,
    },
    /// The digest given is not the stored one.
    #[error("standing approval `{id}` is not what was on the screen: the digests differ")]
    DigestMismatch {
        /// Which.
        id: String,
    },
    /// The person is behind the request that it comes from, or would profit from it.
    #[error("`{person}` is behind the calls that standing approval `{id}` would let through and may not approve it")]
    SelfApproval {
        /// Which.
        id: String,
        /// Who.
        person: String,
    },
    /// The person may not approve it.
    #[error("`{person}` may not approve standing approval `{id}`: {why}")]
    NotAnApprover {
        /// Which.
        id: String,
        /// Who.
        person: String,
        /// What is missing.
        why: String,
    },
    /// The vote names nobody.
    #[error("a vote on `{id}` needs the name of a person")]
    Nobody {
        /// Which.
        id: String,
    },
    /// The person has said this already.
    #[error("`{person}` has already approved `{id}`")]
    AlreadyVoted {
        /// Which.
        id: String,
        /// Who.
        person: String,
    },
    /// No reason was given.
    #[error("`{id}`: a standing approval is proposed, approved and revoked with a reason")]
    ReasonRequired {
        /// Which.
        id: String,
    },
    /// It can't be granted.
    #[error("it can't be granted: {0}")]
    NotGrantable(String),
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for StandingError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<StandingError> for Refusal {
    fn from(error: StandingError) -> Self {
        let code = match &error {
            StandingError::Unknown { .. } => Code::NotFound,
            StandingError::Closed { .. } | StandingError::AlreadyVoted { .. } => Code::StandingClosed,
            StandingError::DigestMismatch { .. } => Code::DigestMismatch,
            StandingError::SelfApproval { .. } => Code::SelfApproval,
            StandingError::NotAnApprover { .. } | StandingError::Nobody { .. } => Code::Unauthorized,
            StandingError::ReasonRequired { .. } => Code::ReasonRequired,
            StandingError::NotGrantable(_) => Code::InvalidArguments,
            StandingError::Store(error) => error.code(),
        };
        let refusal = Self::new(code, error.to_string());
        match error {
            StandingError::Unknown { .. } => {
                refusal.with_remedy("`lockgate standing list --all` shows every standing approval by its id")
            }
            StandingError::NotAnApprover { .. } => refusal.with_remedy("ask somebody who may to approve it"),
            StandingError::Nobody { .. } => refusal.with_remedy("log in as a person and decide again"),
            StandingError::AlreadyVoted { .. } => refusal.with_remedy("ask another person to approve it as well"),
            StandingError::NotGrantable(_) => refusal.with_remedy("grant less, or keep on approving each call"),
            _ => refusal,
        }
    }
}
