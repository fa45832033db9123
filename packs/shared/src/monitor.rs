//! The look at the role's own privileges that comes before every look at other sessions.

use lockgate_pack::{Call, Column, Failure, Statement, Variant};

/// What reads of other people's sessions need.
pub const MONITOR: &[&str] = &["pg_monitor"];

/// Without `pg_read_all_stats` other people's sessions show neither state nor query (manual, 28.2.3), and a filter on them
/// finds nothing.
pub static SEES_OTHERS: Statement = Statement::read("sees_other_sessions")
    .columns(&[Column::boolean("sees_others")])
    .variants(&[Variant::all("SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_others")])
    .max_rows(1);

/// Refuses where an answer would be empty or short only because the role may not see.
pub fn must_see_others(call: &Call<'_>) -> Result<(), Failure> {
    let rows = call.execute(&SEES_OTHERS)?;
    match rows.first().map(|row| row.boolean("sees_others")).transpose()?.flatten() {
        Some(true) => Ok(()),
        _ => Err(Failure::missing_privilege(
            "the role can't see other sessions, so the answer would be wrong: grant it pg_monitor",
        )),
    }
}
