//! A result: held by the host until a cell is asked for, or made by the pack.

use crate::{
    bindings::{exports::lockgate::pack::actions as wit, lockgate::pack::query as host},
    guest,
    statement::Column,
    value::{Failure, Value},
};

/// Rows of a result. Handing them on in a table copies nothing; each cell that is read crosses from the host, which costs
/// about as much as a hash lookup. So read what you need to decide, and hand on the rest.
#[derive(Debug)]
pub struct Rows {
    columns: &'static [Column],
    data: Data,
}

#[derive(Debug)]
enum Data {
    Held(host::Rows),
    Built(Vec<Vec<Value>>),
}

impl Rows {
    pub(crate) fn held(columns: &'static [Column], rows: host::Rows) -> Self {
        Self { columns, data: Data::Held(rows) }
    }

    /// Rows that the pack makes itself. Every row must have a cell of its column's kind (or null) for each column; one that
    /// doesn't makes this an internal failure.
    pub fn built(columns: &'static [Column], rows: Vec<Vec<Value>>) -> Result<Self, Failure> {
        let regular = rows
            .iter()
            .all(|row| row.len() == columns.len() && row.iter().zip(columns).all(|(v, c)| v.fits_column(c.kind)));
        if !regular {
            return Err(Failure::internal("a table that the pack built does not fit its columns"));
        }
        Ok(Self { columns, data: Data::Built(rows) })
    }

    /// How many rows there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        match &self.data {
            Data::Held(rows) => rows.count(),
            Data::Built(rows) => u32::try_from(rows.len()).unwrap_or(u32::MAX),
        }
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The first row, if there is one.
    #[must_use]
    pub fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }

    /// Every row, top to bottom.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.count()).map(|index| Row { rows: self, index })
    }

    /// A column of integers whole, without its nulls, in one crossing.
    pub fn integers(&self, column: &str) -> Result<Vec<i64>, Failure> {
        self.whole(column)?
            .into_iter()
            .filter_map(|value| match value {
                Value::Integer(number) => Some(Ok(number)),
                Value::Null => None,
                _ => Some(Err(wrong_kind(column))),
            })
            .collect()
    }

    /// A column of texts whole, without its nulls, in one crossing.
    pub fn texts(&self, column: &str) -> Result<Vec<String>, Failure> {
        self.whole(column)?
            .into_iter()
            .filter_map(|value| match value {
                Value::Text(text) => Some(Ok(text)),
                Value::Null => None,
                _ => Some(Err(wrong_kind(column))),
            })
            .collect()
    }

    fn whole(&self, column: &str) -> Result<Vec<Value>, Failure> {
        let index = self.index_of(column)?;
        Ok(match &self.data {
            Data::Held(rows) => rows.column(index),
            Data::Built(rows) => {
                rows.iter().map(|row| row.get(index as usize).cloned().unwrap_or(Value::Null)).collect()
            }
        })
    }

    fn index_of(&self, column: &str) -> Result<u32, Failure> {
        self.columns
            .iter()
            .position(|c| c.name == column)
            .and_then(|index| u32::try_from(index).ok())
            .ok_or_else(|| Failure::Internal(["no column is named `", column, "`"].concat()))
    }

    fn cell(&self, row: u32, column: &str) -> Result<Value, Failure> {
        let index = self.index_of(column)?;
        Ok(match &self.data {
            Data::Held(rows) => rows.cell(row, index),
            Data::Built(rows) => {
                rows.get(row as usize).and_then(|r| r.get(index as usize)).cloned().unwrap_or(Value::Null)
            }
        })
    }

    pub(crate) fn lower(self) -> wit::TableData {
        match self.data {
            Data::Held(rows) => wit::TableData::Held(rows),
            Data::Built(rows) => wit::TableData::Built(wit::BuiltTable { columns: guest::columns(self.columns), rows }),
        }
    }
}

fn wrong_kind(column: &str) -> Failure {
    Failure::Internal(["column `", column, "` is of another kind"].concat())
}

/// One row of a result. A null is `None`; a column that doesn't exist or is of another kind is a defect of the pack.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    rows: &'a Rows,
    index: u32,
}

impl Row<'_> {
    /// The cell, whatever it is.
    pub fn value(&self, column: &str) -> Result<Value, Failure> {
        self.rows.cell(self.index, column)
    }

    /// A boolean cell.
    pub fn boolean(&self, column: &str) -> Result<Option<bool>, Failure> {
        match self.value(column)? {
            Value::Boolean(value) => Ok(Some(value)),
            Value::Null => Ok(None),
            _ => Err(wrong_kind(column)),
        }
    }

    /// An integer cell.
    pub fn integer(&self, column: &str) -> Result<Option<i64>, Failure> {
        match self.value(column)? {
            Value::Integer(value) => Ok(Some(value)),
            Value::Null => Ok(None),
            _ => Err(wrong_kind(column)),
        }
    }

    /// A number cell.
    pub fn number(&self, column: &str) -> Result<Option<f64>, Failure> {
        match self.value(column)? {
            Value::Number(value) => Ok(Some(value)),
            Value::Null => Ok(None),
            _ => Err(wrong_kind(column)),
        }
    }

    /// A text cell.
    pub fn text(&self, column: &str) -> Result<Option<String>, Failure> {
        match self.value(column)? {
            Value::Text(value) => Ok(Some(value)),
            Value::Null => Ok(None),
            _ => Err(wrong_kind(column)),
        }
    }
}
