//! How much of their range sequences have used.

use lockgate_pack::{Action, Call, Column, Failure, Input, Kind, Outcome, Statement, Variant};
use lockgate_pack_shared::{ordinary_schema, words::counted};

use crate::common::{LIMIT, listed};

/// How many sequences one call reads. Each is locked as `nextval` would lock it (ROW EXCLUSIVE, the only way PostgreSQL has to read
/// one), and the server's lock table has room for about 64 locks a connection. Those with the smallest range are read first:
/// of ten thousand that count to 2^63, none runs out.
macro_rules! most {
    () => {
        "1000"
    };
}

/// The end of a sequence is the nearer of its own and that of the column it feeds: a sequence of `bigint` on an `integer` column,
/// as older servers made them for `serial`, runs out at 2^31.
///
/// What the role may not read and what is locked against reading is left out; temporary sequences are other sessions' own, and a
/// standby has no unlogged ones.
const EXHAUSTION: &str = concat!(
    "WITH locked AS MATERIALIZED (
    SELECT DISTINCT l.relation AS oid
      FROM pg_catalog.pg_locks AS l
      JOIN pg_catalog.pg_database AS d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
     WHERE l.locktype = 'relation'
       AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
), ranged AS MATERIALIZED (
    SELECT q.seqrelid AS oid, q.seqtypid, q.seqincrement, q.seqcycle, q.seqmin, q.seqmax, n.nspname, c.relname, o.nspname AS owner_schema,
           o.relname AS owner_table, o.attname AS owner_column, o.atttypid AS owner_type,
           CASE WHEN q.seqincrement > 0 THEN LEAST(q.seqmax, o.type_max) ELSE q.seqmax END AS high,
           CASE WHEN q.seqincrement < 0 THEN GREATEST(q.seqmin, o.type_min) ELSE q.seqmin END AS low
      FROM pg_catalog.pg_sequence AS q
      JOIN pg_catalog.pg_class AS c ON c.oid = q.seqrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      LEFT JOIN (SELECT e.objid, u.nspname, t.relname, a.attname, a.atttypid,
                        CASE a.atttypid::int8 WHEN 21 THEN 32767 WHEN 23 THEN 2147483647 END::int8 AS type_max,
                        CASE a.atttypid::int8 WHEN 21 THEN -32768 WHEN 23 THEN -2147483648 END::int8 AS type_min
                   FROM pg_catalog.pg_depend AS e
                   JOIN pg_catalog.pg_class AS t ON t.oid = e.refobjid
                   JOIN pg_catalog.pg_namespace AS u ON u.oid = t.relnamespace
                   JOIN pg_catalog.pg_attribute AS a ON a.attrelid = e.refobjid AND a.attnum = e.refobjsubid
                  WHERE e.classid = 'pg_catalog.pg_class'::regclass AND e.refclassid = 'pg_catalog.pg_class'::regclass
                    AND e.objsubid = 0 AND e.refobjsubid > 0 AND e.deptype IN ('a', 'i')) AS o ON o.objid = q.seqrelid
     WHERE c.relpersistence <> 't' AND (c.relpersistence <> 'u' OR NOT pg_catalog.pg_is_in_recovery())
       AND q.seqrelid NOT IN (SELECT l.oid FROM locked AS l)
       AND pg_catalog.has_sequence_privilege(q.seqrelid, 'SELECT, USAGE')
       AND ",
    ordinary_schema!("n.nspname"),
    "
     ORDER BY CASE WHEN q.seqincrement > 0 THEN LEAST(q.seqmax, o.type_max)::float8 - q.seqmin
                   ELSE q.seqmax - GREATEST(q.seqmin, o.type_min)::float8 END, q.seqrelid
     LIMIT ",
    most!(),
    "
), read AS MATERIALIZED (
    SELECT r.oid, r.seqtypid, r.seqincrement, r.seqcycle, r.nspname, r.relname, r.owner_schema, r.owner_table, r.owner_column,
           r.owner_type, r.high, r.low, pg_catalog.pg_sequence_last_value(r.oid) AS last_value
      FROM ranged AS r
), used AS (
    SELECT r.oid, r.seqtypid, r.seqincrement, r.seqcycle, r.nspname, r.relname, r.owner_schema, r.owner_table, r.owner_column,
           r.owner_type, r.last_value,
           CASE WHEN r.seqincrement > 0 THEN r.high ELSE r.low END AS last_possible,
           CASE WHEN r.last_value IS NULL THEN 0
                WHEN r.seqincrement > 0 THEN (r.last_value::float8 - r.low + 1) / (r.high::float8 - r.low + 1)
                ELSE (r.high::float8 - r.last_value + 1) / (r.high::float8 - r.low + 1) END AS share,
           GREATEST(pg_catalog.div(CASE WHEN r.seqincrement > 0 THEN r.high::numeric - COALESCE(r.last_value, r.low - 1::numeric)
                                        ELSE COALESCE(r.last_value, r.high + 1::numeric) - r.low END,
                                   pg_catalog.abs(r.seqincrement::numeric)), 0) AS remaining
      FROM read AS r
)
SELECT u.nspname::text AS schema_name, u.relname::text AS sequence_name,
       u.owner_schema || '.' || u.owner_table || '.' || u.owner_column AS owned_by,
       pg_catalog.format_type(u.seqtypid, NULL) AS data_type, pg_catalog.format_type(u.owner_type, NULL) AS column_type,
       u.seqincrement AS increment, u.seqcycle AS cycles, u.last_value AS last_value, u.last_possible::int8 AS last_possible,
       100 * LEAST(u.share, 1)::float8 AS used_percent, LEAST(u.remaining, 9223372036854775807)::int8 AS remaining
  FROM used AS u
 ORDER BY u.seqcycle, u.share DESC, u.remaining, u.nspname, u.relname
 LIMIT $1::int8"
);

pub(crate) static EXHAUSTION_READ: Statement = Statement::read("sequence_exhaustion")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("schema_name"),
        Column::text("sequence_name"),
        Column::text("owned_by"),
        Column::text("data_type"),
        Column::text("column_type"),
        Column::integer("increment"),
        Column::boolean("cycles"),
        Column::integer("last_value"),
        Column::integer("last_possible"),
        Column::number("used_percent"),
        Column::integer("remaining"),
    ])
    .variants(&[Variant::all(EXHAUSTION)]);

/// What was not read, and why.
pub(crate) static UNREAD_READ: Statement = Statement::read("sequences_not_read")
    .columns(&[
        Column::text("schema_name"),
        Column::integer("sequences"),
        Column::integer("readable"),
        Column::integer("not_granted"),
    ])
    .variants(&[Variant::all(concat!(
        "SELECT n.nspname::text AS schema_name, pg_catalog.count(*)::int8 AS sequences,
       (pg_catalog.count(*) FILTER (WHERE pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE')))::int8 AS readable,
       (pg_catalog.count(*) FILTER (WHERE NOT pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE')))::int8 AS not_granted
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ",
        ordinary_schema!("n.nspname"),
        "
 GROUP BY n.nspname
 ORDER BY not_granted DESC, n.nspname
 LIMIT 10000"
    ))])
    .max_rows(10_000);

pub(crate) static SEQUENCE_EXHAUSTION: Action = Action::read("sequence_exhaustion")
    .title("Sequence exhaustion")
    .description(
        "Sequences by the share of their range that is used, the fullest first: downwards for a negative increment, and up to the \
         end of the column's type where that is nearer. remaining is how many more values there are. Those that cycle never run \
         out and come last. The role reads only sequences that it has SELECT or USAGE on, which pg_monitor does not give: GRANT \
         SELECT ON ALL SEQUENCES IN SCHEMA … (and ALTER DEFAULT PRIVILEGES for those to come); the answer says how many it could \
         not read, per schema. It reads a thousand, those of the smallest range first, each under the lock that nextval takes (ROW \
         EXCLUSIVE), which hinders nobody but ALTER and DROP SEQUENCE.",
    )
    .params(&[LIMIT])
    .statements(&[&UNREAD_READ, &EXHAUSTION_READ])
    .search_terms(&[
        "sequence runs out",
        "nextval reached maximum value",
        "integer overflow",
        "integer out of range",
        "id column full",
        "int4 primary key",
        "auto increment",
        "serial",
        "identity column",
    ])
    .examples(&[("inserts fail with `reached maximum value of sequence`; which others are near?", r#"{"limit": 10}"#)])
    .run(exhaustion);

fn exhaustion(call: &Call<'_>) -> Result<Outcome, Failure> {
    let unread = call.execute(&UNREAD_READ)?;
    let readable: i64 = unread.integers("readable")?.into_iter().sum();
    let not_granted: i64 = unread.integers("not_granted")?.into_iter().sum();
    let grant = "GRANT SELECT ON ALL SEQUENCES IN SCHEMA … to it";
    if readable == 0 && not_granted > 0 {
        return Err(Failure::missing_privilege(format!(
            "the role can read none of {}: {grant}",
            counted(not_granted, "sequence", "sequences")
        )));
    }
    let rows = call.execute(&EXHAUSTION_READ)?;
    let (mut fullest, mut near) = (0.0_f64, 0_u32);
    for row in rows.iter() {
        if row.boolean("cycles")? == Some(true) {
            continue;
        }
        let used = row.number("used_percent")?.unwrap_or_default();
        fullest = fullest.max(used);
        near += u32::from(used >= 75.0);
    }
    let mut outcome = listed(call, rows, 200, "Sequences by share used", |count| match (count, near) {
        (0, _) => "the database has no sequences".into(),
        (_, 0) => format!("no sequence has used three quarters of its range; the fullest {fullest:.1} %"),
        _ => format!(
            "{} used three quarters of its range or more; the fullest {fullest:.1} %",
            counted(near, "sequence has", "sequences have")
        ),
    });
    if readable > 1000 {
        outcome = outcome.notice(format!("read the 1000 of smallest range out of {readable}"));
    }
    Ok(if not_granted == 0 {
        outcome
    } else {
        outcome
            .notice(format!(
                "{} not readable by the role: {grant}",
                counted(not_granted, "sequence is", "sequences are")
            ))
            .table("Sequences by schema, and how many the role can't read", unread)
    })
}
