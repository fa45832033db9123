//! What stands at the head of a chain, and what would make it let go.

use lockgate_pack::{Column, Failure, Rows, Severity, Statement, Variant};
use lockgate_pack_shared::{seconds_since, utc, words::duration};

use super::PATIENCE_SECONDS;
use crate::{
    backends::{Backend, Remedy},
    verdict::Conclusion,
};

/// The prepared transactions, and how many backends wait for something that each has locked: `pg_blocking_pids` has no more
/// to say of one than pid 0. In `pg_locks` it has no pid; what it holds is found by way of the lock on its own transaction id.
pub(crate) static PREPARED: Statement = Statement::read("prepared_transactions_with_locks")
    .columns(&[
        Column::text("transaction_id"),
        Column::text("gid"),
        Column::text("owner"),
        Column::text("database"),
        Column::text("prepared_at"),
        Column::integer("age_seconds"),
        Column::integer("waited_for_by"),
    ])
    .variants(&[Variant::all(concat!(
        "WITH lock AS MATERIALIZED (
    SELECT l.pid, l.granted, l.virtualtransaction, l.transactionid::text AS xid,
           pg_catalog.concat_ws('/', l.locktype, l.database, l.relation, COALESCE(l.page, -1), COALESCE(l.tuple, -1),
               COALESCE(l.virtualxid, '-'), COALESCE(l.transactionid::text, '-'), l.classid, l.objid, l.objsubid) AS target
      FROM pg_catalog.pg_locks AS l
), blocked AS (
    SELECT o.xid, pg_catalog.count(DISTINCT w.pid) AS waiters
      FROM lock AS o
      JOIN lock AS h ON h.pid IS NULL AND h.granted AND h.virtualtransaction = o.virtualtransaction
      JOIN lock AS w ON NOT w.granted AND w.target = h.target
     WHERE o.pid IS NULL AND o.xid IS NOT NULL
     GROUP BY o.xid
)
SELECT p.transaction::text AS transaction_id, p.gid, p.owner::text AS owner, p.database::text AS database,
       ",
        utc!("p.prepared"),
        " AS prepared_at,
       ",
        seconds_since!("p.prepared"),
        " AS age_seconds, COALESCE(b.waiters, 0)::int8 AS waited_for_by
  FROM pg_catalog.pg_prepared_xacts AS p
  LEFT JOIN blocked AS b ON b.xid = p.transaction::text
 ORDER BY waited_for_by DESC, p.prepared, p.gid
 LIMIT 200"
    ))]);

/// The waiters behind one head.
#[derive(Default)]
pub(super) struct Pileup {
    pub(super) waiters: i64,
    /// How long the first of them has waited; 13 does not say.
    pub(super) longest: Option<i64>,
}

impl Pileup {
    pub(super) fn add(&mut self, seconds: Option<i64>) {
        self.waiters += 1;
        self.longest = self.longest.max(seconds);
    }

    pub(super) fn seconds(&self) -> i64 {
        self.longest.unwrap_or_default()
    }

    /// Whether they have waited for longer than traffic does. Before 14 all that is known is how old the head's transaction
    /// is, behind which nobody can have waited for longer.
    fn lasts(&self, head_seconds: i64) -> bool {
        self.longest.unwrap_or(head_seconds) >= PATIENCE_SECONDS
    }
}

impl Backend {
    /// The conclusion, and why it suggests nothing where one would expect it to.
    pub(super) fn conclude(&self, pile: &Pileup) -> (Conclusion, Option<String>) {
        let (verdict, what, remedy) =
            if self.backend_type == "client backend" { self.client(pile) } else { self.process(pile) };
        let severity = match verdict {
            "short_wait" => Severity::Notice,
            // What an application queues for on purpose, and what goes on by itself, never more than warns.
            "advisory_lock" | "autovacuum" => Severity::Warning,
            _ => pile.severity(),
        };
        let conclusion =
            Conclusion::new(verdict, severity, format!("backend {} {what}; {}", self.pid, pile.in_words()));
        let (suggestion, refused) = self.remedied(remedy);
        (conclusion.next(suggestion), refused)
    }

    fn client(&self, pile: &Pileup) -> (&'static str, String, Remedy) {
        let state = duration(self.state_seconds);
        let quiet = self.state_seconds >= PATIENCE_SECONDS;
        let lasts = pile.lasts(self.transaction_seconds.max(self.state_seconds));
        let short = || {
            let what =
                "holds a lock that others have waited for only a moment; this may pass, look again in some seconds";
            ("short_wait", what.to_owned(), Remedy::None)
        };
        let busy = || {
            let what = format!(
                "runs short statements in one transaction that is {} old: a cancel would come too late for any of them, only \
                 ending its session releases its locks",
                duration(self.transaction_seconds)
            );
            let why =
                "it holds its locks until its transaction ends, and no one statement of it lasts long enough to cancel";
            ("busy_transaction", what, Remedy::Terminate(why))
        };
        match self.state.as_str() {
            "idle in transaction" | "idle in transaction (aborted)" if quiet => (
                "client_gone",
                format!(
                    "has been idle in transaction for {state}, waiting for a client that is gone or stuck: a cancel would do \
                     nothing, only ending its session releases its locks"
                ),
                Remedy::Terminate(
                    "its client left a transaction open that holds up everybody behind it; a cancel does nothing to it",
                ),
            ),
            "idle in transaction" | "idle in transaction (aborted)" if lasts => busy(),
            "active" | "fastpath function call" if !lasts => short(),
            "active" | "fastpath function call" if !quiet => busy(),
            "active" | "fastpath function call" if self.wait_type == "Client" => (
                "client_stalled",
                format!(
                    "has been in one statement for {state} and waits for its client, which takes or sends no data: a cancel would \
                     not reach it, only ending its session releases its locks"
                ),
                Remedy::Terminate("its client has stopped in the middle of a statement, where a cancel is not seen"),
            ),
            "active" | "fastpath function call" if self.wait == "SyncRep" => (
                "waits_for_standby",
                format!(
                    "has been committing for {state} and waits for a synchronous standby: a cancel would give up the guarantee \
                     that was asked for, so see replication_health first"
                ),
                Remedy::None,
            ),
            "active" | "fastpath function call" => (
                "long_query",
                format!(
                    "has been running one statement for {state}{}: a cancel ends it and rolls its transaction back",
                    self.waits()
                ),
                Remedy::Cancel(
                    "its statement holds up everybody behind it; cancelled, it rolls back and releases its locks",
                ),
            ),
            "idle" if lasts => (
                "advisory_lock",
                format!(
                    "is idle outside any transaction for {state} and still holds a lock, so it is an advisory lock of its session; \
                     applications queue for those on purpose, so find out whose it is before ending it"
                ),
                Remedy::None,
            ),
            "idle" | "idle in transaction" | "idle in transaction (aborted)" => short(),
            _ => (
                "untracked",
                "does what is not tracked (track_activities is off), so nothing can be said about it".to_owned(),
                Remedy::None,
            ),
        }
    }

    /// What the statement waits for at this moment, in words of ours: types of wait events are a fixed list, and what
    /// extensions add to it is not ours.
    fn waits(&self) -> &'static str {
        match self.wait_type.as_str() {
            "IO" => " (at this moment it waits for the disk)",
            "LWLock" => " (at this moment it waits for a part of shared memory)",
            "BufferPin" => " (at this moment it waits for others to let go of a page)",
            "IPC" => " (at this moment it waits for another process)",
            "Timeout" => " (at this moment it sleeps)",
            _ => "",
        }
    }

    /// No action signals what is no client's backend.
    fn process(&self, pile: &Pileup) -> (&'static str, String, Remedy) {
        let age = duration(self.transaction_seconds);
        let (verdict, what) = match self.backend_type.as_str() {
            "autovacuum worker" if self.prevents_wraparound => (
                "autovacuum",
                format!(
                    "is an autovacuum against wraparound, {age} old, which does not give way: let it end, and hold back what needs \
                     a strong lock on its table"
                ),
            ),
            "autovacuum worker" if !pile.lasts(self.transaction_seconds) => (
                "short_wait",
                "is an autovacuum, which gives way to a waiter by itself after deadlock_timeout".to_owned(),
            ),
            "autovacuum worker" => (
                "autovacuum",
                format!("is an autovacuum, {age} old, which should have given way by itself by now; look again"),
            ),
            "startup" => (
                "replay",
                "is the standby's replay, which holds what a transaction on the primary has locked: it ends when that one does, \
                 so look at the primary"
                    .to_owned(),
            ),
            _ => (
                "server_process",
                format!("is a process of the server or of replication, its transaction {age} old: no action signals it, a person has to look"),
            ),
        };
        (verdict, what, Remedy::None)
    }
}

/// Prepared transactions at the head.
pub(super) fn prepared(rows: &Rows, pile: &Pileup) -> Result<Conclusion, Failure> {
    let mut ages = Vec::new();
    for row in rows.iter() {
        if row.integer("waited_for_by")? > Some(0) {
            ages.extend(row.integer("age_seconds")?);
        }
    }
    let oldest = ages.iter().copied().max().unwrap_or_default();
    if ages.is_empty() || !pile.lasts(oldest) {
        let what = format!(
            "a prepared transaction holds a lock that others have waited for only a moment; {}",
            pile.in_words()
        );
        return Ok(Conclusion::new("short_wait", Severity::Notice, what));
    }
    let which = match ages.len() {
        1 => "a prepared transaction holds locks and does not end by itself; it".to_owned(),
        count => format!("{count} prepared transactions hold locks and do not end by themselves; the oldest"),
    };
    let what = format!(
        "{which} is {} old, and {}. No action decides its fate: ask its transaction manager, then COMMIT PREPARED or ROLLBACK \
         PREPARED its gid, connected to its database, as its owner or a superuser",
        duration(oldest),
        pile.in_words()
    );
    Ok(Conclusion::new("prepared_transaction", pile.severity(), what))
}
