//! Ending one backend.

use lockgate_pack::{Action, Call, Column, Evidence, Failure, Input, Kind, Outcome, Statement, Variant};
use lockgate_pack_shared::{
    monitor::SEES_OTHERS,
    utc,
    words::{counted, duration},
};

use super::{BACKEND, look, required, signallable, still_there};
use crate::common::PID;

macro_rules! terminate {
    ($terminate:literal, $waited:literal) => {
        concat!(
            "WITH approved AS MATERIALIZED (
    SELECT a.pid
      FROM pg_catalog.pg_stat_activity AS a
      LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
     WHERE a.pid = $1::int8
       AND ",
            utc!("a.backend_start"),
            " = $2::text
       AND ",
            signallable!(),
            "
)
SELECT ",
            $terminate,
            " AS ended, ",
            $waited,
            " AS waited FROM approved AS v"
        )
    };
}

/// From 14 on PostgreSQL can wait for the backend to be gone, which is the only certain answer. It says false both for a
/// backend that was gone before and for one that did not go in time; how long it took tells the two apart.
pub(crate) static TERMINATE: Statement = Statement::act("terminate_backend")
    .inputs(&[Input::new("pid", Kind::Integer), Input::new("backend_start", Kind::Text)])
    .columns(&[Column::boolean("ended"), Column::boolean("waited")])
    .variants(&[
        Variant::before(14, terminate!("pg_catalog.pg_terminate_backend(v.pid)", "false")),
        Variant::from(
            14,
            terminate!(
                "pg_catalog.pg_terminate_backend(v.pid, 3000)",
                "(pg_catalog.clock_timestamp() >= pg_catalog.statement_timestamp() + pg_catalog.make_interval(secs => 2.9))"
            ),
        ),
    ])
    .max_rows(1)
    .timeout_ms(10_000)
    .must_match();

pub(crate) static TERMINATE_BACKEND: Action = Action::act("terminate_backend")
    .title("Terminate a backend")
    .description(
        "Ends one client backend: its connection is closed, its transaction rolled back, its locks released. For a backend that is \
         idle in transaction and blocks others, where a cancel does nothing; for one that runs a query, try cancel_query first. \
         Acts on the very backend that was looked at, never on another that got the same pid since.",
    )
    .params(&[PID])
    .statements(&[&TERMINATE])
    .side_effects("The client loses its connection, and whatever its open transaction had done is rolled back.")
    .privileges(&["pg_monitor", "pg_signal_backend"])
    .preview(&[&SEES_OTHERS, &BACKEND], preview)
    .search_terms(&[
        "kill a session",
        "kill a connection",
        "kill the blocker",
        "pg_terminate_backend",
        "disconnect a client",
        "end a session",
        "close a connection",
        "kick out",
        "kill pid",
        "kill process",
    ])
    .run(run)
    .examples(&[(
        "a crashed deploy left a transaction open that blocks every writer: end backend 4471",
        r#"{"pid": 4471}"#,
    )]);

fn preview(call: &Call<'_>) -> Result<Evidence, Failure> {
    let pid = call.integer("pid")?;
    let rows = look(call)?;
    let Some(row) = rows.first() else { return Err(Failure::internal("the backend's row is gone")) };
    let age = duration(row.integer("state_seconds")?.unwrap_or_default());
    let doing = match row.text("state")?.as_deref() {
        Some("active") => format!("has been running a query for {age}"),
        Some("idle") => format!("has been idle for {age}, outside any transaction"),
        Some(state) if state.starts_with("idle in transaction") => format!("has been idle in a transaction for {age}"),
        _ => "is in a state that is not tracked".into(),
    };
    let blocks = counted(row.integer("blocks")?.unwrap_or_default(), "other session", "other sessions");
    let start = required(&row, "backend_start")?;
    Ok(Evidence::new(format!("ends backend {pid}, which {doing} and blocks {blocks}"))
        .pin("pid", pid)
        .pin("backend_start", start)
        .table("The backend", rows))
}

fn run(call: &Call<'_>) -> Result<Outcome, Failure> {
    let pid = call.integer("pid")?;
    let answer = call.execute(&TERMINATE)?;
    let says =
        |column| Ok::<_, Failure>(answer.first().map(|row| row.boolean(column)).transpose()?.flatten() == Some(true));
    let (ended, waited) = (says("ended")?, says("waited")?);
    let left = match still_there(call) {
        Ok(left) => left,
        // What is known is what PostgreSQL answered: that the signal was sent.
        Err(_) if ended => {
            return Ok(Outcome::new(format!("told backend {pid} to end"))
                .notice("whether it is gone could not be looked up afterwards"));
        }
        Err(_) => None,
    };
    match (ended, left) {
        (true, None) => Ok(Outcome::new(format!(
            "backend {pid} is gone: its transaction was rolled back and its locks are released"
        ))),
        (true, Some(rows)) => Ok(Outcome::new(format!("told backend {pid} to end"))
            .notice(
                "it was still there right afterwards: it rolls back first, which may take as long as what it had done",
            )
            .table("The backend right afterwards", rows)),
        (false, Some(rows)) => Ok(Outcome::new(format!("told backend {pid} to end; it has not ended within 3 s"))
            .notice(
                "it ends at its next chance; one that is stuck in the operating system may need a person at the server",
            )
            .table("The backend right afterwards", rows)),
        // It was told to end, and did so between the end of the wait and the second look.
        (false, None) if waited => Ok(Outcome::new(format!(
            "backend {pid} is gone, after more than 3 s: its transaction was rolled back and its locks are released"
        ))),
        (false, None) => {
            Err(Failure::no_effect(format!("backend {pid} was already gone; PostgreSQL did not have to end it")))
        }
    }
}
