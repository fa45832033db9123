//! What several actions share: parameters, and how rows become an answer.

use lockgate_pack::{Call, Failure, Outcome, Param, QueryError, Rows, Statement};
use lockgate_pack_shared::monitor::must_see_others;

/// How many rows, for reads that list.
pub(crate) const LIMIT: Param = Param::integer("limit", 1, 200).default(20).describe("How many rows at most");

/// A backend's process id; the upper bound is the largest pid that Linux gives.
pub(crate) const PID: Param =
    Param::integer("pid", 1, 4_194_304).describe("The backend's process id, as the reads of this pack show it");

/// Refuses as [`must_see_others`] does, and else hands on the rows of the second statement, in the given words.
pub(crate) fn report_sessions(
    call: &Call<'_>,
    statement: &'static Statement,
    title: &str,
    words: impl FnOnce(u32) -> String,
) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let rows = call.execute(statement)?;
    Ok(listed(call, rows, 200, title, words))
}

/// An outcome with one table, which says so if it was cut at the caller's limit, or else at the statement's own.
pub(crate) fn listed(call: &Call<'_>, rows: Rows, cap: i64, title: &str, words: impl FnOnce(u32) -> String) -> Outcome {
    let count = rows.count();
    let limit = call.integer("limit").unwrap_or(cap);
    let outcome = Outcome::new(words(count)).table(title, rows);
    if i64::from(count) == limit {
        outcome.notice(format!("these are the first {count}; there may be more"))
    } else {
        outcome
    }
}

/// Whether it is not known what became of a statement.
pub(crate) fn is_uncertain(error: &QueryError) -> bool {
    matches!(error, QueryError::Connection(_))
}
