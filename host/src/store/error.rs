//! What can go wrong with the store itself, and why a transition of an approval is refused. Both become a
//! [`Refusal`](crate::error::Refusal) with a code of the closed list.

use std::path::PathBuf;

use super::state::State;
use crate::error::{Code, Refusal};

/// The store can't be used, or what it holds can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or directory can't be used.
    #[error("the state directory can't be used: `{}` {problem}", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A later lockgate wrote it.
    #[error(
        "the store has schema {found} and this lockgate knows schemas up to {known}: use the later lockgate, or another state directory"
    )]
    SchemaNewer {
        /// What was found.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// The file is something else.
    #[error("`{}` is a database of another program: give lockgate a state directory of its own", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// What was given can't be stored.
    #[error("the request can't be stored: {0}")]
    Invalid(String),
    /// What is stored can't be read.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
    /// An operation has ended or is another process's by now.
    #[error("the operation of run `{run}` is no longer this process's to carry on")]
    OperationLost {
        /// Its run.
        run: String,
    },
    /// What was to be done could not be put on the record first, so it was not done.
    #[error("it could not be recorded, so it was not done: {0}")]
    Unrecorded(String),
    /// No randomness for an id or a nonce.
    #[error("the operating system gives no random bytes: {0}")]
    Randomness(String),
    /// SQLite's own words.
    #[error("the store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// An approval was not moved to the state that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransitionError {
    /// No such approval, or it is somebody else's.
    #[error("no approval `{id}` is known here, or it is somebody else's")]
    UnknownApproval {
        /// As it was given.
        id: String,
    },
    /// It is not in a state from which this can be done.
    #[error("approval `{id}` is {state}")]
    Closed {
        /// Which.
        id: String,
        /// Its state.
        state: State,
    },
    /// Its time has run out.
    #[error("approval `{id}` has expired")]
    Expired {
        /// Which.
        id: String,
    },
    /// The digest given is not the stored one.
    #[error("approval `{id}` is not what was on the screen: the digests differ")]
    DigestMismatch {
        /// Which.
        id: String,
    },
    /// What it rests on has changed since.
    #[error("approval `{id}` no longer holds: {what} changed after the request was made")]
    Stale {
        /// Which.
        id: String,
        /// Which fact.
        what: &'static str,
    },
    /// The person is behind the request.
    #[error("`{person}` is behind approval `{id}` and may not approve it")]
    SelfApproval {
        /// Which.
        id: String,
        /// Who.
        person: String,
    },
    /// The person has none of the roles that policy asks for.
    #[error("`{person}` may not approve `{id}`: policy asks for one of the roles {roles}")]
    NotAnApprover {
        /// Which.
        id: String,
        /// Who.
        person: String,
        /// Which roles, for people.
        roles: String,
    },
    /// The vote names nobody.
    #[error("a vote on `{id}` needs the name of a person")]
    Nobody {
        /// Which.
        id: String,
    },
    /// Policy asks who approves to say why, or they decide on evidence that nobody has looked at again.
    #[error("`{id}` can't be approved without a reason")]
    ReasonRequired {
        /// Which.
        id: String,
    },
    /// What is there now is not what the person saw.
    #[error("approval `{id}`: {changes}")]
    EvidenceChanged {
        /// Which.
        id: String,
        /// What is different, for people.
        changes: String,
    },
    /// Nobody has looked at the evidence just now.
    #[error("approval `{id}`: what it rests on was not looked at again just now")]
    NotReviewed {
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
    /// The agent has too many requests open: people can't weigh them all.
    #[error("agent `{agent}` has {limit} requests pending, as many as it may")]
    TooManyPending {
        /// Which agent.
        agent: String,
        /// How many it may have.
        limit: u32,
    },
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for TransitionError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The code under which a caller is told of a state that closes the way.
#[must_use]
pub fn code_of(state: State) -> Code {
    match state {
        State::Pending => Code::PendingApproval,
        State::Denied => Code::ApprovalDenied,
        State::Expired => Code::ApprovalExpired,
        State::Withdrawn => Code::ApprovalWithdrawn,
        State::Unknown => Code::OutcomeUnknown,
        State::Approved | State::Consumed | State::Succeeded | State::Failed | State::Superseded => {
            Code::ApprovalClosed
        }
    }
}

impl TransitionError {
    /// Its code of the closed list.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownApproval { .. } => Code::UnknownApproval,
            Self::Closed { state, .. } => code_of(*state),
            Self::Expired { .. } => Code::ApprovalExpired,
            Self::DigestMismatch { .. } => Code::DigestMismatch,
            // The same as who asks later is told by the superseded approval.
            Self::Stale { .. } => Code::TargetChanged,
            Self::SelfApproval { .. } => Code::SelfApproval,
            Self::NotAnApprover { .. } | Self::Nobody { .. } => Code::Unauthorized,
            Self::AlreadyVoted { .. } => Code::ApprovalClosed,
            Self::ReasonRequired { .. } => Code::ReasonRequired,
            Self::EvidenceChanged { .. } => Code::EvidenceChanged,
            Self::NotReviewed { .. } => Code::EvidenceUnavailable,
            Self::TooManyPending { .. } => Code::Overloaded,
            Self::Store(error) => error.code(),
        }
    }
}

impl StoreError {
    /// Its code of the closed list.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Unrecorded(_) => Code::RecordUnavailable,
            _ => Code::StoreUnavailable,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<TransitionError> for Refusal {
    fn from(error: TransitionError) -> Self {
        let refusal = Self::new(error.code(), error.to_string());
        match error {
            TransitionError::Stale { .. } => refusal
                .with_remedy("call again if the action is still needed; the new request shows people what is so now"),
            TransitionError::NotAnApprover { .. } => {
                refusal.with_remedy("ask somebody with one of these roles to decide")
            }
            TransitionError::NotReviewed { .. } => refusal.with_remedy(
                "look at the request now and decide on what it shows, or decide on the evidence of the request and say why",
            ),
            TransitionError::Nobody { .. } => refusal.with_remedy("log in as a person and decide again"),
            TransitionError::AlreadyVoted { .. } => refusal.with_remedy("ask another person to decide as well"),
            TransitionError::TooManyPending { .. } => {
                refusal.with_remedy("wait until people have decided, or withdraw what is no longer needed")
            }
            _ => refusal,
        }
    }
}
