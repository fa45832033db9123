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

/// Keeps to the schemas that are not PostgreSQL's own. Takes the expression of the schema's name.
#[macro_export]
macro_rules! ordinary_schema {
    ($name:literal) => {
        concat!($name, " <> 'information_schema' AND ", $name, " NOT LIKE 'pg!_%' ESCAPE '!'")
    };
}

/// Two CTEs, for the head of a `WITH`: the size of a block, and `held`, the relations of this database that somebody has
/// locked, or waits to lock, with ACCESS EXCLUSIVE, with the table of each such index. To open one of those, even to measure
/// it, would queue behind that lock; so they are not measured, and the catalog's page counts stand in.
#[macro_export]
macro_rules! held {
    () => {
        "setting AS MATERIALIZED (
    SELECT pg_catalog.current_setting('block_size')::int8 AS block
), locked AS MATERIALIZED (
    SELECT DISTINCT l.relation AS oid
      FROM pg_catalog.pg_locks AS l
      JOIN pg_catalog.pg_database AS d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
     WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
), held AS MATERIALIZED (
    SELECT l.oid FROM locked AS l
    UNION
    SELECT i.indrelid FROM locked AS l JOIN pg_catalog.pg_index AS i ON i.indexrelid = l.oid
)"
    };
}

/// The columns of an index in words, from the catalogs alone: `region, (expression) INCLUDE amount`. Its definition would
/// wait for locks, and may hold values in its predicate and expressions. Takes the alias of a `pg_index`.
#[macro_export]
macro_rules! index_columns {
    ($index:literal) => {
        concat!(
            "(SELECT pg_catalog.concat_ws(' INCLUDE ',
                   pg_catalog.string_agg(COALESCE(key_a.attname::text, '(expression)'), ', ' ORDER BY key_at.place)
                       FILTER (WHERE key_at.place <= ",
            $index,
            ".indnkeyatts),
                   pg_catalog.string_agg(key_a.attname::text, ', ' ORDER BY key_at.place) FILTER (WHERE key_at.place > ",
            $index,
            ".indnkeyatts))
          FROM pg_catalog.unnest(",
            $index,
            ".indkey::int2[]) WITH ORDINALITY AS key_at(attnum, place)
          LEFT JOIN pg_catalog.pg_attribute AS key_a ON key_a.attrelid = ",
            $index,
            ".indrelid AND key_a.attnum = key_at.attnum)"
        )
    };
}
