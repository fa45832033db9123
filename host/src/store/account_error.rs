//! Why a change of accounts is refused.

use super::error::StoreError;
use crate::error::{Code, Refusal};

/// A change of accounts was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// No such account.
    #[error("no account `{name}`")]
    Unknown {
        /// As it was given.
        name: String,
    },
    /// One of the names is somebody's already.
    #[error("`{name}` is a name of account `{account}` already")]
    NameTaken {
        /// Which name.
        name: String,
        /// Whose it is.
        account: String,
    },
    /// Nobody could administer this host any more.
    #[error("`{name}` is the last administrator who can log in")]
    LastAdmin {
        /// Who.
        name: String,
    },
    /// The account is disabled.
    #[error("account `{name}` is disabled")]
    Disabled {
        /// Which.
        name: String,
    },
    /// The link was used, replaced or withdrawn, or its time is over, or it never was.
    #[error("this link can't be used: it was used before, its time is over, or it is not whole")]
    LinkClosed,
    /// The session has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The authenticator's key is registered already.
    #[error("this passkey is registered already")]
    PasskeyKnown,
    /// The account has as many as it may.
    #[error("an account may have {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: u32,
    },
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for AccountError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        let (code, remedy) = match &error {
            AccountError::Unknown { .. } => (Code::NotFound, "`lockgate account list` shows every account"),
            AccountError::NameTaken { .. } => (Code::AccountRefused, "choose another; one name stands for one person"),
            AccountError::LastAdmin { .. } => (Code::AccountRefused, "make somebody else an administrator first"),
            AccountError::Disabled { .. } => (Code::AccountRefused, "enable it first"),
            AccountError::LinkClosed => (Code::Unauthorized, "ask an administrator for a new link"),
            AccountError::SessionEnded => (Code::Unauthorized, "log in again"),
            AccountError::PasskeyKnown => (Code::AccountRefused, "use it to log in, or add another one"),
            AccountError::TooMany { .. } => (Code::AccountRefused, "remove what is not used"),
            AccountError::Store(_) => (Code::StoreUnavailable, Code::StoreUnavailable.remedy()),
        };
        Self::new(code, error.to_string()).with_remedy(remedy)
    }
}
