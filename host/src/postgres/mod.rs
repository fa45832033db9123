//! A target: how to reach one PostgreSQL server, and how a proven statement is run there. [`Target`] is the whole of it for
//! the rooms above: settings go in, and from then on only a [`BoundStatement`](crate::statement::BoundStatement) is taken
//! for execution. Everything travels by the extended protocol, on sessions whose guard was read back from the server.
//!
//! It may know statements and values. It must never take SQL from anywhere but a proven statement and its own constants,
//! never show a password, and never hand out a connection.

mod cache;
mod cancel;
mod decode;
mod encode;
mod endpoint;
mod environment;
mod error;
mod execute;
mod facts;
mod guard;
mod health;
mod maintain;
mod notices;
mod passfile;
mod pool;
mod privilege_sql;
mod privileges;
mod secret;
mod service;
mod session;
mod settings;
mod target;
pub mod throwaway;
mod tls;

pub use environment::{ENVIRONMENT_TARGET, Lookup, process};
pub use error::{QueryError, TargetError};
pub use facts::TargetFacts;
pub use health::{Condition, Health};
pub use pool::Connections;
pub use privileges::{Lack, Maintainable};
pub(crate) use secret::read_private;
pub use settings::{ChannelBinding, Expect, Maintenance, SslMode, TargetSettings};
pub use target::{Executed, Limits, Target};

#[cfg(test)]
mod tests;
