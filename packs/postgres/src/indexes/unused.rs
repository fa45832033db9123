//! Indexes that no query used.

use lockgate_pack::{Action, Call, Failure, Outcome};
use lockgate_pack_shared::{
    indexes::unused::UNUSED_READ,
    words::{counted, size},
};

use crate::common::{LIMIT, listed};

pub(crate) static UNUSED_INDEXES: Action = Action::read("unused_indexes")
    .title("Unused indexes")
    .description(
        "Indexes that no query has scanned since the statistics count, the largest first, with their bytes. Leaves out what \
         enforces something (unique, primary key, exclusion and other constraints, replica identity), what belongs to an index of \
         a partitioned table, and system schemas. statistics_since is when the database's statistics were last reset: NULL if \
         never; a crash loses them too. An index that serves a foreign key may be needed by a rare delete in the other table, and \
         one on an expression also gives the planner statistics. Scans count on each server by itself: ask the standbys too \
         before dropping an index that only they might use.",
    )
    .params(&[LIMIT])
    .statements(&[&UNUSED_READ])
    .search_terms(&[
        "index nobody uses",
        "index never used",
        "never scanned",
        "index to drop",
        "unnecessary index",
        "superfluous index",
        "dead weight",
    ])
    .examples(&[("which indexes could we drop?", r#"{"limit": 50}"#)])
    .run(unused);

fn unused(call: &Call<'_>) -> Result<Outcome, Failure> {
    let rows = call.execute(&UNUSED_READ)?;
    let bytes = rows.integers("bytes")?.into_iter().sum();
    Ok(listed(call, rows, 200, "Unused indexes", |count| match count {
        0 => "every index that only serves queries has been used since the statistics count".into(),
        _ => format!("{} without a scan, {} in all", counted(count, "index", "indexes"), size(bytes)),
    })
    .notice("scans are counted on each server by itself: a standby's reads are seen only there"))
}
