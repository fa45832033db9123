//! Indexes that cost more than they give: never used, there twice, or invalid.

pub mod duplicate;
pub mod invalid;
pub mod unused;
