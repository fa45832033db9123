//! Indexes that serve no query.

use lockgate_pack::{Action, Call, Failure, Outcome};
use lockgate_pack_shared::{
    indexes::invalid::INVALID_READ,
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    words::counted,
};

use crate::common::listed;

pub(crate) static INVALID_INDEXES: Action = Action::read("invalid_indexes")
    .title("Invalid indexes")
    .description(
        "Indexes that are not valid or not ready: they serve no query, and most still cost every write. in_work says whether a \
         build, rebuild or drop is at it now (pid, command, phase): wait for it. Otherwise it was left by one that failed: \
         rebuild_leftover `new` (_ccnew) can be dropped, so can `old` (_ccold); any other is made whole by reindex_concurrent, or \
         dropped. A partitioned one is invalid until every partition has its index. On a standby in_work is NULL: the primary \
         knows.",
    )
    .statements(&[&SEES_OTHERS, &INVALID_READ])
    .privileges(MONITOR)
    .search_terms(&[
        "invalid index",
        "failed index build",
        "broken index",
        "ccnew",
        "leftover index",
        "create index concurrently failed",
        "half-built index",
    ])
    .examples(&[("did the concurrent index build leave something behind?", "{}")])
    .run(invalid);

fn invalid(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let rows = call.execute(&INVALID_READ)?;
    let (mut in_work, mut unknown) = (0_i64, false);
    for row in rows.iter() {
        match row.boolean("in_work")? {
            Some(true) => in_work += 1,
            Some(false) => {}
            None => unknown = true,
        }
    }
    let outcome = listed(call, rows, 200, "Invalid indexes", |count| {
        let indexes = counted(count, "invalid index", "invalid indexes");
        match (count, in_work) {
            (0, _) => "every index is valid".into(),
            _ if unknown => indexes,
            (_, 0) => format!("{indexes}; nobody works at {}", if count == 1 { "it" } else { "any of them" }),
            (_, some) => format!("{indexes}, {some} of them being built, rebuilt or dropped now"),
        }
    });
    Ok(if unknown {
        outcome.notice("a standby does not know whether they are being built: ask the primary")
    } else {
        outcome
    })
}
