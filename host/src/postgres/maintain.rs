//! Running one maintenance command: alone on a connection of its own, outside any transaction, and with an ear for
//! warnings. VACUUM and ANALYZE of what the role may not touch *succeed* and say so in a WARNING only.

use futures_util::TryStreamExt as _;

use super::{
    encode::{self, Bound},
    error::{self, QueryError},
    execute::End,
    session::Session,
};
use crate::{statement::BoundStatement, value::RowSet};

/// Sends the command as a single message of the extended protocol, which is what VACUUM and REINDEX CONCURRENTLY ask for.
pub(super) async fn run(session: &mut Session, bound: &BoundStatement) -> End {
    session.begin();
    let inputs = bound.inputs.iter().map(|(kind, value)| (Bound(value), encode::bound_type(*kind)));
    let done: Result<Vec<_>, _> =
        async { session.client.query_typed_raw(&bound.sql, inputs).await?.try_collect().await }.await;
    match done {
        Ok(_) => End::Clean(Ok(RowSet { columns: bound.columns.to_vec(), rows: Vec::new() })),
        Err(error) => match error::from_driver(&error).with_effect_unknown() {
            error @ QueryError::Connection { .. } => End::Doubtful(error),
            error => End::Clean(Err(error)),
        },
    }
}
