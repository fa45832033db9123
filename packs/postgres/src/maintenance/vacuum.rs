//! VACUUM of one table.

use lockgate_pack::{Action, Call, Evidence, Failure, Param, Risk, Statement, Variant};
use lockgate_pack_shared::words::{counted, size};

use super::{MAINTAIN, SCHEMA, TABLE, TABLE_NAMES, TABLE_READ, in_the_way, maintain, table};

/// As long as a statement may have a timeout at all: a vacuum that is cut off has done its work so far.
const HOUR: u32 = 3_600_000;

pub(crate) static VACUUM: Statement = Statement::maintain("vacuum_table")
    .inputs(TABLE_NAMES)
    .variants(&[Variant::all("VACUUM :\"schema\".:\"table\"").primary()])
    .timeout_ms(HOUR);

pub(crate) static VACUUM_ANALYZE: Statement = Statement::maintain("vacuum_analyze_table")
    .inputs(TABLE_NAMES)
    .variants(&[Variant::all("VACUUM (ANALYZE) :\"schema\".:\"table\"").primary()])
    .timeout_ms(HOUR);

pub(crate) static VACUUM_TABLE: Action = Action::maintain("vacuum_table")
    .title("Vacuum a table")
    .description(
        "Runs VACUUM on one table, never FULL: it makes the room of dead rows reusable and blocks neither readers nor writers, but \
         reads and writes much of a large table. Rows that an old transaction may still see stay: end that one first \
         (idle_in_transaction). If the role may not do it, PostgreSQL only warns; that is a failure here.",
    )
    .risk(Risk::High)
    .params(&[
        SCHEMA,
        TABLE,
        Param::boolean("analyze").default_boolean(true).describe("Whether to renew the planner's statistics too"),
    ])
    .statements(&[&VACUUM, &VACUUM_ANALYZE])
    .side_effects(
        "Reads the table and its indexes and writes to them, for up to an hour; may give empty pages at the table's end back, \
         for which it locks the table for a moment.",
    )
    .privileges(MAINTAIN)
    .preview(&[&TABLE_READ], preview)
    .search_terms(&[
        "run vacuum",
        "clean up dead rows",
        "remove dead rows",
        "remove bloat",
        "manual vacuum",
        "reclaim space",
    ])
    .run(|call| {
        if call.boolean("analyze")? {
            maintain(call, &VACUUM_ANALYZE, "vacuumed and analyzed")
        } else {
            maintain(call, &VACUUM, "vacuumed")
        }
    })
    .examples(&[
        ("orders is full of dead rows", r#"{"schema": "public", "table": "orders"}"#),
        ("only clean up, the statistics are fine", r#"{"schema": "public", "table": "orders", "analyze": false}"#),
    ]);

fn preview(call: &Call<'_>) -> Result<Evidence, Failure> {
    let (oid, rows) = table(call)?;
    let Some(row) = rows.first() else { return Err(Failure::internal("the table's row is gone")) };
    let bytes = size(row.integer("heap_bytes_estimated")?.unwrap_or_default());
    let dead = counted(row.integer("dead_tuples")?.unwrap_or_default(), "dead row", "dead rows");
    let wait = in_the_way(&row)?;
    let summary = format!(
        "vacuums `{}.{}`: about {bytes} without its indexes, {dead}{wait}",
        call.text("schema")?,
        call.text("table")?
    );
    Ok(Evidence::new(summary).pin("oid", oid).table("The table", rows))
}
