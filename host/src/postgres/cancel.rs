//! Ending what still runs on a session: dropping a future does not end its query. The cancel request travels over a
//! connection of its own (with the same TLS), and nobody acknowledges it, so what counts is that the query is seen to end.
//! A session that a cancel request was sent for is never used again: a request that arrives late would hit an innocent query.

use std::{sync::Arc, time::Duration};

use tokio::{sync::OwnedSemaphorePermit, task::AbortHandle, time::timeout};
use tokio_postgres::{CancelToken, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How often a cancel request is sent: a `DO` block or a function can swallow one.
const ATTEMPTS: u32 = 5;
/// How long a request may take to be delivered, and its effect to be seen.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is needed to end a session's query after everything else of the session is gone.
pub(super) struct Unfinished {
    pub(super) client: Arc<Client>,
    pub(super) token: CancelToken,
    pub(super) tls: MakeRustlsConnect,
    pub(super) driver: AbortHandle,
    /// Kept until the end, so that a cancelled query still counts as one of the target's connections.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Unfinished {
    /// Cancels until the query is seen to end (or the connection to be gone); gives the connection up otherwise, and then
    /// the server's own timeout is what ends the query. True if the end was seen.
    pub(super) async fn end(self) -> bool {
        if self.client.is_closed() {
            return true;
        }
        // Answered after everything that was sent before it.
        let mut answered = std::pin::pin!(self.client.check_connection());
        for _ in 0..ATTEMPTS {
            match timeout(PATIENCE, self.token.cancel_query(self.tls.clone())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a cancel request could not be delivered"),
                Err(_) => tracing::warn!("a cancel request could not be delivered in time"),
            }
            if timeout(PATIENCE, &mut answered).await.is_ok() {
                drop(self.permit);
                return true;
            }
        }
        tracing::warn!("a query did not end when it was cancelled; its connection is given up");
        self.driver.abort();
        false
    }
}
