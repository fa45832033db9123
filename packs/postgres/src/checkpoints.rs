//! Checkpoints and the background writer.

use lockgate_pack::{Action, Call, Column, Failure, Outcome, Statement, Variant};
use lockgate_pack_shared::{
    seconds_since, utc,
    words::{counted, duration},
};

use crate::replication::{RECOVERY_READ, in_recovery};

macro_rules! last_checkpoint {
    () => {
        concat!(
            utc!("t.checkpoint_time"),
            " AS last_checkpoint_at,
       ",
            seconds_since!("t.checkpoint_time"),
            " AS last_checkpoint_seconds"
        )
    };
}

/// The columns are named since the prover asks for it; all versions have them in this order.
macro_rules! control {
    () => {
        "pg_catalog.pg_control_checkpoint() AS t(
            checkpoint_lsn, redo_lsn, redo_wal_file, timeline_id, prev_timeline_id, full_page_writes, next_xid, next_oid,
            next_multixact_id, next_multi_offset, oldest_xid, oldest_xid_dbid, oldest_active_xid, oldest_multi_xid,
            oldest_multi_dbid, oldest_commit_ts_xid, newest_commit_ts_xid, checkpoint_time)"
    };
}

/// One view had it all up to 16, and a standby's restartpoints counted as checkpoints.
const BEFORE_17: &str = concat!(
    "SELECT b.checkpoints_timed, b.checkpoints_req AS checkpoints_requested, NULL::int8 AS checkpoints_done,
       NULL::int8 AS restartpoints_timed, NULL::int8 AS restartpoints_requested, NULL::int8 AS restartpoints_done,
       b.checkpoint_write_time AS write_ms, b.checkpoint_sync_time AS sync_ms, b.buffers_checkpoint,
       b.buffers_clean, b.maxwritten_clean, b.buffers_alloc, b.buffers_backend, b.buffers_backend_fsync,
       ",
    last_checkpoint!(),
    ",
       ",
    utc!("b.stats_reset"),
    " AS stats_reset
  FROM pg_catalog.pg_stat_bgwriter AS b
 CROSS JOIN ",
    control!(),
    "
 LIMIT 1"
);

/// What backends wrote themselves is in `pg_stat_io` since: blocks written and blocks added, which the old counter had both.
macro_rules! from_17 {
    ($done:literal, $blocks:literal) => {
        concat!(
            "WITH io AS MATERIALIZED (
    SELECT ",
            $blocks,
            " AS buffers, pg_catalog.sum(o.fsyncs)::int8 AS fsyncs
      FROM pg_catalog.pg_stat_io AS o
     WHERE o.object = 'relation' AND o.backend_type NOT IN ('checkpointer', 'background writer')
)
SELECT c.num_timed AS checkpoints_timed, c.num_requested AS checkpoints_requested, ",
            $done,
            " AS checkpoints_done,
       c.restartpoints_timed, c.restartpoints_req AS restartpoints_requested, c.restartpoints_done,
       c.write_time AS write_ms, c.sync_time AS sync_ms, c.buffers_written AS buffers_checkpoint,
       b.buffers_clean, b.maxwritten_clean, b.buffers_alloc, io.buffers AS buffers_backend,
       io.fsyncs AS buffers_backend_fsync,
       ",
            last_checkpoint!(),
            ",
       ",
            utc!("c.stats_reset"),
            " AS stats_reset
  FROM pg_catalog.pg_stat_checkpointer AS c
 CROSS JOIN pg_catalog.pg_stat_bgwriter AS b
 CROSS JOIN io
 CROSS JOIN ",
            control!(),
            "
 LIMIT 1"
        )
    };
}

pub(crate) static BGWRITER_READ: Statement = Statement::read("bgwriter_stats")
    .columns(&[
        Column::integer("checkpoints_timed"),
        Column::integer("checkpoints_requested"),
        Column::integer("checkpoints_done"),
        Column::integer("restartpoints_timed"),
        Column::integer("restartpoints_requested"),
        Column::integer("restartpoints_done"),
        Column::number("write_ms"),
        Column::number("sync_ms"),
        Column::integer("buffers_checkpoint"),
        Column::integer("buffers_clean"),
        Column::integer("maxwritten_clean"),
        Column::integer("buffers_alloc"),
        Column::integer("buffers_backend"),
        Column::integer("buffers_backend_fsync"),
        Column::text("last_checkpoint_at"),
        Column::integer("last_checkpoint_seconds"),
        Column::text("stats_reset"),
    ])
    .variants(&[
        Variant::before(17, BEFORE_17),
        Variant::from(
            17,
            from_17!("NULL::int8", "pg_catalog.sum(COALESCE(o.writes, 0) + COALESCE(o.extends, 0))::int8"),
        )
        .below(18),
        // From 18 on one operation may write many blocks, and bytes are counted.
        Variant::from(
            18,
            from_17!(
                "c.num_done",
                "(pg_catalog.sum(COALESCE(o.write_bytes, 0) + COALESCE(o.extend_bytes, 0))
               / pg_catalog.current_setting('block_size')::numeric)::int8"
            ),
        ),
    ])
    .max_rows(1);

pub(crate) static BGWRITER_STATS: Action = Action::read("bgwriter_stats")
    .title("Checkpoints and background writer")
    .description(
        "Checkpoints since the statistics were last reset, by time and on request (by a command, or because max_wal_size was \
         full), how long they wrote and synced, and who wrote buffers: checkpoints, the background writer (buffers_clean) or \
         backends themselves (from PostgreSQL 17 on out of pg_stat_io). Many requested checkpoints mean that max_wal_size is \
         small for what is written. A standby makes restartpoints: up to 16 they count as checkpoints, from 17 on apart.",
    )
    .statements(&[&RECOVERY_READ, &BGWRITER_READ])
    .search_terms(&[
        "checkpoint",
        "checkpoints too frequent",
        "write spikes",
        "periodic stalls",
        "io spikes",
        "background writer",
        "max_wal_size",
        "pg_stat_bgwriter",
        "latency spikes every few minutes",
    ])
    .examples(&[("writes stall every few minutes; is it checkpoints?", "{}")])
    .run(bgwriter_stats);

fn bgwriter_stats(call: &Call<'_>) -> Result<Outcome, Failure> {
    let standby = in_recovery(call)?;
    let rows = call.execute(&BGWRITER_READ)?;
    let Some(row) = rows.first() else { return Err(Failure::internal("the checkpoint statement gave no row")) };
    let number = |column| Ok::<i64, Failure>(row.integer(column)?.unwrap_or_default());
    let apart = row.integer("restartpoints_timed")?.is_some();
    let (what, timed, requested) = match (standby, apart) {
        (true, true) => ("restartpoint", number("restartpoints_timed")?, number("restartpoints_requested")?),
        (true, false) => ("restartpoint", number("checkpoints_timed")?, number("checkpoints_requested")?),
        (false, _) => ("checkpoint", number("checkpoints_timed")?, number("checkpoints_requested")?),
    };
    let summary = format!(
        "{} by time and {requested} on request; the last checkpoint began {} ago",
        counted(timed, what, &format!("{what}s")),
        duration(number("last_checkpoint_seconds")?)
    );
    let outcome = Outcome::new(summary).table("Checkpoints and background writer", rows);
    Ok(match (standby, apart) {
        (false, _) => outcome,
        (true, true) => outcome.notice(
            "this is a standby: it makes restartpoints, at checkpoints that the primary made; what the checkpoint columns count \
             are older times as a primary",
        ),
        (true, false) => outcome.notice(
            "this is a standby: what its checkpoint columns count are restartpoints, at checkpoints that the primary made",
        ),
    })
}
