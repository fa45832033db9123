//! Replication slots: what each keeps, and for whom.

use lockgate_pack::{Action, Call, Failure, Outcome};
use lockgate_pack_shared::{
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    slots::SLOTS_READ,
    words::{counted, size},
};

use crate::common::listed;

pub(crate) static REPLICATION_SLOTS: Action = Action::read("replication_slots")
    .title("Replication slots")
    .description(
        "Each replication slot, the one that keeps the most WAL first: retained_bytes is what it keeps, safe_wal_size how much \
         more may be written before it is lost (null: no limit, max_slot_wal_keep_size is -1), unconfirmed_bytes what a logical \
         consumer has not confirmed. wal_status says reserved, extended (more than max_wal_size), unreserved (about to be lost) \
         or lost (of no use any more: its consumer must start anew). A slot that nobody uses fills the disk. Slots of a standby \
         are its own, not the primary's.",
    )
    .statements(&[&SEES_OTHERS, &SLOTS_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "slot keeps wal",
        "wal retention",
        "disk is filling with wal",
        "pg_wal is growing",
        "inactive slot",
        "logical decoding",
        "debezium",
        "cdc",
        "slot lost",
        "logical replication",
    ])
    .examples(&[("pg_wal fills the disk; what keeps it?", "{}")])
    .run(replication_slots);

fn replication_slots(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let rows = call.execute(&SLOTS_READ)?;
    let (mut inactive, mut lost, mut endangered) = (0_i64, 0_i64, 0_i64);
    for row in rows.iter() {
        match row.text("wal_status")?.as_deref() {
            Some("lost") => lost += 1,
            Some("unreserved") => endangered += 1,
            _ => {}
        }
        inactive += i64::from(row.boolean("active")? == Some(false));
    }
    let most = rows.integers("retained_bytes")?.into_iter().max();
    let summary = match (rows.count(), most) {
        (0, _) => "there is no replication slot".into(),
        (count, None) => format!("{}; none keeps WAL", counted(count, "replication slot", "replication slots")),
        (count, Some(bytes)) => format!(
            "{}, {inactive} without a consumer; the one that keeps the most WAL keeps {}",
            counted(count, "replication slot", "replication slots"),
            size(bytes)
        ),
    };
    let mut outcome = listed(call, rows, 200, "Slots", |_| summary);
    if lost > 0 {
        outcome = outcome.notice(format!(
            "{} lost: WAL that it needed is gone, so its consumer must be set up anew",
            counted(lost, "slot is", "slots are")
        ));
    }
    if endangered > 0 {
        outcome = outcome.notice(format!(
            "{} about to be lost: its WAL goes at the next checkpoint unless its consumer catches up",
            counted(endangered, "slot is", "slots are")
        ));
    }
    Ok(outcome)
}
