//! A schema that a call names: it must be there, or an empty answer would say that it is there and holds nothing.

use lockgate_pack::{Call, Column, Failure, Input, Kind, Param, Statement, Variant};

pub(crate) const SCHEMA: Param =
    Param::identifier("schema").default_text("public").describe("The schema, exactly as it is stored");

pub(crate) static SCHEMA_EXISTS: Statement = Statement::read("schema_exists")
    .inputs(&[Input::new("schema", Kind::Text)])
    .columns(&[Column::boolean("is_there")])
    .variants(&[Variant::all(
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1::text) AS is_there",
    )])
    .max_rows(1);

/// Refuses where the database has no such schema.
pub(crate) fn must_exist(call: &Call<'_>) -> Result<(), Failure> {
    let rows = call.execute(&SCHEMA_EXISTS)?;
    match rows.first().map(|row| row.boolean("is_there")).transpose()?.flatten() {
        Some(true) => Ok(()),
        _ => Err(Failure::not_found(format!(
            "this database has no schema `{}`; names are taken exactly",
            call.text("schema")?
        ))),
    }
}
