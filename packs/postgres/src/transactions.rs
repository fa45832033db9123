//! Transactions that outlive their welcome: what pins the oldest xmin, and what was prepared and never finished.

use lockgate_pack::{Action, Call, Column, Failure, Outcome, Rows, Statement, Variant};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    seconds_since, utc,
    words::{counted, duration},
    xmin_holders::XMIN_HOLDERS,
};

use crate::common::listed;

/// One row: how the server is set up for what is looked at here.
pub(crate) static SETUP: Statement = Statement::read("transaction_setup")
    .columns(&[
        Column::boolean("in_recovery"),
        Column::boolean("feedback"),
        Column::integer("max_prepared_transactions"),
    ])
    .variants(&[Variant::all(
        "SELECT pg_catalog.pg_is_in_recovery() AS in_recovery,
       pg_catalog.current_setting('hot_standby_feedback')::bool AS feedback,
       pg_catalog.current_setting('max_prepared_transactions')::int8 AS max_prepared_transactions",
    )])
    .max_rows(1);

struct Setup {
    in_recovery: bool,
    feedback: bool,
    max_prepared: i64,
}

fn setup(call: &Call<'_>) -> Result<Setup, Failure> {
    let rows = call.execute(&SETUP)?;
    let Some(row) = rows.first() else { return Err(Failure::internal("the settings gave no row")) };
    Ok(Setup {
        in_recovery: row.boolean("in_recovery")? == Some(true),
        feedback: row.boolean("feedback")? == Some(true),
        max_prepared: row.integer("max_prepared_transactions")?.unwrap_or_default(),
    })
}

pub(crate) static BACKEND_HOLDING_XMIN: Action = Action::read("backend_holding_xmin")
    .title("Who holds back the oldest xmin")
    .description(
        "Whatever keeps vacuum from removing dead rows, the oldest first: backends, replication slots, prepared transactions \
         and standbys (by hot_standby_feedback), each with its age in transactions, what it holds back and what would release \
         it. Dead rows that are younger than the oldest can't be removed by any vacuum. Leaves out vacuums, which hold back \
         nothing, and the backend that asks.",
    )
    .statements(&[&SEES_OTHERS, &SETUP, &XMIN_HOLDERS])
    .privileges(MONITOR)
    .search_terms(&[
        "oldest transaction",
        "old snapshot",
        "xmin horizon",
        "blocks vacuum",
        "vacuum cannot remove dead rows",
        "dead rows not removed",
        "holds back vacuum",
        "hot_standby_feedback",
    ])
    .examples(&[("autovacuum runs and the dead rows stay; who is in its way?", "{}")])
    .run(backend_holding_xmin);

fn backend_holding_xmin(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let Setup { in_recovery, feedback, .. } = setup(call)?;
    let rows = call.execute(&XMIN_HOLDERS)?;
    let summary = holder(&rows)?;
    let outcome = listed(call, rows, 200, "Holders", |_| summary);
    Ok(match (in_recovery, feedback) {
        (false, _) => outcome,
        (true, true) => outcome.notice(
            "this is a standby with hot_standby_feedback: the oldest of these is reported upstream and holds back vacuum on \
             the primary; the primary's own holders, prepared transactions among them, are seen there",
        ),
        (true, false) => outcome.notice(
            "this is a standby without hot_standby_feedback: what is listed holds back nothing on the primary, and is cancelled \
             when it gets in the way of replay for longer than max_standby_streaming_delay allows; ask the primary about its \
             own holders",
        ),
    })
}

/// The oldest of them in words.
fn holder(rows: &Rows) -> Result<String, Failure> {
    let Some(row) = rows.first() else { return Ok("nothing holds back vacuum".into()) };
    let age = counted(row.integer("age")?.unwrap_or_default(), "transaction", "transactions");
    let kind = row.text("kind")?.unwrap_or_default();
    let holder = match (kind.as_str(), row.integer("pid")?) {
        ("backend" | "background process" | "standby", Some(pid)) => format!("{kind} {pid}"),
        _ => format!("a {kind}"),
    };
    Ok(match rows.count() {
        1 => format!("{holder} alone holds back vacuum, {age} ago"),
        count => format!("{holder} holds back vacuum the furthest, {age} ago; {count} holders in all"),
    })
}

pub(crate) static PREPARED_READ: Statement = Statement::read("prepared_transactions")
    .columns(&[
        Column::text("gid"),
        Column::text("database"),
        Column::text("owner"),
        Column::text("prepared_at"),
        Column::integer("prepared_seconds"),
        Column::integer("age"),
        Column::integer("relation_locks"),
    ])
    // The locks of a prepared transaction have no pid. Which are whose is known by the one that each holds on its own id.
    .variants(&[Variant::all(concat!(
        "WITH held AS MATERIALIZED (
    SELECT l.virtualtransaction, l.locktype, l.transactionid
      FROM pg_catalog.pg_locks AS l
     WHERE l.pid IS NULL AND l.granted AND l.locktype IN ('transactionid', 'relation')
)
SELECT p.gid, p.database::text AS database, p.owner::text AS owner,
       ",
        utc!("p.prepared"),
        " AS prepared_at,
       ",
        seconds_since!("p.prepared"),
        " AS prepared_seconds, GREATEST(pg_catalog.age(p.transaction), 0)::int8 AS age,
       (SELECT pg_catalog.count(*)
          FROM held AS own
          JOIN held AS h ON h.virtualtransaction = own.virtualtransaction AND h.locktype = 'relation'
         WHERE own.locktype = 'transactionid' AND own.transactionid = p.transaction)::int8 AS relation_locks
  FROM pg_catalog.pg_prepared_xacts AS p
 ORDER BY p.prepared, p.gid
 LIMIT 200"
    ))]);

pub(crate) static PREPARED_TRANSACTIONS: Action = Action::read("prepared_transactions")
    .title("Prepared transactions")
    .description(
        "Two-phase transactions that were prepared and neither committed nor rolled back, the oldest first, in all databases. \
         Each keeps its locks and holds back vacuum, over restarts too, until its owner or a superuser runs COMMIT PREPARED or \
         ROLLBACK PREPARED in its database. One that a transaction manager forgot is nobody's: it does not end by itself. A \
         standby does not show them.",
    )
    .statements(&[&SETUP, &PREPARED_READ])
    .search_terms(&[
        "two-phase commit",
        "2pc",
        "xa transaction",
        "orphaned prepared transaction",
        "in doubt transaction",
        "lock without a backend",
        "commit prepared",
    ])
    .examples(&[("a lock is held but no backend holds it; is it a prepared transaction?", "{}")])
    .run(prepared_transactions);

fn prepared_transactions(call: &Call<'_>) -> Result<Outcome, Failure> {
    let Setup { in_recovery, max_prepared, .. } = setup(call)?;
    let rows = call.execute(&PREPARED_READ)?;
    let oldest = rows.first().map(|row| row.integer("prepared_seconds")).transpose()?.flatten();
    let summary = match (rows.count(), oldest) {
        (0, _) if in_recovery => "a standby shows no prepared transactions".into(),
        (0, _) if max_prepared == 0 => "there is no prepared transaction, and none can be made".into(),
        (count, Some(seconds)) if count > 0 => format!(
            "{}, the oldest for {}",
            counted(count, "transaction is prepared", "transactions are prepared"),
            duration(seconds)
        ),
        (count, _) => counted(count, "transaction is prepared", "transactions are prepared"),
    };
    let outcome = listed(call, rows, 200, "Prepared transactions", |_| summary);
    Ok(if in_recovery {
        outcome.notice("this is a standby: the transactions that were prepared on the primary are seen there only")
    } else {
        outcome
    })
}
