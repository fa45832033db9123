//! Looks at the evidence of a request after it was made. Somebody who is about to decide asks for one; a process that can
//! reach the target claims and answers it. They meet here and nowhere else, so whoever decides needs no access to a database.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    model::{RequestDigest, RequestDigestError},
    pin::Pin,
};

/// How many looks at one request are kept, beside those that somebody voted on.
pub const REVIEWS_KEPT: u32 = 8;

/// The SHA-256 of pins and evidence as they were found at one time. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EvidenceDigest(pub [u8; 32]);

impl fmt::Display for EvidenceDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RequestDigest(self.0).fmt(f)
    }
}

impl FromStr for EvidenceDigest {
    type Err = RequestDigestError;

    fn from_str(text: &str) -> Result<Self, RequestDigestError> {
        text.parse::<RequestDigest>().map(|digest| Self(digest.0))
    }
}

impl Serialize for EvidenceDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What was on the screen of somebody who votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The evidence of the request, as it was when it was made, knowing that nobody has looked again.
    AsRequested,
    /// Evidence that was gathered afresh, or that of the request beside a fresh look that found the same.
    Now(EvidenceDigest),
}

/// What a process that looked has to say.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// It looked, and this is there now.
    Looked {
        /// Over the pins and the evidence.
        digest: EvidenceDigest,
        /// The facts that an approval would rest on.
        pins: Vec<Pin>,
        /// An object of `summary` and `tables`.
        evidence: serde_json::Value,
    },
    /// What the request was about is not there any more, or is no longer what it was: the request can't hold.
    Gone {
        /// Why, for people.
        why: String,
    },
    /// It could not look.
    Unavailable {
        /// Why, for people.
        why: String,
    },
}

/// One look.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Review {
    /// `rev_` and 16 characters.
    pub id: String,
    /// Of which approval.
    pub approval: String,
    /// When somebody wanted to know.
    pub asked_at: Timestamp,
    /// When it was answered, and what was found; `None` while nobody has.
    pub answer: Option<(Timestamp, Finding)>,
}
