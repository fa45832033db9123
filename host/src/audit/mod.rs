//! The record: an append-only, hash-chained, checkpointed account of everything that was asked, decided and done.
//!
//! A record is a directory of segments, files of JSON Lines. Each line names the SHA-256 of the line before it, and all
//! lines are the leaves of an RFC 6962 tree whose size and root are signed every so often (a checkpoint). [`Record`] adds
//! lines: durable before they are acknowledged, in batches, from any number of processes of one host. [`verify()`] needs
//! the segments and the public key, [`tail()`] shows, [`export()`] takes a range out in a form that proves itself.
//! `docs/record.md` has the format and what it can't show.
//!
//! This room knows files, hashes and keys. What an event means is the business of who appends it; nothing here reads a
//! field of anybody else's, except to show it to a person. It never changes or removes a line that was acknowledged.

mod chain;
mod checkpoint;
pub mod consistency;
mod directory;
mod entry;
mod export;
mod follow;
mod hint;
mod journal;
mod json;
mod line;
mod notes;
mod public_key;
mod quarantine;
mod record;
mod recover;
mod render;
mod report;
mod segment;
mod tail;
mod tip;
pub mod tree;
mod verify;
mod walk;
mod writer;

pub use chain::{Digest, genesis, link};
pub use checkpoint::{Checkpoint, CheckpointError, Origin};
pub use directory::DiskError;
pub use entry::Entry;
pub use export::{ExportError, Exported, export, verify_bundle};
pub use follow::{Follow, Found, Place};
pub use line::{Line, MAX_LINE_BYTES};
pub use notes::checkpoints;
pub use public_key::{PublicKey, PublicKeyError};
pub use record::{CheckpointSink, Health, Progress, Receipt, Record, RecordError, RecordSettings};
pub use render::render;
pub use report::{Problem, ProblemKind, Report};
pub use tail::{Tail, TailError, tail};
pub use verify::{VerifyError, verify};

#[cfg(test)]
mod tests;
