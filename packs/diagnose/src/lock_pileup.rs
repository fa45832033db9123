//! Who holds everybody up, what it is, and what would end it.

mod head;
mod tree;

use std::collections::BTreeMap;

use lockgate_pack::{Action, Call, Failure, Rows, Severity};
use lockgate_pack_shared::{
    chains::CHAINS_READ,
    monitor::{MONITOR, SEES_OTHERS, must_see_others},
    words::{counted, duration},
};

use crate::{
    backends::{self, BACKENDS, Backend},
    verdict::{Conclusion, Diagnosis},
};
pub(crate) use head::PREPARED;
use head::Pileup;

/// What is over sooner than this is no pile-up but traffic: locks are waited for all the time, and `deadlock_timeout`, after
/// which PostgreSQL itself first wonders, is 1 s by default.
pub(super) const PATIENCE_SECONDS: i64 = 5;
/// Many waiters are critical: ten are a small connection pool whole.
const MANY_WAITERS: i64 = 10;
/// A long wait is critical: most clients have given up after a minute.
const LONG_WAIT_SECONDS: i64 = 60;
/// How many heads get a conclusion of their own. The tables have them all.
const HEADS_NAMED: usize = 10;
/// As many rows as the statement returns at most.
const CHAINS_LISTED: i64 = 1000;

pub(crate) static LOCK_PILEUP: Action = Action::read("lock_pileup")
    .title("Diagnose a lock pile-up")
    .description(
        "Who holds up everybody that waits for a lock, what it is, and whether a cancel would do anything or only ending its \
         session would. One verdict for each head of a chain, the worst first: `client_gone` (idle in transaction, its client says \
         nothing: terminate), `client_stalled` (its client takes or sends no data: terminate), `long_query` (cancel), \
         `busy_transaction` (short statements in one long transaction: terminate), `prepared_transaction` (a person must commit or \
         roll it back), `waits_for_standby` (its commit waits for a synchronous standby: see replication_health), `advisory_lock` (an \
         idle session holds one), `autovacuum`, `server_process`, `replay` (on a standby, what the primary locked), `untracked`, \
         `short_wait` (too young to act on: look again), `resolving` (gone while we looked), `deadlock_resolving` (a circle, which \
         PostgreSQL ends itself), `healthy`. The table of waiters is the tree under each head; pid 0 is a prepared transaction. Replay of a \
         standby that waits for a query there is for replication_health.",
    )
    .statements(&[&SEES_OTHERS, &CHAINS_READ, &BACKENDS, &PREPARED])
    .privileges(MONITOR)
    .search_terms(&[
        "stuck on a lock",
        "lock pile-up",
        "queries pile up",
        "writes hang",
        "everything hangs",
        "blocked by a migration",
        "migration blocks everything",
        "lock timeout",
        "lock contention",
        "requests queue up",
    ])
    .examples(&[("writes are piling up; what is it and what do we do?", "{}")])
    .run(|call| {
        must_see_others(call)?;
        diagnose(call)?.into_outcome()
    });

pub(crate) fn diagnose(call: &Call<'_>) -> Result<Diagnosis, Failure> {
    let chains = call.execute(&CHAINS_READ)?;
    let waiters = tree::waiters(&chains)?;
    let mut piles: BTreeMap<i64, Pileup> = BTreeMap::new();
    let mut circle = Pileup::default();
    for waiter in &waiters {
        match waiter.head {
            Some(head) => piles.entry(head).or_default().add(waiter.seconds),
            None => circle.add(waiter.seconds),
        }
    }
    let pids: Vec<i64> = piles.keys().copied().filter(|pid| *pid != 0).collect();
    let heads = backends::look(call, pids)?;
    let prepared = if piles.contains_key(&0) { Some(call.execute(&PREPARED)?) } else { None };

    let mut notices = Vec::new();
    let mut conclusions = Vec::new();
    let mut by_waiters: Vec<_> = piles.into_iter().collect();
    by_waiters.sort_by_key(|(_, pile)| std::cmp::Reverse((pile.waiters, pile.longest)));
    if by_waiters.len() > HEADS_NAMED {
        notices.push(format!(
            "{} heads in all; the verdicts are about the {HEADS_NAMED} that hold up the most backends",
            by_waiters.len()
        ));
    }
    if i64::from(chains.count()) == CHAINS_LISTED {
        notices.push(format!(
            "more than {CHAINS_LISTED} backends wait, directly or behind others; the rest is not counted"
        ));
    }
    for (pid, pile) in by_waiters.iter().take(HEADS_NAMED) {
        let (conclusion, notice) = match (*pid, &prepared, &heads) {
            (0, Some(rows), _) => (head::prepared(rows, pile)?, None),
            (pid, _, Some(rows)) => match Backend::find(rows, pid)? {
                Some(head) => head.conclude(pile),
                None => (gone(pid), None),
            },
            (pid, ..) => (gone(pid), None),
        };
        conclusions.push(conclusion);
        notices.extend(notice);
    }
    if circle.waiters > 0 {
        conclusions.push(in_a_circle(&circle));
    }
    let mut diagnosis = Diagnosis::new("locks", conclusions, "no backend waits for a lock")
        .table("Waiters under each head", tree::table(&waiters)?);
    let evidence: [(&'static str, Option<Rows>); 2] = [("Heads", heads), ("Prepared transactions", prepared)];
    for (title, rows) in evidence {
        if let Some(rows) = rows {
            diagnosis = diagnosis.table(title, rows);
        }
    }
    Ok(diagnosis.table("Blocked backends", chains).notices(notices))
}

fn gone(pid: i64) -> Conclusion {
    let what = format!("backend {pid}, which others waited for, was gone a moment later: look again");
    Conclusion::new("resolving", Severity::Notice, what)
}

/// Waiters without a head wait for each other. The deadlock check ends that after `deadlock_timeout`, unless the circle is
/// one that PostgreSQL does not take for a deadlock, so one that lasts is a warning.
fn in_a_circle(pile: &Pileup) -> Conclusion {
    let severity = if pile.seconds() >= LONG_WAIT_SECONDS { Severity::Warning } else { Severity::Notice };
    let what = format!(
        "{} for each other in a circle: PostgreSQL ends one of them by itself after deadlock_timeout; look again",
        counted(pile.waiters, "backend waits", "backends wait")
    );
    Conclusion::new("deadlock_resolving", severity, what)
}

impl Pileup {
    /// How bad it is that these wait for what does not go away by itself.
    fn severity(&self) -> Severity {
        if self.waiters >= MANY_WAITERS || self.seconds() >= LONG_WAIT_SECONDS {
            Severity::Critical
        } else {
            Severity::Warning
        }
    }

    /// `3 backends wait behind it, the first for 18 min`
    fn in_words(&self) -> String {
        let waiters = counted(self.waiters, "backend waits", "backends wait");
        match self.longest {
            Some(seconds) => format!("{waiters} behind it, the first for {}", duration(seconds)),
            None => format!("{waiters} behind it"),
        }
    }
}
