//! The relations of a statement whose rows may hold text of somebody's SQL, by the names that they have in it. Such a name
//! alone is a whole row; and where the row has no such column, `name.to_json` is a call (manual, 8.16.5).

use std::collections::{HashMap, HashSet};

/// Functions of one argument that take a row of any kind and show what is in it. In `pg_catalog`, as the search path is empty.
const ROW_FUNCTIONS: &[&str] = &[
    "any_value",
    "array_agg",
    "concat",
    "json_agg",
    "json_agg_strict",
    "json_build_array",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_build_array",
    "max",
    "min",
    "quote_literal",
    "quote_nullable",
    "record_out",
    "record_send",
    "row_to_json",
    "to_json",
    "to_jsonb",
];

/// What is known of the columns behind a name.
enum Columns {
    /// A relation or join: none of them is named like a function.
    Plain,
    /// A subquery: these.
    Known(HashSet<String>),
    /// The CTE of this name: its.
    OfCte(String),
}

/// Those names. A name may stand for several relations, in scopes that are not told apart.
#[derive(Default)]
pub(super) struct Rows {
    named: HashMap<String, Vec<Columns>>,
    ctes: HashMap<String, Vec<HashSet<String>>>,
}

impl Rows {
    /// A relation or join by the name that it has in the statement.
    pub(super) fn relation(&mut self, name: &str) {
        self.add(name, Columns::Plain);
    }

    /// A subquery with such columns.
    pub(super) fn subquery(&mut self, name: &str, columns: HashSet<String>) {
        self.add(name, Columns::Known(columns));
    }

    /// A reference to a CTE, by the name that it has there.
    pub(super) fn reference(&mut self, name: &str, cte: &str) {
        self.add(name, Columns::OfCte(cte.to_owned()));
    }

    /// A CTE with such columns.
    pub(super) fn cte(&mut self, name: &str, columns: HashSet<String>) {
        self.ctes.entry(name.to_owned()).or_default().push(columns);
    }

    fn add(&mut self, name: &str, columns: Columns) {
        self.named.entry(name.to_owned()).or_default().push(columns);
    }

    /// Forgets what is hidden by something else of its name.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.named.retain(|name, _| is_kept(name));
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    /// Whether `row.name` may be a call that shows the row: unless each relation that `row` may stand for has such a column.
    pub(super) fn is_call(&self, row: &str, name: &str) -> bool {
        let has_column = |columns: &Columns| match columns {
            Columns::Plain => false,
            Columns::Known(columns) => columns.contains(name),
            Columns::OfCte(cte) => {
                self.ctes.get(cte).is_some_and(|found| found.iter().all(|columns| columns.contains(name)))
            }
        };
        ROW_FUNCTIONS.contains(&name) && self.named.get(row).is_some_and(|relations| !relations.iter().all(has_column))
    }
}
