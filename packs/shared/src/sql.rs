//! Pieces of SQL.

/// An instant as text: UTC, to the microsecond, whatever the session's time zone and date style are. So two of them are
/// equal exactly if the instants are, which pins rely on.
#[macro_export]
macro_rules! utc {
    ($instant:literal) => {
        concat!("pg_catalog.to_char(", $instant, " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    };
}

/// Whole seconds since an instant. `clock_timestamp()` rather than `now()`: what began after our own transaction did would
/// otherwise have a negative age.
#[macro_export]
macro_rules! seconds_since {
    ($instant:literal) => {
        concat!("EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - ", $instant, ")::int8")
    };
}
