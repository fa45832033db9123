//! The allow-list of constructs, continued: what computes values.

use pg_query::{Node, NodeEnum as N, protobuf as pg};

use super::{
    functions,
    grammar::{QualifiedColumn, Walk},
    names::strings,
    output,
};

impl Walk<'_> {
    pub(super) fn expression(&mut self, node: &Node) {
        match node.node.as_ref() {
            Some(N::ColumnRef(column)) => self.column(column),
            Some(N::ParamRef(pg::ParamRef { number, location })) => {
                let at = usize::try_from(*location).unwrap_or_default();
                self.parameters.entry(*number).or_insert(at);
            }
            // Constants; CURRENT_TIMESTAMP, CURRENT_USER and their like, of which the parser knows no others.
            Some(N::AConst(pg::AConst { isnull: _, location: _, val: _ }) | N::SqlvalueFunction(_)) => {}
            Some(N::AExpr(expression)) => {
                let pg::AExpr { kind, name, lexpr, rexpr, rexpr_list_start: _, rexpr_list_end: _, location } =
                    &**expression;
                match pg::AExprKind::try_from(*kind) {
                    Ok(
                        pg::AExprKind::AexprOp
                        | pg::AExprKind::AexprOpAny
                        | pg::AExprKind::AexprOpAll
                        | pg::AExprKind::AexprDistinct
                        | pg::AExprKind::AexprNotDistinct
                        | pg::AExprKind::AexprNullif
                        | pg::AExprKind::AexprIn
                        | pg::AExprKind::AexprLike
                        | pg::AExprKind::AexprIlike
                        | pg::AExprKind::AexprSimilar,
                    ) => self.operator(name, *location),
                    // Their name is the keyword itself; the comparison is the type's own.
                    Ok(
                        pg::AExprKind::AexprBetween
                        | pg::AExprKind::AexprNotBetween
                        | pg::AExprKind::AexprBetweenSym
                        | pg::AExprKind::AexprNotBetweenSym,
                    ) => {}
                    Ok(pg::AExprKind::Undefined) | Err(_) => self.refuse_construct(*location, "this operator"),
                }
                self.maybe(lexpr.as_deref());
                self.maybe(rexpr.as_deref());
            }
            Some(N::FuncCall(call)) => self.call(call),
            Some(N::TypeCast(cast)) => {
                let pg::TypeCast { arg, type_name, location } = &**cast;
                self.cast(arg.as_deref(), type_name.as_ref(), *location);
                self.maybe(arg.as_deref());
            }
            Some(N::CollateClause(clause)) => {
                let pg::CollateClause { arg, collname, location } = &**clause;
                if !matches!(strings(collname).as_deref(), Some(["pg_catalog", _])) {
                    self.refuse(
                        "qualified",
                        *location,
                        "a collation is not of pg_catalog",
                        "write COLLATE pg_catalog.\"C\"",
                    );
                }
                self.maybe(arg.as_deref());
            }
            Some(N::SubLink(link)) => {
                let pg::SubLink {
                    xpr: None,
                    sub_link_type: _,
                    sub_link_id: _,
                    testexpr,
                    oper_name,
                    subselect,
                    location,
                } = &**link
                else {
                    return self.refuse_construct(link.location, "this subquery");
                };
                if !oper_name.is_empty() {
                    self.operator(oper_name, *location);
                }
                self.maybe(testexpr.as_deref());
                match subselect.as_ref().and_then(|query| query.node.as_ref()) {
                    Some(N::SelectStmt(query)) => self.select(query),
                    _ => self.refuse_construct(*location, "this subquery"),
                }
            }
            Some(N::SelectStmt(query)) => self.select(query),
            Some(N::BoolExpr(expression)) => match &**expression {
                pg::BoolExpr { xpr: None, boolop: _, args, location: _ } => self.each(args),
                other => self.refuse_construct(other.location, "this expression"),
            },
            Some(N::CaseExpr(case)) => match &**case {
                pg::CaseExpr { xpr: None, casetype: 0, casecollid: 0, arg, args, defresult, location: _ } => {
                    self.maybe(arg.as_deref());
                    self.each(args);
                    self.maybe(defresult.as_deref());
                }
                other => self.refuse_construct(other.location, "this CASE"),
            },
            Some(N::CaseWhen(when)) => match &**when {
                pg::CaseWhen { xpr: None, expr, result, location: _ } => {
                    self.maybe(expr.as_deref());
                    self.maybe(result.as_deref());
                }
                other => self.refuse_construct(other.location, "this WHEN"),
            },
            Some(N::CoalesceExpr(coalesce)) => match &**coalesce {
                pg::CoalesceExpr { xpr: None, coalescetype: 0, coalescecollid: 0, args, location: _ } => {
                    self.each(args);
                }
                other => self.refuse_construct(other.location, "this COALESCE"),
            },
            Some(N::MinMaxExpr(extreme)) => match &**extreme {
                pg::MinMaxExpr {
                    xpr: None,
                    minmaxtype: 0,
                    minmaxcollid: 0,
                    inputcollid: 0,
                    op: _,
                    args,
                    location: _,
                } => {
                    self.each(args);
                }
                other => self.refuse_construct(other.location, "this GREATEST or LEAST"),
            },
            Some(N::NullTest(test)) => match &**test {
                pg::NullTest { xpr: None, arg, nulltesttype: _, argisrow: false, location: _ } => {
                    self.maybe(arg.as_deref());
                }
                other => self.refuse_construct(other.location, "this test"),
            },
            Some(N::BooleanTest(test)) => match &**test {
                pg::BooleanTest { xpr: None, arg, booltesttype: _, location: _ } => self.maybe(arg.as_deref()),
                other => self.refuse_construct(other.location, "this test"),
            },
            Some(N::RowExpr(row)) => match &**row {
                pg::RowExpr { xpr: None, args, row_typeid: 0, row_format: _, colnames, location: _ }
                    if colnames.is_empty() =>
                {
                    self.each(args);
                }
                other => self.refuse_construct(other.location, "this row"),
            },
            Some(N::AArrayExpr(pg::AArrayExpr { elements, list_start: _, list_end: _, location: _ })) => {
                self.each(elements);
            }
            Some(N::AIndirection(indirection)) => {
                let pg::AIndirection { arg, indirection } = &**indirection;
                self.maybe(arg.as_deref());
                for part in indirection {
                    match part.node.as_ref() {
                        Some(N::AIndices(indices)) => {
                            let pg::AIndices { is_slice: _, lidx, uidx } = &**indices;
                            self.maybe(lidx.as_deref());
                            self.maybe(uidx.as_deref());
                        }
                        // `(expression).name` calls the function `name` where there is no such field (manual, 8.16.5).
                        _ => self.refuse(
                            "calls",
                            -1,
                            "a field is selected from an expression, which may call a function",
                            "call a function by its qualified name, or put it into FROM with column names",
                        ),
                    }
                }
            }
            Some(N::NamedArgExpr(named)) => match &**named {
                pg::NamedArgExpr { xpr: None, arg, name: _, argnumber: _, location: _ } => self.maybe(arg.as_deref()),
                other => self.refuse_construct(other.location, "this argument"),
            },
            Some(N::GroupingFunc(grouping)) => match &**grouping {
                pg::GroupingFunc { xpr: None, args, refs, agglevelsup: 0, location: _ } if refs.is_empty() => {
                    self.each(args);
                }
                other => self.refuse_construct(other.location, "this GROUPING"),
            },
            Some(N::List(pg::List { items })) => self.each(items.iter().filter(|item| item.node.is_some())),
            Some(N::SetToDefault(default)) => match &**default {
                pg::SetToDefault { xpr: None, type_id: 0, type_mod: _, collation: 0, location: _ } => {}
                other => self.refuse_construct(other.location, "this DEFAULT"),
            },
            Some(N::MultiAssignRef(assignment)) => {
                let pg::MultiAssignRef { source, colno: _, ncolumns: _ } = &**assignment;
                self.maybe(source.as_deref());
            }
            _ => self.clause(node),
        }
    }

    fn call(&mut self, call: &pg::FuncCall) {
        let pg::FuncCall {
            funcname,
            args,
            agg_order,
            agg_filter,
            over,
            agg_within_group: _,
            agg_star: _,
            agg_distinct: _,
            func_variadic: _,
            funcformat: _,
            location,
        } = call;
        self.function_name(funcname, *location);
        self.each(args);
        self.each(agg_order);
        self.maybe(agg_filter.as_deref());
        if let Some(window) = over {
            self.window(window);
        }
    }

    fn column(&mut self, column: &pg::ColumnRef) {
        let pg::ColumnRef { fields, location } = column;
        let parts: Vec<Option<&str>> = fields
            .iter()
            .map(|field| match &field.node {
                Some(N::String(name)) => Some(name.sval.as_str()),
                _ => None,
            })
            .collect();
        let star = fields.last().is_some_and(|field| matches!(field.node, Some(N::AStar(_))));
        match parts.as_slice() {
            [Some(_)] => {}
            [None] | [Some(_), None] if star => {}
            [Some(qualifier), Some(name)] => self.qualified.push(QualifiedColumn {
                qualifier: (*qualifier).to_owned(),
                name: (*name).to_owned(),
                location: *location,
            }),
            _ => self.refuse(
                "constructs",
                *location,
                "a column has more than one qualifier",
                "give the relation an alias and write alias.column",
            ),
        }
    }

    /// Where `name` is no column of the function `alias` in FROM, `alias.name` is a call `name(alias)` of whatever function
    /// takes such a value (manual, 8.16.5): `SELECT pid.pg_terminate_backend FROM pg_catalog.int4(4711) AS pid`. Relations and
    /// subqueries are rows, which no function that acts accepts.
    pub(super) fn check_qualified_columns(&mut self) {
        for QualifiedColumn { qualifier, name, location } in std::mem::take(&mut self.qualified) {
            let unknown = self.function_columns.get(&qualifier).is_some_and(|columns| !columns.contains(&name));
            if unknown || functions::catalog_function(&name) == functions::Allowed::Signal {
                let message = "this may call a function: it names no known column of a function in FROM";
                self.refuse("calls", location, message, "name the columns: FROM f(…) AS alias(column, …)");
            }
        }
    }

    pub(super) fn function_in_from(&mut self, function: &pg::RangeFunction) {
        let pg::RangeFunction { lateral: _, ordinality, is_rowsfrom, functions, alias, coldeflist } = function;
        self.alias(alias.as_ref());
        let mut columns = Vec::new();
        let mut called = Vec::new();
        for item in functions {
            // Each is a list of the call and its column definitions, or an empty node for none.
            let Some(N::List(pg::List { items })) = &item.node else {
                self.refuse_construct(-1, "this function in FROM");
                continue;
            };
            for part in items.iter().filter(|part| part.node.is_some()) {
                match &part.node {
                    Some(N::List(pg::List { items })) => columns.extend(items),
                    Some(N::FuncCall(call)) => {
                        self.call(call);
                        called.extend(strings(&call.funcname).and_then(|names| names.last().map(ToString::to_string)));
                    }
                    Some(N::ColumnDef(_)) => columns.push(part),
                    _ => self.refuse_construct(-1, "an expression in place of a function in FROM"),
                }
            }
        }
        columns.extend(coldeflist);
        let mut known: Vec<String> = Vec::new();
        for column in columns {
            match &column.node {
                Some(N::ColumnDef(definition)) => known.extend(self.column_definition(definition)),
                _ => self.refuse_construct(-1, "this column definition"),
            }
        }
        let (name, given) = match alias {
            Some(alias) => (Some(alias.aliasname.clone()), strings(&alias.colnames).unwrap_or_default()),
            None => (called.first().cloned(), Vec::new()),
        };
        for column in given.iter().copied().chain(name.as_deref()) {
            for part in functions.iter().filter_map(output::function_of) {
                self.names.column(Some(column.to_owned()), part);
            }
        }
        known.extend(given.iter().map(ToString::to_string));
        let Some(name) = name else { return };
        if *ordinality {
            known.push("ordinality".to_owned());
        }
        // The one column of a function that returns a plain value has the alias for its name.
        if given.is_empty() && !is_rowsfrom {
            known.push(name.clone());
        }
        let columns = known.into_iter().collect();
        // The same alias in two places: only what both have is known.
        self.function_columns
            .entry(name)
            .and_modify(|present| present.retain(|c| !is_missing(&columns, c)))
            .or_insert(columns);
    }

    fn column_definition(&mut self, definition: &pg::ColumnDef) -> Option<String> {
        let mut plain = definition.clone();
        let type_name = plain.type_name.take();
        let (name, location) = (std::mem::take(&mut plain.colname), std::mem::take(&mut plain.location));
        plain.is_local = false;
        if plain != pg::ColumnDef::default() {
            self.refuse_construct(location, "a column definition with more than a name and a type");
        }
        self.introduced.insert(name.clone());
        self.type_name(type_name.as_ref(), location)?;
        Some(name)
    }
}

fn is_missing(columns: &std::collections::HashSet<String>, name: &str) -> bool {
    !columns.contains(name)
}
