//! Running one statement in a transaction: a `read` between BEGIN READ ONLY and ROLLBACK in one pipelined burst, an `act`
//! step by step up to its COMMIT. Rows and bytes are counted as they arrive.

use std::time::{Duration, Instant};

use futures_util::{TryStreamExt as _, try_join};
use tokio::time::timeout_at;
use tokio_postgres::{Client, RowStream, Statement, types::Type};

use super::{
    decode,
    encode::Bound,
    error::{self, QueryError},
    session::{self, Session},
    target::Limits,
};
use crate::{
    statement::{BoundStatement, WhenEmpty},
    value::{RowSet, Value},
};

/// How long a COMMIT may take, even beyond the call's deadline, before it counts as unknown: cut short it may have happened.
const GRACE: Duration = Duration::from_secs(5);

/// How running a statement ended, and whether the session is as clean as before.
pub(super) enum End {
    /// Everything that was sent has been answered.
    Clean(Result<RowSet, QueryError>),
    /// Something may still be running or was left behind.
    Doubtful(QueryError),
}

/// Why rows are no longer wanted, or not to be had.
enum Stop {
    /// The result is too large, and the server still sends.
    Excess(QueryError),
    /// The driver's word: the server refused, or the connection broke.
    Driver(tokio_postgres::Error),
}

/// Runs a read and rolls it back. The first message of each future is sent as it is first polled, in order, so that one
/// packet carries BEGIN, the timeout, the query and ROLLBACK.
pub(super) async fn read(session: &mut Session, bound: &BoundStatement, limits: &Limits) -> End {
    session.begin();
    let (frame, statement) = match prepare(session, bound).await {
        Ok(statement) => match session.frame().await {
            Ok(frame) => (frame, statement),
            Err(error) => return ended(Err(error)),
        },
        Err(error) => return ended(Err(error)),
    };
    let client = &*session.client;
    let ms = time_left(session, bound, limits).as_millis().to_string();
    let (ms, none): (&(dyn tokio_postgres::types::ToSql + Sync), _) = (&ms, &[]);
    let collected = try_join!(
        async { Ok(client.execute(&frame.begin_read, none).await) },
        async { Ok(client.execute(&frame.set_timeout, &[ms]).await) },
        async {
            match collect(client, &statement, bound, limits).await {
                Err(Stop::Excess(error)) => Err(error),
                Err(Stop::Driver(error)) => Ok(Err(error)),
                Ok(rows) => Ok(Ok(rows)),
            }
        },
        async { Ok(client.execute(&frame.rollback, none).await) },
        async { Ok(client.execute(&frame.unlock, none).await) },
    );
    match collected {
        Err(excess) => End::Doubtful(excess),
        Ok((Ok(_), Ok(_), Ok(rows), Ok(_), Ok(_))) => End::Clean(when_empty(rows, bound)),
        // The query failed (or its timeout could not be set), the transaction is over all the same.
        Ok((Ok(_), Ok(_), Err(error), Ok(_), Ok(_))) => {
            session.forget(&bound.sql);
            ended(Err(error::from_driver(&error)))
        }
        Ok((begin, set, rows, rollback, unlock)) => {
            let first = [begin.err(), set.err(), rows.err(), rollback.err(), unlock.err()].into_iter().flatten().next();
            End::Doubtful(
                first.map_or_else(|| QueryError::unreachable("the session is in doubt"), |e| error::from_driver(&e)),
            )
        }
    }
}

/// Runs an act and commits it, unless it found nothing where it was to find something. Nothing is pipelined: the statement
/// is sent only into a transaction that has begun. Each step has its own time, so that what has happened is never reported
/// as out of time for something that came after it.
pub(super) async fn act(session: &mut Session, bound: &BoundStatement, limits: &Limits) -> End {
    session.begin();
    let statement = match within(limits.deadline, prepare(session, bound)).await {
        Ok(Ok(statement)) => statement,
        Ok(Err(error)) => return ended(Err(error)),
        Err(timeout) => return End::Doubtful(timeout),
    };
    match within(limits.deadline, begin_act(session, bound, limits)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return End::Doubtful(error::from_driver(&error)),
        Err(timeout) => return End::Doubtful(timeout),
    }
    // From here on it may happen.
    let client = &*session.client;
    let rows = match within(limits.deadline, collect(client, &statement, bound, limits)).await {
        Ok(Ok(rows)) => when_empty(rows, bound),
        Ok(Err(Stop::Driver(error))) => Err(error::from_driver(&error).with_effect_unknown()),
        Ok(Err(Stop::Excess(error))) | Err(error) => return End::Doubtful(error),
    };
    let how = if rows.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let grace = limits.deadline.max(Instant::now() + GRACE);
    match (rows, within(grace, client.execute_typed(how, &[])).await) {
        (rows, Ok(Ok(_))) => {
            if !matches!(within(Instant::now() + GRACE, session.reset()).await, Ok(Ok(()))) {
                session.retire();
            }
            End::Clean(rows)
        }
        (Ok(_), Ok(Err(error))) => End::Doubtful(error::from_driver(&error).with_effect_unknown()),
        (Ok(_), Err(_)) => {
            End::Doubtful(QueryError::unreachable("the server did not answer to COMMIT in time").with_effect_unknown())
        }
        // Closing the session is what rolls it back then.
        (Err(error), _) => End::Doubtful(error),
    }
}

async fn begin_act(session: &Session, bound: &BoundStatement, limits: &Limits) -> Result<(), tokio_postgres::Error> {
    let client = &*session.client;
    let row = client.query_typed_one("SELECT pg_catalog.pg_is_in_recovery()", &[]).await?;
    // A standby has signals to send, too, and refuses a transaction that says it may write.
    let access = if row.try_get(0)? { "READ ONLY" } else { "READ WRITE" };
    client.execute_typed(&format!("BEGIN ISOLATION LEVEL READ COMMITTED {access}"), &[]).await?;
    let ms = time_left(session, bound, limits).as_millis().to_string();
    let set = "SELECT pg_catalog.set_config('statement_timeout', $1, true)";
    client.execute_typed(set, &[(&ms, Type::TEXT)]).await.map(drop)
}

/// What does not end in time is a timeout.
async fn within<T>(deadline: Instant, work: impl Future<Output = T>) -> Result<T, QueryError> {
    timeout_at(deadline.into(), work).await.map_err(|_| QueryError::Timeout)
}

/// A session whose server answered with an error is in order, one whose connection broke is not.
fn ended(result: Result<RowSet, QueryError>) -> End {
    match result {
        Err(error @ QueryError::Connection { .. }) => End::Doubtful(error),
        other => End::Clean(other),
    }
}

pub(super) async fn prepare(session: &mut Session, bound: &BoundStatement) -> Result<Statement, QueryError> {
    let types = session::types(bound.inputs.iter().map(|(kind, _)| kind));
    let statement = session.prepared(&bound.sql, &types).await?;
    decode::check_columns(&statement, &bound.columns)?;
    Ok(statement)
}

/// The statement's own time, within the target's limit and the call's; at least a millisecond, since zero means for ever.
fn time_left(session: &Session, bound: &BoundStatement, limits: &Limits) -> Duration {
    let own = bound.timeout.unwrap_or(session.statement_timeout).min(session.statement_timeout);
    own.min(limits.deadline.saturating_duration_since(Instant::now())).max(Duration::from_millis(1))
}

fn when_empty(rows: RowSet, bound: &BoundStatement) -> Result<RowSet, QueryError> {
    match bound.when_empty {
        WhenEmpty::TargetChanged if rows.rows.is_empty() => Err(QueryError::TargetChanged),
        _ => Ok(rows),
    }
}

async fn collect(
    client: &Client,
    statement: &Statement,
    bound: &BoundStatement,
    limits: &Limits,
) -> Result<RowSet, Stop> {
    let inputs: Vec<Bound<'_>> = bound.inputs.iter().map(|(_, value)| Bound(value)).collect();
    let stream: RowStream = client.query_raw(statement, inputs).await.map_err(Stop::Driver)?;
    let mut stream = std::pin::pin!(stream);
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut bytes = 0usize;
    let max_rows = usize::try_from(bound.max_rows).unwrap_or(usize::MAX);
    while let Some(row) = stream.try_next().await.map_err(Stop::Driver)? {
        if rows.len() == max_rows {
            return Err(Stop::Excess(QueryError::TooManyRows(bound.max_rows)));
        }
        bytes = bytes.saturating_add(row.raw_size_bytes());
        if bytes > limits.max_bytes {
            return Err(Stop::Excess(QueryError::TooManyBytes));
        }
        rows.push(decode::row(&row).map_err(|e| Stop::Excess(error::from_driver(&e)))?);
    }
    Ok(RowSet { columns: bound.columns.to_vec(), rows })
}
