//! The allow-list of constructs: a walk over the whole parse tree in which every node type, and every field of it that can
//! change what a statement does, is named. What is not named is refused, so a construct of a later PostgreSQL is refused
//! until somebody has thought about it. Fields are taken apart without `..` for the same reason: a new one does not compile.
//!
//! This file holds SELECT and its clauses; `changes.rs` the statements that change rows or maintain; `expressions.rs` what
//! computes values; `names.rs` what names refer to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use pg_query::{Node, NodeEnum as N, protobuf as pg};

use super::{
    Class, Mode,
    names::strings,
    output::{self, Names},
    placeholders::MARK,
    proof::Finding,
};

/// What the walk learns of a statement.
pub(super) struct Tree {
    pub(super) findings: Vec<Finding>,
    pub(super) class: Class,
    /// `$n` and where it first stands.
    pub(super) parameters: BTreeMap<i32, usize>,
    /// How many placeholders stand where one may.
    pub(super) placeholders: usize,
    /// What the names in the statement stand for.
    pub(super) names: Names,
    /// Relations and functions that it names, wherever in it.
    pub(super) touches: BTreeSet<String>,
}

/// Walks a statement for a mode. `extension` is the one that the variant names.
pub(super) fn walk(node: &Node, mode: Mode, extension: Option<&str>) -> Tree {
    let mut walk = Walk {
        mode,
        extension,
        findings: Vec::new(),
        class: Class::Read,
        parameters: BTreeMap::new(),
        placeholders: 0,
        scopes: Vec::new(),
        function_columns: HashMap::new(),
        qualified: Vec::new(),
        introduced: HashSet::new(),
        lookups: Vec::new(),
        names: Names::default(),
        touches: BTreeSet::new(),
    };
    walk.statement(node);
    walk.check_qualified_columns();
    walk.check_lookups();
    let Walk { findings, class, parameters, placeholders, names, touches, .. } = walk;
    Tree { findings, class, parameters, placeholders, names, touches }
}

/// A reference `qualifier.name` to a column.
pub(super) struct QualifiedColumn {
    pub(super) qualifier: String,
    pub(super) name: String,
    pub(super) location: i32,
}

pub(super) struct Walk<'a> {
    pub(super) mode: Mode,
    pub(super) extension: Option<&'a str>,
    pub(super) findings: Vec<Finding>,
    pub(super) class: Class,
    pub(super) parameters: BTreeMap<i32, usize>,
    pub(super) placeholders: usize,
    /// The names of the CTEs that can be seen, innermost last.
    pub(super) scopes: Vec<Vec<String>>,
    /// For each alias of a function in FROM, the columns that it is known to have.
    pub(super) function_columns: HashMap<String, HashSet<String>>,
    pub(super) qualified: Vec<QualifiedColumn>,
    /// Names that the statement itself gives to columns.
    pub(super) introduced: HashSet<String>,
    /// Columns that are cast to a type which looks names up.
    pub(super) lookups: Vec<(String, i32)>,
    pub(super) names: Names,
    pub(super) touches: BTreeSet<String>,
}

impl Walk<'_> {
    pub(super) fn refuse(
        &mut self,
        rule: &'static str,
        location: i32,
        message: impl Into<String>,
        remedy: &'static str,
    ) {
        // Enough for anybody to work on; a hostile statement could break a rule at each token.
        if self.findings.len() < 50 {
            self.findings.push(Finding::new(rule, usize::try_from(location).ok(), message, remedy));
        }
    }

    pub(super) fn refuse_construct(&mut self, location: i32, what: &str) {
        self.refuse("constructs", location, format!("{what} is not allowed"), "see docs/statements.md for what is");
    }

    fn statement(&mut self, node: &Node) {
        match (self.mode, node.node.as_ref()) {
            (Mode::Read, Some(N::SelectStmt(select))) => self.select(select),
            (Mode::Act, Some(N::SelectStmt(select))) => {
                self.select(select);
                match self.class {
                    Class::Signal => {}
                    Class::Read | Class::Data => self.refuse(
                        "mode",
                        -1,
                        "a SELECT of mode `act` calls no function that acts",
                        "declare it with mode `read`",
                    ),
                    Class::Maintain | Class::Write => self.refuse_construct(-1, "this statement"),
                }
            }
            (Mode::Act, Some(N::InsertStmt(insert))) => self.insert(insert),
            (Mode::Act, Some(N::UpdateStmt(update))) => self.update(update),
            (Mode::Act, Some(N::DeleteStmt(delete))) => self.delete(delete),
            (Mode::Maintain, Some(N::VacuumStmt(vacuum))) => self.vacuum(vacuum),
            (Mode::Maintain, Some(N::ReindexStmt(reindex))) => self.reindex(reindex),
            (mode, _) => {
                let allowed = match mode {
                    Mode::Read => "SELECT",
                    Mode::Act => "a SELECT that signals, INSERT, UPDATE or DELETE",
                    Mode::Maintain => "VACUUM, ANALYZE or REINDEX … CONCURRENTLY",
                };
                let message = format!("this kind of statement is not allowed; the mode allows {allowed}");
                self.refuse("kinds", -1, message, "use a statement of a kind that the mode allows");
            }
        }
    }

    pub(super) fn select(&mut self, select: &pg::SelectStmt) {
        let pg::SelectStmt {
            distinct_clause,
            into_clause,
            target_list,
            from_clause,
            where_clause,
            group_clause,
            group_distinct: _,
            having_clause,
            window_clause,
            values_lists,
            sort_clause,
            limit_offset,
            limit_count,
            limit_option: _,
            locking_clause,
            with_clause,
            op: _,
            all: _,
            larg,
            rarg,
        } = select;
        if into_clause.is_some() {
            self.refuse("kinds", -1, "SELECT … INTO makes a table", "remove INTO");
        }
        if !locking_clause.is_empty() {
            self.refuse("kinds", -1, "FOR UPDATE and FOR SHARE lock rows", "remove the locking clause");
        }
        let scoped = self.with(with_clause.as_ref());
        // A plain DISTINCT is a list of one empty node.
        self.each(distinct_clause.iter().filter(|node| node.node.is_some()));
        self.targets(target_list);
        self.each(from_clause);
        self.maybe(where_clause.as_deref());
        self.each(group_clause);
        self.maybe(having_clause.as_deref());
        self.each(window_clause);
        self.each(values_lists);
        self.each(sort_clause);
        self.maybe(limit_offset.as_deref());
        self.maybe(limit_count.as_deref());
        for side in [larg, rarg].into_iter().flatten() {
            self.select(side);
        }
        self.leave(scoped);
    }

    /// Walks the CTEs and brings their names into scope: all of them for RECURSIVE, else each for those after it. So an
    /// unqualified name is taken for a CTE exactly where PostgreSQL takes it for one.
    pub(super) fn with(&mut self, clause: Option<&pg::WithClause>) -> bool {
        let Some(pg::WithClause { ctes, recursive, location: _ }) = clause else {
            return false;
        };
        let names = ctes.iter().filter_map(|node| match &node.node {
            Some(N::CommonTableExpr(cte)) => Some(cte.ctename.clone()),
            _ => None,
        });
        self.scopes.push(if *recursive { names.collect() } else { Vec::new() });
        for node in ctes {
            let Some(N::CommonTableExpr(cte)) = &node.node else {
                self.refuse_construct(-1, "this WITH clause");
                continue;
            };
            let pg::CommonTableExpr {
                ctename,
                aliascolnames,
                ctematerialized: _,
                ctequery,
                search_clause: None,
                cycle_clause: None,
                location,
                cterecursive: false,
                cterefcount: 0,
                ctecolnames: _,
                ctecoltypes: _,
                ctecoltypmods: _,
                ctecolcollations: _,
            } = &**cte
            else {
                self.refuse_construct(cte.location, "SEARCH or CYCLE");
                continue;
            };
            if ctename.starts_with("pg_") || ctename.starts_with(MARK) {
                self.refuse("names", *location, "a CTE is named like a system catalog", "rename it");
            }
            self.introduce(aliascolnames);
            match ctequery.as_ref().and_then(|query| query.node.as_ref()) {
                Some(N::SelectStmt(query)) => {
                    let (aliased, outputs) = (strings(aliascolnames).unwrap_or_default(), output::outputs(query));
                    self.names.rows().cte(ctename, output::column_names(&aliased, &outputs));
                    self.names.renamed(aliased, &outputs);
                    self.select(query);
                }
                _ => self.refuse("kinds", *location, "a CTE changes data", "make it a statement of its own"),
            }
            if let Some(scope) = self.scopes.last_mut() {
                scope.push(ctename.clone());
            }
        }
        true
    }

    pub(super) fn leave(&mut self, scoped: bool) {
        if scoped {
            self.scopes.pop();
        }
    }

    pub(super) fn introduce(&mut self, names: &[Node]) {
        for node in names {
            match &node.node {
                Some(N::String(name)) => {
                    self.introduced.insert(name.sval.clone());
                }
                _ => self.refuse_construct(-1, "this list of column names"),
            }
        }
    }

    /// Output columns of a SELECT or RETURNING, assignments of an INSERT or UPDATE.
    pub(super) fn targets(&mut self, targets: &[Node]) {
        for node in targets {
            let Some(N::ResTarget(target)) = &node.node else {
                self.refuse_construct(-1, "this target");
                continue;
            };
            let pg::ResTarget { name, indirection, val, location } = &**target;
            if !indirection.is_empty() {
                self.refuse_construct(*location, "an assignment to a part of a column");
            }
            if !name.is_empty() {
                self.introduced.insert(name.clone());
            }
            if let Some(val) = val {
                self.names.column(output::figured_name(target), val);
            }
            self.maybe(val.as_deref());
        }
    }

    pub(super) fn each<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Node>) {
        for node in nodes {
            self.expression(node);
        }
    }

    pub(super) fn maybe(&mut self, node: Option<&Node>) {
        if let Some(node) = node {
            self.expression(node);
        }
    }

    /// FROM items; the expressions' walk comes here for what it does not know.
    pub(super) fn clause(&mut self, node: &Node) {
        match node.node.as_ref() {
            Some(N::RangeVar(relation)) => self.relation(relation),
            Some(N::RangeSubselect(sub)) => {
                let pg::RangeSubselect { lateral: _, subquery, alias } = &**sub;
                self.alias(alias.as_ref());
                match subquery.as_ref().and_then(|query| query.node.as_ref()) {
                    Some(N::SelectStmt(query)) => {
                        if let Some(alias) = alias {
                            let aliased = strings(&alias.colnames).unwrap_or_default();
                            let outputs = output::outputs(query);
                            let columns = output::column_names(&aliased, &outputs);
                            self.names.rows().subquery(&alias.aliasname, columns);
                            self.names.renamed(aliased, &outputs);
                        }
                        self.select(query);
                    }
                    _ => self.refuse_construct(-1, "this subquery"),
                }
            }
            Some(N::RangeFunction(function)) => self.function_in_from(function),
            Some(N::JoinExpr(join)) => {
                let pg::JoinExpr {
                    jointype: _,
                    is_natural: _,
                    larg,
                    rarg,
                    using_clause,
                    join_using_alias,
                    quals,
                    alias,
                    rtindex: 0,
                } = &**join
                else {
                    return self.refuse_construct(-1, "this join");
                };
                self.maybe(larg.as_deref());
                self.maybe(rarg.as_deref());
                self.names_only(using_clause);
                self.maybe(quals.as_deref());
                self.alias(join_using_alias.as_ref());
                self.alias(alias.as_ref());
                if let Some(alias) = alias {
                    self.names.hidden(strings(&alias.colnames).unwrap_or_default());
                    self.names.rows().relation(&alias.aliasname);
                }
            }
            Some(N::SortBy(sort)) => {
                let pg::SortBy { node, sortby_dir: _, sortby_nulls: _, use_op, location } = &**sort;
                if !use_op.is_empty() {
                    self.operator(use_op, *location);
                }
                self.maybe(node.as_deref());
            }
            Some(N::WindowDef(window)) => self.window(window),
            Some(N::GroupingSet(pg::GroupingSet { kind: _, content, location: _ })) => self.each(content),
            Some(N::IndexElem(element)) => {
                let pg::IndexElem {
                    name: _,
                    expr,
                    indexcolname: _,
                    collation,
                    opclass,
                    opclassopts,
                    ordering: _,
                    nulls_ordering: _,
                } = &**element;
                if expr.is_some() || !collation.is_empty() || !opclass.is_empty() || !opclassopts.is_empty() {
                    self.refuse_construct(-1, "ON CONFLICT with anything but columns");
                }
            }
            _ => self.refuse_construct(-1, &kind_of(node)),
        }
    }

    pub(super) fn window(&mut self, window: &pg::WindowDef) {
        let pg::WindowDef {
            name: _,
            refname: _,
            partition_clause,
            order_clause,
            frame_options: _,
            start_offset,
            end_offset,
            location: _,
        } = window;
        self.each(partition_clause);
        self.each(order_clause);
        self.maybe(start_offset.as_deref());
        self.maybe(end_offset.as_deref());
    }

    pub(super) fn names_only(&mut self, names: &[Node]) {
        if !names.iter().all(|node| matches!(node.node, Some(N::String(_)))) {
            self.refuse_construct(-1, "this list of names");
        }
    }

    pub(super) fn alias(&mut self, alias: Option<&pg::Alias>) {
        if let Some(pg::Alias { aliasname, colnames }) = alias {
            if aliasname.starts_with(MARK) {
                self.refuse_construct(-1, "a placeholder as an alias");
            }
            self.introduce(colnames);
        }
    }
}

/// The parser's own name of a node, for a message: `XmlExpr`, `CopyStmt`.
pub(super) fn kind_of(node: &Node) -> String {
    let Some(inner) = &node.node else {
        return "an empty node".to_owned();
    };
    let debug = format!("{inner:?}");
    let name: String = debug.chars().take_while(char::is_ascii_alphanumeric).collect();
    format!("`{name}`")
}
