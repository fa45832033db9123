//! Indexes that cost writes and room and give nothing for it.

use lockgate_pack::{Action, Call, Failure, Row, Rows, Severity, Suggestion};
use lockgate_pack_shared::{
    indexes::{duplicate::DUPLICATE_READ, invalid::INVALID_READ, unused::UNUSED_READ},
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    words::{counted, size},
};

use crate::{
    advice,
    verdict::{Conclusion, Diagnosis},
};

/// Unused indexes that take less together stay in the cache and are not worth a person's time: a thousand pages.
const WORTH_BYTES: i64 = 8 << 20;
/// Room that one would notice on the disk, in the backups and in the replication of every write.
const MUCH_BYTES: i64 = 1 << 30;
/// As many unused indexes as the statement lists at most.
const LISTED: i64 = 200;

pub(crate) static INDEX_HEALTH: Action = Action::read("index_health")
    .title("Diagnose indexes")
    .description(
        "Indexes of this database that give nothing for what they cost, with the bytes that each would give back. Verdicts: \
         `invalid_index` (a build that failed: it costs writes and serves no query; reindex_concurrent makes it good), \
         `rebuild_leftover` (a failed REINDEX CONCURRENTLY left it: a person drops it), `duplicate_indexes` (another index of the \
         table serves the same), `unused_indexes` (no scan since the statistics count; those that serve a foreign key and those of \
         tables that nobody reads are not counted). Else `healthy`. No action drops an index. On a standby, use is counted there \
         alone.",
    )
    .statements(&[&SEES_OTHERS, &INVALID_READ, &DUPLICATE_READ, &UNUSED_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "index problems",
        "superfluous indexes",
        "writes are slow",
        "too many indexes",
        "inserts are slow",
        "index bloat",
        "index cleanup",
        "which indexes can go",
    ])
    .examples(&[("writes have become slow and the disk fills; which indexes can go?", "{}")])
    .run(|call| {
        must_see_others(call)?;
        diagnose(call)?.into_outcome()
    });

pub(crate) fn diagnose(call: &Call<'_>) -> Result<Diagnosis, Failure> {
    let invalid = call.execute(&INVALID_READ)?;
    let duplicate = call.execute(&DUPLICATE_READ)?;
    let unused = call.execute_with(&UNUSED_READ, &[("limit", LISTED.into())])?;
    let mut notices = Vec::new();
    let mut conclusions = Vec::new();
    conclusions.extend(left_invalid(&invalid, &mut notices)?);

    let bytes: i64 = duplicate.integers("bytes")?.iter().sum();
    if !duplicate.is_empty() {
        let what = format!(
            "{} what another one of the table serves; without, {} are free and each write is cheaper: a person compares and drops",
            counted(duplicate.count(), "index serves", "indexes serve"),
            size(bytes)
        );
        conclusions.push(Conclusion::new("duplicate_indexes", worth(bytes), what));
    }
    let (count, bytes) = nobody_uses(&unused)?;
    if bytes >= WORTH_BYTES {
        let what = format!(
            "no query has used {} since the statistics count; without, {} are free: a person looks at the other servers and at \
             rare jobs, and drops",
            counted(count, "index", "indexes"),
            size(bytes)
        );
        conclusions.push(Conclusion::new("unused_indexes", worth(bytes), what));
        notices.push(
            "the use of indexes is counted on each server by itself, since its statistics were last reset; the table says since when"
                .into(),
        );
    }
    let healthy = format!("no index is invalid or a duplicate, and those without a scan take {}", size(bytes));
    Ok(Diagnosis::new("indexes", conclusions, healthy)
        .table("Invalid indexes", invalid)
        .table("Duplicate indexes", duplicate)
        .table("Unused indexes", unused)
        .notices(notices))
}

fn worth(bytes: i64) -> Severity {
    if bytes >= MUCH_BYTES { Severity::Warning } else { Severity::Notice }
}

/// Invalid indexes that nobody is at: those of failed builds, and those of failed rebuilds.
fn left_invalid(rows: &Rows, notices: &mut Vec<String>) -> Result<Vec<Conclusion>, Failure> {
    let (mut broken, mut leftover, mut in_work) = ((0_i64, 0), (0_i64, 0), 0_i64);
    let mut next = None;
    let mut unnamed = false;
    for row in rows.iter() {
        let bytes = row.integer("bytes")?.unwrap_or_default();
        if row.boolean("in_work")? == Some(true) {
            in_work += 1;
        } else if row.text("rebuild_leftover")?.is_some() || row.boolean("live")? == Some(false) {
            leftover = (leftover.0 + 1, leftover.1 + bytes);
        } else {
            broken = (broken.0 + 1, broken.1 + bytes);
            // A standby does not say whether somebody is at it, and can't rebuild. The largest comes first.
            if next.is_none() && row.boolean("in_work")? == Some(false) && row.boolean("partitioned")? == Some(false) {
                next = rebuild(&row)?;
                unnamed |= next.is_none();
            }
        }
    }
    if in_work > 0 {
        notices.push(format!(
            "{} invalid because somebody is building or dropping it right now",
            counted(in_work, "index is", "indexes are")
        ));
    }
    if unnamed && next.is_none() {
        notices.push(
            "no rebuild is suggested: the names of the invalid indexes are not plain identifiers, which is all that \
             reindex_concurrent takes, so a person has to"
                .into(),
        );
    }
    let mut conclusions = Vec::new();
    if broken.0 > 0 {
        let what = format!(
            "{} invalid, of {}: a build failed, and now each write pays for what no query can use",
            counted(broken.0, "index is", "indexes are"),
            size(broken.1)
        );
        conclusions.push(Conclusion::new("invalid_index", Severity::Warning, what).next(next));
    }
    if leftover.0 > 0 {
        let what = format!(
            "{} of a rebuild or a drop that failed, of {}: a person drops what ends in _ccnew or _ccold, or was being dropped",
            counted(leftover.0, "index is left", "indexes are left"),
            size(leftover.1)
        );
        conclusions.push(Conclusion::new("rebuild_leftover", Severity::Warning, what));
    }
    Ok(conclusions)
}

/// The rebuild of an index, if its names are such as `reindex_concurrent` takes.
fn rebuild(row: &Row<'_>) -> Result<Option<Suggestion>, Failure> {
    let (schema, index) = (row.text("schema_name")?, row.text("index_name")?);
    Ok(schema.zip(index).and_then(|(schema, index)| advice::reindex(&schema, &index)))
}

/// How many, and how large: without those that a foreign key may need for a rare delete, and without those of tables
/// that nobody reads at all, which only says that the statistics are young.
fn nobody_uses(rows: &Rows) -> Result<(i64, i64), Failure> {
    let (mut count, mut bytes) = (0, 0);
    for row in rows.iter() {
        let scans =
            row.integer("table_seq_scans")?.unwrap_or_default() + row.integer("table_index_scans")?.unwrap_or_default();
        if row.boolean("serves_foreign_key")? != Some(true) && scans > 0 {
            count += 1;
            bytes += row.integer("bytes")?.unwrap_or_default();
        }
    }
    Ok((count, bytes))
}
