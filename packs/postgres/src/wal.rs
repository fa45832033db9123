//! Where the WAL stands, and whether it reaches the archive.

use lockgate_pack::{Action, Call, Column, Failure, Outcome, Row, Statement, Variant};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    seconds_since, utc,
    words::{counted, duration, size},
};

use crate::replication::{RECOVERY_READ, in_recovery};

/// What is written here. How much WAL this server made is known from 14 on.
macro_rules! writing {
    ($bytes:literal, $reset:expr, $from:literal) => {
        concat!(
            "SELECT false AS in_recovery, pg_catalog.pg_current_wal_lsn()::text AS write_lsn,
       pg_catalog.pg_current_wal_insert_lsn()::text AS insert_lsn, pg_catalog.pg_current_wal_flush_lsn()::text AS flush_lsn,
       pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) AS wal_file,
       NULL::text AS received_lsn, NULL::text AS replayed_lsn, NULL::int8 AS replay_gap_bytes,
       NULL::text AS last_replayed_at, NULL::int8 AS last_replayed_seconds, NULL::text AS replay_pause,
       NULL::text AS receiver_status, NULL::text AS sender_host, NULL::int8 AS sender_port, NULL::text AS receiver_slot,
       NULL::int8 AS last_message_seconds, ",
            $bytes,
            " AS generated_bytes, ",
            $reset,
            " AS stats_reset",
            $from,
            "\n LIMIT 1"
        )
    };
}

/// What is received and replayed here.
macro_rules! replaying {
    ($pause:literal) => {
        concat!(
            "SELECT true AS in_recovery, NULL::text AS write_lsn, NULL::text AS insert_lsn, NULL::text AS flush_lsn,
       NULL::text AS wal_file, pg_catalog.pg_last_wal_receive_lsn()::text AS received_lsn,
       pg_catalog.pg_last_wal_replay_lsn()::text AS replayed_lsn,
       GREATEST(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn()),
                CASE WHEN pg_catalog.pg_last_wal_receive_lsn() IS NOT NULL THEN 0 END)::int8 AS replay_gap_bytes,
       ",
            utc!("pg_catalog.pg_last_xact_replay_timestamp()"),
            " AS last_replayed_at,
       ",
            seconds_since!("pg_catalog.pg_last_xact_replay_timestamp()"),
            " AS last_replayed_seconds,
       ",
            $pause,
            " AS replay_pause,
       r.status AS receiver_status, r.sender_host, r.sender_port::int8 AS sender_port, r.slot_name AS receiver_slot,
       ",
            seconds_since!("r.last_msg_receipt_time"),
            " AS last_message_seconds, NULL::int8 AS generated_bytes, NULL::text AS stats_reset
  FROM (VALUES (true)) AS one(row)
  LEFT JOIN pg_catalog.pg_stat_wal_receiver AS r ON true
 LIMIT 1"
        )
    };
}

pub(crate) static WAL_READ: Statement = Statement::read("wal_status")
    .columns(&[
        Column::boolean("in_recovery"),
        Column::text("write_lsn"),
        Column::text("insert_lsn"),
        Column::text("flush_lsn"),
        Column::text("wal_file"),
        Column::text("received_lsn"),
        Column::text("replayed_lsn"),
        Column::integer("replay_gap_bytes"),
        Column::text("last_replayed_at"),
        Column::integer("last_replayed_seconds"),
        Column::text("replay_pause"),
        Column::text("receiver_status"),
        Column::text("sender_host"),
        Column::integer("sender_port"),
        Column::text("receiver_slot"),
        Column::integer("last_message_seconds"),
        Column::integer("generated_bytes"),
        Column::text("stats_reset"),
    ])
    .variants(&[
        Variant::before(14, writing!("NULL::int8", "NULL::text", "")).primary(),
        Variant::from(14, writing!("w.wal_bytes::int8", utc!("w.stats_reset"), "\n  FROM pg_catalog.pg_stat_wal AS w"))
            .primary(),
        Variant::before(
            14,
            replaying!("CASE WHEN pg_catalog.pg_is_wal_replay_paused() THEN 'paused' ELSE 'not paused' END"),
        )
        .standby(),
        Variant::from(14, replaying!("pg_catalog.pg_get_wal_replay_pause_state()")).standby(),
    ])
    .max_rows(1);

pub(crate) static WAL_STATUS: Action = Action::read("wal_status")
    .title("WAL position")
    .description(
        "On a primary where it writes, has written and has flushed WAL, the file, and how many bytes it made since its \
         statistics were reset (from PostgreSQL 14 on). On a standby what it has received and replayed, whether replay is \
         paused, and from where and how freshly it receives. A standby without receiver_status does not stream: its primary is \
         away, or it reads from an archive.",
    )
    .statements(&[&SEES_OTHERS, &WAL_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "wal position",
        "lsn",
        "wal rate",
        "wal volume",
        "wal receiver",
        "streaming",
        "how much wal",
        "wal generation",
        "replay paused",
    ])
    .examples(&[("is the standby still receiving and replaying?", "{}")])
    .run(wal_status);

fn wal_status(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let rows = call.execute(&WAL_READ)?;
    let Some(row) = rows.first() else { return Err(Failure::internal("the WAL statement gave no row")) };
    let summary =
        if row.boolean("in_recovery")? == Some(true) { replays(row)? } else { "a primary: it writes WAL".into() };
    Ok(Outcome::new(summary).table("WAL", rows))
}

/// What a standby does, in words.
fn replays(row: Row<'_>) -> Result<String, Failure> {
    let receives = match row.text("receiver_status")?.as_deref() {
        Some("streaming") => "streams",
        Some(_) => "has a receiver that does not stream",
        None => "does not stream",
    };
    let paused =
        if row.text("replay_pause")?.is_some_and(|state| state != "not paused") { "; replay is paused" } else { "" };
    Ok(match row.integer("replay_gap_bytes")? {
        Some(0) => format!("a standby: it {receives}, and has replayed all that it received{paused}"),
        Some(bytes) => format!("a standby: it {receives}, and has {} left to replay{paused}", size(bytes)),
        None => format!("a standby: it {receives}, and never has{paused}"),
    })
}

/// How to archive may be said by a library from 15 on. What the command is may hold a secret; that there is one does not.
/// A WAL file's name says where it lies: timeline, then the upper and the lower half of its number, eight digits each.
macro_rules! archive {
    ($library:literal, $waiting:expr) => {
        concat!(
            "SELECT pg_catalog.current_setting('archive_mode') AS archive_mode,
       CASE WHEN pg_catalog.current_setting('archive_mode') = 'off' THEN 'off'
            WHEN ",
            $library,
            " <> '' THEN 'library'
            WHEN pg_catalog.current_setting('archive_command') <> '' THEN 'command' ELSE 'none' END AS method,
       a.archived_count, a.last_archived_wal,
       ",
            utc!("a.last_archived_time"),
            " AS last_archived_at,
       ",
            seconds_since!("a.last_archived_time"),
            " AS last_archived_seconds,
       a.failed_count, a.last_failed_wal,
       ",
            utc!("a.last_failed_time"),
            " AS last_failed_at,
       ",
            seconds_since!("a.last_failed_time"),
            " AS last_failed_seconds,
       COALESCE(a.last_failed_time > a.last_archived_time, a.last_failed_time IS NOT NULL) AS failing,
       ",
            $waiting,
            " AS waiting_bytes,
       ",
            utc!("a.stats_reset"),
            " AS stats_reset
  FROM pg_catalog.pg_stat_archiver AS a
 LIMIT 1"
        )
    };
}

/// What was written since the end of the file that was archived last.
macro_rules! waiting {
    () => {
        "CASE WHEN a.last_archived_wal ~ '^[0-9A-F]{24}$' THEN
            GREATEST(0, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')
                - (('x' || pg_catalog.substr(a.last_archived_wal, 9, 8))::bit(32)::int8 * 4294967296
                   + (('x' || pg_catalog.substr(a.last_archived_wal, 17, 8))::bit(32)::int8 + 1)
                     * pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))))
        END::int8"
    };
}

pub(crate) static ARCHIVE_READ: Statement = Statement::read("wal_archive_status")
    .columns(&[
        Column::text("archive_mode"),
        Column::text("method"),
        Column::integer("archived_count"),
        Column::text("last_archived_wal"),
        Column::text("last_archived_at"),
        Column::integer("last_archived_seconds"),
        Column::integer("failed_count"),
        Column::text("last_failed_wal"),
        Column::text("last_failed_at"),
        Column::integer("last_failed_seconds"),
        Column::boolean("failing"),
        Column::integer("waiting_bytes"),
        Column::text("stats_reset"),
    ])
    .variants(&[
        Variant::before(15, archive!("''", waiting!())).primary(),
        Variant::before(15, archive!("''", "NULL::int8")).standby(),
        Variant::from(15, archive!("pg_catalog.current_setting('archive_library')", waiting!())).primary(),
        Variant::from(15, archive!("pg_catalog.current_setting('archive_library')", "NULL::int8")).standby(),
    ])
    .max_rows(1);

pub(crate) static WAL_ARCHIVE_STATUS: Action = Action::read("wal_archive_status")
    .title("WAL archive")
    .description(
        "Whether WAL files reach the archive: how many were archived and how often that failed, the last file of each and when, \
         and how many bytes of WAL were written since the end of the last file that was archived. failing is true if the last \
         attempt that is known failed: WAL then piles up on disk until it works again. A file is tried again until it is \
         archived, so failed_count counts attempts.",
    )
    .statements(&[&RECOVERY_READ, &ARCHIVE_READ])
    .search_terms(&[
        "archiving",
        "archive_command",
        "archiver failed",
        "pitr",
        "point in time recovery",
        "wal files pile up",
        "pg_wal is growing",
        "disk is filling with wal",
        "wal backup",
        "archive backlog",
    ])
    .examples(&[("pg_wal grows; does archiving still work?", "{}")])
    .run(wal_archive_status);

fn wal_archive_status(call: &Call<'_>) -> Result<Outcome, Failure> {
    let standby = in_recovery(call)?;
    let rows = call.execute(&ARCHIVE_READ)?;
    let Some(row) = rows.first() else { return Err(Failure::internal("the archive statement gave no row")) };
    let archived = counted(row.integer("archived_count")?.unwrap_or_default(), "file", "files");
    let failed = row.integer("failed_count")?.unwrap_or_default();
    let off = row.text("method")?.as_deref() == Some("off");
    let summary = match (off, row.boolean("failing")? == Some(true), row.integer("last_archived_seconds")?) {
        (true, ..) => "archiving is off".into(),
        (_, true, _) => {
            format!("archiving fails: {}, {archived} archived", counted(failed, "failed attempt", "failed attempts"))
        }
        (_, _, Some(seconds)) => format!("{archived} archived, the last {} ago", duration(seconds)),
        (_, _, None) => "no file has been archived yet".into(),
    };
    let always = row.text("archive_mode")?.as_deref() == Some("always");
    let none = row.text("method")?.as_deref() == Some("none");
    let mut outcome = Outcome::new(summary).table("Archive", rows);
    if none {
        outcome = outcome.notice("archiving is on, but there is neither a command nor a library: WAL piles up on disk");
    }
    Ok(match (standby, always) {
        (true, false) => {
            outcome.notice("this is a standby, which archives only with archive_mode = always: ask the primary")
        }
        (true, true) => outcome.notice("this is a standby: how much WAL waits is not known here"),
        (false, _) => outcome,
    })
}
