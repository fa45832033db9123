//! The calls that a diagnosis may suggest. Each is one of the stock pack `postgres`, with arguments that its parameters take;
//! it still goes through policy, and its own preview looks again.

use lockgate_pack::Suggestion;

pub(crate) fn terminate(pid: i64, why: &str) -> Suggestion {
    Suggestion::new("postgres.terminate_backend", why).integer("pid", pid)
}

pub(crate) fn cancel(pid: i64, why: &str) -> Suggestion {
    Suggestion::new("postgres.cancel_query", why).integer("pid", pid)
}

/// Ends what has been idle in transaction for longer than the bound, which is from 60 to 86,400 s.
pub(crate) fn kill_idle(older_than_seconds: i64) -> Suggestion {
    Suggestion::new(
        "postgres.kill_idle",
        "these sessions do nothing, hold a connection each, and their clients have not come back for them",
    )
    .integer("older_than_seconds", older_than_seconds)
}
