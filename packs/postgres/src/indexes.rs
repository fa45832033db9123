//! Indexes: how large, and which cost more than they give.

pub(crate) mod duplicate;
pub(crate) mod invalid;
pub(crate) mod progress;
pub(crate) mod sizes;
pub(crate) mod unused;
