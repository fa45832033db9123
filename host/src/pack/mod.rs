//! Packs: from bytes to trusted actions (admission), what they declared (catalog), and how their code runs (sandbox).
//! Knows wasm; knows no PostgreSQL connection, no policy and no caller.

pub mod admission;
pub mod arguments;
pub mod build;
pub mod cache;
pub mod catalog;
pub mod contract;
pub mod diff;
pub mod lint;
pub mod manifest;
pub mod new;
mod privileges;
pub mod prove;
pub mod reference;
pub mod sandbox;
pub mod wording;
