//! The columns that a statement returns against those that it declares: as many, and of the same names where the text says
//! names. Two columns swapped by mistake would otherwise show a reader one thing under another's title.

use pg_query::{Node, NodeEnum as N, protobuf as pg};

use crate::value::{Column, ColumnKind};

use super::{names::strings, proof::Finding};

/// Functions that take text and give away nothing of it.
const OPAQUE: &[&str] = &["md5", "sha256", "hashtext", "hashtextextended", "length", "octet_length", "count", "num_nonnulls"];

/// Columns of PostgreSQL's views that hold text of somebody's SQL.
const QUERY_COLUMNS: &[&str] = &["query", "current_query", "backend_activity"];

/// Functions that return it.
const QUERY_FUNCTIONS: &[&str] = &["pg_stat_get_backend_activity"];

/// Compares a statement's output with its declared columns.
pub(super) fn check(node: &Node, columns: &[Column]) -> Vec<Finding> {
    let targets = match node.node.as_ref() {
        Some(N::SelectStmt(select)) => leftmost(select),
        Some(N::InsertStmt(insert)) => Some(returning(insert.returning_clause.as_ref())),
        Some(N::UpdateStmt(update)) => Some(returning(update.returning_clause.as_ref())),
        Some(N::DeleteStmt(delete)) => Some(returning(delete.returning_clause.as_ref())),
        _ => None,
    };
    let Some(targets) = targets else { return Vec::new() };
    let fault = |at, message: String, remedy| Finding::new("columns", at, message, remedy);
    if targets.len() != columns.len() {
        let message = format!("it returns {} columns, and {} are declared", targets.len(), columns.len());
        return vec![fault(None, message, "return exactly the declared columns")];
    }
    let mut findings = Vec::new();
    for (target, column) in targets.iter().zip(columns) {
        let value = target.val.as_deref();
        let at = usize::try_from(target.location).ok();
        if value.is_some_and(is_star) {
            findings.push(fault(at, "`*` returns whatever columns there are".to_owned(), "name the columns"));
            continue;
        }
        let name = if target.name.is_empty() { value.and_then(own_name) } else { Some(target.name.as_str()) };
        if let Some(name) = name.filter(|name| *name != column.name) {
            let message = format!("it returns `{name}` where column `{}` is declared", column.name);
            findings.push(fault(at, message, "return the declared columns in order, named with AS"));
        }
        if column.kind != ColumnKind::Query && value.is_some_and(shows_query) {
            let message = format!("column `{}` shows text of somebody's SQL", column.name);
            findings.push(fault(at, message, "declare it with kind `query`, or show a hash of it"));
        }
    }
    findings
}

/// The SELECT that names the output columns; `None` for VALUES, whose columns have no names and are checked by count only.
fn leftmost(select: &pg::SelectStmt) -> Option<Vec<&pg::ResTarget>> {
    match &select.larg {
        Some(left) => leftmost(left),
        None if select.values_lists.is_empty() => Some(res_targets(&select.target_list)),
        None => None,
    }
}

fn returning(clause: Option<&pg::ReturningClause>) -> Vec<&pg::ResTarget> {
    clause.map(|clause| res_targets(&clause.exprs)).unwrap_or_default()
}

fn res_targets(nodes: &[Node]) -> Vec<&pg::ResTarget> {
    nodes
        .iter()
        .filter_map(|node| match &node.node {
            Some(N::ResTarget(target)) => Some(&**target),
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

/// Whether an output shows a column that holds SQL. This finds mistakes in honest packs; a pack that hides such text behind
/// a name of its own is for whoever reviews and signs it.
fn shows_query(node: &Node) -> bool {
    let within = |node: &Option<Box<Node>>| node.as_deref().is_some_and(shows_query);
    match &node.node {
        Some(N::ColumnRef(column)) => {
            strings(&column.fields).and_then(|fields| fields.last().copied()).is_some_and(|name| QUERY_COLUMNS.contains(&name))
        }
        Some(N::FuncCall(call)) => {
            let name = strings(&call.funcname).and_then(|names| names.last().copied()).unwrap_or_default();
            QUERY_FUNCTIONS.contains(&name) || (!OPAQUE.contains(&name) && call.args.iter().any(shows_query))
        }
        Some(N::AExpr(expression)) => match pg::AExprKind::try_from(expression.kind) {
            Ok(pg::AExprKind::AexprOp | pg::AExprKind::AexprNullif) => {
                is_joining(&expression.name) && (within(&expression.lexpr) || within(&expression.rexpr))
            }
            _ => false,
        },
        Some(N::TypeCast(cast)) => within(&cast.arg),
        Some(N::CollateClause(clause)) => within(&clause.arg),
        Some(N::CoalesceExpr(coalesce)) => coalesce.args.iter().any(shows_query),
        Some(N::MinMaxExpr(extreme)) => extreme.args.iter().any(shows_query),
        Some(N::CaseExpr(case)) => {
            within(&case.defresult)
                || case.args.iter().any(|when| match &when.node {
                    Some(N::CaseWhen(when)) => within(&when.result),
                    _ => false,
                })
        }
        Some(N::AArrayExpr(array)) => array.elements.iter().any(shows_query),
        Some(N::RowExpr(row)) => row.args.iter().any(shows_query),
        _ => false,
    }
}

/// `||`, or the `=` of NULLIF: the result is made of the operands.
fn is_joining(name: &[Node]) -> bool {
    matches!(strings(name).unwrap_or_default().last(), Some(&("||" | "=")))
}
