//! The columns that a statement returns against those that it declares: as many, of the same names where the text says
//! names, and none that shows somebody's SQL without being declared as such. Two columns swapped by mistake would otherwise
//! show a reader one thing under another's title, and a query's literals would leave the host as plain text.

use std::collections::HashSet;

use pg_query::{Node, NodeEnum as N, protobuf as pg};

use crate::value::{Column, ColumnKind};

use super::{names::strings, placeholders::MARK, proof::Finding, rows::Rows};

/// Functions that take text and give away nothing of it.
const OPAQUE: &[&str] =
    &["md5", "sha256", "hashtext", "hashtextextended", "length", "octet_length", "count", "num_nonnulls"];

/// Columns of PostgreSQL's views that hold text of somebody's SQL.
const QUERY_COLUMNS: &[&str] = &["query", "current_query", "backend_activity"];

/// Functions that return it, alone or in a row.
const QUERY_FUNCTIONS: &[&str] = &["pg_stat_get_backend_activity", "pg_stat_get_activity", "pg_stat_statements"];

/// Relations that hold it.
const QUERY_RELATIONS: &[&str] = &["pg_stat_activity", "pg_stat_statements"];

/// Whether a relation may hold text of somebody's SQL. Names without a schema are CTEs, which may hold anything.
pub(super) fn holds_queries(schema: &str, name: &str) -> bool {
    schema.is_empty() || ((schema == "pg_catalog" || schema.starts_with(MARK)) && QUERY_RELATIONS.contains(&name))
}

/// What the names in a statement stand for, wherever in it: enough to follow a query's text under other names. Scopes are
/// not told apart: a name that stands for such text in one place is taken to do so in all.
#[derive(Default)]
pub(super) struct Names {
    columns: Vec<(String, Node)>,
    /// Columns of which nothing is known.
    hidden: HashSet<String>,
    /// Relations that may hold such text: their names stand for whole rows.
    rows: Rows,
}

impl Names {
    pub(super) fn column(&mut self, name: Option<String>, value: &Node) {
        if let Some(name) = name {
            self.columns.push((name, value.clone()));
        }
    }

    pub(super) fn hidden(&mut self, names: Vec<&str>) {
        self.hidden.extend(names.into_iter().map(ToOwned::to_owned));
    }

    pub(super) fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }

    /// New names for a subquery's columns. From a `*` on nobody knows which is which.
    pub(super) fn renamed(&mut self, names: Vec<&str>, outputs: &[Output<'_>]) {
        let starred = outputs.iter().any(|output| output.values.iter().any(|value| is_star(value)));
        for (index, name) in names.into_iter().enumerate() {
            match outputs.get(index) {
                Some(output) if !starred => {
                    self.columns.extend(output.values.iter().map(|value| (name.to_owned(), (*value).clone())));
                }
                _ => drop(self.hidden.insert(name.to_owned())),
            }
        }
    }

    /// The names of all columns that may hold text of somebody's SQL.
    fn queries(self) -> Queries {
        let mut found = Queries { columns: self.hidden, rows: self.rows };
        // A column hides the relation of its name.
        let is_column =
            |row: &str| self.columns.iter().any(|(name, value)| name == row && own_name(value) != Some(row));
        found.rows.retain(|row| !is_column(row));
        found.columns.extend(QUERY_COLUMNS.iter().map(ToString::to_string));
        // Each round takes at least one name, so this ends.
        let mut left = self.columns;
        loop {
            let (showing, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|(_, value)| found.shown_by(value));
            if showing.is_empty() {
                return found;
            }
            found.columns.extend(showing.into_iter().map(|(name, _)| name));
            left = others;
        }
    }
}

/// One output column: the name that the text gives it, and what fills it: one value for each arm of a UNION.
pub(super) struct Output<'t> {
    name: Option<&'t str>,
    at: Option<usize>,
    values: Vec<&'t Node>,
}

/// The names of a subquery's columns: those that its alias gives, then its own. From a `*` on an alias renames nobody knows what.
pub(super) fn column_names(aliased: &[&str], outputs: &[Output<'_>]) -> HashSet<String> {
    let starred = outputs.iter().any(|output| output.values.iter().any(|value| is_star(value)));
    let own = outputs.iter().skip(aliased.len()).filter(|_| aliased.is_empty() || !starred).filter_map(|output| {
        output.name.map(ToOwned::to_owned).or_else(|| output.values.first().and_then(|value| figured(value)))
    });
    aliased.iter().map(ToString::to_string).chain(own).collect()
}

/// Compares a statement's output with its declared columns.
pub(super) fn check(node: &Node, columns: &[Column], names: Names) -> Vec<Finding> {
    let found = match node.node.as_ref() {
        Some(N::SelectStmt(select)) => outputs(select),
        Some(N::InsertStmt(insert)) => returning(insert.returning_clause.as_ref()),
        Some(N::UpdateStmt(update)) => returning(update.returning_clause.as_ref()),
        Some(N::DeleteStmt(delete)) => returning(delete.returning_clause.as_ref()),
        _ => return Vec::new(),
    };
    let fault = |at, message: String, remedy| Finding::new("columns", at, message, remedy);
    if let Some(star) = found.iter().find(|output| output.values.iter().any(|value| is_star(value))) {
        return vec![fault(star.at, "`*` returns whatever columns there are".to_owned(), "name the columns")];
    }
    if found.len() != columns.len() {
        let message = format!("it returns {} columns, and {} are declared", found.len(), columns.len());
        return vec![fault(None, message, "return exactly the declared columns")];
    }
    let queries = names.queries();
    let mut findings = Vec::new();
    for (output, column) in found.iter().zip(columns) {
        if let Some(name) = output.name.filter(|name| *name != column.name) {
            let message = format!("it returns `{name}` where column `{}` is declared", column.name);
            findings.push(fault(output.at, message, "return the declared columns in order, named with AS"));
        }
        if column.kind != ColumnKind::Query && output.values.iter().any(|value| queries.shown_by(value)) {
            let message = format!("column `{}` may show text of somebody's SQL", column.name);
            findings.push(fault(output.at, message, "declare it with kind `query`, or show a hash of it"));
        }
    }
    findings
}

/// The output columns of a SELECT: names from its leftmost arm, values from all.
pub(super) fn outputs(select: &pg::SelectStmt) -> Vec<Output<'_>> {
    let arms = match (&select.larg, &select.rarg) {
        (Some(left), Some(right)) => vec![outputs(left), outputs(right)],
        _ if select.values_lists.is_empty() => vec![targets(&select.target_list)],
        _ => select
            .values_lists
            .iter()
            .filter_map(|row| match &row.node {
                Some(N::List(row)) => {
                    Some(row.items.iter().map(|value| Output { name: None, at: None, values: vec![value] }).collect())
                }
                _ => None,
            })
            .collect(),
    };
    arms.into_iter()
        .reduce(|mut first: Vec<Output<'_>>, further| {
            for (output, other) in first.iter_mut().zip(further) {
                output.values.extend(other.values);
            }
            first
        })
        .unwrap_or_default()
}

fn returning(clause: Option<&pg::ReturningClause>) -> Vec<Output<'_>> {
    clause.map(|clause| targets(&clause.exprs)).unwrap_or_default()
}

fn targets(nodes: &[Node]) -> Vec<Output<'_>> {
    nodes
        .iter()
        .filter_map(|node| match &node.node {
            Some(N::ResTarget(target)) => Some(Output {
                name: if target.name.is_empty() {
                    target.val.as_deref().and_then(own_name)
                } else {
                    Some(&target.name)
                },
                at: usize::try_from(target.location).ok(),
                values: target.val.iter().map(|value| &**value).collect(),
            }),
            _ => None,
        })
        .collect()
}

fn is_star(node: &Node) -> bool {
    match &node.node {
        Some(N::ColumnRef(column)) => column.fields.iter().any(|field| matches!(field.node, Some(N::AStar(_)))),
        _ => false,
    }
}

/// The name that PostgreSQL gives a column reference, also through casts.
fn own_name(node: &Node) -> Option<&str> {
    match &node.node {
        Some(N::ColumnRef(column)) => strings(&column.fields)?.last().copied(),
        Some(N::TypeCast(cast)) => own_name(cast.arg.as_deref()?),
        _ => None,
    }
}

/// The name that a target has for the query around it: given, or taken from what it is (manual, 7.3.2).
pub(super) fn figured_name(target: &pg::ResTarget) -> Option<String> {
    if target.name.is_empty() { target.val.as_deref().and_then(figured) } else { Some(target.name.clone()) }
}

fn figured(node: &Node) -> Option<String> {
    let fixed = |name: &str| Some(name.to_owned());
    match &node.node {
        Some(N::FuncCall(call)) => strings(&call.funcname)?.last().map(ToString::to_string),
        Some(N::TypeCast(cast)) => cast
            .arg
            .as_deref()
            .and_then(figured)
            .or_else(|| strings(&cast.type_name.as_ref()?.names)?.last().map(ToString::to_string)),
        Some(N::CollateClause(clause)) => clause.arg.as_deref().and_then(figured),
        Some(N::AIndirection(indirection)) => indirection.arg.as_deref().and_then(figured),
        Some(N::CaseExpr(case)) => case.defresult.as_deref().and_then(figured).or_else(|| fixed("case")),
        Some(N::CoalesceExpr(_)) => fixed("coalesce"),
        Some(N::MinMaxExpr(extreme)) => {
            fixed(if extreme.op == pg::MinMaxOp::IsGreatest as i32 { "greatest" } else { "least" })
        }
        Some(N::AExpr(expression)) if expression.kind == pg::AExprKind::AexprNullif as i32 => fixed("nullif"),
        Some(N::AArrayExpr(_)) => fixed("array"),
        Some(N::RowExpr(_)) => fixed("row"),
        Some(N::SubLink(link)) => match link.subselect.as_ref().and_then(|query| query.node.as_ref()) {
            _ if link.sub_link_type == pg::SubLinkType::ArraySublink as i32 => fixed("array"),
            Some(N::SelectStmt(query)) => figured(outputs(query).first()?.values.first()?),
            _ => None,
        },
        _ => own_name(node).map(ToOwned::to_owned),
    }
}

/// The call of an item of a function in FROM.
pub(super) fn function_of(item: &Node) -> Option<&Node> {
    match &item.node {
        Some(N::List(pg::List { items })) => items.iter().find(|part| matches!(part.node, Some(N::FuncCall(_)))),
        _ => None,
    }
}

/// The columns and rows that hold text of somebody's SQL. This finds mistakes in honest packs; a pack that spells such text
/// out of its letters is for whoever reviews and signs it.
struct Queries {
    columns: HashSet<String>,
    rows: Rows,
}

impl Queries {
    /// Whether a value is made of such text.
    fn shown_by(&self, node: &Node) -> bool {
        let within = |node: &Option<Box<Node>>| node.as_deref().is_some_and(|node| self.shown_by(node));
        match &node.node {
            Some(N::ColumnRef(column)) => match strings(&column.fields).as_deref() {
                Some([name]) => self.columns.contains(*name) || self.rows.contains(name),
                Some([.., row, name]) => self.columns.contains(*name) || self.rows.is_call(row, name),
                // `t.*` within an expression is a row of all its columns. At the top of a subquery it gives each its own name.
                None | Some([]) => false,
            },
            Some(N::FuncCall(call)) => {
                let name = strings(&call.funcname).and_then(|names| names.last().copied()).unwrap_or_default();
                let all = |node: &Node| is_star(node) || self.shown_by(node);
                QUERY_FUNCTIONS.contains(&name) || (!OPAQUE.contains(&name) && call.args.iter().any(all))
            }
            Some(N::NamedArgExpr(named)) => within(&named.arg),
            Some(N::AExpr(expression)) => match pg::AExprKind::try_from(expression.kind) {
                Ok(pg::AExprKind::AexprNullif) => within(&expression.lexpr),
                Ok(pg::AExprKind::AexprOp) => {
                    makes_text(&expression.name) && (within(&expression.lexpr) || within(&expression.rexpr))
                }
                _ => false,
            },
            Some(N::TypeCast(cast)) => within(&cast.arg),
            Some(N::CollateClause(clause)) => within(&clause.arg),
            Some(N::AIndirection(indirection)) => within(&indirection.arg),
            Some(N::CoalesceExpr(coalesce)) => coalesce.args.iter().any(|value| self.shown_by(value)),
            Some(N::MinMaxExpr(extreme)) => extreme.args.iter().any(|value| self.shown_by(value)),
            Some(N::CaseExpr(case)) => {
                within(&case.defresult)
                    || case.args.iter().any(|when| match &when.node {
                        Some(N::CaseWhen(when)) => within(&when.result),
                        _ => false,
                    })
            }
            Some(N::AArrayExpr(array)) => array.elements.iter().any(|value| self.shown_by(value)),
            Some(N::RowExpr(row)) => row.args.iter().any(|value| is_star(value) || self.shown_by(value)),
            Some(N::SubLink(link)) => match link.subselect.as_ref().and_then(|query| query.node.as_ref()) {
                Some(N::SelectStmt(query)) if returns_values(link.sub_link_type) => outputs(query)
                    .iter()
                    .flat_map(|output| &output.values)
                    .any(|value| is_star(value) || self.shown_by(value)),
                _ => false,
            },
            _ => false,
        }
    }
}

/// EXISTS, IN and ANY only say yes or no.
fn returns_values(kind: i32) -> bool {
    matches!(
        pg::SubLinkType::try_from(kind),
        Ok(pg::SubLinkType::ExprSublink | pg::SubLinkType::ArraySublink | pg::SubLinkType::MultiexprSublink)
    )
}

/// Whether an operator's result is made of its operands. Comparisons only say yes or no.
fn makes_text(name: &[Node]) -> bool {
    !matches!(
        strings(name).unwrap_or_default().last(),
        Some(
            &("="
                | "<>"
                | "!="
                | "<"
                | "<="
                | ">"
                | ">="
                | "~"
                | "~*"
                | "!~"
                | "!~*"
                | "~~"
                | "~~*"
                | "!~~"
                | "!~~*"
                | "^@")
        )
    )
}
