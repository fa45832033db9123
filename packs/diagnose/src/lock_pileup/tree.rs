//! The waiters as a tree under each head, in numbers only.

use std::collections::BTreeMap;

use lockgate_pack::{Column, Failure, Rows};

pub(super) struct Waiter {
    pub(super) head: Option<i64>,
    pid: i64,
    behind: Option<i64>,
    pub(super) seconds: Option<i64>,
}

const COLUMNS: &[Column] = &[
    Column::integer("head_pid"),
    Column::integer("depth"),
    Column::integer("pid"),
    Column::integer("waits_for_pid"),
    Column::integer("waiting_seconds"),
    Column::integer("waiters_behind"),
];

/// Each backend once under each of its heads: the processes of one parallel query count as their leader.
pub(super) fn waiters(chains: &Rows) -> Result<Vec<Waiter>, Failure> {
    let mut waiters: BTreeMap<(Option<i64>, i64), Waiter> = BTreeMap::new();
    for row in chains.iter() {
        let Some(pid) = row.integer("blocked_pid")? else { continue };
        let (head, seconds) = (row.integer("head_pid")?, row.integer("waiting_seconds")?);
        if let Some(known) = waiters.get_mut(&(head, pid)) {
            known.seconds = known.seconds.max(seconds);
            continue;
        }
        let behind = row.integer("blocker_pid")?;
        waiters.insert((head, pid), Waiter { head, pid, behind, seconds });
    }
    Ok(waiters.into_values().collect())
}

/// Depth first, so that each waiter stands below the one it waits for. Those in a circle have neither head nor depth.
pub(super) fn table(waiters: &[Waiter]) -> Result<Rows, Failure> {
    let mut under: BTreeMap<(Option<i64>, Option<i64>), Vec<&Waiter>> = BTreeMap::new();
    for waiter in waiters {
        under.entry((waiter.head, waiter.behind)).or_default().push(waiter);
    }
    let mut rows = Vec::new();
    let mut heads: Vec<i64> = waiters.iter().filter_map(|waiter| waiter.head).collect();
    heads.dedup();
    for head in heads {
        descend(&mut under, head, head, 1, &mut rows);
    }
    // What no head leads to: circles, and what hangs on a backend that stopped waiting while we looked.
    for waiter in under.into_values().flatten() {
        rows.push((waiter, None, 0));
    }
    let rows = rows.into_iter().map(|(waiter, depth, behind)| {
        vec![
            waiter.head.into(),
            depth.into(),
            waiter.pid.into(),
            waiter.behind.into(),
            waiter.seconds.into(),
            behind.into(),
        ]
    });
    Rows::built(COLUMNS, rows.collect())
}

/// Lists the waiters below a backend and counts them. Takes them off the map, so a circle can't hold it; a chain is as deep
/// as there are backends at most, and the statement's 1,000 rows bound it.
fn descend<'a>(
    under: &mut BTreeMap<(Option<i64>, Option<i64>), Vec<&'a Waiter>>,
    head: i64,
    parent: i64,
    depth: i64,
    rows: &mut Vec<(&'a Waiter, Option<i64>, i64)>,
) -> i64 {
    let mut count = 0;
    for waiter in under.remove(&(Some(head), Some(parent))).unwrap_or_default() {
        let place = rows.len();
        rows.push((waiter, Some(depth), 0));
        let behind = descend(under, head, waiter.pid, depth + 1, rows);
        if let Some(row) = rows.get_mut(place) {
            row.2 = behind;
        }
        count += 1 + behind;
    }
    count
}
