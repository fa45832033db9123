//! Cancelling what a backend runs.

use lockgate_pack::{Action, Call, Column, Evidence, Failure, Input, Kind, Outcome, Statement, Variant};
use lockgate_pack_shared::{
    monitor::SEES_OTHERS,
    utc,
    words::{counted, duration},
};

use super::{BACKEND, look, required, signallable, still_there};
use crate::common::PID;

/// The query is a part of what was approved: by the time somebody has decided, the backend may run another one. So its
/// start is matched too, and a backend that runs nothing any more does not match.
pub(crate) static CANCEL: Statement = Statement::act("cancel_query")
    .inputs(&[
        Input::new("pid", Kind::Integer),
        Input::new("backend_start", Kind::Text),
        Input::new("query_start", Kind::Text),
    ])
    .columns(&[Column::boolean("signalled")])
    .variants(&[Variant::all(concat!(
        "WITH approved AS MATERIALIZED (
    SELECT a.pid
      FROM pg_catalog.pg_stat_activity AS a
      LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
     WHERE a.pid = $1::int8 AND a.state IN ('active', 'fastpath function call')
       AND ",
        utc!("a.backend_start"),
        " = $2::text
       AND ",
        utc!("a.query_start"),
        " = $3::text
       AND ",
        signallable!(),
        "
)
SELECT pg_catalog.pg_cancel_backend(v.pid) AS signalled FROM approved AS v"
    ))])
    .max_rows(1)
    .must_match();

pub(crate) static CANCEL_QUERY: Action = Action::act("cancel_query")
    .title("Cancel a query")
    .description(
        "Cancels the query that a backend is running; its session stays. Its transaction fails, and its locks are released when \
         the client rolls back. It does nothing to a backend that is idle in transaction: use terminate_backend there.",
    )
    .params(&[PID])
    .statements(&[&CANCEL])
    .side_effects("The running query ends with an error (57014), which the client sees; its transaction is aborted.")
    .privileges(&["pg_monitor", "pg_signal_backend"])
    .preview(&[&SEES_OTHERS, &BACKEND], preview)
    .search_terms(&[
        "stop a query",
        "kill a query",
        "abort a query",
        "cancel a statement",
        "pg_cancel_backend",
        "interrupt a query",
        "stop a runaway query",
        "end a long query",
    ])
    .run(run)
    .examples(&[("a report has been running for an hour and slows everything down", r#"{"pid": 4471}"#)]);

fn preview(call: &Call<'_>) -> Result<Evidence, Failure> {
    let pid = call.integer("pid")?;
    let rows = look(call)?;
    let Some(row) = rows.first() else { return Err(Failure::internal("the backend's row is gone")) };
    match row.text("state")?.as_deref() {
        Some("active" | "fastpath function call") => {}
        Some(state) if state.starts_with("idle in transaction") => {
            return Err(Failure::not_applicable(format!(
                "{pid} is idle in transaction and runs no query: a cancel would do nothing, although PostgreSQL would say that \
                 it was sent; terminate_backend ends it and releases its locks"
            )));
        }
        Some("idle") => {
            return Err(Failure::nothing_to_do(format!("{pid} is idle: it runs no query and holds no lock")));
        }
        _ => return Err(Failure::not_applicable(format!("what {pid} does is not tracked (track_activities is off)"))),
    }
    let blocks = row.integer("blocks")?.unwrap_or_default();
    let age = duration(row.integer("state_seconds")?.unwrap_or_default());
    let (start, query_start) = (required(&row, "backend_start")?, required(&row, "query_start")?);
    let waiting = counted(blocks, "session waits", "sessions wait");
    Ok(Evidence::new(format!("cancels the query that backend {pid} has been running for {age}; {waiting} behind it"))
        .pin("pid", pid)
        .pin("backend_start", start)
        .pin("query_start", query_start)
        .table("The backend", rows))
}

fn run(call: &Call<'_>) -> Result<Outcome, Failure> {
    let pid = call.integer("pid")?;
    let answer = call.execute(&CANCEL)?;
    if answer.first().map(|row| row.boolean("signalled")).transpose()?.flatten() != Some(true) {
        return Err(Failure::no_effect(format!("backend {pid} was already gone; nothing was cancelled")));
    }
    let outcome = Outcome::new(format!("sent a cancel to backend {pid}"));
    // Only a look: whatever it says or fails to say, the cancel was sent.
    let Ok(Some(rows)) = still_there(call) else { return Ok(outcome) };
    let row = rows.first();
    let text = |column| row.and_then(|row| row.text(column).ok().flatten());
    let runs_on =
        text("state").as_deref() == Some("active") && text("query_start").as_deref() == call.text("query_start").ok();
    let outcome = outcome.table("The backend right afterwards", rows);
    Ok(if runs_on {
        outcome
            .notice("the query had not ended yet right afterwards: a backend takes note of a cancel at its next chance")
    } else {
        outcome
    })
}
