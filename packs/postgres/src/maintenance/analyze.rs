//! ANALYZE of one table.

use lockgate_pack::{Action, Call, Evidence, Failure, Statement, Variant};

use super::{MAINTAIN, SCHEMA, TABLE, TABLE_NAMES, TABLE_READ, in_the_way, maintain, table};

static ANALYZE: Statement = Statement::maintain("analyze_table")
    .inputs(TABLE_NAMES)
    .variants(&[Variant::all("ANALYZE :\"schema\".:\"table\"").primary()])
    .timeout_ms(600_000);

pub(crate) static ANALYZE_TABLE: Action = Action::maintain("analyze_table")
    .title("Analyze a table")
    .description(
        "Runs ANALYZE on one table, so that the planner has fresh statistics: after a bulk load, or when plans went wrong at once. \
         It reads a sample and blocks neither readers nor writers. If the role may not do it, PostgreSQL only warns; that is a \
         failure here.",
    )
    .params(&[SCHEMA, TABLE])
    .statements(&[&ANALYZE])
    .side_effects("The planner's statistics of the table are replaced; cached plans of it are made anew.")
    .privileges(MAINTAIN)
    .preview(&[&TABLE_READ], preview)
    .search_terms(&[
        "update statistics",
        "refresh statistics",
        "stale statistics",
        "planner statistics",
        "wrong row estimates",
        "bad plan",
        "plan changed",
        "run analyze",
    ])
    .run(|call| maintain(call, &ANALYZE, "analyzed"))
    .examples(&[("queries on orders got slow after last night's import", r#"{"schema": "public", "table": "orders"}"#)]);

fn preview(call: &Call<'_>) -> Result<Evidence, Failure> {
    let (oid, rows) = table(call)?;
    let wait = rows.first().map(|row| in_the_way(&row)).transpose()?.unwrap_or_default();
    let summary = format!("analyzes `{}.{}`{wait}", call.text("schema")?, call.text("table")?);
    Ok(Evidence::new(summary).pin("oid", oid).table("The table", rows))
}
