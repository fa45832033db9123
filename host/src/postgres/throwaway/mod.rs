//! PostgreSQL clusters for a demo or a test: made by initdb in a private directory (a standby: copied from its primary),
//! reached over a Unix socket in it, gone when dropped. Never for data: they run without fsync and trust who can enter the directory.
//!
//! ```no_run
//! # async fn doc() -> Result<(), lockgate::postgres::throwaway::ThrowawayError> {
//! use lockgate::postgres::throwaway::{Cluster, Options};
//!
//! let primary = Cluster::primary(Options::default()).start().await?;
//! let standby = Cluster::standby(&primary, Options::default()).start().await?;
//! primary.execute("CREATE TABLE t (id int8)").await?;
//! # drop(standby); Ok(()) }
//! ```
//!
//! Servers run as the first of `postgres` and `nobody` where lockgate itself runs as root. They don't outlive lockgate: a
//! small watchdog beside each server reads a pipe whose other end only this process holds, and when that closes without a
//! word, it stops the server and removes the directory.
//!
//! SQL given here goes to the server as it is, on a superuser's connection: this room is for demos and tests, and nothing
//! that comes from a pack, an agent or an operator may reach it.

mod backup;
mod binaries;
mod cluster;
mod owner;
mod server;

pub use binaries::Binaries;
pub use cluster::{Cluster, Options, Pending};

/// Why there is no cluster. Says which program failed and the end of what it said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ThrowawayError(pub(self) String);

impl ThrowawayError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
