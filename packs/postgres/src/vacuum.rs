//! Vacuum: what it has done, what it will do next, who is at it, and how far the transaction ids have run.

pub(crate) mod dead;
pub(crate) mod last;
pub(crate) mod progress;
pub(crate) mod status;
pub(crate) mod workers;
pub(crate) mod wraparound;
