//! What an action answered, taken apart: codes, columns, rows.

use lockgate::{
    error::{Code, Refusal},
    gate::call::Refused,
    value::{RowSet, Value},
};
use serde_json::{Map, Value as Json};

/// The code of a refusal, and the words with it.
pub fn refused<T: std::fmt::Debug>(answer: Result<T, Refused>) -> (Code, String) {
    let Refused { refusal: Refusal { code, message, .. }, run } = answer.expect_err("it is refused");
    assert!(run.starts_with("run_"), "a refusal is on the record: {code} {message}");
    (code, message)
}

/// The cells of a column.
#[must_use]
pub fn column<'a>(rows: &'a RowSet, name: &str) -> Vec<&'a Value> {
    let index = rows.columns.iter().position(|c| c.name == name).unwrap_or_else(|| panic!("no column `{name}`"));
    rows.rows.iter().map(|row| &row[index]).collect()
}

/// The rows where a column is this, each as an object.
#[must_use]
pub fn rows_where(rows: &RowSet, name: &str, wanted: &Value) -> Vec<Map<String, Json>> {
    let cells = column(rows, name);
    let found = rows.rows.iter().zip(cells).filter(|(_, cell)| *cell == wanted);
    found
        .map(|(row, _)| rows.columns.iter().map(|c| c.name.clone()).zip(row.iter().map(Value::to_json)).collect())
        .collect()
}

/// The one row where a column is this.
#[must_use]
pub fn row_where(rows: &RowSet, name: &str, wanted: &Value) -> Map<String, Json> {
    let mut found = rows_where(rows, name, wanted);
    assert_eq!(found.len(), 1, "rows with {name} = {wanted:?}: {found:?}");
    found.remove(0)
}

/// A text as a cell.
#[must_use]
pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
