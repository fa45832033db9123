//! Ending the backends that were left idle in a transaction.

use lockgate_pack::{
    Action, Call, Column, Evidence, Failure, Input, Kind, Outcome, Param, Rows, Statement, Value, Variant,
};
use lockgate_pack_shared::{
    monitor::{SEES_OTHERS, must_see_others},
    seconds_since, utc,
    words::{counted, duration},
};

use super::{may_signal, signallable, within_reach};

/// How many at once, at most. More than a person reads through is nothing that a person approves.
const CAP: u32 = 200;

pub(crate) static IDLE: Statement = Statement::read("idle_backends")
    .inputs(&[Input::new("older_than_seconds", Kind::Integer)])
    .columns(&[
        Column::integer("pid"),
        Column::text("user_name"),
        Column::text("application"),
        Column::text("client"),
        Column::text("database"),
        Column::integer("idle_seconds"),
        Column::integer("transaction_seconds"),
        Column::text("backend_start"),
        Column::query("last_query"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT a.pid::int8 AS pid, a.usename::text AS user_name, a.application_name AS application,
       pg_catalog.host(a.client_addr) AS client, a.datname::text AS database,
       ",
        seconds_since!("a.state_change"),
        " AS idle_seconds,
       ",
        seconds_since!("a.xact_start"),
        " AS transaction_seconds,
       ",
        utc!("a.backend_start"),
        " AS backend_start, a.query AS last_query
  FROM pg_catalog.pg_stat_activity AS a
  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
 WHERE a.state = 'idle in transaction'
       AND a.state_change < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1::int8::float8)
       AND ",
        signallable!(),
        "
 ORDER BY a.state_change, a.pid
 LIMIT 200"
    ))])
    .max_rows(CAP);

/// How many more there are that the role may not signal.
pub(crate) static OUT_OF_REACH: Statement = Statement::read("idle_backends_out_of_reach")
    .inputs(&[Input::new("older_than_seconds", Kind::Integer)])
    .columns(&[Column::integer("backends")])
    .variants(&[Variant::all(concat!(
        "SELECT pg_catalog.count(*)::int8 AS backends
  FROM pg_catalog.pg_stat_activity AS a
  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
 WHERE a.state = 'idle in transaction'
       AND a.state_change < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1::int8::float8)
       AND ",
        within_reach!(),
        " AND NOT ",
        may_signal!()
    ))])
    .max_rows(1);

/// Those of the approved backends that still are the same backends and still idle for longer than the bound.
pub(crate) static KILL: Statement = Statement::act("kill_idle")
    .inputs(&[
        Input::new("pids", Kind::Integers),
        Input::new("backend_starts", Kind::Texts),
        Input::new("older_than_seconds", Kind::Integer),
    ])
    .columns(&[Column::integer("pid"), Column::boolean("signalled")])
    .variants(&[Variant::all(concat!(
        "WITH approved AS MATERIALIZED (
    SELECT a.pid
      FROM ROWS FROM (pg_catalog.unnest($1::int8[]), pg_catalog.unnest($2::text[])) AS p(pid, backend_start)
      JOIN pg_catalog.pg_stat_activity AS a ON a.pid = p.pid
       AND ",
        utc!("a.backend_start"),
        " = p.backend_start
      LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
     WHERE a.state = 'idle in transaction'
       AND a.state_change < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $3::int8::float8)
       AND ",
        signallable!(),
        "
     LIMIT 200
)
SELECT v.pid::int8 AS pid, pg_catalog.pg_terminate_backend(v.pid) AS signalled FROM approved AS v"
    ))])
    .max_rows(CAP)
    .must_match();

/// Those of the approved backends that are still there. What was told to end ends at its next chance and rolls back first.
pub(crate) static LEFT: Statement = Statement::read("idle_backends_left")
    .inputs(&[Input::new("pids", Kind::Integers), Input::new("backend_starts", Kind::Texts)])
    .columns(&[Column::integer("pid")])
    .variants(&[Variant::all(concat!(
        "SELECT a.pid::int8 AS pid
  FROM ROWS FROM (pg_catalog.unnest($1::int8[]), pg_catalog.unnest($2::text[])) AS p(pid, backend_start)
  JOIN pg_catalog.pg_stat_activity AS a ON a.pid = p.pid
   AND ",
        utc!("a.backend_start"),
        " = p.backend_start
 ORDER BY a.pid
 LIMIT 200"
    ))])
    .max_rows(CAP);

/// How often it is looked whether all are gone. An idle backend ends within milliseconds; there is nothing to wait with but
/// the next look.
const LOOKS: u32 = 5;

pub(crate) static KILL_IDLE: Action = Action::act("kill_idle")
    .title("End idle transactions")
    .description(
        "Ends client backends whose state is idle in transaction and has been for longer than a bound: at most 200, and none that \
         was not listed for approval. It can't reach a connection that runs a query, is idle outside a transaction, or is a \
         superuser's.",
    )
    .params(&[Param::integer("older_than_seconds", 60, 86_400)
        .default(600)
        .describe("Only backends that have been idle in their transaction for longer than so many seconds")])
    .statements(&[&KILL, &LEFT])
    .side_effects("Each listed client loses its connection, and its open transaction is rolled back.")
    .privileges(&["pg_monitor", "pg_signal_backend"])
    .preview(&[&SEES_OTHERS, &IDLE, &OUT_OF_REACH], preview)
    .search_terms(&[
        "kill idle transactions",
        "kill idle in transaction",
        "end idle sessions",
        "close idle transactions",
        "clean up open transactions",
        "terminate idle sessions",
        "stale transactions",
    ])
    .run(run)
    .examples(&[("clear the transactions that the failed deploy left open", r#"{"older_than_seconds": 600}"#)]);

fn preview(call: &Call<'_>) -> Result<Evidence, Failure> {
    must_see_others(call)?;
    let bound = duration(call.integer("older_than_seconds")?);
    let rows = call.execute(&IDLE)?;
    let count = rows.count();
    let beyond = call.execute(&OUT_OF_REACH)?.first().map(|row| row.integer("backends")).transpose()?.flatten();
    let beyond = beyond.unwrap_or_default();
    if count == 0 && beyond > 0 {
        return Err(Failure::missing_privilege(format!(
            "{} been idle in a transaction for longer than {bound}, and the role may not signal any: grant it pg_signal_backend",
            counted(beyond, "backend has", "backends have")
        )));
    }
    if count == 0 {
        return Err(Failure::nothing_to_do(format!(
            "no backend that may be ended has been idle in a transaction for longer than {bound}"
        )));
    }
    let pids = rows.integers("pid")?;
    let starts = rows.texts("backend_start")?;
    if pids.len() != starts.len() {
        return Err(Failure::internal("a backend has no start"));
    }
    let what = counted(count, "backend that has", "backends that have");
    let more = match (count == CAP, beyond) {
        (true, _) => "; there may be more, which are left alone".to_owned(),
        (false, 0) => String::new(),
        (false, beyond) => {
            format!("; {} left alone, which the role may not signal", counted(beyond, "more is", "more are"))
        }
    };
    Ok(Evidence::new(format!("ends {what} been idle in a transaction for longer than {bound}{more}"))
        .pin("pids", pids)
        .pin("backend_starts", Value::Texts(starts))
        .table("Backends to end", rows))
}

fn run(call: &Call<'_>) -> Result<Outcome, Failure> {
    let listed = call.integers("pids")?.len();
    let rows = call.execute(&KILL)?;
    let (mut ended, found) = (0, rows.count());
    for row in rows.iter() {
        ended += u32::from(row.boolean("signalled")? == Some(true));
    }
    if ended == 0 {
        return Err(Failure::no_effect("every one of the backends was already gone; none was ended"));
    }
    let all = counted(i64::try_from(listed).unwrap_or(i64::MAX), "backend", "backends");
    let mut outcome = match left(call, &rows) {
        Ok(left) if left.is_empty() => Outcome::new(format!("ended {ended} of {all}")),
        Ok(left) => Outcome::new(format!("told {ended} of {all} to end")).notice(format!(
            "still there right afterwards: {}; a backend rolls back first, which may take as long as what it had done",
            left.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
        )),
        // What is known is what PostgreSQL answered: that the signals were sent.
        Err(_) => Outcome::new(format!("told {ended} of {all} to end"))
            .notice("whether they are gone could not be looked up afterwards"),
    };
    let spared = i64::try_from(listed).unwrap_or(i64::MAX) - i64::from(found);
    if spared > 0 {
        outcome = outcome.notice(format!(
            "{} no longer idle in the same transaction for that long, or gone, and left alone",
            counted(spared, "was", "were")
        ));
    }
    if found > ended {
        outcome = outcome.notice(format!("{} already gone when signalled", counted(found - ended, "was", "were")));
    }
    Ok(outcome.table("Signalled", rows))
}

/// Which of those that were signalled are still there after a few looks.
fn left(call: &Call<'_>, signalled: &Rows) -> Result<Vec<i64>, Failure> {
    let told = signalled.integers("pid")?;
    let mut left = Vec::new();
    for _ in 0..LOOKS {
        // One that was spared is there as well, and was not told anything.
        left = call.execute(&LEFT)?.integers("pid")?;
        left.retain(|pid| told.contains(pid));
        if left.is_empty() {
            break;
        }
    }
    Ok(left)
}
