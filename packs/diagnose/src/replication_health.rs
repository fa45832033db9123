//! Whether the standbys keep up and are there at all, what keeps WAL, and on a standby what holds up its replay.

mod statements;
mod sync_names;

use lockgate_pack::{Action, Call, Failure, Row, Rows, Severity};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    slots::SLOTS_READ,
    words::{counted, duration, size},
};

use crate::{
    backends::{self, BACKENDS, Backend, Remedy},
    verdict::{Conclusion, Diagnosis},
};
pub(crate) use statements::{CONFLICTS, REPLAY_BLOCKERS, SERVER, STANDBYS};
use sync_names::SyncNames;

/// Four segments of WAL at their default size: more than traffic has under way.
const LAG_BYTES: i64 = 64 << 20;
/// `max_wal_size` is 1 GB by default: without a slot, the primary may have recycled what is further back.
const FAR_BYTES: i64 = 1 << 30;
/// `max_standby_streaming_delay` is 30 s by default: replay waits no longer than that for queries.
const LAG_SECONDS: i64 = 30;
/// A failover would lose, or a reader miss, five minutes.
const FAR_SECONDS: i64 = 300;
/// Replay that waits for a query for less than this is no problem yet.
const CONFLICT_SECONDS: i64 = 5;
/// Per cent of `max_slot_wal_keep_size` that a slot may keep before it is said.
const SLOT_PERCENT: i64 = 50;

pub(crate) static REPLICATION_HEALTH: Action = Action::read("replication_health")
    .title("Diagnose replication")
    .description(
        "Whether standbys keep up and are all there, which slots keep WAL, and on a standby what holds up its replay. Works on a \
         primary and on a standby. Verdicts: `sync_standby_missing` (fewer synchronous standbys than commits wait for: writes hang), \
         `standby_missing` (a named standby is not connected, or nobody uses a physical slot), `subscriber_missing` (nobody uses a \
         logical slot), `standby_lagging`, `slot_keeps_wal`, `slot_lost` (its consumer must be built anew); on a standby \
         `replay_blocked` (replay waits for a query there: cancel or terminate it), `replay_paused` (a person must resume it), \
         `upstream_missing` (it receives nothing), `replay_lagging`. Else `healthy`. Slots, standbys and replay are for a person to \
         mend: no action drops, rebuilds or resumes.",
    )
    .statements(&[&SEES_OTHERS, &SERVER, &STANDBYS, &SLOTS_READ, &REPLAY_BLOCKERS, &CONFLICTS, &BACKENDS])
    .privileges(MONITOR)
    .search_terms(&[
        "replica is behind",
        "replication is broken",
        "replica disconnected",
        "standby missing",
        "replication stopped",
        "replay is blocked",
        "commits wait for standby",
        "replica is stale",
        "subscriber missing",
        "synchronous replication",
    ])
    .examples(&[("are the replicas all right?", "{}"), ("reads on the replica are stale; what holds it up?", "{}")])
    .run(|call| {
        must_see_others(call)?;
        diagnose(call)?.into_outcome()
    });

pub(crate) fn diagnose(call: &Call<'_>) -> Result<Diagnosis, Failure> {
    let server = call.execute(&SERVER)?;
    let Some(state) = server.first() else { return Err(Failure::internal("the server's state is missing")) };
    let in_recovery = state.boolean("in_recovery")? == Some(true);
    let standbys = call.execute(&STANDBYS)?;
    let slots = call.execute(&SLOTS_READ)?;
    let mut conclusions = Vec::new();
    let mut notices = Vec::new();
    let mut evidence: Vec<(&'static str, Rows)> = Vec::new();
    if in_recovery {
        let (blocked, blockers) = replay_blocked(call, &state, &mut notices)?;
        let behind = replay_behind(&state, blocked.is_some())?;
        conclusions.extend(blocked);
        conclusions.extend(behind);
        evidence.extend(blockers);
        let conflicts = call.execute(&CONFLICTS)?;
        let cancelled: i64 = conflicts.integers("all_conflicts")?.iter().sum();
        if cancelled > 0 {
            let queries = counted(cancelled, "query", "queries");
            notices.push(format!("replay has cancelled {queries} since the statistics were reset"));
            evidence.push(("Conflicts by database", conflicts));
        }
    } else {
        conclusions.extend(synchronous(&state, &standbys)?);
    }
    conclusions.extend(lagging(&standbys)?);
    conclusions.extend(slots_conclude(&slots, state.integer("slot_wal_limit_bytes")?)?);
    let connected = counted(standbys.count(), "standby is connected", "standbys are connected");
    let healthy = if in_recovery {
        format!("this standby replays what it receives as it comes; {connected} to it")
    } else {
        format!("{connected}, none lags, and no slot keeps much WAL")
    };
    let mut diagnosis = Diagnosis::new("replication", conclusions, healthy)
        .table("Standbys", standbys)
        .table("Slots", slots)
        .table("This server", server);
    for (title, rows) in evidence {
        diagnosis = diagnosis.table(title, rows);
    }
    Ok(diagnosis.notices(notices))
}

/// Commits wait for synchronous standbys that are not there, or one of those named is missing.
fn synchronous(state: &Row<'_>, standbys: &Rows) -> Result<Option<Conclusion>, Failure> {
    let names = SyncNames::parse(&state.text("synchronous_standby_names")?.unwrap_or_default());
    if names.needed == 0 {
        return Ok(None);
    }
    let answering =
        standbys.texts("sync_state")?.iter().filter(|state| matches!(state.as_str(), "sync" | "quorum")).count();
    let missing = names.missing(&standbys.texts("application")?);
    Ok(if answering < names.needed {
        let what = format!(
            "commits wait for {} synchronous, and {answering} can answer: writes hang until it connects, or a person changes \
             synchronous_standby_names",
            standbys_in_words(names.needed)
        );
        Some(Conclusion::new("sync_standby_missing", Severity::Critical, what))
    } else if missing > 0 {
        let what = format!(
            "{missing} of the standbys in synchronous_standby_names are not connected; the others answer for now"
        );
        Some(Conclusion::new("standby_missing", Severity::Warning, what))
    } else {
        None
    })
}

fn standbys_in_words(count: usize) -> String {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    counted(count, "standby that is", "standbys that are")
}

/// How bad a distance is, if it is bad.
fn lag(bytes: i64, seconds: i64) -> Option<Severity> {
    if bytes >= FAR_BYTES || seconds >= FAR_SECONDS {
        Some(Severity::Critical)
    } else if bytes >= LAG_BYTES || seconds >= LAG_SECONDS {
        Some(Severity::Warning)
    } else {
        None
    }
}

/// One conclusion for all standbys that lag, of the furthest behind. A base backup has a position only when it ends.
fn lagging(standbys: &Rows) -> Result<Option<Conclusion>, Failure> {
    let mut worst: Option<(Severity, i64, Option<i64>)> = None;
    let mut count = 0_i64;
    for row in standbys.iter() {
        let Some(bytes) = row.integer("replay_lag_bytes")? else { continue };
        let seconds = row.integer("replay_lag_seconds")?;
        let Some(severity) = lag(bytes, seconds.unwrap_or_default()) else { continue };
        count += 1;
        if worst.is_none_or(|(known, ..)| crate::verdict::weight(severity) > crate::verdict::weight(known)) {
            worst = Some((severity, bytes, seconds));
        }
    }
    Ok(worst.map(|(severity, bytes, seconds)| {
        let time = seconds.map(|seconds| format!(", {}", duration(seconds))).unwrap_or_default();
        let what = format!(
            "{} behind, the furthest by {}{time} of WAL to replay: ask replication_health of that standby what holds it up",
            counted(count, "standby lags", "standbys lag"),
            size(bytes)
        );
        Conclusion::new("standby_lagging", severity, what)
    }))
}

/// What the slots say: who is missing, what they keep, what they lost.
fn slots_conclude(slots: &Rows, limit: Option<i64>) -> Result<Vec<Conclusion>, Failure> {
    let (mut standbys, mut subscribers, mut lost, mut unreserved) = (0_i64, 0_i64, 0_i64, 0_i64);
    let mut most = 0;
    for row in slots.iter() {
        let temporary = row.boolean("temporary")? == Some(true);
        let synced = row.boolean("synced")? == Some(true);
        let status = row.text("wal_status")?.unwrap_or_default();
        if status == "lost" {
            lost += 1;
            continue;
        }
        unreserved += i64::from(status == "unreserved");
        let retained = row.integer("retained_bytes")?;
        most = most.max(retained.unwrap_or_default());
        // A slot that was never used keeps nothing and misses nobody; one that a standby holds in step with its primary's has
        // no consumer there.
        if row.boolean("active")? == Some(false) && retained.is_some() && !temporary && !synced {
            match row.text("slot_type")?.as_deref() {
                Some("logical") => subscribers += 1,
                _ => standbys += 1,
            }
        }
    }
    let mut conclusions = Vec::new();
    let share = limit.filter(|limit| *limit > 0).map(|limit| most.saturating_mul(100) / limit);
    if unreserved > 0 || most >= FAR_BYTES || share >= Some(SLOT_PERCENT) {
        let critical = unreserved > 0 || share >= Some(90);
        let bound = match (share, unreserved) {
            (_, 1..) => ", and is about to lose it".to_owned(),
            (Some(share), _) => format!(", {share} % of what max_slot_wal_keep_size allows"),
            (None, _) => ", and nothing bounds it but the disk (max_slot_wal_keep_size is -1)".to_owned(),
        };
        let what =
            format!("one slot keeps {} of WAL{bound}: connect its consumer, or a person drops the slot", size(most));
        let severity = if critical { Severity::Critical } else { Severity::Warning };
        conclusions.push(Conclusion::new("slot_keeps_wal", severity, what));
    }
    if standbys > 0 {
        let what = format!(
            "nobody uses {}: a standby that should be connected is not",
            counted(standbys, "physical slot", "physical slots")
        );
        conclusions.push(Conclusion::new("standby_missing", Severity::Warning, what));
    }
    if subscribers > 0 {
        let what = format!(
            "nobody uses {}: a subscriber that should be connected is not, and catalogs can't be cleaned up past it",
            counted(subscribers, "logical slot", "logical slots")
        );
        conclusions.push(Conclusion::new("subscriber_missing", Severity::Warning, what));
    }
    if lost > 0 {
        let what = format!(
            "{} WAL that the consumer still needed: build the consumer anew, and drop the slot",
            counted(lost, "slot has lost", "slots have lost")
        );
        conclusions.push(Conclusion::new("slot_lost", Severity::Warning, what));
    }
    Ok(conclusions)
}

/// Replay waits for queries of this standby: the first that can be ended is suggested.
#[allow(clippy::type_complexity, reason = "a conclusion and its tables, once")]
fn replay_blocked(
    call: &Call<'_>,
    state: &Row<'_>,
    notices: &mut Vec<String>,
) -> Result<(Option<Conclusion>, Vec<(&'static str, Rows)>), Failure> {
    let kind = state.text("replay_wait_event_type")?.unwrap_or_default();
    let event = state.text("replay_wait_event")?.unwrap_or_default();
    let waits = match (kind.as_str(), event.as_str()) {
        ("Lock", _) => "a lock that queries here hold",
        ("IPC", "RecoveryConflictSnapshot") => "queries here that may still see rows which the primary has cleaned up",
        ("IPC", "RecoveryConflictTablespace") => "queries here that use a tablespace which the primary has dropped",
        ("BufferPin", _) => "a page that a query here has in use",
        _ => return Ok((None, Vec::new())),
    };
    let delay = state.integer("replay_delay_seconds")?.unwrap_or_default();
    let severity = match delay {
        ..CONFLICT_SECONDS => Severity::Notice,
        CONFLICT_SECONDS..LAG_SECONDS => Severity::Warning,
        _ => Severity::Critical,
    };
    let blockers = call.execute(&REPLAY_BLOCKERS)?;
    let pids = blockers.integers("pid")?;
    let mut seen = pids.clone();
    seen.dedup();
    let count = i64::try_from(seen.len()).unwrap_or(i64::MAX);
    let backends = backends::look(call, pids.clone())?;
    let who = match count {
        0 => String::new(),
        count => format!(" ({} in its way)", counted(count, "backend is", "backends are")),
    };
    let what = format!(
        "replay is {} behind and waits for {waits}{who}; past max_standby_streaming_delay it cancels them itself, unless that is -1",
        duration(delay)
    );
    let mut conclusion = Conclusion::new("replay_blocked", severity, what);
    if let (Some(rows), Severity::Warning | Severity::Critical) = (&backends, severity) {
        for pid in pids {
            let Some(backend) = Backend::find(rows, pid)? else { continue };
            let remedy = if backend.state == "active" && backend.wait_type != "Client" {
                Remedy::Cancel("its query holds up the standby's replay, so everybody here reads what is old")
            } else {
                Remedy::Terminate(
                    "its open transaction holds up the standby's replay, and a cancel would do nothing to it",
                )
            };
            let (suggestion, refused) = backend.remedied(remedy);
            notices.extend(refused);
            if suggestion.is_some() {
                conclusion = conclusion.next(suggestion);
                break;
            }
        }
    }
    let mut tables = vec![("What replay waits for", blockers)];
    tables.extend(backends.map(|rows| ("Backends in the way of replay", rows)));
    Ok((Some(conclusion), tables))
}

/// Paused, cut off from its upstream, or slow.
fn replay_behind(state: &Row<'_>, blocked: bool) -> Result<Vec<Conclusion>, Failure> {
    let mut conclusions = Vec::new();
    let bytes = state.integer("unreplayed_bytes")?.unwrap_or_default();
    let delay = state.integer("replay_delay_seconds")?.unwrap_or_default();
    let paused = state.boolean("replay_paused")? == Some(true);
    if paused {
        let what = format!(
            "replay is paused, with {} of WAL to replay: a person resumes it with pg_wal_replay_resume() when its reason is gone",
            size(bytes)
        );
        let severity = lag(bytes, delay).unwrap_or(Severity::Warning);
        conclusions.push(Conclusion::new("replay_paused", severity, what));
    }
    if state.boolean("upstream_configured")? == Some(true)
        && state.text("receiver_status")?.as_deref() != Some("streaming")
    {
        let what = "this standby is told to stream from an upstream and does not: look at the upstream, at its slot, and at this \
                    server's log";
        conclusions.push(Conclusion::new("upstream_missing", Severity::Warning, what));
    }
    if let (false, false, Some(severity)) = (paused, blocked, lag(bytes, delay)) {
        let what = format!(
            "replay is {} and {} of WAL behind what it has received, and waits for no query: its disk or its one process is too \
             slow for what the primary writes",
            duration(delay),
            size(bytes)
        );
        conclusions.push(Conclusion::new("replay_lagging", severity, what));
    }
    Ok(conclusions)
}
