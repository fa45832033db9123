//! What the store remembers of packs, against rollback: the highest version used, and how it came to be that. Which of two
//! versions is higher is for the caller to say.

use jiff::Timestamp;
use serde::Serialize;

/// A version of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackVersion {
    /// The pack's name.
    pub name: String,
    /// Its version, as signed.
    pub version: String,
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
}

/// The highest version of a pack that has been used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackFloor {
    /// Which. Its digest tells a second component of the same version from the first.
    pub pack: PackVersion,
    /// Since when.
    pub since: Timestamp,
}

/// What remembering a version did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// The first of this pack: it is the floor now.
    First,
    /// It is higher than the floor was, and is the floor now.
    Raised {
        /// The floor before.
        from: PackVersion,
    },
    /// The floor stays.
    Kept {
        /// The floor.
        floor: PackVersion,
    },
}

/// One line of a pack's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackChange {
    /// The version.
    pub pack: PackVersion,
    /// `seen`, `raised` or `reset`.
    pub change: String,
    /// Who reset it; empty otherwise.
    pub by: String,
    /// Why it was reset; empty otherwise.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}
