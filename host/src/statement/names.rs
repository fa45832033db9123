//! The allow-list of constructs, continued: what names refer to. Relations, functions, operators and types are written with
//! their schema, so that no object planted in another schema is ever picked up, and each is on a list.

use pg_query::{Node, NodeEnum as N, protobuf as pg};

use super::{
    Class, Mode,
    functions::{self, Allowed},
    grammar::Walk,
    output,
    placeholders::{EXTENSION_SCHEMA, MARK},
};

/// The strings of a qualified name; `None` if anything else is among them.
pub(super) fn strings(nodes: &[Node]) -> Option<Vec<&str>> {
    nodes
        .iter()
        .map(|node| match &node.node {
            Some(N::String(name)) => Some(name.sval.as_str()),
            _ => None,
        })
        .collect()
}

pub(super) fn is_extension_schema(name: &str) -> bool {
    name.strip_prefix(MARK) == Some(EXTENSION_SCHEMA)
}

/// A placeholder's mark is nothing that a person should see.
pub(super) fn shown(name: &str) -> String {
    name.replace(MARK, ":")
}

impl Walk<'_> {
    /// A relation that is read.
    pub(super) fn relation(&mut self, relation: &pg::RangeVar) {
        let pg::RangeVar { catalogname, schemaname, relname, inh: _, relpersistence: _, alias, location } = relation;
        self.alias(alias.as_ref());
        if output::holds_queries(schemaname, relname) {
            let name = alias.as_ref().map_or(relname, |alias| &alias.aliasname);
            let columns = alias.as_ref().map(|alias| alias.colnames.as_slice()).unwrap_or_default();
            match schemaname.as_str() {
                "" if columns.is_empty() => self.names.rows().reference(name, relname),
                _ => self.names.rows().relation(name),
            }
            self.names.hidden(strings(columns).unwrap_or_default());
        }
        self.touches(schemaname, relname, "");
        let shown_name = format!("`{}`", shown(relname));
        if !catalogname.is_empty() {
            return self.refuse("qualified", *location, "a relation names its database", "write schema.relation");
        }
        match schemaname.as_str() {
            "" => {
                if !self.scopes.iter().flatten().any(|cte| cte == relname) {
                    let message = format!("relation {shown_name} has no schema and is no CTE in scope");
                    self.refuse("qualified", *location, message, "write schema.relation");
                }
            }
            "pg_catalog" => {
                if !functions::catalog_relation(relname) {
                    let message = format!("relation {shown_name} of pg_catalog may hold secrets or samples of rows");
                    self.refuse("relations", *location, message, "read a view that does not");
                }
            }
            "information_schema" => {
                if !functions::information_relation(relname) {
                    let message = format!("relation {shown_name} of information_schema is not allowed");
                    self.refuse("relations", *location, message, "read pg_catalog instead");
                }
            }
            schema if is_extension_schema(schema) => {
                self.placeholders += 1;
                if !self.extension.is_some_and(|extension| functions::extension_relation(extension, relname)) {
                    let message = format!("relation {shown_name} is not on the list of the variant's extension");
                    self.refuse("relations", *location, message, "name the extension that it belongs to");
                }
            }
            schema if schema.starts_with(MARK) || relname.starts_with(MARK) => self.refuse(
                "placeholders",
                *location,
                "an identifier stands for a relation that is read",
                "bind the name as text and compare with it",
            ),
            schema if schema.starts_with("pg_") => {
                let message = format!("schema `{schema}` is PostgreSQL's own");
                self.refuse("relations", *location, message, "read pg_catalog or a schema of users");
            }
            _ => self.reads_data(*location),
        }
    }

    /// Notes that something is named: a relation, or with `()` behind it a function. A name without a schema is a CTE's.
    pub(super) fn touches(&mut self, schema: &str, name: &str, call: &str) {
        let schema = match self.extension {
            Some(extension) if is_extension_schema(schema) => format!("{extension}:"),
            _ if schema.is_empty() => return,
            _ => format!("{}.", shown(schema)),
        };
        self.touches.insert(format!("{schema}{}{call}", shown(name)));
    }

    fn reads_data(&mut self, location: i32) {
        match self.class {
            Class::Read => self.class = Class::Data,
            // The class must say all that a statement may do, and `signal` does not say that it reads users' data.
            Class::Signal => self.refuse("class", location, SIGNAL_AND_DATA, "make two statements of it"),
            Class::Data | Class::Maintain | Class::Write => {}
        }
    }

    /// The name of a function that is called.
    pub(super) fn function_name(&mut self, name: &[Node], location: i32) {
        let parts = strings(name).unwrap_or_default();
        if let [schema, function] = parts.as_slice() {
            self.touches(schema, function, "()");
        }
        match parts.as_slice() {
            ["pg_catalog", function] => match functions::catalog_function(function) {
                Allowed::Read => {}
                Allowed::Signal => self.signals(function, location),
                Allowed::No => {
                    let message =
                        format!("function `pg_catalog.{}` is not on the list of allowed functions", shown(function));
                    self.refuse("functions", location, message, "use an allowed function; see docs/statements.md");
                }
            },
            [schema, function] if is_extension_schema(schema) => {
                self.placeholders += 1;
                if !self.extension.is_some_and(|extension| functions::extension_function(extension, function)) {
                    let message =
                        format!("function `{}` is not on the list of the variant's extension", shown(function));
                    self.refuse("functions", location, message, "use an allowed function; see docs/statements.md");
                }
            }
            [function] => {
                let message = format!("function `{}` has no schema", shown(function));
                self.refuse("qualified", location, message, "write pg_catalog.function");
            }
            _ => self.refuse(
                "functions",
                location,
                "a function is not of pg_catalog",
                "call functions of pg_catalog only",
            ),
        }
    }

    fn signals(&mut self, function: &str, location: i32) {
        match (self.mode, self.class) {
            (Mode::Act, Class::Read | Class::Signal) => self.class = Class::Signal,
            (Mode::Act, Class::Data) => self.refuse("class", location, SIGNAL_AND_DATA, "make two statements of it"),
            _ => {
                let message = format!("function `{function}` acts on other backends");
                self.refuse("functions", location, message, "call it in a SELECT of mode `act`");
            }
        }
    }

    /// An operator, bare (with the empty search path that is pg_catalog's) or as OPERATOR(pg_catalog.…).
    pub(super) fn operator(&mut self, name: &[Node], location: i32) {
        let parts = strings(name).unwrap_or_default();
        match parts.as_slice() {
            [symbol] | ["pg_catalog", symbol] if symbol.bytes().all(|b| b"+-*/<>=~!@#%^&|`?".contains(&b)) => {}
            _ => self.refuse("qualified", location, "an operator is not of pg_catalog", "write it bare"),
        }
    }

    /// A type; gives its name where it is allowed.
    pub(super) fn type_name<'t>(&mut self, type_name: Option<&'t pg::TypeName>, location: i32) -> Option<&'t str> {
        let Some(pg::TypeName {
            names,
            type_oid: 0,
            setof: false,
            pct_type: false,
            typmods,
            typemod: _,
            array_bounds,
            location: _,
        }) = type_name
        else {
            self.refuse_construct(location, "this type");
            return None;
        };
        self.each(typmods);
        if !array_bounds.iter().all(|bound| matches!(bound.node, Some(N::Integer(_)))) {
            self.refuse_construct(location, "this array type");
        }
        let name = match strings(names).unwrap_or_default().as_slice() {
            [name] | ["pg_catalog", name] => Some(*name),
            _ => None,
        };
        let allowed = name.filter(|name| functions::catalog_type(name) || functions::is_lookup_type(name));
        if allowed.is_none() {
            let shown_name = shown(&strings(names).unwrap_or_default().join("."));
            let message = format!("type `{shown_name}` is not on the list of allowed types");
            self.refuse("types", location, message, "use a built-in type; see docs/statements.md");
        }
        allowed
    }

    /// A cast. A type such as regclass prints an oid as a name, which is useful, and looks a text up as a name, folding its
    /// case and searching for it, which is not: so what is cast to it must be known to be an oid.
    pub(super) fn cast(&mut self, arg: Option<&Node>, type_name: Option<&pg::TypeName>, location: i32) {
        let Some(name) = self.type_name(type_name, location) else {
            return;
        };
        if !functions::is_lookup_type(name) {
            return;
        }
        let array = type_name.is_some_and(|name| !name.array_bounds.is_empty());
        match arg.and_then(|arg| arg.node.as_ref()) {
            _ if array => {}
            Some(N::TypeCast(inner)) if is_oid(inner.type_name.as_ref()) => return,
            Some(N::AConst(pg::AConst { val: Some(pg::a_const::Val::Sval(text)), .. }))
                if text.sval.starts_with("pg_catalog.") =>
            {
                return;
            }
            Some(N::ColumnRef(column)) => {
                let name = strings(&column.fields).and_then(|fields| fields.last().map(ToString::to_string));
                if let Some(name) = name.filter(|name| name.ends_with("oid") || name.ends_with("relid")) {
                    return self.lookups.push((name, location));
                }
            }
            _ => {}
        }
        self.refuse_lookup(name, location);
    }

    /// A column cast to a lookup type is one that the catalogs call an oid: its name says so, the statement gives no column
    /// that name, and all relations are catalogs.
    pub(super) fn check_lookups(&mut self) {
        for (name, location) in std::mem::take(&mut self.lookups) {
            if self.introduced.contains(&name) || !matches!(self.class, Class::Read | Class::Signal) {
                self.refuse_lookup(&name, location);
            }
        }
    }

    fn refuse_lookup(&mut self, name: &str, location: i32) {
        let message = format!("this cast may look up a name (`{name}`)");
        self.refuse("types", location, message, "cast to pg_catalog.oid first: x::pg_catalog.oid::pg_catalog.regclass");
    }
}

const SIGNAL_AND_DATA: &str = "a statement that signals backends also reads users' relations";

fn is_oid(type_name: Option<&pg::TypeName>) -> bool {
    type_name.is_some_and(|name| {
        name.array_bounds.is_empty() && matches!(strings(&name.names).as_deref(), Some(["oid"] | ["pg_catalog", "oid"]))
    })
}
