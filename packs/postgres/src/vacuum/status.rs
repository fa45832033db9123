//! Where each table of a schema stands against autovacuum's thresholds.

use lockgate_pack::{Action, Call, Failure, Input, Kind, Outcome, Statement};
use lockgate_pack_shared::{autovacuum::TABLE_COLUMNS, autovacuum_variants, words::counted};

use crate::{
    common::{LIMIT, listed},
    schemas::{SCHEMA, SCHEMA_EXISTS, must_exist},
};

pub(crate) static STATUS_READ: Statement = Statement::read("vacuum_status")
    .inputs(&[Input::new("schema", Kind::Text), Input::new("limit", Kind::Integer)])
    .columns(TABLE_COLUMNS)
    .variants(autovacuum_variants!("n.nspname = $1::text OR c.relkind = 't'", "true", "$2::int8"));

pub(crate) static VACUUM_STATUS: Action = Action::read("vacuum_status")
    .title("Vacuum status")
    .description(
        "The tables of a schema, the nearest to autovacuum's next visit first: rows dead, inserted and modified against the \
         thresholds that hold for the table, with its own storage options and those of its TOAST table, and when it was last \
         vacuumed and analyzed. due says what autovacuum would do now; pressure is the largest share of a threshold, 1 being all of it; \
         vacuum_distance is how many more dead rows it takes, negative when past. With autovacuum_enabled false nothing but \
         freezing against wraparound is done. A standby counts none of this: ask the primary.",
    )
    .params(&[SCHEMA, LIMIT])
    .statements(&[&SCHEMA_EXISTS, &STATUS_READ])
    .on_standby(false)
    .search_terms(&[
        "autovacuum keeping up",
        "autovacuum thresholds",
        "when will autovacuum come",
        "due for vacuum",
        "needs vacuum",
        "vacuum backlog",
        "stale statistics",
        "autovacuum disabled on a table",
    ])
    .examples(&[("is autovacuum keeping up with our tables?", r#"{"schema": "public"}"#)])
    .run(status);

fn status(call: &Call<'_>) -> Result<Outcome, Failure> {
    must_exist(call)?;
    let rows = call.execute(&STATUS_READ)?;
    let (mut due, mut off) = (0_i64, 0_i64);
    for row in rows.iter() {
        if row.text("due")?.is_some() {
            due += 1;
            off += i64::from(row.boolean("autovacuum_enabled")? == Some(false));
        }
    }
    let outcome = listed(call, rows, 200, "Tables and their thresholds", |count| {
        format!("{}, {due} of them past a threshold", counted(count, "table", "tables"))
    });
    Ok(match off {
        0 => outcome,
        _ => outcome.notice(format!(
            "{} past a threshold with autovacuum switched off by storage option",
            counted(off, "table is", "tables are")
        )),
    })
}
