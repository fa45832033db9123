//! Rows on their way from the server: columns checked against the declaration before anything is run, cells turned into
//! values, and everything counted.

use tokio_postgres::{
    Row, Statement,
    types::{FromSql, Type},
};

use super::error::QueryError;
use crate::value::{Column, ColumnKind, Value};

/// The statement's columns on this server must be the declared ones: number, names and kinds, in order.
pub(super) fn check_columns(statement: &Statement, declared: &[Column]) -> Result<(), QueryError> {
    let found: Vec<(&str, &Type)> = statement.columns().iter().map(|c| (c.name(), c.type_())).collect();
    check(&found, declared)
}

fn check(found: &[(&str, &Type)], declared: &[Column]) -> Result<(), QueryError> {
    if found.len() != declared.len() {
        return Err(QueryError::WrongColumns(format!(
            "the statement gives {} columns on this server and declares {}",
            found.len(),
            declared.len()
        )));
    }
    for (position, ((name, ty), column)) in (1..).zip(found.iter().zip(declared)) {
        if *name != column.name {
            let wanted = &column.name;
            return Err(QueryError::WrongColumns(format!(
                "column {position} is `{name}` on this server and declared as `{wanted}`"
            )));
        }
        if !holds(column.kind, ty) {
            return Err(QueryError::WrongColumns(format!(
                "column `{name}` is {ty} on this server, which is not {}: cast it in the SQL",
                column.kind.name()
            )));
        }
    }
    Ok(())
}

fn holds(kind: ColumnKind, ty: &Type) -> bool {
    match kind {
        ColumnKind::Boolean => *ty == Type::BOOL,
        ColumnKind::Integer => [Type::INT2, Type::INT4, Type::INT8, Type::OID].contains(ty),
        ColumnKind::Number => [Type::FLOAT4, Type::FLOAT8].contains(ty),
        ColumnKind::Text | ColumnKind::Query => [Type::TEXT, Type::VARCHAR, Type::NAME].contains(ty),
    }
}

/// A row's cells, by the column's type on the server. A number that is not finite becomes null: the contract has none.
pub(super) fn row(row: &Row) -> Result<Vec<Value>, tokio_postgres::Error> {
    row.columns().iter().enumerate().map(|(at, column)| cell(row, at, column.type_())).collect()
}

fn cell(row: &Row, at: usize, ty: &Type) -> Result<Value, tokio_postgres::Error> {
    let value = match *ty {
        Type::BOOL => row.try_get::<_, Option<bool>>(at)?.map(Value::Boolean),
        Type::INT2 => row.try_get::<_, Option<i16>>(at)?.map(|n| Value::Integer(n.into())),
        Type::INT4 => row.try_get::<_, Option<i32>>(at)?.map(|n| Value::Integer(n.into())),
        Type::INT8 => row.try_get::<_, Option<i64>>(at)?.map(Value::Integer),
        Type::OID => row.try_get::<_, Option<u32>>(at)?.map(|n| Value::Integer(n.into())),
        Type::FLOAT4 => row.try_get::<_, Option<f32>>(at)?.and_then(|n| finite(n.into())),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(at)?.and_then(finite),
        _ => row.try_get::<_, Option<Lossy>>(at)?.map(|Lossy(text)| Value::Text(text)),
    };
    Ok(value.unwrap_or(Value::Null))
}

fn finite(number: f64) -> Option<Value> {
    number.is_finite().then_some(Value::Number(number))
}

/// Text as it is. A database in SQL_ASCII converts nothing and may send any bytes, and an incident is no time to refuse a
/// row for one of them.
struct Lossy(String);

impl<'a> FromSql<'a> for Lossy {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(String::from_utf8_lossy(raw).into_owned()))
    }

    fn accepts(ty: &Type) -> bool {
        holds(ColumnKind::Text, ty)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn declared(name: &str, kind: ColumnKind) -> Column {
        Column { name: name.to_owned(), kind }
    }

    #[test]
    fn columns_must_be_the_declared_ones() {
        let wanted = [declared("pid", ColumnKind::Integer), declared("query", ColumnKind::Query)];
        assert!(check(&[("pid", &Type::INT4), ("query", &Type::TEXT)], &wanted).is_ok());
        for (found, says) in [
            (vec![("pid", &Type::INT4)], "1 columns"),
            (vec![("query", &Type::TEXT), ("pid", &Type::INT4)], "column 1 is `query`"),
            (vec![("pid", &Type::NUMERIC), ("query", &Type::TEXT)], "`pid` is numeric"),
            (vec![("pid", &Type::INT4), ("query", &Type::JSONB)], "`query` is jsonb"),
        ] {
            let error = check(&found, &wanted).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_do_not_lose_the_row() {
        let Lossy(text) = Lossy::from_sql(&Type::TEXT, b"a\xffb").unwrap();
        assert_eq!(text, "a\u{fffd}b");
    }
}
