//! What stands at the head of a chain, and what would make it let go.

use lockgate_pack::{Column, Failure, Input, Kind, Row, Rows, Severity, Statement, Variant};
use lockgate_pack_shared::{seconds_since, utc, words::duration};

use super::PATIENCE_SECONDS;
use crate::{advice, verdict::Conclusion};

/// The heads as they are now. The chains were read a moment before: one that is missing here is gone.
pub(crate) static HEADS: Statement = Statement::read("lock_heads")
    .inputs(&[Input::new("pids", Kind::Integers)])
    .columns(&[
        Column::integer("pid"),
        Column::text("user_name"),
        Column::text("application"),
        Column::text("client"),
        Column::text("database"),
        Column::text("backend_type"),
        Column::text("state"),
        Column::integer("state_seconds"),
        Column::integer("transaction_seconds"),
        Column::text("wait_event_type"),
        Column::text("wait_event"),
        Column::boolean("superuser"),
        Column::boolean("may_signal"),
        Column::boolean("prevents_wraparound"),
        Column::query("query"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT a.pid::int8 AS pid, a.usename::text AS user_name, a.application_name AS application,
       pg_catalog.host(a.client_addr) AS client, a.datname::text AS database, a.backend_type, a.state,
       ",
        seconds_since!("a.state_change"),
        " AS state_seconds,
       ",
        seconds_since!("a.xact_start"),
        " AS transaction_seconds,
       a.wait_event_type, a.wait_event, COALESCE(r.rolsuper, false) AS superuser,
       (pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') OR pg_catalog.pg_has_role(a.usesysid, 'USAGE')) AS may_signal,
       (a.backend_type = 'autovacuum worker' AND a.query LIKE '%to prevent wraparound%') AS prevents_wraparound, a.query
  FROM pg_catalog.pg_stat_activity AS a
  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
 WHERE a.pid = ANY ($1::int8[])
 ORDER BY a.pid
 LIMIT 1000"
    ))])
    .max_rows(1000);

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
    SELECT l.pid, l.granted, l.virtualtransaction, l.transactionid,
           pg_catalog.concat_ws('/', l.locktype, l.database, l.relation, COALESCE(l.page, -1), COALESCE(l.tuple, -1),
               COALESCE(l.virtualxid, '-'), COALESCE(l.transactionid::text, '-'), l.classid, l.objid, l.objsubid) AS target
      FROM pg_catalog.pg_locks AS l
), blocked AS (
    SELECT o.transactionid, pg_catalog.count(DISTINCT w.pid) AS waiters
      FROM lock AS o
      JOIN lock AS h ON h.pid IS NULL AND h.granted AND h.virtualtransaction = o.virtualtransaction
      JOIN lock AS w ON NOT w.granted AND w.target = h.target
     WHERE o.pid IS NULL AND o.transactionid IS NOT NULL
     GROUP BY o.transactionid
)
SELECT p.transaction::text AS transaction_id, p.gid, p.owner::text AS owner, p.database::text AS database,
       ",
        utc!("p.prepared"),
        " AS prepared_at,
       ",
        seconds_since!("p.prepared"),
        " AS age_seconds, COALESCE(b.waiters, 0)::int8 AS waited_for_by
  FROM pg_catalog.pg_prepared_xacts AS p
  LEFT JOIN blocked AS b ON b.transactionid = p.transaction
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

/// A head, as far as it decides what to do.
pub(super) struct Head {
    pid: i64,
    backend_type: String,
    state: String,
    state_seconds: i64,
    transaction_seconds: i64,
    wait_type: String,
    wait: String,
    superuser: bool,
    may_signal: bool,
    prevents_wraparound: bool,
}

/// What makes a head let go.
enum Remedy {
    Terminate(&'static str),
    Cancel(&'static str),
    None,
}

impl Head {
    pub(super) fn find(rows: &Rows, pid: i64) -> Result<Option<Self>, Failure> {
        for row in rows.iter() {
            if row.integer("pid")? == Some(pid) {
                return Self::read(&row, pid).map(Some);
            }
        }
        Ok(None)
    }

    fn read(row: &Row<'_>, pid: i64) -> Result<Self, Failure> {
        let text = |column| row.text(column).map(Option::unwrap_or_default);
        let seconds = |column| row.integer(column).map(Option::unwrap_or_default);
        let holds = |column| row.boolean(column).map(|value| value == Some(true));
        Ok(Self {
            pid,
            backend_type: text("backend_type")?,
            state: text("state")?,
            state_seconds: seconds("state_seconds")?,
            transaction_seconds: seconds("transaction_seconds")?,
            wait_type: text("wait_event_type")?,
            wait: text("wait_event")?,
            superuser: holds("superuser")?,
            may_signal: holds("may_signal")?,
            prevents_wraparound: holds("prevents_wraparound")?,
        })
    }

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
        let conclusion = Conclusion::new(verdict, severity, format!("backend {} {what}; {}", self.pid, pile.in_words()));
        let suggestion = match remedy {
            Remedy::Terminate(why) => advice::terminate(self.pid, why),
            Remedy::Cancel(why) => advice::cancel(self.pid, why),
            Remedy::None => return (conclusion, None),
        };
        let refused = if self.superuser {
            Some(format!(
                "no call is suggested for backend {}: it is a superuser's, which no action signals; a person has to",
                self.pid
            ))
        } else if !self.may_signal {
            Some(format!("no call is suggested for backend {}: to signal it, the role needs pg_signal_backend", self.pid))
        } else {
            None
        };
        let suggestion = Some(suggestion).filter(|_| refused.is_none());
        (conclusion.next(suggestion), refused)
    }

    fn client(&self, pile: &Pileup) -> (&'static str, String, Remedy) {
        let state = duration(self.state_seconds);
        let quiet = self.state_seconds >= PATIENCE_SECONDS;
        let lasts = pile.lasts(self.transaction_seconds.max(self.state_seconds));
        let short = || {
            let what = "holds a lock that others have waited for only a moment; this may pass, look again in some seconds";
            ("short_wait", what.to_owned(), Remedy::None)
        };
        let busy = || {
            let what = format!(
                "runs short statements in one transaction that is {} old: a cancel would come too late for any of them, only \
                 ending its session releases its locks",
                duration(self.transaction_seconds)
            );
            let why = "it holds its locks until its transaction ends, and no one statement of it lasts long enough to cancel";
            ("busy_transaction", what, Remedy::Terminate(why))
        };
        match self.state.as_str() {
            "idle in transaction" | "idle in transaction (aborted)" if quiet => (
                "client_gone",
                format!(
                    "has been idle in transaction for {state}, waiting for a client that is gone or stuck: a cancel would do \
                     nothing, only ending its session releases its locks"
                ),
                Remedy::Terminate("its client left a transaction open that holds up everybody behind it; a cancel does nothing to it"),
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
                format!("has been running one statement for {state}{}: a cancel ends it and rolls its transaction back", self.waits()),
                Remedy::Cancel("its statement holds up everybody behind it; cancelled, it rolls back and releases its locks"),
            ),
            "idle" => (
                "advisory_lock",
                format!(
                    "is idle outside any transaction for {state} and still holds a lock, so it is an advisory lock of its session; \
                     applications queue for those on purpose, so find out whose it is before ending it"
                ),
                Remedy::None,
            ),
            "idle in transaction" | "idle in transaction (aborted)" => short(),
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
        let what =
            format!("a prepared transaction holds a lock that others have waited for only a moment; {}", pile.in_words());
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
