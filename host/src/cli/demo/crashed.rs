//! The client that dies inside a transaction: takes row locks on a batch of orders, says so, and never speaks again. The
//! stage stops its process where it stands, so the server sees what it sees when a client's machine is gone: an open
//! connection, and silence.

use std::{path::Path, process::ExitCode};

use super::{
    differs,
    stage::{self, connect},
};
use crate::error::Refusal;

/// What the stage waits for on its standard output.
pub(super) const READY: &str = "locked";

/// Locks, says so, and waits for a signal that no handler will see.
pub(super) async fn run(socket_dir: &Path, port: u16) -> Result<ExitCode, Refusal> {
    let client = connect(socket_dir, port, stage::DEPLOY_ROLE, stage::DEPLOY_APP).await?;
    let statement = "SELECT id FROM orders WHERE region='eu' FOR UPDATE";
    let begin = client.batch_execute("BEGIN").await;
    begin.map_err(|e| differs(e.to_string()))?;
    client.query(statement, &[]).await.map_err(|e| differs(e.to_string()))?;
    super::super::terminal::say(READY);
    std::future::pending().await
}
