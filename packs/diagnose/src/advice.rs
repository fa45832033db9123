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

/// Rebuilds an index; nothing if its names are not such as the parameters take, or are those of the system's own.
pub(crate) fn reindex(schema: &str, index: &str) -> Option<Suggestion> {
    (is_identifier(schema) && !schema.starts_with("pg_") && is_identifier(index)).then(|| {
        Suggestion::new(
            "postgres.reindex_concurrent",
            "it builds the index anew and makes it valid, without blocking anybody",
        )
        .text("schema", schema)
        .text("index", index)
    })
}

/// Vacuums a table; nothing if its names are not such as the parameters take.
pub(crate) fn vacuum(schema: &str, table: &str, why: &str) -> Option<Suggestion> {
    (is_identifier(schema) && is_identifier(table))
        .then(|| Suggestion::new("postgres.vacuum_table", why).text("schema", schema).text("table", table))
}

/// What a parameter of kind identifier takes: `^[a-zA-Z_][a-zA-Z0-9_]{0,62}$`.
fn is_identifier(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && name.len() <= 63 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
