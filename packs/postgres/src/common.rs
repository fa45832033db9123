//! What several actions share: pieces of SQL, parameters, the look at the role's own privileges, and words.

use lockgate_pack::{Call, Column, Failure, Outcome, Param, QueryError, Rows, Statement, Variant};

/// An instant as text: UTC, to the microsecond, whatever the session's time zone and date style are. So two of them are
/// equal exactly if the instants are, which pins rely on.
macro_rules! utc {
    ($instant:literal) => {
        concat!("pg_catalog.to_char(", $instant, " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    };
}
/// Whole seconds since an instant. `clock_timestamp()` rather than `now()`: what began after our own transaction did would
/// otherwise have a negative age.
macro_rules! seconds_since {
    ($instant:literal) => {
        concat!("EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - ", $instant, ")::int8")
    };
}
pub(crate) use {seconds_since, utc};

/// How many rows, for reads that list.
pub(crate) const LIMIT: Param = Param::integer("limit", 1, 200).default(20).describe("How many rows at most");

/// A backend's process id; the upper bound is the largest pid that Linux gives.
pub(crate) const PID: Param =
    Param::integer("pid", 1, 4_194_304).describe("The backend's process id, as the reads of this pack show it");

/// What reads of other people's sessions need.
pub(crate) const MONITOR: &[&str] = &["pg_monitor"];

/// Without `pg_read_all_stats` other people's sessions show neither state nor query (manual, 28.2.3), and a filter on them
/// finds nothing.
pub(crate) static SEES_OTHERS: Statement = Statement::read("sees_other_sessions")
    .columns(&[Column::boolean("sees_others")])
    .variants(&[Variant::all("SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_others")])
    .max_rows(1);

/// Refuses where an answer would be empty or short only because the role may not see.
pub(crate) fn must_see_others(call: &Call<'_>) -> Result<(), Failure> {
    let rows = call.execute(&SEES_OTHERS)?;
    match rows.first().map(|row| row.boolean("sees_others")).transpose()?.flatten() {
        Some(true) => Ok(()),
        _ => Err(Failure::missing_privilege(
            "the role can't see other sessions, so the answer would be wrong: grant it pg_monitor",
        )),
    }
}

/// Refuses as [`must_see_others`] does, and else hands on the rows of the second statement, in the given words.
pub(crate) fn report_sessions(
    call: &Call<'_>,
    statement: &'static Statement,
    title: &str,
    words: impl FnOnce(u32) -> String,
) -> Result<Outcome, Failure> {
    must_see_others(call)?;
    let rows = call.execute(statement)?;
    Ok(listed(call, rows, 200, title, words))
}

/// An outcome with one table, which says so if it was cut at the caller's limit, or else at the statement's own.
pub(crate) fn listed(call: &Call<'_>, rows: Rows, cap: i64, title: &str, words: impl FnOnce(u32) -> String) -> Outcome {
    let count = rows.count();
    let limit = call.integer("limit").unwrap_or(cap);
    let outcome = Outcome::new(words(count)).table(title, rows);
    if i64::from(count) == limit {
        outcome.notice(format!("these are the first {count}; there may be more"))
    } else {
        outcome
    }
}

/// `1 backend`, `2 backends`.
pub(crate) fn counted(count: impl Into<i64>, one: &str, many: &str) -> String {
    let count = count.into();
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `45 s`, `18 min`, `5 h 10 min`, `3 d 4 h`.
pub(crate) fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{minutes} min"),
        7200..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// `412 kB`, `1.3 GB`, in units of 1024 as PostgreSQL's own `pg_size_pretty` counts them.
pub(crate) fn size(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut unit = "bytes";
    let (mut whole, mut tenths) = (bytes, 0);
    for next in UNITS {
        if whole < 1024 {
            break;
        }
        (tenths, whole) = (whole % 1024 * 10 / 1024, whole / 1024);
        unit = next;
    }
    if whole < 10 && unit != "bytes" { format!("{whole}.{tenths} {unit}") } else { format!("{whole} {unit}") }
}

/// Whether it is not known what became of a statement.
pub(crate) fn is_uncertain(error: &QueryError) -> bool {
    matches!(error, QueryError::Connection(_))
}

#[cfg(test)]
mod tests {
    use super::{counted, duration, size};

    #[test]
    fn words() {
        assert_eq!(counted(1_i64, "backend", "backends"), "1 backend");
        assert_eq!(counted(0_i64, "backend", "backends"), "0 backends");
        let ages = [(0, "0 s"), (119, "119 s"), (1084, "18 min"), (18_600, "5 h 10 min"), (273_600, "3 d 4 h")];
        for (seconds, text) in ages {
            assert_eq!(duration(seconds), text);
        }
        let sizes = [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 kB"),
            (1_400_000_000, "1.3 GB"),
            (i64::MAX, "8388607 TB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
    }
}
