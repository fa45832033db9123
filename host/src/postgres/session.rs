//! One connection to the server with its guard in place. Whoever holds a session holds it alone. A session that is dropped
//! while a query runs on it has that query cancelled; a session that is dropped otherwise is closed.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::OwnedSemaphorePermit,
    task::{AbortHandle, JoinHandle},
    time::timeout_at,
};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Socket, Statement, types::Type};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    cache::StatementCache,
    cancel::Unfinished,
    endpoint::{Credential, Endpoint, Place},
    environment,
    error::{self, QueryError},
    guard::Guard,
    notices::Notices,
    settings::{ChannelBinding, Expect, SslMode},
};
use crate::statement::InputKind;

/// The longest application name that the server keeps (NAMEDATALEN − 1); it cuts longer ones with a notice.
const MAX_APPLICATION_NAME: usize = 63;
/// When a peer that vanished is noticed: long before a person gives up, well after a network hiccup.
const PEER_GONE: Duration = Duration::from_secs(30);

/// The statements around every read, prepared once.
pub(super) struct Frame {
    pub(super) begin_read: Statement,
    pub(super) set_timeout: Statement,
    pub(super) rollback: Statement,
    pub(super) unlock: Statement,
}

/// A connection, held by one caller at a time.
pub(super) struct Session {
    pub(super) client: Arc<Client>,
    pub(super) notices: Arc<Notices>,
    /// `pg_is_in_recovery()` when the session began.
    pub(super) in_recovery: bool,
    /// `server_version_num`.
    pub(super) version_num: u32,
    /// A query may be running.
    busy: bool,
    pub(super) permit: Option<OwnedSemaphorePermit>,
    pub(super) idle_since: Option<Instant>,
    pub(super) opened: Instant,
    /// The target's own limit, which every statement of the session stays within.
    pub(super) statement_timeout: Duration,
    retired: bool,
    statements: StatementCache,
    frame: Option<Arc<Frame>>,
    guard: Guard,
    tls: MakeRustlsConnect,
    driver: AbortHandle,
    runtime: Handle,
}

impl Session {
    /// Connects, reads the guard back, and refuses a server that is not what the target expects.
    pub(super) async fn open(
        endpoint: &Endpoint,
        credential: &Credential,
        tls: &MakeRustlsConnect,
        guard: Guard,
        deadline: Instant,
    ) -> Result<Self, QueryError> {
        let deadline = deadline.min(Instant::now() + endpoint.timeouts.connect);
        let opening = Self::open_unbounded(endpoint, credential, tls, guard);
        timeout_at(deadline.into(), opening).await.unwrap_or_else(|_| {
            let address = endpoint.address();
            Err(QueryError::unreachable(format!("{address} did not answer and log us in in time")))
        })
    }

    async fn open_unbounded(
        endpoint: &Endpoint,
        credential: &Credential,
        tls: &MakeRustlsConnect,
        guard: Guard,
    ) -> Result<Self, QueryError> {
        let config = config(endpoint, credential, &guard)?;
        let address = endpoint.address();
        let failed = |e: &tokio_postgres::Error| match error::from_driver(e) {
            QueryError::Connection { message, .. } => QueryError::unreachable(format!("{address}: {message}")),
            other => other,
        };
        let (client, connection) = config.connect(tls.clone()).await.map_err(|e| failed(&e))?;
        let notices = Arc::new(Notices::default());
        let driver = tokio::spawn(drive(connection, Arc::clone(&notices))).abort_handle();
        guard.verify(&client).await?;
        let sql =
            "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int8, pg_catalog.pg_is_in_recovery()";
        let row = client.query_typed_one(sql, &[]).await.map_err(|e| failed(&e))?;
        let version: i64 = row.try_get(0).map_err(|e| failed(&e))?;
        let in_recovery: bool = row.try_get(1).map_err(|e| failed(&e))?;
        match endpoint.expect {
            Some(Expect::Primary) if in_recovery => {
                return Err(QueryError::unreachable(format!(
                    "{address} is a standby and this target expects a primary"
                )));
            }
            Some(Expect::Standby) if !in_recovery => {
                return Err(QueryError::unreachable(format!(
                    "{address} is a primary and this target expects a standby"
                )));
            }
            _ => {}
        }
        // What was said while logging in belongs to no statement.
        drop(notices.take());
        Ok(Self {
            client: Arc::new(client),
            notices,
            in_recovery,
            version_num: u32::try_from(version).unwrap_or_default(),
            busy: false,
            permit: None,
            idle_since: None,
            opened: Instant::now(),
            statement_timeout: endpoint.timeouts.statement,
            retired: false,
            statements: StatementCache::new(),
            frame: None,
            guard,
            tls: tls.clone(),
            driver,
            runtime: Handle::current(),
        })
    }

    /// From here on a drop cancels.
    pub(super) fn begin(&mut self) {
        self.busy = true;
    }

    /// Everything that was sent has been answered.
    pub(super) fn end(&mut self) {
        self.busy = false;
    }

    /// Not to be used again.
    pub(super) fn retire(&mut self) {
        self.retired = true;
    }

    /// Whether another call may have it.
    pub(super) fn is_usable(&self) -> bool {
        !self.retired && !self.busy && !self.client.is_closed()
    }

    /// Sees the query end, cancelled, and closes the session.
    pub(super) fn cancel(mut self) -> JoinHandle<bool> {
        self.hand_over()
    }

    fn hand_over(&mut self) -> JoinHandle<bool> {
        self.busy = false;
        let unfinished = Unfinished {
            client: Arc::clone(&self.client),
            token: self.client.cancel_token(),
            tls: self.tls.clone(),
            driver: self.driver.clone(),
            permit: self.permit.take(),
        };
        self.runtime.spawn(unfinished.end())
    }

    /// The prepared statement for a text, from the cache or from the server.
    pub(super) async fn prepared(&mut self, sql: &Arc<str>, kinds: &[Type]) -> Result<Statement, QueryError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement);
        }
        let statement = self.client.prepare_typed(sql, kinds).await.map_err(|e| error::from_driver(&e))?;
        self.statements.put(Arc::clone(sql), statement.clone());
        Ok(statement)
    }

    /// Drops a statement whose plan the server would not take any more (its result type changed).
    pub(super) fn forget(&mut self, sql: &str) {
        self.statements.forget(sql);
    }

    /// The statements around a read, prepared with the first one, in one burst.
    pub(super) async fn frame(&mut self) -> Result<Arc<Frame>, QueryError> {
        if let Some(frame) = &self.frame {
            return Ok(Arc::clone(frame));
        }
        let client = &self.client;
        let (begin_read, set_timeout, rollback, unlock) = futures_util::try_join!(
            client.prepare("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"),
            client.prepare("SELECT pg_catalog.set_config('statement_timeout', $1, true)"),
            client.prepare("ROLLBACK"),
            client.prepare("SELECT pg_catalog.pg_advisory_unlock_all()"),
        )
        .map_err(|e| error::from_driver(&e))?;
        let frame = Arc::new(Frame { begin_read, set_timeout, rollback, unlock });
        self.frame = Some(Arc::clone(&frame));
        Ok(frame)
    }

    /// After a transaction that was committed: what it may have left in the session is undone, and the guard read back.
    pub(super) async fn reset(&mut self) -> Result<(), QueryError> {
        for sql in [
            "SET SESSION AUTHORIZATION DEFAULT",
            "RESET ALL",
            "UNLISTEN *",
            "SELECT pg_catalog.pg_advisory_unlock_all()",
        ] {
            self.client.execute_typed(sql, &[]).await.map_err(|e| error::from_driver(&e))?;
        }
        self.guard.verify(&self.client).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.busy {
            // The task outlives this call, and its answer is nobody's any more.
            drop(self.hand_over());
        }
    }
}

/// The types of a statement's inputs.
pub(super) fn types<'a>(kinds: impl Iterator<Item = &'a InputKind>) -> Vec<Type> {
    kinds.map(|kind| super::encode::bound_type(*kind)).collect()
}

fn config(endpoint: &Endpoint, credential: &Credential, guard: &Guard) -> Result<Config, QueryError> {
    let mut config = Config::new();
    match &endpoint.place {
        Place::Socket(dir) => config.host_path(dir),
        Place::Tcp { host, hostaddr } => {
            if let Some(address) = hostaddr {
                config.hostaddr(*address);
            }
            config.host(host)
        }
    };
    let name: String = format!("lockgate/{}", endpoint.name).chars().take(MAX_APPLICATION_NAME).collect();
    config
        .port(endpoint.port)
        .dbname(&endpoint.dbname)
        .user(&credential.user)
        .application_name(name)
        .options(guard.options())
        .connect_timeout(endpoint.timeouts.connect)
        .keepalives_idle(PEER_GONE)
        .tcp_user_timeout(PEER_GONE)
        .ssl_mode(match endpoint.sslmode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            // The connector verifies; the driver's part is to insist on TLS.
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => tokio_postgres::config::SslMode::Require,
        })
        .channel_binding(match endpoint.channel_binding {
            ChannelBinding::Prefer => tokio_postgres::config::ChannelBinding::Prefer,
            ChannelBinding::Require => tokio_postgres::config::ChannelBinding::Require,
        });
    let password = endpoint.password(credential, &environment::process);
    if let Some(secret) = password.map_err(|e| QueryError::unreachable(e.to_string()))? {
        config.password(secret.expose());
    }
    Ok(config)
}

/// Drives a connection to its end and keeps what the server says beside its results.
async fn drive(
    mut connection: Connection<Socket, <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream>,
    notices: Arc<Notices>,
) {
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
        match message {
            Ok(AsyncMessage::Notice(notice)) => notices.push(&notice),
            Ok(_) => {}
            // The queries that wait on it are told by the driver.
            Err(error) => {
                tracing::debug!(error = %error::from_driver(&error), "a connection ended");
                return;
            }
        }
    }
}
