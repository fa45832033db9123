//! How many updates left the indexes alone.

use lockgate_pack::{Action, Column, Input, Kind, Statement, Variant};
use lockgate_pack_shared::{ordinary_schema, words::counted};

use crate::common::{LIMIT, listed};

macro_rules! updates {
    ($newpage:literal) => {
        concat!(
            "WITH updated AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.reloptions, pg_catalog.pg_stat_get_tuples_updated(c.oid) AS updates,
           pg_catalog.pg_stat_get_tuples_hot_updated(c.oid) AS hot
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND pg_catalog.pg_stat_get_tuples_updated(c.oid) > 0 AND ",
            ordinary_schema!("n.nspname"),
            "
     ORDER BY pg_catalog.pg_stat_get_tuples_updated(c.oid) - pg_catalog.pg_stat_get_tuples_hot_updated(c.oid) DESC,
              pg_catalog.pg_stat_get_tuples_updated(c.oid) DESC, n.nspname, c.relname
     LIMIT $1::int8
)
SELECT u.nspname::text AS schema_name, u.relname::text AS table_name, u.updates::int8 AS updates, u.hot::int8 AS hot_updates,
       (u.updates - u.hot)::int8 AS other_updates, 100 * u.hot / u.updates::float8 AS hot_percent,
       ",
            $newpage,
            " AS new_page_updates,
       COALESCE((SELECT option.option_value
                   FROM pg_catalog.pg_options_to_table(u.reloptions) AS option(option_name, option_value)
                  WHERE option.option_name = 'fillfactor')::int8, 100) AS fillfactor,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_index AS i WHERE i.indrelid = u.oid)::int8 AS indexes
  FROM updated AS u
 ORDER BY other_updates DESC, u.updates DESC, u.nspname, u.relname
 LIMIT $1::int8"
        )
    };
}

pub(crate) static UPDATES_READ: Statement = Statement::read("hot_update_ratio")
    .inputs(&[Input::new("limit", Kind::Integer)])
    .columns(&[
        Column::text("schema_name"),
        Column::text("table_name"),
        Column::integer("updates"),
        Column::integer("hot_updates"),
        Column::integer("other_updates"),
        Column::number("hot_percent"),
        Column::integer("new_page_updates"),
        Column::integer("fillfactor"),
        Column::integer("indexes"),
    ])
    .variants(&[
        Variant::before(16, updates!("NULL::int8")).primary(),
        Variant::from(16, updates!("pg_catalog.pg_stat_get_tuples_newpage_updated(u.oid)::int8")).primary(),
    ]);

pub(crate) static HOT_UPDATE_RATIO: Action = Action::read("hot_update_ratio")
    .title("HOT updates")
    .description(
        "Updated tables by the updates that were not HOT, which wrote to every index: the most first, with the share that was HOT. An \
         update is HOT if it changes no indexed column and finds room on the row's page. new_page_updates (from 16 on) had no \
         room: a lower fillfactor helps those; the others changed an indexed column. Since the statistics count; a standby counts \
         no updates.",
    )
    .params(&[LIMIT])
    .statements(&[&UPDATES_READ])
    .on_standby(false)
    .search_terms(&[
        "heap only tuple",
        "fillfactor",
        "update-heavy table",
        "write amplification",
        "updates bloat indexes",
        "non-hot updates",
    ])
    .examples(&[("which tables bloat their indexes by updates?", "{}")])
    .run(|call| {
        let rows = call.execute(&UPDATES_READ)?;
        let other: i64 = rows.integers("other_updates")?.into_iter().sum();
        let all: i64 = rows.integers("updates")?.into_iter().sum();
        Ok(listed(call, rows, 200, "Updates by table", |count| match count {
            0 => "no updates since the statistics count".into(),
            _ => format!("{} with updates; {other} of {all} were not HOT", counted(count, "table", "tables")),
        }))
    });
