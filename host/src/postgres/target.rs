//! The target itself: what the gate holds, one per configured server, cheap to clone.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::{timeout, timeout_at};

use super::{
    endpoint::Endpoint,
    environment,
    error::{QueryError, TargetError},
    execute::{self, End},
    facts::TargetFacts,
    health::{Condition, Log},
    maintain,
    pool::{Connections, Pick, Pool},
    session::Session,
    settings::{Expect, TargetSettings},
};
use crate::{
    statement::{BoundStatement, Mode, Role},
    value::RowSet,
};

/// How long a call that is over waits to see its query end on the server. Longer than one round of cancelling takes,
/// short enough for a caller; the cancelling goes on after it.
const SEE_THE_END: Duration = Duration::from_secs(3);
/// How long a look at its health may take: a server that needs longer to say what it is would keep a call waiting, too.
const HEALTH: Duration = Duration::from_secs(5);

/// What one statement may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of rows as the server sends them.
    pub max_bytes: usize,
    /// When the call is over, waiting for a connection included.
    pub deadline: Instant,
}

/// What a statement gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    /// The rows, within the declared number and the caller's bytes; columns as declared.
    pub rows: RowSet,
    /// The server's notices and warnings, in order, without DETAIL and HINT. Text of the server: not redacted.
    pub notices: Vec<String>,
}

/// One PostgreSQL server. Connects when it is first used.
#[derive(Clone)]
pub struct Target(Arc<Inner>);

struct Inner {
    pool: Pool,
    facts: Mutex<Option<Arc<TargetFacts>>>,
    condition: Log,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.identity()).finish()
    }
}

impl Target {
    /// Resolves settings: service file, environment, certificates. Does not connect.
    ///
    /// # Errors
    /// If a setting can't be used, named.
    pub fn new(settings: TargetSettings) -> Result<Self, TargetError> {
        let endpoint = Endpoint::resolve(settings, &environment::process)?;
        Ok(Self(Arc::new(Inner { pool: Pool::new(endpoint), facts: Mutex::new(None), condition: Log::default() })))
    }

    /// What agents, policies and the record call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.endpoint().name
    }

    /// Which server this is, for the digest that an approval binds to: roles, place, database and, once [`Self::facts`] has
    /// been read, the system identifier that initdb gave the cluster. A name that leads to another cluster later is another
    /// identity; a failover inside the cluster is not. Compare it only after `facts`.
    #[must_use]
    pub fn identity(&self) -> String {
        let endpoint = self.endpoint();
        let maintenance = endpoint.maintenance.as_ref().map(|(c, _)| format!("+{}", c.user)).unwrap_or_default();
        let system = self.known().and_then(|facts| facts.system_identifier.clone());
        let system = system.map(|id| format!("#{id}")).unwrap_or_default();
        format!("{}{maintenance}@{}{system}", endpoint.credential.user, endpoint.address())
    }

    /// Primary or standby, as far as that is known without asking: what the server last said, or what its settings expect.
    #[must_use]
    pub fn role_hint(&self) -> Option<Role> {
        let of = |in_recovery| {
            if in_recovery { Role::Standby } else { Role::Primary }
        };
        self.known().map(|facts| of(facts.server.in_recovery)).or_else(|| {
            self.endpoint().expect.map(|expect| match expect {
                Expect::Primary => Role::Primary,
                Expect::Standby => Role::Standby,
            })
        })
    }

    /// What the server last said that it is, however long ago. Asks nobody.
    #[must_use]
    pub fn last_facts(&self) -> Option<Arc<TargetFacts>> {
        self.known()
    }

    /// What the server is. From memory for a minute, unless a connection was lost since or the server changed its role.
    ///
    /// # Errors
    /// If the server can't be reached or refuses us.
    pub async fn facts(&self) -> Result<Arc<TargetFacts>, QueryError> {
        if let Some(facts) = self.known().filter(|facts| facts.is_fresh()) {
            return Ok(facts);
        }
        self.ask(self.probe_deadline()).await
    }

    /// Asks the server what it is, whatever is in memory, on a session of the pool and for a few seconds at most. How that
    /// went is the target's [`Self::condition`].
    ///
    /// # Errors
    /// As [`Self::facts`].
    pub async fn check_health(&self) -> Result<(), QueryError> {
        let asked = self.ask(Instant::now() + HEALTH).await;
        asked.map(drop).inspect_err(|error| self.0.condition.failed(error))
    }

    /// Whether the server answered when somebody last turned to it.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.0.condition.now()
    }

    /// How many connections to it there are.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.0.pool.connections()
    }

    /// Where it is, for people: host, port and database, and never who.
    #[must_use]
    pub fn address(&self) -> String {
        self.endpoint().address()
    }

    /// As whom statements run there; and maintenance, where that is somebody else.
    #[must_use]
    pub fn users(&self) -> (&str, Option<&str>) {
        let endpoint = self.endpoint();
        (&endpoint.credential.user, endpoint.maintenance.as_ref().map(|(credential, _)| credential.user.as_str()))
    }

    /// The server's version as it last said, in its own numbering.
    #[must_use]
    pub fn version_hint(&self) -> Option<u32> {
        self.known().map(|facts| facts.server.version_num)
    }

    async fn ask(&self, deadline: Instant) -> Result<Arc<TargetFacts>, QueryError> {
        let facts = match self.read_facts(deadline, Pick::Any).await {
            Err(failed) if failed.stale => self.read_facts(deadline, Pick::Fresh).await,
            other => other,
        };
        let facts = Arc::new(facts.map_err(|failed| failed.error)?);
        self.0.condition.answered();
        *self.memory() = Some(Arc::clone(&facts));
        Ok(facts)
    }

    async fn read_facts(&self, deadline: Instant, pick: Pick) -> Result<TargetFacts, Failed> {
        let mut session = self.take(deadline, pick).await?;
        session.begin();
        match timeout_at(deadline.into(), TargetFacts::read(&session.client)).await {
            Ok(Ok(facts)) => {
                session.end();
                self.0.pool.give_back(session);
                Ok(facts)
            }
            Ok(Err(error)) => Err(Failed::on(session, error).await),
            Err(_) => Err(Failed::on(session, QueryError::Timeout).await),
        }
    }

    /// Runs a proven and bound statement in its mode.
    ///
    /// A `read` runs in a READ ONLY transaction that is rolled back; an `act` in one that is committed, unless it gave no
    /// rows where it must; a `maintain` statement alone on a connection of its own. When the deadline passes or the future
    /// is dropped, the query is cancelled on the server.
    ///
    /// # Errors
    /// See [`QueryError`]. `Connection` with `effect_unknown` means that the statement may have done its work.
    pub async fn execute(&self, bound: &BoundStatement, limits: &Limits) -> Result<Executed, QueryError> {
        let done = match bound.mode {
            Mode::Maintain => self.maintain(bound, limits).await,
            Mode::Read | Mode::Act => match self.transact(bound, limits, Pick::Any).await {
                Err(failed) if failed.stale => self.transact(bound, limits, Pick::Fresh).await,
                other => other,
            }
            .map_err(|failed| failed.error),
        };
        done.inspect_err(|error| {
            tracing::debug!(target = self.name(), statement = &*bound.id, %error, "a statement failed");
            self.learn_from(error);
        })
    }

    /// Lets the server parse a `read` or `act` statement and compares its columns with the declared ones; runs nothing.
    ///
    /// # Errors
    /// As the server says; [`QueryError::WrongColumns`] if the columns differ.
    pub async fn prepare(&self, bound: &BoundStatement, deadline: Instant) -> Result<(), QueryError> {
        let mut session = self.take(deadline, Pick::Any).await.map_err(|failed| failed.error)?;
        session.begin();
        let prepared = timeout_at(deadline.into(), execute::prepare(&mut session, bound)).await;
        match prepared {
            Ok(result) => {
                session.end();
                self.0.pool.give_back(session);
                result.map(drop)
            }
            Err(_) => Err(Failed::on(session, QueryError::Timeout).await.error),
        }
    }

    async fn transact(&self, bound: &BoundStatement, limits: &Limits, pick: Pick) -> Result<Executed, Failed> {
        let mut session = self.take(limits.deadline, pick).await?;
        let end = if bound.mode == Mode::Read {
            let run = execute::read(&mut session, bound, limits);
            timeout_at(limits.deadline.into(), run).await.unwrap_or(End::Doubtful(QueryError::Timeout))
        } else {
            // Keeps the time itself: a COMMIT is not cut short.
            execute::act(&mut session, bound, limits).await
        };
        match end {
            End::Doubtful(error) => Err(Failed::on(session, error).await),
            End::Clean(result) => {
                self.0.condition.answered();
                session.end();
                let notices = session.notices.take().texts;
                self.0.pool.give_back(session);
                let rows = result.map_err(Failed::definite)?;
                Ok(Executed { rows, notices })
            }
        }
    }

    async fn maintain(&self, bound: &BoundStatement, limits: &Limits) -> Result<Executed, QueryError> {
        let mut session = self.0.pool.take_for_maintenance(bound.timeout, limits.deadline).await?;
        self.same_role(&session)?;
        let run = maintain::run(&mut session, bound);
        let end = timeout_at(limits.deadline.into(), run).await.unwrap_or(End::Doubtful(QueryError::Timeout));
        match end {
            End::Doubtful(error) => Err(Failed::on(session, error).await.error),
            End::Clean(result) => {
                session.end();
                let said = session.notices.take();
                let rows = result?;
                match said.warning {
                    Some(warning) => Err(QueryError::Skipped(warning)),
                    None => Ok(Executed { rows, notices: said.texts }),
                }
            }
        }
    }

    pub(super) async fn take(&self, deadline: Instant, pick: Pick) -> Result<Session, Failed> {
        if pick == Pick::Fresh {
            self.0.pool.clear();
        }
        let taken = self.0.pool.take(deadline, pick).await;
        match &taken {
            Ok(session) if session.idle_since.is_none() => self.0.condition.answered(),
            Err(error) if Instant::now() < deadline => self.0.condition.failed(error),
            // Whether an idle one still lives shows when it is used; and a caller whose own time was up may have left the
            // server too little of it.
            Ok(_) | Err(_) => {}
        }
        let session = taken.map_err(Failed::definite)?;
        self.same_role(&session).map_err(Failed::definite)?;
        drop(session.notices.take());
        Ok(session)
    }

    /// A session that was opened later than the facts were read knows better. What is to run was chosen by the facts, so it
    /// does not run on a server that has another role.
    fn same_role(&self, session: &Session) -> Result<(), QueryError> {
        let Some(facts) = self.known().filter(|facts| session.opened > facts.read_at) else {
            return Ok(());
        };
        let server = &facts.server;
        if server.in_recovery == session.in_recovery && server.version_num == session.version_num {
            return Ok(());
        }
        self.forget();
        Err(QueryError::unreachable(format!(
            "target `{}` leads to a server of another role or version than a moment ago: call again",
            self.name()
        )))
    }

    fn learn_from(&self, error: &QueryError) {
        // 25006: read-only transaction, which a primary that became a standby answers to a write.
        let changed = match error {
            QueryError::Connection { .. } => true,
            QueryError::Database { sqlstate, .. } => sqlstate == "25006",
            _ => false,
        };
        if changed {
            self.forget();
        }
    }

    fn forget(&self) {
        *self.memory() = None;
        self.0.pool.clear();
    }

    fn known(&self) -> Option<Arc<TargetFacts>> {
        self.memory().clone()
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Option<Arc<TargetFacts>>> {
        self.0.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The role that maintains, if it is not the target's own.
    pub(super) fn maintenance_role(&self) -> Option<&str> {
        self.endpoint().maintenance.as_ref().map(|(credential, _)| credential.user.as_str())
    }

    /// A session of the maintenance credential.
    pub(super) async fn for_maintenance(&self) -> Result<Session, QueryError> {
        self.0.pool.take_for_maintenance(None, self.probe_deadline()).await
    }

    /// When a question of the host's own is over.
    pub(super) fn probe_deadline(&self) -> Instant {
        let timeouts = self.endpoint().timeouts;
        Instant::now() + timeouts.connect + timeouts.statement
    }

    pub(super) fn give_back(&self, session: Session) {
        self.0.pool.give_back(session);
    }

    fn endpoint(&self) -> &Endpoint {
        &self.0.pool.endpoint
    }
}

/// How an attempt failed.
pub(super) struct Failed {
    pub(super) error: QueryError,
    /// A session that had been idle turned out to be dead before anything can have happened: worth one attempt on a new one.
    stale: bool,
}

impl Failed {
    fn definite(error: QueryError) -> Self {
        Self { error, stale: false }
    }

    /// Cancels what may still run on a session, waits a while to see it end, and closes the session.
    async fn on(session: Session, error: QueryError) -> Self {
        let reused = session.idle_since.is_some();
        // Neither a timeout nor a stopped runtime leaves anything to do here: the cancelling goes on by itself, and the
        // server's own timeout comes after.
        let _ = timeout(SEE_THE_END, session.cancel()).await;
        let stale = reused && matches!(error, QueryError::Connection { effect_unknown: false, .. });
        Self { error, stale }
    }
}
