//! What the reads of sessions, of the server, of replication and of statements *mean*: each test stages a condition on
//! every major version of the run, and asserts that the row says so. Where PostgreSQL has a second source for the same fact,
//! the test compares with it. See [`stage`] for the servers.

mod archive;
mod chains;
mod checkpoints;
mod databases;
mod extensions;
mod hba;
mod parallel;
mod prepared;
mod settings;
mod slots;
mod stage;
mod statements;
mod tls;
mod wal;
mod xmin;
