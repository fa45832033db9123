//! Tables by the share of their rows that is dead.

use lockgate_pack::{Action, Column, Input, Kind, Statement, Variant};
use lockgate_pack_shared::{ordinary_schema, utc, words::counted};

use crate::common::{LIMIT, listed};

/// Fifty dead rows are autovacuum's own default threshold: below that a share says nothing. TOAST tables count by themselves, as
/// they are vacuumed by themselves.
const DEAD: &str = concat!(
    "WITH dead AS MATERIALIZED (
    SELECT c.oid, c.relkind, c.relpages, pg_catalog.pg_stat_get_live_tuples(c.oid) AS live,
           pg_catalog.pg_stat_get_dead_tuples(c.oid) AS dead
      FROM pg_catalog.pg_class AS c
     WHERE c.relkind IN ('r', 'm', 't') AND pg_catalog.pg_stat_get_dead_tuples(c.oid) >= 50
), named AS MATERIALIZED (
    SELECT d.oid, d.relkind, d.relpages, d.live, d.dead, n.nspname, t.relname
      FROM dead AS d
      LEFT JOIN pg_catalog.pg_class AS p ON d.relkind = 't' AND p.reltoastrelid = d.oid
      JOIN pg_catalog.pg_class AS t ON t.oid = COALESCE(p.oid, d.oid)
      JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
     WHERE ",
    ordinary_schema!("n.nspname"),
    "
     ORDER BY d.dead / (d.live + d.dead)::float8 DESC, d.dead DESC, n.nspname, t.relname, d.oid
     LIMIT $1::int8
)
SELECT m.nspname::text AS schema_name, m.relname::text AS table_name, m.relkind = 't' AS toast,
       m.live::int8 AS live_tuples, m.dead::int8 AS dead_tuples, 100 * m.dead / (m.live + m.dead)::float8 AS dead_percent,
       m.relpages * pg_catalog.current_setting('block_size')::int8 AS bytes_estimated,
       ",
    utc!("pg_catalog.pg_stat_get_last_vacuum_time(m.oid)"),
    " AS last_vacuum,
       ",
    utc!("pg_catalog.pg_stat_get_last_autovacuum_time(m.oid)"),
    " AS last_autovacuum
  FROM named AS m
 ORDER BY dead_percent DESC, m.dead DESC, m.nspname, m.relname, m.oid
 LIMIT $1::int8"
);

pub(crate) static DEAD_READ: Statement = Statement::read("dead_tuples_top")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::boolean("toast"),
        Column::integer("live_tuples"),
        Column::integer("dead_tuples"),
        Column::number("dead_percent"),
        Column::integer("bytes_estimated"),
        Column::text("last_vacuum"),
        Column::text("last_autovacuum"),
    ])
    .variants(&[Variant::all(DEAD).primary()]);

pub(crate) static DEAD_TUPLES_TOP: Action = Action::read("dead_tuples_top")
    .title("Dead rows")
    .description(
        "Tables with 50 dead rows or more by the share of their rows that is dead, as the statistics estimate it. A TOAST table stands \
         under its table's name with toast true. bytes_estimated is the size at the last vacuum or analyze. A standby counts no dead \
         rows: ask the primary. vacuum_status says whether autovacuum will come for them, backend_holding_xmin what keeps them from \
         being removed.",
    )
    .params(&[LIMIT])
    .statements(&[&DEAD_READ])
    .on_standby(false)
    .search_terms(&[
        "bloated tables",
        "table bloat",
        "dead tuples",
        "dead rows",
        "n_dead_tup",
        "deleted rows still take space",
    ])
    .examples(&[("queries got slow; which tables are bloated with dead rows?", "{}")])
    .run(|call| {
        let rows = call.execute(&DEAD_READ)?;
        let dead: i64 = rows.integers("dead_tuples")?.into_iter().sum();
        Ok(listed(call, rows, 200, "Tables by dead share", |count| match count {
            0 => "no table has 50 dead rows".into(),
            _ => format!("{} with {dead} dead rows", counted(count, "table", "tables")),
        }))
    });
