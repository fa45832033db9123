//! What an experienced person does in four kinds of incident, step by step, as data. A step names the action that it takes;
//! [`prompts`](super::prompts) leaves out those that a principal is not offered. The only place here that knows PostgreSQL.

/// One incident.
#[derive(Debug)]
pub struct Playbook {
    /// The prompt's name.
    pub name: &'static str,
    /// A few words.
    pub title: &'static str,
    /// When to take it.
    pub when: &'static str,
    /// What to keep in mind throughout.
    pub insight: &'static str,
    /// In order.
    pub steps: &'static [Step],
    /// How to tell that it is over, and what only a person can do.
    pub end: &'static str,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// The action.
    pub action: &'static str,
    /// What to look for in its answer, or when to act.
    pub text: &'static str,
    /// Whether it makes sense only on one kind of server.
    pub only_on: Place,
}

/// On which servers a step makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// All.
    Any,
    /// A primary.
    Primary,
    /// A standby.
    Standby,
}

const fn step(action: &'static str, text: &'static str) -> Step {
    Step { action, text, only_on: Place::Any }
}

/// All of them, by name.
pub const ALL: [Playbook; 4] = [CONNECTION_STORM, LOCK_PILEUP, REPLICATION_LAG, WRAPAROUND];

const LOCK_PILEUP: Playbook = Playbook {
    name: "lock_pileup",
    title: "Lock pile-up",
    when: "Writes time out, requests queue, and the database is waiting rather than working.",
    insight: "The waiters are victims: find the backend at the head of the chain, and touch no other. What it is decides \
        what helps: a cancel ends a running query and does nothing to a session that is idle in a transaction.",
    steps: &[
        step(
            "diagnose.lock_pileup",
            "begin with the verdict: the head of each chain, what it is (crashed client, long query, prepared transaction), \
             how many wait behind it, and whether a cancel would help.",
        ),
        step(
            "postgres.activity_states",
            "how much stands still: many `active` sessions with little CPU are blocked, not busy.",
        ),
        step(
            "postgres.lock_blocking_chains",
            "the head is the pid that blocks others and is blocked by none. Note its pid; every later step is about it.",
        ),
        step(
            "postgres.idle_in_transaction",
            "is the head in this list? Then it holds its locks without working, for as many seconds as it says.",
        ),
        step(
            "postgres.activity_detail",
            "the head's application, its age and its wait event: `ClientRead` while idle in a transaction means that its \
             client is silent or gone.",
        ),
        step(
            "postgres.prepared_transactions",
            "if no session holds the lock, a prepared transaction may. No action ends one: tell the person its identifier.",
        ),
        step(
            "postgres.cancel_query",
            "only if the head is running a query: cancel it, then look at the chain again, since its transaction may stay \
             open.",
        ),
        step(
            "postgres.terminate_backend",
            "if the head is idle in a transaction, or a cancel did not help: end this one session. Its transaction is \
             rolled back, so say in the reason whose it is, how long it has sat, and how many it blocks.",
        ),
        step(
            "postgres.kill_idle",
            "only if the same client left other idle transactions behind: end those older than a bound that spares \
             healthy ones.",
        ),
    ],
    end: "Over when the chains are gone and sessions move again: repeat the step that showed them. Then say what held the \
        lock and how to keep it from coming back (a timeout for idle transactions, a lock timeout for migrations).",
};

const CONNECTION_STORM: Playbook = Playbook {
    name: "connection_storm",
    title: "Connection storm",
    when: "Connections run out, or rise fast.",
    insight: "A storm is usually the echo of something slow or blocked, multiplied by retries and pools. Find what is slow \
        before making room, or the room fills again.",
    steps: &[
        step("diagnose.connection_pressure", "begin with the verdict: headroom against every limit, and who takes it."),
        step("postgres.connections", "which application has how many connections, in which states."),
        step(
            "postgres.activity_states",
            "mostly idle: pools are too large or leak. Mostly active: work has become slow. Idle in transaction: clients \
             hold sessions without working.",
        ),
        step("postgres.wait_events", "what the active ones wait for: locks, I/O, or the client."),
        step(
            "postgres.lock_blocking_chains",
            "if there is a chain, the storm is its queue: go on with the playbook lock_pileup.",
        ),
        step("postgres.longest_running_queries", "if the work is slow: which queries, from where, since when."),
        step("postgres.idle_in_transaction", "sessions that can be given up, and whose they are."),
        step(
            "postgres.settings_non_default",
            "`max_connections` and the timeouts for idle sessions and transactions, for the report.",
        ),
        step("postgres.cancel_query", "for one query that is known to be the cause and may be repeated."),
        step(
            "postgres.kill_idle",
            "to make room: ends only transactions that have been idle for longer than a bound. Choose the bound from what \
             you saw, not the least that is allowed.",
        ),
        step(
            "postgres.terminate_backend",
            "for one session that is known to leak. Not for a pool: it reconnects at once.",
        ),
    ],
    end: "Over when headroom stays for some minutes: look again. What lasts is a person's: pool sizes, a pooler, timeouts, \
        retries with backoff.",
};

const REPLICATION_LAG: Playbook = Playbook {
    name: "replication_lag",
    title: "Replication lag",
    when: "A standby is behind, reads are stale, or WAL piles up on the primary.",
    insight: "Find the stage that is behind: sending (network, or the primary), writing and flushing (the standby's disk), or \
        replaying (a query on the standby, or one replay process at its limit). Bytes tell more than time: the time is empty \
        while nothing is written.",
    steps: &[
        step("postgres.is_in_recovery", "which server is which: most steps below read differently on each."),
        step("diagnose.replication_health", "begin with the verdict: lag, missing standbys, and slots that keep WAL."),
        Step {
            action: "postgres.replication_lag",
            text: "for each standby the distance by stage. A standby that is missing here is not connected.",
            only_on: Place::Primary,
        },
        Step {
            action: "postgres.replication_lag",
            text: "how long and how far its own replay is behind what it has received.",
            only_on: Place::Standby,
        },
        step(
            "postgres.replication_slots",
            "an inactive slot keeps WAL until the disk is full. No action drops one: tell the person its name and how much \
             it keeps.",
        ),
        step(
            "postgres.wal_status",
            "what was received against what was replayed: the gap is replay, the rest is transport.",
        ),
        Step {
            action: "postgres.longest_running_queries",
            text: "replay waits for a query whose rows it must remove: an old one here is the usual cause.",
            only_on: Place::Standby,
        },
        Step {
            action: "postgres.wal_archive_status",
            text: "failed archiving keeps WAL on the primary as well.",
            only_on: Place::Primary,
        },
        Step {
            action: "postgres.backend_holding_xmin",
            text: "whether a standby's feedback holds back vacuum: the other side of the same query.",
            only_on: Place::Primary,
        },
        Step {
            action: "postgres.cancel_query",
            text: "only if replay waits for this query and whoever runs it can run it again.",
            only_on: Place::Standby,
        },
    ],
    end: "Over when the distance in bytes shrinks between two looks and reaches near nothing. Say which stage it was.",
};

const WRAPAROUND: Playbook = Playbook {
    name: "wraparound",
    title: "Transaction id wraparound",
    when: "Transaction ids run low: PostgreSQL warns of wraparound, or autovacuum runs to prevent it.",
    insight: "Vacuum moves the limit only past what nobody can still see. While something holds back the oldest xmin, \
        vacuuming again achieves nothing: remove the holder first.",
    steps: &[
        step(
            "postgres.xid_wraparound_proximity",
            "how far each database is from the limit, for transaction ids and for multixacts. Under 40 million left is an \
             emergency: tell the person now.",
        ),
        step("diagnose.vacuum_health", "the verdict: what holds back xmin, and which tables are past their threshold."),
        step(
            "postgres.backend_holding_xmin",
            "who holds back the oldest xmin: a session, a replication slot, a prepared transaction, or a standby's feedback.",
        ),
        step("postgres.prepared_transactions", "a forgotten one holds for ever. No action ends one: tell the person."),
        step("postgres.replication_slots", "a slot nobody reads holds as well. No action drops one: tell the person."),
        Step {
            action: "postgres.autovacuum_workers",
            text: "what is being vacuumed now, and whether all workers are taken.",
            only_on: Place::Primary,
        },
        Step {
            action: "postgres.progress_vacuum",
            text: "how far it is. Leave a vacuum against wraparound alone: ending it loses its work.",
            only_on: Place::Primary,
        },
        Step {
            action: "postgres.last_vacuum_per_table",
            text: "which tables have waited longest.",
            only_on: Place::Primary,
        },
        Step {
            action: "postgres.terminate_backend",
            text: "if a session holds the oldest xmin and its work may be lost: end that one session.",
            only_on: Place::Primary,
        },
        Step {
            action: "postgres.vacuum_table",
            text: "once nothing holds it back: the oldest table first, one at a time, with `analyze` false to save time.",
            only_on: Place::Primary,
        },
    ],
    end: "Over when the age of the oldest database falls between two looks. Say what held it back, and that somebody must \
        watch the age from now on.",
};
