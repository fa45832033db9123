//! MCP over stdin and stdout, for an agent that starts lockgate itself. Nothing but protocol goes to stdout. The agent is
//! who the configuration says; at the end of its input the calls under way are brought to their recorded end.

use std::{io, time::Duration};

use rmcp::{
    ServiceExt,
    service::{QuitReason, ServerInitializeError},
    transport::stdio_pipes,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{door::Gatekeeper, lines::LineTransport, server::Server};

/// How long calls that were cancelled may take to reach their recorded end: a cancel request to the server, a rollback
/// and one line of the record.
pub const LAST_CALLS: Duration = Duration::from_secs(15);

/// Serves the process's own stdin and stdout until the input ends or `stop` is cancelled.
///
/// # Errors
///
/// The client broke the protocol before it had begun.
pub async fn serve<G: Gatekeeper>(server: Server<G>, stop: CancellationToken) -> io::Result<()> {
    let (read, write) = stdio_pipes();
    serve_on(server, read, write, stop).await
}

/// The same on any two byte streams. The server must have its caller ([`Server::with_caller`]).
///
/// # Errors
///
/// The client broke the protocol before it had begun.
pub async fn serve_on<G: Gatekeeper>(
    server: Server<G>,
    read: impl AsyncRead + Unpin + Send + 'static,
    write: impl AsyncWrite + Unpin + Send + 'static,
    stop: CancellationToken,
) -> io::Result<()> {
    let calls = server.calls().clone();
    let transport = LineTransport::new(read, write, server.settings().max_message);
    let ended = match server.for_connection().serve_with_ct(transport, stop).await {
        // After the end of the input rmcp gives running calls five seconds to answer, then cancels them.
        Ok(running) => running.waiting().await.map_err(io::Error::other),
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(QuitReason::Closed),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
    };
    if !calls.idle(LAST_CALLS).await {
        tracing::warn!("calls of the agent were still under way at the end");
    }
    ended.map(drop)
}
