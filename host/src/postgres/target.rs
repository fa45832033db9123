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
    maintain,
    pool::Pool,
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
        Ok(Self(Arc::new(Inner {
            pool: Pool::new(endpoint),
            facts: Mutex::new(None),
        })))
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
        let maintenance = endpoint
            .maintenance
            .as_ref()
            .map(|(c, _)| format!("+{}", c.user))
            .unwrap_or_default();
        let system = self
            .known()
            .and_then(|facts| facts.system_identifier.clone());
        let system = system.map(|id| format!("#{id}")).unwrap_or_default();
        format!(
            "{}{maintenance}@{}{system}",
            endpoint.credential.user,
            endpoint.address()
        )
    }

    /// Primary or standby, as far as that is known without asking: what the server last said, or what its settings expect.
    #[must_use]
    pub fn role_hint(&self) -> Option<Role> {
        let of = |in_recovery| {
            if in_recovery {
                Role::Standby
            } else {
                Role::Primary
            }
        };
        self.known()
            .map(|facts| of(facts.server.in_recovery))
            .or_else(|| {
                self.endpoint().expect.map(|expect| match expect {
                    Expect::Primary => Role::Primary,
                    Expect::Standby => Role::Standby,
                })
            })
    }

    /// What the server is. From memory for a minute, unless a connection was lost since or the server changed its role.
    ///
    /// # Errors
    /// If the server can't be reached or refuses us.
    pub async fn facts(&self) -> Result<Arc<TargetFacts>, QueryError> {
        if let Some(facts) = self.known().filter(|facts| facts.is_fresh()) {
            return Ok(facts);
        }
        let timeouts = self.endpoint().timeouts;
        let deadline = Instant::now() + timeouts.connect + timeouts.statement;
        let (facts, _) = self.retrying(deadline, &ReadFacts).await?;
        *self.memory() = Some(Arc::clone(&facts));
        Ok(facts)
    }

    /// Runs a proven and bound statement in its mode.
    ///
    /// A `read` runs in a READ ONLY transaction that is rolled back; an `act` in one that is committed, unless it gave no
    /// rows where it must; a `maintain` statement alone on a connection of its own. When the deadline passes or the future
    /// is dropped, the query is cancelled on the server.
    ///
    /// # Errors
    /// See [`QueryError`]. `Connection` with `effect_unknown` means that the statement may have done its work.
    pub async fn execute(
        &self,
        bound: &BoundStatement,
        limits: &Limits,
    ) -> Result<Executed, QueryError> {
        let done = match bound.mode {
            Mode::Read => self.retrying(limits.deadline, &Read { bound, limits }).await,
            Mode::Act => self.retrying(limits.deadline, &Act { bound, limits }).await,
            Mode::Maintain => self.maintain(bound, limits).await,
        };
        done.map(|(rows, notices)| Executed { rows, notices })
            .inspect_err(|error| self.learn_from(error))
    }

    async fn maintain(
        &self,
        bound: &BoundStatement,
        limits: &Limits,
    ) -> Result<(RowSet, Vec<String>), QueryError> {
        let mut session = self
            .0
            .pool
            .take_for_maintenance(bound.timeout, limits.deadline)
            .await?;
        self.same_role(&session)?;
        let run = maintain::run(&mut session, bound);
        let end = timeout_at(limits.deadline.into(), run)
            .await
            .unwrap_or(End::Doubtful(QueryError::Timeout));
        match end {
            End::Doubtful(error) => {
                see_the_end(session).await;
                Err(error)
            }
            End::Clean(result) => {
                session.end();
                let said = session.notices.take();
                let rows = result?;
                match said.warning {
                    Some(warning) => Err(QueryError::Skipped(warning)),
                    None => Ok((rows, said.texts)),
                }
            }
        }
    }

    /// Runs work on a pooled session, and once more on a new one if a session that had been idle turns out to be dead before
    /// anything can have happened. The work answers with an inner result if the session is in order.
    async fn retrying<T>(
        &self,
        deadline: Instant,
        work: &impl Work<Out = T>,
    ) -> Result<(T, Vec<String>), QueryError> {
        let pool = &self.0.pool;
        let mut fresh = false;
        loop {
            let mut session = pool.take(deadline, fresh).await?;
            self.same_role(&session)?;
            let reused = session.idle_since.is_some();
            drop(session.notices.take());
            match work.run(&mut session, deadline).await {
                Ok((result, notices)) => {
                    session.end();
                    pool.give_back(session);
                    return result.map(|value| (value, notices));
                }
                Err(error) => {
                    see_the_end(session).await;
                    let harmless = matches!(
                        error,
                        QueryError::Connection {
                            effect_unknown: false,
                            ..
                        }
                    );
                    if !harmless || !reused || fresh {
                        return Err(error);
                    }
                    pool.clear();
                    fresh = true;
                }
            }
        }
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

    fn endpoint(&self) -> &Endpoint {
        &self.0.pool.endpoint
    }
}

/// What may be done on a pooled session, and done again on a new one.
trait Work: Sync {
    type Out: Send;

    /// The inner result if the session is in order afterwards, the outer error if it is not.
    fn run(
        &self,
        session: &mut Session,
        deadline: Instant,
    ) -> impl Future<Output = Result<(Result<Self::Out, QueryError>, Vec<String>), QueryError>> + Send;
}

struct ReadFacts;

impl Work for ReadFacts {
    type Out = Arc<TargetFacts>;

    async fn run(
        &self,
        session: &mut Session,
        deadline: Instant,
    ) -> Result<(Result<Self::Out, QueryError>, Vec<String>), QueryError> {
        session.begin();
        match timeout_at(deadline.into(), TargetFacts::read(&session.client)).await {
            Ok(Ok(facts)) => Ok((Ok(Arc::new(facts)), Vec::new())),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(QueryError::Timeout),
        }
    }
}

struct Read<'a> {
    bound: &'a BoundStatement,
    limits: &'a Limits,
}

impl Work for Read<'_> {
    type Out = RowSet;

    async fn run(
        &self,
        session: &mut Session,
        deadline: Instant,
    ) -> Result<(Result<RowSet, QueryError>, Vec<String>), QueryError> {
        let run = execute::read(session, self.bound, self.limits);
        let end = timeout_at(deadline.into(), run).await.unwrap_or(End::Doubtful(QueryError::Timeout));
        settled(end, session)
    }
}

struct Act<'a> {
    bound: &'a BoundStatement,
    limits: &'a Limits,
}

impl Work for Act<'_> {
    type Out = RowSet;

    async fn run(
        &self,
        session: &mut Session,
        _: Instant,
    ) -> Result<(Result<RowSet, QueryError>, Vec<String>), QueryError> {
        settled(execute::act(session, self.bound, self.limits).await, session)
    }
}

/// Takes what was said with what was given.
fn settled(
    end: End,
    session: &Session,
) -> Result<(Result<RowSet, QueryError>, Vec<String>), QueryError> {
    match end {
        End::Clean(result) => Ok((result, session.notices.take().texts)),
        End::Doubtful(error) => Err(error),
    }
}

/// Cancels what may still run and waits a while to see it end.
async fn see_the_end(session: Session) {
    // Neither a timeout nor a stopped runtime leaves anything to do here: the server's own timeout comes after.
    let _ = timeout(SEE_THE_END, session.cancel()).await;
}
